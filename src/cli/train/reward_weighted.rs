//! `visuomotor train reward-weighted`: behavior cloning weighted by VIP's reward (baseline VIP_reward).

use std::path::{Path, PathBuf};

use clap::Args;

use super::trials::Trials;
use super::{Shared, episodes};
use crate::config::load;
use crate::training::reward_weighted::{self, Settings};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    shared: Shared,
    /// Pretrained weights of the reward's encoder, instead of the settings file's
    #[arg(long)]
    encoder_weights: Option<PathBuf>,
    #[command(flatten)]
    trials: Trials,
}

pub(super) fn train(a: &Arguments) -> anyhow::Result<u8> {
    let shared = &a.shared;
    let mut settings: Settings = load(&shared.settings)?;
    shared.decide(&mut settings.steps, &mut settings.seed, &mut settings.bf16);
    if let Some(file) = &a.encoder_weights {
        settings.encoder_weights.clone_from(file);
    }
    settings.check(&shared.settings)?;
    let folders = std::slice::from_ref(&shared.data);
    let data = episodes::read("data", folders, &settings.tasks, settings.image_size, &settings.labels())?;
    let score = |folder: &Path| a.trials.score(folder);
    shared.accept(&data.left_out)?;
    let code = shared.run("policy", &score, |run| reward_weighted::train(&settings, &data, run))?;
    shared.ended(code, &data.left_out)
}
