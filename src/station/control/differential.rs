//! From a desired twist of the tool to joint velocities: damped least squares.
//!
//! Start at [`Differential::velocity`]. The Jacobian's linear rows are weighted by a length, so that its singular values
//! are comparable. Only those near zero are damped (Maciejewski and Klein, 1988; damping after Nakamura and Hanafusa,
//! 1986), so that the remaining directions are followed exactly. Arms with more than six joints use their nullspace to
//! stay away from joint limits and near the home posture, without slowing the tool.
//!
//! A joint near its limit may only be as fast as it can still brake. On a redundant arm the other joints take over its
//! motion (Flacco, De Luca and Khatib, 2012, for one joint). Otherwise, and for speed limits, the whole vector is scaled
//! down, so that the tool keeps its direction. Both set in gradually. The result can step only where two joints reach
//! their limits at once, which is why the velocity law passes it through a jerk-limited ramp. Base frame, meters,
//! radians, seconds. Non-finite inputs give zero velocity.

use nalgebra::{Matrix6, SMatrix, SVector, SymmetricEigen, Vector3, Vector6};

use visuomotor_core::config::Robot;
use visuomotor_core::geometry::{Pose, Twist};
use visuomotor_core::kinematics::{Chain, braking_speed, pose_error};
use visuomotor_core::observation::{JointVector, MAX_JOINTS};
use visuomotor_core::protection::Protection;

/// Length that weighs meters against radians \[m/rad\], as in inverse kinematics.
const LENGTH_PER_RADIAN: f64 = 0.3;
/// Squared singular value below which a direction counts as lost for the nullspace.
const LOST: f64 = 1e-8;
/// Share of a joint's braking that is reserved for the jerk limit and late measurements.
const BRAKING_SHARE: f64 = 0.5;
/// A joint may exceed its bound by this much before the vector is scaled \[rad/s\].
const NEGLIGIBLE: f64 = 1e-9;
/// Steps of the eigenvalue iteration; six by six matrices need about a dozen.
const ITERATIONS: usize = 200;

type Columns = SVector<f64, MAX_JOINTS>;
type Weighted = SMatrix<f64, 6, MAX_JOINTS>;

/// Settings of the solver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DifferentialSettings {
    /// Singular value of the weighted Jacobian below which a direction is damped.
    pub singular_below: f64,
    /// Damping at a singular value of zero.
    pub damping: f64,
    /// Part of a joint's usable range, at each end, in which it is pushed back.
    pub limit_zone: f64,
    /// Gain of that push \[1/s\].
    pub limit_gain: f64,
    /// Gain toward the home posture \[1/s\].
    pub posture_gain: f64,
    /// Gain on an error of the tool's pose \[1/s\].
    pub pose_gain: f64,
}

impl Default for DifferentialSettings {
    fn default() -> Self {
        Self { singular_below: 0.1, damping: 0.1, limit_zone: 0.1, limit_gain: 2.0, posture_gain: 0.5, pose_gain: 5.0 }
    }
}

/// Axes in which a twist is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TwistFrame {
    /// The base frame's.
    Base,
    /// The tool frame's, in its current pose.
    Tool,
}

/// Joint velocities for a twist, and how well the arm can follow it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JointMotion {
    /// Joint velocities \[rad/s\].
    pub velocity: JointVector,
    /// Share of the twist's speed that remains after the limits: 1 all, 0 none.
    pub scale: f64,
    /// Largest over smallest singular value of the weighted Jacobian; infinite where a direction is lost.
    pub condition: f64,
    /// Product of the singular values (Yoshikawa, 1985); 0 where a direction is lost.
    pub manipulability: f64,
}

/// Damped least squares for one arm.
#[derive(Clone, Debug)]
pub struct Differential {
    chain: Chain,
    settings: DifferentialSettings,
    velocity: JointVector,
    deceleration: JointVector,
    tool_velocity: f64,
    tool_rotation_velocity: f64,
}

/// Singular values and directions of a weighted Jacobian.
struct Directions {
    /// Squared singular values.
    squared: Vector6<f64>,
    /// Their directions in the space of twists, one per column.
    axes: Matrix6<f64>,
}

impl Directions {
    fn of(jacobian: &Weighted) -> Option<Self> {
        // On finite numbers only: the iteration would not end on others.
        if !jacobian.iter().all(|value| value.is_finite()) {
            return None;
        }
        let eigen = SymmetricEigen::try_new(jacobian * jacobian.transpose(), f64::EPSILON, ITERATIONS)?;
        Some(Self { squared: eigen.eigenvalues.map(|value| value.max(0.0)), axes: eigen.eigenvectors })
    }

    /// `U diag(gain) U^T e`.
    fn apply(&self, error: &Vector6<f64>, gain: impl Fn(f64) -> f64) -> Vector6<f64> {
        let along = self.axes.transpose() * error;
        self.axes * along.zip_map(&self.squared, |value, squared| value * gain(squared))
    }
}

impl Differential {
    /// For this arm, within its limits.
    pub fn new(robot: &Robot, chain: Chain, settings: DifferentialSettings) -> Self {
        let mut deceleration = JointVector::from_slice(&robot.limits.joint_acceleration);
        deceleration.iter_mut().for_each(|value| *value *= BRAKING_SHARE);
        Self {
            chain,
            settings,
            velocity: JointVector::from_slice(&robot.limits.joint_velocity),
            deceleration,
            tool_velocity: robot.limits.tool_velocity,
            tool_rotation_velocity: robot.limits.tool_rotation_velocity,
        }
    }

    /// Joint velocities that move the tool with `twist` for the next `tick` \[s\], from `joints` \[rad\].
    pub fn velocity(&self, joints: &JointVector, twist: &Twist, frame: TwistFrame, tick: f64) -> JointMotion {
        let here = self.chain.forward(joints);
        let twist = match frame {
            TwistFrame::Base => *twist,
            TwistFrame::Tool => Twist { linear: here.rotation * twist.linear, angular: here.rotation * twist.angular },
        };
        self.solve(joints, &twist, tick)
    }

    /// Joint velocities that bring the tool to `target`, which moves with `moving`, both in the base frame.
    pub fn toward(&self, joints: &JointVector, target: &Pose, moving: &Twist, tick: f64) -> JointMotion {
        let (translation, rotation) = pose_error(&self.chain.forward(joints), target);
        let mut linear = self.settings.pose_gain * translation + moving.linear;
        let mut angular = self.settings.pose_gain * rotation + moving.angular;
        // Scaled together, so that the path to the target stays the same.
        let over = (linear.norm() / self.tool_velocity).max(angular.norm() / self.tool_rotation_velocity);
        if over > 1.0 {
            linear /= over;
            angular /= over;
        }
        self.solve(joints, &Twist { linear, angular }, tick)
    }

    /// Joint positions \[rad\] one `tick` \[s\] later.
    pub fn step(&self, joints: &JointVector, motion: &JointMotion, tick: f64) -> JointVector {
        let mut next = *joints;
        for (joint, velocity) in next.iter_mut().zip(motion.velocity.iter()) {
            *joint += velocity * tick;
        }
        next
    }

    fn solve(&self, joints: &JointVector, twist: &Twist, tick: f64) -> JointMotion {
        let count = self.chain.joints();
        let none = JointMotion {
            velocity: JointVector::zeros(count),
            scale: 0.0,
            condition: f64::INFINITY,
            manipulability: 0.0,
        };
        let finite = joints.len() == count && joints.is_finite() && tick.is_finite();
        let wished = weighted_twist(twist);
        if !finite || !wished.iter().all(|value| value.is_finite()) {
            let mut answer = none;
            if !Protection::Finite.is_on() {
                // Closed form of the arithmetic below.
                answer.velocity.fill(f64::NAN);
            }
            return answer;
        }
        let mut jacobian: Weighted = self.chain.jacobian(joints);
        jacobian.fixed_rows_mut::<3>(0).scale_mut(1.0 / LENGTH_PER_RADIAN);
        let Some(whole) = Directions::of(&jacobian) else { return none };

        let plain = self.task(&jacobian, &whole, &wished);
        let allowed = self.share_of_speed(&plain);
        let (wished, plain) = (wished * allowed, plain * allowed);
        let (share, mut task) = self.shortened(joints, plain, tick);
        let mut scale = allowed * share;
        if count > 6
            && let Some((other, other_share, weight)) = self.without_worst(joints, &jacobian, &wished, &plain, tick)
        {
            task += (other - task) * weight;
            scale += (allowed * other_share - scale) * weight;
        }
        let posture = if count > 6 { self.posture(joints, &task, &jacobian, &whole, tick) } else { Columns::zeros() };

        let mut velocity = JointVector::zeros(count);
        for (joint, value) in velocity.iter_mut().enumerate() {
            *value = task[joint] + posture[joint];
        }
        let (largest, smallest) = (whole.squared.max(), whole.squared.min());
        JointMotion {
            velocity,
            scale,
            condition: if smallest > 0.0 { (largest / smallest).sqrt() } else { f64::INFINITY },
            manipulability: whole.squared.product().sqrt(),
        }
    }

    /// Least squares, damped along near-singular directions.
    fn task(&self, jacobian: &Weighted, directions: &Directions, wished: &Vector6<f64>) -> Columns {
        let edge = self.settings.singular_below.powi(2);
        let strongest = self.settings.damping.powi(2);
        jacobian.transpose()
            * directions.apply(wished, |squared| {
                let damping = strongest * (1.0 - squared / edge).max(0.0);
                if squared + damping > 0.0 { 1.0 / (squared + damping) } else { 0.0 }
            })
    }

    /// The task with the joint that most exceeds its braking limit clamped, and the others doing its work. Also returns the
    /// remaining share of the task's speed, and a weight that falls as the other joints approach a singularity.
    fn without_worst(
        &self,
        joints: &JointVector,
        jacobian: &Weighted,
        wished: &Vector6<f64>,
        plain: &Columns,
        tick: f64,
    ) -> Option<(Columns, f64, f64)> {
        let (joint, bound) = self.worst(joints, plain, tick)?;
        let mut fixed = Columns::zeros();
        fixed[joint] = bound;
        let mut free = *jacobian;
        free.column_mut(joint).fill(0.0);
        let directions = Directions::of(&free)?;
        let smallest = directions.squared.min().sqrt();
        let weight = (smallest / self.settings.singular_below - 1.0).clamp(0.0, 1.0);
        let task = self.task(&free, &directions, &(wished - jacobian * fixed)) + fixed;
        let (share, task) = self.shortened(joints, task, tick);
        Some((task, share, weight))
    }

    /// Share of a motion at which its fastest joint is at its speed limit, at most 1.
    fn share_of_speed(&self, motion: &Columns) -> f64 {
        let mut share: f64 = 1.0;
        for (value, limit) in motion.iter().zip(self.velocity.iter()) {
            if value.abs() > *limit {
                share = share.min(limit / value.abs());
            }
        }
        share
    }

    /// Nullspace motion away from joint limits and toward home, at most with the speed that the task leaves.
    fn posture(
        &self,
        joints: &JointVector,
        task: &Columns,
        jacobian: &Weighted,
        directions: &Directions,
        tick: f64,
    ) -> Columns {
        let mut wish = Columns::zeros();
        for (joint, limit) in self.chain.usable_limits().iter().enumerate() {
            let zone = self.settings.limit_zone * (limit.upper - limit.lower);
            let above = (joints[joint] - (limit.upper - zone)).max(0.0);
            let below = (limit.lower + zone - joints[joint]).max(0.0);
            wish[joint] = self.settings.posture_gain * (self.chain.home()[joint] - joints[joint])
                + self.settings.limit_gain * (below - above);
        }
        let along = directions.apply(&(jacobian * wish), |squared| 1.0 / (squared + LOST));
        let posture = wish - jacobian.transpose() * along;
        let mut share: f64 = 1.0;
        for joint in 0..self.chain.joints() {
            let (low, high) = self.bounds(joint, joints[joint], tick);
            let room = if posture[joint] > 0.0 { high - task[joint] } else { task[joint] - low };
            if posture[joint].abs() > room {
                share = share.min((room / posture[joint].abs()).max(0.0));
            }
        }
        posture * share
    }

    /// Lowest and highest velocity of a joint \[rad/s\]: its speed limit, and near its range's ends what it can brake from.
    fn bounds(&self, joint: usize, at: f64, tick: f64) -> (f64, f64) {
        let limit = self.chain.usable_limits()[joint];
        let speed = self.velocity[joint];
        let low = braking_speed(at - limit.lower, self.deceleration[joint], tick).min(speed);
        let high = braking_speed(limit.upper - at, self.deceleration[joint], tick).min(speed);
        (-low, high)
    }

    /// The joint that most exceeds its braking limit, and that limit.
    fn worst(&self, joints: &JointVector, motion: &Columns, tick: f64) -> Option<(usize, f64)> {
        let mut worst = None;
        let mut most = NEGLIGIBLE;
        for joint in 0..self.chain.joints() {
            let (low, high) = self.bounds(joint, joints[joint], tick);
            // A joint at its plain speed limit is handled by scaling the whole vector.
            for (over, bound) in [(motion[joint] - high, high), (low - motion[joint], low)] {
                if over > most && bound.abs() < self.velocity[joint] {
                    most = over;
                    worst = Some((joint, bound));
                }
            }
        }
        worst
    }

    /// The vector scaled so that every joint keeps its bounds, and the remaining share.
    fn shortened(&self, joints: &JointVector, mut motion: Columns, tick: f64) -> (f64, Columns) {
        let mut scale: f64 = 1.0;
        for joint in 0..self.chain.joints() {
            let (low, high) = self.bounds(joint, joints[joint], tick);
            let bound = if motion[joint] > 0.0 { high } else { -low };
            if motion[joint].abs() > bound + NEGLIGIBLE {
                scale = scale.min(bound / motion[joint].abs());
            }
        }
        motion *= scale;
        (scale, motion)
    }
}

fn weighted_twist(twist: &Twist) -> Vector6<f64> {
    let linear: Vector3<f64> = twist.linear / LENGTH_PER_RADIAN;
    let angular = twist.angular;
    Vector6::new(linear.x, linear.y, linear.z, angular.x, angular.y, angular.z)
}

#[cfg(test)]
#[path = "differential_tests.rs"]
mod tests;
