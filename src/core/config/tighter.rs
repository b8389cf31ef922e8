//! `[limits]` of a launch file: tightens limits of the robot file. None can be loosened.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ConfigError, Robot};
use crate::action::ActionBounds;

/// Limits tighter than the robot file's, which apply to omitted keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TighterLimits {
    /// Lower corner of the tool's box in the base frame \[m\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_low: Option<[f64; 3]>,
    /// Upper corner of the tool's box in the base frame \[m\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_high: Option<[f64; 3]>,
    /// Maximum age of an action that may move the arm \[s\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_age: Option<f64>,
    /// Share of the robot file's joint and tool speeds, above 0 and at most 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_scale: Option<f64>,
}

/// The fix text of every error here.
const ONLY_TIGHTER: &str = "a launch file may only tighten the robot file's limits";

impl TighterLimits {
    /// Applies these limits to the description; refuses looser ones. `path` is the launch file, for the message;
    /// `policy_period` the time between two actions \[s\].
    pub fn tighten(&self, path: &Path, robot: &mut Robot, policy_period: f64) -> Result<(), ConfigError> {
        let name = robot.identity.name.clone();
        let limits = &mut robot.limits;
        let unfit =
            |key: String, found: f64, expected: String| ConfigError::unfit(path, key, found, expected, ONLY_TIGHTER);
        for axis in 0..3 {
            let (low, high) = (limits.workspace_low[axis], limits.workspace_high[axis]);
            let inside = |value: f64| value >= low && value <= high;
            for (key, corner) in [("workspace_low", self.workspace_low), ("workspace_high", self.workspace_high)] {
                if let Some(value) = corner.map(|corner| corner[axis]).filter(|value| !inside(*value)) {
                    let expected = format!("within {low} .. {high} m, the box of robots/{name}/robot.toml");
                    return Err(unfit(format!("limits.{key}[{axis}]"), value, expected));
                }
            }
        }
        limits.workspace_low = self.workspace_low.unwrap_or(limits.workspace_low);
        limits.workspace_high = self.workspace_high.unwrap_or(limits.workspace_high);
        for axis in 0..3 {
            let (low, high) = (limits.workspace_low[axis], limits.workspace_high[axis]);
            if !(low < high) {
                return Err(unfit(
                    format!("limits.workspace_low[{axis}]"),
                    low,
                    format!("less than workspace_high = {high}"),
                ));
            }
        }
        if let Some(age) = self.command_age {
            let most = limits.command_age;
            if !(age > policy_period && age <= most) {
                let expected = format!(
                    "more than a policy period ({policy_period} s) and at most {most} s, limits.command_age of \
                     robots/{name}/robot.toml"
                );
                return Err(unfit("limits.command_age".into(), age, expected));
            }
            limits.command_age = age;
        }
        if let Some(scale) = self.speed_scale {
            if !(scale > 0.0 && scale <= 1.0) {
                let expected = format!("more than 0 and at most 1, a share of the speeds of robots/{name}/robot.toml");
                return Err(unfit("limits.speed_scale".into(), scale, expected));
            }
            limits.joint_velocity.iter_mut().for_each(|speed| *speed *= scale);
            limits.tool_velocity *= scale;
            limits.tool_rotation_velocity *= scale;
        }
        Ok(())
    }
}

/// Tolerance for rounding in a product of a speed and a period.
const ROUNDING: f64 = 1.0 + 1e-9;

/// Largest translation and rotation of the tool within a policy period \[m, rad\].
fn reach(robot: &Robot, policy_period: f64) -> [f64; 2] {
    [robot.limits.tool_velocity, robot.limits.tool_rotation_velocity].map(|speed| speed * policy_period * ROUNDING)
}

/// Refuses action bounds beyond what the arm can do within a policy period \[s\], or that exclude the zero action.
pub(super) fn check_bounds(
    path: &Path,
    bounds: &ActionBounds,
    robot: &Robot,
    policy_period: f64,
) -> Result<(), ConfigError> {
    let reach = reach(robot, policy_period);
    for i in 0..7 {
        for (key, value, sign) in [("low", bounds.low[i], -1.0), ("high", bounds.high[i], 1.0)] {
            let (least, most, limit) = match i {
                6 => (f64::NEG_INFINITY, if sign > 0.0 { 1.0 } else { 0.0 }, "0 to 1, closed to open".into()),
                _ => {
                    let (most, unit, key) = match i {
                        0..3 => (reach[0], "m", "tool_velocity"),
                        _ => (reach[1], "rad", "tool_rotation_velocity"),
                    };
                    let limit = format!(
                        "0 included and at most {most:.4} {unit} either way: limits.{key} of robots/{}/robot.toml over a \
                         policy period of {policy_period} s",
                        robot.identity.name
                    );
                    (0.0, most, limit)
                }
            };
            // Written so that NaN fails it.
            let along = sign * value;
            if !(along >= least && along <= most) {
                let fix = "leave policy.bounds out for what fits the arm, or decide less often";
                return Err(ConfigError::unfit(path, format!("policy.bounds.{key}[{i}]"), value, limit, fix));
            }
        }
    }
    Ok(())
}

/// Bridge's bounds, limited to what the arm can do within a policy period \[s\].
pub(super) fn usual_bounds(robot: &Robot, policy_period: f64) -> ActionBounds {
    let reach = reach(robot, policy_period);
    let mut bounds = ActionBounds::BRIDGE;
    for i in 0..6 {
        let most = reach[usize::from(i >= 3)];
        bounds.low[i] = bounds.low[i].max(-most);
        bounds.high[i] = bounds.high[i].min(most);
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "launch/a.toml";

    fn robot(name: &str) -> Robot {
        Robot::load(Path::new(crate::CHECKOUT), name).unwrap()
    }

    fn refusal(limits: &TighterLimits) -> String {
        limits.tighten(Path::new(FILE), &mut robot("widowx"), 0.2).unwrap_err().to_string()
    }

    #[test]
    fn tighter_limits_are_kept_and_nothing_else_changes() {
        let (mut tight, whole) = (robot("widowx"), robot("widowx"));
        TighterLimits::default().tighten(Path::new(FILE), &mut tight, 0.2).unwrap();
        assert_eq!(tight, whole);
        let limits = TighterLimits {
            workspace_low: Some([0.15, -0.3, 0.02]),
            workspace_high: Some([0.4, 0.2, 0.33]),
            command_age: Some(0.3),
            speed_scale: Some(0.5),
        };
        limits.tighten(Path::new(FILE), &mut tight, 0.2).unwrap();
        assert_eq!((tight.limits.workspace_low, tight.limits.workspace_high[1]), ([0.15, -0.3, 0.02], 0.2));
        assert_eq!((tight.limits.command_age, tight.limits.joint_velocity[3]), (0.3, 1.25));
        assert_eq!((tight.limits.tool_velocity, tight.limits.tool_rotation_velocity), (0.5, 2.0));
        assert_eq!((tight.limits.joint_torque, tight.joint), (whole.limits.joint_torque, whole.joint));
    }

    #[test]
    fn a_looser_limit_is_refused_with_file_key_value_limit_and_fix() {
        let none = TighterLimits::default;
        let cases = [
            (
                TighterLimits { workspace_low: Some([0.05, -0.3, 0.017]), ..none() },
                "limits.workspace_low[0]",
                "0.05",
                "0.1",
            ),
            (
                TighterLimits { workspace_high: Some([0.4, 0.25, 0.5]), ..none() },
                "limits.workspace_high[2]",
                "0.5",
                "0.33",
            ),
            (
                TighterLimits { workspace_high: Some([0.4, f64::NAN, 0.3]), ..none() },
                "limits.workspace_high[1]",
                "NaN",
                "0.25",
            ),
            (TighterLimits { command_age: Some(0.6), ..none() }, "limits.command_age", "0.6", "0.5 s"),
            (TighterLimits { command_age: Some(0.2), ..none() }, "limits.command_age", "0.2", "policy period"),
            (TighterLimits { command_age: Some(f64::NAN), ..none() }, "limits.command_age", "NaN", "0.5 s"),
            (TighterLimits { speed_scale: Some(1.01), ..none() }, "limits.speed_scale", "1.01", "at most 1"),
            (TighterLimits { speed_scale: Some(0.0), ..none() }, "limits.speed_scale", "0", "more than 0"),
            (TighterLimits { speed_scale: Some(f64::NAN), ..none() }, "limits.speed_scale", "NaN", "at most 1"),
        ];
        for (limits, key, value, limit) in cases {
            let text = refusal(&limits);
            for word in [FILE, key, value, limit, "may only tighten", "widowx/robot.toml"] {
                assert!(text.contains(word), "{word}: {text}");
            }
        }
        let turned = TighterLimits {
            workspace_low: Some([0.4, -0.3, 0.017]),
            workspace_high: Some([0.2, 0.25, 0.33]),
            ..none()
        };
        assert!(refusal(&turned).contains("less than workspace_high"));
    }

    #[test]
    fn action_bounds_are_what_the_arm_can_do_within_a_policy_period() {
        let check = |bounds: &ActionBounds, name, period| check_bounds(Path::new(FILE), bounds, &robot(name), period);
        for name in ["widowx", "panda", "fr3", "sawyer"] {
            check(&ActionBounds::BRIDGE, name, 0.2).unwrap();
            assert_eq!(usual_bounds(&robot(name), 0.2), ActionBounds::BRIDGE, "{name}");
        }
        // A Jaco turns by 0.8 rad/s: 0.16 rad in a fifth of a second.
        let text = check(&ActionBounds::BRIDGE, "jaco_j2n7s300", 0.2).unwrap_err().to_string();
        assert!(text.contains("policy.bounds.low[3]") && text.contains("0.1600 rad"), "{text}");
        let usual = usual_bounds(&robot("jaco_j2n7s300"), 0.2);
        check(&usual, "jaco_j2n7s300", 0.2).unwrap();
        assert_eq!((usual.high[0], usual.high[6]), (0.05, 1.0));
        let changed = |change: fn(&mut ActionBounds)| {
            let mut bounds = ActionBounds::BRIDGE;
            change(&mut bounds);
            check(&bounds, "widowx", 0.2).unwrap_err().to_string()
        };
        for (text, key) in [
            (changed(|bounds| bounds.high[0] = 0.21), "policy.bounds.high[0]"),
            (changed(|bounds| bounds.low[2] = -5.0), "policy.bounds.low[2]"),
            (changed(|bounds| bounds.high[5] = f64::INFINITY), "policy.bounds.high[5]"),
            (changed(|bounds| bounds.low[1] = f64::NAN), "policy.bounds.low[1]"),
            (changed(|bounds| bounds.low[0] = 0.01), "policy.bounds.low[0]"),
            (changed(|bounds| bounds.high[6] = 1.5), "policy.bounds.high[6]"),
        ] {
            for word in [FILE, key, "widowx", "leave policy.bounds out"] {
                let gripper = word == "widowx" && key.ends_with("[6]");
                assert!(gripper || text.contains(word), "{word}: {text}");
            }
        }
        // Fifty times a second the same arm may do a tenth of it.
        assert!(check(&ActionBounds::BRIDGE, "widowx", 0.02).is_err());
    }
}
