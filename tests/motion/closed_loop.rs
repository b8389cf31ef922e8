//! Actions in, commands out, through control and safety, with an arm that follows late.

use std::path::Path;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use visuomotor::action::{Action, ActionBounds, JointCommand};
use visuomotor::config::{GripperPolicy, Robot};
use visuomotor::control::{Accepted, Controller};
use visuomotor::episode::{Filtered, LimitReason};
use visuomotor::geometry::pose_from_bridge;
use visuomotor::kinematics::{Chain, InverseSettings};
use visuomotor::observation::{JointVector, Proprioception};
use visuomotor::safety::SafetyFilter;
use visuomotor::time::Timestamp;

const TICK: Duration = Duration::from_millis(20);
const TICKS_PER_STEP: u32 = 10;

/// Control, safety and an arm that covers a fifth of the remaining way each tick.
struct Rig {
    robot: Robot,
    chain: Chain,
    controller: Controller,
    filter: SafetyFilter,
    arm: Proprioception,
    now: Timestamp,
}

impl Rig {
    fn new() -> Self {
        let robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").unwrap();
        let chain = Chain::from_robot(&robot).unwrap();
        let arm = Proprioception {
            joint_positions: *chain.home(),
            joint_velocities: JointVector::zeros(6),
            joint_efforts: JointVector::zeros(6),
            finger_position: 0.035,
            gripper: 1.0,
            measured_at: Timestamp::ZERO,
        };
        let policy = GripperPolicy::RateLimit { closing: 0.3, opening: 1.0 };
        let period = TICK * TICKS_PER_STEP;
        let mut controller = Controller::new(&robot, chain.clone(), ActionBounds::BRIDGE, policy, period);
        let mut filter = SafetyFilter::new(&robot, chain.clone());
        controller.seed(Timestamp::ZERO, &arm);
        filter.seed(Timestamp::ZERO, &arm);
        Self { robot, chain, controller, filter, arm, now: Timestamp::ZERO }
    }

    fn tick(&mut self) -> (JointCommand, Filtered) {
        self.now = self.now + TICK;
        let wished = self.controller.command(self.now, &self.arm);
        let verdict = self.filter.filter(self.now, &wished, &self.arm, Some(Duration::ZERO));
        for (at, to) in self.arm.joint_positions.iter_mut().zip(verdict.sent.joints().iter()) {
            *at += 0.2 * (to - *at);
        }
        self.arm.gripper += 0.2 * (verdict.sent.gripper() - self.arm.gripper);
        self.arm.measured_at = self.now;
        (verdict.sent, verdict.filtered)
    }

    fn tool(&self) -> [f64; 3] {
        self.chain.forward(&self.arm.joint_positions).translation.vector.into()
    }

    /// Moves to a place over the counter, gripper down.
    fn go_to(&mut self, x: f64, y: f64, z: f64) {
        let pose = pose_from_bridge([x, y, z, 0.0, 0.0, 0.0]);
        let joints = self.chain.inverse(self.chain.home(), &pose, &InverseSettings::reach()).unwrap();
        let accepted = self.controller.move_to(self.now, &joints, Duration::from_secs(3), 1.0);
        assert_eq!(accepted, Accepted::Taken);
        for _ in 0..200 {
            self.tick();
        }
        let tool = self.tool();
        assert!((tool[0] - x).abs() + (tool[1] - y).abs() + (tool[2] - z).abs() < 1e-3, "{tool:?}");
    }
}

#[test]
fn actions_carry_the_tool_down_to_the_floor_of_the_box_and_not_through() {
    let mut rig = Rig::new();
    rig.go_to(0.28, 0.05, 0.15);
    let down = Action { translation: [0.0, 0.0, -0.02], rotation: [0.0; 3], gripper: 1.0 };
    for _ in 0..20 {
        assert_eq!(rig.controller.accept(rig.now, &down, &rig.arm), Accepted::Taken);
        for _ in 0..TICKS_PER_STEP {
            assert!(!matches!(rig.tick().1, Filtered::Stopped(_)));
        }
    }
    let tool = rig.tool();
    assert!((tool[2] - rig.robot.limits.workspace_low[2]).abs() < 1e-3, "{tool:?}");
    assert!((tool[0] - 0.28).abs() < 2e-3 && (tool[1] - 0.05).abs() < 2e-3, "{tool:?}");
}

#[test]
fn random_actions_of_the_size_of_bridge_data_are_nearly_always_carried_out() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let (mut taken, mut asked, mut limited, mut blocked, mut ticks) = (0, 0, 0, 0, 0);
    for _ in 0..20 {
        let mut rig = Rig::new();
        rig.go_to(0.28, 0.0, 0.15);
        for _ in 0..100 {
            // Two standard deviations of Bridge's actions, evenly spread: 2 cm and 0.05, 0.05, 0.15 rad.
            let mut within = |size: f64| rng.random_range(-size..size);
            let action = Action {
                translation: [within(0.02), within(0.02), within(0.02)],
                rotation: [within(0.05), within(0.05), within(0.15)],
                gripper: within(0.5) + 0.5,
            };
            asked += 1;
            taken += u32::from(rig.controller.accept(rig.now, &action, &rig.arm) == Accepted::Taken);
            for _ in 0..TICKS_PER_STEP {
                let (sent, filtered) = rig.tick();
                assert!(sent.joints().is_finite());
                ticks += 1;
                limited += u32::from(matches!(filtered, Filtered::Limited(LimitReason::JointVelocity)));
                blocked += u32::from(matches!(filtered, Filtered::Limited(LimitReason::Workspace)));
            }
        }
    }
    println!("taken {taken} of {asked} actions; of {ticks} ticks {limited} limited in speed, {blocked} at the box");
    assert!(f64::from(taken) >= 0.98 * f64::from(asked), "{taken} of {asked}");
}

#[test]
fn random_actions_as_large_as_the_bounds_never_break_a_limit() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for _ in 0..20 {
        let mut rig = Rig::new();
        let mut last = rig.arm.joint_positions;
        for _ in 0..50 {
            let action = Action::from_array(std::array::from_fn(|_| rng.random_range(-1.0..1.0)));
            rig.controller.accept(rig.now, &action, &rig.arm);
            for _ in 0..TICKS_PER_STEP {
                let (sent, _) = rig.tick();
                for i in 0..6 {
                    let moved = (sent.joints()[i] - last[i]).abs();
                    assert!(moved <= rig.robot.limits.joint_velocity[i] * TICK.as_secs_f64() + 1e-9);
                    assert!(rig.chain.usable_limits()[i].contains(sent.joints()[i]));
                }
                let tool = rig.chain.forward(&sent.joints()).translation.vector;
                for axis in 0..3 {
                    assert!(tool[axis] >= rig.robot.limits.workspace_low[axis] - 0.005);
                    assert!(tool[axis] <= rig.robot.limits.workspace_high[axis] + 0.005);
                }
                last = sent.joints();
            }
        }
    }
}
