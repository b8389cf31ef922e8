//! `visuomotor train cql`: V-PTR's phase 2, from robot data of many tasks to a policy folder with its critic.

use std::path::{Path, PathBuf};

use clap::Args;

use super::trials::Trials;
use super::{Shared, episodes};
use crate::config::load;
use crate::training::cql::{self, Settings};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    shared: Shared,
    /// Folder of the target tasks' episodes, mixed in from the settings' switch_at (phase 3 in the same run)
    #[arg(long)]
    target: Option<PathBuf>,
    /// Initial weights of both encoders (phase 1), instead of the settings file's
    #[arg(long)]
    encoder_weights: Option<PathBuf>,
    /// Freeze the encoders, overriding the settings file: the frozen baselines
    #[arg(long)]
    freeze_encoders: bool,
    #[command(flatten)]
    trials: Trials,
}

pub(super) fn train(a: &Arguments) -> anyhow::Result<u8> {
    let shared = &a.shared;
    let mut settings: Settings = load(&shared.settings)?;
    shared.decide(&mut settings.steps, &mut settings.seed, &mut settings.bf16);
    if a.encoder_weights.is_some() {
        settings.encoder_weights.clone_from(&a.encoder_weights);
    }
    settings.freeze_encoders |= a.freeze_encoders;
    settings.check(&shared.settings)?;
    if a.target.is_some() {
        settings.check_switch(&shared.settings)?;
    }
    let read = |what: &str, folder: &Path| {
        let folders = [folder.to_path_buf()];
        episodes::read(what, &folders, &settings.tasks, settings.image_size, &settings.labels())
    };
    shared.refuse_leaks()?;
    let prior = read("prior data", &shared.data)?;
    let target = a.target.as_deref().map(|folder| read("target data", folder)).transpose()?;
    let score = |folder: &Path| a.trials.score(folder);
    let of_target = target.as_ref().map(|data| data.left_out.as_slice()).unwrap_or_default();
    let left_out = [prior.left_out.as_slice(), of_target].concat();
    shared.accept(&left_out)?;
    let code = shared.run("policy and critic", &score, |run| cql::train(&settings, &prior, target.as_ref(), run))?;
    shared.ended(code, &left_out)
}
