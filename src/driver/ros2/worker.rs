//! What the bridge thread of an arm does, the same for every arm: pace, ramps, silence, second commanders.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::state::{ArmState, Condition};
use super::stream::Stream;
use super::{LinkOptions, REFUSED};
use crate::action::{ControlMode, JointCommand};
use crate::config::Robot;
use crate::driver::guard::{Guarded, Heart, Standstill};
use crate::driver::{ConnectError, DriverError, FaultCode, Finding, GuardFault};
use crate::observation::JointVector;
use crate::time::{Clock, Timestamp};
use crate::transport::ros2::BridgeWorker;

/// One arm's topics, services and rules. Runs on the bridge thread; may block only in `verify`, `activate`, `recover`,
/// `release` and `findings`.
pub trait ArmLink: Send + 'static {
    /// The newest state, if something new came; `now` is the time of receipt.
    fn poll(&mut self, now: Timestamp) -> Option<ArmState>;
    /// Why no state came for so long: nobody there, another type or quality of service, other joints.
    fn silence(&self, waited: Duration) -> ConnectError;
    /// Is everybody there who must be, and nobody who must not? Looked at before torque.
    fn verify(&mut self, patience: Duration) -> Result<(), ConnectError>;
    /// Others who publish on the command topic.
    fn rivals(&self) -> usize;
    /// The modes in which its controller goes on with the last command for ever, and what guards the arm then.
    fn guarded(&self, robot: &Robot) -> Option<Guarded> {
        let _ = robot;
        None
    }
    /// Torque on, in this mode, holding these joints \[rad\].
    fn activate(&mut self, mode: ControlMode, at: &JointVector) -> Result<(), DriverError>;
    /// Sends the stream's last command.
    fn send(&mut self, stream: &Stream, state: &ArmState);
    /// Sends the stream's last command of a stop. Once `at_rest` the link may hand over to the arm's own hold; it then says
    /// so, and the next command starts anew from what is measured.
    fn rest(&mut self, stream: &Stream, state: &ArmState, at_rest: bool) -> bool;
    /// Where the gripper goes: 0 closed .. 1 open.
    fn gripper(&mut self, fraction: f64);
    /// Clears what can be cleared.
    fn recover(&mut self, patience: Duration) -> Result<(), ConnectError>;
    /// The program ends; the arm stands: leaves it so that it stays there by itself.
    fn release(&mut self, state: &ArmState);
    /// What `check` says beyond what is the same for every arm, and round-trip times of calls \[s\].
    fn findings(&mut self) -> (Vec<Finding>, Vec<f64>);
    /// A fault in words for a person.
    fn fault_text(fault: FaultCode) -> String;
}

/// What the control thread asks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// Follow this command.
    Follow(JointCommand),
    /// Stop and stay.
    Hold,
}

/// Slow calls.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    /// In this mode, with what beats for its guard if it needs one.
    Activate(ControlMode, Option<Heart>),
    Recover,
    Survey,
}

/// Their answers.
pub(super) enum Answer {
    Activated(Result<(), DriverError>),
    Recovered(Result<(), ConnectError>),
    Survey(Vec<Finding>, Vec<f64>),
}

/// How often it is looked for a second commander.
const LOOK_FOR_RIVALS: Duration = Duration::from_millis(200);

/// Longest ramp when the program ends.
const LAST_RAMP: Duration = Duration::from_secs(2);

/// How long it is looked, at the end, whether the arm came to rest.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// Without a state for this long nothing is seen: the guard, which has threads and a link of its own, takes over at once.
const NO_NEWS: Duration = Duration::from_millis(250);

/// How often the command of standing still is said when the program ends.
const LAST_WORDS: u32 = 5;

pub(super) struct Worker<L: ArmLink> {
    link: L,
    robot: Robot,
    options: LinkOptions,
    period: Duration,
    clock: Arc<dyn Clock>,
    stream: Stream,
    state: Option<(ArmState, Timestamp)>,
    /// Mode the arm was activated in; none while nothing is sent.
    mode: Option<ControlMode>,
    /// Holding until activated again, whatever is asked.
    latched: bool,
    /// Why nothing is sent although the arm was activated.
    lost: Option<DriverError>,
    /// The arm's own hold took over.
    settled: bool,
    heard: Timestamp,
    rivals: usize,
    looked: Option<Timestamp>,
    gripper: Option<f64>,
    /// Beats for the guard of the mode, where it needs one.
    heart: Option<Heart>,
}

impl<L: ArmLink> Worker<L> {
    pub(super) fn new(link: L, robot: &Robot, options: LinkOptions, rate: f64, clock: Arc<dyn Clock>) -> Self {
        Self {
            link,
            robot: robot.clone(),
            options,
            period: Duration::from_secs_f64(1.0 / rate),
            clock,
            stream: Stream::new(robot, rate),
            state: None,
            mode: None,
            latched: false,
            lost: None,
            settled: false,
            heard: Timestamp::ZERO,
            rivals: 0,
            looked: None,
            gripper: None,
            heart: None,
        }
    }

    /// What is wrong with the guard, or with this thread's own pace.
    fn guard_fault(&self, now: Timestamp) -> Option<GuardFault> {
        self.heart.as_ref().and_then(|heart| heart.fault(now))
    }

    /// Tells the guard that this thread is alive and what it sent last.
    fn beat(&self, now: Timestamp) {
        if let Some(heart) = &self.heart {
            heart.beat(now, self.stream.last());
        }
    }

    /// Before a slow call this thread will not beat. An arm at rest needs none; one that is not is the guard's to stop.
    fn pause(&self) {
        if let Some(heart) = &self.heart
            && self.stream.last().iter().all(|value| *value == 0.0)
        {
            heart.pause();
        }
    }

    /// The guard may go once the arm's state shows that it stands; otherwise it takes over when this program is gone.
    fn let_guard_go(&mut self) {
        let Some(heart) = self.heart.take() else { return };
        let (mut still, deadline) = (Standstill::default(), Instant::now() + LAST_LOOK);
        let mut news = Instant::now();
        while Instant::now() < deadline && news.elapsed() <= NO_NEWS {
            if let Some(state) = self.link.poll(self.clock.now()) {
                still.see(self.clock.now(), &state.positions);
                news = Instant::now();
            }
            if still.stands(self.clock.now()) {
                heart.done();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for a state that is newer than `after`.
    fn wait_for_state(&mut self, after: Timestamp) -> Option<ArmState> {
        let deadline = Instant::now() + self.options.patience;
        loop {
            self.poll(self.clock.now());
            match self.state {
                Some((state, at)) if at > after => return Some(state),
                _ if Instant::now() >= deadline => return None,
                _ => std::thread::park_timeout(Duration::from_millis(2)),
            }
        }
    }

    fn activate(&mut self, mode: ControlMode) -> Result<(), DriverError> {
        let state = self.wait_for_state(self.clock.now()).ok_or(DriverError::Silent)?;
        match state.condition {
            Condition::Fault(code) => return Err(DriverError::Fault(code)),
            Condition::SecondCommander => return Err(DriverError::SecondCommander),
            Condition::Lost(error) => return Err(error),
            Condition::Ready => {}
        }
        if let Some(error) = state.implausible(&self.robot) {
            return Err(error);
        }
        self.link.activate(mode, &state.positions)?;
        // Switching took time: what is held is what is measured now.
        let state = self.wait_for_state(self.clock.now()).ok_or(DriverError::Silent)?;
        if let Some(error) = state.implausible(&self.robot) {
            return Err(error);
        }
        self.stream.seed(mode, &state.positions);
        (self.mode, self.latched, self.settled, self.gripper) = (Some(mode), false, false, None);
        self.heard = self.clock.now();
        Ok(())
    }

    fn hold(&mut self, state: &ArmState) {
        let (_, at_rest) = self.stream.stop(&state.positions, &state.velocities);
        self.settled = self.link.rest(&self.stream, state, at_rest);
    }
}

impl<L: ArmLink> BridgeWorker for Worker<L> {
    type State = ArmState;
    type Command = Order;
    type Request = Ask;
    type Response = Answer;

    fn poll(&mut self, now: Timestamp) -> Option<ArmState> {
        self.beat(now);
        let mut state = self.link.poll(now)?;
        if self.looked.is_none_or(|at| now.since(at) >= LOOK_FOR_RIVALS) {
            self.looked = Some(now);
            self.rivals = self.link.rivals();
        }
        if state.condition == Condition::Ready && self.rivals > 0 {
            state.condition = Condition::SecondCommander;
        }
        if let (Condition::Ready, Some(error)) = (state.condition, self.lost) {
            state.condition = Condition::Lost(error);
        }
        if let (Condition::Ready, Some(fault)) = (state.condition, self.guard_fault(now)) {
            state.condition = Condition::Lost(DriverError::Guard(fault));
        }
        self.state = Some((state, now));
        Some(state)
    }

    fn command(&mut self, now: Timestamp, order: &Order, fresh: bool) {
        let (Some(mode), Some((state, at))) = (self.mode, self.state) else { return };
        if fresh {
            self.heard = now;
        }
        let lost = match state.condition {
            _ if now.since(at) > self.options.stale => Some(DriverError::Silent),
            Condition::Fault(code) => Some(DriverError::Fault(code)),
            _ => state.implausible(&self.robot),
        };
        if lost.is_some() {
            // Nothing is known of the arm, or it does not listen: what we would send is where it was. Its own time-out
            // holds it; it is commanded again once it was activated again. The control thread sees newest states only and
            // may have missed this one, so the reason is kept for it.
            (self.mode, self.lost) = (None, lost);
            return;
        }
        self.latched |= state.condition == Condition::SecondCommander;
        match self.guard_fault(now) {
            None => {}
            // It stopped the arm, or is about to: what it sends is sent, and nothing that was decided before.
            Some(GuardFault::Late | GuardFault::Tripped) => {
                self.latched = true;
                self.stream.seed(mode, &state.positions);
                self.settled = self.link.rest(&self.stream, &state, false);
                return;
            }
            Some(GuardFault::Ended | GuardFault::Silent | GuardFault::Missing) => self.latched = true,
        }
        match order {
            Order::Follow(command)
                if command.mode == mode && !self.latched && now.since(self.heard) <= self.options.deadline =>
            {
                if std::mem::take(&mut self.settled) {
                    self.stream.seed(mode, &state.positions);
                }
                self.stream.toward(command);
                self.link.send(&self.stream, &state);
                // Grippers are slow and their topics slower: only a change of one percent is news.
                if command.gripper.is_finite() && self.gripper.is_none_or(|last| (last - command.gripper).abs() > 0.01)
                {
                    self.gripper = Some(command.gripper);
                    self.link.gripper(command.gripper.clamp(0.0, 1.0));
                }
            }
            _ => self.hold(&state),
        }
    }

    fn request(&mut self, _: Timestamp, request: Ask) -> Answer {
        match request {
            Ask::Activate(mode, heart) => {
                (self.mode, self.lost, self.heart) = (None, None, heart);
                let result = self.activate(mode);
                if let (Ok(()), Some(heart)) = (&result, &self.heart) {
                    heart.arm();
                }
                if let Err(DriverError::Fault(code)) = &result {
                    tracing::error!("{}: {}", self.robot.robot.name, super::arm::text::<L>(*code));
                }
                Answer::Activated(result)
            }
            Ask::Recover => {
                self.pause();
                if self.guard_fault(self.clock.now()).is_some() {
                    self.heart = None;
                }
                (self.mode, self.lost) = (None, None);
                let patience = self.options.patience;
                let result = match self.wait_for_state(self.clock.now()) {
                    None => Err(self.link.silence(patience)),
                    Some(_) => self.link.recover(patience).and_then(|()| self.link.verify(patience)),
                };
                self.looked = None;
                Answer::Recovered(result)
            }
            Ask::Survey => {
                self.pause();
                let (findings, round_trips) = self.link.findings();
                Answer::Survey(findings, round_trips)
            }
        }
    }

    fn ended(&mut self, _: Timestamp) {
        let (Some(_), Some((state, _))) = (self.mode, self.state) else { return };
        let deadline = Instant::now() + LAST_RAMP;
        let mut due = Instant::now();
        let mut state = state;
        // Messages that end a motion may be lost on the way: the last is said several times.
        let mut repeated = 0;
        loop {
            if let Some(newer) = self.link.poll(self.clock.now()) {
                state = newer;
            }
            let (_, at_rest) = self.stream.stop(&state.positions, &state.velocities);
            self.link.rest(&self.stream, &state, at_rest);
            self.beat(self.clock.now());
            repeated += u32::from(at_rest);
            if repeated >= LAST_WORDS || Instant::now() >= deadline {
                break;
            }
            due += self.period;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        if let Some(heart) = &self.heart {
            heart.pause();
        }
        self.link.release(&state);
        self.let_guard_go();
    }
}

/// A refused call as what the control thread is told; the words go to the log.
pub fn refused(arm: &str, what: impl std::fmt::Display) -> DriverError {
    tracing::error!("{arm}: {what}");
    DriverError::Fault(REFUSED)
}
