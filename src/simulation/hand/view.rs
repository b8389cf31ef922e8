//! The camera of a hand video: at head height, drifting a little and following the hand.

use std::f64::consts::TAU;

use nalgebra::{Matrix3, Rotation3, Translation3, UnitQuaternion, Vector3};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::motion::Moment;
use visuomotor_core::geometry::Pose;

/// Share of the way to the hand that the view turns in a second.
const FOLLOWING: f64 = 1.5;
/// Share of the hand's movement that the view follows; otherwise it stays on the working area.
const ATTENTION: f64 = 0.55;

/// Camera poses at all moments: a MuJoCo camera looks along its own -z, x to the right, y up.
pub(super) fn follow(moments: &[Moment], rate: f64, rng: &mut ChaCha8Rng) -> Vec<Pose> {
    let mut uniform = |low: f64, high: f64| rng.random_range(low..high);
    let head = Vector3::new(uniform(-0.34, -0.18), uniform(-0.12, 0.12), uniform(0.36, 0.54));
    let area = Vector3::new(uniform(0.13, 0.22), uniform(-0.04, 0.04), uniform(-0.02, 0.06));
    // Slow sways: amplitude [m], frequency [Hz], phase.
    let sways: [[[f64; 3]; 2]; 3] = std::array::from_fn(|axis| {
        let amplitude = if axis == 2 { 0.012 } else { 0.022 };
        [
            [uniform(0.3, 1.0) * amplitude, uniform(0.08, 0.25), uniform(0.0, TAU)],
            [uniform(0.1, 0.4) * amplitude, uniform(0.4, 0.9), uniform(0.0, TAU)],
        ]
    });
    let roll = (uniform(-0.05, 0.05), uniform(0.05, 0.2), uniform(0.0, TAU));
    let mut look = area;
    let mut views = Vec::with_capacity(moments.len());
    for (number, moment) in moments.iter().enumerate() {
        let time = number as f64 / rate;
        let wave = |[amplitude, frequency, phase]: [f64; 3]| amplitude * (phase + TAU * frequency * time).sin();
        let sway = Vector3::from(sways.map(|pair| pair.into_iter().map(wave).sum::<f64>()));
        let wanted = area.lerp(&moment.hand.translation.vector, ATTENTION);
        let share = if number == 0 { 1.0 } else { 1.0 - (-FOLLOWING / rate).exp() };
        look = look.lerp(&wanted, share);
        let eyes = head + sway;
        // The camera's axes in the world frame.
        let back = (eyes - look).normalize();
        let right = Vector3::z().cross(&back).normalize();
        let axes = Matrix3::from_columns(&[right, back.cross(&right), back]);
        let level = UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(axes));
        let tilt = UnitQuaternion::from_euler_angles(0.0, 0.0, wave([roll.0, roll.1, roll.2]));
        views.push(Pose::from_parts(Translation3::from(eyes), level * tilt));
    }
    views
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn the_camera_looks_at_the_hand_and_moves_smoothly() {
        let hand = |x: f64| Pose::from_parts(Translation3::new(x, 0.1, 0.1), UnitQuaternion::identity());
        let moments: Vec<Moment> =
            (0..60).map(|k| Moment { hand: hand(0.004 * f64::from(k)), grip: 0.0, things: vec![] }).collect();
        for seed in 0..20 {
            let views = follow(&moments, 10.0, &mut ChaCha8Rng::seed_from_u64(seed));
            for (view, moment) in views.iter().zip(&moments) {
                let seen = view.inverse() * nalgebra::Point3::from(moment.hand.translation.vector);
                let off = seen.x.hypot(seen.y) / -seen.z;
                assert!(seen.z < -0.2 && off < 0.45, "seed {seed}: the hand is {off} off the middle at {seen:?}");
            }
            for pair in views.windows(2) {
                let way = (pair[1].translation.vector - pair[0].translation.vector).norm();
                assert!(way > 1e-6 && way < 0.03 && pair[0].rotation.angle_to(&pair[1].rotation) < 0.12, "{way}");
            }
        }
    }
}
