//! Forward kinematics, Jacobian, gravity, mass matrix and Coriolis torques against MuJoCo, 1,000 configurations per arm.

use std::sync::Arc;

use nalgebra::{Matrix3, Vector3};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use visuomotor::kinematics::{Chain, Dynamics};
use visuomotor::simulation::mujoco_rs::prelude::*;

use super::{ARMS, at_home, robot};

const CONFIGURATIONS: usize = 1000;
/// Tolerance of positions \[m\], directions and Jacobian entries.
const GEOMETRY: f64 = 1e-9;
/// Tolerance of torques \[Nm\] and inertias \[kg m2\]; relative where they are above 1.
const DYNAMICS: f64 = 1e-8;

/// Largest differences seen, for the report `--nocapture` prints.
#[derive(Debug, Default)]
struct Worst {
    forward: f64,
    jacobian: f64,
    gravity: f64,
    mass: f64,
    coriolis: f64,
}

#[test]
fn kinematics_and_dynamics_agree_with_mujoco() {
    for name in ARMS {
        let worst = compare(name);
        println!("{name}: {worst:?}");
        assert!(worst.forward <= GEOMETRY && worst.jacobian <= GEOMETRY, "{name}: {worst:?}");
        assert!(worst.gravity <= DYNAMICS && worst.mass <= DYNAMICS && worst.coriolis <= DYNAMICS, "{name}: {worst:?}");
    }
}

fn relative(found: f64, expected: f64) -> f64 {
    let off = (found - expected).abs() / expected.abs().max(1.0);
    // `max` would lose a NaN.
    if off.is_nan() { f64::INFINITY } else { off }
}

fn compare(name: &str) -> Worst {
    let robot = robot(name);
    let pedestal = at_home(&robot);
    let chain = Chain::from_robot(&robot).unwrap();
    let mut dynamics = Dynamics::from_robot(&robot).unwrap();
    // Where the pedestal has the fingers.
    dynamics.set_finger(robot.gripper.finger_open);
    let mut data = MjData::new(Arc::clone(pedestal.model()));
    data.qpos_mut().copy_from_slice(pedestal.start());
    let (site, addresses) = (pedestal.tool_site().unwrap(), pedestal.joint_addresses());
    let nv = data.qvel().len();
    let mut full = vec![0.0; nv * nv];
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut worst = Worst::default();
    for _ in 0..CONFIGURATIONS {
        let q: Vec<f64> = robot.joint.iter().map(|joint| rng.random_range(joint.lower..joint.upper)).collect();
        let v: Vec<f64> = robot.joint.iter().map(|joint| rng.random_range(-joint.velocity..joint.velocity)).collect();
        for ((position, dof), (q, v)) in addresses.iter().zip(q.iter().zip(&v)) {
            data.qpos_mut()[*position] = *q;
            data.qvel_mut()[*dof] = *v;
        }
        data.forward();
        let terms = dynamics.terms(&q, &v);
        let moving: Vec<f64> = addresses.iter().map(|(_, dof)| data.qfrc_bias()[*dof]).collect();
        data.full_m(&mut full).unwrap();
        let armature = pedestal.model().dof_armature();
        for (i, (_, row)) in addresses.iter().enumerate() {
            for (j, (_, column)) in addresses.iter().enumerate() {
                let expected = full[row * nv + column] - if i == j { armature[*row] } else { 0.0 };
                worst.mass = worst.mass.max(relative(terms.mass[(i, j)], expected));
            }
        }

        let pose = chain.forward(&q);
        let off = (pose.translation.vector - Vector3::from(data.site_xpos()[site])).norm();
        let expected = Matrix3::from_row_slice(&data.site_xmat()[site]);
        let turn = (pose.rotation.to_rotation_matrix().matrix() - expected).norm();
        worst.forward = worst.forward.max(relative(off + turn, 0.0));
        let (linear, angular) = data.jac_site(true, true, site);
        let jacobian = chain.jacobian(&q);
        for (joint, (_, dof)) in addresses.iter().enumerate() {
            for row in 0..3 {
                let differences = [
                    relative(jacobian[(row, joint)], linear[row * nv + dof]),
                    relative(jacobian[(row + 3, joint)], angular[row * nv + dof]),
                ];
                worst.jacobian = worst.jacobian.max(differences[0]).max(differences[1]);
            }
        }

        data.qvel_mut().fill(0.0);
        data.forward();
        for (i, (_, dof)) in addresses.iter().enumerate() {
            let still = data.qfrc_bias()[*dof];
            worst.gravity = worst.gravity.max(relative(terms.gravity[i], still));
            worst.coriolis = worst.coriolis.max(relative(terms.coriolis[i], moving[i] - still));
        }
    }
    worst
}

/// If the description's vectors ignored one joint, MuJoCo and we could agree on the same error.
#[test]
fn every_joint_matters_somewhere() {
    for name in ARMS {
        let robot = robot(name);
        let chain = Chain::from_robot(&robot).unwrap();
        for joint in 0..robot.joint.len() {
            let moved = chain.jacobian(&robot.identity.home).column(joint).norm();
            assert!(moved > 0.5, "{name} joint {joint}");
        }
    }
}
