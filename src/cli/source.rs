//! Who decides in an episode: a policy, loaded once, or an action source without weights.

#[cfg(feature = "torch")]
use std::cell::RefCell;
#[cfg(feature = "torch")]
use std::collections::BTreeMap;
#[cfg(feature = "torch")]
use std::path::PathBuf;
#[cfg(feature = "torch")]
use std::sync::Arc;

use anyhow::Context;

use super::entrant::Entrant;
use crate::action::{ActionBounds, ActionSource};
#[cfg(feature = "torch")]
use crate::policy::VisualPolicy;
use crate::scripted::{Assignment, Demonstrator, Disturbance, RandomActions};
#[cfg(feature = "torch")]
use crate::time::SystemClock;

/// Who decides in an episode.
pub enum Source {
    /// A trained policy.
    #[cfg(feature = "torch")]
    Policy(Box<VisualPolicy>),
    /// The scripted expert or random actions.
    Other(Box<dyn ActionSource>),
}

impl Source {
    /// For the runtime, which does not know who it is.
    pub fn as_dyn(&mut self) -> &mut dyn ActionSource {
        match self {
            #[cfg(feature = "torch")]
            Source::Policy(policy) => policy.as_mut(),
            Source::Other(other) => other.as_mut(),
        }
    }
}

/// What an episode asks of whoever decides.
pub struct Part<'a> {
    /// Task.
    pub task: &'a str,
    /// Where things were put, for the scripted expert.
    pub assignment: Option<Assignment>,
    /// Bounds of the actions.
    pub bounds: ActionBounds,
    /// Seed of everything random.
    pub seed: u64,
}

/// Policies that are loaded and wait for their next episode.
#[derive(Default)]
pub struct Sources {
    #[cfg(feature = "torch")]
    loaded: RefCell<BTreeMap<PathBuf, Box<VisualPolicy>>>,
}

impl Sources {
    /// The source of an entrant for one episode.
    pub fn take(&self, entrant: &Entrant, part: Part<'_>) -> anyhow::Result<Source> {
        let Part { task, assignment, bounds, seed } = part;
        Ok(match &entrant.policy {
            #[cfg(feature = "torch")]
            Some(folder) => {
                let loaded = self.loaded.borrow_mut().remove(folder);
                Source::Policy(match loaded {
                    Some(mut policy) => {
                        policy.set_task(folder, task)?;
                        policy
                    }
                    None => Box::new(VisualPolicy::load(folder, task, Arc::new(SystemClock::new()))?),
                })
            }
            #[cfg(not(feature = "torch"))]
            Some(folder) => anyhow::bail!("{}: {task}: built without libtorch", folder.display()),
            None if entrant.name == "random" => Source::Other(Box::new(RandomActions::new(bounds, seed))),
            None => {
                let assignment =
                    assignment.context("the scripted expert needs the objects' poses, and nothing supplies them")?;
                Source::Other(Box::new(Demonstrator::new(assignment, bounds, Disturbance::NONE, seed)))
            }
        })
    }

    /// Keeps a source for the entrant's next episode.
    pub fn give_back(&self, entrant: &Entrant, source: Source) {
        #[cfg(feature = "torch")]
        if let (Some(folder), Source::Policy(policy)) = (&entrant.policy, source) {
            self.loaded.borrow_mut().insert(folder.clone(), policy);
        }
        #[cfg(not(feature = "torch"))]
        let _ = (entrant, source);
    }
}
