//! Checks that all numbers are finite.

use visuomotor_core::action::JointCommand;
use visuomotor_core::observation::Proprioception;

/// Is every number of the command finite, and is there one per joint?
pub(super) fn command_is_finite(command: &JointCommand, joints: usize) -> bool {
    command.joints().len() == joints && command.joints().is_finite() && command.gripper().is_finite()
}

/// Is every number of the measurement finite, and is there one position per joint?
pub(super) fn measurement_is_finite(measured: &Proprioception, joints: usize) -> bool {
    measured.joint_positions.len() == joints
        && measured.joint_positions.is_finite()
        && measured.joint_velocities.is_finite()
        && measured.joint_efforts.is_finite()
        && measured.finger_position.is_finite()
        && measured.gripper.is_finite()
}
