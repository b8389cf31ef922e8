//! Time of forward kinematics, the Jacobian and one inverse step at control rate, on the WidowX.
//!
//! `cargo bench --bench kinematics`

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use visuomotor::config::Robot;
use visuomotor::kinematics::{Chain, InverseSettings};

fn kinematics(c: &mut Criterion) {
    let robot =
        Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").expect("robots/widowx is in the repository");
    let chain = Chain::from_robot(&robot).expect("the widowx is a chain");
    let q = *chain.home();
    c.bench_function("kinematics/forward", |b| b.iter(|| chain.forward(black_box(&q))));
    c.bench_function("kinematics/jacobian", |b| b.iter(|| chain.jacobian(black_box(&q))));

    // One policy step of the size most common in Bridge data: 2 cm and 0.05 rad.
    let mut goal = chain.forward(&q);
    goal.translation.vector.x += 0.02;
    goal.rotation = visuomotor::geometry::rotation_from_euler(0.0, 0.0, 0.05) * goal.rotation;
    let tracking = InverseSettings::tracking();
    assert!(chain.inverse(&q, &goal, &tracking).is_ok());
    c.bench_function("kinematics/inverse_tracking_step", |b| {
        b.iter(|| chain.inverse(black_box(&q), black_box(&goal), &tracking))
    });

    // The longest possible tracking step: an unreachable pose.
    goal.translation.vector.x = 2.0;
    c.bench_function("kinematics/inverse_tracking_no_solution", |b| {
        b.iter(|| chain.inverse(black_box(&q), black_box(&goal), &tracking))
    });
}

criterion_group!(benches, kinematics);
criterion_main!(benches);
