//! `[motion]` of a launch file: the motion to the start of an episode.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ConfigError, Robot};

/// Default joint speed of a motion to a start posture \[rad/s\]: slow enough to step back from.
const APPROACH_SPEED: f64 = 0.25;

/// Motion to the start of an episode. Omitted keys get defaults that fit the arm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MotionSetting {
    /// Largest joint speed on the way to a start posture \[rad/s\]; default 0.25, or the slowest joint's limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approach_speed: Option<f64>,
}

impl MotionSetting {
    /// Largest joint speed on the way to a start posture \[rad/s\].
    pub fn approach_speed(&self, robot: &Robot) -> f64 {
        self.approach_speed.unwrap_or(APPROACH_SPEED.min(slowest(robot)))
    }

    /// Refuses a speed above a joint's limit.
    pub(super) fn check_for(&self, path: &Path, robot: &Robot) -> Result<(), ConfigError> {
        let Some(speed) = self.approach_speed else { return Ok(()) };
        let most = slowest(robot);
        // Written so that NaN fails it.
        if speed > 0.0 && speed <= most {
            return Ok(());
        }
        Err(ConfigError::unfit(
            path,
            "motion.approach_speed",
            speed,
            format!(
                "more than 0 and at most {most} rad/s, the slowest joint's limits.joint_velocity of {}",
                robot.identity.name
            ),
            "0.25 is slow enough to step back from",
        ))
    }
}

/// Speed limit of the slowest joint \[rad/s\].
fn slowest(robot: &Robot) -> f64 {
    robot.limits.joint_velocity.iter().copied().fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_approached_slowly_and_within_the_arms_speed_limits() {
        let root = Path::new(crate::CHECKOUT);
        let [widowx, mut jaco] = ["widowx", "jaco_j2n7s300"].map(|name| Robot::load(root, name).unwrap());
        let of = |speed| MotionSetting { approach_speed: speed };
        assert_eq!(of(None).approach_speed(&widowx), 0.25);
        assert_eq!(of(Some(0.4)).approach_speed(&widowx), 0.4);
        jaco.limits.joint_velocity[2] = 0.1;
        assert_eq!(of(None).approach_speed(&jaco), 0.1);
        of(Some(2.0)).check_for(Path::new("launch/a.toml"), &widowx).unwrap();
        for speed in [2.1, 0.0, -1.0, f64::NAN, f64::INFINITY] {
            let text = of(Some(speed)).check_for(Path::new("launch/a.toml"), &widowx).unwrap_err().to_string();
            for word in ["launch/a.toml", "motion.approach_speed", &speed.to_string(), "2 rad/s", "widowx"] {
                assert!(text.contains(word), "{word}: {text}");
            }
        }
    }
}
