//! From a device reading to a Bridge action: a change of the tool's target pose, clipped as a policy's is.
//!
//! Deflections are velocities. A tracked hand and a leader arm give poses. For a hand, the tool's target is its pose at the time
//! the grip closed, moved as the hand has moved since (clutch). For a leader arm it is the leader's tool pose itself. An action
//! goes as far towards it as the bounds allow, so that a distant leader is approached and never jumped to.

use std::time::Duration;

use nalgebra::{UnitQuaternion, Vector3};

use super::{Motion, Reading};
use visuomotor_core::action::{Action, ActionBounds};
use visuomotor_core::config::{MotionFrame, TeleopSetting};
use visuomotor_core::geometry::{Pose, euler_from_rotation, rotation_from_euler};
use visuomotor_core::kinematics::Chain;

/// The tool may lag this far behind its target \[m\], \[rad\]; beyond, the arm is blocked or out of reach, and the target is
/// taken back to the tool, so that nothing winds up.
const LAG: (f64, f64) = (0.12, 0.6);

/// After the grip closes, actions ramp up to their full length over this time \[s\].
const RAMP: f64 = 0.6;

/// Where hand and tool target were when the grip closed.
#[derive(Clone, Copy, Debug)]
struct Grip {
    hand: Pose,
    target: Pose,
}

/// Turns readings of one episode into actions.
#[derive(Clone, Debug)]
pub struct Mapping {
    setting: TeleopSetting,
    bounds: ActionBounds,
    chain: Chain,
    /// Policy period \[s\].
    period: f64,
    target: Option<Pose>,
    grip: Option<Grip>,
    /// Decisions since the grip closed.
    held: u32,
}

impl Mapping {
    /// `chain` turns a leader's joints into a tool pose.
    pub fn new(setting: &TeleopSetting, bounds: ActionBounds, chain: Chain, policy_period: Duration) -> Self {
        let period = policy_period.as_secs_f64();
        Self { setting: setting.clone(), bounds, chain, period, target: None, grip: None, held: 0 }
    }

    /// Forgets the episode.
    pub fn reset(&mut self) {
        (self.target, self.grip, self.held) = (None, None, 0);
    }

    /// The action for this reading, `None` when the device may not be followed; `gripper` is the last gripper target.
    pub fn action(&mut self, reading: Option<&Reading>, base_from_tool: &Pose, gripper: f64) -> Action {
        let mut target = self.target.unwrap_or(*base_from_tool);
        if lags(&target, base_from_tool) {
            target = *base_from_tool;
            self.grip = None;
        }
        self.target = Some(target);
        let Some(reading) = reading else {
            (self.grip, self.held) = (None, 0);
            return Action::stay(gripper);
        };
        let ramp = (f64::from(self.held + 1) * self.period / RAMP).min(1.0);
        self.held += 1;
        let (translation, rotation) = match reading.motion {
            Motion::Deflection { along, about } => self.step(along, about, &target),
            Motion::Hand(hand) => {
                let grip = *self.grip.get_or_insert(Grip { hand, target });
                let moved = (hand.translation.vector - grip.hand.translation.vector) * self.setting.scale;
                let turned = hand.rotation * grip.hand.rotation.inverse();
                way(&target, &(grip.target.translation.vector + moved), &(turned * grip.target.rotation))
            }
            Motion::Leader(joints) => {
                let leader = self.chain.forward(&joints);
                way(&target, &leader.translation.vector, &leader.rotation)
            }
        };
        let wished = Action { translation: translation.into(), rotation: rotation.into(), gripper };
        let action = self.shorten(&wished, ramp);
        let [roll, pitch, yaw] = action.rotation;
        let translation = target.translation.vector + Vector3::from(action.translation);
        self.target =
            Some(Pose::from_parts(translation.into(), rotation_from_euler(roll, pitch, yaw) * target.rotation));
        action
    }

    /// Motion in one period for a deflection, along and about the base axes.
    fn step(&self, along: [f64; 3], about: [f64; 3], target: &Pose) -> (Vector3<f64>, Vector3<f64>) {
        let live = |values: [f64; 3]| values.map(|value| beyond(value, self.setting.deadzone));
        let (along, about) = (live(along), live(about));
        let linear = Vector3::from(self.setting.axes.map(|axis| axis.of(along)));
        let angular = Vector3::from(self.setting.turn_axes.map(|axis| axis.of(about)));
        let (linear, angular) =
            (linear * (self.setting.speed * self.period), angular * (self.setting.turn * self.period));
        match self.setting.frame {
            MotionFrame::Base => (linear, angular),
            MotionFrame::Tool => (target.rotation * linear, target.rotation * angular),
        }
    }

    /// Clips to the bounds, keeping the direction: a distant leader is approached in a straight line.
    fn shorten(&self, wished: &Action, ramp: f64) -> Action {
        let asked = wished.to_array();
        let mut share = [1.0f64; 2];
        for i in 0..6 {
            let limit = if asked[i] < 0.0 { self.bounds.low[i] } else { self.bounds.high[i] };
            if asked[i].abs() > limit.abs() {
                let part = &mut share[i / 3];
                *part = part.min(limit.abs() / asked[i].abs());
            }
        }
        let scaled = std::array::from_fn(|i| if i < 6 { asked[i] * share[i / 3] * ramp } else { asked[i] });
        self.bounds.clip(&Action::from_array(scaled))
    }
}

/// Translation and Euler angles from a target to a place.
fn way(target: &Pose, to: &Vector3<f64>, rotation: &UnitQuaternion<f64>) -> (Vector3<f64>, Vector3<f64>) {
    let turned = euler_from_rotation(&(rotation * target.rotation.inverse()));
    (to - target.translation.vector, Vector3::from(turned))
}

/// The part of a deflection beyond the dead zone, rescaled to 0..1.
fn beyond(value: f64, deadzone: f64) -> f64 {
    let value = value.clamp(-1.0, 1.0);
    let live = (value.abs() - deadzone).max(0.0) / (1.0 - deadzone);
    live.copysign(value)
}

fn lags(target: &Pose, tool: &Pose) -> bool {
    let off = (target.translation.vector - tool.translation.vector).norm();
    // Written so that NaN counts as lagging.
    !(off <= LAG.0 && target.rotation.angle_to(&tool.rotation) <= LAG.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;
    use visuomotor_core::config::{Robot, SignedAxis};
    use visuomotor_core::geometry::bridge_default_rotation;
    use visuomotor_core::observation::JointVector;
    use visuomotor_core::time::Timestamp;

    fn robot() -> Robot {
        Robot::load(Path::new(crate::CHECKOUT), "widowx").unwrap()
    }

    fn mapping(setting: &TeleopSetting) -> Mapping {
        let chain = Chain::from_robot(&robot()).unwrap();
        Mapping::new(setting, ActionBounds::BRIDGE, chain, Duration::from_millis(200))
    }

    fn reading(motion: Motion) -> Reading {
        Reading { motion, engaged: true, gripper: Some(0.5), at: Timestamp::ZERO }
    }

    fn tool() -> Pose {
        Pose::from_parts(Vector3::new(0.25, 0.0, 0.2).into(), bridge_default_rotation())
    }

    /// The tool follows at once.
    fn follow(mapping: &mut Mapping, reading: &Reading, tool: &mut Pose) -> Action {
        let action = mapping.action(Some(reading), tool, 0.5);
        let [roll, pitch, yaw] = action.rotation;
        let moved = tool.translation.vector + Vector3::from(action.translation);
        *tool = Pose::from_parts(moved.into(), rotation_from_euler(roll, pitch, yaw) * tool.rotation);
        action
    }

    #[test]
    fn a_full_deflection_is_the_set_speed_after_the_ramp_and_a_worn_stick_is_still() {
        let setting = TeleopSetting {
            axes: ["-y", "x", "z"].map(|text| SignedAxis::try_from(text.to_string()).unwrap()),
            ..Default::default()
        };
        let mut mapping = mapping(&setting);
        let mut tool = tool();
        let push = reading(Motion::Deflection { along: [0.0, 1.0, 0.05], about: [0.0, 0.0, -1.0] });
        let steps: Vec<Action> = (0..4).map(|_| follow(&mut mapping, &push, &mut tool)).collect();
        let full = steps[3];
        assert!((full.translation[0] + 0.15 * 0.2).abs() < 1e-12, "{full:?}");
        assert_eq!(full.translation[1..], [0.0, 0.0]);
        assert!((full.rotation[2] + 0.8 * 0.2).abs() < 1e-12 && full.gripper == 0.5);
        assert!(steps[0].translation[0].abs() < 0.5 * full.translation[0].abs(), "no ramp: {steps:?}");
        assert_eq!(mapping.action(None, &tool, 0.5), Action::stay(0.5));
    }

    #[test]
    fn a_hand_moves_the_tool_as_far_as_itself_and_a_clutch_moves_it_on() {
        let mut mapping = mapping(&TeleopSetting::default());
        let mut tool = tool();
        let start = tool;
        let hand = |x: f64, yaw: f64| {
            reading(Motion::Hand(Pose::from_parts(
                Vector3::new(5.0 + x, 1.0, 0.0).into(),
                rotation_from_euler(0.0, 0.0, yaw),
            )))
        };
        follow(&mut mapping, &hand(0.0, 0.0), &mut tool);
        for _ in 0..20 {
            follow(&mut mapping, &hand(0.08, 0.3), &mut tool);
        }
        let expected = rotation_from_euler(0.0, 0.0, 0.3) * start.rotation;
        assert!((tool.translation.x - start.translation.x - 0.08).abs() < 1e-9, "{tool}");
        assert!(tool.rotation.angle_to(&expected) < 1e-6);
        // Release, move back, grip again: the tool stays and goes on from there.
        mapping.action(None, &tool, 1.0);
        follow(&mut mapping, &hand(0.0, 0.0), &mut tool);
        assert!((tool.translation.x - start.translation.x - 0.08).abs() < 1e-9);
    }

    #[test]
    fn a_far_leader_is_approached_in_steps_within_the_bounds() {
        let mut mapping = mapping(&TeleopSetting::default());
        let chain = Chain::from_robot(&robot()).unwrap();
        let mut joints = JointVector::from_slice(&robot().identity.home);
        let mut tool = chain.forward(&joints);
        joints[0] += 0.9;
        let goal = chain.forward(&joints);
        assert!((goal.translation.vector - tool.translation.vector).norm() > 0.06);
        for _ in 0..40 {
            let action = follow(&mut mapping, &reading(Motion::Leader(joints)), &mut tool);
            assert_eq!(ActionBounds::BRIDGE.clip(&action), action);
        }
        assert!((goal.translation.vector - tool.translation.vector).norm() < 1e-6);
        assert!(goal.rotation.angle_to(&tool.rotation) < 1e-3);
    }

    #[test]
    fn a_blocked_arm_does_not_wind_up_its_target() {
        let mut mapping = mapping(&TeleopSetting::default());
        let tool = tool();
        let push = reading(Motion::Deflection { along: [1.0, 0.0, 0.0], about: [0.0; 3] });
        for _ in 0..200 {
            mapping.action(Some(&push), &tool, 1.0);
        }
        let off = mapping.target.unwrap().translation.vector - tool.translation.vector;
        assert!(off.norm() <= LAG.0 + 0.05, "{}", off.norm());
    }

    proptest! {
        #[test]
        fn whatever_a_device_says_the_action_is_within_the_bounds(
            along in proptest::array::uniform3(-1.5..1.5f64),
            about in proptest::array::uniform3(-1.5..1.5f64),
            place in proptest::array::uniform3(-3.0..3.0f64),
            turn in proptest::array::uniform3(-3.0..3.0f64),
        ) {
            let mut mapping = mapping(&TeleopSetting { frame: MotionFrame::Tool, ..Default::default() });
            let hand = Pose::from_parts(Vector3::from(place).into(), rotation_from_euler(turn[0], turn[1], turn[2]));
            let (mut tool, still) = (tool(), reading(Motion::Hand(Pose::identity())));
            follow(&mut mapping, &still, &mut tool);
            for motion in [Motion::Deflection { along, about }, Motion::Hand(hand)] {
                let action = follow(&mut mapping, &reading(motion), &mut tool);
                prop_assert_eq!(ActionBounds::BRIDGE.clip(&action), action);
            }
        }
    }
}
