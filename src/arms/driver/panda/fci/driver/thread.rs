//! The FCI thread: it owns the robot, replies to each state within its millisecond, and passes states on.
//!
//! The robot paces it: every wait is for the next state, at most a second. During a motion it only reads, replies, plans and
//! publishes; it then does not allocate, lock or print. (franka-rs's own two locks, for the message id and the peer's address, are
//! never contended: no other thread uses the robot.) Requests come through a channel that is polled after each reply.
//!
//! franka-rs offers four ways to move a robot. Its callback loops filter and limit by themselves and hide when a state came. Its
//! target control has its own thread and planner but neither a stale-command hold nor our limits. This uses the third,
//! `read_once`/`write_once` ("active control"): the least code between state and command.
//!
//! One file because the order of receiving, replying and planning is the thread's whole logic.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use franka::{ActiveMotionGenerator, ActiveTorqueControl, FrankaError, FrankaResult, JointPositions, JointVelocities};
use franka::{MoveControllerMode, Robot, RobotState, Torques, motion_finished};
use rtrb::Producer;
use triple_buffer::{Input, Output};

use super::envelope::Envelope;
use super::pilot::{Pilot, PilotState};
use super::report::{ABORTED, Cycle, LOST, NumberedSetpoint, Phase, REFUSED, Report, Scheduling, code_of, obstacle};
use super::session;
use super::settings::{FciSettings, Model};
use crate::driver::panda::limits::JOINTS;
use crate::driver::{ConnectError, DriverError, FaultCode, Reply, Request};
use visuomotor_core::action::ControlMode;
use visuomotor_core::time::{Clock, Timestamp};

/// A request with its number, so that a late reply is not taken for another's. Activation starts a motion of the mode; setpoints up
/// to its number are outdated.
pub type Numbered = (u64, Request<u64>);

/// How long the end of a motion may take before it is aborted \[cycles\].
const END_CYCLES: u32 = 3000;

/// Pauses between recovery attempts: the first, and the maximum it doubles up to.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Everything the thread owns except the robot.
pub struct FciThread {
    pub address: String,
    pub model: Model,
    pub settings: FciSettings,
    pub clock: Arc<dyn Clock>,
    pub setpoints: Output<NumberedSetpoint>,
    pub reports: Input<Option<Report>>,
    pub cycles: Producer<Cycle>,
    /// When the sender is dropped, the thread ends the motion and exits.
    pub requests: Receiver<Numbered>,
    /// Replies, with their request's number.
    pub replies: SyncSender<(u64, Reply)>,
    /// The last fault as text; written between motions only.
    pub error_text: Arc<Mutex<String>>,
}

/// What comes after a motion that was asked to end.
enum Next {
    Request(Numbered),
    Leave,
}

/// Why a motion ended.
enum End {
    Finished(Option<Numbered>),
    Fault(FrankaError),
    Leave,
}

enum Motion<'a> {
    Position(ActiveMotionGenerator<'a, JointPositions>),
    Velocity(ActiveMotionGenerator<'a, JointVelocities>),
    Torque(ActiveTorqueControl<'a>),
}

impl<'a> Motion<'a> {
    fn start(robot: &'a Robot, mode: ControlMode) -> FrankaResult<Self> {
        let controller = MoveControllerMode::JointImpedance;
        Ok(match mode {
            ControlMode::Position => Motion::Position(robot.start_joint_position_control(controller)?),
            ControlMode::Velocity => Motion::Velocity(robot.start_joint_velocity_control(controller)?),
            ControlMode::Torque => Motion::Torque(robot.start_torque_control()?),
        })
    }

    fn read(&mut self) -> FrankaResult<RobotState> {
        Ok(match self {
            Motion::Position(motion) => motion.read_once()?.0,
            Motion::Velocity(motion) => motion.read_once()?.0,
            Motion::Torque(motion) => motion.read_once()?.0,
        })
    }

    fn write(&mut self, values: [f64; JOINTS], finish: bool) -> FrankaResult<()> {
        match self {
            Motion::Position(motion) => {
                let command = JointPositions::new(values);
                motion.write_once(&if finish { motion_finished(command) } else { command }, None)
            }
            Motion::Velocity(motion) => {
                let command = JointVelocities::new(values);
                motion.write_once(&if finish { motion_finished(command) } else { command }, None)
            }
            Motion::Torque(motion) => {
                let command = Torques::new(values);
                motion.write_once(&if finish { motion_finished(command) } else { command })
            }
        }
    }
}

impl FciThread {
    /// Connects, tells the driver by `connected`, then serves requests until the driver is gone.
    pub fn run(mut self, connected: SyncSender<Result<Scheduling, ConnectError>>) {
        let (robot, envelope, mut report) = match self.connect() {
            Ok(connected) => connected,
            Err(error) => {
                // The driver is gone: nothing to report.
                let _ = connected.send(Err(error));
                return;
            }
        };
        let scheduling = Scheduling::request(self.settings.priority, self.settings.lock_memory);
        self.reports.write(Some(report));
        if connected.send(Ok(scheduling)).is_err() {
            return;
        }
        let (mut robot, mut envelope) = (Some(robot), envelope);
        let mut next = None;
        loop {
            let request = match next.take() {
                Some(request) => Some(request),
                None => self.wait(&mut robot, &mut report),
            };
            match request {
                None => return,
                Some((id, Request::Recover)) => {
                    let result = self.recover(&mut robot, &mut envelope, &mut report);
                    self.reports.write(Some(report));
                    if self.replies.send((id, Reply::Recovered(result))).is_err() {
                        return;
                    }
                }
                // The arm's own reports have everything.
                Some((id, Request::Survey)) => {
                    if self.replies.send((id, Reply::Surveyed(Vec::new(), Vec::new()))).is_err() {
                        return;
                    }
                }
                Some((id, Request::Activate(mode, past))) => {
                    let end = match robot.as_ref() {
                        Some(connected) => self.fly(connected, (id, mode, past), envelope, &mut report),
                        None => {
                            let _ = self.replies.send((id, Reply::Activated(Err(DriverError::Silent))));
                            continue;
                        }
                    };
                    match end {
                        End::Finished(request) => {
                            report.phase = Phase::Idle;
                            next = request;
                        }
                        End::Leave => return,
                        End::Fault(error) => {
                            self.faulted(&error, &mut report);
                            if report.phase == Phase::Lost {
                                robot = None;
                            }
                        }
                    }
                    self.reports.write(Some(report));
                }
            }
        }
    }

    fn connect(&self) -> Result<(Robot, Envelope, Report), ConnectError> {
        let robot = session::open(&self.address, self.model)?;
        let state = session::set_up(&robot, &self.address, self.model, &self.settings)?;
        let envelope = session::envelope(&robot, &self.address, self.model, &self.settings)?;
        let mut report = Report::at_start(&state, self.clock.now());
        // Only a reflex gets here; `activate` and `read` report it, and the caller may recover.
        report.fault = obstacle(report.mode, report.errors);
        Ok((robot, envelope, report))
    }

    /// Passes states on until a request comes; `None` when the driver is gone.
    fn wait(&mut self, robot: &mut Option<Robot>, report: &mut Report) -> Option<Numbered> {
        loop {
            match self.requests.try_recv() {
                Ok(request) => return Some(request),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {}
            }
            let Some(connected) = robot.as_ref() else {
                match self.requests.recv_timeout(LONGEST_PAUSE) {
                    Ok(request) => return Some(request),
                    Err(RecvTimeoutError::Disconnected) => return None,
                    Err(RecvTimeoutError::Timeout) => continue,
                }
            };
            match connected.read_once() {
                Ok(state) => {
                    report.take(&state, self.clock.now());
                    self.reports.write(Some(*report));
                }
                Err(error) => {
                    self.faulted(&error, report);
                    if report.phase == Phase::Lost {
                        *robot = None;
                    }
                    self.reports.write(Some(*report));
                }
            }
        }
    }

    /// One motion from its start to its end.
    fn fly(
        &mut self,
        robot: &Robot,
        (id, mode, past): (u64, ControlMode, u64),
        envelope: Envelope,
        report: &mut Report,
    ) -> End {
        if let Some(fault) = report.fault.or(obstacle(report.mode, report.errors)) {
            report.fault = Some(fault);
            let _ = self.replies.send((id, Reply::Activated(Err(DriverError::Fault(fault)))));
            return End::Finished(None);
        }
        let mut motion = match Motion::start(robot, mode) {
            Ok(motion) => motion,
            Err(error) => {
                let error = DriverError::Fault(self.refused(&error, report));
                let _ = self.replies.send((id, Reply::Activated(Err(error))));
                return End::Finished(None);
            }
        };
        let mut pilot = Pilot::new(mode, &self.settings, envelope, past);
        let (mut waiting, mut ending, mut next) = (true, 0, None);
        let mut before: Option<Timestamp> = None;
        loop {
            let state = match motion.read() {
                Ok(state) => state,
                Err(error) => {
                    if waiting {
                        let error = DriverError::Fault(self.refused(&error, report));
                        let _ = self.replies.send((id, Reply::Activated(Err(error))));
                        return End::Finished(None);
                    }
                    return End::Fault(error);
                }
            };
            let received = self.clock.now();
            let seen = PilotState::from(&state);
            let values = pilot.command(&seen, self.setpoints.read());
            let finish = pilot.ended() || ending > END_CYCLES;
            if let Err(error) = motion.write(values, finish) {
                report.take(&state, received);
                return End::Fault(error);
            }
            let sent = self.clock.now();
            // From here on time is free: the command has been sent.
            report.take(&state, received);
            report.phase = if finish { Phase::Idle } else { Phase::Moving(mode) };
            report.held = pilot.holds();
            self.reports.write(Some(*report));
            let nanos = |from: Timestamp, to: Timestamp| to.since(from).as_nanos().min(u128::from(u32::MAX)) as u32;
            // A full ring means that cycles are not read; states still go through `reports`.
            let _ = self.cycles.push(Cycle {
                robot_ms: seen.ms,
                mode,
                sent: values,
                reported: match mode {
                    ControlMode::Position => seen.q_d,
                    ControlMode::Velocity => seen.dq_d,
                    ControlMode::Torque => seen.tau_j_d,
                },
                q: seen.q,
                held: report.held,
                turnaround: nanos(received, sent),
                interval: before.map_or(0, |before| nanos(before, received)),
                success_rate: state.control_command_success_rate,
            });
            before = Some(received);
            if finish {
                return match next {
                    Some(Next::Leave) => End::Leave,
                    Some(Next::Request(request)) => End::Finished(Some(request)),
                    None => End::Finished(None),
                };
            }
            if waiting {
                waiting = false;
                if self.replies.send((id, Reply::Activated(Ok(())))).is_err() {
                    pilot.end();
                    next = Some(Next::Leave);
                }
            }
            pilot.prepare();
            ending += u32::from(next.is_some());
            if next.is_none() {
                next = match self.requests.try_recv() {
                    Ok(request) => Some(Next::Request(request)),
                    Err(TryRecvError::Disconnected) => Some(Next::Leave),
                    Err(TryRecvError::Empty) => None,
                };
                if next.is_some() {
                    pilot.end();
                }
            }
        }
    }

    /// Records why a motion would not start.
    fn refused(&self, error: &FrankaError, report: &mut Report) -> FaultCode {
        if matches!(error, FrankaError::Network(_)) {
            self.faulted(error, report);
            return LOST;
        }
        let code = obstacle(report.mode, report.errors).or(code_of(report.errors)).unwrap_or(REFUSED);
        self.note(error, report);
        report.phase = Phase::Faulted;
        report.fault = Some(code);
        code
    }

    /// Records why a motion ended by itself.
    fn faulted(&self, error: &FrankaError, report: &mut Report) {
        let code = match error {
            FrankaError::Network(_) => LOST,
            FrankaError::Control(exception) => {
                let named = exception.last_motion_errors.0.iter().position(|set| *set);
                named.map_or(ABORTED, |index| FaultCode(index as u32 + 1))
            }
            _ => code_of(report.errors).unwrap_or(ABORTED),
        };
        if let FrankaError::Control(exception) = error {
            let flags = exception.last_motion_errors.0.iter().enumerate();
            report.last_errors = flags.fold(0, |bits, (i, set)| bits | u64::from(*set) << i);
        }
        self.note(error, report);
        report.phase = if code == LOST { Phase::Lost } else { Phase::Faulted };
        report.fault = Some(code);
        report.held = true;
    }

    fn note(&self, error: &FrankaError, report: &Report) {
        *self.error_text.lock().unwrap_or_else(PoisonError::into_inner) = session::end_text(error, report);
    }

    /// Reconnects where the connection is gone and clears reflexes; with growing pauses, within the settings' time.
    fn recover(
        &self,
        robot: &mut Option<Robot>,
        envelope: &mut Envelope,
        report: &mut Report,
    ) -> Result<(), ConnectError> {
        let (start, limit) = (self.clock.now(), Duration::from_secs_f64(self.settings.recovery));
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.try_recover(robot, envelope, report) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if self.clock.now().since(start) + pause > limit {
                return Err(error);
            }
            std::thread::sleep(pause);
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    fn try_recover(
        &self,
        robot: &mut Option<Robot>,
        envelope: &mut Envelope,
        report: &mut Report,
    ) -> Result<(), ConnectError> {
        let lost = |error| session::connect_error(&self.address, self.model, error);
        if let Some(connected) = robot.as_ref() {
            match connected.read_once() {
                Ok(state) => report.take(&state, self.clock.now()),
                Err(_) => *robot = None,
            }
        }
        if robot.is_none() {
            let (connected, fresh, first) = self.connect()?;
            (*robot, *envelope, *report) = (Some(connected), fresh, first);
        }
        let Some(connected) = robot.as_ref() else { return Ok(()) };
        if report.errors != 0 || obstacle(report.mode, report.errors).is_some() {
            let cleared = session::clear(connected);
            let state = connected.read_once().map_err(lost)?;
            report.take(&state, self.clock.now());
            if let Some(fault) = obstacle(report.mode, report.errors) {
                return Err(ConnectError::Unfit {
                    arm: self.model.robot().into(),
                    link: self.address.clone(),
                    what: "the robot".into(),
                    found: super::report::text(fault),
                    expected: "idle".into(),
                    fix: cleared.err().map_or("try again".into(), |error| error.to_string()),
                });
            }
            // It may have been connected during a reflex, when no settings were sent.
            session::set_up(connected, &self.address, self.model, &self.settings)?;
        }
        report.phase = Phase::Idle;
        report.fault = None;
        report.held = false;
        Ok(())
    }
}
