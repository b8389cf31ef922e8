//! A planned motion to a start posture: distance, speed and duration, announced to the operator beforehand.

use std::time::Duration;

use crate::observation::JointVector;

/// Shortest motion, also when the arm is already at its goal.
const SHORTEST: Duration = Duration::from_millis(500);
/// Bound on the ratio of peak to mean speed of a smooth rest-to-rest motion (minimum jerk: 1.875).
const PEAK: f64 = 2.0;
/// Smallest joint distance that is announced, and beyond which the arm counts as moved since planning \[rad\].
const WORTH_A_WORD: f64 = 0.02;

/// A planned motion.
#[derive(Clone, Debug, PartialEq)]
pub struct Approach {
    names: Vec<String>,
    /// Joint positions it starts from \[rad\].
    pub from: JointVector,
    /// Joint positions it leads to \[rad\].
    pub to: JointVector,
    /// Largest joint speed \[rad/s\].
    pub speed: f64,
    /// Duration.
    pub duration: Duration,
}

impl Approach {
    /// Plans a motion with no joint faster than `speed` \[rad/s\]; `names` are the joint names in chain order.
    pub fn plan(names: &[String], from: JointVector, to: JointVector, speed: f64) -> Self {
        let farthest = from.iter().zip(to.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        // The launch file refuses a speed of zero or less; here it would be a motion that never begins.
        let seconds = (PEAK * farthest / speed).clamp(0.0, 3600.0);
        let duration = Duration::try_from_secs_f64(seconds).unwrap_or(SHORTEST).max(SHORTEST);
        Self { names: names.to_vec(), from, to, speed, duration }
    }

    /// Is the arm still where it was when this was planned?
    pub fn starts_at(&self, here: &JointVector) -> bool {
        here.len() == self.from.len() && self.from.iter().zip(here.iter()).all(|(a, b)| (a - b).abs() <= WORTH_A_WORD)
    }
}

impl std::fmt::Display for Approach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let way = self.from.iter().zip(self.to.iter()).map(|(from, to)| to - from);
        let moved: Vec<String> = self
            .names
            .iter()
            .zip(way)
            .filter(|(_, way)| way.abs() > WORTH_A_WORD)
            .map(|(name, way)| format!("{name} by {way:+.2} rad"))
            .collect();
        if moved.is_empty() {
            return write!(f, "the arm stands at its start already and opens its gripper");
        }
        write!(
            f,
            "the arm will move to its start: {}; no joint faster than {} rad/s, about {:.0} s; the gripper opens",
            moved.join(", "),
            self.speed,
            self.duration.as_secs_f64().ceil()
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::action::ActionBounds;
    use crate::config::{ControlLaw, ControlSetting, GripperPolicy, Robot};
    use crate::control::Controller;
    use crate::kinematics::Chain;
    use crate::runtime::fake::{Call, FakeArm, SeenArm};
    use crate::runtime::{Posture, Station, StopFlag, Timing, go_to};
    use crate::safety::SafetyFilter;
    use crate::time::{ManualClock, Timestamp};

    #[test]
    fn no_joint_is_commanded_faster_than_announced() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let robot = Robot::load(root, "widowx").unwrap();
        let chain = Chain::from_robot(&robot).unwrap();
        for law in [ControlLaw::Interpolate, ControlLaw::JerkLimited] {
            for speed in [0.1, 0.25, 1.0] {
                let home = *chain.home();
                let mut to = home;
                (to[0], to[2]) = (home[0] + 0.6, home[2] + 0.2);
                let approach = Approach::plan(&robot.joint_names(), home, to, speed);
                let kept = Arc::<Mutex<Vec<(Timestamp, JointVector)>>>::default();
                let (arm, _) = FakeArm::at(home, 1.0);
                let keep = Arc::clone(&kept);
                let arm = SeenArm::new(Box::new(arm), move |now, call| {
                    if let Call::Write(command) = call {
                        keep.lock().unwrap().push((now, command.joints()));
                    }
                });
                let period = Duration::from_millis(200);
                let controller =
                    Controller::new(&robot, chain.clone(), ActionBounds::BRIDGE, GripperPolicy::Direct, period)
                        .with_law(&robot, &ControlSetting { law, ..Default::default() })
                        .unwrap();
                let mut station = Station {
                    arm: Box::new(arm),
                    cameras: Vec::new(),
                    chain: chain.clone(),
                    controller,
                    safety: SafetyFilter::new(&robot, chain.clone()),
                    control_period: Duration::from_millis(20),
                    policy_period: period,
                };
                let clock = ManualClock::new();
                let timing = Timing::Lockstep { clock: &clock, stopwatch: &clock };
                let posture = Posture { joints: to, gripper: 1.0, duration: approach.duration };
                go_to(&mut station, &posture, timing, &StopFlag::new()).unwrap();
                let kept = kept.lock().unwrap();
                let fastest = kept
                    .windows(2)
                    .flat_map(|pair| {
                        let seconds = pair[1].0.since(pair[0].0).as_secs_f64();
                        (0..6).map(move |joint| (pair[1].1[joint] - pair[0].1[joint]).abs() / seconds)
                    })
                    .fold(0.0, f64::max);
                assert!(fastest > 0.2 * speed && fastest <= speed, "{law:?} at {speed} rad/s: {fastest}");
            }
        }
    }

    #[test]
    fn a_motion_is_announced_with_joints_distances_speed_and_length() {
        let names: Vec<String> = ["waist", "shoulder", "elbow"].map(String::from).into();
        let joints = |values: [f64; 3]| JointVector::from_slice(&values);
        let from = joints([0.0, -1.0, 0.5]);
        let approach = Approach::plan(&names, from, joints([0.5, -1.25, 0.51]), 0.25);
        assert_eq!(approach.duration, Duration::from_secs(4));
        let text = approach.to_string();
        for word in ["waist by +0.50 rad", "shoulder by -0.25 rad", "0.25 rad/s", "about 4 s"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert!(!text.contains("elbow"), "{text}");
        assert!(approach.starts_at(&joints([0.01, -1.0, 0.5])) && !approach.starts_at(&joints([0.1, -1.0, 0.5])));
        let still = Approach::plan(&names, from, from, 0.25);
        assert!(still.to_string().contains("stands at its start") && still.duration == SHORTEST);
        assert_eq!(Approach::plan(&names, from, joints([0.5; 3]), f64::NAN).duration, SHORTEST);
    }
}
