//! The `[policy]` table.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::action::ActionBounds;
use crate::config::ConfigError;

/// Who decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySetting {
    /// Its source.
    pub source: PolicySource,
    /// Decision rate \[Hz\].
    pub rate_hz: f64,
    /// Conversion of the gripper value to a gripper target.
    pub gripper: GripperPolicy,
    /// Bounds to which actions are clipped; default Bridge's, limited to what the arm can do within a policy period.
    #[serde(default = "bridge_bounds")]
    pub bounds: ActionBounds,
}

/// Decision source: `expert`, `random`, `still`, or otherwise the folder of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PolicySource {
    /// The scripted expert.
    Expert,
    /// Random actions.
    Random,
    /// No motion at all.
    Still,
    /// The policy of a folder, relative to the project folder.
    Folder(PathBuf),
}

impl PolicySource {
    /// Placeholder in the settings of a comparison, where the source is set per policy and must not differ.
    pub fn compared() -> Self {
        PolicySource::Folder("compared".into())
    }
}

impl fmt::Display for PolicySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicySource::Expert => f.pad("expert"),
            PolicySource::Random => f.pad("random"),
            PolicySource::Still => f.pad("still"),
            PolicySource::Folder(folder) => fmt::Display::fmt(&folder.display(), f),
        }
    }
}

/// The policy's source is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found an empty text, expected `expert`, `random`, `still` or the folder of a policy")]
pub struct NoSource;

impl FromStr for PolicySource {
    type Err = NoSource;

    fn from_str(text: &str) -> Result<Self, NoSource> {
        Ok(match text {
            "" => return Err(NoSource),
            "expert" => PolicySource::Expert,
            "random" => PolicySource::Random,
            "still" => PolicySource::Still,
            folder => PolicySource::Folder(folder.into()),
        })
    }
}

impl TryFrom<String> for PolicySource {
    type Error = NoSource;

    fn try_from(text: String) -> Result<Self, NoSource> {
        text.parse()
    }
}

impl From<PolicySource> for String {
    fn from(source: PolicySource) -> Self {
        source.to_string()
    }
}

fn bridge_bounds() -> ActionBounds {
    ActionBounds::BRIDGE
}

/// Conversion of the policy's gripper value to a gripper target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum GripperPolicy {
    /// Sent unchanged.
    Direct,
    /// Bridge's: closed below one half, open above; toggles after `steps` decisions that differ from the present target.
    Sticky {
        /// Consecutive decisions for the other target that are required.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_written_as_it_was_read_and_an_empty_one_is_named_with_its_key() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Table {
            source: PolicySource,
        }
        let read = |word: &str| crate::config::parse::<Table>(Path::new("a.toml"), &format!("source = \"{word}\"\n"));
        for (word, source) in [
            ("expert", PolicySource::Expert),
            ("random", PolicySource::Random),
            ("still", PolicySource::Still),
            ("policies/mine", PolicySource::Folder("policies/mine".into())),
        ] {
            let table = read(word).unwrap();
            assert_eq!(table, Table { source });
            assert_eq!(toml::to_string(&table).unwrap(), format!("source = \"{word}\"\n"));
        }
        let said = read("").unwrap_err().to_string();
        assert!(said.starts_with("a.toml:1: key `source`") && said.contains("`expert`"), "{said}");
    }
}
