//! `visuomotor train behavior-cloning`: from a folder of demonstrations to a policy folder.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Shared;
use crate::config::load;
use crate::training::Dataset;
use crate::training::behavior_cloning::{self, Settings};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    shared: Shared,
    /// Try the policy in simulation at each checkpoint: this launch file
    #[arg(long)]
    try_on: Option<PathBuf>,
    /// Episodes per task of each try
    #[arg(long, default_value_t = 3)]
    try_episodes: usize,
}

pub(super) fn train(a: &Arguments) -> anyhow::Result<u8> {
    let shared = &a.shared;
    let mut settings: Settings = load(&shared.settings)?;
    settings.steps = shared.steps.unwrap_or(settings.steps);
    settings.seed = shared.seed.unwrap_or(settings.seed);
    crate::cli::recordings::finish(&shared.data)?;
    let data = Dataset::read(&shared.data, &settings.tasks, settings.image_size)?;
    say!("{} episodes, {} steps from {}", data.episodes(), data.len(), shared.data.display());
    let score = |folder: &Path| try_policy(a.try_on.as_deref(), a.try_episodes, folder);
    shared.run("policy", &score, |run| behavior_cloning::train(&settings, &data, run))
}

#[cfg(feature = "mujoco")]
fn try_policy(launch: Option<&Path>, episodes: usize, folder: &Path) -> anyhow::Result<Option<f64>> {
    let Some(launch) = launch else { return Ok(None) };
    crate::cli::demonstrate::success_rate(launch, folder, episodes).map(Some)
}

#[cfg(not(feature = "mujoco"))]
fn try_policy(_launch: Option<&Path>, _episodes: usize, _folder: &Path) -> anyhow::Result<Option<f64>> {
    Ok(None)
}
