//! The `[policy]` table.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::action::ActionBounds;
use crate::config::ConfigError;

/// Who decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySetting {
    /// Folder of a policy, or `expert`, `random`, `still`.
    pub source: String,
    /// Decision rate \[Hz\].
    pub rate_hz: f64,
    /// How the gripper value becomes a gripper target.
    pub gripper: GripperPolicy,
    /// Bounds asked actions are clipped to; default Bridge's, no wider than what the arm may do within a policy period.
    #[serde(default = "bridge_bounds")]
    pub bounds: ActionBounds,
}

fn bridge_bounds() -> ActionBounds {
    ActionBounds::BRIDGE
}

/// How the policy's gripper value becomes a gripper target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum GripperPolicy {
    /// Sent as it is.
    Direct,
    /// Bridge's: closed below one half, open above; toggles after `steps` decisions that differ from the present target.
    Sticky {
        /// Decisions in a row that must ask for the other target.
        steps: u32,
    },
    /// V-PTR's: on the normalized value (-1 closed, +1 open), at most `closing` down and `opening` up per decision.
    RateLimit {
        /// Largest decrease per decision, normalized units (V-PTR: 0.3).
        closing: f64,
        /// Largest increase per decision, normalized units (V-PTR: 1.0).
        opening: f64,
    },
}

impl PolicySetting {
    pub(super) fn check(&self, path: &Path) -> Result<(), ConfigError> {
        if !(self.rate_hz > 0.0 && self.rate_hz <= 100.0) {
            return Err(ConfigError::unfit(
                path,
                "policy.rate_hz",
                self.rate_hz,
                "more than 0 and at most 100 Hz",
                "Bridge policies run at 5 Hz",
            ));
        }
        for i in 0..7 {
            if !(self.bounds.low[i] < self.bounds.high[i]) {
                return Err(ConfigError::unfit(
                    path,
                    format!("policy.bounds.low[{i}]"),
                    self.bounds.low[i],
                    format!("less than high = {}", self.bounds.high[i]),
                    "Bridge's are +-0.05 m, +-0.25 rad, 0..1",
                ));
            }
        }
        Ok(())
    }
}
