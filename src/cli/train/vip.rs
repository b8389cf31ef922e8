//! `visuomotor train vip`: from videos to an encoder.

use clap::Args;

use super::Shared;
use crate::config::load;
use crate::training::vip::{self, Settings};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    shared: Shared,
}

pub(super) fn train(a: &Arguments) -> anyhow::Result<u8> {
    let shared = &a.shared;
    let mut settings: Settings = load(&shared.settings)?;
    settings.steps = shared.steps.unwrap_or(settings.steps);
    settings.seed = shared.seed.unwrap_or(settings.seed);
    let clips = shared.clips(settings.image_size)?;
    say!("{} clips from {}", clips.len(), shared.data.display());
    shared.run("encoder", &|_| Ok(None), |run| vip::train(&settings, &*clips, run))
}
