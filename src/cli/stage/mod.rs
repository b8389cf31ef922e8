//! The stage of a trial: sets up the scene and judges the outcome.
//!
//! In the in-process simulator both are function calls. For an arm, or an emulated controller in another process, a
//! [`Stage`] does both: the simulating process over a local socket ([`Remote`]), or the operator at the terminal
//! ([`Person`]). Object poses are known only to the stage and never sent over the arm's link.

mod message;
mod no_operator;
mod operated;
mod person;
mod remote;
#[cfg(all(feature = "mujoco", feature = "ros2"))]
mod server;

use std::path::PathBuf;

#[cfg(all(feature = "mujoco", feature = "ros2"))]
pub use message::{Answer, Question};
pub use no_operator::NoOperator;
pub use operated::{Operated, await_begin, layout_text};
pub use person::Person;
pub use remote::Remote;
#[cfg(all(feature = "mujoco", feature = "ros2"))]
pub use server::{Handler, Server};

use super::approach::Approach;
use super::consent::Said;
use super::set_up::SetUp;
use crate::episode::{Judge, Outcome};
use crate::scripted::Assignment;
use crate::time::Timestamp;

/// Sets up the scene, allows motion and judges.
pub trait Stage {
    /// Sets up the scene of an episode. The operator is shown the planned motion; confirming the scene is consent to it.
    /// Returns who confirmed. Without a motion the arm is already at its start.
    fn set_up(&mut self, set_up: &SetUp, motion: Option<&Approach>) -> anyhow::Result<Laid>;
    /// Asks the operator for consent to this motion.
    fn may_move(&mut self, motion: &Approach) -> anyhow::Result<Said>;
    /// Asks for consent to recover the arm. `trouble` describes the fault, `does` the effect of recovering.
    fn may_recover(&mut self, trouble: &str, does: &str) -> anyhow::Result<Said>;
    /// Judges the scene; an outcome ends the episode.
    fn judge(&mut self) -> anyhow::Result<Option<Outcome>>;
    /// The verdict when time is up.
    fn time_out(&mut self) -> anyhow::Result<Outcome>;
}

/// A scene that was set up.
#[derive(Clone, Debug, PartialEq)]
pub struct Laid {
    /// The scripted expert's assignment, if known.
    pub assignment: Option<Assignment>,
    /// Source of the confirmation (`page`, `terminal`, `stage`).
    pub by: String,
}

/// A stage as the runtime's judge: an error of the stage aborts the episode.
pub struct StageJudge<'a>(pub &'a mut dyn Stage);

impl Judge for StageJudge<'_> {
    fn judge(&mut self, _now: Timestamp) -> Option<Outcome> {
        self.0.judge().unwrap_or_else(|error| Some(lost(&error)))
    }

    fn time_out(&mut self, _now: Timestamp) -> Outcome {
        self.0.time_out().unwrap_or_else(|error| lost(&error))
    }
}

fn lost(error: &anyhow::Error) -> Outcome {
    Outcome::Aborted { judge: "stage".into(), why: format!("{error:#}") }
}

/// Default socket of an arm's simulating process.
pub fn default_socket(robot: &str) -> PathBuf {
    runtime_folder().join(format!("{robot}.stage"))
}

/// Folder of this user's sockets and port links.
pub fn runtime_folder() -> PathBuf {
    let base = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    base.join("visuomotor")
}
