//! Jerk-limited motions against the original Ruckig: `tests/golden/ruckig.json`, made by `tests/golden/ruckig_oracle.py`.

use std::path::Path;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use visuomotor::control::{JerkLimited, MotionLimits, MotionState};
use visuomotor::kinematics::JointLimit;
use visuomotor::observation::JointVector;
use visuomotor::time::Timestamp;

#[derive(Deserialize)]
struct Oracle {
    fractions: Vec<f64>,
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    kind: String,
    start: JointVector,
    velocity: JointVector,
    acceleration: JointVector,
    goal: JointVector,
    limits: Limits,
    minimum: Option<f64>,
    duration: f64,
    samples: Vec<Sample>,
}

#[derive(Deserialize)]
struct Limits {
    velocity: JointVector,
    acceleration: JointVector,
    jerk: JointVector,
}

#[derive(Deserialize)]
struct Sample {
    position: JointVector,
    velocity: JointVector,
    acceleration: JointVector,
}

/// Wide enough that no motion reverses beyond it.
const FREE: JointLimit = JointLimit { lower: -1e3, upper: 1e3 };

#[test]
fn durations_and_samples_are_the_originals() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ruckig.json");
    let oracle: Oracle = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(oracle.case.len() >= 100);
    let mut worst = [0.0_f64; 4];
    for (index, case) in oracle.case.iter().enumerate() {
        let limits = MotionLimits {
            velocity: case.limits.velocity,
            acceleration: case.limits.acceleration,
            jerk: case.limits.jerk,
        };
        let from = MotionState { position: case.start, velocity: case.velocity, acceleration: case.acceleration };
        let mut motion = JerkLimited::new(&limits, &[FREE; 7]);
        let minimum = Duration::from_secs_f64(case.minimum.unwrap_or(0.0));
        motion.retarget_from(Timestamp::ZERO, &from, &case.goal, minimum).unwrap();
        let off = (motion.duration() - case.duration).abs();
        worst[0] = worst[0].max(off);
        assert!(off < 1e-6, "case {index} ({}): {} s, the original {} s", case.kind, motion.duration(), case.duration);
        for (fraction, sample) in oracle.fractions.iter().zip(&case.samples) {
            // Timestamps are in nanoseconds: at 25 rad/s2 that is 1e-8 rad/s, at 8000 rad/s3 1e-5 rad/s2.
            let state = motion.state(Timestamp::from_secs_f64(fraction * case.duration));
            for joint in 0..7 {
                let offs = [
                    (state.position[joint] - sample.position[joint]).abs(),
                    (state.velocity[joint] - sample.velocity[joint]).abs(),
                    (state.acceleration[joint] - sample.acceleration[joint]).abs(),
                ];
                for (worst, off) in worst[1..].iter_mut().zip(offs) {
                    *worst = worst.max(off);
                }
                let agrees = offs[0] < 1e-6 && offs[1] < 1e-6 && offs[2] < 1e-4;
                assert!(agrees, "case {index} ({}), joint {joint}, at {fraction}: {offs:?}", case.kind);
            }
        }
    }
    println!(
        "{} motions: duration within {:.1e} s, position {:.1e} rad, velocity {:.1e} rad/s, acceleration {:.1e} rad/s2",
        oracle.case.len(),
        worst[0],
        worst[1],
        worst[2],
        worst[3]
    );
}

#[test]
fn targets_that_come_at_random_moments_always_find_a_motion() {
    // VISUOMOTOR_RETARGETS sets another number.
    let count = std::env::var("VISUOMOTOR_RETARGETS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let limits = MotionLimits {
        velocity: JointVector::from_slice(&[1.5, 1.5, 1.5, 1.5, 1.8, 1.8, 1.8]),
        acceleration: JointVector::from_slice(&[7.5, 3.75, 5.0, 6.25, 7.5, 10.0, 10.0]),
        jerk: JointVector::from_slice(&[3750.0, 1875.0, 2500.0, 3125.0, 3750.0, 5000.0, 5000.0]),
    };
    let range = [JointLimit { lower: -2.8, upper: 2.8 }; 7];
    let mut motion = JerkLimited::new(&limits, &range);
    motion.hold(JointVector::zeros(7));
    let mut now = Timestamp::ZERO;
    let mut failed = 0;
    for _ in 0..count {
        let far = if rng.random_bool(0.5) { 0.05 } else { 2.0 };
        let mut goal = motion.state(now).position;
        for angle in goal.iter_mut() {
            *angle = (*angle + rng.random_range(-far..far)).clamp(-2.7, 2.7);
        }
        let minimum = Duration::from_millis(rng.random_range(0..400));
        failed += u32::from(motion.retarget(now, &goal, minimum).is_err());
        now = now + Duration::from_micros(rng.random_range(1..500_000));
    }
    println!("{failed} of {count} random targets found no motion");
    assert_eq!(failed, 0);
}
