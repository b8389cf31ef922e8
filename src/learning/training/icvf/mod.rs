//! ICVF: an image encoder trained on action-free video with intention-conditioned values; V-PTR's phase 1.
//!
//! Ghosh, Bhateja and Levine 2023, "Reinforcement learning from passive data via latent intentions"; Bhateja et al. 2023,
//! "Robotic offline RL from internet videos via value-function pre-training" (V-PTR), appendix A.1. It learns V(s, g, z):
//! minus the discounted number of steps from image s to outcome g for an agent with intent z. Later phases use the encoder f
//! only.
//!
//! Deviations from the released code for runs that are a thousand times shorter, all off in the published settings: elements
//! may share their images ([`GoalBatches::shared`]), phi and psi may start alike
//! ([`begin_alike`](crate::network::IntentionValues::begin_alike)), the encoder may learn later and slower than the heads
//! ([`Settings::encoder_start_step`], [`Settings::encoder_lr_fraction`]), s' may be several images ahead ([`Settings::stride`]).
//!
//! Start reading at [`loss()`]; [`GoalShares`] chooses the images to compare, [`Icvf`] takes the steps.

mod batch;
mod goals;
mod learner;
mod loss;
mod settings;
mod value_file;
#[cfg(test)]
pub(crate) mod tests;

pub use batch::{Batch, GoalBatches, Shared};
pub use goals::{GoalShares, Place, Sample};
pub use learner::Icvf;
pub use loss::{Embeddings, Loss, LossShape, Reached, TargetEmbeddings, loss};
pub use settings::Settings;
pub use value_file::load_values;

use anyhow::ensure;

use super::clips::{at_least, names_digest, split};
use super::{Clips, Run, learn};
use crate::encoder::EncoderKind;

/// Fewest images of a clip that contain a step.
const SHORTEST: usize = 2;

/// Trains an encoder and its values on clips, whose images are of `settings.image_size`, to the end or until asked to stop.
/// Returns whether it came to the end. Clips of fewer than 2 images are skipped and reported.
pub fn train(settings: &Settings, clips: &dyn Clips, run: &Run<'_>) -> anyhow::Result<bool> {
    settings.check()?;
    check_size(settings, clips)?;
    let long = at_least(clips, SHORTEST)?;
    if let Some(remark) = long.remark() {
        (run.tell)(&remark);
    }
    let (learned, held_out) = split(&long, settings.validation)?;
    let record = serde_json::json!({
        "algorithm": "icvf",
        "settings": settings,
        "data": {
            "clips": long.len(), "kept_back": held_out.len(), "passed_over": long.left_out(),
            "frames": (0..long.len()).map(|clip| long.frames(clip)).sum::<usize>(),
            "digest_of_names_and_lengths": names_digest(clips),
        },
    });
    let mut learner = Icvf::new(settings, &held_out, run.device)?;
    learn(&mut learner, &settings.batches(&learned), &settings.schedule(), record, run)
}

/// Refuses images of another size than the settings name, or than the encoder can take.
fn check_size(settings: &Settings, clips: &dyn Clips) -> anyhow::Result<()> {
    let (found, size) = (settings.image_size, clips.size());
    ensure!(found == size, "image_size: found {found}, but the clips' images are {size} pixels wide; make them equal");
    let small = settings.encoder == EncoderKind::Small;
    let expected = crate::encoder::preprocess::POLICY_SIZE;
    ensure!(!small || size == expected, "image_size: found {size}, the encoder `small` expects {expected}");
    Ok(())
}
