//! Set-up of one episode in a kitchen: objects and their positions.

use serde::{Deserialize, Serialize};

use crate::config::Task;
use crate::recording::Attachment;

/// Set-up of one episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetUp {
    /// Task.
    pub task: Task,
    /// Object to move (scenario 3 replaces the task's own).
    pub object: String,
    /// Position of the object's grasp point, base frame x, y \[m\].
    pub object_at: [f64; 2],
    /// The object's yaw \[rad\].
    pub object_yaw: f64,
    /// Position of the container, base frame x, y \[m\]; `None` for a task without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_at: Option<[f64; 2]>,
    /// Clutter.
    pub others: Vec<LyingThing>,
    /// Tool position and Bridge angles at the start \[m, rad\].
    pub start: [f64; 6],
    /// Random seed of this episode.
    pub seed: u64,
}

/// An object that is not part of the task; in files an array of these three values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "(String, [f64; 2], f64)", into = "(String, [f64; 2], f64)")]
pub struct LyingThing {
    /// Object.
    pub object: String,
    /// Position of its origin, base frame x, y \[m\].
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
    /// Name of the set-up file in a recording.
    pub const FILE: &str = "set_up.json";

    /// Reads the set-up recorded with an episode, so that the scene can be restored.
    pub fn attachment(&self) -> anyhow::Result<Attachment> {
        let data = serde_json::to_vec_pretty(self)?;
        Ok(Attachment { name: Self::FILE.into(), media_type: "application/json".into(), data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clutter_is_an_array_in_files() {
        let thing = LyingThing { object: "cup".into(), at: [0.3, -0.1], yaw: 0.5 };
        let text = serde_json::to_string(&thing).unwrap();
        assert_eq!(text, r#"["cup",[0.3,-0.1],0.5]"#);
        assert_eq!(serde_json::from_str::<LyingThing>(&text).unwrap(), thing);
    }
}
