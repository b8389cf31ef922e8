//! Tests of segment distances against brute force, and of an arm's capsules.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::{Capsule, Plane};
use crate::kinematics::Chain;

/// The least distance between points spread evenly over two segments: never less than the true one.
fn sampled(a: &Axis, b: &Axis) -> f64 {
    let mut least = f64::INFINITY;
    for i in 0..=200 {
        let one = a.from + (a.to - a.from) * (f64::from(i) / 200.0);
        for j in 0..=200 {
            let other = b.from + (b.to - b.from) * (f64::from(j) / 200.0);
            least = f64::min(least, (one - other).norm());
        }
    }
    least
}

fn any_axis() -> impl Strategy<Value = Axis> {
    let point = || proptest::array::uniform3(-1.0..1.0f64).prop_map(Vector3::from);
    prop_oneof![
        4 => (point(), point()).prop_map(|(from, to)| Axis { from, to }),
        1 => point().prop_map(|from| Axis { from, to: from }),
        2 => point().prop_map(|from| Axis { from, to: from + Vector3::new(0.0, 0.0, 0.4) }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn the_distance_of_segments_agrees_with_brute_force(a in any_axis(), b in any_axis()) {
        let (exact, brute) = (axis_distance_squared(&a, &b).sqrt(), sampled(&a, &b));
        // The sampled points lie within half a step of the nearest ones.
        let step = 0.5 * ((a.to - a.from).norm() + (b.to - b.from).norm()) / 200.0;
        prop_assert!(exact <= brute + 1e-12 && brute <= exact + step, "{} {}", exact, brute);
        prop_assert!((axis_distance_squared(&b, &a).sqrt() - exact).abs() < 1e-9);
    }
}

#[test]
fn segments_that_cross_touch_and_parallel_ones_keep_their_distance() {
    let axis = |from: [f64; 3], to: [f64; 3]| Axis { from: from.into(), to: to.into() };
    let x = axis([-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]);
    assert_eq!(axis_distance_squared(&x, &axis([0.0, -1.0, 0.0], [0.0, 1.0, 0.0])), 0.0);
    assert_eq!(axis_distance_squared(&x, &axis([-1.0, 0.5, 0.0], [1.0, 0.5, 0.0])), 0.25);
    assert_eq!(axis_distance_squared(&x, &axis([2.0, 0.0, 0.0], [4.0, 0.0, 0.0])), 1.0);
    assert_eq!(axis_distance_squared(&x, &axis([0.0, 0.0, 2.0], [0.0, 0.0, 2.0])), 4.0);
    assert!(axis_distance_squared(&x, &axis([f64::NAN, 0.0, 0.0], [1.0, 0.0, 0.0])).is_nan());
}

fn widowx() -> Robot {
    Robot::load(Path::new(crate::CHECKOUT), "widowx").unwrap()
}

/// Two balls: one on the base, one on the tool's link.
fn balls() -> Chain {
    let mut robot = widowx();
    let ball = |link: &str, at: [f64; 3]| Capsule { link: link.into(), from: at, to: at, radius: 0.05 };
    robot.capsule = vec![ball("base_link", [0.0, 0.0, 0.05]), ball("gripper_link", [0.0, 0.0, 0.0])];
    robot.collision.margin = 0.05;
    robot.limits.plane = vec![Plane { normal: [0.0, 0.0, 1.0], offset: 0.0 }];
    Chain::from_robot(&robot).unwrap()
}

#[test]
fn approach_within_the_margin_is_a_contact_and_retreat_is_not() {
    let chain = balls();
    let bodies = chain.bodies();
    // Straight up, then folded so that the gripper's link lies at the base.
    let (up, folded, further) = ([0.0; 6], [0.0, -1.8, 1.55, 0.0, 0.8, 0.0], [0.0, -1.85, 1.6, 0.0, 0.8, 0.0]);
    let [up, folded, further] = [up, folded, further].map(|q| chain.place(&q));
    assert!(bodies.are_clear(&up) && bodies.least_gap(&up) > 0.3);
    assert!(bodies.least_gap(&folded) < 0.05, "{}", bodies.least_gap(&folded));
    assert!(bodies.least_gap(&further) < bodies.least_gap(&folded));
    assert_eq!(bodies.contact(&folded, &folded, false), None, "what is near may stay");
    assert_eq!(bodies.contact(&up, &folded, false), None, "and go");
    assert_eq!(bodies.contact(&further, &folded, false), Some(Contact::Parts), "and come no nearer");
    assert_eq!(bodies.contact(&further, &folded, true), None, "but on the way out of itself");
}

#[test]
fn planes_apply_only_to_links_after_the_first_moving_one() {
    let chain = balls();
    let bodies = chain.bodies();
    let up = chain.place(&[0.0; 6]);
    // The ball on the base touches the plane, which it stands on.
    assert!(bodies.least_plane_gap(&up) > 0.2, "{}", bodies.least_plane_gap(&up));
    let low = chain.place(&[0.0, 1.5, 0.0, 0.0, 0.0, 0.0]);
    assert!(bodies.least_plane_gap(&low) < 0.0);
    assert_eq!(bodies.contact(&low, &up, true), Some(Contact::Plane));
    assert!(!bodies.are_clear(&low));
}

#[test]
fn non_finite_numbers_are_not_clear() {
    let chain = balls();
    let (nowhere, up) = (chain.place(&[f64::NAN; 6]), chain.place(&[0.0; 6]));
    assert!(!chain.bodies().are_clear(&nowhere));
    assert!(chain.bodies().contact(&nowhere, &up, false).is_some());
    assert!(chain.bodies().least_gap(&nowhere).is_nan() && nowhere.longest_way(&up).is_nan());
}

#[test]
fn a_capsule_of_a_link_that_does_not_exist_is_refused_by_name() {
    let mut robot = widowx();
    robot.capsule = vec![Capsule { link: "tail".into(), from: [0.0; 3], to: [0.0; 3], radius: 0.1 }];
    let error = Chain::from_robot(&robot).unwrap_err();
    assert!(matches!(&error, KinematicsError::Capsule { link } if link == "tail"), "{error}");
}

#[test]
fn the_placed_tool_equals_the_chains() {
    let chain = Chain::from_robot(&widowx()).unwrap();
    let q = [0.3, -0.5, 0.7, 0.4, -0.6, 1.1];
    assert_eq!(chain.place(&q).tool, chain.forward(&q).translation.vector);
}
