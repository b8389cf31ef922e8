//! Who takes part in an evaluation: the scripted expert, random actions, or a policy that fits.

use std::path::{Path, PathBuf};
#[cfg(feature = "torch")]
use std::sync::Arc;

use anyhow::Context;

use super::station::StationSetting;
use crate::recording::{WriterOptions, require_room};
#[cfg(feature = "torch")]
use crate::time::SystemClock;

/// Whoever decides in a trial, and where what comes of it is kept.
#[derive(Clone)]
pub(super) struct Entrant {
    /// Name for reports.
    pub name: String,
    /// SHA-256 of the weights; empty without.
    pub weights_digest: String,
    /// What the page calls it.
    pub shown: String,
    /// Results folder.
    pub folder: PathBuf,
    /// The policy's folder; none of the expert and of random actions.
    pub policy: Option<PathBuf>,
    /// Does the policy have a critic?
    #[cfg(feature = "torch")]
    critic: bool,
}

impl Entrant {
    /// Opens `source`: `expert`, `random`, or a policy's folder, which is refused if it does not fit the station and these tasks.
    pub fn open(setting: &StationSetting, tasks: &[String], source: &str) -> anyhow::Result<Self> {
        let mut entrant = Self {
            name: source.to_string(),
            weights_digest: String::new(),
            shown: source.to_string(),
            folder: PathBuf::new(),
            policy: None,
            #[cfg(feature = "torch")]
            critic: false,
        };
        if !matches!(source, "expert" | "random") {
            entrant.open_policy(setting, tasks, source)?;
            entrant.shown.clone_from(&entrant.name);
        }
        Ok(entrant)
    }

    /// Keeps its results in `folder`; one that cannot be written is found before anything moves.
    pub fn keep_in(mut self, folder: &Path) -> anyhow::Result<Self> {
        let episodes = folder.join("episodes");
        std::fs::create_dir_all(&episodes)
            .with_context(|| format!("{}: cannot be created; choose another --out", episodes.display()))?;
        // A disk that runs full later does not end the trials.
        require_room(&episodes, WriterOptions::default().min_free_bytes)?;
        self.folder = folder.to_path_buf();
        Ok(self)
    }

    #[cfg(feature = "torch")]
    fn open_policy(&mut self, setting: &StationSetting, tasks: &[String], source: &str) -> anyhow::Result<()> {
        use crate::policy::{Checkpoint, VisualPolicy};
        let folder = setting.root.join(source);
        let checkpoint = Checkpoint::load(&folder)?;
        let (policy, robot) = (&setting.launch.policy, &setting.robot.robot.name);
        for task in tasks {
            checkpoint.check(&folder, robot, policy.rate_hz, &policy.bounds, setting.image_size(), task)?;
        }
        if let Some(task) = tasks.first() {
            // Weights that do not fit the network, or are not finite, are found here.
            VisualPolicy::load(&folder, task, Arc::new(SystemClock::new()))?;
        }
        if checkpoint.encoder == "small" {
            // One image through the small encoder takes 2 ms on one core; a second thread would spin beside the
            // control thread.
            crate::network::set_threads(1);
        }
        say!("{}", crate::network::describe_device());
        self.name = checkpoint.name.clone();
        self.weights_digest = checkpoint.weights_digest();
        self.critic = checkpoint.critic.is_some();
        self.policy = Some(folder);
        Ok(())
    }

    #[cfg(not(feature = "torch"))]
    fn open_policy(&mut self, _setting: &StationSetting, _tasks: &[String], source: &str) -> anyhow::Result<()> {
        anyhow::bail!("{source}: this program was built without libtorch; use expert or random, or build with it")
    }

    /// What the policy's critic, if it has one, expected along `episode`, a recording in the results folder: moments \[s since
    /// the first step\] and values.
    #[cfg(feature = "torch")]
    pub fn state_value(&self, episode: &str) -> anyhow::Result<Vec<(f64, f64)>> {
        let Some(policy) = self.policy.as_ref().filter(|_| self.critic) else { return Ok(Vec::new()) };
        let file = self.folder.join(episode);
        let recorded = crate::recording::read_episode(&file)?;
        let values = super::values::values_along(&crate::policy::StateValue::load(policy)?, &file, &recorded)?;
        let start = recorded.steps.first().map_or(0.0, |step| step.observed_at.as_secs_f64());
        let at = recorded.steps.iter().map(|step| step.observed_at.as_secs_f64() - start);
        Ok(at.zip(values).collect())
    }

    /// Nothing: without libtorch there are no policies.
    #[cfg(not(feature = "torch"))]
    pub fn state_value(&self, _episode: &str) -> anyhow::Result<Vec<(f64, f64)>> {
        Ok(Vec::new())
    }
}
