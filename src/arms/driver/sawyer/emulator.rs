//! Intera's controller over a [`Plant`]: enabling, the stop button, command time-outs, the gripper's JSON.
//!
//! As the maker's SDK and simulator do: velocity and torque commands expire after `joint_command_timeout` (0.2 s unless set,
//! clamped to 0 .. 1 s) and the arm then holds its position; position and trajectory commands never expire. While stopped or
//! disabled the arm is held by its brakes and commands are dropped. Torques are on top of gravity compensation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::wire;
use crate::driver::ros2::{CommandLog, Controller, Emulation, Received};
use crate::driver::{Drive, Order, Orders, Plant};
use crate::transport::ros2::messages::geometry::{Point, Pose, Quaternion};
use crate::transport::ros2::messages::intera::{
    EndpointState, IOComponentCommand, IODeviceStatus, JointCommand, RobotAssemblyState,
};
use crate::transport::ros2::messages::sensor::JointState;
use crate::transport::ros2::messages::std::{Bool, Empty, Float64, Header};
use crate::transport::ros2::{Qos, RosError, RosNode, RosPublisher, RosSubscriber};
use visuomotor_core::action::ControlMode;
use visuomotor_core::config::Robot;
use visuomotor_core::kinematics::Chain;
use visuomotor_core::observation::JointVector;
use visuomotor_core::time::{Clock, Timestamp};

/// An emulated Sawyer; ends when dropped.
pub struct SawyerEmulator {
    log: CommandLog,
    button: Arc<AtomicBool>,
    enabled: Arc<AtomicBool>,
    muted: Arc<AtomicBool>,
    orders: Orders,
    _emulation: Emulation,
}

/// Starts an emulated Sawyer on this node.
pub fn start(
    node: &RosNode,
    robot: &Robot,
    plant: Box<dyn Plant>,
    clock: Arc<dyn Clock>,
) -> Result<SawyerEmulator, RosError> {
    let flag = || Arc::new(AtomicBool::new(false));
    let (log, button, enabled, muted) = (CommandLog::default(), flag(), flag(), flag());
    let orders = Orders::default();
    let controller = Intera {
        names: robot.joint_names(),
        chain: Chain::from_robot(robot).map_err(|error| RosError::Create {
            what: "emulated sawyer".into(),
            cause: error.to_string(),
            fix: "correct its description".into(),
        })?,
        stroke: robot.gripper.finger_open - robot.gripper.finger_closed,
        plant,
        commands: node.subscriber(wire::COMMAND, Qos::Command)?,
        timeouts: node.subscriber(wire::TIMEOUT, Qos::Command)?,
        speeds: node.subscriber(wire::SPEED_RATIO, Qos::Command)?,
        enables: node.subscriber(wire::ENABLE, Qos::Command)?,
        resets: node.subscriber(wire::RESET, Qos::Command)?,
        stops: node.subscriber(wire::STOP, Qos::Command)?,
        fingers: node.subscriber(wire::GRIPPER_COMMAND, Qos::Command)?,
        joints: node.publisher(wire::JOINT_STATES, Qos::State)?,
        endpoint: node.publisher(wire::ENDPOINT, Qos::State)?,
        assembly: node.publisher(wire::ASSEMBLY, Qos::State)?,
        gripper: node.publisher(wire::GRIPPER_STATE, Qos::State)?,
        log: log.clone(),
        button: Arc::clone(&button),
        enabled_published: Arc::clone(&enabled),
        muted: Arc::clone(&muted),
        orders: orders.clone(),
        state: RobotAssemblyState { homed: true, ready: true, ..Default::default() },
        following: None,
        held: None,
        timeout: Duration::from_millis(200),
        turn: 0,
    };
    let emulation = Emulation::run("sawyer-emulator", controller, clock)?;
    Ok(SawyerEmulator { log, button, enabled, muted, orders, _emulation: emulation })
}

impl SawyerEmulator {
    /// The commands it received.
    pub fn log(&self) -> &CommandLog {
        &self.log
    }

    /// The orders it received.
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Presses or releases the stop button.
    pub fn press_stop(&self, pressed: bool) {
        self.button.store(pressed, Ordering::Release);
    }

    /// Stops or resumes publishing states: they are lost on their way while commands still arrive.
    pub fn mute(&self, muted: bool) {
        self.muted.store(muted, Ordering::Release);
    }

    /// Are the motors on?
    pub fn enabled(&self) -> bool {
        self.enabled.load(Ordering::Acquire)
    }
}

struct Intera {
    names: Vec<String>,
    chain: Chain,
    stroke: f64,
    plant: Box<dyn Plant>,
    commands: RosSubscriber<JointCommand>,
    timeouts: RosSubscriber<Float64>,
    speeds: RosSubscriber<Float64>,
    enables: RosSubscriber<Bool>,
    resets: RosSubscriber<Empty>,
    stops: RosSubscriber<Empty>,
    fingers: RosSubscriber<IOComponentCommand>,
    joints: RosPublisher<JointState>,
    endpoint: RosPublisher<EndpointState>,
    assembly: RosPublisher<RobotAssemblyState>,
    gripper: RosPublisher<IODeviceStatus>,
    log: CommandLog,
    button: Arc<AtomicBool>,
    enabled_published: Arc<AtomicBool>,
    muted: Arc<AtomicBool>,
    orders: Orders,
    state: RobotAssemblyState,
    /// Mode and time of the last command.
    following: Option<(ControlMode, Timestamp)>,
    /// Position held while no command is executed.
    held: Option<JointVector>,
    timeout: Duration,
    turn: u64,
}

impl Intera {
    fn assembly_turn(&mut self) {
        let state = &mut self.state;
        if self.button.load(Ordering::Acquire) {
            state.estop_button = RobotAssemblyState::BUTTON_PRESSED;
            state.estop_source = RobotAssemblyState::SOURCE_USER;
            (state.stopped, state.enabled) = (true, false);
        } else if state.estop_button == RobotAssemblyState::BUTTON_PRESSED {
            state.estop_button = RobotAssemblyState::BUTTON_RELEASED;
        }
        if matches!(self.stops.newest(), Ok(Some(_))) {
            self.orders.note(Order::Torque);
            (state.stopped, state.enabled) = (true, false);
        }
        let reset = matches!(self.resets.newest(), Ok(Some(_)));
        if reset {
            self.orders.note(Order::Recovery);
        }
        if reset && state.estop_button != RobotAssemblyState::BUTTON_PRESSED {
            state.estop_button = RobotAssemblyState::BUTTON_UNPRESSED;
            state.estop_source = RobotAssemblyState::SOURCE_NONE;
            (state.stopped, state.error, state.enabled) = (false, false, false);
        }
        if let Ok(Some(Bool { data })) = self.enables.newest() {
            self.orders.note(Order::Torque);
            state.enabled = data && !state.stopped && !state.error;
        }
        if !state.enabled {
            self.following = None;
        }
        self.enabled_published.store(state.enabled, Ordering::Release);
    }

    fn command_turn(&mut self, now: Timestamp) {
        if let Ok(Some(Float64 { data })) = self.timeouts.newest()
            && data.is_finite()
        {
            self.orders.note(Order::Setting);
            self.timeout = Duration::from_secs_f64(data.clamp(0.0, super::limits::LONGEST_TIMEOUT));
        }
        // Position mode's speed is the plant's own here.
        if matches!(self.speeds.newest(), Ok(Some(_))) {
            self.orders.note(Order::Setting);
        }
        while let Ok(Some(message)) = self.commands.take() {
            self.orders.note(Order::Motion);
            let Some((mode, joints)) = wire::requested(&message, &self.names) else { continue };
            self.log.push(Received { at: now, mode, joints });
            if !self.state.enabled {
                continue;
            }
            self.following = Some((mode, now));
            self.held = None;
            self.plant.drive(match mode {
                ControlMode::Position => Drive::Position(joints),
                ControlMode::Velocity => Drive::Velocity(joints),
                ControlMode::Torque => Drive::Floating(joints),
            });
        }
        if let Some((mode, at)) = self.following
            && mode != ControlMode::Position
            && now.since(at) > self.timeout
        {
            self.following = None;
        }
        if self.following.is_none() && self.held.is_none() {
            let at = self.plant.sense().joint_positions;
            self.held = Some(at);
            self.plant.drive(Drive::Position(at));
        }
        if let Ok(Some(command)) = self.fingers.newest()
            && let Some(opening) = wire::requested_gripper(&command)
        {
            self.orders.note(Order::Gripper);
            self.plant.drive_gripper((0.5 * opening / self.stroke).clamp(0.0, 1.0));
        }
    }

    fn publish(&mut self, now: Timestamp) {
        let sensed = self.plant.sense();
        let header = Header { stamp: now.into(), frame_id: String::new() };
        // The head's joint comes first, as on the arm: a reader that counts instead of matching names is wrong.
        let list =
            |first: f64, joints: &JointVector| [first].iter().chain(joints.iter()).copied().collect::<Vec<f64>>();
        let name = std::iter::once("head_pan".to_string()).chain(self.names.iter().cloned()).collect();
        let joints = JointState {
            header: header.clone(),
            name,
            position: list(0.0, &sensed.joint_positions),
            velocity: list(0.0, &sensed.joint_velocities),
            effort: list(0.0, &sensed.joint_efforts),
        };
        let tool = self.chain.forward(&sensed.joint_positions);
        let (p, q) = (tool.translation.vector, tool.rotation.into_inner());
        let pose = Pose {
            position: Point { x: p.x, y: p.y, z: p.z },
            orientation: Quaternion { x: q.i, y: q.j, z: q.k, w: q.w },
        };
        let results = [
            self.joints.publish(joints),
            self.assembly.publish(self.state),
            self.endpoint.publish(EndpointState { header, pose, valid: true, ..Default::default() }),
            self.gripper.publish(wire::gripper_status(now.into(), 2.0 * sensed.gripper * self.stroke)),
        ];
        for error in results.into_iter().filter_map(Result::err) {
            tracing::debug!("emulated sawyer: {error}");
        }
    }
}

impl Controller for Intera {
    const PERIOD: Duration = Duration::from_millis(2);

    fn turn(&mut self, now: Timestamp) {
        self.assembly_turn();
        self.command_turn(now);
        self.plant.advance_to(now);
        // Joint states at 100 Hz.
        if self.turn.is_multiple_of(5) && !self.muted.load(Ordering::Acquire) {
            self.publish(now);
        }
        self.turn += 1;
    }
}
