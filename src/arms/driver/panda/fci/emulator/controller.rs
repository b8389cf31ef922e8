//! A control box without sockets, the FER's or the FR3's: takes requests and commands, moves the plant, checks commands against the
//! arm's own limits.
//!
//! One [`Controller::tick`] is one millisecond. Rules are those of Franka's documentation and libfranka 0.9's headers:
//! commands are judged by differences over 1 ms against the maker's limits, a lost command is extrapolated with constant
//! acceleration (motion) or repeated (torque), the 20th lost in a row stops the motion, a reflex needs error recovery
//! before the next motion, numbers that are not finite end the motion. The FR3 also judges commanded velocities by where the
//! joint is, and takes torques without a motion.
//!
//! One file because the control box is one state machine; its tests are included.

use std::collections::VecDeque;

use super::limits::Limits;
use crate::driver::panda::fci::wire::{Command, Generator, MoveStatus, Regulator, RobotMode, State, Version};
use crate::driver::panda::limits::{CYCLE, JOINTS, LOST_IN_A_ROW, SUCCESS_WINDOW};
use crate::driver::{Drive, Plant};
use visuomotor_core::kinematics::Chain;
use visuomotor_core::observation::JointVector;
use visuomotor_core::time::Timestamp;

/// Errors that this controller raises, by number.
pub mod error {
    /// A joint's speed passed its limit.
    pub const JOINT_VELOCITY: u32 = 3;
    /// The first position of a motion is not where the arm is.
    pub const START_POSE: u32 = 11;
    /// A commanded position is outside the joint's range.
    pub const POSITION_LIMITS: u32 = 12;
    /// A commanded velocity is above its limit.
    pub const VELOCITY_LIMITS: u32 = 13;
    /// A commanded velocity jumps: its acceleration is above the limit.
    pub const VELOCITY_DISCONTINUITY: u32 = 14;
    /// A commanded acceleration jumps: its jerk is above the limit.
    pub const ACCELERATION_DISCONTINUITY: u32 = 15;
    /// Too many commands lost in a row.
    pub const COMMUNICATION: u32 = 25;
    /// A commanded torque jumps.
    pub const TORQUE_DISCONTINUITY: u32 = 32;
    /// A commanded torque is out of range.
    pub const TORQUE_RANGE: u32 = 34;
}

/// Slack for rounding in differences over 1 ms, relative.
const SLACK: f64 = 1.0 + 1e-6;
/// Slack of a third difference of positions, for the last digits of a double at 3 rad \[rad/s3\].
const ROUNDING: f64 = 1e-2;
/// Farthest start of a position motion from where the arm is \[rad\].
const START: f64 = 0.02;
/// Joint speed above which a torque motion is stopped, as a share of the maker's.
const RUNAWAY: f64 = 1.0;

/// One accepted command, for observers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taken {
    /// The controller's time \[ms\].
    pub ms: u64,
    /// What made the motion.
    pub generator: Generator,
    /// What controlled the motors.
    pub regulator: Regulator,
    /// The command.
    pub command: Command,
}

/// How a motion ended, to be reported over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The request that started it.
    pub id: u32,
    /// How.
    pub status: MoveStatus,
}

struct Motion {
    id: u32,
    generator: Generator,
    regulator: Regulator,
    /// The client has replied to a state: from now on a missing reply is a lost one.
    answered: bool,
    lost: u32,
    window: VecDeque<bool>,
}

/// The control box.
pub struct Controller {
    plant: Box<dyn Plant>,
    version: Version,
    limits: Limits,
    chain: Option<Chain>,
    state: State,
    motion: Option<Motion>,
    ended: Option<Ended>,
    user_stop: bool,
    /// Where the arm is held between motions \[rad\].
    place: [f64; JOINTS],
}

impl Controller {
    /// Around a plant of seven joints, with the rules of the arm that speaks `version`. `chain` makes the poses in the states;
    /// without it they stay the identity.
    pub fn new(mut plant: Box<dyn Plant>, version: Version, chain: Option<Chain>, now: Timestamp) -> Self {
        plant.advance_to(now);
        let place = seven(&plant.sense().joint_positions);
        let mut controller = Self {
            plant,
            version,
            limits: Limits::of(version),
            chain,
            state: State::default(),
            motion: None,
            ended: None,
            user_stop: false,
            place,
        };
        controller.sense();
        controller.rest_at(place);
        controller
    }

    /// The state to send now.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Does the client owe a reply to each state?
    pub fn expects_replies(&self) -> bool {
        self.motion.as_ref().is_some_and(|motion| motion.answered)
    }

    /// A client's request to move; returns the reply. When it is [`MoveStatus::MotionStarted`], [`Controller::tick`] later reports
    /// how the motion ended.
    pub fn start(&mut self, id: u32, regulator: Regulator, generator: Generator) -> MoveStatus {
        if self.state.mode != RobotMode::Idle || self.motion.is_some() {
            return MoveStatus::CommandNotPossible;
        }
        let takes = match generator {
            Generator::JointPosition | Generator::JointVelocity => true,
            Generator::None => self.version == Version::V10 && regulator == Regulator::External,
            // Cartesian motions need the robot's own inverse kinematics, which is not emulated.
            Generator::Idle | Generator::CartesianPosition | Generator::CartesianVelocity => false,
        };
        if !takes {
            return MoveStatus::InvalidArgument;
        }
        self.state.mode = RobotMode::Move;
        self.state.generator = generator;
        self.state.regulator = regulator;
        self.state.last_errors = 0;
        let window = VecDeque::with_capacity(SUCCESS_WINDOW);
        self.motion = Some(Motion { id, generator, regulator, answered: false, lost: 0, window });
        MoveStatus::MotionStarted
    }

    /// A client's request to stop; returns whether it is possible.
    pub fn stop(&mut self) -> bool {
        if self.motion.is_some() {
            self.end(MoveStatus::Preempted, 0);
        }
        !matches!(self.state.mode, RobotMode::Reflex | RobotMode::UserStopped)
    }

    /// A client's request to clear a reflex; returns whether it is possible.
    pub fn recover(&mut self) -> bool {
        if self.user_stop {
            return false;
        }
        self.state.mode = RobotMode::Idle;
        self.state.errors = 0;
        true
    }

    /// Can settings be changed now?
    pub fn accepts_settings(&self) -> bool {
        self.state.mode == RobotMode::Idle
    }

    /// Presses or releases the user stop.
    pub fn user_stop(&mut self, pressed: bool) {
        self.user_stop = pressed;
        if pressed {
            self.end(MoveStatus::EmergencyAborted, 0);
            self.state.mode = RobotMode::UserStopped;
        } else if self.state.mode == RobotMode::UserStopped {
            self.state.mode = RobotMode::Idle;
        }
    }

    /// Stops the arm with a reflex of this error.
    pub fn reflex(&mut self, number: u32) {
        self.end(MoveStatus::ReflexAborted, 1 << number);
    }

    /// The client is gone: the arm stops.
    pub fn abandon(&mut self) {
        self.end(MoveStatus::Preempted, 0);
        self.ended = None;
    }

    /// How the last motion ended, once.
    pub fn take_ended(&mut self) -> Option<Ended> {
        self.ended.take()
    }

    /// Ends this millisecond with the reply to its state, if any, and begins the next at `now`.
    pub fn tick(&mut self, now: Timestamp, answer: Option<&Command>) -> Option<Taken> {
        let answer = answer.filter(|command| command.message_id == self.state.message_id);
        let mut taken = None;
        if let Some(mut motion) = self.motion.take() {
            motion.answered |= answer.is_some();
            let (regulator, generator) = (motion.regulator, motion.generator);
            if motion.answered {
                if motion.window.len() == SUCCESS_WINDOW {
                    motion.window.pop_front();
                }
                motion.window.push_back(answer.is_some());
                let came = motion.window.iter().filter(|came| **came).count();
                self.state.success_rate = came as f64 / motion.window.len() as f64;
                motion.lost = if answer.is_some() { 0 } else { motion.lost + 1 };
            }
            let lost = motion.lost;
            self.motion = Some(motion);
            match answer {
                Some(command) => {
                    taken = Some(Taken { ms: self.state.message_id, generator, regulator, command: *command });
                    self.take(command, regulator, generator);
                }
                None if lost >= LOST_IN_A_ROW => self.reflex(error::COMMUNICATION),
                None if lost > 0 => self.extrapolate(regulator),
                None => {}
            }
        }
        self.drive();
        self.plant.advance_to(now);
        self.state.message_id += 1;
        self.sense();
        taken
    }

    fn take(&mut self, command: &Command, regulator: Regulator, generator: Generator) {
        let finite = |values: &[f64]| values.iter().all(|v| v.is_finite());
        if !(finite(&command.q_c) && finite(&command.dq_c) && finite(&command.tau_j_d)) {
            self.end(MoveStatus::InputErrorAborted, 0);
            return;
        }
        // A torque-only motion ends by a flag of its own; with a motion generator that flag has no meaning.
        let finished = if generator == Generator::None { command.torque_finished } else { command.finished };
        if finished {
            self.end(MoveStatus::Success, 0);
            return;
        }
        let fault = match regulator {
            Regulator::External => self.take_torque(&command.tau_j_d),
            _ if generator == Generator::JointPosition => self.take_position(&command.q_c),
            _ => self.take_velocity(&command.dq_c),
        };
        if let Some(number) = fault {
            self.reflex(number);
        }
    }

    fn take_torque(&mut self, torque: &[f64; JOINTS]) -> Option<u32> {
        let maker = self.limits.maker;
        for i in 0..JOINTS {
            if !(torque[i].abs() <= maker.torque[i] * SLACK) {
                return Some(error::TORQUE_RANGE);
            }
            let rate = (torque[i] - self.state.tau_j_d[i]) / CYCLE;
            if !(rate.abs() <= maker.torque_rate[i] * SLACK) {
                return Some(error::TORQUE_DISCONTINUITY);
            }
            if !(self.state.dq[i].abs() <= RUNAWAY * maker.velocity[i] * SLACK) {
                return Some(error::JOINT_VELOCITY);
            }
        }
        self.state.tau_j_d = *torque;
        None
    }

    fn take_position(&mut self, q: &[f64; JOINTS]) -> Option<u32> {
        let first = self.motion.as_ref().is_some_and(|motion| motion.window.len() == 1);
        for i in 0..JOINTS {
            if first && !((q[i] - self.state.q_d[i]).abs() <= START) {
                return Some(error::START_POSE);
            }
            if !self.limits.reaches(i, q[i]) {
                return Some(error::POSITION_LIMITS);
            }
        }
        let velocity = std::array::from_fn(|i| (q[i] - self.state.q_d[i]) / CYCLE);
        let fault = self.take_velocity(&velocity);
        self.state.q_d = *q;
        fault
    }

    fn take_velocity(&mut self, dq: &[f64; JOINTS]) -> Option<u32> {
        let (mut fault, maker) = (None, self.limits.maker);
        for i in 0..JOINTS {
            let acceleration = (dq[i] - self.state.dq_d[i]) / CYCLE;
            let jerk = (acceleration - self.state.ddq_d[i]) / CYCLE;
            let rows = [
                (dq[i], self.limits.speed(i, self.state.q_d[i], dq[i]), error::VELOCITY_LIMITS),
                (acceleration, maker.acceleration[i], error::VELOCITY_DISCONTINUITY),
                (jerk, maker.jerk[i], error::ACCELERATION_DISCONTINUITY),
            ];
            fault = fault.or(rows
                .into_iter()
                .find(|(value, limit, _)| !(value.abs() <= limit * SLACK + ROUNDING))
                .map(|(_, _, number)| number));
            self.state.ddq_d[i] = acceleration;
        }
        self.state.dq_d = *dq;
        if self.state.generator == Generator::JointVelocity {
            for i in 0..JOINTS {
                self.state.q_d[i] += dq[i] * CYCLE;
            }
        }
        fault
    }

    /// A command was lost: acceleration stays, the rest follows; torques are kept.
    fn extrapolate(&mut self, regulator: Regulator) {
        if regulator == Regulator::External {
            return;
        }
        for i in 0..JOINTS {
            self.state.dq_d[i] += self.state.ddq_d[i] * CYCLE;
            self.state.q_d[i] += self.state.dq_d[i] * CYCLE;
        }
    }

    fn end(&mut self, status: MoveStatus, errors: u64) {
        if let Some(motion) = self.motion.take() {
            self.ended = Some(Ended { id: motion.id, status });
        }
        let q = seven(&self.plant.sense().joint_positions);
        // A position motion ends at its last command; any other where the arm is.
        let place = if self.state.generator == Generator::JointPosition { self.state.q_d } else { q };
        self.rest_at(place);
        if errors != 0 {
            self.state.mode = RobotMode::Reflex;
            self.state.errors = errors;
            self.state.last_errors = errors;
        } else if self.state.mode == RobotMode::Move {
            self.state.mode = RobotMode::Idle;
        }
    }

    /// The robot's own controller holds the arm here.
    fn rest_at(&mut self, place: [f64; JOINTS]) {
        self.place = place;
        let still = [0.0; JOINTS];
        let state = &mut self.state;
        (state.q_d, state.dq_d, state.ddq_d, state.tau_j_d) = (place, still, still, still);
        (state.generator, state.regulator, state.success_rate) = (Generator::Idle, Regulator::Other, 0.0);
    }

    fn drive(&mut self) {
        let motion = self.motion.as_ref().map(|motion| (motion.regulator, motion.generator));
        self.plant.drive(match motion {
            Some((Regulator::External, _)) => Drive::Floating(JointVector::from_slice(&self.state.tau_j_d)),
            // A plain position servo damps the whole velocity and would trail the motion, by a tenth of a second in the simulated
            // arm, and would keep moving for as long after the commanded motion has stopped.
            Some((_, Generator::JointVelocity)) => Drive::Velocity(JointVector::from_slice(&self.state.dq_d)),
            Some(_) => Drive::Position(JointVector::from_slice(&self.state.q_d)),
            None => Drive::Position(JointVector::from_slice(&self.place)),
        });
    }

    fn sense(&mut self) {
        let sensed = self.plant.sense();
        self.state.q = seven(&sensed.joint_positions);
        self.state.dq = seven(&sensed.joint_velocities);
        self.state.tau_j = seven(&sensed.joint_efforts);
        if let Some(chain) = &self.chain {
            let pose = chain.forward(&sensed.joint_positions).to_homogeneous();
            for (to, from) in self.state.pose.iter_mut().zip(pose.iter()) {
                *to = *from;
            }
        }
    }

    /// Finger target: 0 closed .. 1 open.
    pub fn drive_gripper(&mut self, fraction: f64) {
        self.plant.drive_gripper(fraction);
    }

    /// Finger opening: 0 closed .. 1 open.
    pub fn gripper(&self) -> f64 {
        self.plant.sense().gripper
    }
}

/// The first seven numbers; zero where there are fewer.
fn seven(values: &[f64]) -> [f64; JOINTS] {
    std::array::from_fn(|i| values.get(i).copied().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::PointPlant;

    const HOME: [f64; JOINTS] = [0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785];

    struct Bench {
        controller: Controller,
        ms: u64,
    }

    impl Bench {
        fn new() -> Self {
            Self::of(Version::V5, &HOME)
        }

        fn of(version: Version, place: &[f64; JOINTS]) -> Self {
            let plant = Box::new(PointPlant::at(JointVector::from_slice(place)));
            Self { controller: Controller::new(plant, version, None, Timestamp::ZERO), ms: 0 }
        }

        fn tick(&mut self, change: impl FnOnce(&mut Command)) {
            self.ms += 1;
            let state = *self.controller.state();
            let mut command = Command {
                message_id: state.message_id,
                q_c: state.q_d,
                dq_c: [0.0; JOINTS],
                twist: [0.0; 6],
                finished: false,
                tau_j_d: [0.0; JOINTS],
                torque_finished: false,
            };
            change(&mut command);
            self.controller.tick(Timestamp::from_nanos(self.ms * 1_000_000), Some(&command));
        }

        fn miss(&mut self) {
            self.ms += 1;
            self.controller.tick(Timestamp::from_nanos(self.ms * 1_000_000), None);
        }

        fn start(&mut self, regulator: Regulator, generator: Generator) {
            assert_eq!(self.controller.start(5, regulator, generator), MoveStatus::MotionStarted);
            self.tick(|_| {});
        }

        fn ended_with(&mut self, number: u32) {
            assert_eq!(self.controller.take_ended(), Some(Ended { id: 5, status: MoveStatus::ReflexAborted }));
            assert_eq!(self.controller.state().errors, 1 << number);
            assert_eq!(self.controller.state().mode, RobotMode::Reflex);
            assert_eq!(
                self.controller.start(6, Regulator::External, Generator::JointVelocity),
                MoveStatus::CommandNotPossible
            );
            assert!(self.controller.recover());
            assert_eq!(self.controller.state().mode, RobotMode::Idle);
        }
    }

    #[test]
    fn each_jump_is_named() {
        type Jump = (Regulator, Generator, fn(&mut Command), u32);
        let jumps: [Jump; 7] = [
            (Regulator::JointImpedance, Generator::JointPosition, |c| c.q_c[0] += 1e-2, error::VELOCITY_LIMITS),
            (Regulator::JointImpedance, Generator::JointPosition, |c| c.q_c[0] += 2e-5, error::VELOCITY_DISCONTINUITY),
            (Regulator::JointImpedance, Generator::JointPosition, |c| c.q_c[6] = 3.0, error::POSITION_LIMITS),
            (Regulator::JointImpedance, Generator::JointVelocity, |c| c.dq_c[1] = 3.0, error::VELOCITY_LIMITS),
            (
                Regulator::JointImpedance,
                Generator::JointVelocity,
                |c| c.dq_c[1] = 0.007,
                error::ACCELERATION_DISCONTINUITY,
            ),
            (Regulator::External, Generator::JointVelocity, |c| c.tau_j_d[0] = 200.0, error::TORQUE_RANGE),
            (Regulator::External, Generator::JointVelocity, |c| c.tau_j_d[0] = 1.1, error::TORQUE_DISCONTINUITY),
        ];
        for (regulator, generator, jump, number) in jumps {
            let mut bench = Bench::new();
            bench.start(regulator, generator);
            bench.tick(jump);
            bench.ended_with(number);
        }
    }

    #[test]
    fn nineteen_lost_commands_are_borne_and_twenty_are_not() {
        let mut bench = Bench::new();
        bench.start(Regulator::JointImpedance, Generator::JointPosition);
        for _ in 0..19 {
            bench.miss();
        }
        bench.tick(|_| {});
        assert_eq!(bench.controller.state().mode, RobotMode::Move);
        assert!((bench.controller.state().success_rate - 2.0 / 21.0).abs() < 1e-12);
        for _ in 0..20 {
            bench.miss();
        }
        bench.ended_with(error::COMMUNICATION);
    }

    #[test]
    fn numbers_that_are_not_finite_end_the_motion() {
        let mut bench = Bench::new();
        bench.start(Regulator::External, Generator::JointVelocity);
        bench.tick(|c| c.tau_j_d[3] = f64::NAN);
        assert_eq!(bench.controller.take_ended(), Some(Ended { id: 5, status: MoveStatus::InputErrorAborted }));
        assert_eq!(bench.controller.state().mode, RobotMode::Idle);
    }

    #[test]
    fn an_answer_to_another_state_counts_as_lost() {
        let mut bench = Bench::new();
        bench.start(Regulator::JointImpedance, Generator::JointPosition);
        bench.tick(|c| c.message_id -= 1);
        assert_eq!(bench.controller.state().success_rate, 0.5);
    }

    #[test]
    fn the_user_stop_ends_the_motion_and_forbids_the_next() {
        let mut bench = Bench::new();
        bench.start(Regulator::External, Generator::JointVelocity);
        bench.controller.user_stop(true);
        assert_eq!(bench.controller.take_ended(), Some(Ended { id: 5, status: MoveStatus::EmergencyAborted }));
        assert!(!bench.controller.recover());
        bench.controller.user_stop(false);
        bench.start(Regulator::External, Generator::JointVelocity);
    }
}
