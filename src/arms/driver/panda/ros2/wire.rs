//! The Panda's ROS 2 names and messages, pure: ros2_control's forward controllers, franka_ros2's state and gripper.

use crate::driver::FaultCode;
use crate::transport::ros2::messages::franka::{Errors, FrankaRobotState};
use crate::transport::ros2::messages::std::Float64MultiArray;
use visuomotor_core::action::ControlMode;
use visuomotor_core::observation::JointVector;

/// The modes with a controller.
pub const MODES: [ControlMode; 3] = [ControlMode::Position, ControlMode::Velocity, ControlMode::Torque];

/// Joint states as franka_ros2's launch file names them: its joint_state_broadcaster is remapped, and plain `/joint_states`
/// is a copy at a lower rate. Relative to the namespace; remap it for stacks that do not.
pub const JOINT_STATES: &str = "franka/joint_states";
/// The robot's mode and errors.
pub const ROBOT_STATE: &str = "franka_robot_state_broadcaster/robot_state";
/// Clears reflexes.
pub const ERROR_RECOVERY: &str = "action_server/error_recovery";
/// Lists controllers.
pub const LIST_CONTROLLERS: &str = "controller_manager/list_controllers";
/// Starts and stops controllers.
pub const SWITCH_CONTROLLER: &str = "controller_manager/switch_controller";
/// Moves the gripper's fingers to a width.
pub const GRIPPER_MOVE: &str = "franka_gripper/move";
/// The gripper's joints.
pub const GRIPPER_STATES: &str = "franka_gripper/joint_states";

/// Name of a mode's forward controller.
pub fn controller(mode: ControlMode) -> &'static str {
    match mode {
        ControlMode::Position => "forward_position_controller",
        ControlMode::Velocity => "forward_velocity_controller",
        ControlMode::Torque => "forward_effort_controller",
    }
}

/// The command interface its controller claims of each joint.
pub fn interface(mode: ControlMode) -> &'static str {
    match mode {
        ControlMode::Position => "position",
        ControlMode::Velocity => "velocity",
        ControlMode::Torque => "effort",
    }
}

/// Topic of a mode's commands.
pub fn commands(mode: ControlMode) -> String {
    format!("{}/commands", controller(mode))
}

/// Command interfaces of all joints, in the order in which the controller takes numbers.
pub fn interfaces(mode: ControlMode, names: &[String]) -> Vec<String> {
    names.iter().map(|name| format!("{name}/{}", interface(mode))).collect()
}

/// A command.
pub fn command(values: &JointVector) -> Float64MultiArray {
    Float64MultiArray { data: values.to_vec(), ..Default::default() }
}

/// A command's values; `None` when it has another size, which a forward controller silently ignores.
pub fn requested(message: &Float64MultiArray, joints: usize) -> Option<JointVector> {
    (message.data.len() == joints).then(|| JointVector::from_slice(&message.data))
}

/// Why the robot may not be moved: its mode in the second byte, its first error counted from 1 in the first.
pub fn fault(state: &FrankaRobotState) -> Option<FaultCode> {
    let error = state.current_errors.flags().position(|set| set).map_or(0, |index| index as u32 + 1);
    let stopped = matches!(
        state.robot_mode,
        FrankaRobotState::MODE_REFLEX
            | FrankaRobotState::MODE_USER_STOPPED
            | FrankaRobotState::MODE_GUIDING
            | FrankaRobotState::MODE_RECOVERY
    );
    (error != 0 || stopped).then_some(FaultCode(u32::from(state.robot_mode) << 8 | error))
}

/// Fault of a robot whose state is not received.
pub const UNKNOWN: FaultCode = FaultCode(0xff00);

/// Text of a fault, for the operator.
pub fn fault_text(code: FaultCode) -> String {
    if code == UNKNOWN {
        return format!("nothing is heard on {ROBOT_STATE}: is its broadcaster active?");
    }
    let mode = match (code.0 >> 8) as u8 {
        FrankaRobotState::MODE_REFLEX => "the robot stopped itself (reflex): recover it",
        FrankaRobotState::MODE_USER_STOPPED => "the stop button is pressed: turn it out, then recover",
        FrankaRobotState::MODE_GUIDING => "an operator guides the robot by hand",
        FrankaRobotState::MODE_RECOVERY => "the robot is recovering",
        _ => "the robot reports an error",
    };
    match (code.0 & 0xff).checked_sub(1).and_then(|index| Errors::NAMES.get(index as usize)) {
        Some(name) => format!("{mode} ({name})"),
        None => mode.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_of_another_size_asks_nothing() {
        let seven = JointVector::from_slice(&[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]);
        assert_eq!(requested(&command(&seven), 7), Some(seven));
        assert_eq!(requested(&command(&JointVector::zeros(6)), 7), None);
    }

    #[test]
    fn faults_are_named_as_their_maker_does() {
        let mut state = FrankaRobotState { robot_mode: FrankaRobotState::MODE_IDLE, ..Default::default() };
        assert_eq!(fault(&state), None);
        state.robot_mode = FrankaRobotState::MODE_REFLEX;
        state.current_errors.joint_motion_generator_velocity_discontinuity = true;
        let text = fault_text(fault(&state).unwrap());
        assert!(text.contains("joint_motion_generator_velocity_discontinuity") && text.contains("reflex"), "{text}");
    }

    #[test]
    fn interfaces_are_in_the_order_of_the_joints() {
        let names = ["panda_joint1".to_string(), "panda_joint2".to_string()];
        assert_eq!(interfaces(ControlMode::Torque, &names), ["panda_joint1/effort", "panda_joint2/effort"]);
    }
}
