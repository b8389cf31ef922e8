//! Tests of the differential kinematics: where the arm has all directions, where it has lost one, at limits.

use std::path::Path;

use super::*;

const TICK: f64 = 0.02;

fn arm() -> (Robot, Chain) {
    let robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").unwrap();
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

/// What the tool does with these joint velocities: linear \[m/s\], angular \[rad/s\].
fn achieved(chain: &Chain, joints: &JointVector, velocity: &JointVector) -> Twist {
    let mut columns = Columns::zeros();
    columns.as_mut_slice()[..velocity.len()].copy_from_slice(velocity);
    let motion = chain.jacobian(joints) * columns;
    twist([motion[0], motion[1], motion[2]], [motion[3], motion[4], motion[5]])
}

#[test]
fn the_tool_does_what_was_asked_in_either_frame() {
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

/// Upper arm and forearm in one line, reaching forward: the tool cannot go further out.
fn stretched() -> JointVector {
    let (_, chain) = arm();
    // The WidowX's elbow is set off by 5 cm: the reach along x is largest where its derivative by the elbow is zero.
    let mut best = (0.0, JointVector::zeros(6));
    for step in 0..4000 {
        let mut q = JointVector::zeros(6);
        q[2] = -0.5 + f64::from(step) * 2.5e-4;
        q[1] = 0.3;
        q[4] = 0.3;
        let reach = {
            let wrist = chain.forward(&q).translation.vector;
            let shoulder = Vector3::new(0.0, 0.0, 0.11);
            (wrist - shoulder).norm()
        };
        if reach > best.0 {
            best = (reach, q);
        }
    }
    best.1
}

#[test]
fn in_a_singular_pose_speeds_stay_bounded_and_the_directions_left_are_kept() {
    let (differential, chain) = differential();
    let q = stretched();
    let singular = differential.velocity(&q, &Twist::default(), TwistFrame::Base, TICK);
    assert!(singular.condition > 40.0, "the pose is not singular: {}", singular.condition);

    // Whatever is asked, joints stay within limits, and so does every neighbor: no step from one pose to the next.
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

    // A twist the arm can still do (made from joint velocities orthogonal to the lost direction) is done exactly.
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
        let off = (got.linear - motion.scale * asked.linear).norm() + (got.angular - motion.scale * asked.angular).norm();
        assert!(off < 1e-9, "direction {axis} is turned: {got:?} for {asked:?}");
    }
}

#[test]
fn near_a_joint_limit_the_arm_slows_down_evenly_and_stops_before_it() {
    let (differential, chain) = differential();
    let limit = chain.usable_limits()[0];
    let mut q = *chain.home();
    q[0] = limit.upper - 0.4;
    // About the base's axis: the waist alone has to turn for it.
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
    let back = differential.velocity(&q, &twist([0.0; 3], [0.0, 0.0, -0.2]), TwistFrame::Base, TICK);
    assert_eq!(back.scale, 1.0);
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
fn numbers_that_are_none_and_joints_that_are_missing_answer_no_motion() {
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
