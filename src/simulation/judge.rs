//! The success rules (V-PTR appendix C.1, and a button's): the only reader of object poses during an episode.

use std::collections::BTreeMap;

use triple_buffer::Output;

use super::kitchen::Kitchen;
use super::plant::Snapshot;
use visuomotor_core::config::{Object, Rule, Task};
use visuomotor_core::episode::{Judge, Outcome};
use visuomotor_core::geometry::Pose;
use visuomotor_core::time::Timestamp;

/// Lifted at least this far above its initial height \[m\].
const LIFT: f64 = 0.03;
/// At rest: moved less than this since the last check \[m\].
const STILL: f64 = 0.004;
/// Released: the gripper is at least this far open.
const RELEASED: f64 = 0.8;
/// Pressed: the cap is down by this share of its stroke.
const PRESSED: f64 = 0.6;
/// A container or a button tipped further than this does not count as success \[rad\].
const TIPPED: f64 = 0.6;
/// Consecutive checks that must agree.
const LOOKS: u32 = 2;
/// Name of the judge in outcomes.
const JUDGE: &str = "success_rule";

/// Judges one episode of one task.
pub struct SuccessRule {
    kitchen: Kitchen,
    snapshots: Output<Snapshot>,
    object: String,
    goal: Goal,
    progress: Progress,
}

/// The goal.
enum Goal {
    /// An object moved into or out of a container.
    Moved(Moved),
    /// Cap down by this much \[m\].
    Pressed(f64),
}

/// Reference of a moved object.
struct Moved {
    container: String,
    inside: bool,
    inner_radius: f64,
    /// Height of the rim above the container's origin \[m\].
    rim_height: f64,
    start_height: f64,
}

/// Results of the checks so far.
#[derive(Default)]
struct Progress {
    lifted: bool,
    last: Option<Pose>,
    agreeing: u32,
}

impl SuccessRule {
    /// The rule of a task with these objects, in a kitchen where `object` replaces the task's own.
    pub fn new(
        kitchen: &Kitchen,
        snapshots: Output<Snapshot>,
        task: &Task,
        object: &str,
        data: &BTreeMap<String, Object>,
    ) -> Self {
        let start_height = kitchen.placed_pose(object).map_or(0.0, |p| p.translation.z);
        let goal = match (&task.container, task.rule) {
            (Some(container), Rule::PutIn | Rule::TakeOut) => {
                let sizes = data.get(container);
                let rest_height = sizes.map_or(0.0, |sizes| sizes.rest_height);
                Goal::Moved(Moved {
                    container: container.clone(),
                    inside: task.rule == Rule::PutIn,
                    inner_radius: sizes.and_then(|sizes| sizes.inner_radius).unwrap_or(0.07),
                    rim_height: sizes.and_then(|sizes| sizes.rim_height).unwrap_or(0.04) - rest_height,
                    start_height,
                })
            }
            _ => Goal::Pressed(PRESSED * data.get(object).and_then(|sizes| sizes.stroke).unwrap_or(f64::INFINITY)),
        };
        Self { kitchen: kitchen.clone(), snapshots, object: object.into(), goal, progress: Progress::default() }
    }
}

impl Goal {
    /// Is the goal reached at this check? `None` if an object is not in the kitchen.
    fn is_reached(
        &self,
        kitchen: &Kitchen,
        qpos: &[f64],
        name: &str,
        object: &Pose,
        progress: &mut Progress,
    ) -> Option<bool> {
        match self {
            Goal::Moved(moved) => {
                let container = kitchen.object_pose(qpos, &moved.container)?;
                Some(progress.is_moved(moved, object, &container, kitchen.gripper_opening(qpos)))
            }
            Goal::Pressed(depth) => Some(upright(object) && kitchen.cap_depth(qpos, name)? >= *depth),
        }
    }
}

impl Progress {
    fn is_moved(&mut self, moved: &Moved, object: &Pose, container: &Pose, gripper: f64) -> bool {
        self.lifted |= object.translation.z > moved.start_height + LIFT;
        let still = self.last.is_some_and(|last| (last.translation.vector - object.translation.vector).norm() < STILL);
        self.last = Some(*object);
        let in_container = container.inverse() * object;
        let away = in_container.translation.x.hypot(in_container.translation.y);
        let height = in_container.translation.z;
        let placed = if moved.inside {
            // A long object may lean on the rim: its center must be inside, at most a little above the rim.
            away < moved.inner_radius && height < moved.rim_height + 0.04
        } else {
            // Beside the container, resting on the container's support.
            away > moved.inner_radius + 0.02 && object.translation.z < moved.start_height + LIFT
        };
        self.lifted && still && upright(container) && placed && gripper > RELEASED
    }
}

fn upright(pose: &Pose) -> bool {
    (pose.rotation * nalgebra::Vector3::z()).z > TIPPED.cos()
}

impl Judge for SuccessRule {
    fn judge(&mut self, _now: Timestamp) -> Option<Outcome> {
        let Self { kitchen, snapshots, object: name, goal, progress } = self;
        let snapshot = snapshots.read();
        let object = kitchen.object_pose(&snapshot.qpos, name)?;
        if object.translation.z < -0.05 {
            return Some(Outcome::Failure { judge: JUDGE.into(), why: format!("the {name} fell down") });
        }
        let done = goal.is_reached(kitchen, &snapshot.qpos, name, &object, progress)?;
        progress.agreeing = if done { progress.agreeing + 1 } else { 0 };
        (progress.agreeing >= LOOKS).then(|| Outcome::Success { judge: JUDGE.into() })
    }

    fn time_out(&mut self, _now: Timestamp) -> Outcome {
        let why = match (&self.goal, self.progress.lifted) {
            (Goal::Pressed(_), _) => "time out: not pressed",
            (Goal::Moved(_), true) => "time out: lifted, not placed",
            (Goal::Moved(_), false) => "time out: not lifted",
        };
        Outcome::Failure { judge: JUDGE.into(), why: why.into() }
    }
}
