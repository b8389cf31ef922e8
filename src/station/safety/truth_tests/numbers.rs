//! Non-finite numbers stop, whatever else is commanded.

use super::*;

#[test]
fn non_finite_numbers_stop_and_the_smallest_and_negative_zero_pass() {
    for name in ARMS {
        for mode in MODES {
            for joint in 0..load(name).joint.len() {
                for (bad, passes) in [
                    (f64::NAN, false),
                    (f64::INFINITY, false),
                    (f64::NEG_INFINITY, false),
                    (-0.0, true),
                    (f64::MIN_POSITIVE / 2.0, true),
                    (-f64::MIN_POSITIVE / 2.0, true),
                ] {
                    let mut rig = Follower::new(load(name));
                    let good = rig.nothing(mode);
                    rig.tick(&good);
                    let mut wished = good;
                    wished.joints_mut()[joint] = if passes { wished.joints()[joint] + bad } else { bad };
                    let verdict = rig.tick(&wished);
                    let expected = if passes { Filtered::Passed } else { Filtered::Stopped(LimitReason::NotFinite) };
                    assert_eq!(verdict.filtered, expected, "{name} {mode:?} joint {joint}: {bad}");
                    assert!(verdict.sent.joints().is_finite());
                }
            }
            for length in [0, load(name).joint.len() - 1, load(name).joint.len() + 1] {
                let mut rig = Follower::new(load(name));
                let mut wished = rig.nothing(mode);
                rig.tick(&wished);
                wished = wished.with_joints(JointVector::zeros(length));
                let verdict = rig.tick(&wished);
                assert_eq!(verdict.filtered, Filtered::Stopped(LimitReason::NotFinite), "{name} {mode:?} {length}");
                assert_eq!(verdict.sent.joints().len(), rig.joints());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// For any command, mode and arm: a NaN stops, and the sent command is finite and has the arm's number of joints.
    #[test]
    fn no_non_finite_number_passes(
        name in any_arm(),
        mode in proptest::sample::select(&MODES[..]),
        numbers in proptest::collection::vec(
            prop_oneof![6 => -4.0..4.0f64, 1 => any::<f64>(), 1 => Just(f64::NAN)], 6..=8),
        gripper in prop_oneof![6 => -0.5..1.5f64, 1 => any::<f64>()],
        speeds in proptest::collection::vec(prop_oneof![8 => -0.5..0.5f64, 1 => any::<f64>()], 7),
    ) {
        let mut rig = Follower::new(load(name));
        let nothing = rig.nothing(mode);
        rig.tick(&nothing);
        rig.arm.joint_velocities = JointVector::from_slice(&speeds[..rig.joints()]);
        let wished = JointCommand::of(mode, JointVector::from_slice(&numbers), gripper);
        let fine = finite::command_is_finite(&wished, rig.joints()) && rig.arm.joint_velocities.is_finite();
        let verdict = rig.tick(&wished);
        prop_assert!(finite::command_is_finite(&verdict.sent, rig.joints()));
        if !fine {
            prop_assert_eq!(verdict.filtered, Filtered::Stopped(LimitReason::NotFinite));
        }
    }
}
