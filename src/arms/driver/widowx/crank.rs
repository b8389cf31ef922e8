//! The gripper's crank: motor angle to the distance of one finger from the center, and back.
//!
//! A horn of radius r turns, a rod of length L pushes the finger's carriage: `x = r sin a + sqrt(L^2 - (r cos a)^2)`
//! (Interbotix xs driver). Angle in rad, distance in m.

use std::f64::consts::FRAC_PI_2;

/// Radius of the horn \[m\].
pub const HORN: f64 = 0.014;

/// Length of the rod \[m\].
pub const ROD: f64 = 0.024;

/// Distance of one finger from the center \[m\] at a motor angle \[rad\].
pub fn finger_from_angle(angle: f64) -> f64 {
    let across = HORN * angle.cos();
    HORN * angle.sin() + (ROD * ROD - across * across).sqrt()
}

/// Motor angle \[rad\], -pi/2..pi/2, at a finger's distance from the center \[m\]; the nearest reachable one beyond the crank's
/// range.
pub fn angle_from_finger(finger: f64) -> f64 {
    let finger = finger.clamp(ROD - HORN, ROD + HORN);
    let cosine = (HORN * HORN + finger * finger - ROD * ROD) / (2.0 * HORN * finger);
    FRAC_PI_2 - cosine.clamp(-1.0, 1.0).acos()
}

/// How far a finger moves per angle \[m/rad\].
pub fn finger_per_angle(angle: f64) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let across = HORN * cosine;
    HORN * cosine + across * HORN * sine / (ROD * ROD - across * across).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angle_and_finger_are_each_others_inverse() {
        for i in 0..=22 {
            let finger = 0.015 + 0.001 * f64::from(i);
            assert!((finger_from_angle(angle_from_finger(finger)) - finger).abs() < 1e-12);
        }
        assert!((finger_from_angle(0.0) - (ROD * ROD - HORN * HORN).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn the_slope_is_the_difference_quotient_and_opening_is_positive() {
        for i in -12..=12 {
            let angle = 0.1 * f64::from(i);
            let quotient = (finger_from_angle(angle + 1e-6) - finger_from_angle(angle - 1e-6)) / 2e-6;
            assert!((finger_per_angle(angle) - quotient).abs() < 1e-8);
            assert!(quotient > 0.0);
        }
    }

    #[test]
    fn out_of_reach_is_the_nearest() {
        assert!((angle_from_finger(0.0) + FRAC_PI_2).abs() < 1e-6);
        assert!((angle_from_finger(1.0) - FRAC_PI_2).abs() < 1e-6);
    }
}
