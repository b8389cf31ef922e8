//! The `[guard]` table.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// The guard that stops an arm, after this program has ended, if its controller would repeat the last command forever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardSetting {
    /// Host and port of a `visuomotor guard --listen` on the controller's host; without it, a process on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// File with its token; default the environment's VISUOMOTOR_GUARD_TOKEN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Longest silence of this program before the guard stops the arm \[s\].
    #[serde(default = "longest_silence")]
    pub limit: f64,
}

/// Default and maximum \[s\].
fn longest_silence() -> f64 {
    0.1
}

impl Default for GuardSetting {
    fn default() -> Self {
        Self { address: None, token_file: None, limit: longest_silence() }
    }
}

impl GuardSetting {
    pub(super) fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self, path: &Path) -> Result<(), ConfigError> {
        // Heartbeats come every 20 ms; one may be late.
        if !(self.limit >= 0.05 && self.limit <= longest_silence()) {
            return Err(ConfigError::unfit(
                path,
                "guard.limit",
                self.limit,
                format!("0.05 to {} s", longest_silence()),
                "leave it out for the longest",
            ));
        }
        if let (Some(file), None) = (&self.token_file, &self.address) {
            return Err(ConfigError::unfit(
                path,
                "guard.token_file",
                file.display(),
                "none without guard.address",
                "a guard on this machine needs no token: leave it out, or name the host with guard.address",
            ));
        }
        Ok(())
    }
}
