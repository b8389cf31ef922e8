//! The bridge thread's work: states from `joint_states`, commands to the command topics, the gripper's loop, health.
//!
//! One file because a thread's state and every rule over it are read together.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::GripperDrive;
use super::health::Health;
use super::session::{Session, Topics};
use super::stop::ServiceStop;
use crate::driver::guard::Heartbeat;
use crate::driver::ros2::{Runaway, SilenceWatch};
use crate::driver::widowx::limits::JOINTS;
use crate::driver::widowx::xs_sdk::wire::{ArmState, BadState, GRIPPER, Order, gripper_command, group_command};
use crate::driver::{ConnectError, DriverError, FaultCode, GuardFault, Standstill};
use crate::transport::ros2::messages::interbotix::{RegisterValues, RegisterValuesRequest};
use crate::transport::ros2::{BridgeWorker, PendingRequest, RosClient, RosError, RosNode};
use visuomotor_core::action::{ControlMode, JointCommand};
use visuomotor_core::config::Robot;
use visuomotor_core::observation::JointVector;
use visuomotor_core::protection::Protection;
use visuomotor_core::time::Timestamp;

/// Largest PWM of the gripper, counts: what Bridge uses; it does not overload within seconds.
const PUSH: f64 = 350.0;
/// PWM of a gripper that has pushed against something for a second, counts: still more than the 150 it takes to move.
const KEEP: f64 = 210.0;
/// Gain of the gripper's loop \[1/m\] (Bridge): full push beyond 3.3 mm of error.
const GAIN: f64 = 300.0;
/// How long the gripper may push without moving before its force is reduced \[s\].
const PUSHING: Duration = Duration::from_secs(1);
/// How often other publishers of commands are looked for.
const LOOK_AROUND: Duration = Duration::from_millis(250);
/// How often the link's threads are checked while no states come.
const LOOK_AT_LINK: Duration = Duration::from_millis(10);
/// How often a stop is sent once no states come. Not forever: the meaning of the topic's numbers depends on the node's mode, and a
/// restarted node is in position mode, where zeros are a goal pose. It takes more than a second to start.
const STOP_REPEATS: u32 = 25;
/// How often a new link is tried after the old one died, and the time-out of each attempt.
const REBUILD: Duration = Duration::from_secs(2);
/// How often the gripper is commanded (Bridge: 50 Hz).
const GRIP_PERIOD: Duration = Duration::from_millis(20);

/// How long the positions are watched, at the end, for the arm to come to rest.
const LAST_LOOK: Duration = Duration::from_secs(2);
/// Without a state for this long the guard, which has threads and a link of its own, takes over at once.
const NO_NEWS: Duration = Duration::from_millis(250);

/// State shared with the control thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct WorkerState {
    /// The newest good state.
    pub arm: ArmState,
    /// When it was received.
    pub good_at: Timestamp,
    /// What was wrong with the newest message, if anything.
    pub bad: Option<BadState>,
    /// Bad messages so far.
    pub bad_states: u64,
    /// Other programs that publish commands.
    pub other_publishers: usize,
    /// Servo (joint index, 6 the gripper) times 256 plus its hardware error bits.
    pub fault: Option<FaultCode>,
    /// What is wrong with the guard of velocity mode.
    pub guard: Option<GuardFault>,
    /// Until when a register read excuses missing states.
    pub excused_until: Timestamp,
    /// The threads that send and receive ended since the arm was activated.
    pub link_died: bool,
    /// No states come, or none that can be trusted: the arm was commanded to stop, and gets nothing else until it is activated
    /// again.
    pub lost: bool,
    /// A joint that moved against its commands since the arm was activated.
    pub runaway_joint: Option<usize>,
}

impl WorkerState {
    /// Does a register read explain that no state comes?
    pub fn excused(&self, now: Timestamp) -> bool {
        now <= self.excused_until
    }
}

/// Longest time between two turns of the bridge thread.
pub(super) const PERIOD: Duration = Duration::from_millis(10);

/// What the control thread wants sent. A hold is a command too: of the position that the control thread measured once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// Which activation it belongs to, counted from 1.
    pub activation: u32,
    pub command: JointCommand,
}

impl Target {
    /// Stay here.
    pub fn hold(activation: u32, mode: ControlMode, at: JointVector, gripper: f64) -> Self {
        let joints = if mode == ControlMode::Position { at } else { JointVector::zeros(at.len()) };
        Self { activation, command: JointCommand::of(mode, joints, gripper) }
    }

    fn mode(&self) -> ControlMode {
        self.command.mode()
    }
}

/// Other calls to the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Replies once everything sent before has been processed.
    Turn,
    /// Sends nothing more to the arm until there is a new target.
    Quiet,
}

pub(super) struct Worker {
    topics: Topics,
    node: RosNode,
    health: RosClient<RegisterValues>,
    /// The path to the servos besides the command topic.
    stop: ServiceStop,
    runaway: Runaway,
    order: Order,
    range: [(f64, f64); 6],
    drive: GripperDrive,
    gripper: visuomotor_core::config::Gripper,
    command_gap: Duration,
    silence: Duration,
    silence_watch: SilenceWatch,
    schedule: Health,
    seen: Option<WorkerState>,
    changed: bool,
    looked: Option<Timestamp>,
    /// The servo polled for errors.
    pending: Option<(usize, PendingRequest)>,
    /// When the link's threads were last checked.
    checked: Option<Timestamp>,
    dead: bool,
    rebuilt: Option<Timestamp>,
    /// The newest target and when it came.
    target: Option<(Target, Timestamp)>,
    stopped: bool,
    /// The activation in which the states were lost; nothing of it is sent any more.
    lost: Option<u32>,
    /// How often a stop was sent since.
    stops_sent: u32,
    gripped: Option<Timestamp>,
    grip_goal: f64,
    /// Finger position and the time from which it has not moved \[m\].
    still: (f64, Timestamp),
    full: u64,
    /// Beats for the guard, while there is one.
    heartbeat: Arc<Mutex<Option<Heartbeat>>>,
    /// The last command sent.
    sent: JointVector,
}

impl Worker {
    pub fn new(
        session: &mut Session,
        robot: &Robot,
        heartbeat: Arc<Mutex<Option<Heartbeat>>>,
    ) -> Result<Self, ConnectError> {
        let failed = |session: &Session, error: &RosError| session.link_error(error);
        let health = session.node.client("get_motor_registers").map_err(|error| failed(session, &error))?;
        let stop = ServiceStop::of(&session.node).map_err(|error| failed(session, &error))?;
        let ended = RosError::Ended { name: "xs-sdk-bridge".into() };
        let topics = session.topics().ok_or_else(|| failed(session, &ended))?;
        Ok(Self {
            topics,
            node: session.node.clone(),
            health,
            stop,
            runaway: Runaway::of(robot),
            order: session.order,
            range: session.range,
            drive: session.options.gripper,
            gripper: session.gripper.clone(),
            command_gap: Duration::from_secs_f64(session.options.command_gap.max(0.02)),
            silence: Duration::from_secs_f64(session.options.silence.max(0.0)),
            silence_watch: SilenceWatch::new(PERIOD),
            schedule: Health::new(
                Duration::from_secs_f64(session.options.health_period.max(0.1)),
                Duration::from_secs_f64(session.options.silence.max(0.0)),
            ),
            seen: None,
            changed: false,
            looked: None,
            pending: None,
            checked: None,
            dead: false,
            rebuilt: None,
            target: None,
            stopped: false,
            lost: None,
            stops_sent: 0,
            gripped: None,
            grip_goal: f64::NAN,
            still: (0.0, Timestamp::ZERO),
            full: 0,
            heartbeat,
            sent: JointVector::zeros(6),
        })
    }

    fn take_states(&mut self, now: Timestamp) {
        loop {
            match self.topics.states.take() {
                Ok(Some(message)) => match self.order.read(&message, &self.range) {
                    Ok(arm) => {
                        let told = self.target.map(|(target, _)| (target.mode(), target.command.joints()));
                        self.schedule.state(now, &arm, told);
                        let runaway_joint = self.check_runaway(now, &arm);
                        let state = self.seen.get_or_insert(nothing_yet());
                        (state.arm, state.good_at, state.bad, state.lost) = (arm, now, None, false);
                        state.runaway_joint = state.runaway_joint.or(runaway_joint);
                        self.changed = true;
                    }
                    Err(bad) => {
                        let state = self.seen.get_or_insert(nothing_yet());
                        state.bad = Some(bad);
                        state.bad_states += 1;
                        self.changed = true;
                    }
                },
                Ok(None) => return,
                Err(error) => {
                    tracing::error!("{error}");
                    return;
                }
            }
        }
    }

    /// Which joint moves against its commands? Checked until nothing is sent any more.
    fn check_runaway(&mut self, now: Timestamp, arm: &ArmState) -> Option<usize> {
        let (target, _) = self.target?;
        if target.mode() != ControlMode::Velocity || self.lost == Some(target.activation) {
            return None;
        }
        self.runaway.sent(&self.sent);
        self.runaway.observe(now, &arm.positions, &arm.torques)
    }

    fn look_around(&mut self, now: Timestamp) {
        if self.looked.is_some_and(|at| now.since(at) < LOOK_AROUND) {
            return;
        }
        self.looked = Some(now);
        let topics = ["commands/joint_group", "commands/joint_single", "commands/joint_trajectory"];
        let other_publishers = topics.map(|topic| self.node.publishers_of(topic).len()).into_iter().max().unwrap_or(0);
        if let Some(state) = &mut self.seen
            && state.other_publishers != other_publishers
        {
            state.other_publishers = other_publishers;
            self.changed = true;
        }
    }

    /// Polls a servo for hardware errors; the reply is picked up in a later turn, so commands never wait for it.
    fn look_after(&mut self, now: Timestamp) {
        if let Some((servo, request)) = self.pending {
            match self.health.response(request) {
                Ok(Some(answer)) => {
                    self.pending = None;
                    let bits = answer.values.first().copied().unwrap_or(0);
                    self.schedule.replied(now, bits != 0);
                    // Few servos, eight bits.
                    let fault = (bits != 0).then_some(FaultCode(((servo as u32) << 8) | (bits as u32 & 0xff)));
                    // A fault of another servo stays until that one was polled again.
                    let of_it = |fault: FaultCode| (fault.0 >> 8) as usize == servo;
                    self.excuse(|state| match state.fault {
                        Some(known) if !of_it(known) => {}
                        _ => state.fault = fault,
                    });
                }
                Ok(None) => {}
                Err(_) => {
                    self.pending = None;
                    self.schedule.failed(now);
                }
            }
        }
        // A poll without a reply is lost: the node died or was restarted in between.
        let Some(servo) = self.schedule.due(now) else { return };
        let request = RegisterValuesRequest {
            cmd_type: "single".into(),
            name: JOINTS.get(servo).copied().unwrap_or(GRIPPER).into(),
            reg: "Hardware_Error_Status".into(),
            value: 0,
        };
        if let Ok(Some(pending)) = self.health.send_request(request) {
            self.pending = Some((servo, pending));
            self.schedule.polled(now, servo);
            self.excuse(|_| {});
        }
    }

    /// Reports to the guard that this thread is alive; returns what is wrong with it, or with this thread's timing.
    fn beat(&mut self, now: Timestamp) -> Option<GuardFault> {
        let heartbeat = self.heartbeat.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let fault = heartbeat.as_ref().and_then(|heartbeat| heartbeat.fault(now));
        if let Some(heartbeat) = &heartbeat {
            // Until the first velocity was sent the last command was a position, from which there is no ramp down.
            let velocity = self.target.is_some_and(|(target, _)| target.mode() == ControlMode::Velocity);
            heartbeat.beat(now, &if velocity { self.sent } else { JointVector::zeros(6) });
        }
        if let Some(state) = &mut self.seen
            && state.guard != fault
        {
            state.guard = fault;
            self.changed = true;
        }
        fault
    }

    /// Publishes until when a register read excuses silence, and the other shared values.
    fn excuse(&mut self, news: impl FnOnce(&mut WorkerState)) {
        let until = self.schedule.excused_until();
        if let Some(state) = &mut self.seen {
            state.excused_until = until;
            news(state);
            self.changed = true;
        }
    }

    fn silent(&self, now: Timestamp) -> bool {
        self.seen
            .is_some_and(|state| self.silence_watch.is_silent(now, state.good_at, self.silence) && !state.excused(now))
    }

    /// Are the threads alive that send and receive? If not, a new node takes over, through which a stop can be sent.
    fn look_at_link(&mut self, now: Timestamp) {
        let quiet = self.seen.is_some_and(|state| now.since(state.good_at) > self.silence / 2);
        let often = if quiet { LOOK_AT_LINK } else { LOOK_AROUND };
        if self.checked.is_some_and(|at| now.since(at) < often) {
            return;
        }
        self.checked = Some(now);
        if self.node.loops_alive() {
            return;
        }
        if !std::mem::replace(&mut self.dead, true) {
            tracing::error!("widowx: {}", DriverError::LinkDied);
            self.excuse(|state| state.link_died = true);
            self.lose(now);
        } else if self.rebuilt.is_none_or(|at| now.since(at) >= REBUILD) {
            // In the turn after the one that reported it to the control thread.
            self.rebuilt = Some(now);
            match self.rebuild() {
                Ok(()) => tracing::warn!("widowx: new ROS 2 threads reach its node; it is commanded to stop"),
                Err(error) => tracing::error!("widowx: its node cannot be reached by new ROS 2 threads: {error}"),
            }
        }
    }

    fn rebuild(&mut self) -> Result<(), RosError> {
        let node = RosNode::start(self.node.settings().clone())?;
        let topics = Topics::of(&node)?;
        let health = node.client("get_motor_registers")?;
        let stop = ServiceStop::of(&node)?;
        let old = (
            std::mem::replace(&mut self.stop, stop),
            std::mem::replace(&mut self.topics, topics),
            std::mem::replace(&mut self.health, health),
            std::mem::replace(&mut self.node, node),
        );
        // The old threads may never end: do not wait for them here.
        std::thread::spawn(move || drop(old));
        (self.pending, self.dead) = (None, false);
        self.topics.group.wait_for_subscriber(REBUILD)
    }

    /// The arm's state is unknown, or it does not receive commands: of this activation only a stop is sent.
    fn lose(&mut self, now: Timestamp) {
        let Some((target, _)) = self.target else { return };
        if self.lost == Some(target.activation) {
            return;
        }
        (self.lost, self.stops_sent) = (Some(target.activation), 0);
        self.stop.begin(now);
        self.excuse(|state| state.lost = true);
        // It is fed no more, and stops the arm too.
        if let Some(heartbeat) = self.heartbeat.lock().unwrap_or_else(PoisonError::into_inner).take() {
            heartbeat.stop(&JointVector::zeros(6));
        }
        if let Some(joint) = self.seen.and_then(|state| state.runaway_joint) {
            tracing::error!("widowx: {}", DriverError::Runaway { joint });
            return;
        }
        let age = self.seen.map_or(0.0, |state| now.since(state.good_at).as_secs_f64());
        let told = match target.mode() {
            ControlMode::Velocity => "zero velocity is sent without knowing where it is",
            _ => "its servos go to the last position and stay there, and nothing more is sent",
        };
        tracing::error!("widowx: no state for {:.0} ms: {told}. Whether it stands is not known", age * 1e3);
    }

    fn publish_joints(&mut self, joints: &JointVector) {
        self.sent = *joints;
        if let Err(error) = self.topics.group.publish(group_command(joints)) {
            self.full += 1;
            // Logged once, and then at every power of two, to avoid a flood of lines.
            if self.full.is_power_of_two() {
                tracing::warn!("{error} ({} commands lost so far)", self.full);
            }
        }
    }

    fn publish_gripper(&mut self, value: f64) {
        if let Err(error) = self.topics.single.publish(gripper_command(value)) {
            tracing::debug!("{error}");
        }
    }

    /// Sends zero until the arm's state shows that it stands still, for as long as a hold may take.
    fn comes_to_rest(&mut self, heartbeat: &Heartbeat) -> bool {
        heartbeat.pause();
        let (mut still, deadline) = (Standstill::default(), Instant::now() + LAST_LOOK);
        let mut news = Instant::now();
        // Times of this loop alone.
        let began = Instant::now();
        let now = || Timestamp::ZERO + began.elapsed();
        while Instant::now() < deadline {
            let before = self.seen.map(|state| state.good_at);
            self.take_states(now());
            if let Some(state) = self.seen.filter(|state| Some(state.good_at) != before) {
                still.observe(now(), &state.arm.positions);
                news = Instant::now();
            }
            if news.elapsed() > NO_NEWS {
                return false;
            }
            if still.stands(now()) {
                return true;
            }
            self.publish_joints(&JointVector::zeros(6));
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// Moves the fingers to the target; called at state rate.
    fn grip(&mut self, now: Timestamp) {
        let (Some((target, _)), Some(state)) = (self.target, self.seen) else { return };
        let goal = self.gripper.finger_from_fraction(target.command.gripper().clamp(0.0, 1.0));
        match self.drive {
            GripperDrive::LinearPosition => {
                if goal != self.grip_goal {
                    self.grip_goal = goal;
                    // The node wants the opening between the fingers, within their stops.
                    self.publish_gripper(2.0 * goal.clamp(self.gripper.finger_min, self.gripper.finger_max));
                }
            }
            GripperDrive::Pwm => {
                if self.gripped.is_some_and(|at| now.since(at) < GRIP_PERIOD) {
                    return;
                }
                self.gripped = Some(now);
                if goal != self.grip_goal || (state.arm.finger - self.still.0).abs() > 3e-4 {
                    self.grip_goal = goal;
                    self.still = (state.arm.finger, now);
                }
                let most = if now.since(self.still.1) > PUSHING { KEEP } else { PUSH };
                self.publish_gripper((GAIN * (goal - state.arm.finger)).clamp(-1.0, 1.0) * most);
            }
        }
    }
}

/// A state that was never good is older than any limit.
fn nothing_yet() -> WorkerState {
    let still = JointVector::zeros(6);
    WorkerState {
        arm: ArmState { positions: still, velocities: still, torques: still, finger: 0.0 },
        good_at: Timestamp::ZERO,
        bad: None,
        bad_states: 0,
        other_publishers: 0,
        fault: None,
        guard: None,
        runaway_joint: None,
        lost: false,
        excused_until: Timestamp::ZERO,
        link_died: false,
    }
}

impl BridgeWorker for Worker {
    type State = WorkerState;
    /// `None`: nothing is sent to the arm.
    type Command = Option<Target>;
    type Request = Call;
    /// The node that the worker works with.
    type Response = RosNode;

    fn poll(&mut self, now: Timestamp) -> Option<WorkerState> {
        self.beat(now);
        self.silence_watch.polled(now);
        self.take_states(now);
        self.look_at_link(now);
        self.look_around(now);
        self.look_after(now);
        self.grip(now);
        std::mem::take(&mut self.changed).then_some(self.seen).flatten()
    }

    fn command(&mut self, now: Timestamp, command: &Option<Target>, fresh: bool) {
        let turns = command.is_some_and(|target| target.mode() == ControlMode::Velocity);
        let lost = self.target.is_some_and(|(target, _)| self.lost == Some(target.activation));
        if turns && self.beat(now).is_some() && !lost {
            // Without its guard the arm stands still, whatever is requested; after the guard stopped it, it is not moved again.
            self.publish_joints(&JointVector::zeros(6));
            return;
        }
        if fresh {
            if let Some(new) = command.filter(|new| self.target.is_none_or(|(old, _)| old.activation != new.activation))
            {
                self.runaway.start(new.mode());
            }
            self.target = command.map(|target| (target, now));
            self.stopped = false;
        }
        let Some((target, at)) = self.target else { return };
        if self.silent(now) || self.seen.is_some_and(|state| state.runaway_joint.is_some()) {
            self.lose(now);
        }
        if self.lost == Some(target.activation) && Protection::BlindRamp.is_on() {
            // Velocities are executed forever. Positions are reached and held, and there is no better goal.
            if target.mode() == ControlMode::Velocity && !self.dead {
                if self.stops_sent < STOP_REPEATS {
                    self.stops_sent += 1;
                    self.publish_joints(&JointVector::zeros(6));
                }
                // The same on another path: a topic alone may be lost.
                self.stop.go_on(now);
            }
            return;
        }
        if fresh {
            self.publish_joints(&target.command.joints());
            return;
        }
        // The node keeps turning at the last velocity forever: on a silent control loop a stop is sent, once.
        if target.mode() == ControlMode::Velocity
            && !self.stopped
            && now.since(at) > self.command_gap
            && Protection::CommandDeadline.is_on()
        {
            self.stopped = true;
            self.publish_joints(&JointVector::zeros(6));
        }
    }

    fn request(&mut self, _now: Timestamp, call: Call) -> RosNode {
        if call == Call::Quiet {
            self.target = None;
            self.excuse(|state| (state.link_died, state.lost, state.runaway_joint) = (false, false, None));
        }
        self.node.clone()
    }

    fn ended(&mut self, _now: Timestamp) {
        let Some((target, _)) = self.target else { return };
        let heartbeat = self.heartbeat.lock().unwrap_or_else(PoisonError::into_inner).take();
        let said = self.lost == Some(target.activation) && self.stops_sent >= STOP_REPEATS;
        if target.mode() == ControlMode::Velocity && !said {
            self.publish_joints(&JointVector::zeros(6));
        }
        if self.drive == GripperDrive::Pwm {
            // Nothing will reduce the force later; the gear holds by friction.
            self.publish_gripper(0.0);
        }
        // Dropping the publishers would take back what was not delivered yet.
        std::thread::sleep(Duration::from_millis(20));
        if let Some(heartbeat) = heartbeat
            && self.comes_to_rest(&heartbeat)
        {
            heartbeat.done();
        }
        // Without this message a guard takes the end of this program for a crash, and continues the stop.
    }
}
