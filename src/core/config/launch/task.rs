//! A `[[task]]` table: a task of a station.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// A task of a station, without a simulated scene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StationTask {
    /// Name, as in policies.
    pub name: String,
    /// Instruction in plain words.
    pub instruction: String,
    /// Goal image, from the policy's camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<PathBuf>,
    /// Name of its start posture; default: the arm's current posture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Time limit \[s\].
    #[serde(default = "usual_seconds")]
    pub seconds: f64,
}

fn usual_seconds() -> f64 {
    60.0
}

impl StationTask {
    /// A task with only a name and a goal image.
    pub fn of_goal(name: &str, goal: &Path) -> Self {
        let (name, goal) = (name.to_string(), Some(goal.to_path_buf()));
        Self { name, instruction: String::new(), goal, start: None, seconds: usual_seconds() }
    }

    /// `i` is its index in the launch file's tasks, `starts` the names of the start postures.
    pub(super) fn check(&self, path: &Path, i: usize, starts: &[&str]) -> Result<(), ConfigError> {
        if !(self.seconds > 0.0 && self.seconds <= 3600.0) {
            let (limit, fix) = ("more than 0 and at most 3600 s", "60 is a good choice");
            return Err(ConfigError::unfit(path, format!("task[{i}].seconds"), self.seconds, limit, fix));
        }
        match &self.start {
            Some(start) if !starts.contains(&start.as_str()) => {
                let known = if starts.is_empty() { "none".into() } else { starts.join(", ") };
                let limit = format!("a posture of the [[start]] tables ({known})");
                Err(ConfigError::unfit(path, format!("task[{i}].start"), start, limit, "add the posture or correct it"))
            }
            _ => Ok(()),
        }
    }
}
