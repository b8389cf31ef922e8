//! The output of a policy that was made elsewhere, and its conversion into decisions.

use std::path::Path;

use nalgebra::{Quaternion, UnitQuaternion};
use serde::{Deserialize, Serialize};

use super::description::LARGEST_CHUNK;
use visuomotor_core::action::{Action, ActionBounds, ActionError, AskedTorques, Decision, Motion, MotionKind};
use visuomotor_core::config::ConfigError;
use visuomotor_core::geometry::{Approach, Pose, pose_from_bridge};
use visuomotor_core::observation::JointVector;

/// Smallest norm of a quaternion that still defines an orientation.
const SHORTEST_QUATERNION: f64 = 1e-3;

/// What `forward` returns: (1, chunk, width), the gripper last; without the chunk's axis where it is 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// What an action is.
    pub actions: ActionKind,
    /// What its numbers are.
    #[serde(default)]
    pub units: Units,
    /// Number of actions that one inference returns.
    #[serde(default = "one")]
    pub chunk: usize,
    /// How many of them are executed before the next inference; all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execute: Option<usize>,
    /// Weight of the previous chunk in an action that both chunks planned [0..1]; 0: the newest chunk alone.
    #[serde(default)]
    pub blend: f64,
    /// Scaling that converts the output to the numbers of `units = "si"`.
    #[serde(default, skip_serializing_if = "OutputScaling::is_none")]
    pub scaling: OutputScaling,
}

fn one() -> usize {
    1
}

/// What an action is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// Bridge's: a change of the tool's target pose along and about the base axes \[m, rad\].
    PoseChange,
    /// Velocity of the tool along and about the base axes \[m/s, rad/s\].
    Twist,
    /// Pose of the tool in the base frame as Bridge's state has it: x, y, z \[m\], roll, pitch, yaw \[rad\].
    ToolPose,
    /// Pose of the arm's own tool frame in the base frame: x, y, z \[m\] and a quaternion qx, qy, qz, qw of any length.
    ToolPoseQuaternion,
    /// Joint positions \[rad\], chain order.
    JointPositions,
    /// Joint velocities \[rad/s\], chain order.
    JointVelocities,
    /// Joint torques on top of gravity compensation \[Nm\], chain order.
    JointTorques,
}

impl ActionKind {
    /// Its kind: a control law takes some kinds and refuses others.
    pub fn motion(self) -> MotionKind {
        match self {
            ActionKind::PoseChange | ActionKind::Twist => MotionKind::PoseChange,
            ActionKind::ToolPose | ActionKind::ToolPoseQuaternion => MotionKind::ToolPose,
            ActionKind::JointPositions => MotionKind::JointPositions,
            ActionKind::JointVelocities => MotionKind::JointVelocities,
            ActionKind::JointTorques => MotionKind::JointTorques,
        }
    }
}

/// What an action's numbers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Units {
    /// m, rad, s, Nm; gripper 0 closed .. 1 open.
    #[default]
    Si,
    /// -1 to 1 across the bounds of an action; gripper -1 closed .. 1 open.
    Normalized,
}

/// Scaling of the output to SI units, one entry for each number of an action, the gripper's last: `value * std + mean`, or
/// from -1 .. 1 to `min .. max`; with neither, numbers are not scaled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputScaling {
    /// With `std`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mean: Vec<f64>,
    /// More than 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub std: Vec<f64>,
    /// With `max`: the value that -1 stands for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub min: Vec<f64>,
    /// The value that 1 stands for, more than `min`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub max: Vec<f64>,
}

impl OutputScaling {
    /// Are numbers left unscaled?
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Length of an action that it was made for; `None` where its lists do not match.
    pub fn width(&self) -> Option<usize> {
        let (first, second) = if self.mean.is_empty() { (&self.min, &self.max) } else { (&self.mean, &self.std) };
        let alone = [&self.mean, &self.std, &self.min, &self.max].iter().filter(|list| !list.is_empty()).count() == 2;
        let finite = first.iter().chain(second).all(|value| value.is_finite());
        let spans = first.iter().zip(second).all(
            |(first, second)| {
                if self.mean.is_empty() { second > first } else { *second > 0.0 }
            },
        );
        (alone && first.len() == second.len() && finite && spans).then_some(first.len())
    }

    /// The numbers of an action in SI units.
    fn apply(&self, row: &[f64]) -> Vec<f64> {
        let scaled =
            |(i, value): (usize, &f64)| match (self.mean.get(i), self.std.get(i), self.min.get(i), self.max.get(i)) {
                (Some(mean), Some(std), ..) => value * std + mean,
                (_, _, Some(min), Some(max)) => min + 0.5 * (value + 1.0) * (max - min),
                _ => *value,
            };
        row.iter().enumerate().map(scaled).collect()
    }
}

impl Output {
    /// Numbers of one action, the gripper's last.
    pub fn width(&self, joints: usize) -> usize {
        match self.actions {
            ActionKind::PoseChange | ActionKind::Twist | ActionKind::ToolPose => 7,
            ActionKind::ToolPoseQuaternion => 8,
            ActionKind::JointPositions | ActionKind::JointVelocities | ActionKind::JointTorques => joints + 1,
        }
    }

    /// How many actions of a chunk are executed.
    pub fn executed(&self) -> usize {
        self.execute.unwrap_or(self.chunk)
    }

    /// Refuses what is invalid for every arm; `path` is the file's.
    pub(super) fn check_alone(&self, path: &Path) -> Result<(), ConfigError> {
        let unfit = |key: &str, found: String, expected: String, fix: &str| {
            Err(ConfigError::unfit(path, format!("output.{key}"), found, expected, fix))
        };
        if !(1..=LARGEST_CHUNK).contains(&self.chunk) {
            let expected = format!("1 to {LARGEST_CHUNK}");
            return unfit("chunk", self.chunk.to_string(), expected, "the actions forward returns");
        }
        if !(1..=self.chunk).contains(&self.executed()) {
            let expected = format!("1 to {}, the chunk", self.chunk);
            return unfit("execute", self.executed().to_string(), expected, "leave it out for all");
        }
        if !(0.0..=1.0).contains(&self.blend) {
            return unfit("blend", self.blend.to_string(), "0 to 1".into(), "0 takes the newest chunk alone");
        }
        let kind = self.actions.motion();
        if kind == MotionKind::ToolPose && self.blend != 0.0 {
            let fix = "leave it out: the mean of two orientations' numbers is no orientation";
            return unfit("blend", self.blend.to_string(), "0 for poses of the tool".into(), fix);
        }
        if kind != MotionKind::PoseChange && self.units == Units::Normalized {
            let fix = "only changes of the tool's pose and twists are normalized by action bounds: give min and max, or mean \
                       and std, in [output.scaling]";
            return unfit("units", "normalized".into(), format!("si for {kind}"), fix);
        }
        if self.scaling.is_none() {
            return Ok(());
        }
        if self.units == Units::Normalized {
            let fix = "leave one of the two out";
            return unfit("scaling", "scaling beside units = \"normalized\"".into(), "units = \"si\"".into(), fix);
        }
        if self.scaling.width().is_none() {
            let lists = &self.scaling;
            let counts = [lists.mean.len(), lists.std.len(), lists.min.len(), lists.max.len()];
            let expected = "mean and std above 0, or min and max above min: two lists of one length, finite";
            let fix = "give one pair, an entry for each number of an action, the gripper's last";
            return unfit("scaling", format!("{counts:?} entries of mean, std, min, max"), expected.into(), fix);
        }
        Ok(())
    }

    /// A decision from one row of numbers. `approach` is the arm's, `bounds` and `rate_hz` are the policy's.
    pub(super) fn decision(
        &self,
        row: &[f64],
        approach: Approach,
        bounds: &ActionBounds,
        rate_hz: f64,
    ) -> Result<Decision, ActionError> {
        let wrong = || ActionError::Network(format!("an action of {} numbers", row.len()));
        let row = self.scaling.apply(row);
        let (gripper, numbers) = row.split_last().ok_or_else(wrong)?;
        let gripper = match self.units {
            Units::Si => gripper.clamp(0.0, 1.0),
            Units::Normalized => (0.5 + 0.5 * gripper).clamp(0.0, 1.0),
        };
        let joints = JointVector::from_slice(numbers);
        let motion = match self.actions {
            ActionKind::PoseChange | ActionKind::Twist => {
                let numbers: [f64; 7] = row.as_slice().try_into().map_err(|_| wrong())?;
                return Ok(Decision::plain(self.pose_change(numbers, gripper, bounds, rate_hz)));
            }
            ActionKind::ToolPose => {
                let bridge: [f64; 6] = numbers.try_into().map_err(|_| wrong())?;
                Motion::ToolPose(pose_from_bridge(bridge) * approach.tool_from_bridge_tool().inverse())
            }
            ActionKind::ToolPoseQuaternion => {
                Motion::ToolPose(pose_from_quaternion(numbers.try_into().map_err(|_| wrong())?)?)
            }
            ActionKind::JointPositions => Motion::JointPositions(joints),
            ActionKind::JointVelocities => Motion::JointVelocities(joints),
            ActionKind::JointTorques => Motion::JointTorques(AskedTorques::plain(joints)),
        };
        if !motion.is_finite() {
            return Err(ActionError::NotFinite("a scaled action"));
        }
        Ok(Decision::moving(motion, gripper))
    }

    fn pose_change(&self, numbers: [f64; 7], gripper: f64, bounds: &ActionBounds, rate_hz: f64) -> Action {
        let mut action = match self.units {
            Units::Si => Action::from_array(numbers),
            Units::Normalized => bounds.denormalize(numbers),
        };
        if self.actions == ActionKind::Twist {
            let period = 1.0 / rate_hz;
            action.translation = action.translation.map(|speed| speed * period);
            action.rotation = action.rotation.map(|speed| speed * period);
        }
        Action { gripper, ..action }
    }
}

fn pose_from_quaternion([x, y, z, qx, qy, qz, qw]: [f64; 7]) -> Result<Pose, ActionError> {
    let quaternion = Quaternion::new(qw, qx, qy, qz);
    // Written so that NaN fails it.
    if !(quaternion.norm() >= SHORTEST_QUATERNION) {
        return Err(ActionError::NotFinite("an orientation: a quaternion without length"));
    }
    Ok(Pose::from_parts([x, y, z].into(), UnitQuaternion::from_quaternion(quaternion)))
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
