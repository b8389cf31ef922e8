//! The stage of a trial: who lays the scene and says how a trial ended.
//!
//! In the simulator of this process both are function calls. Before an arm, or an emulated controller in another process,
//! they are a [`Stage`]: the simulating process over a local socket ([`Remote`]), or a person at the terminal
//! ([`Person`]). The arm's wire carries nothing of this: object poses are known to the stage alone.

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

/// Who lays the scene, allows motion and judges.
pub trait Stage {
    /// Has the scene of an episode laid. The operator is shown the motion to come: that the scene is set is their consent to
    /// it, and the result is who gave it. Without a motion the arm stands at its start already.
    fn set_up(&mut self, set_up: &SetUp, motion: Option<&Approach>) -> anyhow::Result<Laid>;
    /// May the arm make this motion, which is shown to the operator?
    fn may_move(&mut self, motion: &Approach) -> anyhow::Result<Said>;
    /// May the arm that failed recover? `trouble` says what failed, `does` what recovering does.
    fn may_recover(&mut self, trouble: &str, does: &str) -> anyhow::Result<Said>;
    /// Looks at the scene; an outcome ends the episode.
    fn judge(&mut self) -> anyhow::Result<Option<Outcome>>;
    /// The verdict when time ran out.
    fn time_out(&mut self) -> anyhow::Result<Outcome>;
}

/// A scene that was laid.
#[derive(Clone, Debug, PartialEq)]
pub struct Laid {
    /// What a scripted expert is given, where that is known.
    pub assignment: Option<Assignment>,
    /// Who confirmed that it is set (`page`, `terminal`, `stage`).
    pub by: String,
}

/// A stage as the runtime's judge: one that cannot be asked any more aborts the episode.
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

/// Where the simulating process of an arm listens by default.
pub fn default_socket(robot: &str) -> PathBuf {
    runtime_folder().join(format!("{robot}.stage"))
}

/// Folder of this user's sockets and port links.
pub fn runtime_folder() -> PathBuf {
    let base = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    base.join("visuomotor")
}
