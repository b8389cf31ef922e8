//! The command for each robot state. Pure, so that tests step it millisecond by millisecond.
//!
//! [`Pilot::command`] runs between the state and its command and only selects, clips and counts. Planning is done by
//! [`Pilot::prepare`] after the command was sent. So a new target acts one millisecond later and the command leaves at once. Every
//! motion starts at the robot's own last desired position (`q_d`), at rest.
//!
//! - No new command for `command_age`, or a hold requested: the arm brakes within its limits and stays.
//! - The robot continued without us (lost packets, late commands): planning continues from where the robot then is.
//! - A command that is not finite, or of another mode, is ignored; so is a state that is not finite.

use super::envelope::Envelope;
use super::report::NumberedSetpoint;
use super::settings::FciSettings;
use super::shaper::Shaper;
use super::torque::TorqueLaw;
use crate::driver::Setpoint;
use crate::driver::panda::limits::{CYCLE, JOINTS};
use visuomotor_core::action::ControlMode;
use visuomotor_core::time::Timestamp;

/// The part of a state that a command needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PilotState {
    /// The robot's time \[ms\].
    pub ms: u64,
    /// Measured joint positions \[rad\].
    pub q: [f64; JOINTS],
    /// Measured joint velocities \[rad/s\].
    pub dq: [f64; JOINTS],
    /// Commanded joint positions \[rad\].
    pub q_d: [f64; JOINTS],
    /// Commanded joint velocities \[rad/s\].
    pub dq_d: [f64; JOINTS],
    /// Commanded joint accelerations \[rad/s2\].
    pub ddq_d: [f64; JOINTS],
    /// Commanded joint torques \[Nm\].
    pub tau_j_d: [f64; JOINTS],
}

impl From<&franka::RobotState> for PilotState {
    fn from(state: &franka::RobotState) -> Self {
        Self {
            ms: state.time.as_millis(),
            q: state.q,
            dq: state.dq,
            q_d: state.q_d,
            dq_d: state.dq_d,
            ddq_d: state.ddq_d,
            tau_j_d: state.tau_J_d,
        }
    }
}

/// Commands with a shorter period than this are a stream, whose targets move \[s\]; slower ones are goals.
const STREAM: f64 = 0.06;

/// How long a stream's target keeps moving when the next command is late \[s\]: two cycles, for two unsynchronized loops of 1 kHz.
const COAST: f64 = 0.002;

/// Difference between what was sent and what the robot reports as received, above which its report is used \[rad or rad/s\]: a jerk
/// of 1 rad/s3 over 1 ms. FCI version 10 reports single precision; that rounding does not count as a difference.
const TOLD: f64 = 1e-9;

/// The same for torques \[Nm\]: 1 Nm/s over 1 ms.
const TOLD_TORQUE: f64 = 1e-3;

/// Present target of a stream of position commands.
#[derive(Clone, Copy, Debug)]
struct Target {
    from: [f64; JOINTS],
    to: [f64; JOINTS],
    velocity: [f64; JOINTS],
    interval: f64,
    elapsed: f64,
}

impl Target {
    fn at_rest(q: [f64; JOINTS]) -> Self {
        Self { from: q, to: q, velocity: [0.0; JOINTS], interval: 0.0, elapsed: 0.0 }
    }

    /// Position and velocity after another millisecond.
    fn next(&mut self) -> ([f64; JOINTS], [f64; JOINTS]) {
        self.elapsed += CYCLE;
        if self.elapsed > self.interval + COAST {
            return (self.to, [0.0; JOINTS]);
        }
        (std::array::from_fn(|i| self.from[i] + self.velocity[i] * self.elapsed), self.velocity)
    }
}

fn finite(values: &[f64; JOINTS]) -> bool {
    values.iter().all(|value| value.is_finite())
}

/// Computes the commands of one motion.
pub struct Pilot {
    mode: ControlMode,
    velocity_limit: [f64; JOINTS],
    command_age_ms: f64,
    shaper: Shaper,
    torque: TorqueLaw,
    /// Setpoints up to this number are outdated.
    taken: u64,
    taken_at: Option<Timestamp>,
    age_ms: f64,
    commanded: [f64; JOINTS],
    target: Option<Target>,
    holding: bool,
    ending: bool,
    faded: bool,
    last_ms: Option<u64>,
    sent: Option<[f64; JOINTS]>,
    seen: Option<PilotState>,
}

impl Pilot {
    /// For a motion of this mode; setpoints up to number `past` were meant for earlier ones.
    pub fn new(mode: ControlMode, settings: &FciSettings, envelope: Envelope, past: u64) -> Self {
        Self {
            mode,
            velocity_limit: settings.motion.velocity,
            command_age_ms: settings.command_age * 1e3,
            shaper: Shaper::new(settings.motion, envelope),
            torque: TorqueLaw::new(&settings.motion),
            taken: past,
            taken_at: None,
            age_ms: 0.0,
            commanded: [0.0; JOINTS],
            target: None,
            holding: true,
            ending: false,
            faded: false,
            last_ms: None,
            sent: None,
            seen: None,
        }
    }

    /// The command for this state: rad, rad/s or Nm, by mode.
    pub fn command(&mut self, seen: &PilotState, newest: &NumberedSetpoint) -> [f64; JOINTS] {
        let passed = self.last_ms.map_or(1, |last| seen.ms.saturating_sub(last)).max(1);
        self.last_ms = Some(seen.ms);
        self.take(newest, passed as f64);
        let command = match self.mode {
            ControlMode::Torque => {
                if !self.agrees(&seen.tau_j_d, TOLD_TORQUE) && finite(&seen.tau_j_d) {
                    self.torque.seed(&seen.tau_j_d);
                }
                self.torque_command(seen)
            }
            ControlMode::Position => {
                if passed > 1 || !self.agrees(&seen.q_d, TOLD) {
                    self.go_on_from(seen);
                }
                self.shaper.positions()
            }
            ControlMode::Velocity => {
                if passed > 1 || !self.agrees(&seen.dq_d, TOLD) {
                    self.go_on_from(seen);
                }
                self.shaper.velocities()
            }
        };
        self.sent = Some(command);
        self.seen = Some(*seen);
        command
    }

    /// Plans the next command.
    pub fn prepare(&mut self) {
        if self.mode == ControlMode::Torque {
            return;
        }
        if self.holding || self.ending {
            self.target = None;
            self.shaper.brake();
            return;
        }
        match self.mode {
            ControlMode::Velocity => self.shaper.keep(&self.commanded),
            _ => {
                let (q, dq) = self.target.get_or_insert(Target::at_rest(self.commanded)).next();
                self.shaper.follow(&q, &dq);
            }
        }
    }

    /// Starts ending the motion.
    pub fn end(&mut self) {
        self.ending = true;
    }

    /// Has the motion come to its end, so that it can be finished?
    pub fn ended(&self) -> bool {
        self.ending
            && match self.mode {
                ControlMode::Torque => self.faded,
                _ => self.shaper.still(),
            }
    }

    /// Is the arm held because no commands come?
    pub fn holds(&self) -> bool {
        self.holding
    }

    /// Plans that were replaced by braking.
    pub fn replaced(&self) -> u64 {
        self.shaper.replaced
    }

    /// Takes a new setpoint, or ages the present one.
    fn take(&mut self, newest: &NumberedSetpoint, passed_ms: f64) {
        if newest.count <= self.taken {
            self.age_ms += passed_ms;
            // Written so that NaN holds.
            if !(self.age_ms <= self.command_age_ms) {
                self.holding = true;
            }
            return;
        }
        self.taken = newest.count;
        self.age_ms = 0.0;
        let before = self.taken_at.replace(newest.at);
        let command = match newest.setpoint {
            Setpoint::Follow(command) if command.mode() == self.mode && command.joints().len() == JOINTS => command,
            _ => {
                self.holding = true;
                return;
            }
        };
        if !command.joints().is_finite() {
            self.holding = true;
            return;
        }
        let commanded: [f64; JOINTS] = std::array::from_fn(|i| command.joints()[i]);
        if self.mode == ControlMode::Position {
            let interval = before.map_or(f64::INFINITY, |before| newest.at.since(before).as_secs_f64());
            self.target = Some(self.aim(&commanded, interval));
        }
        self.commanded = commanded;
        self.holding = false;
    }

    /// The target for a new position command: moving in a stream, at rest otherwise.
    fn aim(&self, to: &[f64; JOINTS], interval: f64) -> Target {
        if self.holding || !(interval > 0.0 && interval <= STREAM) {
            return Target::at_rest(*to);
        }
        let from = self.commanded;
        let mut target = Target { from, to: *to, velocity: [0.0; JOINTS], interval, elapsed: 0.0 };
        for i in 0..JOINTS {
            let velocity = (to[i] - from[i]) / interval;
            if velocity.abs() <= self.velocity_limit[i] {
                target.velocity[i] = velocity;
            } else {
                // Faster than the joint may move: a goal to reach, not a line to follow.
                target.from[i] = to[i];
            }
        }
        target
    }

    fn agrees(&self, told: &[f64; JOINTS], tolerance: f64) -> bool {
        let agree = |sent: f64, told: f64| (sent - told).abs() <= tolerance || f64::from(sent as f32) == told;
        self.sent.is_some_and(|sent| sent.iter().zip(told).all(|(sent, told)| agree(*sent, *told)))
    }

    /// Plans from the robot's reported position; at the start of a motion it stands still there.
    fn go_on_from(&mut self, seen: &PilotState) {
        // A report that is not finite is ignored; the present plan continues.
        if !(finite(&seen.q_d) && finite(&seen.dq_d) && finite(&seen.ddq_d)) {
            return;
        }
        let still = [0.0; JOINTS];
        if self.sent.is_none() {
            self.shaper.seed(&seen.q_d, &still, &still);
            return;
        }
        // The robot uses differences: in a position motion its velocity is the mean of the last millisecond, and half a millisecond
        // of acceleration lies between that and the velocity at its end. In a velocity motion it is a sample.
        let half = if self.mode == ControlMode::Position { 0.5 * CYCLE } else { 0.0 };
        let velocity = std::array::from_fn(|i| seen.dq_d[i] + half * seen.ddq_d[i]);
        self.shaper.seed(&seen.q_d, &velocity, &seen.ddq_d);
        self.prepare();
    }

    fn torque_command(&mut self, seen: &PilotState) -> [f64; JOINTS] {
        if self.ending {
            if self.torque.rests(&seen.dq) || self.faded {
                let (faded, torque) = self.torque.fade();
                self.faded = faded;
                return torque;
            }
            return self.torque.hold(&seen.q, &seen.dq);
        }
        if self.holding { self.torque.hold(&seen.q, &seen.dq) } else { self.torque.follow(&self.commanded) }
    }
}
