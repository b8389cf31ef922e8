//! Who decides in an episode.

use super::station::StationSetting;
use crate::action::ActionSource;
#[cfg(feature = "torch")]
use crate::policy::{BroughtPolicy, VisualPolicy};
use crate::scripted::Assignment;

/// Who decides in an episode.
pub enum Source {
    /// A trained policy.
    #[cfg(feature = "torch")]
    Policy(Box<VisualPolicy>),
    /// A policy that was made elsewhere.
    #[cfg(feature = "torch")]
    Brought(Box<BroughtPolicy>),
    /// The scripted expert or random actions.
    Other(Box<dyn ActionSource>),
}

impl Source {
    /// For the runtime, which does not know who it is.
    pub fn as_dyn(&mut self) -> &mut dyn ActionSource {
        match self {
            #[cfg(feature = "torch")]
            Source::Policy(policy) => policy.as_mut(),
            #[cfg(feature = "torch")]
            Source::Brought(policy) => policy.as_mut(),
            Source::Other(other) => other.as_mut(),
        }
    }
}

/// What an episode asks of its source.
pub struct Part<'a> {
    /// Task.
    pub task: &'a str,
    /// Its instruction in plain words.
    pub instruction: &'a str,
    /// Where things were put, for the scripted expert.
    pub assignment: Option<Assignment>,
    /// Arm and law it decides for.
    pub station: &'a StationSetting,
    /// Seed of everything random.
    pub seed: u64,
}
