//! The bridge thread's work for an arm, the same for every arm: pace, ramps, silence, second commanders.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::blind::Ramp;
use super::link::{ArmLink, OwnHold};
use super::runaway::Runaway;
use super::silence::SilenceWatch;
use super::state::{ArmState, Condition};
use super::stream::Stream;
use super::{LinkOptions, REFUSED};
use crate::driver::guard::Heartbeat;
use crate::driver::{ConnectError, DriverError, GuardFault, Reply, Request, Setpoint};
use crate::transport::ros2::BridgeWorker;
use visuomotor_core::action::ControlMode;
use visuomotor_core::config::Robot;
use visuomotor_core::protection::Protection;
use visuomotor_core::time::{Clock, Timestamp};

/// How often a second commander is looked for.
const LOOK_FOR_RIVALS: Duration = Duration::from_millis(200);

/// Longest ramp when the program ends.
const LAST_RAMP: Duration = Duration::from_secs(2);

/// How often the command of standing still is sent when the program ends, and after a ramp without states: messages that end a
/// motion may be lost.
pub(super) const REST_REPEATS: u32 = 5;

/// How often a silent arm's link is checked.
const LOOK_AT_LINK: Duration = Duration::from_millis(10);

pub(super) struct Worker<L: ArmLink> {
    pub(super) link: L,
    pub(super) robot: Robot,
    options: LinkOptions,
    period: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stream: Stream,
    pub(super) state: Option<(ArmState, Timestamp)>,
    /// Mode the arm was activated in; none while nothing is sent.
    pub(super) mode: Option<ControlMode>,
    /// Holding until activated again, whatever is requested.
    latched: bool,
    /// Why the arm is not commanded although it was activated.
    lost: Option<DriverError>,
    /// Progress of the ramp to rest that this began.
    pub(super) ramp: Ramp,
    /// The link's threads are gone.
    pub(super) dead: bool,
    /// When the link was last checked.
    checked: Option<Timestamp>,
    /// The last turn in which the arm was commanded.
    commanded_at: Option<Timestamp>,
    /// The arm's own hold took over.
    settled: bool,
    /// Does it follow its commands, and which joint does not?
    pub(super) runaway: Runaway,
    heard: Timestamp,
    silence_watch: SilenceWatch,
    other_publishers: usize,
    looked: Option<Timestamp>,
    gripper: Option<f64>,
    /// Beats for the guard of the mode, where it needs one.
    pub(super) heartbeat: Option<Heartbeat>,
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
            commanded_at: None,
            settled: false,
            runaway: Runaway::of(robot),
            heard: Timestamp::ZERO,
            silence_watch: SilenceWatch::new(Duration::from_secs_f64(1.0 / rate)),
            other_publishers: 0,
            looked: None,
            gripper: None,
            heartbeat: None,
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
        // Switching took time: it holds the present measurement.
        let state = self.wait_for_state(self.clock.now()).ok_or(DriverError::Silent)?;
        if let Some(error) = state.implausible(&self.robot) {
            return Err(error);
        }
        self.stream.seed(mode, &state.positions);
        self.runaway.start(mode);
        (self.mode, self.latched, self.settled, self.gripper) = (Some(mode), false, false, None);
        self.heard = self.clock.now();
        Ok(())
    }

    /// Why the arm can no longer be commanded, given its known state.
    fn trouble(&self, now: Timestamp, state: &ArmState, at: Timestamp) -> Option<DriverError> {
        match state.condition {
            _ if self.dead => Some(DriverError::LinkDied),
            _ if self.runaway.runaway_joint().is_some() => {
                self.runaway.runaway_joint().map(|joint| DriverError::Runaway { joint })
            }
            _ if !Protection::StateCheck.is_on() => None,
            _ if self.silence_watch.is_silent(now, at, self.options.stale) => Some(DriverError::Silent),
            Condition::Fault(code) => Some(DriverError::Fault(code)),
            _ => state.implausible(&self.robot),
        }
    }

    /// Checks whether the link's threads are alive: now and then, and more often while the arm is silent.
    fn look_at_link(&mut self, now: Timestamp) {
        let silent = self.state.is_some_and(|(_, at)| now.since(at) > self.options.stale / 2);
        let often = if silent { LOOK_AT_LINK } else { LOOK_FOR_RIVALS };
        if self.checked.is_none_or(|at| now.since(at) >= often) {
            self.checked = Some(now);
            let dead = !self.link.alive();
            if dead && !self.dead {
                tracing::error!("{}: {}", self.robot.identity.name, DriverError::LinkDied);
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

    fn hold(&mut self, state: &ArmState) {
        let (_, at_rest) = self.stream.stop(&state.positions, &state.velocities);
        self.settled = self.link.rest(&self.stream, state, at_rest);
        self.pause_guard();
    }
}

impl<L: ArmLink> BridgeWorker for Worker<L> {
    type State = ArmState;
    type Command = Setpoint;
    /// Activation with what beats for the mode's guard if it needs one.
    type Request = Request<Option<Heartbeat>>;
    type Response = Reply;

    fn poll(&mut self, now: Timestamp) -> Option<ArmState> {
        self.beat(now);
        self.silence_watch.polled(now);
        self.look_at_link(now);
        if self.dead {
            // The state is the last known one and must not be taken for new: the condition goes before it.
            let (mut state, _) = self.state?;
            state.condition = Condition::Lost(DriverError::LinkDied);
            return Some(state);
        }
        let judged = self.lost.is_none() && self.mode.is_some_and(|mode| self.link.endless(mode));
        if judged {
            // Between states too: an effort is compared with everything sent since the last states.
            self.runaway.sent(self.stream.last());
        }
        let mut state = self.link.poll(now)?;
        if judged {
            self.runaway.observe(now, &state.positions, &state.efforts);
        }
        if self.looked.is_none_or(|at| now.since(at) >= LOOK_FOR_RIVALS) {
            self.looked = Some(now);
            self.other_publishers = self.link.other_publishers();
        }
        if state.condition == Condition::Ready && self.other_publishers > 0 && Protection::SecondCommander.is_on() {
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

    fn command(&mut self, now: Timestamp, setpoint: &Setpoint, fresh: bool) {
        let (Some(mode), Some((state, at))) = (self.mode, self.state) else { return };
        if fresh {
            self.heard = now;
        }
        // A program that was suspended resumes with an arm that stands still: its old velocity would be a jump.
        let pause = self.commanded_at.replace(now).map_or(Duration::ZERO, |at| now.since(at));
        if self.link.paused(pause) && mode == ControlMode::Velocity {
            self.stream.seed(mode, &state.positions);
        }
        if self.lost.is_none() {
            self.lost = self.trouble(now, &state, at);
            if let Some(error) = self.lost {
                self.ramp = Ramp::default();
                tracing::error!("{}: {error}", self.robot.identity.name);
                if self.settled || !Protection::BlindRamp.is_on() {
                    // The arm already holds by itself.
                    self.mode = None;
                    return;
                }
            }
        }
        if self.lost.is_some() {
            // It is commanded again after another activation. The control thread sees newest states only and may have missed this
            // one, so the reason is kept for it.
            self.ramp_blind(now, mode);
            return;
        }
        self.latched |= state.condition == Condition::SecondCommander;
        match self.guard_fault(now) {
            None => {}
            // The guard stopped the arm, or is about to: a stop from the measured state is sent, and nothing decided earlier.
            Some(GuardFault::Late | GuardFault::Tripped) => {
                self.latched = true;
                self.stream.seed(mode, &state.positions);
                self.settled = self.link.rest(&self.stream, &state, false);
                return;
            }
            Some(GuardFault::Ended | GuardFault::Silent | GuardFault::Missing) => self.latched = true,
        }
        match setpoint {
            Setpoint::Follow(command)
                if command.mode() == mode
                    && !self.latched
                    && self.link.own_hold() != OwnHold::Requested
                    && (now.since(self.heard) <= self.options.deadline || !Protection::CommandDeadline.is_on()) =>
            {
                if std::mem::take(&mut self.settled) {
                    self.stream.seed(mode, &state.positions);
                    self.runaway.start(mode);
                }
                self.pause_guard();
                self.stream.toward(command);
                self.link.send(&self.stream, &state);
                self.resume_guard();
                // Grippers are slow and their topics slower: only a change of one percent is sent.
                if command.gripper().is_finite()
                    && self.gripper.is_none_or(|last| (last - command.gripper()).abs() > 0.01)
                {
                    self.gripper = Some(command.gripper());
                    self.link.gripper(command.gripper().clamp(0.0, 1.0));
                }
            }
            _ => self.hold(&state),
        }
    }

    fn request(&mut self, _: Timestamp, request: Request<Option<Heartbeat>>) -> Reply {
        match request {
            Request::Activate(mode, heartbeat) => {
                (self.mode, self.lost, self.heartbeat) = (None, None, heartbeat);
                let result = match self.revive() {
                    Ok(()) => self.activate(mode),
                    Err(error) => {
                        tracing::error!("{error}");
                        Err(DriverError::LinkDied)
                    }
                };
                if let (Ok(()), Some(heartbeat)) = (&result, &self.heartbeat) {
                    heartbeat.arm();
                }
                if let Err(DriverError::Fault(code)) = &result {
                    tracing::error!("{}: {}", self.robot.identity.name, super::arm::text::<L>(*code));
                }
                Reply::Activated(result)
            }
            Request::Recover => {
                self.pause();
                if self.guard_fault(self.clock.now()).is_some() {
                    self.heartbeat = None;
                }
                (self.mode, self.lost) = (None, None);
                let patience = self.options.patience;
                let result = self.revive().and_then(|()| match self.wait_for_state(self.clock.now()) {
                    None => Err(self.link.silence(patience)),
                    Some(_) => self.link.recover(patience).and_then(|()| self.link.verify(patience)),
                });
                self.looked = None;
                Reply::Recovered(result)
            }
            Request::Survey => {
                self.pause();
                let (findings, round_trips) = self.link.findings();
                Reply::Surveyed(findings, round_trips)
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
            if repeated >= REST_REPEATS || Instant::now() >= deadline {
                break;
            }
            due += self.period;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.pause();
        }
        self.link.release(&state);
        self.release_guard();
    }
}

/// A refused call as an error for the control thread; the text goes to the log.
pub fn refused(arm: &str, what: impl std::fmt::Display) -> DriverError {
    tracing::error!("{arm}: {what}");
    DriverError::Fault(REFUSED)
}
