//! A `[[start]]` table: a start posture of the arm.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, Robot};

/// A named posture of the arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartPosture {
    /// Name, used on the command line and in tasks.
    pub name: String,
    /// Joint positions, chain order \[rad\].
    pub joints: Vec<f64>,
}

impl StartPosture {
    /// Refuses a posture that this arm cannot take. `i` is its index in the launch file's starts.
    pub(super) fn check_for(&self, path: &Path, i: usize, robot: &Robot) -> Result<(), ConfigError> {
        let joints = &robot.joint;
        if self.joints.len() != joints.len() {
            return Err(ConfigError::unfit(
                path,
                format!("start[{i}].joints"),
                format!("{} numbers", self.joints.len()),
                format!("{}, one for each joint of {}", joints.len(), robot.identity.name),
                "give them in chain order, in rad",
            ));
        }
        let margin = robot.limits.joint_margin;
        for (at, (angle, joint)) in self.joints.iter().zip(joints).enumerate() {
            let (low, high) = (joint.lower + margin, joint.upper - margin);
            // Written so that NaN fails it.
            if !(*angle >= low && *angle <= high) {
                return Err(ConfigError::unfit(
                    path,
                    format!("start[{i}].joints[{at}]"),
                    angle,
                    format!("{low:.3} to {high:.3} rad, the limits of {} less their margin", joint.name),
                    format!("correct the posture `{}`", self.name),
                ));
            }
        }
        Ok(())
    }
}
