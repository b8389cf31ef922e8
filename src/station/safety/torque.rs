//! Limits of torque commands, on top of gravity compensation.
//!
//! A torque does not determine speed or position, so the arm's measured motion is checked instead. In this order, later
//! checks take precedence: motion that must stop at once (far too fast, or moving further out of the hard range or through
//! a wall) is a stop; a joint near its speed limit or too fast for the rest of its range, and an arm about to hit a wall,
//! are braked, both predicted over the measurement's age and one period; then the torque limit; and last its rate, which is
//! never exceeded because arms stop themselves at a faster change.

use super::changes::{Changes, distance};
use super::walls::Walls;
use visuomotor_core::config::Robot;
use visuomotor_core::episode::LimitReason;
use visuomotor_core::kinematics::{Chain, braking_speed};
use visuomotor_core::observation::{JointVector, Proprioception};
use visuomotor_core::protection::Protection;

/// Share of the speed limit over which a joint's forward torque falls from its limit to zero, and then to full braking.
const BRAKING_BAND: f64 = 0.2;
/// Share of the speed limit at which braking counts as failed.
const TOO_FAST: f64 = 1.5;
/// Share of the speed limit that counts as moving.
const MOVING: f64 = 0.02;

/// Limits of one arm.
#[derive(Clone, Copy, Debug)]
pub(super) struct TorqueLimits {
    torque: JointVector,
    rate: JointVector,
    velocity: JointVector,
    acceleration: JointVector,
    period: f64,
}

impl TorqueLimits {
    pub(super) fn of(robot: &Robot, period: f64) -> Self {
        let limits = &robot.limits;
        Self {
            torque: JointVector::from_slice(&limits.joint_torque),
            rate: JointVector::from_slice(&limits.joint_torque_rate),
            velocity: JointVector::from_slice(&limits.joint_velocity),
            acceleration: JointVector::from_slice(&limits.joint_acceleration),
            period,
        }
    }

    /// The desired torques within every limit \[Nm\], or the reason why the arm must stop; all inputs are finite.
    pub(super) fn within(
        &self,
        walls: &Walls<'_>,
        wished: &JointVector,
        before: &JointVector,
        (measured, age): (&Proprioception, f64),
        elapsed: f64,
        changes: &mut Changes,
    ) -> Result<JointVector, LimitReason> {
        let chain = walls.chain;
        // Braking takes effect after the measurement's age and one more period.
        let delay = self.period + age;
        let (here, speed) = (&measured.joint_positions, &measured.joint_velocities);
        if speed.len() != wished.len() {
            return Err(LimitReason::NotFinite);
        }
        for (joint, limit) in chain.limits().iter().enumerate() {
            if Protection::JointVelocity.is_on() && !(speed[joint].abs() <= TOO_FAST * self.velocity[joint]) {
                return Err(LimitReason::JointVelocity);
            }
            let moving = MOVING * self.velocity[joint];
            let out = (here[joint] > limit.upper && speed[joint] > moving)
                || (here[joint] < limit.lower && speed[joint] < -moving);
            if out && Protection::JointPosition.is_on() {
                return Err(LimitReason::JointPosition);
            }
        }

        let mut torque = *wished;
        if let Some(reason) = self.leaves(walls, here, speed, delay)? {
            for joint in 0..torque.len() {
                torque[joint] = -speed[joint] * self.slope(joint);
            }
            changes.decide(reason);
        }
        let pushed = torque;
        for (joint, limit) in chain.usable_limits().iter().enumerate() {
            if !Protection::JointPosition.is_on() || !Protection::JointVelocity.is_on() {
                break;
            }
            let room = |distance: f64| braking_speed(distance, self.acceleration[joint], delay);
            let fastest = room(limit.upper - here[joint]).min(self.velocity[joint]);
            let slowest = -room(here[joint] - limit.lower).min(self.velocity[joint]);
            // Forward torque reaches zero at the joint's speed limit; beyond it the joint is braked.
            let high = self.slope(joint) * (fastest - speed[joint]);
            let low = self.slope(joint) * (slowest - speed[joint]);
            if !(torque[joint] <= high) {
                torque[joint] = high;
            } else if !(torque[joint] >= low) {
                torque[joint] = low;
            }
        }
        let at_wall =
            (0..torque.len()).any(|joint| torque[joint] != pushed[joint] && self.near_end(chain, here, joint, delay));
        let reason = if at_wall { LimitReason::JointPosition } else { LimitReason::JointVelocity };
        changes.note(reason, distance(&torque, &pushed));

        if !Protection::Torque.is_on() {
            return Ok(torque);
        }
        let strong = torque;
        for (value, limit) in torque.iter_mut().zip(self.torque.iter()) {
            *value = if *value > *limit {
                *limit
            } else if *value < -*limit {
                -*limit
            } else {
                *value
            };
        }
        changes.note(LimitReason::JointTorque, distance(&torque, &strong));

        let sudden = torque;
        for joint in 0..torque.len() {
            let step = self.rate[joint] * elapsed;
            let change = torque[joint] - before[joint];
            // A rate that is NaN allows no change.
            if !(change.abs() <= step) {
                torque[joint] = if step > 0.0 { before[joint] + step.copysign(change) } else { before[joint] };
            }
        }
        changes.note(LimitReason::JointTorqueRate, distance(&torque, &sudden));
        Ok(torque)
    }

    /// Braking torque per speed of a joint \[Nm s/rad\].
    fn slope(&self, joint: usize) -> f64 {
        self.torque[joint] / (BRAKING_BAND * self.velocity[joint])
    }

    /// Does the end of its range limit the joint's speed?
    fn near_end(&self, chain: &Chain, here: &JointVector, joint: usize, delay: f64) -> bool {
        let limit = chain.usable_limits()[joint];
        let nearer = (limit.upper - here[joint]).min(here[joint] - limit.lower);
        braking_speed(nearer, self.acceleration[joint], delay) < self.velocity[joint]
    }

    /// The wall that the arm would hit even if every joint brakes from now on. Moving further through a wall is a stop.
    fn leaves(
        &self,
        walls: &Walls<'_>,
        here: &JointVector,
        speed: &JointVector,
        delay: f64,
    ) -> Result<Option<LimitReason>, LimitReason> {
        let mut seconds: f64 = 0.0;
        for (value, limit) in speed.iter().zip(self.acceleration.iter()) {
            seconds = seconds.max(value.abs() / limit);
        }
        let there = *here + *speed * (delay + 0.5 * seconds);
        let Some(reason) = walls.refuses(&there, here) else {
            return Ok(None);
        };
        let moving = (0..speed.len()).any(|joint| !(speed[joint].abs() <= MOVING * self.velocity[joint]));
        if moving && walls.is_through(&walls.chain.place(here)) {
            return Err(reason);
        }
        Ok(Some(reason))
    }
}
