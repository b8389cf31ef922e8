//! A ros2_control stack with franka_ros2's names over a [`Plant`].
//!
//! As the controllers do: a forward controller takes an array of the right size, silently ignores any other and holds the last
//! forever; starting or stopping one clears it. On a command that is not finite or jumps, the robot stops itself and its
//! controllers become inactive; only the recovery action reactivates it. Torques are on top of gravity compensation. Joint states
//! come at 500 Hz and the robot's state, of which only mode and errors are filled, at 50 Hz.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::driver::panda::limits::MakerLimits;
use crate::driver::panda::ros2::wire;
use crate::driver::ros2::{CommandLog, Controller, Emulation, Received};
use crate::driver::{Drive, Order, Orders, Plant};
use crate::transport::ros2::messages::controller_manager::{
    ControllerState, ListControllers, ListControllersResponse, SwitchController, SwitchControllerResponse,
};
use crate::transport::ros2::messages::franka::{ErrorRecovery, FrankaRobotState, Move, Outcome};
use crate::transport::ros2::messages::sensor::JointState;
use crate::transport::ros2::messages::std::{Empty, Float64MultiArray};
use crate::transport::ros2::{ActionEnd, Qos, RosError, RosNode, RosPublisher, RosServer, RosSubscriber};
use visuomotor_core::action::ControlMode;
use visuomotor_core::config::{Gripper, Robot};
use visuomotor_core::observation::JointVector;
use visuomotor_core::time::{Clock, Timestamp};

/// An emulated stack; ends when dropped.
pub struct PandaEmulator {
    log: CommandLog,
    orders: Orders,
    shared: Arc<Mutex<Shared>>,
    _emulation: Emulation,
    _servers: Vec<RosServer>,
}

/// State shared by services and the loop.
struct Shared {
    active: Option<ControlMode>,
    /// The command held by the active controller.
    held: Option<JointVector>,
    state: FrankaRobotState,
    button: bool,
    /// Nothing is published.
    muted: bool,
    gripper: Option<f64>,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts an emulated stack on this node.
pub fn start(
    node: &RosNode,
    robot: &Robot,
    plant: Box<dyn Plant>,
    clock: Arc<dyn Clock>,
) -> Result<PandaEmulator, RosError> {
    let limits = MakerLimits::of(&robot.identity.name).copied().ok_or_else(|| RosError::Create {
        what: format!("emulated {}", robot.identity.name),
        cause: "only panda and fr3 are known".into(),
        fix: "correct its description".into(),
    })?;
    let (log, orders) = (CommandLog::default(), Orders::default());
    let shared = Arc::new(Mutex::new(Shared {
        active: None,
        held: None,
        state: FrankaRobotState {
            robot_mode: FrankaRobotState::MODE_IDLE,
            control_command_success_rate: 1.0,
            ..Default::default()
        },
        button: false,
        muted: false,
        gripper: None,
    }));
    let servers = servers(node, robot, &shared, &orders)?;
    let topic = |mode| node.subscriber(&wire::commands(mode), Qos::Command);
    let controller = Stack {
        names: robot.joint_names(),
        gripper: robot.gripper.clone(),
        limits,
        plant,
        commands: [topic(ControlMode::Position)?, topic(ControlMode::Velocity)?, topic(ControlMode::Torque)?],
        joints: node.publisher(wire::JOINT_STATES, Qos::State)?,
        robot: node.publisher(wire::ROBOT_STATE, Qos::State)?,
        fingers: node.publisher(wire::GRIPPER_STATES, Qos::State)?,
        log: log.clone(),
        orders: orders.clone(),
        shared: Arc::clone(&shared),
        changed_at: None,
        standing: None,
        turn: 0,
    };
    let emulation = Emulation::run("panda-emulator", controller, clock)?;
    Ok(PandaEmulator { log, orders, shared, _emulation: emulation, _servers: servers })
}

fn listed(names: &[String], active: Option<ControlMode>) -> Vec<ControllerState> {
    wire::MODES
        .into_iter()
        .map(|mode| {
            let interfaces = wire::interfaces(mode, names);
            let runs = active == Some(mode);
            ControllerState {
                name: wire::controller(mode).into(),
                state: if runs { "active".into() } else { "inactive".into() },
                kind: "forward_command_controller/ForwardCommandController".into(),
                claimed_interfaces: if runs { interfaces.clone() } else { Vec::new() },
                required_command_interfaces: interfaces,
                ..Default::default()
            }
        })
        .collect()
}

/// Stops and starts controllers, all or nothing.
fn switch(shared: &mut Shared, start: &[String], stop: &[String]) -> Result<(), String> {
    let mode = |name: &String| {
        let found = wire::MODES.into_iter().find(|mode| wire::controller(*mode) == name);
        found.ok_or_else(|| format!("no controller {name}"))
    };
    let start = start.iter().map(mode).collect::<Result<Vec<_>, _>>()?;
    let stop = stop.iter().map(mode).collect::<Result<Vec<_>, _>>()?;
    if !start.is_empty() && wire::fault(&shared.state).is_some() {
        return Err("the hardware reports an error".into());
    }
    let left = shared.active.filter(|active| !stop.contains(active));
    if start.len() + usize::from(left.is_some()) > 1 {
        return Err("the joints' interfaces are claimed already".into());
    }
    shared.active = start.first().copied().or(left);
    shared.held = None;
    Ok(())
}

fn servers(
    node: &RosNode,
    robot: &Robot,
    shared: &Arc<Mutex<Shared>>,
    orders: &Orders,
) -> Result<Vec<RosServer>, RosError> {
    let of = || Arc::clone(shared);
    let (switches, recoveries, moves) = (orders.clone(), orders.clone(), orders.clone());
    let (list, switching, recovery, fingers) = (of(), of(), of(), of());
    let (names, gripper) = (robot.joint_names(), robot.gripper.clone());
    Ok(vec![
        node.serve::<ListControllers>(wire::LIST_CONTROLLERS, move |_| ListControllersResponse {
            controller: listed(&names, lock(&list).active),
        })?,
        node.serve::<SwitchController>(wire::SWITCH_CONTROLLER, move |request| {
            switches.note(Order::Mode);
            let result = switch(&mut lock(&switching), &request.activate_controllers, &request.deactivate_controllers);
            SwitchControllerResponse::new(result.is_ok(), result.err().unwrap_or_default())
        })?,
        node.serve_action::<ErrorRecovery>(
            wire::ERROR_RECOVERY,
            |_| true,
            move |_| {
                recoveries.note(Order::Recovery);
                let mut shared = lock(&recovery);
                if shared.button {
                    return (ActionEnd::Aborted, Empty::default());
                }
                shared.state.last_motion_errors = shared.state.current_errors;
                shared.state.current_errors = Default::default();
                shared.state.robot_mode = FrankaRobotState::MODE_IDLE;
                (ActionEnd::Succeeded, Empty::default())
            },
        )?,
        node.serve_action::<Move>(
            wire::GRIPPER_MOVE,
            |_| true,
            move |goal| {
                moves.note(Order::Gripper);
                lock(&fingers).gripper = Some(gripper.fraction_from_finger(0.5 * goal.width));
                (ActionEnd::Succeeded, Outcome { success: true, error: String::new() })
            },
        )?,
    ])
}

impl PandaEmulator {
    /// The commands it received.
    pub fn log(&self) -> &CommandLog {
        &self.log
    }

    /// The orders it received.
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Presses or releases the user's stop button.
    pub fn press_stop(&self, pressed: bool) {
        let mut shared = lock(&self.shared);
        shared.button = pressed;
        if pressed {
            shared.state.robot_mode = FrankaRobotState::MODE_USER_STOPPED;
            (shared.active, shared.held) = (None, None);
        }
    }

    /// Stops or resumes publishing states: they are lost on their way while commands still arrive.
    pub fn mute(&self, muted: bool) {
        lock(&self.shared).muted = muted;
    }

    /// The active forward controller.
    pub fn active(&self) -> Option<ControlMode> {
        lock(&self.shared).active
    }
}

struct Stack {
    names: Vec<String>,
    gripper: Gripper,
    limits: MakerLimits,
    plant: Box<dyn Plant>,
    commands: [RosSubscriber<Float64MultiArray>; 3],
    joints: RosPublisher<JointState>,
    robot: RosPublisher<FrankaRobotState>,
    fingers: RosPublisher<JointState>,
    log: CommandLog,
    orders: Orders,
    shared: Arc<Mutex<Shared>>,
    /// When the held command last changed.
    changed_at: Option<Timestamp>,
    /// Position held while no controller runs.
    standing: Option<JointVector>,
    turn: u64,
}

/// A jump is a change that could not be reached at the maker's limit since the last command plus this time: messages on a network
/// arrive late and in bursts.
const JITTER: f64 = 0.02;

impl Stack {
    /// Does the robot stop itself for this command?
    fn reflex(&self, mode: ControlMode, from: &JointVector, to: &JointVector, now: Timestamp) -> bool {
        let since = self.changed_at.map_or(0.0, |at| now.since(at).as_secs_f64()) + JITTER;
        (0..to.len()).any(|joint| {
            let limit = match mode {
                ControlMode::Position => self.limits.velocity[joint],
                ControlMode::Velocity => self.limits.acceleration[joint],
                ControlMode::Torque => self.limits.torque_rate[joint],
            };
            // NaN counts as a jump.
            !((to[joint] - from[joint]).abs() <= limit * since)
        })
    }

    fn take(&mut self, now: Timestamp) {
        let joints = self.names.len();
        for (place, mode) in wire::MODES.into_iter().enumerate() {
            while let Ok(Some(message)) = self.commands[place].take() {
                self.orders.note(Order::Motion);
                let Some(asked) = wire::requested(&message, joints) else { continue };
                self.log.push(Received { at: now, mode, joints: asked });
                let mut shared = lock(&self.shared);
                if shared.active != Some(mode) {
                    continue;
                }
                let still = if mode == ControlMode::Position {
                    self.plant.sense().joint_positions
                } else {
                    JointVector::zeros(joints)
                };
                let from = shared.held.unwrap_or(still);
                if self.reflex(mode, &from, &asked, now) {
                    let errors = &mut shared.state.current_errors;
                    match mode {
                        ControlMode::Position | ControlMode::Velocity => {
                            errors.joint_motion_generator_velocity_discontinuity = true;
                        }
                        ControlMode::Torque => errors.controller_torque_discontinuity = true,
                    }
                    shared.state.robot_mode = FrankaRobotState::MODE_REFLEX;
                    (shared.active, shared.held) = (None, None);
                    continue;
                }
                self.changed_at = Some(now);
                shared.held = Some(asked);
                shared.state.robot_mode = FrankaRobotState::MODE_MOVE;
            }
        }
    }

    fn drive(&mut self) {
        let (held, gripper) = {
            let mut shared = lock(&self.shared);
            if shared.active.is_none() && shared.state.robot_mode == FrankaRobotState::MODE_MOVE {
                shared.state.robot_mode = FrankaRobotState::MODE_IDLE;
            }
            (shared.active.zip(shared.held), shared.gripper.take())
        };
        if let Some(fraction) = gripper {
            self.plant.drive_gripper(fraction.clamp(0.0, 1.0));
        }
        let drive = match held {
            Some((ControlMode::Position, values)) => Drive::Position(values),
            Some((ControlMode::Velocity, values)) => Drive::Velocity(values),
            Some((ControlMode::Torque, values)) => Drive::Floating(values),
            None => Drive::Position(*self.standing.get_or_insert_with(|| self.plant.sense().joint_positions)),
        };
        if held.is_some() {
            self.standing = None;
        }
        self.plant.drive(drive);
    }

    fn publish(&mut self) {
        let sensed = self.plant.sense();
        let joints = JointState {
            name: self.names.clone(),
            position: sensed.joint_positions.to_vec(),
            velocity: sensed.joint_velocities.to_vec(),
            effort: sensed.joint_efforts.to_vec(),
            ..Default::default()
        };
        let mut results = vec![self.joints.publish(joints)];
        // 50 Hz; the hand's at 16 Hz.
        if self.turn.is_multiple_of(20) {
            let state = lock(&self.shared).state.clone();
            results.push(self.robot.publish(state));
        }
        if self.turn.is_multiple_of(60) {
            let name: Vec<_> = self.gripper.finger.iter().map(|finger| finger.name.clone()).collect();
            let position = vec![self.gripper.finger_from_fraction(sensed.gripper); name.len()];
            results.push(self.fingers.publish(JointState { name, position, ..Default::default() }));
        }
        for error in results.into_iter().filter_map(Result::err) {
            tracing::debug!("emulated panda: {error}");
        }
    }
}

impl Controller for Stack {
    const PERIOD: Duration = Duration::from_millis(1);

    fn turn(&mut self, now: Timestamp) {
        self.take(now);
        self.drive();
        self.plant.advance_to(now);
        if self.turn.is_multiple_of(2) && !lock(&self.shared).muted {
            self.publish();
        }
        self.turn += 1;
    }
}
