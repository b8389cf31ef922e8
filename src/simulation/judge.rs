//! The success rules (V-PTR appendix C.1): the only reader of object poses during an episode.

use triple_buffer::Output;

use super::kitchen::Kitchen;
use super::plant::Snapshot;
use crate::config::{Object, Rule};
use crate::episode::{Judge, Outcome};
use crate::geometry::Pose;
use crate::time::Timestamp;

/// Lifted at least this far above where it lay \[m\].
const LIFT: f64 = 0.03;
/// At rest: moved less than this since the last look \[m\].
const STILL: f64 = 0.004;
/// Released: the fingers are at least this far apart from center \[m\] ... and have been opened since the lift.
const RELEASED: f64 = 0.030;
/// A container tipped further than this does not count \[rad\].
const TIPPED: f64 = 0.6;
/// Looks in a row that must agree.
const LOOKS: u32 = 2;
/// Name given as the judge of outcomes.
const JUDGE: &str = "success_rule";

/// Judges one episode of one task.
pub struct SuccessRule {
    kitchen: Kitchen,
    snapshots: Output<Snapshot>,
    rule: Rule,
    object: String,
    container: String,
    inner_radius: f64,
    /// Height of the rim above the container's origin \[m\].
    rim_height: f64,
    start_height: f64,
    lifted: bool,
    last: Option<Pose>,
    agreeing: u32,
}

impl SuccessRule {
    /// The rule for `object` and `container` (with its data) in a kitchen.
    pub fn new(
        kitchen: &Kitchen,
        snapshots: Output<Snapshot>,
        rule: Rule,
        object: &str,
        container: &str,
        container_data: &Object,
    ) -> Self {
        Self {
            kitchen: kitchen.clone(),
            snapshots,
            rule,
            object: object.into(),
            container: container.into(),
            inner_radius: container_data.inner_radius.unwrap_or(0.07),
            rim_height: container_data.rim_height.unwrap_or(0.04) - container_data.rest_height,
            start_height: kitchen.placed_pose(object).map_or(0.0, |p| p.translation.z),
            lifted: false,
            last: None,
            agreeing: 0,
        }
    }

    fn done(&mut self, object: &Pose, container: &Pose, finger: f64) -> bool {
        self.lifted |= object.translation.z > self.start_height + LIFT;
        let still = self.last.is_some_and(|last| (last.translation.vector - object.translation.vector).norm() < STILL);
        self.last = Some(*object);
        let up = container.rotation * nalgebra::Vector3::z();
        let upright = up.z > TIPPED.cos();
        let in_container = container.inverse() * object;
        let away = in_container.translation.x.hypot(in_container.translation.y);
        let height = in_container.translation.z;
        let placed = match self.rule {
            // A long object may lean on the rim: its middle must be inside, no higher than a little above the rim.
            Rule::PutIn => away < self.inner_radius && height < self.rim_height + 0.04,
            // Beside the container, lying on what the container stands on.
            Rule::TakeOut => away > self.inner_radius + 0.02 && object.translation.z < self.start_height + LIFT,
        };
        self.lifted && still && upright && placed && finger > RELEASED
    }
}

impl Judge for SuccessRule {
    fn judge(&mut self, _now: Timestamp) -> Option<Outcome> {
        let snapshot = self.snapshots.read();
        let object = self.kitchen.object_pose(&snapshot.qpos, &self.object)?;
        let container = self.kitchen.object_pose(&snapshot.qpos, &self.container)?;
        let finger = snapshot.qpos[self.kitchen.arm.finger_qpos[0]];
        if object.translation.z < -0.05 {
            return Some(Outcome::Failure { judge: JUDGE.into(), why: format!("the {} fell down", self.object) });
        }
        self.agreeing = if self.done(&object, &container, finger) { self.agreeing + 1 } else { 0 };
        (self.agreeing >= LOOKS).then(|| Outcome::Success { judge: JUDGE.into() })
    }

    fn time_out(&mut self, _now: Timestamp) -> Outcome {
        let why = if self.lifted { "time out: lifted, not placed" } else { "time out: not lifted" };
        Outcome::Failure { judge: JUDGE.into(), why: why.into() }
    }
}
