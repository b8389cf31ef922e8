//! The servos' motion: goals through profiles to setpoints, setpoints to the plant, the plant's state back to the registers.

use std::time::Duration;

use super::servo::EmulatedServo;
use crate::driver::widowx::crank;
use crate::driver::widowx::dynamixel::wire::{registers, units};
use crate::driver::widowx::limits::Role;
use crate::driver::{Drive, Plant};
use visuomotor_core::config::{Gripper, Robot};
use visuomotor_core::observation::{JointVector, MAX_JOINTS, Proprioception};
use visuomotor_core::time::Timestamp;

/// Longest step of the servos' own loop: goals become setpoints at this rate.
const STEP: Duration = Duration::from_millis(2);

/// Drive mode bit: profiles by time.
const TIME_PROFILE: i32 = 4;

/// PWM that moves the fingers at their full speed \[1/885\]: what Bridge's robot code uses.
const MOVING_PWM: f64 = 350.0;

/// A profile from one position to another \[ticks\]: accelerating, constant speed, decelerating.
#[derive(Clone, Copy, Debug)]
struct Profile {
    from: f64,
    to: f64,
    start: Timestamp,
    /// Whole time \[s\].
    time: f64,
    /// Duration of the acceleration, and of the equally long deceleration \[s\].
    ramp: f64,
}

impl Profile {
    fn at(&self, now: Timestamp) -> f64 {
        let t = now.since(self.start).as_secs_f64();
        if t >= self.time {
            return self.to;
        }
        let way = self.to - self.from;
        let top = way / (self.time - self.ramp);
        let left = self.time - t;
        if t < self.ramp {
            self.from + 0.5 * top / self.ramp * t * t
        } else if left < self.ramp {
            self.to - 0.5 * top / self.ramp * left * left
        } else {
            self.from + top * (t - 0.5 * self.ramp)
        }
    }
}

/// Servos' motors over the plant.
pub(super) struct Motion {
    plant: Box<dyn Plant>,
    gripper: Gripper,
    profiles: [Option<Profile>; MAX_JOINTS],
    /// Positions the joints' servos are held at \[ticks\].
    setpoints: [f64; MAX_JOINTS],
    /// Position to which the gripper's motor pushes a finger \[m from center\].
    finger: f64,
    now: Option<Timestamp>,
}

impl Motion {
    pub fn new(robot: &Robot, plant: Box<dyn Plant>) -> Self {
        let (profiles, setpoints) = ([None; MAX_JOINTS], [0.0; MAX_JOINTS]);
        let finger = plant.sense().finger_position;
        Self { plant, gripper: robot.gripper.clone(), profiles, setpoints, finger, now: None }
    }

    pub fn plant(&self) -> &dyn Plant {
        self.plant.as_ref()
    }

    pub fn replace_plant(&mut self, plant: Box<dyn Plant>) {
        self.plant = plant;
    }

    /// Advances to `now`.
    pub fn advance(&mut self, now: Timestamp, servos: &mut [EmulatedServo]) {
        let mut at = self.now.unwrap_or(now);
        if self.now.is_none() {
            self.plant.advance_to(now);
            self.report(now, servos);
        }
        loop {
            let next = now.min(at + STEP);
            for servo in servos.iter_mut() {
                servo.watch(next);
            }
            self.drive(next, next.since(at).as_secs_f64(), servos);
            if next > at {
                self.plant.advance_to(next);
                self.report(next, servos);
            }
            at = next;
            if at >= now {
                break;
            }
        }
        self.now = Some(at);
    }

    fn drive(&mut self, now: Timestamp, seconds: f64, servos: &mut [EmulatedServo]) {
        let mut positions = self.plant.sense().joint_positions;
        let mut any = false;
        for servo in servos.iter_mut() {
            match servo.role() {
                Role::Joint(joint) => {
                    let here = units::CENTER as f64 + positions[joint] * units::TICKS_PER_TURN / std::f64::consts::TAU;
                    self.plan(joint, here, now, seconds, servo);
                    if servo.torque_on() {
                        any = true;
                        let turn = (self.setpoints[joint] - f64::from(units::CENTER)) / units::TICKS_PER_TURN;
                        positions[joint] = turn * std::f64::consts::TAU;
                    }
                }
                Role::Gripper => self.push(seconds, servo),
                Role::Shadow(_) => (servo.new_goal, servo.stopped) = (false, false),
            }
        }
        self.plant.drive(if any { Drive::Position(positions) } else { Drive::Limp });
    }

    /// Sets the position at which the joint's servo is held from now on.
    fn plan(&mut self, joint: usize, here: f64, now: Timestamp, seconds: f64, servo: &mut EmulatedServo) {
        let setpoint = &mut self.setpoints[joint];
        let profile = &mut self.profiles[joint];
        if std::mem::take(&mut servo.stopped) {
            // The watchdog expired: it stays at its profile's present position.
            *profile = None;
            servo.set(&registers::GOAL_VELOCITY, 0);
        }
        if !servo.torque_on() {
            (*profile, *setpoint) = (None, here);
            return;
        }
        if !servo.keeps_position() {
            *profile = None;
            let velocity = f64::from(servo.get(&registers::GOAL_VELOCITY)) * units::VELOCITY_UNIT;
            let mode = servo.get(&registers::OPERATING_MODE);
            *setpoint +=
                if mode == 1 { velocity * seconds * units::TICKS_PER_TURN / std::f64::consts::TAU } else { 0.0 };
            return;
        }
        if std::mem::take(&mut servo.new_goal) {
            let to = f64::from(servo.get(&registers::GOAL_POSITION));
            let [velocity, acceleration] =
                [registers::PROFILE_VELOCITY, registers::PROFILE_ACCELERATION].map(|r| f64::from(servo.get(&r)));
            let (time, ramp) = if servo.get(&registers::DRIVE_MODE) & TIME_PROFILE != 0 {
                (velocity * 1e-3, (acceleration * 1e-3).min(0.5e-3 * velocity))
            } else {
                let ticks_per_second = velocity * units::VELOCITY_UNIT * units::TICKS_PER_TURN / std::f64::consts::TAU;
                let time = if velocity > 0.0 { (to - *setpoint).abs() / ticks_per_second } else { 0.0 };
                (time, 0.0)
            };
            *profile = Some(Profile { from: *setpoint, to, start: now, time, ramp });
        }
        if let Some(way) = profile {
            *setpoint = way.at(now);
        }
    }

    /// PWM sets the motor's speed and, where the fingers are stopped, its force: the plant's finger servo is given a target that
    /// runs ahead at that speed, and no farther ahead than gives that force. Calibrated so that [`MOVING_PWM`] gives the speed and
    /// force in the arm's description of its gripper.
    fn push(&mut self, seconds: f64, servo: &mut EmulatedServo) {
        servo.new_goal = false;
        if std::mem::take(&mut servo.stopped) {
            servo.set(&registers::GOAL_PWM, 0);
        }
        if !servo.torque_on() {
            return;
        }
        let here = self.plant.sense().finger_position;
        self.finger = if servo.get(&registers::OPERATING_MODE) == 16 {
            let share = f64::from(servo.get(&registers::GOAL_PWM)) / MOVING_PWM;
            let ahead = share.abs() * self.gripper.finger_force / self.gripper.finger_stiffness;
            let moved = self.finger + share * self.gripper.finger_velocity * seconds;
            if share == 0.0 { self.finger } else { moved.clamp(here - ahead, here + ahead) }
        } else {
            crank::finger_from_angle(units::angle_from_ticks(servo.get(&registers::GOAL_POSITION)))
        };
        let usable = [self.gripper.finger_closed, self.gripper.finger_open];
        self.finger = self.finger.clamp(usable[0].min(usable[1]), usable[0].max(usable[1]));
        self.plant.drive_gripper(self.gripper.fraction_from_finger(self.finger));
    }

    /// Writes the plant's state to the servos' registers.
    fn report(&self, now: Timestamp, servos: &mut [EmulatedServo]) {
        let sensed = self.plant.sense();
        let tick = (now.as_nanos() / 1_000_000 % 32_768) as i32;
        for servo in servos.iter_mut() {
            let (angle, velocity, torque) = state_of(&sensed, servo.role());
            let model = servo.servo().model;
            servo.set(&registers::REALTIME_TICK, tick);
            servo.set(&registers::PRESENT_POSITION, units::ticks_from_angle(angle));
            servo.set(&registers::PRESENT_VELOCITY, units::raw_from_velocity(velocity));
            let raw = units::raw_from_torque(model, torque).clamp(-2000, 2000);
            servo.set(&registers::PRESENT_CURRENT, raw);
            servo.set(&registers::MOVING, i32::from(velocity.abs() > 10.0 * units::VELOCITY_UNIT));
            if let Role::Joint(joint) = servo.role() {
                servo.set(&registers::POSITION_TRAJECTORY, self.setpoints[joint].round() as i32);
            }
        }
    }
}

/// Angle \[rad\], speed \[rad/s\] and torque \[Nm\] at a servo's shaft; two on one shaft share the torque.
fn state_of(sensed: &Proprioception, role: Role) -> (f64, f64, f64) {
    let joint_of = |joint: usize, vector: &JointVector| vector.get(joint).copied().unwrap_or(0.0);
    match role {
        Role::Joint(joint) | Role::Shadow(joint) => {
            let shared = crate::driver::widowx::limits::SERVOS.iter().any(|other| other.role == Role::Shadow(joint));
            let torque = joint_of(joint, &sensed.joint_efforts) * if shared { 0.5 } else { 1.0 };
            (joint_of(joint, &sensed.joint_positions), joint_of(joint, &sensed.joint_velocities), torque)
        }
        Role::Gripper => (crank::angle_from_finger(sensed.finger_position), 0.0, 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_starts_and_ends_in_time_and_never_jumps() {
        for (time, ramp) in [(0.1, 0.05), (0.1, 0.0), (0.1, 0.02)] {
            let profile = Profile { from: 100.0, to: 200.0, start: Timestamp::ZERO, time, ramp };
            let top = 100.0 / (time - ramp);
            let mut before = 100.0;
            for i in 0..=120 {
                let here = profile.at(Timestamp::from_nanos(i * 1_000_000));
                assert!(here >= before && here - before <= top * 1e-3 + 1e-9, "{time} {ramp} {i}: {before} {here}");
                before = here;
            }
            assert_eq!(before, 200.0);
            let middle = profile.at(Timestamp::from_nanos(50_000_000));
            assert!((middle - 150.0).abs() < 1e-9, "{middle}");
        }
    }
}
