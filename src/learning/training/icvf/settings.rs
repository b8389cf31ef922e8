//! Settings of ICVF, one flat file.

use std::path::PathBuf;

use anyhow::ensure;

use super::batch::{GoalBatches, Shared};
use super::goals::{GoalShares, UnfitShare};
use super::loss::LossShape;
use crate::encoder::EncoderKind;
use crate::network::PerceptronShape;
use crate::training::settings::settings;
use crate::training::{ClipAugmentation, Clips, ColorJitter, Fraction, NonNegative, Positive};

settings! {
    former = Settings::take_over;
    /// Settings, one flat file.
    pub struct Settings {
        // --- what is made
        /// Encoder kind: `small`, `vip`, `vptr`.
        pub encoder: EncoderKind,
        /// Weights the encoder starts from; without them: from the seed.
        #[serde(default)]
        pub encoder_weights: Option<PathBuf>,
        /// Hidden widths of phi, psi and T; the last is the length of all three.
        pub hidden: Vec<i64>,
        /// Dense -> GELU -> layer normalization in the heads instead of dense -> ReLU.
        pub layer_norm: bool,
        /// Share of the heads' units dropped while training.
        pub dropout: f64,
        /// psi starts as phi and B as A, with A scaled by this share, on embeddings scaled to mean 0 and deviation 1; 0: phi,
        /// psi, A and B start independent of each other, as published.
        #[serde(default, alias = "alike")]
        pub tied_init_scale: Fraction,
        // --- the value
        /// Discount gamma per step.
        pub discount: f64,
        /// alpha: weight of steps that come nearer to the intent; the others have 1 - alpha.
        pub expectile: f64,
        /// Use the smaller of the two values for the advantage; otherwise their mean.
        pub min_q: bool,
        /// Weight steps by the intent; otherwise plain temporal differences.
        pub intent: bool,
        /// Share of the learning network that goes into the target network per step.
        #[serde(alias = "target_rate")]
        pub tau: Fraction,
        // --- elements
        /// Images s drawn from each clip of a batch. 1: every element has its own images for s, g and z, and costs 7 passes of
        /// the encoder, as published. More: outcomes and intents are other images s of the batch, and an image costs 3 passes.
        #[serde(default = "one")]
        pub images_per_clip: usize,
        /// Elements (s, g, z) of each image s, where they share images.
        #[serde(default = "one")]
        pub goals_per_image: usize,
        // --- optimizer: the release has no clipping
        /// Largest learning rate.
        pub learning_rate: Positive,
        /// The encoder's fraction of it.
        #[serde(default = "Fraction::one", alias = "encoder_rate")]
        pub encoder_lr_fraction: Fraction,
        /// Before `final_lr_fraction`: does the learning rate fall to 0?
        #[doc(hidden)]
        #[serde(default, skip_serializing)]
        pub cosine: Option<bool>,
        /// Decoupled weight decay.
        pub weight_decay: NonNegative,
        /// Added to the root of Adam's second moment.
        #[serde(alias = "epsilon")]
        pub adam_epsilon: Positive,
        /// Step from which the encoder learns, too; before it only the heads learn.
        #[serde(default, alias = "encoder_from")]
        pub encoder_start_step: u64,
        // --- goals
        /// Number of images from s to s' in a clip.
        #[serde(default = "one")]
        pub stride: usize,
        /// Share of goals that are any image of any clip.
        pub p_random: f64,
        /// Share of goals that come later in the same clip, or now.
        pub p_traj: f64,
        /// Share of goals that are reached.
        pub p_curr: f64,
        /// Share of outcomes that equal the intent, g = z.
        pub p_samegoal: f64,
        /// Intents never come from another clip.
        pub intent_sametraj: bool,
        /// A goal of the same clip is at most this many images ahead; without it: any of the clip.
        #[serde(default)]
        pub max_distance: Option<usize>,
        // --- data
        /// Side of the clips' images \[pixels\].
        pub image_size: u32,
        /// Largest shift in x and y of an image, edges repeated \[pixels\].
        pub shift: u32,
        /// Color jitter of an image.
        pub color: ColorJitter,
    }
}

fn one() -> usize {
    1
}

impl Settings {
    /// Refuses values that cannot work, naming the key.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(self.steps > 0, "steps: found 0, expected at least 1");
        let counts = [
            ("batch_size", self.batch_size),
            ("images_per_clip", self.images_per_clip),
            ("goals_per_image", self.goals_per_image),
            ("stride", self.stride),
        ];
        for (key, found) in counts {
            ensure!(found > 0, "{key}: found 0, expected at least 1");
        }
        let (batch, per_clip) = (self.batch_size, self.images_per_clip);
        ensure!(
            batch.is_multiple_of(per_clip),
            "batch_size: found {batch}, expected a multiple of images_per_clip = {per_clip}"
        );
        ensure!(
            per_clip > 1 || self.goals_per_image == 1,
            "goals_per_image: found {}, expected 1 where images_per_clip = 1: every element has its own images then",
            self.goals_per_image
        );
        ensure!(
            per_clip == 1 || self.intent,
            "intent: found false, expected true where images_per_clip > 1: an intent is one of the shared images"
        );
        ensure!(
            per_clip == 1 || self.max_distance.is_none(),
            "max_distance: found {:?}, expected no such key where images_per_clip > 1",
            self.max_distance
        );
        let hidden = !self.hidden.is_empty() && self.hidden.iter().all(|width| *width > 0);
        ensure!(hidden, "hidden: found {:?}, expected at least one width, each at least 1", self.hidden);
        let shares = [
            ("dropout", self.dropout, 0.0, 0.99),
            ("discount", self.discount, 0.0, 1.0),
            ("expectile", self.expectile, 0.5, 1.0),
        ];
        for (key, found, low, high) in shares {
            ensure!((low..=high).contains(&found), "{key}: found {found}, expected {low} to {high}");
        }
        if let Some(UnfitShare { key, found, expected }) = self.goal_shares().refused() {
            anyhow::bail!("{key}: found {found}, expected {expected}");
        }
        Ok(())
    }

    /// How goals are drawn.
    pub fn goal_shares(&self) -> GoalShares {
        GoalShares {
            p_random: self.p_random,
            p_traj: self.p_traj,
            p_curr: self.p_curr,
            p_samegoal: self.p_samegoal,
            intent_sametraj: self.intent_sametraj,
            max_distance: self.max_distance,
            stride: self.stride,
        }
    }

    /// Batches of clips, drawn by these settings.
    pub fn batches<'a>(&self, clips: &'a dyn Clips) -> GoalBatches<'a> {
        GoalBatches {
            clips,
            shares: self.goal_shares(),
            augmentation: ClipAugmentation { shift: self.shift, color: self.color, ..ClipAugmentation::NONE },
            batch: self.batch_size,
            shared: (self.images_per_clip > 1)
                .then_some(Shared { images_per_clip: self.images_per_clip, goals_per_image: self.goals_per_image }),
            seed: self.seed,
            intent: self.intent,
        }
    }

    /// The numbers of the loss.
    pub fn loss_shape(&self) -> LossShape {
        LossShape { discount: self.discount, expectile: self.expectile, min_q: self.min_q, intent: self.intent }
    }

    /// Sizes of the heads.
    pub fn perceptron_shape(&self) -> PerceptronShape {
        PerceptronShape { hidden: self.hidden.clone(), layer_norm: self.layer_norm, dropout: self.dropout }
    }

    /// Learning rate of a step.
    pub fn rate(&self, step: u64) -> f64 {
        self.learning_rate.get() * self.lr_factor(step)
    }

    /// Takes over `cosine`.
    fn take_over(&mut self) -> Result<(), String> {
        if let Some(falls) = self.cosine.take() {
            self.final_lr_fraction = Fraction::try_from(if falls { 0.0 } else { 1.0 })?;
        }
        Ok(())
    }
}
