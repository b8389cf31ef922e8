//! Driver and emulated control box without sockets and clocks: every millisecond is a call, so all runs are equal.

use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::driver::Setpoint;
use visuomotor::driver::panda::fci::driver::envelope::Envelope;
use visuomotor::driver::panda::fci::driver::pilot::{Pilot, PilotState};
use visuomotor::driver::panda::fci::driver::{FciSettings, Model, NumberedSetpoint};
use visuomotor::driver::panda::fci::emulator::Controller;
use visuomotor::driver::panda::fci::wire::{Command, Generator, MoveStatus, Regulator, RobotMode, Version};
use visuomotor::driver::panda::limits::JOINTS;
use visuomotor::driver::{Plant, PointPlant};
use visuomotor::observation::JointVector;
use visuomotor::time::Timestamp;

use super::laws::{HOME, poses, towards};

/// One motion.
pub struct Line {
    pub controller: Controller,
    pub pilot: Pilot,
    version: Version,
    mode: ControlMode,
    newest: NumberedSetpoint,
    pub ms: u64,
    pub sent: Vec<[f64; JOINTS]>,
}

impl Line {
    pub fn start(mode: ControlMode) -> Self {
        let plant = Box::new(PointPlant::at(JointVector::from_slice(&HOME)));
        Self::over(plant, mode, &FciSettings::of(Model::Fer))
    }

    pub fn over(plant: Box<dyn Plant>, mode: ControlMode, settings: &FciSettings) -> Self {
        Self::of(plant, Version::V5, mode, settings, Envelope::flat(&settings.motion))
    }

    /// A motion of the arm that speaks `version`.
    pub fn of(
        plant: Box<dyn Plant>,
        version: Version,
        mode: ControlMode,
        settings: &FciSettings,
        envelope: Envelope,
    ) -> Self {
        let mut controller = Controller::new(plant, version, None, Timestamp::ZERO);
        let (regulator, generator) = match (mode, version) {
            (ControlMode::Position, _) => (Regulator::JointImpedance, Generator::JointPosition),
            (ControlMode::Velocity, _) => (Regulator::JointImpedance, Generator::JointVelocity),
            (ControlMode::Torque, Version::V5) => (Regulator::External, Generator::JointVelocity),
            (ControlMode::Torque, Version::V10) => (Regulator::External, Generator::None),
        };
        assert_eq!(controller.start(1, regulator, generator), MoveStatus::MotionStarted);
        let pilot = Pilot::new(mode, settings, envelope, 0);
        Self { controller, pilot, version, mode, newest: NumberedSetpoint::NONE, ms: 0, sent: Vec::new() }
    }

    /// The client's view of the state: version 10 has its numbers in single precision.
    fn seen(&self) -> PilotState {
        let rounded = |values: [f64; JOINTS]| match self.version {
            Version::V5 => values,
            Version::V10 => values.map(|value| f64::from(value as f32)),
        };
        let s = self.controller.state();
        PilotState {
            ms: s.message_id,
            q: rounded(s.q),
            dq: rounded(s.dq),
            q_d: rounded(s.q_d),
            dq_d: rounded(s.dq_d),
            ddq_d: rounded(s.ddq_d),
            tau_j_d: rounded(s.tau_j_d),
        }
    }

    pub fn send(&mut self, setpoint: Setpoint) {
        let at = Timestamp::from_nanos(self.ms * 1_000_000);
        self.newest = NumberedSetpoint { count: self.newest.count + 1, at, setpoint };
    }

    pub fn follow(&mut self, command: JointCommand) {
        self.send(Setpoint::Follow(command));
    }

    pub fn tick(&mut self, answer: Option<Command>) {
        self.ms += 1;
        self.controller.tick(Timestamp::from_nanos(self.ms * 1_000_000), answer.as_ref());
    }

    /// One millisecond in which the client sends a command; `arrives` says whether it gets through.
    pub fn cycle(&mut self, arrives: bool) {
        let seen = self.seen();
        let values = self.pilot.command(&seen, &self.newest);
        let ended = self.pilot.ended();
        self.pilot.prepare();
        let still = [0.0; JOINTS];
        let torques_alone = self.version == Version::V10 && self.mode == ControlMode::Torque;
        let mut command = Command {
            message_id: seen.ms,
            q_c: still,
            dq_c: still,
            twist: [0.0; 6],
            finished: ended && !torques_alone,
            tau_j_d: still,
            torque_finished: ended && torques_alone,
        };
        match self.mode {
            ControlMode::Position => command.q_c = values,
            ControlMode::Velocity => command.dq_c = values,
            ControlMode::Torque => command.tau_j_d = values,
        }
        if arrives {
            self.sent.push(values);
        }
        self.tick(arrives.then_some(command));
    }

    pub fn mode(&self) -> RobotMode {
        self.controller.state().mode
    }

    pub fn go(&mut self, pose: &[f64; JOINTS], every_ms: u64, ms: u64) {
        for step in 0..ms {
            if step % every_ms == 0 {
                let state = *self.controller.state();
                self.follow(towards(self.mode, pose, &state.q, &state.dq));
            }
            self.cycle(true);
            assert_eq!(
                self.mode(),
                RobotMode::Move,
                "errors {:b} after {} ms",
                self.controller.state().errors,
                self.ms
            );
        }
    }

    /// Moves to a pose while runs of commands get lost between those that arrive, `(arriving, lost)` in turn: no jump for the robot.
    pub fn bears_losses(&mut self, runs: Vec<(u64, u64)>) {
        let pose = poses()[0];
        self.go(&pose, 20, 20);
        for (good, lost) in runs {
            for i in 0..good + lost {
                if self.ms.is_multiple_of(20) {
                    let state = *self.controller.state();
                    self.follow(towards(self.mode, &pose, &state.q, &state.dq));
                }
                self.cycle(i < good);
                let state = self.controller.state();
                assert_eq!(state.mode, RobotMode::Move, "errors {:b} at {} ms", state.errors, self.ms);
            }
        }
    }
}
