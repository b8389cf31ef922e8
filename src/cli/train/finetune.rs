//! `visuomotor train finetune`: V-PTR's phase 3, from the folder of a phase 2 and episodes of the target tasks to a policy
//! folder.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::Args;
use serde_json::json;

use super::trials::Trials;
use super::{Shared, cql::schedule, episodes};
use crate::config::load;
use crate::training::cql::{self, Cql, Settings};
use crate::training::learn;
use crate::training::transitions::Mixture;
use crate::untrusted;

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
    let (from, encoder_begins) = (a.from.display(), settings.reinit_actor && !settings.freeze_encoders);
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
    let file = shared.settings.display();
    ensure!(
        settings.encoder_weights.is_none() || encoder_begins,
        "{file}: key `encoder_weights`: found {:?}, expected none: the encoders are those of --from; remove it, or set \
         `reinit_actor` and no `freeze_encoders`",
        settings.encoder_weights
    );
    ensure!(
        settings.switch_at == 0,
        "{file}: key `switch_at`: found {}, expected 0: phase 2 is over when phase 3 begins",
        settings.switch_at
    );
    let checkpoint = cql::continued(&settings, &a.from)?;
    let read = |what: &str, folders: &[PathBuf]| {
        episodes::read(what, folders, &settings.tasks, settings.image_size, &settings.labels())
    };
    let prior = read("prior data", &a.prior)?;
    let target = read("target data", std::slice::from_ref(&shared.data))?;
    let mixture = Mixture::new(&settings, &checkpoint, &prior, Some(&target))?;
    say!("{}", mixture.describe());
    let mut learner = Cql::new(&settings, &checkpoint, mixture.held_out()?)?;
    if !shared.resume {
        learner.go_on_from(&a.from)?;
    }
    let record = json!({
        "algorithm": "finetune",
        "settings": settings,
        "from": record_of(&a.from),
        "data": { "prior": episodes::described(&prior), "target": episodes::described(&target) },
    });
    let score = |folder: &Path| a.trials.score(folder);
    shared.run("policy and critic", &score, |run| learn(&mut learner, &mixture, &schedule(&settings), record, run))
}

/// The training record of phase 2, to include in this one; `None` if there is none.
fn record_of(folder: &Path) -> Option<serde_json::Value> {
    serde_json::from_slice(&untrusted::read(&folder.join("record.json"), untrusted::LARGEST_TEXT).ok()?).ok()
}
