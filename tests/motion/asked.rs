//! Tool poses, joint positions and joint velocities from a policy, behind the safety filter of an ideal arm.

use std::path::Path;
use std::time::Duration;

use nalgebra::{Quaternion, UnitQuaternion, Vector3};
use visuomotor::action::{Action, ActionBounds, AskedTorques, ControlMode, JointCommand, Motion};
use visuomotor::config::{ControlLaw, ControlSetting, GripperPolicy, Robot};
use visuomotor::control::{Accepted, Controller};
use visuomotor::episode::Filtered;
use visuomotor::geometry::{Pose, pose_from_bridge};
use visuomotor::kinematics::{Chain, InverseSettings, pose_error};
use visuomotor::observation::{JointVector, Proprioception};
use visuomotor::safety::SafetyFilter;
use visuomotor::time::Timestamp;

const POLICY_PERIOD: Duration = Duration::from_millis(200);
const TICK: Duration = Duration::from_millis(20);

/// An arm that executes commands at once, over the middle of the counter.
struct Rig {
    robot: Robot,
    chain: Chain,
    controller: Controller,
    filter: SafetyFilter,
    arm: Proprioception,
    now: Timestamp,
    last: JointCommand,
    /// Largest change of a command in one tick, in shares of the allowed change.
    steepest: f64,
}

impl Rig {
    fn new(law: ControlLaw) -> Self {
        let robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").unwrap();
        let chain = Chain::from_robot(&robot).unwrap();
        let down = pose_from_bridge([0.28, 0.0, 0.15, 0.0, 0.0, 0.0]);
        let joint_positions = chain.inverse(chain.home(), &down, &InverseSettings::reach()).unwrap();
        let still = JointVector::zeros(6);
        let arm = Proprioception {
            joint_positions,
            joint_velocities: still,
            joint_efforts: still,
            finger_position: 0.02,
            gripper: 0.4,
            measured_at: Timestamp::ZERO,
        };
        let setting = ControlSetting { law, ..ControlSetting::default() };
        let bounds = ActionBounds::BRIDGE;
        let mut controller = Controller::new(&robot, chain.clone(), bounds, GripperPolicy::Direct, POLICY_PERIOD)
            .with_law(&robot, &setting)
            .unwrap();
        let mut filter = SafetyFilter::new(&robot, chain.clone());
        controller.seed(Timestamp::ZERO, &arm);
        filter.seed(Timestamp::ZERO, &arm);
        let first = if law.mode() == ControlMode::Position { joint_positions } else { still };
        let last = JointCommand::of(law.mode(), first, 0.4);
        Self { robot, chain, controller, filter, arm, now: Timestamp::ZERO, last, steepest: 0.0 }
    }

    fn ask(&mut self, motion: Motion) -> Accepted {
        self.controller.accept_motion(self.now, &motion, 1.0, &self.arm)
    }

    /// Requests the same with each decision.
    fn go(&mut self, motion: Motion, decisions: usize) {
        for _ in 0..decisions {
            assert_eq!(self.ask(motion), Accepted::Taken, "{motion:?}");
            self.run(10);
        }
    }

    fn run(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.now = self.now + TICK;
            self.arm.measured_at = self.now;
            let wished = self.controller.command(self.now, &self.arm);
            let verdict = self.filter.filter(self.now, &wished, &self.arm, Some(Duration::ZERO));
            assert!(!matches!(verdict.filtered, Filtered::Stopped(_)), "{verdict:?}");
            let (sent, limits) = (verdict.sent.joints(), &self.robot.limits);
            let rates = match verdict.sent.mode() {
                ControlMode::Position => &limits.joint_velocity,
                _ => &limits.joint_acceleration,
            };
            let most = JointVector::from_slice(rates) * TICK.as_secs_f64();
            let share = (sent - self.last.joints()).zip_map(most, |change, most| change / most);
            self.steepest = self.steepest.max(share.max_abs());
            self.last = verdict.sent;
            match verdict.sent.mode() {
                ControlMode::Position => self.arm.joint_positions = sent,
                _ => {
                    self.arm.joint_positions += sent * TICK.as_secs_f64();
                    self.arm.joint_velocities = sent;
                }
            }
        }
        assert!(self.steepest <= 1.0 + 1e-6, "{} of the allowed change in a tick", self.steepest);
    }

    fn tool(&self) -> Pose {
        self.chain.forward(&self.arm.joint_positions)
    }
}

/// Laws that accept joint positions and poses, and how near \[rad\] they come.
const LAWS: [(ControlLaw, f64); 3] =
    [(ControlLaw::Interpolate, 1e-9), (ControlLaw::JerkLimited, 1e-6), (ControlLaw::Velocity, 1e-3)];

#[test]
fn joint_positions_are_reached_from_near_and_from_a_jump_within_each_ticks_limit() {
    for (law, near) in LAWS {
        for way in [[0.05, -0.02, 0.03, 0.1, 0.02, -0.1], [-0.7, -0.05, 0.05, 0.2, -0.2, 1.5]] {
            let mut rig = Rig::new(law);
            let goal = rig.arm.joint_positions + JointVector::from_slice(&way);
            rig.go(Motion::JointPositions(goal), 25);
            let off = (rig.arm.joint_positions - goal).max_abs();
            assert!(off < near, "{law:?}: {off} rad from {way:?}");
            // The next action starts there.
            let (place, target) = (rig.tool(), rig.controller.target());
            assert!((place.translation.vector - target.translation.vector).norm() < 2e-3, "{law:?}");
        }
    }
}

#[test]
fn joint_positions_take_a_policy_period_or_what_the_speed_limit_needs() {
    let mut rig = Rig::new(ControlLaw::Interpolate);
    let start = rig.arm.joint_positions;
    let limit = rig.robot.limits.joint_velocity[0];
    for (way, ticks) in [(0.1 * limit, 10), (0.5 * limit, 25)] {
        let mut goal = start;
        goal[0] += way;
        assert_eq!(rig.ask(Motion::JointPositions(goal)), Accepted::Taken);
        rig.run(ticks - 1);
        assert!(!rig.controller.arrived(rig.now) && (rig.arm.joint_positions - goal).max_abs() > 1e-3);
        rig.run(1);
        assert!((rig.arm.joint_positions - goal).max_abs() < 1e-9, "{way} rad take more than {ticks} ticks");
        assert_eq!(rig.ask(Motion::JointPositions(start)), Accepted::Taken);
        rig.run(50);
    }
}

#[test]
fn joint_positions_beyond_the_range_end_inside_it() {
    let mut rig = Rig::new(ControlLaw::JerkLimited);
    let mut goal = rig.arm.joint_positions;
    goal[5] = 40.0;
    rig.go(Motion::JointPositions(goal), 30);
    let end = rig.chain.usable_limits()[5].upper;
    assert!((rig.arm.joint_positions[5] - end).abs() < 1e-5, "{} rad, the end is {end}", rig.arm.joint_positions[5]);
}

#[test]
fn a_pose_of_the_tool_is_reached_and_not_one_beside_it() {
    for (law, _) in LAWS {
        let mut rig = Rig::new(law);
        // The target is elsewhere than the arm: the pose is in the base frame, so it does not matter.
        rig.controller.accept(rig.now, &Action::from_array([0.02, 0.02, 0.0, 0.0, 0.0, 0.1, 1.0]), &rig.arm);
        rig.run(3);
        let goal = pose_from_bridge([0.26, -0.09, 0.2, 0.0, 0.1, 0.6]);
        // Farther than one decision may move: 0.05 m and 0.25 rad.
        assert_eq!(rig.ask(Motion::ToolPose(goal)), Accepted::Taken);
        let (way, turn) = pose_error(&rig.controller.target(), &goal);
        assert!(way.norm() > 0.03 && turn.norm() > 0.2, "{way:?} {turn:?}");
        rig.go(Motion::ToolPose(goal), 20);
        assert_eq!(rig.controller.target().translation, goal.translation);
        let (way, turn) = pose_error(&rig.tool(), &goal);
        assert!(way.norm() < 1e-3 && turn.norm() < 5e-3, "{law:?}: {} m, {} rad", way.norm(), turn.norm());
    }
}

#[test]
fn joint_velocities_are_kept_and_slowed_alike_and_what_follows_starts_where_the_arm_is() {
    let mut rig = Rig::new(ControlLaw::Velocity);
    let mut asked = JointVector::zeros(6);
    (asked[0], asked[5]) = (0.3, -0.2);
    assert_eq!(rig.ask(Motion::JointVelocities(asked)), Accepted::Taken);
    let before = rig.arm.joint_positions;
    rig.run(100);
    assert!((rig.last.joints() - asked).max_abs() < 1e-6, "{:?}", rig.last);
    let gone = rig.arm.joint_positions - before;
    assert!((gone[0] - 0.6).abs() < 0.06 && (gone[5] + 0.4).abs() < 0.04, "{gone:?}");
    // Ten times the arm's limit: the direction stays.
    let limit = rig.robot.limits.joint_velocity[5];
    (asked[0], asked[5]) = (-limit, -10.0 * limit);
    assert_eq!(rig.ask(Motion::JointVelocities(asked)), Accepted::Taken);
    rig.run(15);
    let sent = rig.last.joints();
    assert!(sent[5] < -0.2 * limit && sent[5] >= -limit - 1e-9, "{sent:?}");
    assert!((sent[0] - 0.1 * sent[5]).abs() < 1e-6, "{sent:?}");
    rig.go(Motion::JointVelocities(JointVector::zeros(6)), 5);
    assert!(rig.last.joints().max_abs() < 1e-6);
    // The operator takes over with pose changes.
    let place = rig.tool();
    let up = Action::from_array([0.0, 0.0, 0.02, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(rig.controller.accept(rig.now, &up, &rig.arm), Accepted::Taken);
    let way = rig.controller.target().translation.vector - place.translation.vector;
    assert!((way - Vector3::new(0.0, 0.0, 0.02)).norm() < 1e-9, "{way:?}");
    rig.run(100);
    let off = rig.tool().translation.vector - rig.controller.target().translation.vector;
    assert!(off.norm() < 2e-3, "{} m", off.norm());
}

#[test]
fn each_law_refuses_what_it_does_not_take() {
    for law in [
        ControlLaw::Interpolate,
        ControlLaw::JerkLimited,
        ControlLaw::Velocity,
        ControlLaw::Torque,
        ControlLaw::JointImpedance,
        ControlLaw::CartesianImpedance,
    ] {
        let mut rig = Rig::new(law);
        let (pose, joints) = (rig.tool(), rig.arm.joint_positions);
        let still = JointVector::zeros(6);
        for motion in [
            Motion::ToolPose(pose),
            Motion::JointPositions(joints),
            Motion::JointVelocities(still),
            AskedTorques::plain(still).into(),
        ] {
            let expected = if law.takes(motion.kind()) { Accepted::Taken } else { Accepted::WrongAction };
            assert_eq!(rig.ask(motion), expected, "{law}: {motion:?}");
        }
    }
}

#[test]
fn nan_and_another_number_of_joints_change_nothing() {
    let mut rig = Rig::new(ControlLaw::Velocity);
    let mut torn = rig.tool();
    torn.translation.vector[1] = f64::NAN;
    let turned = Quaternion::new(f64::NAN, 0.0, 0.0, 0.0);
    let turned = Pose::from_parts(rig.tool().translation, UnitQuaternion::new_unchecked(turned));
    let nan = JointVector::filled(6, f64::NAN);
    let before = (rig.controller.target(), rig.controller.goal());
    for motion in [
        Motion::ToolPose(torn),
        Motion::ToolPose(turned),
        Motion::JointPositions(nan),
        Motion::JointPositions(JointVector::filled(6, f64::INFINITY)),
        Motion::JointPositions(JointVector::zeros(5)),
        Motion::JointVelocities(nan),
        Motion::JointVelocities(JointVector::zeros(7)),
    ] {
        assert_eq!(rig.ask(motion), Accepted::NotFinite, "{motion:?}");
    }
    let still = Motion::JointVelocities(JointVector::zeros(6));
    assert_eq!(rig.controller.accept_motion(rig.now, &still, f64::NAN, &rig.arm), Accepted::NotFinite);
    assert_eq!((rig.controller.target(), rig.controller.goal()), before);
    rig.run(5);
    assert!(rig.last.joints().max_abs() < 1e-9);
}
