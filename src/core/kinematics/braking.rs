//! Largest speed of a joint toward a limit.

/// Largest speed \[rad/s\] toward a wall at `distance` \[rad\] at which a joint still stops in front of it, when it keeps that
/// speed for one more `tick` \[s\] and then brakes with `deceleration` \[rad/s2\].
///
/// Solves `v t + v^2 / (2 a) = d`; without the tick it is libfranka's `sqrt(2 a d)`, which a sampled controller overruns by
/// up to `v t`. Zero for no distance or non-finite numbers.
pub fn braking_speed(distance: f64, deceleration: f64, tick: f64) -> f64 {
    let lost = deceleration * tick;
    let speed = 2.0 * deceleration * distance / (lost + (lost * lost + 2.0 * deceleration * distance).sqrt());
    if speed > 0.0 && speed.is_finite() && distance > 0.0 { speed } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braking_from_the_allowed_speed_stops_at_the_wall_and_never_behind_it() {
        for (deceleration, tick) in [(24.0, 0.02), (7.5, 0.001), (2.0, 0.1)] {
            let (mut at, mut speed, wall) = (0.0, 0.0_f64, 1.0);
            for _ in 0..100_000 {
                let allowed = braking_speed(wall - at, deceleration, tick);
                // Accelerates and brakes at its limits.
                let wished = (speed + deceleration * tick).min(allowed);
                assert!(wished >= speed - deceleration * tick - 1e-9, "the bound falls faster than the joint brakes");
                speed = wished;
                at += speed * tick;
                assert!(at <= wall + 1e-12, "{at}");
            }
            assert!(wall - at < 1e-3, "{at}");
        }
    }

    #[test]
    fn a_wall_behind_and_non_finite_numbers_allow_no_speed() {
        for (distance, deceleration, tick) in [
            (0.0, 1.0, 0.01),
            (-0.1, 1.0, 0.01),
            (f64::NAN, 1.0, 0.01),
            (1.0, f64::NAN, 0.01),
            (1.0, -1.0, 0.01),
            (1.0, 1.0, f64::NAN),
            (f64::INFINITY, 1.0, 0.01),
        ] {
            assert_eq!(braking_speed(distance, deceleration, tick), 0.0, "{distance} {deceleration} {tick}");
        }
    }

    #[test]
    fn without_a_tick_it_is_the_known_formula() {
        assert!((braking_speed(0.5, 4.0, 0.0) - 2.0).abs() < 1e-12);
    }
}
