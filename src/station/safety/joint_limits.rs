//! Joint position and joint velocity limits.

use visuomotor_core::kinematics::{JointLimit, braking_speed};
use visuomotor_core::observation::JointVector;

/// Negligible motion \[rad\]: rounding, far below any encoder's resolution.
pub(super) const NEGLIGIBLE: f64 = 1e-12;

/// The desired positions clamped to the limits \[rad\].
///
/// A joint whose last sent position is outside may stay there or come back, but not go further out.
pub(super) fn within_positions(wished: &JointVector, last_sent: &JointVector, limits: &[JointLimit]) -> JointVector {
    let mut out = *wished;
    for ((angle, last), limit) in out.iter_mut().zip(last_sent.iter()).zip(limits) {
        let (lower, upper) = (limit.lower.min(*last), limit.upper.max(*last));
        if !(*angle >= lower) {
            *angle = lower;
        } else if !(*angle <= upper) {
            *angle = upper;
        }
    }
    out
}

/// The desired positions, limited so that every joint can still brake before the end of its range: `deceleration`
/// \[rad/s2\], `elapsed` \[s\] since the last sent positions.
///
/// The command itself brakes, and its position is known exactly, so the measurement's age does not matter. Where the
/// speed limit is lower, or no time has elapsed, the check of the speed limit applies instead.
pub(super) fn within_braking(
    wished: &JointVector,
    last_sent: &JointVector,
    limits: &[JointLimit],
    (velocity, deceleration): (&JointVector, &JointVector),
    elapsed: f64,
) -> JointVector {
    let mut out = *wished;
    if elapsed <= 0.0 {
        return out;
    }
    for (joint, limit) in limits.iter().enumerate() {
        let last = last_sent[joint];
        let speed = |room: f64| braking_speed(room, deceleration[joint], elapsed);
        let (up, down) = (speed(limit.upper - last), speed(last - limit.lower));
        // Already outside: the last position is the end of the range.
        if !(up >= velocity[joint]) && !(out[joint] <= last + up * elapsed) {
            out[joint] = last + up * elapsed;
        } else if !(down >= velocity[joint]) && !(out[joint] >= last - down * elapsed) {
            out[joint] = last - down * elapsed;
        }
    }
    out
}

/// The step from the last sent positions to the desired ones, scaled so that no joint exceeds its speed limit.
///
/// The whole vector is scaled, so that the arm keeps its direction. `velocity` \[rad/s\], `elapsed` \[s\]; zero elapsed
/// time allows no motion.
pub(super) fn within_velocities(
    wished: &JointVector,
    last_sent: &JointVector,
    velocity: &JointVector,
    elapsed: f64,
) -> JointVector {
    let mut share: f64 = 1.0;
    for ((wish, last), speed) in wished.iter().zip(last_sent.iter()).zip(velocity.iter()) {
        let way = (wish - last).abs();
        let allowed = speed * elapsed;
        if !(way <= allowed + NEGLIGIBLE) {
            let fraction = allowed / way;
            // Negated so that a fraction that is NaN or negative allows no motion.
            share = if !(fraction >= 0.0) { 0.0 } else { share.min(fraction) };
        }
    }
    if share >= 1.0 {
        return *wished;
    }
    *last_sent + share * (*wished - *last_sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: [JointLimit; 2] = [JointLimit { lower: -1.0, upper: 1.0 }, JointLimit { lower: -2.0, upper: 0.5 }];

    fn vector(values: [f64; 2]) -> JointVector {
        JointVector::from_slice(&values)
    }

    #[test]
    fn just_inside_passes_and_just_outside_is_brought_to_the_limit() {
        let last = vector([0.0, 0.0]);
        let inside = vector([1.0 - 1e-9, -2.0 + 1e-9]);
        assert_eq!(within_positions(&inside, &last, &LIMITS), inside);
        let outside = vector([1.0 + 1e-9, -2.0 - 1e-9]);
        assert_eq!(within_positions(&outside, &last, &LIMITS), vector([1.0, -2.0]));
    }

    #[test]
    fn a_joint_outside_may_stay_or_come_back_but_not_go_further() {
        let last = vector([1.2, 0.0]);
        for (wish, expected) in [(1.2, 1.2), (1.1, 1.1), (0.3, 0.3), (1.3, 1.2), (-5.0, -1.0)] {
            assert_eq!(within_positions(&vector([wish, 0.0]), &last, &LIMITS)[0], expected);
        }
    }

    #[test]
    fn velocity_scales_the_whole_vector() {
        let (last, speed) = (vector([0.0, 0.0]), vector([1.0, 2.0]));
        let sent = within_velocities(&vector([0.2, 0.1]), &last, &speed, 0.1);
        assert!((sent[0] - 0.1).abs() < 1e-12 && (sent[1] - 0.05).abs() < 1e-12, "{sent:?}");
        let slow = vector([0.1 - 1e-9, 0.2 - 1e-9]);
        assert_eq!(within_velocities(&slow, &last, &speed, 0.1), slow);
        let fast = vector([0.1 + 1e-9, 0.0]);
        assert!(within_velocities(&fast, &last, &speed, 0.1)[0] <= 0.1);
    }

    #[test]
    fn no_time_and_limits_that_are_nan_allow_no_motion() {
        let last = vector([0.3, 0.2]);
        let wish = vector([0.4, 0.1]);
        assert_eq!(within_velocities(&wish, &last, &vector([1.0, 1.0]), 0.0), last);
        assert_eq!(within_velocities(&wish, &last, &vector([f64::NAN, 1.0]), 0.1), last);
        assert_eq!(within_velocities(&wish, &last, &vector([-1.0, 1.0]), 0.1), last);
        let nan = [JointLimit { lower: f64::NAN, upper: f64::NAN }, LIMITS[1]];
        assert_eq!(within_positions(&wish, &last, &nan)[0], 0.3);
    }
}
