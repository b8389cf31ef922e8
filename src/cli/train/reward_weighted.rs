//! `visuomotor train reward-weighted`: behavior cloning weighted by VIP's reward (baseline VIP_reward).

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::trials::Trials;
use super::{Shared, episodes};
use crate::config::load;
use crate::training::reward_weighted::{RewardWeighted, Settings, Weighted};
use crate::training::{Schedule, learn};

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
    let checkpoint = settings.described(&data);
    let weighted = Weighted::new(&settings, &checkpoint, &data)?;
    say!("{}", weighted.describe());
    let mut learner = RewardWeighted::new(&settings, &checkpoint, weighted.held_out()?)?;
    let schedule = Schedule {
        seed: settings.seed,
        steps: settings.steps,
        checkpoint_every: settings.checkpoint_every,
        validate_every: settings.validate_every,
    };
    let record = json!({
        "algorithm": "reward-weighted",
        "settings": settings,
        "data": episodes::described(&data),
    });
    let score = |folder: &Path| a.trials.score(folder);
    shared.run("policy", &score, |run| learn(&mut learner, &weighted, &schedule, record, run))
}
