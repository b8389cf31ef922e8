//! What the bridge thread of an arm does, the same for every arm: pace, ramps, silence, second commanders.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::hearing::Hearing;
use super::runaway::Runaway;
use super::state::{ArmState, Condition};
use super::stream::Stream;
use super::{LinkOptions, REFUSED};
use crate::action::{ControlMode, JointCommand};
use crate::config::Robot;
use crate::driver::guard::{Guarded, Heart, Standstill};
use crate::driver::{ConnectError, DriverError, FaultCode, Finding, GuardFault};
use crate::observation::JointVector;
use crate::protection::Protection;
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
    /// Does its controller go on with the last command of this mode for ever? Then its states are compared with what was sent;
    /// for torques it must tell efforts.
    fn endless(&self, mode: ControlMode) -> bool {
        let _ = mode;
        false
    }
    /// Does the arm's own hold have it, so that it stands whatever becomes of this program? Its guard then lets silence pass,
    /// also that of the slow way back to commands.
    fn own_hold(&self) -> OwnHold {
        OwnHold::No
    }
    /// Torque on, in this mode, holding these joints \[rad\].
    fn activate(&mut self, mode: ControlMode, at: &JointVector) -> Result<(), DriverError>;
    /// Sends the stream's last command.
    fn send(&mut self, stream: &Stream, state: &ArmState);
    /// Sends the stream's last command of a stop. Once `at_rest` the link may hand over to the arm's own hold; it then says
    /// so, and the next command starts anew from what is measured.
    fn rest(&mut self, stream: &Stream, state: &ArmState, at_rest: bool) -> bool;
    /// Sends the stream's last command of a ramp to rest although nothing is known of the arm ([`Stream::stop_blind`] made
    /// it; `at_rest` is its answer). Says whether what was sent is rest.
    fn blind(&mut self, stream: &Stream, at_rest: bool) -> bool;
    /// After a blind ramp ended, and at once where commands do not arrive: switches the arm's controller off where it has such a
    /// switch, so that what it follows is no longer ours. Called once per period until it is no longer under way; must not wait for an answer.
    fn switch_off(&mut self, mode: ControlMode) -> Off;
    /// Are the threads still there that send and receive for this link? Asked now and then, never on the control thread.
    fn alive(&self) -> bool;
    /// Makes everything anew that hangs on those threads, and waits until commands reach the arm again. Moves nothing and
    /// forgets nothing of what was sent.
    fn rebuild(&mut self, patience: Duration) -> Result<(), ConnectError>;
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

/// Who has an arm that was told to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnHold {
    /// Our commands.
    No,
    /// Its own hold was asked for and did not answer yet; until then it is not commanded on.
    Asked,
    /// Its own hold.
    Yes,
}

/// What became of an arm's controller after a ramp to rest without its state, or without its ear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Off {
    /// It has no switch: the command of rest is repeated, where that is no place.
    None,
    /// Asked; it did not answer yet.
    Pending,
    /// It follows us no longer, for this reason.
    Done(&'static str),
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

/// How often the command of standing still is said when the program ends, and after a ramp without states: messages that end
/// a motion may be lost on the way.
const LAST_WORDS: u32 = 5;

/// How long a controller may take to say that it is off.
const SWITCHING: Duration = Duration::from_secs(2);

/// How often a new link is tried after the old one died, and how long each trial may take.
const REBUILD: Duration = Duration::from_secs(2);

/// How often a silent arm's link is looked at.
const LOOK_AT_LINK: Duration = Duration::from_millis(10);

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
    /// Why the arm is not commanded although it was activated.
    lost: Option<DriverError>,
    /// How far the ramp to rest is that this began.
    ramp: Ramp,
    /// The link's threads are gone.
    dead: bool,
    /// When the link was last looked at.
    checked: Option<Timestamp>,
    /// The arm's own hold took over.
    settled: bool,
    /// Does it do what it is told, and which joint does not?
    runaway: Runaway,
    astray: Option<usize>,
    heard: Timestamp,
    hearing: Hearing,
    rivals: usize,
    looked: Option<Timestamp>,
    gripper: Option<f64>,
    /// Beats for the guard of the mode, where it needs one.
    heart: Option<Heart>,
}

/// A ramp to rest without the arm's state.
#[derive(Clone, Copy, Debug, Default)]
struct Ramp {
    /// How often the command of rest was said.
    said: u32,
    /// Since when the controller is asked to switch off.
    asked: Option<Timestamp>,
    /// It does not answer, or has no switch.
    stays_on: bool,
    /// When a new link was last tried.
    rebuilt: Option<Timestamp>,
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
            ramp: Ramp::default(),
            dead: false,
            checked: None,
            settled: false,
            runaway: Runaway::of(robot),
            astray: None,
            heard: Timestamp::ZERO,
            hearing: Hearing::new(Duration::from_secs_f64(1.0 / rate)),
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

    /// Has the guard stop the arm too, over a link of its own, once the last command is one of rest, so that both say the same.
    /// It is no longer fed. Answers whether there is one.
    fn call_the_guard(&mut self) -> bool {
        let heart = self.heart.take();
        heart.inspect(|heart| heart.stop(self.stream.last())).is_some()
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
        self.runaway.start(mode);
        self.astray = None;
        (self.mode, self.latched, self.settled, self.gripper) = (Some(mode), false, false, None);
        self.heard = self.clock.now();
        Ok(())
    }

    /// Why the arm can no longer be commanded by what is known of it.
    fn trouble(&self, now: Timestamp, state: &ArmState, at: Timestamp) -> Option<DriverError> {
        match state.condition {
            _ if self.dead => Some(DriverError::LinkDied),
            _ if self.astray.is_some() => self.astray.map(|joint| DriverError::Runaway { joint }),
            _ if !Protection::StateCheck.is_on() => None,
            _ if self.hearing.silence(now, at) > self.options.stale => Some(DriverError::Silent),
            Condition::Fault(code) => Some(DriverError::Fault(code)),
            _ => state.implausible(&self.robot),
        }
    }

    /// Looks whether the link's threads are there: now and then, and more often while the arm is silent.
    fn look_at_link(&mut self, now: Timestamp) {
        let silent = self.state.is_some_and(|(_, at)| now.since(at) > self.options.stale / 2);
        let often = if silent { LOOK_AT_LINK } else { LOOK_FOR_RIVALS };
        if self.checked.is_none_or(|at| now.since(at) >= often) {
            self.checked = Some(now);
            let dead = !self.link.alive();
            if dead && !self.dead {
                tracing::error!("{}: {}", self.robot.robot.name, DriverError::LinkDied);
            }
            self.dead = dead;
        }
    }

    /// A new link where the old one died.
    fn revive(&mut self) -> Result<(), ConnectError> {
        if self.link.alive() {
            return Ok(());
        }
        let result = self.link.rebuild(self.options.patience);
        self.dead = !self.link.alive();
        result
    }

    /// One step of the ramp to rest of an arm of which nothing is known, or of what follows it.
    ///
    /// Velocities and torques: zero is repeated until the controller is off. Positions: once they are braked the controller
    /// holds the last one by itself, and nothing more is said, since a controller that comes back from elsewhere must not be
    /// sent to where the arm was.
    fn ramp_blind(&mut self, now: Timestamp, mode: ControlMode) {
        if self.dead {
            if self.ramp.rebuilt.is_some_and(|at| now.since(at) < REBUILD) {
                return;
            }
            self.ramp.rebuilt = Some(now);
            if let (true, Some((state, _))) = (self.call_the_guard(), self.state) {
                // It ramps down meanwhile: what is sent afterwards must not begin where that began.
                self.stream.seed(mode, &state.positions);
            }
            let arm = &self.robot.robot.name;
            match self.link.rebuild(REBUILD) {
                Ok(()) => tracing::warn!("{arm}: new ROS 2 threads reach it; it is ramped to rest"),
                Err(error) => tracing::error!("{arm}: it cannot be reached by new ROS 2 threads: {error}"),
            }
            self.dead = !self.link.alive();
            if self.dead {
                return;
            }
        }
        let said_all = self.ramp.said >= LAST_WORDS;
        if !said_all || mode != ControlMode::Position {
            let at_rest = self.stream.stop_blind();
            let at_rest = self.link.blind(&self.stream, at_rest);
            self.ramp.said = if at_rest { self.ramp.said.saturating_add(1) } else { 0 };
            if at_rest {
                self.call_the_guard();
            }
        }
        // What is said to an arm that hears nothing is not waited for.
        let deaf = self.astray.is_some();
        if (self.ramp.said < LAST_WORDS && !deaf) || self.ramp.stays_on {
            return;
        }
        let arm = &self.robot.robot.name;
        let (done, known) = match deaf {
            true => ("asked by its service to stop", "its states show whether it stands"),
            false => ("ramped to rest without its state", "whether it stands is not known"),
        };
        match self.link.switch_off(mode) {
            Off::Done(how) => {
                tracing::warn!("{arm}: {done}; {how}; {known}");
                self.call_the_guard();
                self.mode = None;
            }
            Off::Pending if now.since(*self.ramp.asked.get_or_insert(now)) <= SWITCHING => {}
            Off::Pending | Off::None => {
                let rest =
                    if mode == ControlMode::Position { "the last position stays its goal" } else { "zeros go on" };
                tracing::warn!("{arm}: {done}; its controller cannot be switched off from here, {rest}; {known}");
                self.ramp.stays_on = true;
                if mode == ControlMode::Position {
                    self.mode = None;
                }
            }
        }
    }

    fn hold(&mut self, state: &ArmState) {
        let (_, at_rest) = self.stream.stop(&state.positions, &state.velocities);
        self.settled = self.link.rest(&self.stream, state, at_rest);
        self.spare_guard();
    }

    /// Silence of ours is fine while the arm's own hold has it.
    fn spare_guard(&self) {
        if let Some(heart) = &self.heart
            && self.link.own_hold() == OwnHold::Yes
            && heart.is_beating()
        {
            heart.pause();
        }
    }

    /// Beats again once commands have the arm again.
    fn wake_guard(&self) {
        if let Some(heart) = &self.heart
            && self.link.own_hold() == OwnHold::No
            && !heart.is_beating()
        {
            heart.arm();
        }
    }
}

impl<L: ArmLink> BridgeWorker for Worker<L> {
    type State = ArmState;
    type Command = Order;
    type Request = Ask;
    type Response = Answer;

    fn poll(&mut self, now: Timestamp) -> Option<ArmState> {
        self.beat(now);
        self.hearing.look(now);
        self.look_at_link(now);
        if self.dead {
            // Said by what was last known, which nobody may take for news: the condition goes before it.
            let (mut state, _) = self.state?;
            state.condition = Condition::Lost(DriverError::LinkDied);
            return Some(state);
        }
        let mut state = self.link.poll(now)?;
        if self.lost.is_none() && self.mode.is_some_and(|mode| self.link.endless(mode)) {
            self.runaway.sent(self.stream.last());
            self.astray = self.astray.or(self.runaway.see(now, &state.positions, &state.efforts));
        }
        if self.looked.is_none_or(|at| now.since(at) >= LOOK_FOR_RIVALS) {
            self.looked = Some(now);
            self.rivals = self.link.rivals();
        }
        if state.condition == Condition::Ready && self.rivals > 0 && Protection::SecondCommander.is_on() {
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
        if self.lost.is_none() {
            self.lost = self.trouble(now, &state, at);
            if let Some(error) = self.lost {
                self.ramp = Ramp::default();
                tracing::error!("{}: {error}", self.robot.robot.name);
                if self.settled || !Protection::BlindRamp.is_on() {
                    // Its own hold has it already.
                    self.mode = None;
                    return;
                }
            }
        }
        if self.lost.is_some() {
            // It is commanded again once it was activated again. The control thread sees newest states only and may have
            // missed this one, so the reason is kept for it.
            self.ramp_blind(now, mode);
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
                if command.mode == mode
                    && !self.latched
                    && self.link.own_hold() != OwnHold::Asked
                    && (now.since(self.heard) <= self.options.deadline || !Protection::CommandDeadline.is_on()) =>
            {
                if std::mem::take(&mut self.settled) {
                    self.stream.seed(mode, &state.positions);
                    self.runaway.start(mode);
                }
                self.spare_guard();
                self.stream.toward(command);
                self.link.send(&self.stream, &state);
                self.wake_guard();
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
                let result = match self.revive() {
                    Ok(()) => self.activate(mode),
                    Err(error) => {
                        tracing::error!("{error}");
                        Err(DriverError::LinkDied)
                    }
                };
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
                let result = self.revive().and_then(|()| match self.wait_for_state(self.clock.now()) {
                    None => Err(self.link.silence(patience)),
                    Some(_) => self.link.recover(patience).and_then(|()| self.link.verify(patience)),
                });
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
        let (Some(mode), Some((state, at))) = (self.mode, self.state) else { return };
        if self.lost.is_none() {
            self.lost = self.trouble(self.clock.now(), &state, at);
            self.ramp = Ramp::default();
        }
        if self.lost.is_some() && self.settled {
            return self.link.release(&state);
        }
        let deadline = Instant::now() + LAST_RAMP;
        let mut due = Instant::now();
        let mut state = state;
        let mut repeated = 0;
        while self.lost.is_some() {
            self.ramp_blind(self.clock.now(), mode);
            if self.mode.is_none() || self.ramp.stays_on || Instant::now() >= deadline {
                return self.link.release(&state);
            }
            due += self.period;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
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
