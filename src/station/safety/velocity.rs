//! Limits of velocity commands.
//!
//! In this order, later checks take precedence: joint speed and tool speed (the whole vector is scaled, so that the arm
//! keeps its direction), acceleration and jerk (the whole change is scaled), braking before a joint limit (only that
//! joint), braking before the walls (the whole vector), and once more the tool's speed. The arm's position is the
//! measurement advanced by the commands sent since.
//!
//! Jerk limits only how suddenly a joint speeds up. Slowing down may begin at once, so that an arm can always stop.

use nalgebra::SVector;

use super::changes::{Changes, distance, part_of_the_way};
use super::residual::Residual;
use super::walls::Walls;
use visuomotor_core::action::ControlMode;
use visuomotor_core::config::Robot;
use visuomotor_core::episode::LimitReason;
use visuomotor_core::kinematics::{Jacobian, braking_speed};
use visuomotor_core::observation::{JointVector, MAX_JOINTS};
use visuomotor_core::protection::Protection;

/// Bisection steps for the largest share of a velocity that still stops inside the walls: to a 64th, on the safe side.
const HALVINGS: u32 = 6;

/// The previously sent velocity.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentBefore<'a> {
    /// Velocity \[rad/s\].
    pub(super) joints: &'a JointVector,
    /// Its acceleration \[rad/s2\].
    pub(super) slope: &'a JointVector,
    /// Counted time since then \[s\].
    pub(super) elapsed: f64,
}

/// Limits of one arm.
#[derive(Clone, Copy, Debug)]
pub(super) struct VelocityLimits {
    velocity: JointVector,
    acceleration: JointVector,
    jerk: JointVector,
    tool_velocity: f64,
    tool_rotation_velocity: f64,
    period: f64,
}

impl VelocityLimits {
    pub(super) fn of(robot: &Robot, period: f64) -> Self {
        let limits = &robot.limits;
        Self {
            velocity: JointVector::from_slice(&limits.joint_velocity),
            acceleration: JointVector::from_slice(&limits.joint_acceleration),
            jerk: JointVector::from_slice(&limits.joint_jerk),
            tool_velocity: limits.tool_velocity,
            tool_rotation_velocity: limits.tool_rotation_velocity,
            period,
        }
    }

    /// The desired velocities within every limit \[rad/s\]; `here` is the arm's predicted position \[rad\]; all inputs are finite.
    pub(super) fn within(
        &self,
        walls: &Walls<'_>,
        wished: &JointVector,
        SentBefore { joints: before, slope, elapsed }: SentBefore<'_>,
        here: &JointVector,
        residual: &mut Residual,
        changes: &mut Changes,
    ) -> JointVector {
        let jacobian = walls.chain.jacobian(here);
        let fast = self.share_of_speed(wished);
        let tool = self.share_of_tool_speed(&jacobian, wished);
        let slow = scaled(wished, fast.min(tool));
        let reason = if fast <= tool { LimitReason::JointVelocity } else { LimitReason::ToolVelocity };
        changes.note(reason, distance(&slow, wished));

        let mut gentle = self.toward(&slow, before, elapsed);
        changes.note(LimitReason::JointAcceleration, distance(&gentle, &slow));

        let sudden = gentle;
        gentle = self.building_up(&sudden, before, slope, elapsed);
        changes.note(LimitReason::JointJerk, distance(&gentle, &sudden));

        let hurried = gentle;
        for (joint, limit) in walls.chain.usable_limits().iter().enumerate() {
            if !Protection::JointPosition.is_on() {
                break;
            }
            let (up, down) = (limit.upper - here[joint], here[joint] - limit.lower);
            let high = braking_speed(up, self.acceleration[joint], self.period);
            let low = -braking_speed(down, self.acceleration[joint], self.period);
            if !(gentle[joint] <= high) {
                gentle[joint] = high;
            } else if !(gentle[joint] >= low) {
                gentle[joint] = low;
            }
        }
        changes.note(LimitReason::JointPosition, distance(&gentle, &hurried));

        let eager = gentle;
        for joint in 0..gentle.len() {
            let asked = (gentle[joint], before[joint]);
            let ramp = self.acceleration[joint] * elapsed;
            let allowed = residual.allowed(ControlMode::Velocity, joint, asked, here[joint], ramp);
            gentle[joint] = allowed.bring(gentle[joint]);
        }
        if gentle != eager {
            changes.decide(LimitReason::Residual);
        }

        if let Some((share, reason)) = self.share_inside(walls, here, &gentle) {
            gentle = scaled(&gentle, share);
            changes.decide(reason);
        }
        // Braking a single joint can make the tool faster.
        let share = self.share_of_tool_speed(&jacobian, &gentle);
        if !(share >= 1.0) {
            let slower = scaled(&gentle, share);
            changes.note(LimitReason::ToolVelocity, distance(&slower, &gentle));
            gentle = slower;
        }
        gentle
    }

    /// Share of a vector at which its fastest joint is at its limit, at most 1.
    fn share_of_speed(&self, velocity: &JointVector) -> f64 {
        let mut share: f64 = 1.0;
        if !Protection::JointVelocity.is_on() {
            return share;
        }
        for (value, limit) in velocity.iter().zip(self.velocity.iter()) {
            share = share.min(share_within(value.abs(), *limit));
        }
        share
    }

    /// Share of a vector at which the tool is at its speed or turning limit, at most 1.
    fn share_of_tool_speed(&self, jacobian: &Jacobian, velocity: &JointVector) -> f64 {
        if !Protection::JointVelocity.is_on() {
            return 1.0;
        }
        let mut columns = SVector::<f64, MAX_JOINTS>::zeros();
        for (column, value) in columns.iter_mut().zip(velocity.iter()) {
            *column = *value;
        }
        let motion = jacobian * columns;
        let linear = motion.fixed_rows::<3>(0).norm();
        let angular = motion.fixed_rows::<3>(3).norm();
        share_within(linear, self.tool_velocity).min(share_within(angular, self.tool_rotation_velocity))
    }

    /// From the previous velocity toward the desired one, within the joints' acceleration limits. Zero elapsed time allows
    /// no change.
    fn toward(&self, wished: &JointVector, before: &JointVector, elapsed: f64) -> JointVector {
        let mut share: f64 = 1.0;
        for joint in 0..wished.len() {
            share = share.min(share_within((wished[joint] - before[joint]).abs(), self.acceleration[joint] * elapsed));
        }
        if share >= 1.0 { *wished } else { part_of_the_way(before, wished, share) }
    }

    /// The same change, with the acceleration growing within the jerk limit from `slope` \[rad/s2\], that of the previous
    /// velocity.
    fn building_up(
        &self,
        wished: &JointVector,
        before: &JointVector,
        slope: &JointVector,
        elapsed: f64,
    ) -> JointVector {
        let mut share: f64 = 1.0;
        for joint in 0..wished.len() {
            let change = wished[joint] - before[joint];
            // From rest, or further in the same direction.
            if change * before[joint] >= 0.0 {
                let already = slope[joint] * change.signum();
                let already = if already > 0.0 { already } else { 0.0 };
                share = share.min(share_within(change.abs(), (already + self.jerk[joint] * elapsed) * elapsed));
            }
        }
        if share >= 1.0 { *wished } else { part_of_the_way(before, wished, share) }
    }

    /// Largest share of a velocity from which every joint can brake before every wall, or without going further through it,
    /// and the limiting wall; `None` if the whole velocity qualifies.
    fn share_inside(
        &self,
        walls: &Walls<'_>,
        here: &JointVector,
        velocity: &JointVector,
    ) -> Option<(f64, LimitReason)> {
        let now = walls.chain.place(here);
        let refused = |share: f64| {
            let mut seconds: f64 = 0.0;
            for (value, limit) in velocity.iter().zip(self.acceleration.iter()) {
                seconds = seconds.max(share * value.abs() / limit);
            }
            let there = *here + share * *velocity * (self.period + 0.5 * seconds);
            walls.refuses_placed(&walls.chain.place(&there), &now)
        };
        let reason = refused(1.0)?;
        let (mut good, mut bad) = (0.0, 1.0);
        for _ in 0..HALVINGS {
            let middle = 0.5 * (good + bad);
            if refused(middle).is_none() {
                good = middle;
            } else {
                bad = middle;
            }
        }
        Some((good, reason))
    }
}

/// Share of a magnitude that keeps a limit: 1 within it, 0 for NaN. A small excess counts as within, so that a limited
/// value passes when filtered again.
fn share_within(size: f64, limit: f64) -> f64 {
    if size <= limit * (1.0 + 1e-9) {
        return 1.0;
    }
    let share = limit / size;
    if share >= 0.0 { share } else { 0.0 }
}

fn scaled(vector: &JointVector, share: f64) -> JointVector {
    let mut out = *vector;
    if share < 1.0 {
        out.iter_mut().for_each(|value| *value *= share);
    }
    out
}
