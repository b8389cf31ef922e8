//! Inverse kinematics: damped least squares inside the joint limits, with restarts.
//!
//! One attempt repeats `dq = J^T (J J^T + lambda I)^-1 e` with the damping of Sugihara (IEEE T-RO 27(5), 2011):
//! lambda falls with the squared error, so that steps are short far away and Newton-like near the solution. A joint at its
//! limit that would be pushed beyond it is removed from the step, so that the others do its work.

use nalgebra::{Matrix6, SVector, Vector3, Vector6};

use super::{Chain, Jacobian};
use crate::geometry::Pose;
use crate::observation::{JointVector, MAX_JOINTS};
use crate::protection::Protection;

/// Tolerances and effort of the solver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InverseSettings {
    /// Largest distance of the tool from the requested position \[m\].
    pub position_tolerance: f64,
    /// Largest angle between the tool and the requested orientation \[rad\].
    pub rotation_tolerance: f64,
    /// Steps of one attempt.
    pub iterations: u32,
    /// Attempts after the one that starts at the seed: the home pose, then fixed points spread over the joint ranges.
    pub restarts: u32,
}

impl InverseSettings {
    /// For use at control rate: only from the seed, so that the joints move continuously; bounded time.
    pub const fn tracking() -> Self {
        Self { position_tolerance: 1e-4, rotation_tolerance: 1e-3, iterations: 20, restarts: 0 }
    }

    /// For reaching a pose from anywhere: also tries other arm configurations, which takes up to milliseconds if there is no
    /// solution. Not for following a moving target.
    pub const fn reach() -> Self {
        Self { position_tolerance: 1e-4, rotation_tolerance: 1e-3, iterations: 40, restarts: 100 }
    }
}

impl Default for InverseSettings {
    fn default() -> Self {
        Self::tracking()
    }
}

/// No joint positions inside the limits were found for the pose; contains the error of the best attempt.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "no joint positions reach the pose: the nearest found is {position_error} m and {rotation_error} rad away; \
     ask for a pose nearer to the arm or turned less"
)]
pub struct NoSolution {
    /// Distance left \[m\]; infinite when the pose or the seed was not finite.
    pub position_error: f64,
    /// Angle left \[rad\]; infinite when the pose or the seed was not finite.
    pub rotation_error: f64,
}

impl NoSolution {
    const NOT_FINITE: NoSolution = NoSolution { position_error: f64::INFINITY, rotation_error: f64::INFINITY };
}

/// Length that weighs as much as one radian \[m\]: about half the reach of a table-top arm.
const LENGTH_PER_RADIAN: f64 = 0.3;
/// Damping left at zero error; keeps the step finite at a singular pose.
const LEAST_DAMPING: f64 = 1e-6;
/// Damping per squared error.
const DAMPING: f64 = 0.05;
/// Largest joint motion of one step \[rad\]: validity range of the linear model.
const LARGEST_STEP: f64 = 0.6;
/// An attempt without improvement for this many steps is given up.
const PATIENCE: u32 = 6;
/// Bases of the Halton sequence, one per joint.
const PRIMES: [u32; MAX_JOINTS] = [2, 3, 5, 7, 11, 13, 17, 19];

impl Chain {
    /// Joint positions \[rad\] inside [`Chain::usable_limits`] that put the tool at `base_from_tool`.
    ///
    /// Starts at `seed` (clamped to the limits first). Of solutions that differ by whole turns of a joint, returns the nearest
    /// to it. The same arguments give the same joints, and the settings bound the time.
    pub fn inverse(
        &self,
        seed: &JointVector,
        base_from_tool: &Pose,
        settings: &InverseSettings,
    ) -> Result<JointVector, NoSolution> {
        let finite = base_from_tool.translation.vector.iter().all(|v| v.is_finite())
            && base_from_tool.rotation.coords.iter().all(|v| v.is_finite());
        if seed.len() != self.joints() || ((!finite || !seed.is_finite()) && Protection::Finite.is_on()) {
            return Err(NoSolution::NOT_FINITE);
        }
        let mut nearest = match self.attempt(seed, base_from_tool, settings) {
            Ok(joints) => return Ok(joints),
            Err(nearest) => nearest,
        };
        for restart in 0..settings.restarts {
            let start = if restart == 0 { *self.home() } else { self.spread(restart) };
            match self.attempt(&start, base_from_tool, settings) {
                Ok(joints) => return Ok(self.unwound(&joints, seed)),
                Err(error) if size(&error) < size(&nearest) => nearest = error,
                Err(_) => {}
            }
        }
        Err(nearest)
    }

    /// The same pose with every joint within half a turn of the seed, if its range allows: a restart may begin whole turns
    /// away, and the motion there would wind the arm up.
    fn unwound(&self, joints: &JointVector, seed: &JointVector) -> JointVector {
        let mut near = *joints;
        for ((angle, seed), limit) in near.iter_mut().zip(seed.iter()).zip(self.usable_limits()) {
            *angle = limit.nearest_turn(*angle, *seed).unwrap_or(*angle);
        }
        near
    }

    /// One descent from one start.
    fn attempt(&self, start: &JointVector, goal: &Pose, settings: &InverseSettings) -> Result<JointVector, NoSolution> {
        let mut q = *start;
        for (angle, limit) in q.iter_mut().zip(self.usable_limits()) {
            *angle = angle.clamp(limit.lower, limit.upper);
        }
        let mut nearest = NoSolution::NOT_FINITE;
        let mut waited = 0;
        for iteration in 0..=settings.iterations {
            let frames = self.frames(&q);
            let (translation, rotation) = pose_error(&frames.base_from_tool, goal);
            let error = NoSolution { position_error: translation.norm(), rotation_error: rotation.norm() };
            if error.position_error <= settings.position_tolerance
                && error.rotation_error <= settings.rotation_tolerance
            {
                return Ok(q);
            }
            if size(&error) < 0.999 * size(&nearest) {
                nearest = error;
                waited = 0;
            } else {
                waited += 1;
            }
            if waited >= PATIENCE || iteration == settings.iterations {
                break;
            }
            self.step(&mut q, &self.jacobian_of(&frames), &translation, &rotation);
        }
        // With the protection off, the result is used even if the pose was not reached.
        if Protection::Reach.is_on() { Err(nearest) } else { Ok(q) }
    }

    /// Moves `q` one damped step towards a smaller error, inside the limits.
    fn step(&self, q: &mut JointVector, jacobian: &Jacobian, translation: &Vector3<f64>, rotation: &Vector3<f64>) {
        let mut weighted = *jacobian;
        weighted.fixed_rows_mut::<3>(0).scale_mut(1.0 / LENGTH_PER_RADIAN);
        let translation = translation / LENGTH_PER_RADIAN;
        let error = Vector6::new(translation.x, translation.y, translation.z, rotation.x, rotation.y, rotation.z);
        let damping = LEAST_DAMPING + DAMPING * error.norm_squared();
        let mut motion = damped_motion(&weighted, &error, damping);
        // Each joint can be removed at most once.
        for _ in 0..self.joints() {
            let mut blocked = false;
            for (i, limit) in self.usable_limits().iter().enumerate() {
                if (q[i] <= limit.lower && motion[i] < 0.0) || (q[i] >= limit.upper && motion[i] > 0.0) {
                    weighted.column_mut(i).fill(0.0);
                    blocked = true;
                }
            }
            if !blocked {
                break;
            }
            motion = damped_motion(&weighted, &error, damping);
        }
        let largest = motion.amax();
        if largest > LARGEST_STEP {
            motion *= LARGEST_STEP / largest;
        }
        for (i, limit) in self.usable_limits().iter().enumerate() {
            q[i] = (q[i] + motion[i]).clamp(limit.lower, limit.upper);
        }
    }

    /// Point `index` of the Halton sequence over the joint ranges: fixed starts that cover them evenly.
    fn spread(&self, index: u32) -> JointVector {
        let mut start = JointVector::zeros(self.joints());
        for (i, limit) in self.usable_limits().iter().enumerate() {
            start[i] = limit.lower + radical_inverse(index, PRIMES[i]) * (limit.upper - limit.lower);
        }
        start
    }
}

/// `J^T (J J^T + damping I)^-1 e`; zero if the matrix cannot be factored (a number is not finite).
fn damped_motion(jacobian: &Jacobian, error: &Vector6<f64>, damping: f64) -> SVector<f64, MAX_JOINTS> {
    let normal: Matrix6<f64> = jacobian * jacobian.transpose() + Matrix6::from_diagonal_element(damping);
    match normal.cholesky() {
        Some(factored) => jacobian.transpose() * factored.solve(error),
        None => SVector::zeros(),
    }
}

/// Error from `present` to `goal` in the base frame: translation \[m\], rotation vector \[rad\] (at most pi long).
pub fn pose_error(present: &Pose, goal: &Pose) -> (Vector3<f64>, Vector3<f64>) {
    let turn = goal.rotation * present.rotation.inverse();
    let sign = if turn.w < 0.0 { -1.0 } else { 1.0 };
    let half = Vector3::new(turn.i, turn.j, turn.k) * sign;
    let sine = half.norm();
    // For small rotations the angle is twice the sine; dividing would lose precision.
    let factor = if sine < 1e-9 { 2.0 } else { 2.0 * sine.atan2(turn.w.abs()) / sine };
    (goal.translation.vector - present.translation.vector, half * factor)
}

/// Scalar error for comparing attempts \[rad\].
fn size(miss: &NoSolution) -> f64 {
    miss.position_error / LENGTH_PER_RADIAN + miss.rotation_error
}

/// Digits of `index` in `base`, mirrored at the point: in 0..1.
fn radical_inverse(mut index: u32, base: u32) -> f64 {
    let (mut value, mut weight) = (0.0, 1.0);
    while index > 0 {
        weight /= f64::from(base);
        value += f64::from(index % base) * weight;
        index /= base;
    }
    value
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::config::Robot;

    fn chain() -> Chain {
        Chain::from_robot(&Robot::load(Path::new(crate::CHECKOUT), "widowx").unwrap()).unwrap()
    }

    fn joints_from_shares(chain: &Chain, shares: &[f64]) -> JointVector {
        let mut q = JointVector::zeros(chain.joints());
        for (i, limit) in chain.usable_limits().iter().enumerate() {
            q[i] = limit.lower + shares[i] * (limit.upper - limit.lower);
        }
        q
    }

    fn assert_reaches(chain: &Chain, q: &JointVector, goal: &Pose) {
        let (translation, rotation) = pose_error(&chain.forward(q), goal);
        assert!(translation.norm() <= 1e-4 && rotation.norm() <= 1e-3);
        assert!(q.iter().zip(chain.usable_limits()).all(|(angle, limit)| limit.contains(*angle)));
    }

    #[test]
    fn unreachable_poses_have_no_solution() {
        let chain = chain();
        let here = chain.forward(chain.home());
        for position in [[2.0, 0.0, 0.2], [0.0, 0.0, -0.9], [0.0, -1.5, 0.3]] {
            let far = Pose::from_parts(Vector3::from(position).into(), here.rotation);
            let miss = chain.inverse(chain.home(), &far, &InverseSettings::reach()).unwrap_err();
            assert!(miss.position_error > 0.1 && miss.position_error.is_finite(), "{miss}");
        }
    }

    #[test]
    fn numbers_that_are_not_finite_have_no_solution() {
        let chain = chain();
        let here = chain.forward(chain.home());
        let mut bad = here;
        bad.translation.vector.x = f64::NAN;
        let settings = InverseSettings::tracking();
        assert_eq!(chain.inverse(chain.home(), &bad, &settings), Err(NoSolution::NOT_FINITE));
        let mut seed = *chain.home();
        seed[2] = f64::INFINITY;
        assert_eq!(chain.inverse(&seed, &here, &settings), Err(NoSolution::NOT_FINITE));
        assert_eq!(chain.inverse(&JointVector::zeros(5), &here, &settings), Err(NoSolution::NOT_FINITE));
    }

    #[test]
    fn a_pose_already_reached_keeps_the_joints() {
        let chain = chain();
        let goal = chain.forward(chain.home());
        assert_eq!(chain.inverse(chain.home(), &goal, &InverseSettings::tracking()).unwrap(), *chain.home());
    }

    #[test]
    fn a_seed_outside_the_limits_is_clamped() {
        let chain = chain();
        let seed = JointVector::from_slice(&[9.0; 6]);
        let goal = chain.forward(chain.home());
        let q = chain.inverse(&seed, &goal, &InverseSettings::reach()).unwrap();
        assert_reaches(&chain, &q, &goal);
    }

    /// Regression: a Jaco's start above its button was 7.8 rad of joint 4 away, and the path there left the workspace.
    #[test]
    fn a_start_that_a_restart_finds_is_not_whole_turns_away() {
        for name in ["jaco_j2s6s300", "jaco_j2n7s300", "jaco_j2s7s300"] {
            let robot = Robot::load(Path::new(crate::CHECKOUT), name).unwrap();
            let chain = Chain::from_robot(&robot).unwrap();
            for (x, y) in [(0.13, -0.54), (0.13, -0.4), (-0.07, -0.54), (-0.07, -0.4)] {
                let goal = chain.pose_from_bridge([x, y, 0.22, 0.0, 0.0, 0.0]);
                let q = chain.inverse(chain.home(), &goal, &InverseSettings::reach()).unwrap();
                assert_reaches(&chain, &q, &goal);
                for (joint, (limit, way)) in chain.usable_limits().iter().zip((q - *chain.home()).iter()).enumerate() {
                    let nearer = q[joint] - TAU.copysign(*way);
                    assert!(way.abs() <= TAU / 2.0 || !limit.contains(nearer), "{name}: joint {joint} by {way} rad");
                }
            }
        }
    }

    #[test]
    fn the_spread_starts_differ_and_are_inside_the_limits() {
        let chain = chain();
        for index in 1..64 {
            let start = chain.spread(index);
            assert!(start.iter().zip(chain.usable_limits()).all(|(angle, limit)| limit.contains(*angle)));
            assert_ne!(start, chain.spread(index + 1));
        }
        assert_eq!(radical_inverse(6, 2), 0.375);
    }

    proptest! {
        #[test]
        fn inverse_of_forward_reaches_the_pose(shares in proptest::array::uniform6(0.1..0.9f64)) {
            let chain = chain();
            let goal = chain.forward(&joints_from_shares(&chain, &shares));
            let q = chain.inverse(chain.home(), &goal, &InverseSettings::reach()).unwrap();
            assert_reaches(&chain, &q, &goal);
        }

        #[test]
        fn tracking_follows_a_nearby_pose_with_nearby_joints(
            shares in proptest::array::uniform6(0.2..0.8f64),
            nudge in proptest::array::uniform6(-0.02..0.02f64),
        ) {
            let chain = chain();
            let from = joints_from_shares(&chain, &shares);
            let mut to = from;
            for i in 0..6 {
                to[i] += nudge[i];
            }
            let goal = chain.forward(&to);
            let q = chain.inverse(&from, &goal, &InverseSettings::tracking()).unwrap();
            assert_reaches(&chain, &q, &goal);
        }
    }
}
