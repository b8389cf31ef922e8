//! The commands that are actually sent: each at most one control period's limit away from the previous one, and a stop that ramps.
//! Pure; steps are commands, not seconds.
//!
//! The safety filter before every driver enforces the same limits in time. This enforces them where the filter cannot: when the
//! control thread falls silent, when a command was overwritten before it was sent, when a program ends in mid-motion.

use visuomotor_core::action::{ControlMode, JointCommand};
use visuomotor_core::config::Robot;
use visuomotor_core::observation::JointVector;

/// How much larger than one control period's limit a step may be: room to catch up after a lost command.
const CATCH_UP: f64 = 1.25;

/// Stiffness of the hold under torque: the whole torque limit at this error \[rad\].
const HOLD_SOFTNESS: f64 = 0.25;

/// Damping of the hold under torque, as a share of its stiffness \[s\].
const HOLD_DAMPING: f64 = 0.2;

/// The last command sent and the limits of the next.
#[derive(Clone, Debug)]
pub struct Stream {
    mode: ControlMode,
    last: JointVector,
    /// Change of the last command per step: a velocity, for positions.
    step: JointVector,
    velocity: Vec<f64>,
    acceleration: Vec<f64>,
    torque: Vec<f64>,
    torque_rate: Vec<f64>,
    rate: f64,
    resting: JointVector,
}

impl Stream {
    /// For an arm commanded `rate` times a second \[Hz\].
    pub fn new(robot: &Robot, rate: f64) -> Self {
        let zeros = JointVector::zeros(robot.joint.len());
        Self {
            mode: ControlMode::Position,
            last: zeros,
            step: zeros,
            velocity: robot.limits.joint_velocity.clone(),
            acceleration: robot.limits.joint_acceleration.clone(),
            torque: robot.limits.joint_torque.clone(),
            torque_rate: robot.limits.joint_torque_rate.clone(),
            rate,
            resting: zeros,
        }
    }

    /// Starts at rest at these positions \[rad\].
    pub fn seed(&mut self, mode: ControlMode, positions: &JointVector) {
        let zeros = JointVector::zeros(positions.len());
        self.mode = mode;
        self.last = if mode == ControlMode::Position { *positions } else { zeros };
        self.step = zeros;
        self.resting = *positions;
    }

    /// Starts at these positions \[rad\] with the arm moving at these velocities \[rad/s\]: a stop then brakes from that speed.
    pub fn seed_moving(&mut self, positions: &JointVector, velocities: &JointVector) {
        self.seed(ControlMode::Position, positions);
        for joint in 0..positions.len() {
            let most = self.largest_step(joint);
            let step = velocities[joint] / self.rate;
            self.step[joint] = if step.is_finite() { step.clamp(-most, most) } else { 0.0 };
        }
    }

    /// Mode of the commands.
    pub fn mode(&self) -> ControlMode {
        self.mode
    }

    /// The last command: rad, rad/s or Nm, by mode.
    pub fn last(&self) -> &JointVector {
        &self.last
    }

    /// Change of the last command within one second: rad/s, rad/s2 or Nm/s, by mode.
    pub fn slope(&self) -> JointVector {
        let mut slope = self.step;
        slope.iter_mut().for_each(|step| *step *= self.rate);
        slope
    }

    /// Largest change from one command to the next of a joint: rad, rad/s or Nm, by mode.
    pub fn largest_step(&self, joint: usize) -> f64 {
        let limit = match self.mode {
            ControlMode::Position => self.velocity[joint],
            ControlMode::Velocity => self.acceleration[joint],
            ControlMode::Torque => self.torque_rate[joint],
        };
        CATCH_UP * limit / self.rate
    }

    /// One step towards a command of the stream's mode; a number that is not finite changes nothing.
    pub fn toward(&mut self, command: &JointCommand) -> JointVector {
        self.resting_is(None);
        if command.joints().is_finite() && command.joints().len() == self.last.len() {
            self.advance(&command.joints());
        }
        self.last
    }

    /// One step towards standing still, from the measured state. Positions slow down, velocities go to zero, torques become those
    /// of a spring to where the arm is when the stop begins. The second value returned is whether it has come to rest.
    pub fn stop(&mut self, positions: &JointVector, velocities: &JointVector) -> (JointVector, bool) {
        match self.mode {
            ControlMode::Position => {
                let rest = self.brake();
                (self.last, rest)
            }
            ControlMode::Velocity => {
                let rest = self.fade();
                (self.last, rest)
            }
            ControlMode::Torque => {
                self.resting_is(Some(positions));
                let mut torque = JointVector::zeros(self.last.len());
                for joint in 0..torque.len() {
                    let stiffness = self.torque[joint] / HOLD_SOFTNESS;
                    let wish = stiffness * (self.resting[joint] - positions[joint])
                        - stiffness * HOLD_DAMPING * velocities[joint];
                    let wish = if wish.is_finite() { wish } else { 0.0 };
                    torque[joint] = wish.clamp(-self.torque[joint], self.torque[joint]);
                }
                self.advance(&torque);
                let slow = velocities.iter().zip(&self.velocity).all(|(v, limit)| v.abs() < 0.02 * limit);
                (self.last, slow)
            }
        }
    }

    /// One step towards rest while the arm's state is unknown: positions slow down, velocities and torques go to zero, which is no
    /// torque beyond the weight where the controller carries that. Returns whether the last command is one of rest.
    pub fn stop_blind(&mut self) -> bool {
        self.resting_is(None);
        match self.mode {
            ControlMode::Position => self.brake(),
            ControlMode::Velocity | ControlMode::Torque => self.fade(),
        }
    }

    /// One step of braking that reduces the last step of positions; returns whether it is zero.
    fn brake(&mut self) -> bool {
        let mut target = self.last;
        let mut rest = true;
        for joint in 0..target.len() {
            let brake = self.acceleration[joint] / (self.rate * self.rate);
            let step = self.step[joint];
            let slower = step.signum() * (step.abs() - brake).max(0.0);
            target[joint] += slower;
            rest &= slower == 0.0;
        }
        self.advance(&target);
        rest
    }

    /// One step of the command towards zero; returns whether it is zero.
    fn fade(&mut self) -> bool {
        self.advance(&JointVector::zeros(self.last.len()));
        self.last.iter().all(|value| *value == 0.0)
    }

    /// Where a hold under torque pulls to: kept while it lasts, forgotten with the next command.
    fn resting_is(&mut self, positions: Option<&JointVector>) {
        match positions {
            None => self.resting.fill(f64::NAN),
            Some(positions) if !self.resting.is_finite() => self.resting = *positions,
            Some(_) => {}
        }
    }

    fn advance(&mut self, to: &JointVector) {
        for joint in 0..self.last.len() {
            let most = self.largest_step(joint);
            let step = (to[joint] - self.last[joint]).clamp(-most, most);
            self.step[joint] = step;
            self.last[joint] += step;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    fn stream(mode: ControlMode) -> (Stream, JointVector) {
        let robot = Robot::load(Path::new(crate::CHECKOUT), "sawyer").unwrap();
        let home = JointVector::from_slice(&robot.identity.home);
        let mut stream = Stream::new(&robot, 100.0);
        stream.seed(mode, &home);
        (stream, home)
    }

    proptest! {
        #[test]
        fn no_step_is_larger_than_its_limit_whatever_is_asked(
            asked in proptest::collection::vec(proptest::array::uniform7(-50.0..50.0f64), 1..40),
            mode in 0..3usize,
        ) {
            let mode = [ControlMode::Position, ControlMode::Velocity, ControlMode::Torque][mode];
            let (mut stream, home) = stream(mode);
            let mut last = *stream.last();
            let check = |stream: &Stream, before: &JointVector, after: &JointVector| {
                (0..7).all(|j| (after[j] - before[j]).abs() <= stream.largest_step(j) + 1e-12)
            };
            for joints in asked {
                let joints = JointVector::from_slice(&joints);
                let next = stream.toward(&JointCommand::of(mode, joints, 1.0));
                prop_assert!(check(&stream, &last, &next));
                last = next;
            }
            for _ in 0..400 {
                let (next, _) = stream.stop(&home, &JointVector::zeros(7));
                prop_assert!(check(&stream, &last, &next));
                last = next;
            }
            let (next, rest) = stream.stop(&home, &JointVector::zeros(7));
            prop_assert!(rest);
            prop_assert_eq!(next, last);
        }
    }

    #[test]
    fn positions_brake_within_the_acceleration_limit() {
        let (mut stream, home) = stream(ControlMode::Position);
        let mut target = home;
        for _ in 0..50 {
            target[0] += 0.0088;
            stream.toward(&JointCommand::position(target, 1.0));
        }
        let mut speed = stream.slope()[0];
        assert!((speed - 0.88).abs() < 1e-9);
        loop {
            let (_, rest) = stream.stop(&home, &JointVector::zeros(7));
            let next = stream.slope()[0];
            assert!(speed - next <= 5.0 / 100.0 + 1e-9 && next >= 0.0);
            speed = next;
            if rest {
                break;
            }
        }
        assert!((stream.last()[0] - (home[0] + 0.44)).abs() < 0.88 * 0.88 / (2.0 * 5.0) + 0.01);
    }

    #[test]
    fn a_motion_that_was_not_of_positions_is_braked_off_within_the_acceleration_limit() {
        let (mut stream, home) = stream(ControlMode::Torque);
        let mut moving = JointVector::zeros(7);
        moving[0] = -0.6;
        stream.seed_moving(&home, &moving);
        let mut speed = -0.6;
        loop {
            let (_, rest) = stream.stop(&home, &JointVector::zeros(7));
            let next = stream.slope()[0];
            assert!(next - speed <= 5.0 / 100.0 + 1e-9 && next <= 0.0, "{speed} to {next}");
            speed = next;
            if rest {
                break;
            }
        }
        let way = home[0] - stream.last()[0];
        assert!(way > 0.0 && way < 0.6 * 0.6 / (2.0 * 5.0) + 1e-9, "{way}");
        assert_eq!(stream.last()[1..], home[1..]);
    }

    #[test]
    fn a_number_that_is_not_finite_moves_nothing() {
        let (mut stream, home) = stream(ControlMode::Position);
        let mut bad = home;
        bad[3] = f64::NAN;
        bad[0] += 1.0;
        assert_eq!(stream.toward(&JointCommand::position(bad, 1.0)), home);
    }

    #[test]
    fn a_hold_under_torque_pulls_back_to_where_it_began() {
        let (mut stream, home) = stream(ControlMode::Torque);
        stream.toward(&JointCommand::torque(JointVector::zeros(7), 1.0));
        stream.stop(&home, &JointVector::zeros(7));
        let mut pushed = home;
        pushed[1] += 0.1;
        for _ in 0..100 {
            stream.stop(&pushed, &JointVector::zeros(7));
        }
        assert!((stream.last()[1] + 0.1 * 40.0 / HOLD_SOFTNESS).abs() < 1e-9);
    }
}
