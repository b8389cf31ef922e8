//! Time of gravity, mass matrix and Coriolis torques, alone and together, on seven joints; the budget is 5 us.
//!
//! `cargo bench --no-default-features --bench dynamics`

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use visuomotor::config::Robot;
use visuomotor::kinematics::Dynamics;

fn dynamics(c: &mut Criterion) {
    for name in ["panda", "sawyer", "jaco_j2s7s300", "widowx"] {
        let robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), name).expect("the arm is in the repository");
        let mut dynamics = Dynamics::from_robot(&robot).expect("the arm is a chain of bodies");
        let q = robot.identity.home.clone();
        let v = robot.limits.joint_velocity.clone();
        c.bench_function(&format!("dynamics/{name}/all"), |b| b.iter(|| dynamics.terms(black_box(&q), black_box(&v))));
        c.bench_function(&format!("dynamics/{name}/gravity"), |b| b.iter(|| dynamics.gravity(black_box(&q))));
        c.bench_function(&format!("dynamics/{name}/mass"), |b| b.iter(|| dynamics.mass_matrix(black_box(&q))));
        c.bench_function(&format!("dynamics/{name}/coriolis"), |b| {
            b.iter(|| dynamics.coriolis(black_box(&q), black_box(&v)))
        });
        c.bench_function(&format!("dynamics/{name}/inverse"), |b| {
            b.iter(|| dynamics.inverse_dynamics(black_box(&q), black_box(&v), black_box(&v)))
        });
        c.bench_function(&format!("dynamics/{name}/finger"), |b| b.iter(|| dynamics.set_finger(black_box(0.02))));
    }
}

criterion_group!(benches, dynamics);
criterion_main!(benches);
