//! Sawyer's messages, pure: commands of each mode, the assembly state as a fault, the gripper's JSON.

use serde_json::{Value, json};

use crate::driver::FaultCode;
use crate::transport::ros2::messages::builtin::Time;
use crate::transport::ros2::messages::intera::{
    IOComponentCommand, IODataStatus, IODeviceStatus, JointCommand, RobotAssemblyState,
};
use visuomotor_core::action::ControlMode;
use visuomotor_core::observation::JointVector;

/// Topic of commands.
pub const COMMAND: &str = "/robot/limb/right/joint_command";
/// Topic of the time after which velocity and torque commands expire.
pub const TIMEOUT: &str = "/robot/limb/right/joint_command_timeout";
/// Topic of the position mode's speed.
pub const SPEED_RATIO: &str = "/robot/limb/right/set_speed_ratio";
/// Topic of joint states, the head's among them.
pub const JOINT_STATES: &str = "/robot/joint_states";
/// Topic of the tool's pose, velocity and wrench.
pub const ENDPOINT: &str = "/robot/limb/right/endpoint_state";
/// Topic of the assembly state.
pub const ASSEMBLY: &str = "/robot/state";
/// Topic that enables and disables.
pub const ENABLE: &str = "/robot/set_super_enable";
/// Topic that resets after a stop.
pub const RESET: &str = "/robot/set_super_reset";
/// Topic that stops like the button does.
pub const STOP: &str = "/robot/set_super_stop";
/// Topic of the gripper's state.
pub const GRIPPER_STATE: &str = "/io/end_effector/right_gripper/state";
/// Topic of the gripper's commands.
pub const GRIPPER_COMMAND: &str = "/io/end_effector/right_gripper/command";

/// Bits of a [`FaultCode`].
pub mod fault {
    /// The stop button is in.
    pub const BUTTON_PRESSED: u32 = 1;
    /// The stop button was released, and nothing was reset yet.
    pub const BUTTON_RELEASED: u32 = 1 << 1;
    /// The arm is stopped.
    pub const STOPPED: u32 = 1 << 2;
    /// The arm has a fault.
    pub const ERROR: u32 = 1 << 3;
    /// The supply is too low.
    pub const LOW_VOLTAGE: u32 = 1 << 4;
    /// A joint is not homed.
    pub const NOT_HOMED: u32 = 1 << 5;
    /// The motors are off.
    pub const NOT_ENABLED: u32 = 1 << 6;
    /// The assembly state is too old.
    pub const UNKNOWN: u32 = 1 << 7;

    /// Bits and their texts for the operator.
    pub const TEXTS: [(u32, &str); 8] = [
        (BUTTON_PRESSED, "the emergency stop is pressed: clear the danger and turn it out"),
        (BUTTON_RELEASED, "the emergency stop was let out: the arm waits for a reset"),
        (STOPPED, "the arm is stopped: it waits for a reset"),
        (ERROR, "the arm reports an error: see its log"),
        (LOW_VOLTAGE, "the supply voltage is too low"),
        (NOT_HOMED, "a joint is not homed: home the arm"),
        (NOT_ENABLED, "the motors are off"),
        (UNKNOWN, "nothing is heard on /robot/state: does the bridge carry it?"),
    ];
}

/// Why the arm may not be moved; `None` when it may. Motors that are off count as a fault only once they were requested on.
pub fn assembly_fault(state: &RobotAssemblyState, wanted: bool) -> Option<FaultCode> {
    let bits = [
        (state.estop_button == RobotAssemblyState::BUTTON_PRESSED, fault::BUTTON_PRESSED),
        (state.estop_button == RobotAssemblyState::BUTTON_RELEASED, fault::BUTTON_RELEASED),
        (state.stopped, fault::STOPPED),
        (state.error, fault::ERROR),
        (state.low_voltage, fault::LOW_VOLTAGE),
        (!state.homed, fault::NOT_HOMED),
        (wanted && !state.enabled, fault::NOT_ENABLED),
    ];
    let code = bits.into_iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum();
    (code != 0).then_some(FaultCode(code))
}

/// Text of a fault, for the operator.
pub fn fault_text(code: FaultCode) -> String {
    let told: Vec<_> = fault::TEXTS.iter().filter(|(bit, _)| code.0 & bit != 0).map(|(_, text)| *text).collect();
    if told.is_empty() { format!("code {}", code.0) } else { told.join("; ") }
}

/// How positions are streamed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PositionFeed {
    /// Intera's position mode: the controller filters, limits speed by its ratio and avoids collisions with itself. It has no
    /// time-out: the arm goes to the last position and stays.
    #[default]
    Filtered,
    /// Intera's trajectory mode: position with velocity and acceleration, raw. Tighter, and without collision avoidance.
    Raw,
}

/// A command: rad, rad/s or Nm by mode; `slope` is the change per second, which the raw feed sends along.
pub fn command(
    mode: ControlMode,
    feed: PositionFeed,
    names: &[String],
    values: &JointVector,
    slope: &JointVector,
) -> JointCommand {
    let values = values.to_vec();
    let empty = JointCommand { names: names.to_vec(), ..Default::default() };
    match (mode, feed) {
        (ControlMode::Position, PositionFeed::Filtered) => {
            JointCommand { mode: JointCommand::POSITION_MODE, position: values, ..empty }
        }
        (ControlMode::Position, PositionFeed::Raw) => JointCommand {
            mode: JointCommand::TRAJECTORY_MODE,
            position: values,
            velocity: slope.to_vec(),
            acceleration: vec![0.0; names.len()],
            ..empty
        },
        (ControlMode::Velocity, _) => JointCommand { mode: JointCommand::VELOCITY_MODE, velocity: values, ..empty },
        (ControlMode::Torque, _) => JointCommand { mode: JointCommand::TORQUE_MODE, effort: values, ..empty },
    }
}

/// A command's mode and its numbers, in the order of `names`; `None` when it is malformed.
pub fn requested(command: &JointCommand, names: &[String]) -> Option<(ControlMode, JointVector)> {
    let (mode, list) = match command.mode {
        JointCommand::POSITION_MODE | JointCommand::TRAJECTORY_MODE => (ControlMode::Position, &command.position),
        JointCommand::VELOCITY_MODE => (ControlMode::Velocity, &command.velocity),
        JointCommand::TORQUE_MODE => (ControlMode::Torque, &command.effort),
        _ => return None,
    };
    if list.len() != command.names.len() {
        return None;
    }
    let mut values = JointVector::zeros(names.len());
    for (to, name) in values.iter_mut().zip(names) {
        *to = *list.get(command.names.iter().position(|other| other == name)?)?;
    }
    values.is_finite().then_some((mode, values))
}

/// Signal of the gripper's opening between the fingers \[m\].
const OPENING: &str = "position_m";

/// Sets the gripper's opening between the fingers \[m\]. `time` distinguishes commands.
pub fn gripper_command(time: Time, opening: f64) -> IOComponentCommand {
    let signal = json!({ "format": { "type": "float" }, "data": [opening] });
    let args = json!({ "signals": { OPENING: signal } });
    IOComponentCommand { time, op: "set".into(), args: args.to_string() }
}

/// The opening that a command sets \[m\].
pub fn requested_gripper(command: &IOComponentCommand) -> Option<f64> {
    if command.op != "set" {
        return None;
    }
    let args: Value = serde_json::from_str(&command.args).ok()?;
    args["signals"][OPENING]["data"][0].as_f64().filter(|opening| opening.is_finite())
}

/// The gripper's state, as its node reports it.
pub fn gripper_status(time: Time, opening: f64) -> IODeviceStatus {
    let format = json!({ "type": "float", "role": "output", "dimensions": [1] }).to_string();
    let signal =
        IODataStatus { name: OPENING.into(), format, data: json!([opening]).to_string(), ..Default::default() };
    IODeviceStatus { time, signals: vec![signal], ..Default::default() }
}

/// The opening between the fingers \[m\].
pub fn gripper_opening(status: &IODeviceStatus) -> Option<f64> {
    let signal = status.signals.iter().find(|signal| signal.name == OPENING)?;
    let data: Value = serde_json::from_str(&signal.data).ok()?;
    data[0].as_f64().filter(|opening| opening.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        (0..7).map(|joint| format!("right_j{joint}")).collect()
    }

    #[test]
    fn a_command_is_read_back_in_any_order_of_names() {
        let values = JointVector::from_slice(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]);
        for mode in [ControlMode::Position, ControlMode::Velocity, ControlMode::Torque] {
            for feed in [PositionFeed::Filtered, PositionFeed::Raw] {
                let mut message = command(mode, feed, &names(), &values, &values);
                assert_eq!(requested(&message, &names()), Some((mode, values)));
                message.names.reverse();
                for list in [&mut message.position, &mut message.velocity, &mut message.effort] {
                    list.reverse();
                }
                assert_eq!(requested(&message, &names()), Some((mode, values)));
            }
        }
    }

    #[test]
    fn a_malformed_command_asks_nothing() {
        let values = JointVector::zeros(7);
        let good = command(ControlMode::Velocity, PositionFeed::Filtered, &names(), &values, &values);
        assert_eq!(requested(&JointCommand { mode: 9, ..good.clone() }, &names()), None);
        assert_eq!(requested(&JointCommand { velocity: vec![0.0; 6], ..good.clone() }, &names()), None);
        assert_eq!(requested(&JointCommand { velocity: vec![f64::NAN; 7], ..good.clone() }, &names()), None);
        assert_eq!(requested(&JointCommand { names: vec!["left_j0".into(); 7], ..good }, &names()), None);
    }

    #[test]
    fn the_grippers_json_goes_there_and_back_and_rubbish_is_nothing() {
        let command = gripper_command(Time::default(), 0.03);
        assert_eq!(command.args, r#"{"signals":{"position_m":{"data":[0.03],"format":{"type":"float"}}}}"#);
        assert_eq!(requested_gripper(&command), Some(0.03));
        assert_eq!(gripper_opening(&gripper_status(Time::default(), 0.02)), Some(0.02));
        for args in ["", "{", "[]", r#"{"signals":3}"#, r#"{"signals":{"position_m":{"data":["far"]}}}"#] {
            assert_eq!(requested_gripper(&IOComponentCommand { args: args.into(), ..command.clone() }), None, "{args}");
        }
    }

    #[test]
    fn faults_are_told_in_words() {
        let fine = RobotAssemblyState { homed: true, ready: true, enabled: true, ..Default::default() };
        assert_eq!(assembly_fault(&fine, true), None);
        let off = RobotAssemblyState { enabled: false, ..fine };
        assert_eq!(assembly_fault(&off, false), None);
        assert_eq!(assembly_fault(&off, true), Some(FaultCode(fault::NOT_ENABLED)));
        let pressed = RobotAssemblyState { stopped: true, estop_button: 1, ..off };
        let code = assembly_fault(&pressed, false).unwrap();
        assert!(fault_text(code).contains("emergency stop is pressed"), "{}", fault_text(code));
    }
}
