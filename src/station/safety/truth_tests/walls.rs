//! Planes, self-collision, and every limit from any posture to any target.

use super::*;

#[test]
fn home_and_sleep_of_every_arm_are_clear_of_themselves_and_of_the_table() {
    for name in ARMS {
        let robot = load(name);
        let chain = Chain::from_robot(&robot).unwrap();
        assert!(robot.capsule.len() >= 7, "{name} has no capsules");
        for pose in [&robot.identity.home, &robot.identity.sleep] {
            let placed = chain.place(pose);
            let (gap, plane) = (chain.bodies().least_gap(&placed), chain.bodies().least_plane_gap(&placed));
            assert!(chain.bodies().are_clear(&placed), "{name} {pose:?}: {gap} m to itself, {plane} m to a plane");
        }
    }
}

#[test]
fn the_elbow_does_not_go_through_the_table_while_the_tool_is_in_its_box() {
    // A box as large as the arm: only the plane limits it.
    let mut robot = load("panda");
    (robot.limits.workspace_low, robot.limits.workspace_high) = ([-2.0; 3], [2.0; 3]);
    let mut rig = Follower::new(robot);
    let mut wished = rig.nothing(ControlMode::Velocity);
    // Forward and down with the shoulder.
    wished.joints_mut()[1] = 0.4;
    let (mut least, mut reasons) = (f64::INFINITY, Vec::new());
    for _ in 0..8000 {
        let verdict = rig.tick(&wished);
        if let Filtered::Limited(reason) = verdict.filtered
            && !reasons.contains(&reason)
        {
            reasons.push(reason);
        }
        let placed = rig.chain.place(&rig.here());
        least = least.min(rig.chain.bodies().least_plane_gap(&placed));
    }
    assert!(reasons.contains(&LimitReason::Plane), "{reasons:?}");
    assert!(least >= rig.robot.collision.margin - 1e-3 && least < 0.05, "{least} m above the table");
}

#[test]
fn the_hand_does_not_meet_the_arm_s_own_base() {
    let mut robot = load("panda");
    (robot.limits.workspace_low, robot.limits.workspace_high) = ([-2.0; 3], [2.0; 3]);
    robot.limits.plane.clear();
    let mut rig = Follower::new(robot);
    // A posture with the hand inside the base: straight there, as fast as allowed.
    let inside = [0.0, 1.39, 0.25, -2.48, 0.0, 1.22, 0.78];
    assert!(rig.chain.bodies().least_gap(&rig.chain.place(&inside)) < -0.1);
    let (mut least, mut met) = (f64::INFINITY, false);
    for _ in 0..8000 {
        let mut wished = rig.nothing(ControlMode::Velocity);
        let here = rig.here();
        for joint in 0..7 {
            wished.joints_mut()[joint] = 2.0 * (inside[joint] - here[joint]);
        }
        met |= rig.tick(&wished).filtered == Filtered::Limited(LimitReason::SelfCollision);
        let placed = rig.chain.place(&rig.here());
        least = least.min(rig.chain.bodies().least_gap(&placed));
    }
    assert!(least >= rig.robot.collision.margin - 1e-3, "{least} m");
    assert!(met, "it came as near as {least} m only");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Positions of arms with their own servo: every limit, from any posture to any target.
    #[test]
    fn positions_keep_every_limit_and_never_bring_parts_nearer_than_they_may_be(
        name in proptest::sample::select(&["widowx", "sawyer", "jaco_j2s7s300", "jaco_j2n7s300", "jaco_j2s6s300"][..]),
        start in proptest::collection::vec(0.0..1.0f64, 7),
        wishes in proptest::collection::vec((proptest::collection::vec(-0.1..1.1f64, 7), 1u32..12), 1..12),
    ) {
        let mut rig = Follower::new(load(name));
        let range = rig.chain.limits().to_vec();
        let at = |shares: &[f64]| {
            let angle = |(limit, share): (&visuomotor_core::kinematics::JointLimit, &f64)| {
                limit.lower + share * (limit.upper - limit.lower)
            };
            JointVector::from_slice(&range.iter().zip(shares).map(angle).collect::<Vec<_>>())
        };
        rig.stand(at(&start));
        let (margin, seconds) = (rig.robot.collision.margin, rig.period.as_secs_f64());
        for (shares, ticks) in wishes {
            let wished = JointCommand::position(at(&shares), 0.5);
            for _ in 0..ticks {
                let before = rig.here();
                let mut same = rig.filter.clone();
                let sent = rig.tick(&wished).sent;
                prop_assert!(finite::command_is_finite(&sent, rig.joints()));
                for joint in 0..rig.joints() {
                    let limit = rig.chain.usable_limits()[joint];
                    let out = |q: f64| (limit.lower - q).max(q - limit.upper).max(0.0);
                    prop_assert!(out(sent.joints()[joint]) <= out(before[joint]));
                    let way = (sent.joints()[joint] - before[joint]).abs();
                    prop_assert!(way <= rig.robot.limits.joint_velocity[joint] * seconds + 1e-9);
                }
                let (there, here) = (rig.chain.place(&sent.joints()), rig.chain.place(&before));
                prop_assert!(there.longest_way(&here) <= rig.robot.limits.tool_speed * seconds + 1e-9);
                let bodies = rig.chain.bodies();
                for (gap, was) in [
                    (bodies.least_gap(&there), bodies.least_gap(&here)),
                    (bodies.least_plane_gap(&there), bodies.least_plane_gap(&here)),
                ] {
                    prop_assert!(gap >= margin.min(was), "{} after {}", gap, was);
                }
                let measured = Proprioception { joint_positions: before, ..rig.arm };
                let again = same.filter(rig.now, &sent, &measured, Some(Duration::ZERO));
                prop_assert_eq!(again, Verdict { sent, filtered: Filtered::Passed });
            }
        }
    }

    /// Velocities of every arm: for any motion, its parts and the table stay apart, except for the curvature of one tick.
    #[test]
    fn velocities_keep_the_arm_s_parts_and_the_table_apart(
        name in any_arm(),
        wishes in proptest::collection::vec(proptest::collection::vec(-1.0..1.0f64, 7), 1..8),
    ) {
        let mut robot = load(name);
        (robot.limits.workspace_low, robot.limits.workspace_high) = ([-2.0; 3], [2.0; 3]);
        // Coarser ticks than those of a 1 kHz arm, so that it moves far enough.
        robot.identity.control_rate_hz = robot.identity.control_rate_hz.min(100.0);
        let mut rig = Follower::new(robot);
        let (margin, mut least) = (rig.robot.collision.margin, f64::INFINITY);
        for shares in wishes {
            let mut wished = rig.nothing(ControlMode::Velocity);
            for joint in 0..rig.joints() {
                wished.joints_mut()[joint] = shares[joint] * rig.robot.limits.joint_velocity[joint];
            }
            for _ in 0..60 {
                rig.tick(&wished);
                let placed = rig.chain.place(&rig.here());
                least = least.min(rig.chain.bodies().least_gap(&placed)).min(rig.chain.bodies().least_plane_gap(&placed));
            }
        }
        prop_assert!(least >= margin - 5e-3, "{} m", least);
    }
}
