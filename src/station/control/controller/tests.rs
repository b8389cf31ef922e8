//! Tests of the target, of `interpolate` and of the other laws' entry points.

use std::path::Path;

use super::*;

const PERIOD: Duration = Duration::from_millis(200);

fn robot() -> Robot {
    Robot::load(Path::new(crate::CHECKOUT), "widowx").unwrap()
}

fn measured(joints: &[f64]) -> Proprioception {
    let joint_positions = JointVector::from_slice(joints);
    let still = JointVector::zeros(joints.len());
    Proprioception {
        joint_positions,
        joint_velocities: still,
        joint_efforts: still,
        finger_position: 0.02,
        gripper: 0.4,
        measured_at: Timestamp::ZERO,
    }
}

fn controller(gripper: GripperPolicy) -> Controller {
    let robot = robot();
    let chain = Chain::from_robot(&robot).unwrap();
    Controller::new(&robot, chain, ActionBounds::BRIDGE, gripper, PERIOD)
}

/// A controller over the middle of the counter, gripper down, with the measurement it was seeded from.
fn seeded() -> (Controller, Proprioception) {
    let mut controller = controller(GripperPolicy::Direct);
    let down = visuomotor_core::geometry::pose_from_bridge([0.28, 0.0, 0.15, 0.0, 0.0, 0.0]);
    let chain = &controller.chain;
    let joints = chain.inverse(chain.home(), &down, &InverseSettings::reach()).unwrap();
    let measured = measured(&joints);
    controller.seed(Timestamp::ZERO, &measured);
    (controller, measured)
}

fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_nanos(milliseconds * 1_000_000)
}

fn action(values: [f64; 7]) -> Action {
    Action::from_array(values)
}

#[test]
fn the_target_turns_about_the_measured_tool_like_the_reference() {
    let robot = robot();
    let home = measured(&robot.identity.home);
    let mut controller = controller(GripperPolicy::Direct);
    controller.workspace_low = [-1.0; 3];
    controller.workspace_high = [1.0; 3];
    controller.inverse = InverseSettings::reach();
    controller.seed(Timestamp::ZERO, &home);
    // The measured position differs from the target: the rotation axes pass through it.
    let elsewhere = measured(&robot.fk_test[3].q);
    let asked = action([0.04, -0.02, 0.03, 0.1, -0.2, 0.15, 1.0]);
    assert_eq!(controller.accept(Timestamp::ZERO, &asked, &elsewhere), Accepted::Taken);
    // R (t - p) + p + d and R R_t with R = Rz Ry Rx, computed by a separate script from the vectors of robot.toml.
    let position = [0.199548520, -0.050939296, 0.234150507];
    let rotation = [
        [0.308922348, -0.180458307, 0.933810358],
        [0.109806287, 0.982036198, 0.153451900],
        [-0.944727244, 0.055133526, 0.323188384],
    ];
    let target = controller.target();
    let matrix = target.rotation.to_rotation_matrix();
    for row in 0..3 {
        assert!((target.translation.vector[row] - position[row]).abs() < 1e-8, "{}", target.translation);
        for column in 0..3 {
            assert!((matrix[(row, column)] - rotation[row][column]).abs() < 1e-8, "{matrix}");
        }
    }
}

#[test]
fn a_yaw_about_the_tool_keeps_its_position() {
    let (mut controller, measured) = seeded();
    let before = controller.target();
    controller.accept(at(0), &action([0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 1.0]), &measured);
    let after = controller.target();
    assert!((after.translation.vector - before.translation.vector).norm() < 2e-4);
    // By hand: the tool's x axis points down and stays; its y axis turns by 0.2 rad in the base's x-y plane.
    let y = after.rotation * Vector3::y();
    assert!((y - Vector3::new(-(0.2f64.sin()), 0.2f64.cos(), 0.0)).norm() < 2e-3, "{y}");
}

#[test]
fn deltas_add_up_on_the_target_and_not_on_the_measured_pose() {
    let (mut controller, measured) = seeded();
    let before = controller.target().translation.vector;
    for step in 0..3 {
        assert_eq!(
            controller.accept(at(200 * step), &action([0.0, 0.02, 0.0, 0.0, 0.0, 0.0, 1.0]), &measured),
            Accepted::Taken
        );
    }
    let moved = controller.target().translation.vector - before;
    assert!((moved - Vector3::new(0.0, 0.06, 0.0)).norm() < 1e-12, "{moved}");
    // And the final joint command leads there.
    let reached = controller.command(at(10_000), &measured).joints();
    let end = controller.chain.forward(&reached);
    assert!((end.translation.vector - controller.target().translation.vector).norm() < 1e-4);
}

#[test]
fn the_command_is_the_measurement_until_the_first_action() {
    let (mut controller, measured) = seeded();
    for time in [0, 20, 5000] {
        let command = controller.command(at(time), &measured);
        assert_eq!(command.joints(), measured.joint_positions);
        assert_eq!(command.gripper(), measured.gripper);
    }
}

#[test]
fn the_command_moves_evenly_holds_at_the_end_and_never_jumps() {
    let (mut controller, measured) = seeded();
    let forward = action([0.03, 0.0, 0.02, 0.0, 0.0, 0.0, 1.0]);
    controller.accept(at(0), &forward, &measured);
    let (start, middle, end) = (
        controller.command(at(0), &measured),
        controller.command(at(100), &measured),
        controller.command(at(200), &measured),
    );
    assert_eq!(start.joints(), measured.joint_positions);
    assert_ne!(end, start);
    for i in 0..6 {
        let half = 0.5 * (start.joints()[i] + end.joints()[i]);
        assert!((middle.joints()[i] - half).abs() < 1e-12);
    }
    assert!(!controller.arrived(at(199)) && controller.arrived(at(200)));
    assert_eq!(controller.command(at(900), &measured), end);
    // An action in mid-segment continues from there.
    let mut early = controller.clone();
    early.accept(at(100), &forward, &measured);
    assert_eq!(early.command(at(100), &measured).joints(), middle.joints());
}

#[test]
fn actions_beyond_the_bounds_are_clipped() {
    let (mut controller, measured) = seeded();
    let before = controller.target().translation.vector;
    controller.accept(at(0), &action([0.0, 7.0, 0.0, 0.0, 0.0, 0.0, 9.0]), &measured);
    let moved = controller.target().translation.vector - before;
    assert!((moved.y - 0.05).abs() < 1e-12);
    assert_eq!(controller.command(at(0), &measured).gripper(), 1.0);
}

#[test]
fn the_target_stays_in_the_workspace() {
    let (mut controller, measured) = seeded();
    for step in 0..10 {
        controller.accept(at(200 * step), &action([0.0, 0.0, -0.05, 0.0, 0.0, 0.0, 1.0]), &measured);
    }
    assert_eq!(controller.target().translation.vector.z, robot().limits.workspace_low[2]);
}

#[test]
fn a_target_out_of_reach_is_not_kept() {
    let (mut controller, measured) = seeded();
    let turn = action([0.0, 0.0, 0.0, 0.25, 0.0, 0.0, 0.3]);
    let mut refused = 0;
    for step in 0..40 {
        let (target, end) = (controller.target(), controller.command(at(100_000), &measured));
        if controller.accept(at(200 * step), &turn, &measured) == Accepted::NoSolution {
            refused += 1;
            assert_eq!(controller.target(), target);
            assert_eq!(controller.command(at(100_000), &measured), end);
        }
    }
    assert!(refused > 5, "{refused}");
    assert_eq!(controller.command(at(100_000), &measured).gripper(), 0.3);
    // No wind-up: the first action back takes effect at once.
    let back = action([0.0, 0.0, 0.0, -0.25, 0.0, 0.0, 0.3]);
    assert_eq!(controller.accept(at(9000), &back, &measured), Accepted::Taken);
}

#[test]
fn a_number_that_is_not_finite_changes_nothing() {
    let (mut controller, measured) = seeded();
    let (target, command) = (controller.target(), controller.command(at(500), &measured));
    for field in 0..7 {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut values = [0.01; 7];
            values[field] = bad;
            assert_eq!(controller.accept(at(0), &action(values), &measured), Accepted::NotFinite);
        }
    }
    for joint in 0..6 {
        let mut broken = measured;
        broken.joint_positions[joint] = f64::NAN;
        assert_eq!(controller.accept(at(0), &Action::stay(0.0), &broken), Accepted::NotFinite);
    }
    assert_eq!((controller.target(), controller.command(at(500), &measured)), (target, command));
}

#[test]
fn without_a_seed_the_command_is_nan() {
    let mut controller = controller(GripperPolicy::Direct);
    let home = measured(&robot().identity.home);
    assert!(!controller.command(at(0), &home).joints().is_finite());
    assert_eq!(controller.accept(at(0), &Action::stay(1.0), &home), Accepted::NotFinite);
    let rest = home.joint_positions;
    assert_eq!(controller.move_to(at(0), &rest, PERIOD, 1.0), Accepted::NotFinite);
}

#[test]
fn move_to_goes_from_rest_to_rest_and_moves_the_target_along() {
    let (mut controller, measured) = seeded();
    let home = JointVector::from_slice(&robot().identity.home);
    assert_eq!(controller.move_to(at(0), &home, Duration::from_secs(2), 1.0), Accepted::Taken);
    assert_eq!(controller.command(at(0), &measured).joints(), measured.joint_positions);
    let early = controller.command(at(20), &measured).joints();
    let largest = (0..6).map(|i| (early[i] - measured.joint_positions[i]).abs()).fold(0.0, f64::max);
    assert!(largest < 1e-4, "{largest}");
    assert_eq!(controller.command(at(2000), &measured), JointCommand::position(home, 1.0));
    assert_eq!(controller.target(), controller.chain.forward(&home));
    let mut bad = home;
    bad[0] = f64::NAN;
    assert_eq!(controller.move_to(at(2000), &bad, PERIOD, 1.0), Accepted::NotFinite);
}

#[test]
fn resuming_keeps_the_grip_and_seeding_forgets_it() {
    let policy = GripperPolicy::RateLimit { closing: 0.3, opening: 1.0 };
    let mut controller = controller(policy);
    let home = measured(&robot().identity.home);
    controller.seed(at(0), &home);
    for step in 0..7 {
        controller.accept(at(200 * step), &Action::stay(0.0), &home);
    }
    controller.resume(at(2000), &home);
    assert_eq!(controller.command(at(2000), &home).gripper(), 0.0);
    controller.seed(at(3000), &home);
    assert_eq!(controller.command(at(3000), &home).gripper(), home.gripper);
    controller.accept(at(3000), &Action::stay(0.0), &home);
    assert_eq!(controller.command(at(3000), &home).gripper(), 0.85);
}

#[test]
fn torques_belong_to_the_torque_law_and_pose_changes_to_every_other() {
    let (mut plain, measured) = seeded();
    let torques = JointVector::from_slice(&[0.1; 6]);
    assert_eq!(plain.accept_torques(&torques, 1.0), Accepted::WrongAction);
    let setting = ControlSetting { law: ControlLaw::Torque, ..ControlSetting::default() };
    let mut controller = plain.with_law(&robot(), &setting).unwrap();
    assert_eq!(controller.accept_torques(&torques, f64::NAN), Accepted::NotFinite);
    controller.seed(at(0), &measured);
    assert_eq!(controller.accept(at(0), &Action::stay(1.0), &measured), Accepted::WrongAction);
    for bad in [JointVector::from_slice(&[f64::NAN; 6]), JointVector::zeros(5)] {
        assert_eq!(controller.accept_torques(&bad, 1.0), Accepted::NotFinite);
    }
    assert_eq!(controller.accept_torques(&torques, 0.25), Accepted::Taken);
    // Nothing on the first tick, all of it once the rate limit (100 and 50 Nm/s) allows.
    assert_eq!(controller.command(at(0), &measured), JointCommand::torque(JointVector::zeros(6), 0.25));
    assert_eq!(controller.command(at(20), &measured), JointCommand::torque(torques, 0.25));
}

#[test]
fn every_law_first_holds_the_arm_and_refuses_nan() {
    for law in [
        ControlLaw::JerkLimited,
        ControlLaw::Velocity,
        ControlLaw::Torque,
        ControlLaw::JointImpedance,
        ControlLaw::CartesianImpedance,
    ] {
        let (plain, measured) = seeded();
        let setting = ControlSetting { law, ..ControlSetting::default() };
        let mut fresh = controller(GripperPolicy::Direct).with_law(&robot(), &setting).unwrap();
        assert!(!fresh.command(at(0), &measured).joints().is_finite(), "{law:?} moves an arm without a measurement");
        let mut controller = plain.with_law(&robot(), &setting).unwrap();
        controller.seed(at(0), &measured);
        for time in [0, 20, 5000] {
            let command = controller.command(at(time), &measured);
            assert_eq!(command.mode(), law.mode());
            let expected = match law {
                ControlLaw::JerkLimited => measured.joint_positions,
                _ => JointVector::zeros(6),
            };
            assert_eq!((command.joints(), command.gripper()), (expected, measured.gripper), "{law:?}");
        }
        let mut broken = measured;
        broken.joint_positions[1] = f64::NAN;
        assert!(!controller.command(at(5020), &broken).joints().is_finite(), "{law:?}");
    }
}

#[test]
fn springs_for_another_number_of_joints_are_refused_by_name() {
    let setting =
        ControlSetting { law: ControlLaw::JointImpedance, damping: Some(vec![1.0; 7]), ..ControlSetting::default() };
    let error = controller(GripperPolicy::Direct).with_law(&robot(), &setting).unwrap_err().to_string();
    assert!(error.contains("control.damping has 7 values and widowx has 6 joints"), "{error}");
}
