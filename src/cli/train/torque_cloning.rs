//! `visuomotor train torque-cloning`: trains a torque policy from a folder of demonstrations.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Shared;
use super::trials::Trials;
use crate::config::load;
use crate::training::Dataset;
use crate::training::torque_cloning::{self, Settings};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    shared: Shared,
    /// Weights of the encoder, which stays frozen; a policy of the same camera has them
    #[arg(long)]
    encoder_weights: PathBuf,
    /// Maximum age of the arm's state in policy steps, instead of the settings file's
    #[arg(long, alias = "stale", value_name = "STEPS")]
    max_state_age: Option<usize>,
    #[command(flatten)]
    trials: Trials,
}

pub(super) fn train(a: &Arguments) -> anyhow::Result<u8> {
    let shared = &a.shared;
    let mut settings: Settings = load(&shared.settings)?;
    shared.decide(&mut settings.steps, &mut settings.seed, &mut settings.bf16);
    settings.max_state_age = a.max_state_age.unwrap_or(settings.max_state_age);
    crate::cli::recordings::finish(&shared.data)?;
    let data = Dataset::read(&shared.data, &settings.tasks, settings.image_size)?;
    say!("{} episodes, {} steps from {}", data.episodes(), data.len(), shared.data.display());
    let score = |folder: &Path| a.trials.score(folder);
    shared.accept(&data.left_out)?;
    let code = shared.run("policy", &score, |run| torque_cloning::train(&settings, &data, &a.encoder_weights, run))?;
    shared.ended(code, &data.left_out)
}
