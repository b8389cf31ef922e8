//! The bridge thread's work: states from `joint_states`, commands to the command topics, the gripper's loop, health.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::GripperDrive;
use super::session::{Session, Topics};
use crate::action::ControlMode;
use crate::driver::guard::{Heart, Standstill};
use crate::driver::widowx::wire::xs_sdk::{ALL, ArmState, BadState, Order, gripper_command, group_command};
use crate::driver::{ConnectError, FaultCode, GuardFault};
use crate::observation::JointVector;
use crate::time::Timestamp;
use crate::transport::ros2::messages::interbotix::{RegisterValues, RegisterValuesRequest};
use crate::transport::ros2::{Asked, BridgeWorker, RosClient, RosError, RosNode};

/// Largest PWM of the gripper, counts: what Bridge uses; it does not overload within seconds.
const PUSH: f64 = 350.0;
/// PWM of a gripper that has pushed against something for a second, counts: still more than the 150 it takes to move.
const KEEP: f64 = 210.0;
/// Gain of the gripper's loop \[1/m\] (Bridge): full push beyond 3.3 mm of error.
const GAIN: f64 = 300.0;
/// How long the gripper may push without moving before it only keeps \[s\].
const PUSHING: Duration = Duration::from_secs(1);
/// How often it is looked who else publishes commands.
const LOOK_AROUND: Duration = Duration::from_millis(250);
/// How often the gripper is commanded (Bridge: 50 Hz).
const GRIP_PERIOD: Duration = Duration::from_millis(20);

/// How long it is looked, at the end, whether the arm comes to rest.
const LAST_LOOK: Duration = Duration::from_secs(2);
/// Without a state for this long nothing is seen: the guard, which has threads and a link of its own, takes over at once.
const NO_NEWS: Duration = Duration::from_millis(250);

/// What the control thread sees.
#[derive(Clone, Copy, Debug)]
pub(super) struct WorkerState {
    /// The newest good state.
    pub arm: ArmState,
    /// When it was received.
    pub good_at: Timestamp,
    /// What was wrong with the newest message, if it was.
    pub bad: Option<BadState>,
    /// Bad messages so far.
    pub bad_states: u64,
    /// Other programs that publish commands.
    pub rivals: usize,
    /// Servo (joint index, 6 the gripper) times 256 plus its hardware error bits.
    pub fault: Option<FaultCode>,
    /// What is wrong with the guard of velocity mode.
    pub guard: Option<GuardFault>,
}

/// What the control thread asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub mode: ControlMode,
    pub joints: JointVector,
    pub gripper: f64,
}

impl Target {
    /// Stay here.
    pub fn hold(mode: ControlMode, at: JointVector, gripper: f64) -> Self {
        let joints = if mode == ControlMode::Position { at } else { JointVector::zeros(at.len()) };
        Self { mode, joints, gripper }
    }
}

pub(super) struct Worker {
    topics: Topics,
    node: RosNode,
    health: RosClient<RegisterValues>,
    order: Order,
    range: [(f64, f64); 6],
    drive: GripperDrive,
    gripper: crate::config::Gripper,
    command_gap: Duration,
    health_period: Duration,
    seen: Option<WorkerState>,
    changed: bool,
    looked: Option<Timestamp>,
    asked: Option<(Asked, Timestamp)>,
    health_at: Option<Timestamp>,
    /// The newest target and when it came.
    target: Option<(Target, Timestamp)>,
    stopped: bool,
    gripped: Option<Timestamp>,
    grip_goal: f64,
    /// Finger position and the time from which it has not moved \[m\].
    still: (f64, Timestamp),
    full: u64,
    /// Beats for the guard, while there is one.
    heart: Arc<Mutex<Option<Heart>>>,
    /// The last command sent.
    sent: JointVector,
}

impl Worker {
    pub fn new(session: &mut Session, heart: Arc<Mutex<Option<Heart>>>) -> Result<Self, ConnectError> {
        let failed = |session: &Session, error: &RosError| session.link_error(error);
        let health = session.node.client("get_motor_registers").map_err(|error| failed(session, &error))?;
        let ended = RosError::Ended { name: "xs-sdk-bridge".into() };
        let topics = session.topics().ok_or_else(|| failed(session, &ended))?;
        Ok(Self {
            topics,
            node: session.node.clone(),
            health,
            order: session.order,
            range: session.range,
            drive: session.options.gripper,
            gripper: session.gripper.clone(),
            command_gap: Duration::from_secs_f64(session.options.command_gap.max(0.02)),
            health_period: Duration::from_secs_f64(session.options.health_period.max(0.1)),
            seen: None,
            changed: false,
            looked: None,
            asked: None,
            health_at: None,
            target: None,
            stopped: false,
            gripped: None,
            grip_goal: f64::NAN,
            still: (0.0, Timestamp::ZERO),
            full: 0,
            heart,
            sent: JointVector::zeros(6),
        })
    }

    fn take_states(&mut self, now: Timestamp) {
        loop {
            match self.topics.states.take() {
                Ok(Some(message)) => match self.order.read(&message, &self.range) {
                    Ok(arm) => {
                        let old = self.seen;
                        self.seen = Some(WorkerState {
                            arm,
                            good_at: now,
                            bad: None,
                            bad_states: old.map_or(0, |state| state.bad_states),
                            rivals: old.map_or(0, |state| state.rivals),
                            fault: old.and_then(|state| state.fault),
                            guard: old.and_then(|state| state.guard),
                        });
                        self.changed = true;
                    }
                    Err(bad) => {
                        let still = JointVector::zeros(6);
                        // Nothing good yet: a state that was never good is older than any limit.
                        let none = ArmState { positions: still, velocities: still, torques: still, finger: 0.0 };
                        let state = self.seen.get_or_insert(WorkerState {
                            arm: none,
                            good_at: Timestamp::ZERO,
                            bad: None,
                            bad_states: 0,
                            rivals: 0,
                            fault: None,
                            guard: None,
                        });
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

    fn look_around(&mut self, now: Timestamp) {
        if self.looked.is_some_and(|at| now.since(at) < LOOK_AROUND) {
            return;
        }
        self.looked = Some(now);
        let topics = ["commands/joint_group", "commands/joint_single", "commands/joint_trajectory"];
        let rivals = topics.map(|topic| self.node.publishers_of(topic).len()).into_iter().max().unwrap_or(0);
        if let Some(state) = &mut self.seen
            && state.rivals != rivals
        {
            state.rivals = rivals;
            self.changed = true;
        }
    }

    /// Asks the servos for hardware errors; the answer is picked up in a later turn, so commands never wait for it.
    fn look_after(&mut self, now: Timestamp) {
        if let Some((asked, at)) = self.asked {
            match self.health.answer(asked) {
                Ok(Some(answer)) => {
                    self.asked = None;
                    let found = answer.values.iter().enumerate().find(|(_, bits)| **bits != 0);
                    // Few servos, eight bits.
                    let fault = found.map(|(servo, bits)| FaultCode(((servo as u32) << 8) | (*bits as u32 & 0xff)));
                    if let Some(state) = &mut self.seen
                        && state.fault != fault
                    {
                        state.fault = fault;
                        self.changed = true;
                    }
                }
                Ok(None) if now.since(at) < 4 * self.health_period => return,
                // Lost: the node died or was restarted in between.
                Ok(None) | Err(_) => self.asked = None,
            }
        }
        if self.health_at.is_some_and(|at| now.since(at) < self.health_period) {
            return;
        }
        self.health_at = Some(now);
        let request = RegisterValuesRequest {
            cmd_type: "group".into(),
            name: ALL.into(),
            reg: "Hardware_Error_Status".into(),
            value: 0,
        };
        if let Ok(Some(asked)) = self.health.ask(request) {
            self.asked = Some((asked, now));
        }
    }

    /// Tells the guard that this thread is alive; answers what is wrong with it, or with this thread's own pace.
    fn beat(&mut self, now: Timestamp) -> Option<GuardFault> {
        let heart = self.heart.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let fault = heart.as_ref().and_then(|heart| heart.fault(now));
        if let Some(heart) = &heart {
            // Until the first velocity was sent the last command was a position, which is none to ramp down from.
            let velocity = self.target.is_some_and(|(target, _)| target.mode == ControlMode::Velocity);
            heart.beat(now, &if velocity { self.sent } else { JointVector::zeros(6) });
        }
        if let Some(state) = &mut self.seen
            && state.guard != fault
        {
            state.guard = fault;
            self.changed = true;
        }
        fault
    }

    fn publish_joints(&mut self, joints: &JointVector) {
        self.sent = *joints;
        if let Err(error) = self.topics.group.publish(group_command(joints)) {
            self.full += 1;
            // Once, and then at every power of two: a flood of lines helps nobody.
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

    /// Says zero until the arm's state shows that it stands, for as long as a hold may take.
    fn comes_to_rest(&mut self, heart: &Heart) -> bool {
        heart.pause();
        let (mut still, deadline) = (Standstill::default(), Instant::now() + LAST_LOOK);
        let mut news = Instant::now();
        // Times of this loop alone.
        let began = Instant::now();
        let now = || Timestamp::ZERO + began.elapsed();
        while Instant::now() < deadline {
            let before = self.seen.map(|state| state.good_at);
            self.take_states(now());
            if let Some(state) = self.seen.filter(|state| Some(state.good_at) != before) {
                still.see(now(), &state.arm.positions);
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
        let goal = self.gripper.finger_from_fraction(target.gripper.clamp(0.0, 1.0));
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

impl BridgeWorker for Worker {
    type State = WorkerState;
    type Command = Target;
    type Request = ();
    type Response = ();

    fn poll(&mut self, now: Timestamp) -> Option<WorkerState> {
        self.beat(now);
        self.take_states(now);
        self.look_around(now);
        self.look_after(now);
        self.grip(now);
        std::mem::take(&mut self.changed).then_some(self.seen).flatten()
    }

    fn command(&mut self, now: Timestamp, command: &Target, fresh: bool) {
        if command.mode == ControlMode::Velocity && self.beat(now).is_some() {
            // Without its guard the arm stands, whatever is asked, and after the guard stopped it, it is not moved again.
            self.publish_joints(&JointVector::zeros(6));
            return;
        }
        if fresh {
            self.target = Some((*command, now));
            self.stopped = false;
            self.publish_joints(&command.joints);
            return;
        }
        // The node turns on at the last velocity forever: a silent control loop is a stop, once.
        if let Some((target, at)) = self.target
            && target.mode == ControlMode::Velocity
            && !self.stopped
            && now.since(at) > self.command_gap
        {
            self.stopped = true;
            self.publish_joints(&JointVector::zeros(6));
        }
    }

    fn request(&mut self, _now: Timestamp, (): ()) {}

    fn ended(&mut self, _now: Timestamp) {
        let Some((target, _)) = self.target else { return };
        let heart = self.heart.lock().unwrap_or_else(PoisonError::into_inner).take();
        if target.mode == ControlMode::Velocity {
            self.publish_joints(&JointVector::zeros(6));
        }
        if self.drive == GripperDrive::Pwm {
            // No one is left to ease the push; the gear holds by friction.
            self.publish_gripper(0.0);
        }
        // Dropping the publishers would take back what was not delivered yet.
        std::thread::sleep(Duration::from_millis(20));
        if let Some(heart) = heart
            && self.comes_to_rest(&heart)
        {
            heart.done();
        }
        // A guard that is not told so takes the end of this program for what it is, and goes on where we stop.
    }
}
