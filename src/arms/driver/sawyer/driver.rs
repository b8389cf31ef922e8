//! Sawyer behind the arm trait.
//!
//! - Position commands are sent in Intera's position mode (filtered, no time-out) or, with [`PositionFeed::Raw`], in its trajectory
//!   mode together with velocities. Neither expires: when the program dies the arm goes to the last position and stays. Velocity
//!   and torque commands expire after [`SawyerOptions::command_timeout`]; the arm then holds its position.
//! - A stop under torque switches to position mode at once, as the maker's own `exit_control_mode` does: positions that brake from
//!   where the arm is. When states are silent, the same is sent from its extrapolated position, since the arm coasts on fading
//!   torques. Expired commands are not repeated: the arm's own hold is active then.
//! - The time-out cannot be read back. It is sent at every activation, and the only proof is the arm's behavior without commands;
//!   `check` reports that.
//! - The arm is enabled by [`activate`](crate::driver::ArmDriver::activate), but never after a stop: that needs
//!   [`recover`](crate::driver::ArmDriver::recover), which the operator requests.
//!
//! One file because an arm over ROS 2 is one link: its topics, and the implementation of each `ArmLink` method with them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::wire::{self, PositionFeed, fault};
use crate::driver::ros2::{
    ArmLink, ArmState, Condition, JointOrder, LinkOptions, Off, RosArm, Stream, alone, check_arm, connect_error,
    refused,
};
use crate::driver::{CheckReport, ConnectError, DriverError, FaultCode, Finding, Grade};
use crate::transport::ros2::messages::builtin::Time;
use crate::transport::ros2::messages::intera::{
    EndpointState, IOComponentCommand, IODeviceStatus, JointCommand, RobotAssemblyState,
};
use crate::transport::ros2::messages::sensor::JointState;
use crate::transport::ros2::messages::std::{Bool, Empty, Float64};
use crate::transport::ros2::{Pacing, Qos, RosNode, RosPublisher, RosSettings, RosSubscriber};
use visuomotor_core::action::ControlMode;
use visuomotor_core::config::Robot;
use visuomotor_core::observation::JointVector;
use visuomotor_core::time::{Clock, Timestamp};

/// Settings for driving Sawyer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SawyerOptions {
    /// How positions are streamed.
    pub feed: PositionFeed,
    /// Silence after which velocity and torque commands expire \[s\].
    pub command_timeout: f64,
    /// Share of full speed that position mode may use, 0 .. 1; the safety filter's limits are lower still.
    pub speed_ratio: f64,
    /// Time limits.
    pub link: LinkOptions,
}

impl Default for SawyerOptions {
    fn default() -> Self {
        // 0.2 s is the controller's own default; the speed ratio's is 0.3, under which a stream lags behind. Joint states come
        // at 100 Hz.
        let link = LinkOptions::for_period(Duration::from_millis(10));
        Self { feed: PositionFeed::default(), command_timeout: 0.2, speed_ratio: 1.0, link }
    }
}

/// Oldest assembly state that counts; the arm sends it at 100 Hz, bridges reduce the rate.
const ASSEMBLY_STALE: Duration = Duration::from_secs(2);

/// How often enable and reset are repeated until they take effect.
const REPEAT: Duration = Duration::from_millis(100);

/// Sawyer's topics.
pub struct SawyerLink {
    arm: String,
    node: RosNode,
    description: Robot,
    order: JointOrder,
    options: SawyerOptions,
    commands: RosPublisher<JointCommand>,
    timeout: RosPublisher<Float64>,
    speed: RosPublisher<Float64>,
    enable: RosPublisher<Bool>,
    reset: RosPublisher<Empty>,
    fingers: RosPublisher<IOComponentCommand>,
    joints: RosSubscriber<JointState>,
    assembly: RosSubscriber<RobotAssemblyState>,
    endpoint: RosSubscriber<EndpointState>,
    gripper: RosSubscriber<IODeviceStatus>,
    stroke: f64,
    finger: f64,
    newest_assembly: Option<(RobotAssemblyState, Timestamp)>,
    tool: Option<EndpointState>,
    wanted: bool,
    misfit: Option<ConnectError>,
    /// The newest state.
    seen: Option<Seen>,
    /// When a command was last sent.
    sent: Option<Timestamp>,
    /// The hold in position mode that brakes the arm and keeps it.
    braking: Option<Stream>,
    told: u32,
    clock: Arc<dyn Clock>,
}

/// The arm's last known state.
#[derive(Clone, Copy)]
struct Seen {
    positions: JointVector,
    velocities: JointVector,
    at: Timestamp,
}

/// Sawyer over ROS 2.
pub type Sawyer = RosArm<SawyerLink>;

/// Connects; moves nothing and enables nothing.
pub fn connect(
    robot: &Robot,
    settings: RosSettings,
    options: SawyerOptions,
    clock: Arc<dyn Clock>,
) -> Result<Sawyer, ConnectError> {
    super::limits::check(robot)?;
    let timeout = options.command_timeout;
    if !(timeout > 0.0 && timeout <= super::limits::LONGEST_TIMEOUT) {
        return Err(ConnectError::Unfit {
            arm: robot.identity.name.clone(),
            link: wire::TIMEOUT.into(),
            what: "joint_command_timeout".into(),
            found: format!("{timeout} s"),
            expected: format!("more than 0 and at most {} s", super::limits::LONGEST_TIMEOUT),
            fix: "0.2 s is the arm's own".into(),
        });
    }
    let link = SawyerLink::new(robot, settings, options, Arc::clone(&clock))?;
    let modes = [ControlMode::Position, ControlMode::Velocity, ControlMode::Torque];
    RosArm::connect(link, robot, &modes, options.link, Pacing::Prompt, clock)
}

/// Is the link fit? Moves nothing and enables nothing.
pub fn check(
    robot: &Robot,
    settings: RosSettings,
    options: SawyerOptions,
    clock: Arc<dyn Clock>,
) -> Result<CheckReport, ConnectError> {
    check_arm(&robot.identity.name, connect(robot, settings, options, clock), Duration::from_secs(1))
}

impl SawyerLink {
    fn new(
        robot: &Robot,
        settings: RosSettings,
        options: SawyerOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConnectError> {
        let arm = robot.identity.name.clone();
        let node = RosNode::start(settings).map_err(|error| connect_error(&arm, error))?;
        let made = || -> Result<Self, crate::transport::ros2::RosError> {
            Ok(Self {
                arm: arm.clone(),
                node: node.clone(),
                description: robot.clone(),
                order: JointOrder::new(robot.joint_names()),
                options,
                commands: node.publisher(wire::COMMAND, Qos::Command)?,
                timeout: node.publisher(wire::TIMEOUT, Qos::Command)?,
                speed: node.publisher(wire::SPEED_RATIO, Qos::Command)?,
                enable: node.publisher(wire::ENABLE, Qos::Command)?,
                reset: node.publisher(wire::RESET, Qos::Command)?,
                fingers: node.publisher(wire::GRIPPER_COMMAND, Qos::Command)?,
                joints: node.subscriber(wire::JOINT_STATES, Qos::State)?,
                assembly: node.subscriber(wire::ASSEMBLY, Qos::State)?,
                endpoint: node.subscriber(wire::ENDPOINT, Qos::State)?,
                gripper: node.subscriber(wire::GRIPPER_STATE, Qos::State)?,
                stroke: robot.gripper.finger_open - robot.gripper.finger_closed,
                finger: robot.gripper.finger_open,
                newest_assembly: None,
                tool: None,
                wanted: false,
                misfit: None,
                seen: None,
                sent: None,
                braking: None,
                told: 0,
                clock: Arc::clone(&clock),
            })
        };
        made().map_err(|error| connect_error(&arm, error))
    }

    fn fault(&self, now: Timestamp) -> Option<FaultCode> {
        match &self.newest_assembly {
            Some((state, at)) if now.since(*at) <= ASSEMBLY_STALE => wire::assembly_fault(state, self.wanted),
            _ => Some(FaultCode(fault::UNKNOWN)),
        }
    }

    fn take_assembly(&mut self, now: Timestamp) {
        if let Ok(Some(state)) = self.assembly.newest() {
            self.newest_assembly = Some((state, now));
        }
    }

    /// Repeats `ask` until the assembly state is as required.
    fn until(&mut self, patience: Duration, wished: impl Fn(&RobotAssemblyState) -> bool, ask: impl Fn(&Self)) -> bool {
        let (deadline, mut next) = (Instant::now() + patience, Instant::now());
        loop {
            if let Ok(Some(state)) = self.assembly.newest() {
                self.newest_assembly = Some((state, self.clock.now()));
                if wished(&state) {
                    return true;
                }
            }
            let now = Instant::now();
            if now >= deadline {
                return false;
            }
            if now >= next {
                next = now + REPEAT;
                ask(self);
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn publish(&mut self, mode: ControlMode, values: &JointVector, slope: &JointVector) {
        let message = wire::command(mode, self.options.feed, self.order.names(), values, slope);
        self.sent = Some(self.clock.now());
        if let Err(error) = self.commands.publish(message) {
            tracing::warn!("{}: {error}", self.arm);
        }
    }

    /// Are the last velocities or torques still executed, or have they expired?
    fn followed(&self) -> bool {
        self.sent.is_some_and(|at| self.clock.now().since(at).as_secs_f64() <= self.options.command_timeout)
    }

    /// One step of a hold in position mode: it brakes from the arm's present position and its speed, both by its newest state.
    /// Returns whether it is braked; `None` where that state is too old.
    fn brake(&mut self) -> Option<bool> {
        if self.braking.is_none() {
            let seen = self.seen?;
            let age = self.clock.now().since(seen.at);
            if age > 2 * self.options.link.stale {
                return None;
            }
            let at = seen.positions + seen.velocities * age.as_secs_f64();
            let mut braking = Stream::new(&self.description, self.description.identity.control_rate_hz);
            braking.seed_moving(&at, &seen.velocities);
            self.braking = Some(braking);
        }
        let braking = self.braking.as_mut()?;
        let rest = braking.stop_blind();
        let (at, slope) = (*braking.last(), braking.slope());
        self.publish(ControlMode::Position, &at, &slope);
        Some(rest)
    }
}

impl ArmLink for SawyerLink {
    fn poll(&mut self, now: Timestamp) -> Option<ArmState> {
        self.take_assembly(now);
        if let Ok(Some(tool)) = self.endpoint.newest() {
            self.tool = Some(tool);
        }
        if let Ok(Some(status)) = self.gripper.newest()
            && let Some(opening) = wire::gripper_opening(&status)
        {
            // Both fingers move: each is half the opening.
            self.finger = 0.5 * opening;
        }
        let mut newest = None;
        // The head's and the gripper's joints come on the same topic in messages of their own.
        while let Ok(Some(message)) = self.joints.take() {
            match self.order.read(&message) {
                Ok(Some(joints)) => newest = Some(joints),
                Ok(None) if self.misfit.is_some() => {}
                Ok(None) => self.misfit = Some(self.order.wrong_arm(&self.arm, wire::JOINT_STATES, &message)),
                Err(misfit) => self.misfit = Some(misfit.error(&self.arm, wire::JOINT_STATES)),
            }
        }
        let [positions, velocities, efforts] = newest?;
        self.misfit = None;
        self.seen = Some(Seen { positions, velocities, at: now });
        let condition = self.fault(now).map_or(Condition::Ready, Condition::Fault);
        Some(ArmState { positions, velocities, efforts, finger: self.finger, condition })
    }

    fn silence(&self, waited: Duration) -> ConnectError {
        self.misfit.clone().unwrap_or_else(|| connect_error(&self.arm, self.joints.silence(waited)))
    }

    fn verify(&mut self, patience: Duration) -> Result<(), ConnectError> {
        let seen = self.until(patience, |_| true, |_| {});
        if !seen {
            return Err(connect_error(&self.arm, self.assembly.silence(patience)));
        }
        let arm = self.arm.clone();
        self.commands.wait_for_subscriber(patience).map_err(|error| connect_error(&arm, error))?;
        self.timeout.wait_for_subscriber(patience).map_err(|error| connect_error(&arm, error))?;
        alone(&self.arm, wire::COMMAND, self.other_publishers())
    }

    fn other_publishers(&self) -> usize {
        self.commands.other_publishers()
    }

    fn activate(&mut self, mode: ControlMode, at: &JointVector) -> Result<(), DriverError> {
        let options = self.options;
        let arm = self.arm.clone();
        for (topic, value) in [(&self.timeout, options.command_timeout), (&self.speed, options.speed_ratio)] {
            topic.publish(Float64 { data: value }).map_err(|error| refused(&arm, error))?;
        }
        self.wanted = true;
        self.braking = None;
        let enabled = self.until(
            options.link.patience,
            |state| state.enabled,
            |link| {
                if let Err(error) = link.enable.publish(Bool { data: true }) {
                    tracing::warn!("{}: {error}", link.arm);
                }
            },
        );
        if !enabled {
            self.wanted = false;
            return Err(DriverError::Fault(FaultCode(fault::NOT_ENABLED)));
        }
        let zeros = JointVector::zeros(at.len());
        // The first command of a mode is the present position, or no motion.
        self.publish(mode, if mode == ControlMode::Position { at } else { &zeros }, &zeros);
        Ok(())
    }

    fn send(&mut self, stream: &Stream, _: &ArmState) {
        self.braking = None;
        self.publish(stream.mode(), stream.last(), &stream.slope());
    }

    fn rest(&mut self, stream: &Stream, _: &ArmState, at_rest: bool) -> bool {
        let slowing = stream.mode() == ControlMode::Velocity && !at_rest && self.braking.is_none() && self.followed();
        // Position mode holds by itself, with the arm's own stiffness; so does an arm whose commands expired.
        if stream.mode() != ControlMode::Position && !slowing && (self.brake().is_some() || !self.followed()) {
            return true;
        }
        self.publish(stream.mode(), stream.last(), &stream.slope());
        false
    }

    fn blind(&mut self, stream: &Stream, at_rest: bool) -> bool {
        if stream.mode() != ControlMode::Position && !self.followed() {
            // Its own hold is active: any message now would end it.
            return true;
        }
        if stream.mode() == ControlMode::Torque
            && let Some(rest) = self.brake()
        {
            return rest;
        }
        self.publish(stream.mode(), stream.last(), &stream.slope());
        at_rest
    }

    fn switch_off(&mut self, mode: ControlMode) -> Off {
        // Disabling it would drop the arm into its brakes; its own hold is softer and only needs silence.
        match mode {
            ControlMode::Position => Off::None,
            ControlMode::Velocity | ControlMode::Torque => {
                Off::Done("nothing more is sent, and its time-out makes it hold its position")
            }
        }
    }

    fn alive(&self) -> bool {
        self.node.loops_alive()
    }

    fn rebuild(&mut self, patience: Duration) -> Result<(), ConnectError> {
        let settings = self.node.settings().clone();
        let mut new = Self::new(&self.description, settings, self.options, Arc::clone(&self.clock))?;
        (new.wanted, new.told) = (self.wanted, self.told);
        (new.seen, new.sent) = (self.seen, self.sent);
        std::mem::swap(&mut new.braking, &mut self.braking);
        // The old threads may never end: do not wait for them here.
        let old = std::mem::replace(self, new);
        std::thread::spawn(move || drop(old));
        self.commands.wait_for_subscriber(patience).map_err(|error| connect_error(&self.arm, error))
    }

    fn gripper(&mut self, fraction: f64) {
        self.told = self.told.wrapping_add(1);
        // Only has to differ from one command to the next: the arm's clock is not ours.
        let time = Time { sec: 0, nanosec: self.told };
        if let Err(error) = self.fingers.publish(wire::gripper_command(time, 2.0 * self.stroke * fraction)) {
            tracing::warn!("{}: {error}", self.arm);
        }
    }

    fn recover(&mut self, patience: Duration) -> Result<(), ConnectError> {
        self.wanted = false;
        self.misfit = None;
        let clear = |state: &RobotAssemblyState| wire::assembly_fault(state, false).is_none();
        let arm = self.arm.clone();
        let cleared = self.until(patience, clear, |link| {
            let stopped = link
                .newest_assembly
                .is_some_and(|(state, _)| state.estop_button != RobotAssemblyState::BUTTON_PRESSED && !clear(&state));
            if stopped && let Err(error) = link.reset.publish(Empty::default()) {
                tracing::warn!("{}: {error}", link.arm);
            }
        });
        if cleared {
            return Ok(());
        }
        let state = self.newest_assembly.map(|(state, _)| state).unwrap_or_default();
        Err(ConnectError::Unfit {
            arm,
            link: wire::ASSEMBLY.into(),
            what: "the arm's state after a reset".into(),
            found: wire::assembly_fault(&state, false).map_or_else(|| "unknown".into(), wire::fault_text),
            expected: "no stop and no error".into(),
            fix: "do what it says, then recover again".into(),
        })
    }

    fn release(&mut self, _: &ArmState) {
        // Its own time-out makes the arm hold its position; position commands hold anyway.
    }

    fn findings(&mut self) -> (Vec<Finding>, Vec<f64>) {
        let timeout = format!("{} s will be set", self.options.command_timeout);
        let mut findings =
            vec![Finding::good("joint_command_timeout", timeout, "at most 1 s; velocity and torque only").graded(
                Grade::Doubtful,
                "it cannot be read back; position and trajectory mode have none: the arm goes on to the last position",
            )];
        if self.options.feed == PositionFeed::Raw {
            findings.push(
                Finding::good("position feed", "raw (trajectory mode)", "filtered (position mode)")
                    .graded(Grade::Doubtful, "collision avoidance is bypassed: keep the workspace clear"),
            );
        }
        findings.push(match self.tool.as_ref().filter(|tool| tool.valid) {
            Some(tool) => {
                let p = tool.pose.position;
                Finding::good("endpoint", format!("{:.3}, {:.3}, {:.3} m", p.x, p.y, p.z), "valid")
            }
            None => Finding::good("endpoint", "not reported or not valid", "valid")
                .graded(Grade::Doubtful, "let the bridge carry /robot/limb/right/endpoint_state"),
        });
        (findings, Vec::new())
    }

    fn fault_text(fault: FaultCode) -> String {
        wire::fault_text(fault)
    }
}
