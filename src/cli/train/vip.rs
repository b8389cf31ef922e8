//! `visuomotor train vip`: trains an encoder from videos.

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
    shared.decide(&mut settings.steps, &mut settings.seed, &mut settings.bf16);
    let clips = shared.clips(settings.image_size)?;
    shared.run("encoder", &|_| Ok(None), |run| vip::train(&settings, &*clips, run))
}
