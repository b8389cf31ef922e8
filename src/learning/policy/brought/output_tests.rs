//! From rows of numbers to decisions: units, scaling, widths.

use super::*;

const RATE: f64 = 5.0;

fn output(actions: ActionKind) -> Output {
    Output { actions, units: Units::Si, chunk: 1, execute: None, blend: 0.0, scaling: OutputScaling::default() }
}

fn decide(output: &Output, approach: Approach, row: &[f64]) -> Result<Decision, ActionError> {
    output.decision(row, approach, &ActionBounds::BRIDGE, RATE)
}

fn motion(output: &Output, row: &[f64]) -> Motion {
    decide(output, Approach::X, row).unwrap().motion.unwrap()
}

#[test]
fn joints_are_taken_as_they_are_and_the_gripper_is_last() {
    let row = [0.1, -0.2, 0.3, 1.5];
    let joints = JointVector::from_slice(&row[..3]);
    for (kind, expected) in [
        (ActionKind::JointPositions, Motion::JointPositions(joints)),
        (ActionKind::JointVelocities, Motion::JointVelocities(joints)),
        (ActionKind::JointTorques, Motion::JointTorques(AskedTorques::plain(joints))),
    ] {
        let decision = decide(&output(kind), Approach::X, &row).unwrap();
        assert_eq!(decision.motion, Some(expected));
        assert_eq!(decision.action, Action::stay(1.0), "the gripper's target is at most open");
        assert_eq!(output(kind).width(3), 4);
    }
}

#[test]
fn numbers_are_scaled_back_by_mean_and_std_or_by_min_and_max() {
    let mut output = output(ActionKind::JointPositions);
    output.scaling.mean = vec![1.0, -1.0, 0.5];
    output.scaling.std = vec![0.5, 2.0, 0.25];
    assert_eq!(output.scaling.width(), Some(3));
    let decision = decide(&output, Approach::X, &[2.0, 0.5, -2.0]).unwrap();
    assert_eq!(decision.motion, Some(Motion::JointPositions(JointVector::from_slice(&[2.0, 0.0]))));
    assert_eq!(decision.action.gripper, 0.0);
    output.scaling = OutputScaling { min: vec![-2.0, 0.0, 0.0], max: vec![2.0, 1.0, 1.0], ..Default::default() };
    let decision = decide(&output, Approach::X, &[0.5, -1.0, 0.0]).unwrap();
    assert_eq!(decision.motion, Some(Motion::JointPositions(JointVector::from_slice(&[1.0, 0.0]))));
    assert_eq!(decision.action.gripper, 0.5);
    // A number that overflows when scaled is refused.
    let error = decide(&output, Approach::X, &[f64::MAX, f64::MAX, 0.0]).unwrap_err();
    assert!(matches!(error, ActionError::NotFinite(_)), "{error}");
}

#[test]
fn a_pose_is_read_in_bridges_frame_and_a_quaternion_in_the_arms_own() {
    let bridge = [0.3, 0.1, 0.2, 0.1, -0.2, 0.3];
    let row = [0.3, 0.1, 0.2, 0.1, -0.2, 0.3, 1.0];
    let mut poses = Vec::new();
    for (name, approach) in [("widowx", Approach::X), ("panda", Approach::Z)] {
        let robot = visuomotor_core::config::Robot::load(Path::new(crate::CHECKOUT), name).unwrap();
        assert_eq!(robot.identity.tool.approach, approach);
        let decision = decide(&output(ActionKind::ToolPose), approach, &row).unwrap();
        let Some(Motion::ToolPose(pose)) = decision.motion else { panic!("{decision:?}") };
        let chain = visuomotor_core::kinematics::Chain::from_robot(&robot).unwrap();
        for (found, expected) in chain.bridge_pose(&pose).iter().zip(bridge) {
            assert!((found - expected).abs() < 1e-9, "{name}: {found} is not {expected}");
        }
        poses.push(pose);
    }
    assert!(poses[0].rotation.angle_to(&poses[1].rotation) > 1.0);
    // Of any length, x first.
    let rotation = poses[0].rotation.coords * 3.0;
    let row = [0.3, 0.1, 0.2, rotation[0], rotation[1], rotation[2], rotation[3], 1.0];
    let Motion::ToolPose(pose) = motion(&output(ActionKind::ToolPoseQuaternion), &row) else { panic!() };
    assert!((pose.translation.vector - poses[0].translation.vector).norm() < 1e-12);
    assert!(pose.rotation.angle_to(&poses[0].rotation) < 1e-9);
    assert_eq!(output(ActionKind::ToolPoseQuaternion).width(6), 8);
    let none = [0.3, 0.1, 0.2, 0.0, 0.0, 0.0, 0.0, 1.0];
    let error = decide(&output(ActionKind::ToolPoseQuaternion), Approach::X, &none).unwrap_err();
    assert!(matches!(error, ActionError::NotFinite(_)), "{error}");
}

#[test]
fn a_row_of_another_width_is_refused() {
    for (kind, row) in [
        (ActionKind::PoseChange, &[0.0; 6][..]),
        (ActionKind::ToolPose, &[0.0; 8]),
        (ActionKind::ToolPoseQuaternion, &[0.0; 7]),
        (ActionKind::JointPositions, &[]),
    ] {
        let error = decide(&output(kind), Approach::X, row).unwrap_err();
        assert!(matches!(error, ActionError::Network(_)), "{kind:?}: {error}");
    }
}

#[test]
fn scalings_and_units_that_do_not_match_are_refused_by_key() {
    let pair = |first: &[f64], second: &[f64]| (first.to_vec(), second.to_vec());
    let with = |(mean, std): (Vec<f64>, Vec<f64>), (min, max): (Vec<f64>, Vec<f64>)| Output {
        scaling: OutputScaling { mean, std, min, max },
        ..output(ActionKind::JointPositions)
    };
    let none = || pair(&[], &[]);
    for (wrong, words) in [
        (with(pair(&[0.0], &[0.0]), none()), ["output.scaling", "std above 0"]),
        (with(pair(&[0.0, 1.0], &[1.0]), none()), ["output.scaling", "[2, 1, 0, 0]"]),
        (with(pair(&[], &[1.0]), none()), ["output.scaling", "one pair"]),
        (with(none(), pair(&[1.0], &[1.0])), ["output.scaling", "max above min"]),
        (with(pair(&[0.0], &[1.0]), pair(&[0.0], &[1.0])), ["output.scaling", "one pair"]),
        (with(pair(&[f64::NAN], &[1.0]), none()), ["output.scaling", "finite"]),
        (
            Output { units: Units::Normalized, ..output(ActionKind::JointPositions) },
            ["output.units", "[output.scaling]"],
        ),
        (Output { units: Units::Normalized, ..output(ActionKind::ToolPose) }, ["output.units", "poses of the tool"]),
        (Output { blend: 0.5, chunk: 2, ..output(ActionKind::ToolPose) }, ["output.blend", "0 for poses"]),
        (
            Output { actions: ActionKind::Twist, units: Units::Normalized, ..with(pair(&[0.0], &[1.0]), none()) },
            ["output.scaling", "normalized"],
        ),
    ] {
        let message = wrong.check_alone(Path::new("policy.toml")).unwrap_err().to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{words:?}: {message}");
    }
    let good = with(none(), pair(&[0.0, -1.0], &[1.0, 1.0]));
    good.check_alone(Path::new("policy.toml")).unwrap();
    let text = toml::to_string(&good).unwrap();
    assert!(text.contains("[scaling]") && text.contains("joint_positions"), "{text}");
    assert_eq!(toml::from_str::<Output>(&text).unwrap(), good);
}
