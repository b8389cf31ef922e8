//! Tests of the filter in position mode; `mode_tests.rs` has the other modes.

use std::path::Path;

use proptest::prelude::*;

use super::*;

const TICK: Duration = Duration::from_millis(20);

fn robot() -> Robot {
    Robot::load(Path::new(crate::CHECKOUT), "widowx").unwrap()
}

fn measured(joints: &[f64]) -> Proprioception {
    let still = JointVector::zeros(joints.len());
    Proprioception {
        joint_positions: JointVector::from_slice(joints),
        joint_velocities: still,
        joint_efforts: still,
        finger_position: 0.02,
        gripper: 0.5,
        measured_at: Timestamp::ZERO,
    }
}

fn wish(joints: &[f64]) -> JointCommand {
    JointCommand::position(JointVector::from_slice(joints), 0.5)
}

/// A filter seeded at the home pose at time zero.
fn seeded() -> (SafetyFilter, Proprioception) {
    let robot = robot();
    let home = measured(&robot.identity.home);
    let mut filter = SafetyFilter::new(&robot, Chain::from_robot(&robot).unwrap());
    filter.seed(Timestamp::ZERO, &home);
    (filter, home)
}

fn after(ticks: u32) -> Timestamp {
    Timestamp::ZERO + TICK * ticks
}

#[test]
fn a_small_motion_passes_unchanged() {
    let (mut filter, home) = seeded();
    let mut wished = wish(&home.joint_positions);
    wished.joints_mut()[1] += 0.01;
    let verdict = filter.filter(after(1), &wished, &home, Some(Duration::ZERO));
    assert_eq!(verdict, Verdict { sent: wished, filtered: Filtered::Passed });
}

#[test]
fn the_first_tick_allows_no_motion() {
    let robot = robot();
    let home = measured(&robot.identity.home);
    let mut filter = SafetyFilter::new(&robot, Chain::from_robot(&robot).unwrap());
    let verdict = filter.filter(after(5), &wish(&[0.1; 6]), &home, None);
    assert_eq!(verdict.sent.joints(), home.joint_positions);
    assert_eq!(verdict.filtered, Filtered::Limited(LimitReason::JointVelocity));
}

#[test]
fn velocity_is_exact_at_the_limit_and_a_stall_causes_no_jump() {
    for (ticks, allowed_ticks) in [(1, 1.0), (2, 2.0), (100, 2.0)] {
        let (mut filter, home) = seeded();
        let mut wished = wish(&home.joint_positions);
        wished.joints_mut()[0] += 1.0;
        let verdict = filter.filter(after(ticks), &wished, &home, None);
        let moved = verdict.sent.joints()[0] - home.joint_positions[0];
        assert!((moved - 2.0 * 0.02 * allowed_ticks).abs() < 1e-12, "{moved}");
        assert_eq!(verdict.filtered, Filtered::Limited(LimitReason::JointVelocity));
    }
}

#[test]
fn not_a_number_in_any_single_field_stops_and_holds() {
    let bad_values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let broken_wishes: [fn(&mut JointCommand, f64); 7] = [
        |c, v| c.joints_mut()[0] = v,
        |c, v| c.joints_mut()[1] = v,
        |c, v| c.joints_mut()[2] = v,
        |c, v| c.joints_mut()[3] = v,
        |c, v| c.joints_mut()[4] = v,
        |c, v| c.joints_mut()[5] = v,
        |c, v| *c = c.with_gripper(v),
    ];
    let broken_scalars: [fn(&mut Proprioception, f64); 2] = [|p, v| p.finger_position = v, |p, v| p.gripper = v];
    let broken_vectors: [fn(&mut Proprioception) -> &mut JointVector; 3] =
        [|p| &mut p.joint_positions, |p| &mut p.joint_velocities, |p| &mut p.joint_efforts];
    let stopped = |wished: &JointCommand, now_measured: &Proprioception| {
        let (mut filter, home) = seeded();
        let verdict = filter.filter(after(1), wished, now_measured, Some(Duration::ZERO));
        assert_eq!(verdict.filtered, Filtered::Stopped(LimitReason::NotFinite));
        assert_eq!(verdict.sent.joints(), home.joint_positions);
    };
    let (_, home) = seeded();
    for bad in bad_values {
        for set in broken_wishes {
            let mut wished = wish(&[0.0; 6]);
            set(&mut wished, bad);
            stopped(&wished, &home);
        }
        for set in broken_scalars {
            let mut broken = home;
            set(&mut broken, bad);
            stopped(&wish(&[0.0; 6]), &broken);
        }
        for vector in broken_vectors {
            for joint in 0..6 {
                let mut broken = home;
                vector(&mut broken)[joint] = bad;
                stopped(&wish(&[0.0; 6]), &broken);
            }
        }
    }
    stopped(&wish(&[0.0; 5]), &home);
    stopped(&wish(&[0.0; 6]), &measured(&[0.0; 7]));
}

#[test]
fn without_any_finite_measurement_no_joint_is_commanded() {
    let robot = robot();
    let mut filter = SafetyFilter::new(&robot, Chain::from_robot(&robot).unwrap());
    let blind = measured(&[f64::NAN; 6]);
    filter.seed(Timestamp::ZERO, &blind);
    let verdict = filter.filter(after(1), &wish(&[0.0; 6]), &blind, None);
    assert_eq!(verdict.filtered, Filtered::Stopped(LimitReason::NotFinite));
    assert!(verdict.sent.joints().is_empty());
    // The first good measurement is held.
    let home = measured(&robot.identity.home);
    let verdict = filter.filter(after(2), &wish(&[0.0; 6]), &home, None);
    assert_eq!(verdict.sent.joints(), home.joint_positions);
}

#[test]
fn an_old_action_stops_and_a_fresh_one_continues_without_a_jump() {
    let (mut filter, home) = seeded();
    let mut wished = wish(&home.joint_positions);
    wished.joints_mut()[0] += 1.0;
    let limit = Duration::from_millis(500);
    let moving = filter.filter(after(1), &wished, &home, Some(limit));
    assert_eq!(moving.filtered, Filtered::Limited(LimitReason::JointVelocity));
    for tick in 2..50 {
        let held = filter.filter(after(tick), &wished, &home, Some(limit + Duration::from_nanos(1)));
        assert_eq!(held, Verdict { sent: moving.sent, filtered: Filtered::Stopped(LimitReason::CommandAge) });
    }
    let again = filter.filter(after(50), &wished, &home, Some(Duration::ZERO));
    let moved = again.sent.joints()[0] - moving.sent.joints()[0];
    assert!((moved - 0.04).abs() < 1e-12, "{moved}");
}

#[test]
fn the_tool_stops_at_the_floor_of_its_box() {
    let (mut filter, home) = seeded();
    // Shoulder forward and elbow down: without the filter the tool would go through the counter.
    let mut wished = wish(&home.joint_positions);
    wished.joints_mut()[1] = 1.2;
    let mut arm = home;
    let mut verdict = filter.filter(after(1), &wished, &arm, None);
    for tick in 2..200 {
        arm.joint_positions = verdict.sent.joints();
        verdict = filter.filter(after(tick), &wished, &arm, None);
        let tool = filter.chain.forward(&verdict.sent.joints()).translation.vector;
        assert!(filter.workspace.distance_outside(&tool) <= super::super::workspace::TOLERANCE);
    }
    // Bent under, the hand reaches the table before the tool.
    let walls = [LimitReason::Workspace, LimitReason::Plane].map(Filtered::Limited);
    assert!(walls.contains(&verdict.filtered), "{verdict:?}");
    let back = filter.filter(after(200), &wish(&home.joint_positions), &arm, None);
    assert_ne!(back.sent.joints(), verdict.sent.joints());
}

#[test]
fn an_arm_that_starts_outside_its_box_may_come_back() {
    let robot = robot();
    // Stretched out: the tool is beyond the box.
    let outside = measured(&[0.0, 0.3, 0.0, 0.0, 0.0, 0.0]);
    let mut filter = SafetyFilter::new(&robot, Chain::from_robot(&robot).unwrap());
    filter.seed(Timestamp::ZERO, &outside);
    let distance = |filter: &SafetyFilter, q: &JointVector| {
        filter.workspace.distance_outside(&filter.chain.forward(q).translation.vector)
    };
    let start = distance(&filter, &outside.joint_positions);
    assert!(start > 0.05, "{start}");
    let further = filter.filter(after(1), &wish(&[1.0, 0.3, 0.0, 0.0, 0.0, 0.0]), &outside, None);
    assert!(distance(&filter, &further.sent.joints()) <= start);
    let down = wish(&robot.identity.home);
    let mut arm = outside;
    for tick in 2..200 {
        arm.joint_positions = filter.filter(after(tick), &down, &arm, None).sent.joints();
    }
    let end = filter.filter(after(200), &down, &arm, None);
    assert_eq!(end, Verdict { sent: down, filtered: Filtered::Passed });
}

/// Regression: an arm without torque folds with its tool behind the box; the straight joint path to its home leads 6 mm
/// further out before it leads in, and the arm was stuck there.
#[test]
fn a_folded_arm_reaches_home() {
    let robot = robot();
    let mut arm = measured(&[0.0, -1.865, 1.585, 0.0, 1.5, 0.0]);
    let mut filter = SafetyFilter::new(&robot, Chain::from_robot(&robot).unwrap());
    filter.seed(Timestamp::ZERO, &arm);
    let (from, home) = (arm.joint_positions, robot.identity.home.clone());
    for tick in 1..=150 {
        let share = (f64::from(tick) / 120.0).min(1.0);
        let on_the_way: Vec<f64> = from.iter().zip(&home).map(|(a, b)| a + share * (b - a)).collect();
        let verdict = filter.filter(after(tick), &wish(&on_the_way), &arm, None);
        assert_eq!(verdict.filtered, Filtered::Passed, "at tick {tick}");
        arm.joint_positions = verdict.sent.joints();
    }
    assert!(arm.joint_positions.iter().zip(&home).all(|(a, b)| (a - b).abs() < 1e-9), "{:?}", arm.joint_positions);
}

/// Regression: with its wrist bent by 1.1 rad a folded arm has its tool 3 mm outside the box, too near for the path further
/// out, and was stuck there. Every folded posture must reach every start of the kitchen.
#[test]
fn a_folded_arm_unfolds_from_any_wrist_angle() {
    let robot = robot();
    let starts = [
        [-0.029, 0.097, 0.094, 0.0, 1.248, 0.0],
        [-0.045, -0.373, 0.592, 0.0, 1.219, 0.0],
        [0.598, -0.187, 0.423, 0.0, 1.203, 0.0],
        [0.416, 0.221, -0.075, 0.0, 1.292, 0.0],
    ];
    let chain = Chain::from_robot(&robot).unwrap();
    let mut folded = 0;
    for (waist, wrist) in
        (-2..=2).flat_map(|waist| (0..22).map(move |wrist| (0.3 * f64::from(waist), 0.1 * f64::from(wrist))))
    {
        for (shoulder, elbow) in [(-1.7, 1.35), (-1.8, 1.5), (-1.86, 1.58), (-1.8, 1.58), (-1.86, 1.35)] {
            let folded_up = measured(&[waist, shoulder, elbow, 0.0, wrist, 0.0]);
            if chain.forward(&folded_up.joint_positions).translation.vector.z < -0.02 {
                // In the table.
                continue;
            }
            folded += 1;
            for start in &starts {
                let mut filter = SafetyFilter::new(&robot, chain.clone());
                let mut arm = folded_up;
                filter.seed(Timestamp::ZERO, &arm);
                for tick in 1..=120 {
                    let share = f64::from(tick) / 120.0;
                    let on_the_way: Vec<f64> =
                        folded_up.joint_positions.iter().zip(start).map(|(a, b)| a + share * (b - a)).collect();
                    let verdict = filter.filter(after(tick), &wish(&on_the_way), &arm, None);
                    assert_eq!(
                        verdict.filtered,
                        Filtered::Passed,
                        "from {:?} to {start:?} at {tick}",
                        folded_up.joint_positions
                    );
                    arm.joint_positions = verdict.sent.joints();
                }
            }
        }
    }
    assert!(folded > 400, "{folded}");
}

#[test]
fn a_policy_does_not_unfold_an_arm() {
    let robot = robot();
    let arm = measured(&[0.0, -1.865, 1.585, 0.0, 1.5, 0.0]);
    let mut filter = SafetyFilter::new(&robot, Chain::from_robot(&robot).unwrap());
    filter.seed(Timestamp::ZERO, &arm);
    let step: Vec<f64> =
        arm.joint_positions.iter().zip(&robot.identity.home).map(|(a, b)| a + (b - a) / 120.0).collect();
    let verdict = filter.filter(after(1), &wish(&step), &arm, Some(Duration::ZERO));
    assert_eq!(verdict.filtered, Filtered::Limited(LimitReason::Workspace));
    assert_eq!(verdict.sent.joints(), arm.joint_positions);
}

#[test]
fn a_gripper_value_beyond_its_range_is_limited() {
    let (mut filter, home) = seeded();
    let mut wished = wish(&home.joint_positions);
    wished = wished.with_gripper(1.5);
    let verdict = filter.filter(after(1), &wished, &home, None);
    assert_eq!(verdict.sent.gripper(), 1.0);
    assert_eq!(verdict.filtered, Filtered::Limited(LimitReason::JointPosition));
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -4.0..4.0f64,
        2 => -0.2..0.2f64,
        1 => any::<f64>(),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(1e308),
    ]
}

fn any_wish() -> impl Strategy<Value = JointCommand> {
    let usual = proptest::collection::vec(-4.0..4.0f64, 6);
    let unusual = proptest::collection::vec(any_number(), 5..=7);
    (prop_oneof![3 => usual, 1 => unusual], any_number())
        .prop_map(|(joints, gripper)| JointCommand::position(JointVector::from_slice(&joints), gripper))
}

proptest! {
    #[test]
    fn every_sent_position_keeps_every_limit(
        wishes in proptest::collection::vec((any_wish(), 0u64..100), 1..40),
        acting in any::<bool>(),
    ) {
        let (mut filter, mut home) = seeded();
        let age = acting.then_some(Duration::ZERO);
        let mut now = Timestamp::ZERO;
        let mut last = home.joint_positions;
        for (wished, milliseconds) in wishes {
            let elapsed = Duration::from_millis(milliseconds);
            now = now + elapsed;
            let mut same_state = filter.clone();
            let verdict = filter.filter(now, &wished, &home, age);
            let sent = verdict.sent;
            prop_assert!(finite::command_is_finite(&sent, 6));
            prop_assert!((0.0..=1.0).contains(&sent.gripper()));
            for i in 0..6 {
                prop_assert!(filter.chain.usable_limits()[i].contains(sent.joints()[i]));
                let moved = (sent.joints()[i] - last[i]).abs();
                prop_assert!(moved <= filter.velocity[i] * elapsed.as_secs_f64() + 1e-9);
            }
            let tool = filter.chain.forward(&sent.joints()).translation.vector;
            let mut allowed = filter.workspace;
            if !acting {
                // On the way to a posture the tool may pass around the base.
                allowed.low[0] = -super::super::workspace::ABOUT_THE_BASE;
            }
            prop_assert!(allowed.distance_outside(&tool) <= super::super::workspace::TOLERANCE, "{tool}");

            // A second pass changes nothing, neither in the state before nor in the state after.
            let before = same_state.filter(now, &sent, &home, age);
            prop_assert_eq!(before, Verdict { sent, filtered: Filtered::Passed });
            let again = filter.filter(now, &sent, &home, age);
            prop_assert_eq!(again, Verdict { sent, filtered: Filtered::Passed });
            last = sent.joints();
            home.joint_positions = last;
        }
    }

    #[test]
    fn an_arm_that_starts_outside_its_limits_never_goes_further_out(
        start in proptest::collection::vec(-4.0..4.0f64, 6),
        wishes in proptest::collection::vec(any_wish(), 1..40),
    ) {
        let robot = robot();
        let mut there = measured(&start);
        let mut filter = SafetyFilter::new(&robot, Chain::from_robot(&robot).unwrap());
        filter.seed(Timestamp::ZERO, &there);
        let mut last = there.joint_positions;
        for (tick, wished) in wishes.iter().enumerate() {
            let mut same_state = filter.clone();
            let now = after(tick as u32 + 1);
            let sent = filter.filter(now, wished, &there, None).sent;
            for (i, limit) in filter.chain.usable_limits().iter().enumerate() {
                let out = |q: f64| (limit.lower - q).max(q - limit.upper).max(0.0);
                prop_assert!(out(sent.joints()[i]) <= out(last[i]));
            }
            prop_assert_eq!(same_state.filter(now, &sent, &there, None).sent, sent);
            last = sent.joints();
            there.joint_positions = last;
        }
    }
}
