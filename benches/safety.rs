//! Time of the safety filter and of the controller's command, on the WidowX.
//!
//! `cargo bench --bench safety`

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

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

criterion_group!(benches, safety);
criterion_main!(benches);
