//! `visuomotor train finetune`: V-PTR's phase 3, from the folder of a phase 2 and episodes of the target tasks to a policy
//! folder.

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
    /// Folder of the phase 2 to start from (`visuomotor train cql`)
    #[arg(long)]
    from: PathBuf,
    /// Folder of phase 2's data to mix in; may be given several times
    #[arg(long, required = true)]
    prior: Vec<PathBuf>,
    /// Reinitialize the actor and keep only the critic of --from, overriding the settings file
    #[arg(long, alias = "actor-anew")]
    reinit_actor: bool,
    /// Initial encoder weights of a reinitialized actor (phase 1's); default: the encoder of --from
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
    settings.freeze_encoders |= a.freeze_encoders;
    settings.reinit_actor |= a.reinit_actor;
    let (from, encoder_begins) = (a.from.display(), settings.encoder_begins());
    match &a.encoder_weights {
        Some(weights) if encoder_begins => settings.encoder_weights = Some(weights.clone()),
        Some(weights) => say!("{} is not needed: the actor's encoder is that of {from}", weights.display()),
        None => {}
    }
    if encoder_begins {
        let weights = settings.encoder_weights.as_ref().map_or("the seed".into(), |file| file.display().to_string());
        say!("reinitialized actor with the encoder of {weights}; the critic is that of {from}");
    }
    settings.check(&shared.settings)?;
    settings.check_continuing(&shared.settings)?;
    // Before hours of reading; training reads it again.
    cql::continued(&settings, &a.from)?;
    let read = |what: &str, folders: &[PathBuf]| {
        episodes::read(what, folders, &settings.tasks, settings.image_size, &settings.labels())
    };
    let prior = read("prior data", &a.prior)?;
    let target = read("target data", std::slice::from_ref(&shared.data))?;
    let score = |folder: &Path| a.trials.score(folder);
    let left_out = [prior.left_out.as_slice(), &target.left_out].concat();
    shared.accept(&left_out)?;
    let code =
        shared.run("policy and critic", &score, |run| cql::finetune(&settings, &a.from, &prior, &target, run))?;
    shared.ended(code, &left_out)
}
