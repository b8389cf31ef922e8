//! Actions of a policy ([`Action`], policy rate) and commands to the arm ([`JointCommand`], control rate).

mod decision;
mod motion;

use serde::{Deserialize, Serialize};

pub use self::decision::{ActionError, ActionSource, Decider, Decision, Planned, TimedAction};
pub use self::motion::{AskedTorques, Motion, MotionKind};
use crate::observation::JointVector;

/// Bridge's 7-d action: a change of the tool's target pose and an absolute gripper target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// dx, dy, dz \[m\] along the base axes.
    pub translation: [f64; 3],
    /// droll, dpitch, dyaw \[rad\] about the base axes (`R = Rz Ry Rx`), at the tool's present position.
    pub rotation: [f64; 3],
    /// Gripper target: 0 closed .. 1 open.
    pub gripper: f64,
}

impl Action {
    /// No motion, with this gripper target.
    #[inline]
    pub fn stay(gripper: f64) -> Self {
        Self { translation: [0.0; 3], rotation: [0.0; 3], gripper }
    }

    /// dx, dy, dz, droll, dpitch, dyaw, gripper.
    #[inline]
    pub fn to_array(self) -> [f64; 7] {
        let [x, y, z] = self.translation;
        let [roll, pitch, yaw] = self.rotation;
        [x, y, z, roll, pitch, yaw, self.gripper]
    }

    /// From dx, dy, dz, droll, dpitch, dyaw, gripper.
    #[inline]
    pub fn from_array(a: [f64; 7]) -> Self {
        Self { translation: [a[0], a[1], a[2]], rotation: [a[3], a[4], a[5]], gripper: a[6] }
    }

    /// Is every number finite?
    #[inline]
    pub fn is_finite(&self) -> bool {
        self.to_array().iter().all(|v| v.is_finite())
    }
}

/// Bounds of a 7-d action; actions are clipped to them, and policies are trained on values scaled by them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionBounds {
    /// Lower bounds: m, rad, gripper fraction.
    pub low: [f64; 7],
    /// Upper bounds: m, rad, gripper fraction.
    pub high: [f64; 7],
}

impl ActionBounds {
    /// Bridge/PTR/V-PTR: +-0.05 m, +-0.25 rad, gripper 0..1.
    pub const BRIDGE: ActionBounds = ActionBounds {
        low: [-0.05, -0.05, -0.05, -0.25, -0.25, -0.25, 0.0],
        high: [0.05, 0.05, 0.05, 0.25, 0.25, 0.25, 1.0],
    };

    /// The action clipped into the bounds. NaN stays NaN (`safety` refuses it).
    #[inline]
    pub fn clip(&self, action: &Action) -> Action {
        let mut a = action.to_array();
        for (v, (low, high)) in a.iter_mut().zip(self.low.iter().zip(&self.high)) {
            // `f64::clamp` keeps NaN.
            *v = v.clamp(*low, *high);
        }
        Action::from_array(a)
    }

    /// Linear map of the bounds to \[-1, 1\].
    #[inline]
    pub fn normalize(&self, action: &Action) -> [f64; 7] {
        let a = action.to_array();
        std::array::from_fn(|i| 2.0 * (a[i] - self.low[i]) / (self.high[i] - self.low[i]) - 1.0)
    }

    /// Inverse of [`ActionBounds::normalize`].
    #[inline]
    pub fn denormalize(&self, normalized: [f64; 7]) -> Action {
        Action::from_array(std::array::from_fn(|i| {
            self.low[i] + (normalized[i] + 1.0) * 0.5 * (self.high[i] - self.low[i])
        }))
    }
}

/// Meaning of the numbers of a [`JointCommand`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlMode {
    /// Joint positions to go to \[rad\].
    #[default]
    Position,
    /// Joint velocities to keep \[rad/s\]; an arm that gets no further commands must stop.
    Velocity,
    /// Joint torques to apply on top of gravity compensation \[Nm\]: zero torque lets the arm float. A driver whose arm does
    /// not compensate gravity itself adds the compensation.
    Torque,
}

impl std::fmt::Display for ControlMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ControlMode::Position => "position",
            ControlMode::Velocity => "velocity",
            ControlMode::Torque => "torque",
        })
    }
}

/// Command to the arm at control rate, after the safety filter: one number per joint in chain order, and a gripper
/// target (0 closed .. 1 open).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum JointCommand {
    /// Go to these positions, as [`ControlMode::Position`].
    Position {
        /// Joint positions \[rad\].
        joints: JointVector,
        /// Gripper target: 0 closed .. 1 open.
        gripper: f64,
    },
    /// Keep these velocities, as [`ControlMode::Velocity`].
    Velocity {
        /// Joint velocities \[rad/s\].
        joints: JointVector,
        /// Gripper target: 0 closed .. 1 open.
        gripper: f64,
    },
    /// Apply these torques, as [`ControlMode::Torque`].
    Torque {
        /// Joint torques on top of gravity compensation \[Nm\].
        joints: JointVector,
        /// Gripper target: 0 closed .. 1 open.
        gripper: f64,
    },
}

impl JointCommand {
    /// Positions to go to \[rad\].
    #[inline]
    pub fn position(joints: JointVector, gripper: f64) -> Self {
        Self::Position { joints, gripper }
    }

    /// Velocities to keep \[rad/s\].
    #[inline]
    pub fn velocity(joints: JointVector, gripper: f64) -> Self {
        Self::Velocity { joints, gripper }
    }

    /// Torques to apply on top of gravity compensation \[Nm\].
    #[inline]
    pub fn torque(joints: JointVector, gripper: f64) -> Self {
        Self::Torque { joints, gripper }
    }

    /// A command of this mode; `joints` are in its unit.
    #[inline]
    pub fn of(mode: ControlMode, joints: JointVector, gripper: f64) -> Self {
        match mode {
            ControlMode::Position => Self::Position { joints, gripper },
            ControlMode::Velocity => Self::Velocity { joints, gripper },
            ControlMode::Torque => Self::Torque { joints, gripper },
        }
    }

    /// Meaning of [`JointCommand::joints`].
    #[inline]
    pub fn mode(&self) -> ControlMode {
        match self {
            Self::Position { .. } => ControlMode::Position,
            Self::Velocity { .. } => ControlMode::Velocity,
            Self::Torque { .. } => ControlMode::Torque,
        }
    }

    /// One number per joint in chain order: rad, rad/s or Nm, by [`JointCommand::mode`].
    #[inline]
    pub fn joints(&self) -> JointVector {
        match *self {
            Self::Position { joints, .. } | Self::Velocity { joints, .. } | Self::Torque { joints, .. } => joints,
        }
    }

    /// Gripper target: 0 closed .. 1 open.
    #[inline]
    pub fn gripper(&self) -> f64 {
        match *self {
            Self::Position { gripper, .. } | Self::Velocity { gripper, .. } | Self::Torque { gripper, .. } => gripper,
        }
    }

    /// The same command with other numbers for the joints, in the same unit.
    #[inline]
    pub fn with_joints(self, joints: JointVector) -> Self {
        Self::of(self.mode(), joints, self.gripper())
    }

    /// The same command with another gripper target.
    #[inline]
    pub fn with_gripper(self, gripper: f64) -> Self {
        Self::of(self.mode(), self.joints(), gripper)
    }

    /// The numbers of the joints, mutable.
    #[inline]
    pub fn joints_mut(&mut self) -> &mut JointVector {
        match self {
            Self::Position { joints, .. } | Self::Velocity { joints, .. } | Self::Torque { joints, .. } => joints,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn normalize_round_trips(values in proptest::array::uniform7(-1.0..1.0f64)) {
            let bounds = ActionBounds::BRIDGE;
            let back = bounds.normalize(&bounds.denormalize(values));
            for (a, b) in back.iter().zip(values) {
                prop_assert!((a - b).abs() < 1e-12);
            }
        }

        #[test]
        fn clipped_actions_are_within_bounds(values in proptest::array::uniform7(-10.0..10.0f64)) {
            let bounds = ActionBounds::BRIDGE;
            let clipped = bounds.clip(&Action::from_array(values)).to_array();
            for (value, (low, high)) in clipped.iter().zip(bounds.low.iter().zip(&bounds.high)) {
                prop_assert!(value >= low && value <= high);
            }
        }
    }

    #[test]
    fn a_command_keeps_its_mode_and_its_written_form() {
        let joints = JointVector::from_slice(&[0.5, -1.0]);
        for (mode, name) in
            [(ControlMode::Position, "position"), (ControlMode::Velocity, "velocity"), (ControlMode::Torque, "torque")]
        {
            let command = JointCommand::of(mode, joints, 0.25);
            assert_eq!((command.mode(), command.joints(), command.gripper()), (mode, joints, 0.25));
            let other = command.with_joints(JointVector::zeros(2)).with_gripper(1.0);
            assert_eq!(other, JointCommand::of(mode, JointVector::zeros(2), 1.0));
            let text = serde_json::to_string(&command).unwrap();
            assert_eq!(text, format!(r#"{{"mode":"{name}","joints":[0.5,-1.0],"gripper":0.25}}"#));
            assert_eq!(serde_json::from_str::<JointCommand>(&text).unwrap(), command);
        }
    }

    #[test]
    fn clipping_does_not_hide_nan() {
        let clipped = ActionBounds::BRIDGE.clip(&Action::from_array([f64::NAN; 7]));
        assert!(!clipped.is_finite());
    }
}
