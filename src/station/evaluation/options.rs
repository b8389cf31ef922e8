//! Settings of an evaluation, the machine it runs on and the revision of the program.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::protocol::Scenario;
use super::score::Control;

/// Settings of an evaluation, and the metadata of its report.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationOptions {
    /// Results folder; created if missing.
    pub folder: PathBuf,
    /// Scenario of the plans.
    pub scenario: Scenario,
    /// Seed of the plans.
    pub seed: u64,
    /// Decision source (`expert`, `random`, a policy's name).
    pub policy: String,
    /// Resolved settings, TOML.
    pub settings: String,
    /// SHA-256 of the resolved settings.
    pub settings_digest: String,
    /// SHA-256 of the policy's weights; empty if it has none.
    pub weights_digest: String,
    /// Git revision of the program ([`revision`]).
    pub revision: String,
    /// Command line to repeat it.
    pub command: String,
    /// Machine it runs on ([`Machine::this`]).
    pub machine: Machine,
    /// Other policies scored by the same protocol, for comparison.
    pub controls: Vec<Control>,
}

/// Machine it ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Processor model.
    pub cpu: String,
    /// Processor cores this program may use.
    pub cores: usize,
    /// Result of each real-time setting requested for the control loop, one line each; empty if none was requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub realtime: Vec<String>,
}

impl Machine {
    /// The machine this program runs on; unavailable values are marked unknown.
    pub fn this() -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo")
            .ok()
            .and_then(|text| {
                let line = text.lines().find(|line| line.starts_with("model name"))?;
                Some(line.split_once(':')?.1.trim().to_string())
            })
            .unwrap_or_else(|| format!("unknown ({})", std::env::consts::ARCH));
        Self { cpu, cores: std::thread::available_parallelism().map_or(0, usize::from), realtime: Vec::new() }
    }
}

/// Git revision of the program's checkout `folder`, with `+changes` when files differ from it.
///
/// Without git or a repository: the value of `VISUOMOTOR_REVISION` at build time, else `unknown`.
pub fn revision(folder: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    match git(&["rev-parse", "HEAD"]) {
        Some(head) if !head.is_empty() => match git(&["status", "--porcelain", "--untracked-files=no"]) {
            Some(changes) if changes.is_empty() => head,
            _ => format!("{head}+changes"),
        },
        _ => option_env!("VISUOMOTOR_REVISION").unwrap_or("unknown").into(),
    }
}
