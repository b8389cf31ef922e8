//! `visuomotor train behavior-cloning`: trains a policy from a folder of demonstrations.

use std::path::Path;

use clap::Args;

use super::Shared;
use super::trials::Trials;
use crate::config::load;
use crate::training::Dataset;
use crate::training::behavior_cloning::{self, Settings};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    shared: Shared,
    #[command(flatten)]
    trials: Trials,
}

pub(super) fn train(a: &Arguments) -> anyhow::Result<u8> {
    let shared = &a.shared;
    let mut settings: Settings = load(&shared.settings)?;
    shared.decide(&mut settings.steps, &mut settings.seed, &mut settings.bf16);
    crate::cli::recordings::finish(&shared.data)?;
    let data = Dataset::read(&shared.data, &settings.tasks, settings.image_size)?;
    say!("{} episodes, {} steps from {}", data.episodes(), data.len(), shared.data.display());
    let score = |folder: &Path| a.trials.score(folder);
    shared.accept(&data.left_out)?;
    let code = shared.run("policy", &score, |run| behavior_cloning::train(&settings, &data, run))?;
    shared.ended(code, &data.left_out)
}
