//! Velocity limits by joint position: the FR3's limit falls towards the ends of its range, and any joint must be able to stop
//! before its end.

use franka::JointVelocityLimitsConfig;

use super::settings::MotionLimits;
use crate::driver::panda::limits::JOINTS;

/// `v(q) = min(v_max, sqrt(2 d (end - q)) - offset)` towards either end, Franka's own form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Envelope {
    /// Lowest positions \[rad\].
    pub lower: [f64; JOINTS],
    /// Highest positions \[rad\].
    pub upper: [f64; JOINTS],
    /// Largest speeds \[rad/s\].
    pub velocity: [f64; JOINTS],
    /// Speed taken off \[rad/s\].
    pub offset: [f64; JOINTS],
    /// Deceleration with which the end is approached \[rad/s2\].
    pub deceleration: [f64; JOINTS],
}

/// Share of the acceleration limit that an approach of a joint's end may need: the rest is for corrections on the way.
const APPROACH: f64 = 0.5;

/// Share of the robot's own curve that is used, and the speed left at the last commanded position \[rad/s\]. The curve reaches 0
/// before the joint's end, and an arm at that place could not be moved at all.
const SHARE: f64 = 0.9;
const LAST: f64 = 0.3;

/// Room kept before the end of a range \[rad\]: correcting a continuously falling speed takes that much.
const ROOM: f64 = 2e-3;

impl Envelope {
    /// For an arm whose speed limit is the same everywhere (FER): stop before the end.
    pub fn flat(limits: &MotionLimits) -> Self {
        Self {
            lower: limits.lower,
            upper: limits.upper,
            velocity: limits.velocity,
            offset: [0.0; JOINTS],
            deceleration: limits.acceleration.map(|a| APPROACH * a),
        }
    }

    /// For an arm that reports its curve (FR3): the tighter of both.
    pub fn of_robot(limits: &MotionLimits, curve: &JointVelocityLimitsConfig) -> Self {
        let mut out = Self::flat(limits);
        for (i, joint) in curve.joint_params().iter().enumerate() {
            out.lower[i] = out.lower[i].max(joint.lower_position_limit);
            out.upper[i] = out.upper[i].min(joint.upper_position_limit);
            out.velocity[i] = out.velocity[i].min(joint.max_velocity);
            if joint.deceleration_limit > 0.0 {
                out.offset[i] = joint.velocity_offset;
                out.deceleration[i] = out.deceleration[i].min(joint.deceleration_limit);
            }
        }
        out
    }

    /// Largest speed of a joint towards an end that is this far away \[rad\]; never negative.
    fn towards(&self, joint: usize, distance: f64) -> f64 {
        let curve = (2.0 * self.deceleration[joint] * (distance - ROOM).max(0.0)).sqrt() - self.offset[joint];
        (SHARE * curve).clamp(0.0, self.velocity[joint])
    }

    /// Lowest and highest velocity of a joint at a position \[rad/s\].
    pub fn velocities(&self, joint: usize, q: f64) -> (f64, f64) {
        (-self.towards(joint, q - self.lower[joint]), self.towards(joint, self.upper[joint] - q))
    }

    /// Deceleration to plan with when a joint moves to `target`: the curve's near an end, else the limit's \[rad/s2\].
    pub fn approach(&self, joint: usize, target: f64, limit: f64) -> f64 {
        let slow = SHARE * SHARE * SHARE * self.deceleration[joint];
        let distance = (self.upper[joint] - target).min(target - self.lower[joint]);
        // Above this distance full speed fits under the curve, and planning can ignore it.
        let free = (self.velocity[joint] / SHARE + self.offset[joint]).powi(2) / (2.0 * self.deceleration[joint]);
        if distance > free { limit } else { slow.min(limit) }
    }

    /// The nearest position a joint may be sent to \[rad\].
    pub fn usable(&self, joint: usize, q: f64) -> f64 {
        let margin = (self.offset[joint] + if self.offset[joint] > 0.0 { LAST } else { 0.0 }).powi(2)
            / (2.0 * self.deceleration[joint])
            + ROOM;
        // `clamp` keeps NaN; commands are finite here.
        q.clamp(self.lower[joint] + margin, self.upper[joint] - margin)
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Model;
    use super::*;

    #[test]
    fn speed_falls_to_zero_at_the_end_and_is_full_in_the_middle() {
        let limits = MotionLimits::of(Model::Fer);
        let envelope = Envelope::flat(&limits);
        assert_eq!(envelope.velocities(0, limits.upper[0]).1, 0.0);
        assert_eq!(envelope.velocities(0, 0.0), (-limits.velocity[0], limits.velocity[0]));
        assert_eq!(envelope.velocities(0, limits.upper[0] + 1.0).1, 0.0);
        assert_eq!(envelope.usable(0, 9.0), limits.upper[0] - ROOM);
    }
}
