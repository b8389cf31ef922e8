//! `[gripper]` of a robot description: fingers on slides (m, N) or hinges (rad, Nm), handled alike.
//!
//! The position of a gripper is that of its first finger; actions and commands use 0 .. 1 of its usable travel.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Type of the finger joints, which sets the units of all finger numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FingerJoint {
    /// A slide: m, m/s, N.
    #[default]
    Slide,
    /// A hinge: rad, rad/s, Nm.
    Hinge,
}

/// A gripper whose fingers move together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gripper {
    /// Type of the finger joints.
    #[serde(default)]
    pub finger_joint: FingerJoint,
    /// Finger position that counts as gripper 0 \[m from center\] or \[rad\].
    pub finger_closed: f64,
    /// Finger position that counts as gripper 1 \[m from center\] or \[rad\]; less than `finger_closed` where fingers close
    /// by growing angles.
    pub finger_open: f64,
    /// Finger's lower stop \[m from center\] or \[rad\].
    pub finger_min: f64,
    /// Finger's upper stop \[m from center\] or \[rad\].
    pub finger_max: f64,
    /// Fastest finger motion \[m/s\] or \[rad/s\].
    pub finger_velocity: f64,
    /// Largest force \[N\] or torque \[Nm\] of one finger.
    pub finger_force: f64,
    /// Simulated finger servo stiffness \[N/m\] or \[Nm/rad\].
    pub finger_stiffness: f64,
    /// Simulated finger servo damping \[N s/m\] or \[Nm s/rad\].
    pub finger_damping: f64,
    /// Simulated finger servo's reflected mass \[kg\] or inertia \[kg m2\].
    pub finger_armature: f64,
    /// Sliding friction coefficient of the pads.
    pub pad_friction: f64,
    /// The fingers; the first one is measured.
    pub finger: Vec<Finger>,
}

impl Gripper {
    /// Finger position \[m\] or \[rad\] for a gripper fraction (0 closed .. 1 open).
    pub fn finger_from_fraction(&self, fraction: f64) -> f64 {
        self.finger_closed + fraction * (self.finger_open - self.finger_closed)
    }

    /// Gripper fraction for a finger position \[m\] or \[rad\].
    pub fn fraction_from_finger(&self, finger: f64) -> f64 {
        (finger - self.finger_closed) / (self.finger_open - self.finger_closed)
    }

    pub(super) fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let unfit = |key: &str, found: f64, expected: &str, fix: &str| {
            Err(ConfigError::unfit(path, format!("gripper.{key}"), found, expected, fix))
        };
        if self.finger.is_empty() {
            return unfit("finger", 0.0, "at least one finger", "list each finger once");
        }
        if !((self.finger_open - self.finger_closed).abs() > 0.0) {
            return unfit("finger_open", self.finger_open, "another position than finger_closed", "give both ends");
        }
        if !(self.finger_min < self.finger_max) {
            return unfit("finger_min", self.finger_min, "less than finger_max", "swap them");
        }
        for (key, value) in [
            ("finger_velocity", self.finger_velocity),
            ("finger_force", self.finger_force),
            ("finger_stiffness", self.finger_stiffness),
            ("finger_damping", self.finger_damping),
            ("finger_armature", self.finger_armature),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return unfit(key, value, "more than 0", "give the gripper's own figure");
            }
        }
        Ok(())
    }
}

/// One finger on its slide or hinge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finger {
    /// Joint name.
    pub name: String,
    /// Link the slide or hinge is fixed to.
    pub parent: String,
    /// Finger frame's origin in that link at position 0 \[m\].
    pub xyz: [f64; 3],
    /// Finger frame's orientation in that link at position 0, fixed axes x, y, z \[rad\].
    #[serde(default)]
    pub rpy: [f64; 3],
    /// Direction of motion, or axis of turning, in the finger's frame.
    pub axis: [f64; 3],
    /// The finger's own link.
    pub link: String,
}
