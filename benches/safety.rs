//! Time of the safety filter and of the controller's command, on the WidowX, and of the filter on the seven joints of a
//! Panda with its capsules.
//!
//! `cargo bench --bench safety`; `cargo bench --bench safety -- single_calls` prints percentiles of single calls.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use visuomotor::action::{Action, ActionBounds, JointCommand};
use visuomotor::config::{GripperPolicy, Robot};
use visuomotor::control::Controller;
use visuomotor::kinematics::Chain;
use visuomotor::observation::{JointVector, Proprioception};
use visuomotor::safety::SafetyFilter;
use visuomotor::time::Timestamp;

fn safety(c: &mut Criterion) {
    let robot =
        Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").expect("robots/widowx is in the repository");
    let chain = Chain::from_robot(&robot).expect("the widowx is a chain");
    let measured = Proprioception {
        joint_positions: *chain.home(),
        joint_velocities: JointVector::zeros(6),
        joint_efforts: JointVector::zeros(6),
        finger_position: 0.02,
        gripper: 1.0,
        measured_at: Timestamp::ZERO,
    };
    let tick = Duration::from_millis(20);

    let mut filter = SafetyFilter::new(&robot, chain.clone());
    filter.seed(Timestamp::ZERO, &measured);
    let passing = JointCommand::position(measured.joint_positions, 1.0);
    let mut now = Timestamp::ZERO;
    c.bench_function("safety/passed", |b| {
        b.iter(|| {
            now = now + tick;
            let measured = Proprioception { measured_at: now, ..measured };
            filter.filter(now, black_box(&passing), &measured, Some(tick))
        })
    });

    // There and back over a second each way, so that the velocity limit works at every tick.
    let mut there = passing;
    there.joints[0] += 2.0;
    let mut count = 0u32;
    c.bench_function("safety/velocity_limited", |b| {
        b.iter(|| {
            now = now + tick;
            count = (count + 1) % 80;
            let wished = if count < 40 { &there } else { &passing };
            let measured = Proprioception { measured_at: now, ..measured };
            filter.filter(now, black_box(wished), &measured, Some(tick))
        })
    });

    // Half a wish beyond the limits, so that every check has something to do.
    for (name, wished) in [
        (
            "safety/velocity_mode",
            JointCommand::velocity(JointVector::from_slice(&[0.5, 0.1, -3.0, 0.2, 0.1, 0.0]), 1.0),
        ),
        ("safety/torque_mode", JointCommand::torque(JointVector::from_slice(&[0.5, 9.0, -3.0, 0.2, 0.1, 0.0]), 1.0)),
    ] {
        filter.seed(now, &measured);
        c.bench_function(name, |b| {
            b.iter(|| {
                now = now + tick;
                let measured = Proprioception { measured_at: now, ..measured };
                filter.filter(now, black_box(&wished), &measured, Some(tick))
            })
        });
    }

    let period = Duration::from_millis(200);
    let mut controller = Controller::new(&robot, chain, ActionBounds::BRIDGE, GripperPolicy::Direct, period);
    controller.seed(Timestamp::ZERO, &measured);
    let action = Action { translation: [0.02, 0.0, 0.0], rotation: [0.0, 0.0, 0.05], gripper: 1.0 };
    controller.accept(Timestamp::ZERO, &action, &measured);
    c.bench_function("control/command", |b| {
        b.iter(|| controller.command(black_box(Timestamp::from_nanos(70_000_000)), &measured))
    });
}

/// Places and wishes of seven joints: free, at the speed limit, and at a wall that the hand would go through.
fn seven_joints(c: &mut Criterion) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let robot = Robot::load(root, "panda").expect("robots/panda is in the repository");
    let chain = Chain::from_robot(&robot).expect("the panda is a chain");
    let at = |joints: JointVector, now: Timestamp| Proprioception {
        joint_positions: joints,
        joint_velocities: JointVector::zeros(7),
        joint_efforts: JointVector::zeros(7),
        finger_position: 0.02,
        gripper: 1.0,
        measured_at: now,
    };
    let home = *chain.home();
    let tick = Duration::from_millis(1);
    let slow = JointVector::from_slice(&[0.05, 0.02, -0.03, 0.02, 0.01, 0.0, 0.1]);
    let greedy = JointVector::from_slice(&[2.0, 1.0, -3.0, 0.2, 0.1, 0.0, 9.0]);
    // Just above the table, and on: every halving is needed.
    let low = JointVector::from_slice(&[0.0, 0.55, 0.0, -2.2, 0.0, 2.7, 0.78]);
    let down = JointVector::from_slice(&[0.0, 1.0, 0.0, 0.5, 0.0, 0.0, 0.0]);
    for (name, place, wished) in [
        ("positions", home, JointCommand::position(home, 1.0)),
        ("velocities", home, JointCommand::velocity(slow, 1.0)),
        ("velocities_limited", home, JointCommand::velocity(greedy, 1.0)),
        ("velocities_at_the_table", low, JointCommand::velocity(down, 1.0)),
        ("torques", home, JointCommand::torque(slow, 1.0)),
    ] {
        let mut filter = SafetyFilter::new(&robot, chain.clone());
        let mut now = Timestamp::ZERO;
        filter.seed(now, &at(place, now));
        let mut call = || {
            now = now + tick;
            let measured = at(place, now);
            let started = Instant::now();
            black_box(filter.filter(now, black_box(&wished), black_box(&measured), Some(tick)));
            started.elapsed()
        };
        c.bench_function(&format!("safety/seven_joints/{name}"), |b| b.iter(&mut call));
        // What criterion does not tell: the spread of single calls, the clock's own two readings included.
        let mut times: Vec<Duration> = (0..200_000).map(|_| call()).collect();
        times.sort_unstable();
        let share = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        println!(
            "safety/seven_joints/{name}/single_calls: p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}",
            share(0.5),
            share(0.99),
            share(0.999),
            share(1.0)
        );
    }
    let mut noise: Vec<Duration> = (0..200_000).map(|_| Instant::now()).map(|started| started.elapsed()).collect();
    noise.sort_unstable();
    println!("the clock alone: p50 {:?}, p99 {:?}, max {:?}", noise[100_000], noise[198_000], noise[199_999]);
}

criterion_group!(benches, safety, seven_joints);
criterion_main!(benches);
