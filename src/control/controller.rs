//! The target pose and the way to it.
//!
//! One file because target, segment and gripper move together; half of it is its tests.

use std::time::Duration;

use nalgebra::Vector3;

use super::gripper::GripperFilter;
use super::segment::{Pace, Segment};
use crate::action::{Action, ActionBounds, JointCommand};
use crate::config::{GripperPolicy, Robot};
use crate::geometry::{Pose, rotation_from_euler};
use crate::kinematics::{Chain, InverseSettings};
use crate::observation::{JointVector, Proprioception};
use crate::time::Timestamp;

/// What became of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The target moved and a new segment leads to it.
    Taken,
    /// The arm cannot reach the new target: target and segment stay as they were; the gripper follows the action.
    NoSolution,
    /// A number of the action or of the measured joints is not finite, or the number of joints is wrong: nothing changed.
    NotFinite,
}

/// Turns actions into joint commands.
///
/// Until [`Controller::seed`] was called with a finite measurement, commands are NaN, which the safety filter stops.
#[derive(Clone, Debug)]
pub struct Controller {
    chain: Chain,
    bounds: ActionBounds,
    workspace_low: [f64; 3],
    workspace_high: [f64; 3],
    policy_period: Duration,
    inverse: InverseSettings,
    target: Pose,
    segment: Segment,
    gripper: GripperFilter,
    gripper_target: f64,
}

impl Controller {
    /// A controller for this arm; actions are clipped to `bounds` and carried out over `policy_period`.
    pub fn new(
        robot: &Robot,
        chain: Chain,
        bounds: ActionBounds,
        gripper: GripperPolicy,
        policy_period: Duration,
    ) -> Self {
        let mut nowhere = JointVector::zeros(chain.joints());
        nowhere.fill(f64::NAN);
        Self {
            target: chain.forward(&nowhere),
            chain,
            bounds,
            workspace_low: robot.limits.workspace_low,
            workspace_high: robot.limits.workspace_high,
            policy_period,
            inverse: InverseSettings::tracking(),
            segment: Segment::hold(nowhere, Timestamp::ZERO),
            gripper: GripperFilter::new(gripper),
            gripper_target: 1.0,
        }
    }

    /// Starts afresh from what is measured: target = measured pose, command = measured positions and gripper until an
    /// action comes. The gripper policy starts over from open.
    pub fn seed(&mut self, now: Timestamp, measured: &Proprioception) {
        self.gripper.restart(1.0);
        self.gripper_target = measured.gripper.clamp(0.0, 1.0);
        self.resume(now, measured);
    }

    /// After a stop or a reconnect within an episode: as [`Controller::seed`], but the gripper keeps its target and its
    /// policy's state, so that a held object is not let go.
    pub fn resume(&mut self, now: Timestamp, measured: &Proprioception) {
        self.target = self.chain.forward(&measured.joint_positions);
        self.segment = Segment::hold(measured.joint_positions, now);
    }

    /// Takes an action: moves the target and starts a segment from the present command to it.
    ///
    /// The action is clipped to the bounds and means `target = D * target`, `D` turning by `Rz Ry Rx` of the action's
    /// angles about the measured tool position (base axes) and then moving along the base axes. The target's position is
    /// clipped to the workspace box; its orientation is not.
    pub fn accept(&mut self, now: Timestamp, action: &Action, measured: &Proprioception) -> Accepted {
        let joints = &measured.joint_positions;
        // A target that is not finite: never seeded, or seeded from numbers that were not.
        if !action.is_finite()
            || !joints.is_finite()
            || joints.len() != self.chain.joints()
            || !self.segment.to.is_finite()
        {
            return Accepted::NotFinite;
        }
        let action = self.bounds.clip(action);
        self.gripper_target = self.gripper.decide(action.gripper);
        let pivot = self.chain.forward(joints).translation.vector;
        let target = self.inside_workspace(moved(&self.target, &action, &pivot));
        // Seeded from the joints of the present target: the commanded ones, and the nearest to the solution.
        let Ok(to) = self.chain.inverse(&self.segment.to, &target, &self.inverse) else {
            return Accepted::NoSolution;
        };
        self.target = target;
        self.start(now, to, self.policy_period, Pace::Even);
        Accepted::Taken
    }

    /// Goes to a joint vector \[rad\] in one smooth motion (minimum jerk) of this length, gripper at once: for start poses.
    ///
    /// Joints are brought inside the usable limits. Afterwards the target is the pose of those joints and the gripper
    /// policy starts over from `gripper`. Numbers that are not finite change nothing.
    pub fn move_to(&mut self, now: Timestamp, joints: &JointVector, duration: Duration, gripper: f64) -> Accepted {
        if !joints.is_finite()
            || joints.len() != self.chain.joints()
            || !gripper.is_finite()
            || !self.segment.to.is_finite()
        {
            return Accepted::NotFinite;
        }
        let mut to = *joints;
        for (joint, limit) in to.iter_mut().zip(self.chain.usable_limits()) {
            *joint = joint.clamp(limit.lower, limit.upper);
        }
        self.target = self.chain.forward(&to);
        self.start(now, to, duration, Pace::RestToRest);
        self.gripper.restart(gripper);
        self.gripper_target = gripper.clamp(0.0, 1.0);
        Accepted::Taken
    }

    /// The command at `now`: on the segment, or at its end once that is reached.
    pub fn command(&self, now: Timestamp) -> JointCommand {
        JointCommand::position(self.segment.at(now), self.gripper_target)
    }

    /// Has the command reached the end of its segment?
    pub fn arrived(&self, now: Timestamp) -> bool {
        self.segment.ended(now)
    }

    /// Pose of the tool in the base frame that the next action changes.
    pub fn target(&self) -> Pose {
        self.target
    }

    fn start(&mut self, now: Timestamp, to: JointVector, duration: Duration, pace: Pace) {
        self.segment = Segment { from: self.segment.at(now), to, starts_at: now, duration, pace };
    }

    fn inside_workspace(&self, mut pose: Pose) -> Pose {
        for axis in 0..3 {
            let (low, high) = (self.workspace_low[axis], self.workspace_high[axis]);
            let value = &mut pose.translation.vector[axis];
            // Not `max` and `min`: they would turn NaN into a place.
            if *value < low {
                *value = low;
            } else if *value > high {
                *value = high;
            }
        }
        pose
    }
}

/// `target` after `action`, turned about `pivot` \[m\], all in the base frame.
fn moved(target: &Pose, action: &Action, pivot: &Vector3<f64>) -> Pose {
    let [roll, pitch, yaw] = action.rotation;
    let turn = rotation_from_euler(roll, pitch, yaw);
    let position = turn * (target.translation.vector - pivot) + pivot + Vector3::from(action.translation);
    let mut rotation = turn * target.rotation;
    // Thousands of products would let the norm drift.
    rotation.renormalize();
    Pose::from_parts(position.into(), rotation)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const PERIOD: Duration = Duration::from_millis(200);

    fn robot() -> Robot {
        Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").unwrap()
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
        let down = crate::geometry::pose_from_bridge([0.28, 0.0, 0.15, 0.0, 0.0, 0.0]);
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
        let home = measured(&robot.robot.home);
        let mut controller = controller(GripperPolicy::Direct);
        controller.workspace_low = [-1.0; 3];
        controller.workspace_high = [1.0; 3];
        controller.inverse = InverseSettings::reach();
        controller.seed(Timestamp::ZERO, &home);
        // Measured somewhere else than the target: that is where the turn's axes pass.
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
    fn a_yaw_about_the_tool_itself_leaves_its_place() {
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
    fn deltas_add_up_on_the_target_and_not_on_what_the_arm_reached() {
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
        // And the joints commanded in the end lead there.
        let end = controller.chain.forward(&controller.command(at(10_000)).joints);
        assert!((end.translation.vector - controller.target().translation.vector).norm() < 1e-4);
    }

    #[test]
    fn the_command_is_what_was_measured_until_an_action_comes() {
        let (controller, measured) = seeded();
        for time in [0, 20, 5000] {
            let command = controller.command(at(time));
            assert_eq!(command.joints, measured.joint_positions);
            assert_eq!(command.gripper, measured.gripper);
        }
    }

    #[test]
    fn the_command_moves_evenly_holds_at_the_end_and_never_jumps() {
        let (mut controller, measured) = seeded();
        let forward = action([0.03, 0.0, 0.02, 0.0, 0.0, 0.0, 1.0]);
        controller.accept(at(0), &forward, &measured);
        let (start, middle, end) =
            (controller.command(at(0)), controller.command(at(100)), controller.command(at(200)));
        assert_eq!(start.joints, measured.joint_positions);
        assert_ne!(end, start);
        for i in 0..6 {
            let half = 0.5 * (start.joints[i] + end.joints[i]);
            assert!((middle.joints[i] - half).abs() < 1e-12);
        }
        assert!(!controller.arrived(at(199)) && controller.arrived(at(200)));
        assert_eq!(controller.command(at(900)), end);
        // An action in the middle of a segment goes on from there.
        let mut early = controller.clone();
        early.accept(at(100), &forward, &measured);
        assert_eq!(early.command(at(100)).joints, middle.joints);
    }

    #[test]
    fn what_is_asked_beyond_the_bounds_is_clipped() {
        let (mut controller, measured) = seeded();
        let before = controller.target().translation.vector;
        controller.accept(at(0), &action([0.0, 7.0, 0.0, 0.0, 0.0, 0.0, 9.0]), &measured);
        let moved = controller.target().translation.vector - before;
        assert!((moved.y - 0.05).abs() < 1e-12);
        assert_eq!(controller.command(at(0)).gripper, 1.0);
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
            let (target, end) = (controller.target(), controller.command(at(100_000)));
            if controller.accept(at(200 * step), &turn, &measured) == Accepted::NoSolution {
                refused += 1;
                assert_eq!(controller.target(), target);
                assert_eq!(controller.command(at(100_000)), end);
            }
        }
        assert!(refused > 5, "{refused}");
        assert_eq!(controller.command(at(100_000)).gripper, 0.3);
        // Nothing has wound up: the first way back works at once.
        let back = action([0.0, 0.0, 0.0, -0.25, 0.0, 0.0, 0.3]);
        assert_eq!(controller.accept(at(9000), &back, &measured), Accepted::Taken);
    }

    #[test]
    fn a_number_that_is_not_finite_changes_nothing() {
        let (mut controller, measured) = seeded();
        let (target, command) = (controller.target(), controller.command(at(500)));
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
        assert_eq!((controller.target(), controller.command(at(500))), (target, command));
    }

    #[test]
    fn without_a_seed_there_is_no_command_that_could_be_sent() {
        let mut controller = controller(GripperPolicy::Direct);
        let home = measured(&robot().robot.home);
        assert!(!controller.command(at(0)).joints.is_finite());
        assert_eq!(controller.accept(at(0), &Action::stay(1.0), &home), Accepted::NotFinite);
        let rest = home.joint_positions;
        assert_eq!(controller.move_to(at(0), &rest, PERIOD, 1.0), Accepted::NotFinite);
    }

    #[test]
    fn move_to_goes_from_rest_to_rest_and_moves_the_target_along() {
        let (mut controller, measured) = seeded();
        let home = JointVector::from_slice(&robot().robot.home);
        assert_eq!(controller.move_to(at(0), &home, Duration::from_secs(2), 1.0), Accepted::Taken);
        assert_eq!(controller.command(at(0)).joints, measured.joint_positions);
        let early = controller.command(at(20)).joints;
        let largest = (0..6).map(|i| (early[i] - measured.joint_positions[i]).abs()).fold(0.0, f64::max);
        assert!(largest < 1e-4, "{largest}");
        assert_eq!(controller.command(at(2000)), JointCommand::position(home, 1.0));
        assert_eq!(controller.target(), controller.chain.forward(&home));
        let mut bad = home;
        bad[0] = f64::NAN;
        assert_eq!(controller.move_to(at(2000), &bad, PERIOD, 1.0), Accepted::NotFinite);
    }

    #[test]
    fn resuming_keeps_the_grip_and_seeding_forgets_it() {
        let policy = GripperPolicy::RateLimit { closing: 0.3, opening: 1.0 };
        let mut controller = controller(policy);
        let home = measured(&robot().robot.home);
        controller.seed(at(0), &home);
        for step in 0..7 {
            controller.accept(at(200 * step), &Action::stay(0.0), &home);
        }
        controller.resume(at(2000), &home);
        assert_eq!(controller.command(at(2000)).gripper, 0.0);
        controller.seed(at(3000), &home);
        assert_eq!(controller.command(at(3000)).gripper, home.gripper);
        controller.accept(at(3000), &Action::stay(0.0), &home);
        assert_eq!(controller.command(at(3000)).gripper, 0.85);
    }
}
