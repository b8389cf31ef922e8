//! Inverse kinematics of ten thousand random reachable poses: share solved and time.
//!
//! `cargo test --release --test tests ik_ten_thousand -- --nocapture` prints the numbers.

use std::path::Path;
use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use visuomotor::config::Robot;
use visuomotor::kinematics::{Chain, InverseSettings, JointLimit};
use visuomotor::observation::JointVector;

struct Report {
    solved: f64,
    median_us: f64,
    p99_us: f64,
    longest_us: f64,
}

fn report(chain: &Chain, ranges: &[JointLimit], settings: &InverseSettings, poses: usize) -> Report {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut solved = 0;
    let mut micros = Vec::with_capacity(poses);
    for _ in 0..poses {
        let q: Vec<f64> = ranges.iter().map(|limit| rng.random_range(limit.lower..limit.upper)).collect();
        let goal = chain.forward(&q);
        let started = Instant::now();
        let answer = chain.inverse(chain.home(), &goal, settings);
        micros.push(started.elapsed().as_secs_f64() * 1e6);
        if let Ok(answer) = answer {
            let reached = chain.forward(&answer);
            assert!((reached.translation.vector - goal.translation.vector).norm() <= settings.position_tolerance);
            assert!(reached.rotation.angle_to(&goal.rotation) <= settings.rotation_tolerance + 1e-7);
            assert!(answer.iter().zip(chain.usable_limits()).all(|(angle, limit)| limit.contains(*angle)));
            solved += 1;
        }
    }
    micros.sort_by(f64::total_cmp);
    Report {
        solved: f64::from(solved) / poses as f64,
        median_us: micros[poses / 2],
        p99_us: micros[poses * 99 / 100],
        longest_us: micros[poses - 1],
    }
}

#[test]
fn ik_ten_thousand() {
    let chain = Chain::from_robot(&Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").unwrap()).unwrap();
    let reach = InverseSettings::reach();
    let one = InverseSettings { restarts: 0, ..reach };
    for (name, ranges, settings, least) in [
        ("usable limits, reach", chain.usable_limits(), &reach, 0.99),
        ("hard limits, reach", chain.limits(), &reach, 0.95),
        ("usable limits, home only", chain.usable_limits(), &one, 0.0),
    ] {
        let r = report(&chain, ranges, settings, 10_000);
        println!(
            "ik 10000 poses, {name}: solved {:.2} %, median {:.1} us, p99 {:.1} us, longest {:.1} us",
            100.0 * r.solved,
            r.median_us,
            r.p99_us,
            r.longest_us
        );
        assert!(r.solved >= least, "{name}: {} solved, {least} expected", r.solved);
    }
}

#[test]
fn the_same_question_has_the_same_answer() {
    let chain = Chain::from_robot(&Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").unwrap()).unwrap();
    let goal = chain.forward(&[0.3, -0.5, 0.7, 0.4, -0.6, 1.1]);
    let seed = JointVector::from_slice(&[2.0, 0.5, -1.0, 0.1, 0.2, 0.3]);
    let settings = InverseSettings::reach();
    assert_eq!(chain.inverse(&seed, &goal, &settings), chain.inverse(&seed, &goal, &settings));
}
