//! A WidowX behind Interbotix's node `xs_sdk`. Start at [`XsSdkArm::connect`].
//!
//! The node checks no limits, has no command time-out and holds the last goal forever; a mode change drops the torque for a moment.
//! So every required setting is read back here, before torque where possible, and the bridge thread stops the arm when the control
//! loop falls silent. If this whole program is killed, the node keeps holding the last goal, and would keep turning at the last
//! velocity: the servos' bus watchdog, which is armed here, only monitors the bus, which the node keeps busy. So velocities are
//! sent only while a guard stands by ([`crate::driver::guard`]); [`check_node`] reports that. When states stop coming, or show that
//! the arm moves against its commands, zeros are sent in velocity mode without states, by topic and by service. Later commands wait
//! for a new activation, since a restarted node is in another mode and the arm in another pose.

mod brake;
mod check;
mod health;
mod options;
mod session;
mod stop;
mod worker;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use brake::XsSdkBrake;
pub use check::check_node;
pub use options::{GripperDrive, XsSdkOptions};

use super::super::limits::JOINTS;
use super::wire::{self as xs_sdk, hardware_error_text};
use crate::driver::guard::{self, EndlessMode, Guarded, Heartbeat};
use crate::driver::ros2::SilenceWatch;
use crate::driver::{ArmDriver, Capabilities, ConnectError, DriverError, FaultCode};
use crate::transport::ros2::{Bridge, Pacing, RosError, RosNode};
use session::Session;
use visuomotor_core::action::{ControlMode, JointCommand};
use visuomotor_core::config::Robot;
use visuomotor_core::observation::{JointVector, Proprioception};
use visuomotor_core::protection::Protection;
use visuomotor_core::time::{Clock, Timestamp};
use worker::{Call, Target, Worker, WorkerState};

/// A WidowX over ROS 2.
pub struct XsSdkArm {
    capabilities: Capabilities,
    session: Session,
    bridge: Bridge<Worker>,
    /// Dropped after the bridge, whose last message must be sent first.
    guarded: Guarded,
    /// The bridge thread's heartbeat.
    heartbeat: Arc<Mutex<Option<Heartbeat>>>,
    clock: Arc<dyn Clock>,
    active: Option<ControlMode>,
    silence_watch: SilenceWatch,
    activation: u32,
    /// Its hold position; set at the first hold and kept, so that it does not creep.
    holding: Option<JointVector>,
    newest: Option<WorkerState>,
    gripper: f64,
}

impl XsSdkArm {
    /// Connects and makes every check that needs no torque. Blocks.
    pub fn connect(robot: &Robot, options: XsSdkOptions, clock: Arc<dyn Clock>) -> Result<Self, ConnectError> {
        let mut session = Session::open(robot, options)?;
        let heartbeat = Arc::new(Mutex::new(None));
        let worker = Worker::new(&mut session, robot, Arc::clone(&heartbeat))?;
        let pacing = Pacing::Prompt(worker::PERIOD);
        let spawned = Bridge::spawn("xs-sdk-bridge", worker, pacing, Arc::clone(&clock));
        let bridge = spawned.map_err(|error| session.link_error(&error))?;
        let capabilities = Capabilities {
            robot: robot.identity.name.clone(),
            driver: "ros2".into(),
            joints: JOINTS.len(),
            control_rate_hz: robot.identity.control_rate_hz,
            modes: vec![ControlMode::Position, ControlMode::Velocity],
        };
        let ramp = robot.limits.joint_acceleration.clone();
        let endless = vec![EndlessMode { mode: ControlMode::Velocity, ramp }];
        let (name, place) = (&robot.identity.name, &session.options.settings);
        let mut guarded = Guarded::new(guard::Controller::XsSdk, name, robot.joint_names(), endless, place);
        guarded.set(session.options.guarding.clone());
        let mut arm = Self {
            capabilities,
            session,
            bridge,
            guarded,
            heartbeat,
            clock,
            active: None,
            silence_watch: SilenceWatch::new(Duration::from_secs_f64(1.0 / robot.identity.control_rate_hz)),
            activation: 0,
            holding: None,
            newest: None,
            gripper: 1.0,
        };
        arm.settle()?;
        Ok(arm)
    }

    /// States dropped so far because their values are impossible.
    pub fn bad_states(&mut self) -> u64 {
        self.refresh();
        self.newest.map_or(0, |state| state.bad_states)
    }

    /// Process id of the arm's guard, where it runs on this machine.
    pub fn guard_process(&self) -> Option<u32> {
        self.guarded.process()
    }

    fn beat_into(&self, heartbeat: Option<Heartbeat>) {
        *self.heartbeat.lock().unwrap_or_else(PoisonError::into_inner) = heartbeat;
    }

    fn refresh(&mut self) {
        if let Some((state, _)) = self.bridge.state() {
            self.newest = Some(state);
        }
    }

    fn sensed(&self, state: &WorkerState) -> Proprioception {
        Proprioception {
            joint_positions: state.arm.positions,
            joint_velocities: state.arm.velocities,
            joint_efforts: state.arm.torques,
            finger_position: state.arm.finger,
            gripper: self.session.gripper.fraction_from_finger(state.arm.finger),
            measured_at: state.good_at,
        }
    }

    /// Waits for a good state that is newer than this call, and checks everything the node reports.
    fn settle(&mut self) -> Result<(), ConnectError> {
        let asked = self.clock.now();
        let patience = self.session.options.patience;
        let deadline = asked + Duration::from_secs_f64(patience);
        loop {
            self.refresh();
            if let Some(state) = self.newest.filter(|state| state.good_at > asked) {
                self.gripper = self.session.gripper.fraction_from_finger(state.arm.finger).clamp(0.0, 1.0);
                break;
            }
            if self.clock.now() >= deadline {
                return Err(match self.newest.and_then(|state| state.bad) {
                    Some(bad) => self.session.unfit(
                        "joint_states",
                        bad.text(),
                        "plausible joint positions",
                        "look at the node's log: servo cable, power, or an encoder",
                    ),
                    None => self.session.silent("joint_states", patience, "is the node still running?"),
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.session.survey()
    }

    /// Waits until the bridge uses the present guard and not the previous one.
    fn await_guarded(&mut self) {
        let deadline = self.clock.now() + Duration::from_secs_f64(self.session.options.patience);
        loop {
            self.refresh();
            if self.newest.is_none_or(|state| state.guard.is_none()) || self.clock.now() >= deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// No more commands are sent once this returns, only those sent before: services may change the meaning of the numbers.
    fn quiet(&mut self) -> Result<RosNode, RosError> {
        let patience = Duration::from_secs_f64(self.session.options.patience);
        self.bridge.request(Call::Turn, patience)?;
        self.bridge.send(None);
        self.bridge.request(Call::Quiet, patience)
    }

    /// Waits for a good state that is newer than this call: services keep the node from publishing.
    fn fresh_state(&mut self) -> Result<WorkerState, DriverError> {
        let asked = self.clock.now();
        let deadline = asked + Duration::from_secs_f64(self.session.options.patience);
        loop {
            self.refresh();
            let fresh = self.newest.is_some_and(|state| state.good_at > asked);
            let now = self.clock.now();
            if fresh || now >= deadline {
                return self.state(now);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The newest state, or why there is none to act on.
    fn state(&mut self, now: Timestamp) -> Result<WorkerState, DriverError> {
        self.silence_watch.polled(now);
        self.refresh();
        let state = self.newest.ok_or(DriverError::Silent)?;
        if state.link_died || !self.bridge.alive() {
            return Err(DriverError::LinkDied);
        }
        if state.other_publishers > 0 && Protection::SecondCommander.is_on() {
            return Err(DriverError::SecondCommander);
        }
        if let Some(fault) = state.fault {
            return Err(DriverError::Fault(fault));
        }
        if let Some(joint) = state.runaway_joint {
            return Err(DriverError::Runaway { joint });
        }
        // Checked before the age of the state: a program that was suspended has no new state, and that is not the arm's fault.
        if let Some(fault) = state.guard.or_else(|| self.guarded.fault(now)) {
            return Err(DriverError::Guard(fault));
        }
        // The bridge thread polls more often and detects it first, unless it hangs.
        let silence = Duration::from_secs_f64(self.session.options.silence.max(0.0));
        let silent = state.lost || (self.silence_watch.silence(now, state.good_at) > silence && !state.excused(now));
        if !silent || !Protection::StateCheck.is_on() {
            return Ok(state);
        }
        match state.bad {
            Some(xs_sdk::BadState::Value(joint, value)) => {
                let (low, high) = self.session.range.get(joint).copied().unwrap_or((0.0, 0.06));
                Err(DriverError::Implausible { joint, value, low, high })
            }
            _ => Err(DriverError::Silent),
        }
    }
}

impl ArmDriver for XsSdkArm {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn activate(&mut self, now: Timestamp, mode: ControlMode) -> Result<(), DriverError> {
        if mode == ControlMode::Torque {
            return Err(DriverError::Mode(mode));
        }
        // A fault of the last guard is over once there is another.
        match self.state(now) {
            Err(DriverError::Guard(_)) => {}
            state => drop(state?),
        }
        self.active = None;
        let patience = Duration::from_secs_f64(self.session.options.patience.max(20.0));
        let heartbeat = self.guarded.prepare(mode, patience, &self.clock).map_err(DriverError::Guard)?;
        self.beat_into(heartbeat.clone());
        self.quiet().map_err(|error| {
            tracing::error!("{error}");
            DriverError::LinkDied
        })?;
        // Zero velocity or the present position is the goal before torque can act on an older one.
        let failed = |error: ConnectError| {
            tracing::error!("{error}");
            DriverError::Silent
        };
        self.session.set_modes(mode).map_err(|error| match error {
            ConnectError::Unfit { .. } => {
                tracing::error!("{error}");
                DriverError::Mode(mode)
            }
            other => failed(other),
        })?;
        self.session.arm_watchdog().map_err(failed)?;
        self.session.torque_on().map_err(failed)?;
        self.holding = None;
        if let Some(heartbeat) = &heartbeat {
            heartbeat.arm();
        }
        self.await_guarded();
        let state = self.fresh_state()?;
        self.active = Some(mode);
        self.activation += 1;
        self.bridge.send(Some(Target::hold(self.activation, mode, state.arm.positions, self.gripper)));
        self.holding = Some(state.arm.positions);
        Ok(())
    }

    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        let state = self.state(now)?;
        Ok(self.sensed(&state))
    }

    fn observed(&mut self, _now: Timestamp) -> Option<Proprioception> {
        self.refresh();
        self.newest.map(|state| self.sensed(&state))
    }

    fn write(&mut self, now: Timestamp, command: &JointCommand) -> Result<(), DriverError> {
        let mode = self.active.ok_or(DriverError::Inactive)?;
        if command.mode() != mode || command.joints().len() != JOINTS.len() {
            return Err(DriverError::Mode(command.mode()));
        }
        if !(command.joints().is_finite() && command.gripper().is_finite()) {
            self.hold(now)?;
            return Err(DriverError::NotFinite);
        }
        self.state(now)?;
        self.holding = None;
        self.gripper = command.gripper();
        self.bridge.send(Some(Target { activation: self.activation, command: *command }));
        Ok(())
    }

    fn hold(&mut self, _now: Timestamp) -> Result<(), DriverError> {
        let mode = self.active.ok_or(DriverError::Inactive)?;
        self.refresh();
        let state = self.newest.ok_or(DriverError::Silent)?;
        // Measured once: a goal that follows the sagging arm would creep down.
        let at = *self.holding.get_or_insert(state.arm.positions);
        self.bridge.send(Some(Target::hold(self.activation, mode, at, self.gripper)));
        Ok(())
    }

    fn recover(&mut self, now: Timestamp) -> Result<(), ConnectError> {
        if self.active.is_some() {
            // A silent arm takes no commands; only a hold may be pending.
            let _ = self.hold(now);
        }
        let node = self.quiet().map_err(|error| self.session.link_error(&error))?;
        if !self.session.node.loops_alive() {
            self.session.move_to(node)?;
        }
        self.active = None;
        self.holding = None;
        if self.guarded.forget_faulty(self.clock.now()) {
            self.beat_into(None);
            self.await_guarded();
        }
        self.session.reboot_faulted()?;
        self.settle()?;
        // The bridge reports a fault until it has polled again.
        let patience = self.session.options.patience;
        let deadline = self.clock.now() + Duration::from_secs_f64(patience);
        loop {
            self.refresh();
            match self.newest {
                Some(state) if state.fault.is_none() && state.other_publishers == 0 => return Ok(()),
                _ if self.clock.now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                Some(WorkerState { fault: Some(fault), .. }) => {
                    let found = self.fault_text(fault);
                    return Err(self.session.unfit(
                        "a servo",
                        found,
                        "no hardware error",
                        "cool it down, then power-cycle",
                    ));
                }
                _ => return Err(self.session.second_commander()),
            }
        }
    }

    fn fault_text(&self, fault: FaultCode) -> String {
        let (servo, bits) = ((fault.0 >> 8) as usize, fault.0 & 0xff);
        let name = JOINTS.get(servo).copied().unwrap_or(xs_sdk::GRIPPER);
        format!("servo {name}: {}", hardware_error_text(bits))
    }
}
