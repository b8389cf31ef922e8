//! The limits by which an arm's control box checks commands.

use crate::driver::panda::fci::wire::Version;
use crate::driver::panda::limits::{FER, FR3, FR3_CURVE, MakerLimits, SpeedCurve};

/// Slack of a position for rounding \[rad\].
const ROUNDING: f64 = 1e-9;

/// One arm's limits.
#[derive(Clone, Copy)]
pub struct Limits {
    /// The maker's.
    pub maker: &'static MakerLimits,
    /// Ranges and speeds along them; `None` where the largest speed is the same everywhere.
    curve: Option<&'static SpeedCurve>,
}

impl Limits {
    /// The limits of the arm that speaks a version.
    pub fn of(version: Version) -> Self {
        match version {
            Version::V5 => Self { maker: &FER, curve: None },
            Version::V10 => Self { maker: &FR3, curve: Some(&FR3_CURVE) },
        }
    }

    /// Is a position within the joint's range? NaN is not.
    pub fn reaches(&self, joint: usize, q: f64) -> bool {
        let (lower, upper) = match self.curve {
            Some(curve) => (curve.lower[joint], curve.upper[joint]),
            None => (self.maker.lower[joint], self.maker.upper[joint]),
        };
        q >= lower - ROUNDING && q <= upper + ROUNDING
    }

    /// Largest speed of a joint at a position, in the direction of a velocity \[rad/s\].
    pub fn speed(&self, joint: usize, q: f64, velocity: f64) -> f64 {
        let Some(curve) = self.curve else { return self.maker.velocity[joint] };
        let (lowest, highest) = curve.velocities(joint, q);
        if velocity < 0.0 { -lowest } else { highest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fr3_is_judged_by_its_own_range_and_by_where_a_joint_is() {
        let (fer, fr3) = (Limits::of(Version::V5), Limits::of(Version::V10));
        assert!(fer.reaches(0, 2.8) && !fr3.reaches(0, 2.8) && fr3.reaches(0, 2.75));
        assert!(!fr3.reaches(0, f64::NAN));
        assert_eq!(fer.speed(0, 2.89, 1.0), FER.velocity[0]);
        assert_eq!(fr3.speed(0, 0.0, 1.0), FR3.velocity[0]);
        // Away from the end a joint may move at full speed, towards it not at all.
        assert_eq!((fr3.speed(0, 2.7501, 1.0), fr3.speed(0, 2.7501, -1.0)), (0.0, FR3.velocity[0]));
    }
}
