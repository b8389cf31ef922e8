//! What lies where in one episode of a kitchen, as the operator or the simulator lays it.

use serde::{Deserialize, Serialize};

use crate::config::Task;
use crate::recording::Attachment;

/// What lies where in one episode, as the person who sets it up knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetUp {
    /// Task.
    pub task: Task,
    /// Object to move (scenario 3 replaces the task's own).
    pub object: String,
    /// Where the object's grasp point is, base frame x, y \[m\].
    pub object_at: [f64; 2],
    /// The object's yaw \[rad\].
    pub object_yaw: f64,
    /// Where the container stands, base frame x, y \[m\]; none of a task without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_at: Option<[f64; 2]>,
    /// Other things lying about.
    pub others: Vec<LyingThing>,
    /// Tool position and Bridge angles at the start \[m, rad\].
    pub start: [f64; 6],
    /// Seed of everything random in this episode.
    pub seed: u64,
}

/// A thing beside those of the task; in files an array of these three.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "(String, [f64; 2], f64)", into = "(String, [f64; 2], f64)")]
pub struct LyingThing {
    /// Object.
    pub object: String,
    /// Where its origin is, base frame x, y \[m\].
    pub at: [f64; 2],
    /// Its yaw \[rad\].
    pub yaw: f64,
}

impl From<(String, [f64; 2], f64)> for LyingThing {
    fn from((object, at, yaw): (String, [f64; 2], f64)) -> Self {
        Self { object, at, yaw }
    }
}

impl From<LyingThing> for (String, [f64; 2], f64) {
    fn from(thing: LyingThing) -> Self {
        (thing.object, thing.at, thing.yaw)
    }
}

impl SetUp {
    /// Name of the file that says it in a recording.
    pub const FILE: &str = "set_up.json";

    /// As recorded with an episode, so that the scene can be laid again.
    pub fn attachment(&self) -> anyhow::Result<Attachment> {
        let data = serde_json::to_vec_pretty(self)?;
        Ok(Attachment { name: Self::FILE.into(), media_type: "application/json".into(), data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lying_thing_is_an_array_in_files_as_it_always_was() {
        let thing = LyingThing { object: "cup".into(), at: [0.3, -0.1], yaw: 0.5 };
        let text = serde_json::to_string(&thing).unwrap();
        assert_eq!(text, r#"["cup",[0.3,-0.1],0.5]"#);
        assert_eq!(serde_json::from_str::<LyingThing>(&text).unwrap(), thing);
    }
}
