//! Entrants of an evaluation: the scripted expert, random actions, no actions, or a matching policy.

#[cfg(feature = "torch")]
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
#[cfg(feature = "torch")]
use std::sync::Arc;

use anyhow::Context;

use super::new_folder::NewFolder;
use super::source::{Part, Source};
use super::station::StationSetting;
use crate::config::PolicySource;
#[cfg(feature = "torch")]
use crate::encoder::EncoderKind;
#[cfg(feature = "torch")]
use crate::policy::{BroughtPolicy, Checkpoint, Condition, Description, VisualPolicy};
use crate::recording::{WriterOptions, require_room};
use crate::scripted::{RandomActions, Still};
#[cfg(feature = "torch")]
use crate::time::SystemClock;

/// A decision source for trials, and its results folder.
#[derive(Clone)]
pub(super) struct Entrant {
    /// The decision source.
    decides: PolicySource,
    /// Name for reports.
    pub name: String,
    /// SHA-256 of the weights; empty if there are none.
    pub weights_digest: String,
    /// Name on the page.
    pub shown: String,
    /// Results folder.
    pub folder: PathBuf,
    /// Removes that folder at the end if it is empty; clones share it.
    _made: Option<Rc<NewFolder>>,
    /// The policy's folder; `None` for the expert and for random actions.
    #[cfg(feature = "torch")]
    policy: Option<PathBuf>,
    /// The policy between episodes, loaded once; clones share it.
    #[cfg(feature = "torch")]
    loaded: Rc<RefCell<Option<Source>>>,
    /// Does the policy have a critic?
    #[cfg(feature = "torch")]
    critic: bool,
}

impl Entrant {
    /// Opens `source`; a policy is refused if it does not fit the station and these tasks.
    pub fn open(setting: &StationSetting, tasks: &[String], source: &PolicySource) -> anyhow::Result<Self> {
        let mut entrant = Self {
            decides: source.clone(),
            name: source.to_string(),
            weights_digest: String::new(),
            shown: source.to_string(),
            folder: PathBuf::new(),
            _made: None,
            #[cfg(feature = "torch")]
            policy: None,
            #[cfg(feature = "torch")]
            loaded: Rc::default(),
            #[cfg(feature = "torch")]
            critic: false,
        };
        if let PolicySource::Folder(folder) = source {
            entrant.open_policy(setting, tasks, folder)?;
            entrant.shown.clone_from(&entrant.name);
        }
        Ok(entrant)
    }

    /// Sets the results folder; one that cannot be written is an error before anything moves.
    pub fn keep_in(mut self, folder: &Path) -> anyhow::Result<Self> {
        let episodes = folder.join("episodes");
        self._made = Some(Rc::new(NewFolder::create(&episodes, "--out")?));
        // A disk that fills up later does not end the trials.
        require_room(&episodes, WriterOptions::default().min_free_bytes)?;
        self.folder = folder.to_path_buf();
        Ok(self)
    }

    #[cfg(feature = "torch")]
    fn open_policy(&mut self, setting: &StationSetting, tasks: &[String], folder: &Path) -> anyhow::Result<()> {
        let folder = setting.root.join(folder);
        if BroughtPolicy::is_in(&folder) {
            self.open_brought(setting, &folder, tasks)?;
        } else {
            self.open_trained(setting, &folder, tasks)?;
        }
        say!("{}", crate::network::describe_device());
        self.policy = Some(folder);
        Ok(())
    }

    #[cfg(feature = "torch")]
    fn open_brought(&mut self, setting: &StationSetting, folder: &Path, tasks: &[String]) -> anyhow::Result<()> {
        let description = Description::load(folder)?;
        for task in tasks {
            let goal = setting.goal_image(task)?;
            let condition = Condition { task, instruction: setting.instruction(task), goal: goal.as_ref() };
            description.check(folder, &setting.offer(), &setting.camera_names(), &condition)?;
        }
        if let Some(task) = tasks.first() {
            // A refused module, or one with another shape, is an error here.
            self.loaded.replace(Some(Source::Brought(Box::new(brought(
                setting,
                folder,
                task,
                setting.instruction(task),
            )?))));
        }
        self.name = description.name;
        self.weights_digest = description.module.digest;
        Ok(())
    }

    #[cfg(feature = "torch")]
    fn open_trained(&mut self, setting: &StationSetting, folder: &Path, tasks: &[String]) -> anyhow::Result<()> {
        let checkpoint = Checkpoint::load(folder)?;
        for task in tasks {
            checkpoint.check(folder, &setting.offer(), task)?;
            // So is an unreadable image, instead of when the arm is at its start.
            setting.goal_image(task)?;
        }
        if let Some(task) = tasks.first() {
            // Weights that do not fit the network, or are not finite, are an error here.
            let policy = VisualPolicy::load(folder, task, super::compute_device(), Arc::new(SystemClock::new()))?;
            self.loaded.replace(Some(Source::Policy(Box::new(policy))));
        }
        if checkpoint.encoder == EncoderKind::Small {
            // The small encoder takes 2 ms per image on one core; a second thread would compete with the
            // control thread.
            crate::network::set_threads(1);
        }
        self.name.clone_from(&checkpoint.name);
        self.weights_digest = checkpoint.weights_digest();
        self.critic = checkpoint.critic.is_some();
        Ok(())
    }

    #[cfg(not(feature = "torch"))]
    fn open_policy(&mut self, _setting: &StationSetting, _tasks: &[String], folder: &Path) -> anyhow::Result<()> {
        anyhow::bail!(
            "{}: this program was built without libtorch; use expert or random, or build with it",
            folder.display()
        )
    }

    /// The decision source of an episode. Give a policy back afterwards.
    pub fn source(&self, part: Part<'_>) -> anyhow::Result<Source> {
        let Part { task, instruction, assignment, station, seed } = part;
        Ok(match &self.decides {
            PolicySource::Folder(folder) => self.policy_for(station, &station.root.join(folder), task, instruction)?,
            PolicySource::Random => Source::Other(Box::new(RandomActions::new(station.action_space(), seed))),
            PolicySource::Still => Source::Other(Box::new(Still::new(station.action_space()))),
            PolicySource::Expert => {
                let assignment =
                    assignment.context("the scripted expert needs the objects' poses, and nothing supplies them")?;
                Source::Other(station.expert(assignment, 0.0, seed)?)
            }
        })
    }

    #[cfg(feature = "torch")]
    fn policy_for(
        &self,
        station: &StationSetting,
        folder: &Path,
        task: &str,
        instruction: &str,
    ) -> anyhow::Result<Source> {
        Ok(match self.loaded.take() {
            Some(Source::Policy(mut policy)) => {
                policy.set_task(folder, task)?;
                Source::Policy(policy)
            }
            Some(Source::Brought(mut policy)) => {
                let goal = station.goal_image(task)?;
                policy.set_task(&Condition { task, instruction, goal: goal.as_ref() })?;
                Source::Brought(policy)
            }
            // It was not given back because its episode ended in an error.
            _ if BroughtPolicy::is_in(folder) => {
                Source::Brought(Box::new(brought(station, folder, task, instruction)?))
            }
            _ => {
                let policy = VisualPolicy::load(folder, task, super::compute_device(), Arc::new(SystemClock::new()))?;
                Source::Policy(Box::new(policy))
            }
        })
    }

    #[cfg(not(feature = "torch"))]
    fn policy_for(
        &self,
        _station: &StationSetting,
        folder: &Path,
        _task: &str,
        _instruction: &str,
    ) -> anyhow::Result<Source> {
        anyhow::bail!("{}: this program was built without libtorch", folder.display())
    }

    /// Keeps a source for the next episode.
    pub fn give_back(&self, source: Source) {
        match source {
            Source::Other(_) => {}
            #[cfg(feature = "torch")]
            policy => _ = self.loaded.replace(Some(policy)),
        }
    }

    /// Critic values along `episode`, a recording in the results folder, if the policy has a critic: times \[s since the
    /// first step\] and values.
    #[cfg(feature = "torch")]
    pub fn state_value(&self, episode: &str) -> anyhow::Result<Vec<(f64, f64)>> {
        let Some(policy) = self.policy.as_ref().filter(|_| self.critic) else { return Ok(Vec::new()) };
        let file = self.folder.join(episode);
        let recorded = crate::recording::read_episode(&file)?;
        let critic = crate::policy::StateValue::load(policy, super::compute_device())?;
        let values = super::values::values_along(&critic, &file, &recorded)?;
        let start = recorded.steps.first().map_or(0.0, |step| step.observed_at.as_secs_f64());
        let at = recorded.steps.iter().map(|step| step.observed_at.as_secs_f64() - start);
        Ok(at.zip(values).collect())
    }

    /// No-op: without libtorch there are no policies.
    #[cfg(not(feature = "torch"))]
    pub fn state_value(&self, _episode: &str) -> anyhow::Result<Vec<(f64, f64)>> {
        Ok(Vec::new())
    }
}

/// An external policy, for a task of this station.
#[cfg(feature = "torch")]
fn brought(station: &StationSetting, folder: &Path, task: &str, instruction: &str) -> anyhow::Result<BroughtPolicy> {
    let (goal, stopwatch) = (station.goal_image(task)?, Arc::new(SystemClock::new()));
    let condition = Condition { task, instruction, goal: goal.as_ref() };
    Ok(BroughtPolicy::load(folder, &station.offer(), &station.camera_names(), &condition, stopwatch)?)
}
