//! Tests of the differential kinematics: in regular poses, in singular poses, and at limits.

use std::path::Path;

use super::*;

const TICK: f64 = 0.02;

fn arm() -> (Robot, Chain) {
    let robot = Robot::load(Path::new(crate::CHECKOUT), "widowx").unwrap();
    let chain = Chain::from_robot(&robot).unwrap();
    (robot, chain)
}

fn differential() -> (Differential, Chain) {
    let (robot, chain) = arm();
    (Differential::new(&robot, chain.clone(), DifferentialSettings::default()), chain)
}

fn twist(linear: [f64; 3], angular: [f64; 3]) -> Twist {
    Twist { linear: linear.into(), angular: angular.into() }
}

/// The tool's twist for these joint velocities: linear \[m/s\], angular \[rad/s\].
fn achieved(chain: &Chain, joints: &JointVector, velocity: &JointVector) -> Twist {
    let mut columns = Columns::zeros();
    columns.as_mut_slice()[..velocity.len()].copy_from_slice(velocity);
    let motion = chain.jacobian(joints) * columns;
    twist([motion[0], motion[1], motion[2]], [motion[3], motion[4], motion[5]])
}

#[test]
fn the_tool_follows_the_twist_in_either_frame() {
    let (differential, chain) = differential();
    let asked = twist([0.05, -0.03, 0.02], [0.1, 0.2, -0.1]);
    let motion = differential.velocity(chain.home(), &asked, TwistFrame::Base, TICK);
    assert_eq!(motion.scale, 1.0);
    assert!(motion.condition > 1.0 && motion.condition < 50.0 && motion.manipulability > 0.0, "{motion:?}");
    let got = achieved(&chain, chain.home(), &motion.velocity);
    assert!((got.linear - asked.linear).norm() < 1e-9 && (got.angular - asked.angular).norm() < 1e-9, "{got:?}");

    let in_tool = differential.velocity(chain.home(), &asked, TwistFrame::Tool, TICK);
    let rotation = chain.forward(chain.home()).rotation;
    let got = achieved(&chain, chain.home(), &in_tool.velocity);
    assert!((got.linear - rotation * asked.linear).norm() < 1e-9, "{got:?}");
    assert!((got.angular - rotation * asked.angular).norm() < 1e-9, "{got:?}");
}

#[test]
fn too_fast_a_twist_is_made_slower_and_keeps_its_direction() {
    let (differential, chain) = differential();
    let asked = twist([0.0, 3.0, 1.0], [0.0; 3]);
    let motion = differential.velocity(chain.home(), &asked, TwistFrame::Base, TICK);
    assert!(motion.scale > 0.0 && motion.scale < 1.0);
    let fastest = motion.velocity.iter().zip(differential.velocity.iter()).map(|(v, limit)| v.abs() / limit);
    assert!((fastest.fold(0.0, f64::max) - 1.0).abs() < 1e-9, "one joint is at its limit: {motion:?}");
    let got = achieved(&chain, chain.home(), &motion.velocity);
    assert!((got.linear - motion.scale * asked.linear).norm() < 1e-9 && got.angular.norm() < 1e-9, "{got:?}");
}

/// Upper arm and forearm in one line: the wrist cannot move further out.
fn stretched() -> JointVector {
    let (differential, _) = differential();
    let condition = |q: &JointVector| differential.velocity(q, &Twist::default(), TwistFrame::Base, TICK).condition;
    let mut worst = JointVector::from_slice(&[0.0, 0.3, 0.0, 0.1, 0.5, 0.0]);
    for step in 0..10_000 {
        let mut q = worst;
        q[2] = -1.7 + f64::from(step) * 3.3e-4;
        if condition(&q) > condition(&worst) {
            worst = q;
        }
    }
    worst
}

#[test]
fn in_a_singular_pose_speeds_stay_bounded_and_the_directions_left_are_kept() {
    let (differential, chain) = differential();
    let q = stretched();
    let singular = differential.velocity(&q, &Twist::default(), TwistFrame::Base, TICK);
    assert!(singular.condition > 1000.0, "the pose is not singular: {}", singular.condition);

    // For any twist, joints stay within limits, also in neighboring poses: no step from one pose to the next.
    for asked in [[0.2, 0.0, 0.0], [0.0, 0.2, 0.0], [0.0, 0.0, 0.2], [0.2, 0.2, 0.2]] {
        let asked = twist(asked, [0.0; 3]);
        let mut last: Option<JointVector> = None;
        for step in -200..=200 {
            let mut near = q;
            near[2] += f64::from(step) * 1e-3;
            let velocity = differential.velocity(&near, &asked, TwistFrame::Base, TICK).velocity;
            assert!(velocity.iter().zip(differential.velocity.iter()).all(|(v, limit)| v.abs() <= limit + 1e-9));
            if let Some(last) = last {
                let jump = velocity.iter().zip(last.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(jump < 0.1, "{jump} rad/s within 1 mrad at {step}");
            }
            last = Some(velocity);
        }
    }

    // A twist that is still feasible (from joint velocities orthogonal to the lost direction) is followed exactly.
    let jacobian = {
        let mut weighted: Weighted = chain.jacobian(&q);
        weighted.fixed_rows_mut::<3>(0).scale_mut(1.0 / LENGTH_PER_RADIAN);
        weighted
    };
    let directions = Directions::of(&jacobian).unwrap();
    for axis in 0..6 {
        if directions.squared[axis].sqrt() < differential.settings.singular_below {
            continue;
        }
        let wished: Vector6<f64> = directions.axes.column(axis) * 0.05;
        let linear = Vector3::new(wished[0], wished[1], wished[2]) * LENGTH_PER_RADIAN;
        let asked = Twist { linear, angular: Vector3::new(wished[3], wished[4], wished[5]) };
        let motion = differential.velocity(&q, &asked, TwistFrame::Base, TICK);
        let got = achieved(&chain, &q, &motion.velocity);
        let off =
            (got.linear - motion.scale * asked.linear).norm() + (got.angular - motion.scale * asked.angular).norm();
        assert!(off < 1e-9, "direction {axis} is turned: {got:?} for {asked:?}");
    }
}

#[test]
fn near_a_joint_limit_the_arm_slows_down_evenly_and_stops_before_it() {
    let (differential, chain) = differential();
    let limit = chain.usable_limits()[0];
    let mut q = *chain.home();
    q[0] = limit.upper - 0.4;
    // About the base's axis: only the waist turns.
    let place = chain.forward(&q).translation.vector;
    let mut last = 0.0;
    for tick in 0..2000 {
        let place = if tick == 0 { place } else { chain.forward(&q).translation.vector };
        let around = Vector3::z().cross(&place) * 1.0;
        let asked = Twist { linear: around, angular: Vector3::z() };
        let motion = differential.velocity(&q, &asked, TwistFrame::Base, TICK);
        let brake = 24.0 * TICK;
        assert!(tick == 0 || motion.velocity[0] >= last - brake - 1e-9, "a step at {tick}");
        last = motion.velocity[0];
        q = differential.step(&q, &motion, TICK);
        assert!(q[0] <= limit.upper + 1e-9, "{}", q[0]);
    }
    assert!(limit.upper - q[0] < 1e-3, "it stands {} rad before its limit", limit.upper - q[0]);
    // The way back is free.
    let place = chain.forward(&q).translation.vector;
    let back = Twist { linear: -0.2 * Vector3::z().cross(&place), angular: -0.2 * Vector3::z() };
    assert_eq!(differential.velocity(&q, &back, TwistFrame::Base, TICK).scale, 1.0);
}

#[test]
fn a_pose_is_reached_in_a_straight_line() {
    let (differential, chain) = differential();
    let mut q = *chain.home();
    let start = chain.forward(&q);
    let goal = Pose::from_parts(
        (start.translation.vector + Vector3::new(0.05, 0.08, -0.04)).into(),
        nalgebra::UnitQuaternion::from_euler_angles(0.1, 0.2, -0.3) * start.rotation,
    );
    let way = (goal.translation.vector - start.translation.vector).normalize();
    for _ in 0..300 {
        let motion = differential.toward(&q, &goal, &Twist::default(), TICK);
        q = differential.step(&q, &motion, TICK);
        let done = chain.forward(&q).translation.vector - start.translation.vector;
        let aside = (done - way * done.dot(&way)).norm();
        assert!(aside < 2e-3, "{aside} m beside the line");
    }
    let (translation, rotation) = pose_error(&chain.forward(&q), &goal);
    assert!(translation.norm() < 1e-6 && rotation.norm() < 1e-6, "{translation} {rotation}");
}

#[test]
fn non_finite_numbers_and_missing_joints_give_no_motion() {
    let (differential, chain) = differential();
    let asked = twist([0.1, 0.0, 0.0], [0.0; 3]);
    let mut bad = *chain.home();
    bad[2] = f64::NAN;
    for (joints, twist, tick) in [
        (bad, asked, TICK),
        (JointVector::zeros(5), asked, TICK),
        (*chain.home(), Twist { linear: Vector3::new(f64::NAN, 0.0, 0.0), ..asked }, TICK),
        (*chain.home(), Twist { linear: Vector3::new(f64::INFINITY, 0.0, 0.0), ..asked }, TICK),
        (*chain.home(), asked, f64::NAN),
    ] {
        let motion = differential.velocity(&joints, &twist, TwistFrame::Base, tick);
        assert_eq!((motion.velocity, motion.scale), (JointVector::zeros(6), 0.0));
    }
}

fn panda() -> (Differential, Chain) {
    let robot = Robot::load(Path::new(crate::CHECKOUT), "panda").unwrap();
    let chain = Chain::from_robot(&robot).unwrap();
    (Differential::new(&robot, chain.clone(), DifferentialSettings::default()), chain)
}

#[test]
fn a_redundant_joint_goes_home_without_moving_the_tool() {
    let (differential, chain) = panda();
    // The elbow is swung out, the tool unmoved.
    let mut q = *chain.home();
    for (joint, off) in [(0, 0.3), (1, 0.2), (2, -0.4), (4, 0.3)] {
        q[joint] += off;
    }
    let start = chain.forward(&q);
    let far = |q: &JointVector| q.iter().zip(chain.home().iter()).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    let before = far(&q);
    let tick = 0.001;
    for _ in 0..5000 {
        let motion = differential.toward(&q, &start, &Twist::default(), tick);
        q = differential.step(&q, &motion, tick);
    }
    let (translation, rotation) = pose_error(&chain.forward(&q), &start);
    assert!(translation.norm() < 1e-5 && rotation.norm() < 1e-5, "{translation} {rotation}");
    assert!(far(&q) < 0.9 * before, "{} of {before}", far(&q));
    // Posture motion does not slow the tool.
    let asked = twist([0.1, 0.05, -0.1], [0.0, 0.1, 0.0]);
    let motion = differential.velocity(&q, &asked, TwistFrame::Base, tick);
    let got = achieved(&chain, &q, &motion.velocity);
    assert!((got.linear - asked.linear).norm() < 1e-6 && (got.angular - asked.angular).norm() < 1e-6, "{got:?}");
}

#[test]
fn a_joint_at_its_limit_leaves_its_work_to_the_others_without_a_step() {
    let (mut differential, chain) = panda();
    // Nothing else moves the joint away from its limit.
    differential.settings.posture_gain = 0.0;
    differential.settings.limit_gain = 0.0;
    let tick = 0.001;
    let mut taken_over = 0;
    for joint in [0, 2, 4, 6] {
        let limit = chain.usable_limits()[joint];
        let mut q = *chain.home();
        q[joint] = limit.upper - 0.1;
        let mut last: Option<JointVector> = None;
        for _ in 0..1500 {
            // The tool's motion when only this joint turns.
            let column = chain.jacobian(&q).column(joint) * 0.3;
            let asked = twist([column[0], column[1], column[2]], [column[3], column[4], column[5]]);
            let motion = differential.velocity(&q, &asked, TwistFrame::Base, tick);
            if let Some(last) = &last {
                let change = motion.velocity.iter().zip(last.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(change < 0.02, "joint {joint}: a step of {change} rad/s");
            }
            let got = achieved(&chain, &q, &motion.velocity);
            let off =
                (got.linear - motion.scale * asked.linear).norm() + (got.angular - motion.scale * asked.angular).norm();
            assert!(off < 1e-6, "joint {joint}: the tool is led astray by {off}");
            if q[joint] > limit.upper - 1e-3 && motion.scale > 0.5 {
                taken_over += 1;
            }
            last = Some(motion.velocity);
            q = differential.step(&q, &motion, tick);
            for (joint, range) in chain.usable_limits().iter().enumerate() {
                assert!(
                    q[joint] >= range.lower - 1e-9 && q[joint] <= range.upper + 1e-9,
                    "joint {joint}: {}",
                    q[joint]
                );
            }
        }
    }
    println!("{taken_over} ms with a joint at its limit and the others doing its work");
    assert!(taken_over > 0);
}
