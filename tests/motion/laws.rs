//! Every control law, through the safety filter, on an arm: to a posture, then by actions to three poses.

use std::path::Path;
use std::time::Duration;

use nalgebra::SVector;
use visuomotor::action::{Action, ActionBounds, ControlMode, JointCommand};
use visuomotor::config::{ControlLaw, ControlSetting, GripperPolicy, Robot};
use visuomotor::control::{Accepted, Controller};
use visuomotor::driver::{Drive, Plant, PointPlant};
use visuomotor::episode::Filtered;
use visuomotor::geometry::{Pose, pose_from_bridge};
use visuomotor::kinematics::{Chain, Dynamics, InverseSettings, pose_error};
use visuomotor::observation::{JointVector, MAX_JOINTS, Proprioception};
use visuomotor::safety::SafetyFilter;
use visuomotor::time::Timestamp;

const POLICY_PERIOD: Duration = Duration::from_millis(200);

/// The arm's own equation of motion with its rotors, gravity compensated and without friction.
struct RigidPlant {
    dynamics: Dynamics,
    armature: Vec<f64>,
    state: Proprioception,
    torque: JointVector,
}

impl Plant for RigidPlant {
    fn joints(&self) -> usize {
        self.dynamics.joints()
    }

    fn drive(&mut self, drive: Drive) {
        let Drive::Floating(torque) = drive else { panic!("a rigid plant accepts torques only: {drive:?}") };
        self.torque = torque;
    }

    fn drive_gripper(&mut self, fraction: f64) {
        self.state.gripper = fraction;
    }

    fn advance_to(&mut self, now: Timestamp) {
        let elapsed = now.since(self.state.measured_at).as_secs_f64();
        self.state.measured_at = now;
        let joints = self.joints();
        let (q, v) = (self.state.joint_positions, self.state.joint_velocities);
        let mut mass = self.dynamics.mass_matrix(&q);
        let coriolis = self.dynamics.coriolis(&q, &v);
        let mut push = SVector::<f64, MAX_JOINTS>::zeros();
        for joint in 0..MAX_JOINTS {
            mass[(joint, joint)] += self.armature.get(joint).copied().unwrap_or(1.0);
        }
        for joint in 0..joints {
            push[joint] = self.torque[joint] - coriolis[joint];
        }
        let acceleration = mass.cholesky().unwrap().solve(&push);
        for joint in 0..joints {
            self.state.joint_velocities[joint] += acceleration[joint] * elapsed;
            self.state.joint_positions[joint] += self.state.joint_velocities[joint] * elapsed;
        }
    }

    fn sense(&self) -> Proprioception {
        self.state
    }
}

struct Rig {
    robot: Robot,
    chain: Chain,
    controller: Controller,
    filter: SafetyFilter,
    plant: Box<dyn Plant>,
    now: Timestamp,
    period: Duration,
    limited: u32,
    last: Option<JointCommand>,
    /// Largest change of the command in one tick over what a tick may change.
    steepest: f64,
}

impl Rig {
    fn new(name: &str, law: ControlLaw, plant: impl FnOnce(&Robot, JointVector) -> Box<dyn Plant>) -> Self {
        let robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), name).unwrap();
        let chain = Chain::from_robot(&robot).unwrap();
        let setting = ControlSetting { law, ..ControlSetting::default() };
        let bounds = ActionBounds::BRIDGE;
        let controller = Controller::new(&robot, chain.clone(), bounds, GripperPolicy::Direct, POLICY_PERIOD)
            .with_law(&robot, &setting)
            .unwrap();
        let filter = SafetyFilter::new(&robot, chain.clone());
        let period = Duration::from_secs_f64(1.0 / robot.identity.control_rate_hz);
        let mut plant = plant(&robot, *chain.home());
        plant.advance_to(Timestamp::ZERO);
        let mut rig = Self {
            robot,
            chain,
            controller,
            filter,
            plant,
            now: Timestamp::ZERO,
            period,
            limited: 0,
            last: None,
            steepest: 0.0,
        };
        let sensed = rig.plant.sense();
        rig.controller.seed(rig.now, &sensed);
        rig.filter.seed(rig.now, &sensed);
        rig
    }

    fn tick(&mut self) {
        self.now = self.now + self.period;
        self.plant.advance_to(self.now);
        let sensed = self.plant.sense();
        let wished = self.controller.command(self.now, &sensed);
        let verdict = self.filter.filter(self.now, &wished, &sensed, Some(Duration::ZERO));
        assert!(!matches!(verdict.filtered, Filtered::Stopped(_)), "{:?} at {:?}", verdict, sensed);
        self.limited += u32::from(matches!(verdict.filtered, Filtered::Limited(_)));
        let sent = verdict.sent;
        if let Some(last) = self.last {
            let limits = &self.robot.limits;
            let most = match sent.mode() {
                ControlMode::Position => &limits.joint_velocity,
                ControlMode::Velocity => &limits.joint_acceleration,
                ControlMode::Torque => &limits.joint_torque_rate,
            };
            for joint in 0..sent.joints().len() {
                let change = (sent.joints()[joint] - last.joints()[joint]).abs() / self.period.as_secs_f64();
                self.steepest = self.steepest.max(change / most[joint]);
            }
        }
        self.last = Some(sent);
        self.plant.drive(match sent.mode() {
            ControlMode::Position => Drive::Position(sent.joints()),
            ControlMode::Velocity => Drive::Velocity(sent.joints()),
            ControlMode::Torque => Drive::Floating(sent.joints()),
        });
        self.plant.drive_gripper(sent.gripper());
    }

    fn run(&mut self, seconds: f64) {
        for _ in 0..(seconds / self.period.as_secs_f64()) as u32 {
            self.tick();
        }
    }

    /// Distance \[m\] and angle \[rad\] of the tool from a pose.
    fn off(&self, pose: &Pose) -> (f64, f64) {
        let here = self.chain.forward(&self.plant.sense().joint_positions);
        let (translation, rotation) = pose_error(&here, pose);
        (translation.norm(), rotation.norm())
    }

    fn move_to(&mut self, posture: &JointVector, seconds: f64, settle: f64) {
        let duration = Duration::from_secs_f64(seconds);
        assert_eq!(self.controller.move_to(self.now, posture, duration, 1.0), Accepted::Taken);
        self.run(seconds + settle);
        let sensed = self.plant.sense();
        let farthest =
            sensed.joint_positions.iter().zip(posture.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(farthest < 5e-3, "{farthest} rad from the posture: {sensed:?}");
    }

    /// Carries an action out `steps` times.
    fn act(&mut self, action: Action, steps: u32) {
        for _ in 0..steps {
            let sensed = self.plant.sense();
            assert_eq!(self.controller.accept(self.now, &action, &sensed), Accepted::Taken, "{action:?}");
            self.run(POLICY_PERIOD.as_secs_f64());
        }
    }
}

fn point(_: &Robot, joints: JointVector) -> Box<dyn Plant> {
    let mut plant = PointPlant::at(joints);
    plant.inertia = 0.1;
    Box::new(plant)
}

fn rigid(robot: &Robot, joints: JointVector) -> Box<dyn Plant> {
    let mut state = PointPlant::at(joints).sense();
    state.measured_at = Timestamp::ZERO;
    let torque = JointVector::zeros(joints.len());
    let dynamics = Dynamics::from_robot(robot).unwrap();
    Box::new(RigidPlant { dynamics, armature: robot.simulation.armature.clone(), state, torque })
}

/// A start posture over the table, tool down.
fn start(rig: &Rig) -> JointVector {
    if rig.chain.joints() == 7 {
        return *rig.chain.home();
    }
    let down = pose_from_bridge([0.28, 0.0, 0.15, 0.0, 0.0, 0.0]);
    rig.chain.inverse(rig.chain.home(), &down, &InverseSettings::reach()).unwrap()
}

/// To the start posture and then to three poses, each within `tolerance` \[m\], three times that \[rad\].
fn reaches_three_poses(rig: &mut Rig, tolerance: f64, settle: f64) {
    let posture = start(rig);
    rig.move_to(&posture, 2.0, settle);
    let legs = [
        Action { translation: [0.02, 0.03, -0.01], rotation: [0.0, 0.0, 0.1], gripper: 1.0 },
        Action { translation: [0.0, -0.04, 0.015], rotation: [0.05, 0.0, -0.1], gripper: 0.0 },
        Action { translation: [0.01, 0.01, 0.02], rotation: [-0.05, 0.05, 0.0], gripper: 1.0 },
    ];
    for (index, leg) in legs.iter().enumerate() {
        rig.act(*leg, 3);
        rig.run(settle);
        let (distance, angle) = rig.off(&rig.controller.target());
        println!("leg {index}: {:.2e} m, {:.2e} rad off; limited {} ticks", distance, angle, rig.limited);
        assert!(distance < tolerance && angle < 3.0 * tolerance, "leg {index}: {distance} m, {angle} rad");
    }
    assert!(rig.steepest <= 1.0 + 1e-6, "a command stepped by {} of the allowed change in a tick", rig.steepest);
}

#[test]
fn interpolated_positions_reach_three_poses() {
    reaches_three_poses(&mut Rig::new("widowx", ControlLaw::Interpolate, point), 1e-3, 0.5);
}

#[test]
fn jerk_limited_positions_reach_three_poses_and_no_limit_has_to_be_kept_for_them() {
    for name in ["widowx", "panda"] {
        let mut rig = Rig::new(name, ControlLaw::JerkLimited, point);
        reaches_three_poses(&mut rig, 1e-3, 0.5);
        assert_eq!(rig.limited, 0, "{name}");
    }
}

#[test]
fn velocities_reach_three_poses() {
    for name in ["widowx", "panda"] {
        reaches_three_poses(&mut Rig::new(name, ControlLaw::Velocity, point), 1e-3, 2.0);
    }
}

#[test]
fn joint_springs_reach_three_poses() {
    reaches_three_poses(&mut Rig::new("widowx", ControlLaw::JointImpedance, point), 1e-3, 3.0);
    reaches_three_poses(&mut Rig::new("panda", ControlLaw::JointImpedance, point), 1e-3, 3.0);
    reaches_three_poses(&mut Rig::new("panda", ControlLaw::JointImpedance, rigid), 1e-3, 3.0);
}

#[test]
fn a_tool_on_springs_reaches_three_poses() {
    // The WidowX's weakest joint has 0.75 Nm: springs that fit it turn 0.1 kg m2 of rotor slowly.
    reaches_three_poses(&mut Rig::new("widowx", ControlLaw::CartesianImpedance, rigid), 2e-3, 12.0);
    reaches_three_poses(&mut Rig::new("panda", ControlLaw::CartesianImpedance, rigid), 2e-3, 4.0);
}

#[test]
fn a_policy_of_torques_reaches_three_postures() {
    for name in ["widowx", "panda"] {
        let mut rig = Rig::new(name, ControlLaw::Torque, point);
        let posture = start(&rig);
        rig.move_to(&posture, 2.0, 3.0);
        // The policy: a slow spring and damper of its own, every 50 ms, for points of 0.1 kg m2.
        let step = Duration::from_millis(50);
        for leg in [0.15, -0.1, 0.05] {
            let mut goal = posture;
            goal.iter_mut().for_each(|angle| *angle += leg);
            for _ in 0..200 {
                let sensed = rig.plant.sense();
                let mut torques = JointVector::zeros(goal.len());
                for joint in 0..goal.len() {
                    torques[joint] =
                        0.4 * (goal[joint] - sensed.joint_positions[joint]) - 0.4 * sensed.joint_velocities[joint];
                }
                assert_eq!(rig.controller.accept_torques(&torques, 0.5), Accepted::Taken);
                rig.run(step.as_secs_f64());
            }
            let sensed = rig.plant.sense();
            let off = sensed.joint_positions.iter().zip(goal.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off < 1e-2, "{name}: {off} rad from the posture");
            assert!((sensed.gripper - 0.5).abs() < 1e-9);
        }
        assert!(rig.steepest <= 1.0 + 1e-6, "{}", rig.steepest);
    }
}

#[test]
fn after_a_stop_every_law_goes_on_from_where_the_arm_is() {
    for law in [
        ControlLaw::Interpolate,
        ControlLaw::JerkLimited,
        ControlLaw::Velocity,
        ControlLaw::JointImpedance,
        ControlLaw::CartesianImpedance,
    ] {
        let mut rig = Rig::new("widowx", law, point);
        let posture = start(&rig);
        rig.move_to(&posture, 2.0, 3.0);
        let action = Action { translation: [0.0, 0.03, 0.0], rotation: [0.0; 3], gripper: 1.0 };
        rig.act(action, 2);
        // The arm was held elsewhere in the meantime.
        let mut elsewhere = posture;
        elsewhere[0] -= 0.3;
        rig.plant = point(&rig.robot, elsewhere);
        rig.plant.advance_to(rig.now);
        let sensed = rig.plant.sense();
        rig.controller.resume(rig.now, &sensed);
        rig.filter.seed(rig.now, &sensed);
        rig.last = None;
        let first = rig.controller.command(rig.now, &sensed);
        match law.mode() {
            ControlMode::Position => assert_eq!(first.joints(), elsewhere),
            ControlMode::Velocity | ControlMode::Torque => assert_eq!(first.joints(), JointVector::zeros(6), "{law:?}"),
        }
        rig.run(1.0);
        let there = rig.plant.sense().joint_positions;
        let off = there.iter().zip(elsewhere.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 1e-3, "{law:?} does not stay where the arm was held");
        rig.act(action, 2);
        rig.run(12.0);
        let (distance, angle) = rig.off(&rig.controller.target());
        assert!(distance < 2e-3 && angle < 6e-3, "{law:?}: {distance} m, {angle} rad");
    }
}
