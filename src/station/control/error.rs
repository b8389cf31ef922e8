//! Why a control law cannot be set up.

use visuomotor_core::kinematics::KinematicsError;

/// Why a control law cannot be set up for an arm.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ControlError {
    /// The length of a list differs from the number of joints.
    #[error(
        "control.{key} has {found} values and {robot} has {expected} joints: give one per joint, or leave the key out"
    )]
    Count {
        /// Key of the `[control]` table.
        key: &'static str,
        /// Arm name.
        robot: String,
        /// Values given.
        found: usize,
        /// Joints of the arm.
        expected: usize,
    },
    /// The description lacks what the law needs.
    #[error(transparent)]
    Dynamics(#[from] KinematicsError),
}
