//! VIP: value-implicit pre-training (Ma et al. 2022), from video without actions to an encoder whose embedding distance to
//! a goal image is a value.
//!
//! One file because it is the whole algorithm. From a clip it draws o_0 (a start), g (a later frame, the goal), and o_k,
//! o_k+1 in between. With phi the encoder, d(o) = |phi(o) - phi(g)|_2 and the value V(o) = -d(o), minimize
//!
//! ```text
//! L = l2 E|phi|_2 + l1 E|phi|_1                                    over all four frames
//!   + (1 - gamma) E d(o_0) + log E exp(1 + gamma d(o_k+1) - d(o_k))   the dual of goal-reaching, reward -1 a step
//!   + log E exp(1 + gamma d(o_k+1) - d(o_k))                          the same for pairs of other clips, permuted
//! ```
//!
//! by Adam. This is the released code (facebookresearch/vip, `trainer.py`); formulas printed elsewhere have other signs. The
//! goal differs per element, and the expectation over it is within the logarithm. The release adds 1e-8 within each logarithm
//! and exponentiates without protection against overflow; here the sum is stable and the 1e-8 is added in the logarithm's
//! domain. VIP's published weights, usable as `encoder_weights` after `visuomotor convert`, are CC BY-NC 4.0: not for
//! commercial use.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use rand::Rng;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, TchError, Tensor};

use super::checkpoint::{named, restore_named};
use super::clips::{at_least, names_digest, split};
use super::diagnostics::{Spread, bumps, clip_images, rows};
use super::settings::settings;
use super::{
    Adam, Batches, ClipAugmentation, Clips, ColorJitter, Crop, Learner, NonNegative, Positive, Run, Terms,
    TrainedEncoder, learn, step_seed,
};
use crate::encoder::EncoderKind;

/// Frames of a sample: o_0, g, o_k, o_k+1.
const FRAMES: usize = 4;
/// Fewest frames of a clip that can be used.
const SHORTEST: usize = 3;
/// Added within each logarithm, as in the released code.
const EPSILON: f64 = 1e-8;
/// Batches of held-out clips per validation.
const VALIDATION_BATCHES: u64 = 4;
/// Held-out clips whose bumps are counted, and the frames used of each from its start (VIP's table: snippets of 50).
const BUMP_CLIPS: usize = 16;
const BUMP_FRAMES: usize = 50;

settings! {
    /// Settings, one flat file.
    pub struct Settings {
        // --- what is made
        /// Encoder kind: `small`, `vip`, `vptr`.
        pub encoder: EncoderKind,
        /// Weights the encoder starts from; without them: from the seed.
        #[serde(default)]
        pub encoder_weights: Option<PathBuf>,
        /// Side of the frames \[pixels\]: 128 for `small`, 224 for `vip`.
        pub image_size: u32,
        /// Encoder `vip`: enlarge to 256 and crop the central 224, as the release does after its random crop.
        #[serde(default)]
        pub zoom: bool,
        // --- loss
        /// Discount gamma.
        pub discount: f64,
        /// How often the pairs (o_k, o_k+1) are permuted over the batch for the second logarithm; 0 leaves it out.
        pub negatives: usize,
        /// Weight of the embeddings' mean L2 norm.
        pub l2_penalty: NonNegative,
        /// Weight of the embeddings' mean L1 norm.
        pub l1_penalty: NonNegative,
        /// Largest learning rate; the release's is constant.
        pub learning_rate: Positive,
        // --- data
        /// Random crops: `none`, `rc` (one for each frame), `rctraj` (one for the four frames).
        pub crop: Crop,
        /// Least and largest share of the area in a crop.
        pub crop_scale: (f64, f64),
    }
}

impl Settings {
    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.batch_size > 0, "batch_size: found 0, expected at least 1");
        // Written so that NaN fails it.
        ensure!(
            self.discount > 0.0 && self.discount < 1.0,
            "discount: found {}, expected above 0 and below 1",
            self.discount
        );
        let (least, largest) = self.crop_scale;
        ensure!(
            least > 0.0 && least <= largest && largest <= 1.0,
            "crop_scale: found [{least}, {largest}], expected two shares above 0, at most 1, the smaller one first"
        );
        Ok(())
    }

    fn objective(&self) -> Objective {
        Objective { discount: self.discount, l2_penalty: self.l2_penalty.get(), l1_penalty: self.l1_penalty.get() }
    }
}

/// Constants of the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// Discount gamma.
    pub discount: f64,
    /// Weight of the embeddings' mean L2 norm.
    pub l2_penalty: f64,
    /// Weight of the embeddings' mean L1 norm.
    pub l1_penalty: f64,
}

/// The loss and its terms, each a number.
pub struct Loss {
    /// The sum of the others.
    pub total: Tensor,
    /// Penalty on the embeddings' size.
    pub size: Tensor,
    /// (1 - gamma) E d(o_0) and the logarithm over the clips' own pairs. 1 where all embeddings are equal.
    pub main: Tensor,
    /// The logarithm over the permuted pairs, 0 without any. 1 where all embeddings are equal.
    pub negatives: Tensor,
}

/// VIP's loss of embeddings (B, 4, D) in the order o_0, g, o_k, o_k+1. Each of `permutations` assigns to every goal the
/// element whose pair (o_k, o_k+1) is used: B numbers in 0..B.
pub fn loss(embeddings: &Tensor, permutations: &[Vec<i64>], objective: &Objective) -> Result<Loss, TchError> {
    let [batch, 4, _] = embeddings.size()[..] else {
        let shape = embeddings.size();
        return Err(TchError::Shape(format!("embeddings of shape {shape:?} were given, (B, 4, D) is expected")));
    };
    // |.|_p over D; the gradient of |0|_2 is 0.
    let length = |x: &Tensor, p: i64| x.norm_scalaropt_dim(p, &[-1i64][..], false);
    let mean = |x: Tensor| x.mean(Kind::Float);
    let gamma = objective.discount;
    // The embeddings' size.
    let size = mean(length(embeddings, 2)) * objective.l2_penalty + mean(length(embeddings, 1)) * objective.l1_penalty;
    // d(.), each (B).
    let frame = |i: i64| embeddings.select(1, i);
    let (start, goal, now, next) = (frame(0), frame(1), frame(2), frame(3));
    let distance = |x: &Tensor, goal: &Tensor| length(&(x - goal), 2);
    // -(r + gamma V(o_k+1) - V(o_k)) with r = -1, (N).
    let exponent =
        |now: &Tensor, next: &Tensor, goal: &Tensor| distance(next, goal) * gamma + 1.0 - distance(now, goal);
    let main = mean(distance(&start, &goal)) * (1.0 - gamma) + log_mean_exp(&exponent(&now, &next, &goal));
    // Pairs of other clips, all permutations at once.
    let negatives = if permutations.is_empty() {
        main.zeros_like()
    } else {
        if let Some(odd) = permutations.iter().find(|permutation| permutation.len() as i64 != batch) {
            return Err(TchError::Shape(format!("a permutation of {} was given, {batch} are expected", odd.len())));
        }
        let order = Tensor::from_slice(&permutations.concat()).to_device(embeddings.device());
        let permuted = |x: &Tensor| x.index_select(0, &order);
        let goals = goal.repeat([permutations.len() as i64, 1]);
        log_mean_exp(&exponent(&permuted(&now), &permuted(&next), &goals))
    };
    let total = &size + &main + &negatives;
    Ok(Loss { total, size, main, negatives })
}

/// log(1e-8 + E exp x) of (N), without overflow.
fn log_mean_exp(x: &Tensor) -> Tensor {
    let log_mean = x.logsumexp(&[0i64][..], false) - (x.numel() as f64).ln();
    log_mean.logaddexp(&log_mean.full_like(EPSILON.ln()))
}

/// One batch of B samples.
pub struct VipBatch {
    /// Augmented frames (B, 4, 3, S, S), f32 in 0..1.
    pub images: Tensor,
    /// For each goal the element whose pair is used, B numbers for each of the negatives.
    pub permutations: Vec<Vec<i64>>,
}

/// Random samples of clips of at least 3 frames.
struct Samples<'a> {
    /// Clips to draw from, not empty.
    clips: &'a dyn Clips,
    batch: usize,
    negatives: usize,
    seed: u64,
    augmentation: ClipAugmentation,
}

/// Frames o_0, g, o_k, o_k+1 of a sample from a clip of `frames` (at least 3); as in the released data loader.
fn draw_frames(frames: usize, rng: &mut ChaCha8Rng) -> [usize; FRAMES] {
    let start = rng.random_range(0..frames - 2);
    let goal = rng.random_range(start + 1..frames);
    let now = rng.random_range(start..goal);
    [start, goal, now, (now + 1).min(goal)]
}

impl Batches for Samples<'_> {
    type Batch = VipBatch;

    fn batch(&self, step: u64) -> anyhow::Result<VipBatch> {
        let mut rng = ChaCha8Rng::seed_from_u64(step_seed(self.seed, step));
        // u32 fits usize on every machine libtorch runs on.
        let size = self.clips.size() as usize;
        let sample = FRAMES * 3 * size * size;
        let mut images = vec![0.0f32; self.batch * sample];
        for slot in images.chunks_exact_mut(sample) {
            // Clips, not frames, are equally likely.
            let clip = rng.random_range(0..self.clips.len());
            let frames = draw_frames(self.clips.frames(clip), &mut rng)
                .map(|index| read_frame(self.clips, clip, index))
                .into_iter()
                .collect::<anyhow::Result<Vec<_>>>()?;
            let frames: Vec<&[u8]> = frames.iter().map(|frame| &**frame).collect();
            self.augmentation.apply(&frames, size, size, slot, &mut rng);
        }
        let mut permutation = || {
            let mut order: Vec<i64> = (0..self.batch as i64).collect();
            order.shuffle(&mut rng);
            order
        };
        let permutations = (0..self.negatives).map(|_| permutation()).collect();
        let side = size as i64;
        let images = Tensor::f_from_slice(&images)?.f_reshape([self.batch as i64, FRAMES as i64, 3, side, side])?;
        Ok(VipBatch { images, permutations })
    }
}

/// One frame, of the size that its set names.
fn read_frame(clips: &dyn Clips, clip: usize, index: usize) -> anyhow::Result<std::borrow::Cow<'_, [u8]>> {
    let name = clips.name(clip);
    let frame = clips.frame(clip, index).with_context(|| format!("{name}: frame {index}"))?;
    let expected = clips.size() as usize * clips.size() as usize * 3;
    ensure!(frame.len() == expected, "{name}: frame {index}: found {} bytes, expected {expected}", frame.len());
    Ok(frame)
}

/// Trains an encoder on clips, whose frames are of `settings.image_size`, to the end or until asked to stop. Returns whether
/// it came to the end. Clips of fewer than 3 frames are skipped and reported.
pub fn train(settings: &Settings, clips: &dyn Clips, run: &Run<'_>) -> anyhow::Result<bool> {
    settings.check()?;
    let long = at_least(clips, SHORTEST)?;
    if let Some(remark) = long.remark() {
        (run.tell)(&remark);
    }
    let (learned, held_out) = split(&long, settings.validation)?;
    let augmentation =
        ClipAugmentation { crop: settings.crop, scale: settings.crop_scale, shift: 0, color: ColorJitter::NONE };
    let record = serde_json::json!({
        "algorithm": "vip",
        "settings": settings,
        "data": {
            "clips": long.len(), "kept_back": held_out.len(), "passed_over": long.left_out(),
            "frames": (0..long.len()).map(|clip| long.frames(clip)).sum::<usize>(),
            "digest_of_names_and_lengths": names_digest(clips),
        },
    });
    let (batch, negatives, seed) = (settings.batch_size, settings.negatives, settings.seed);
    let batches = Samples { clips: &learned, batch, negatives, seed, augmentation };
    // All seeds use the same validation data.
    let unvaried = Samples { clips: &held_out, seed: 0, augmentation: ClipAugmentation::NONE, ..batches };
    let held_out = (!unvaried.clips.is_empty()).then_some(unvaried);
    let mut learner = Vip::new(settings, held_out, run.device)?;
    let expected = learner.encoder.image_size();
    ensure!(
        i64::from(clips.size()) == expected || learner.encoder.kind() != EncoderKind::Small,
        "image_size: found {}, the encoder `{}` expects {expected}",
        clips.size(),
        settings.encoder
    );
    learn(&mut learner, &batches, &settings.schedule(), record, run)
}

struct Vip<'a> {
    settings: &'a Settings,
    encoder: TrainedEncoder,
    adam: Adam,
    held_out: Option<Samples<'a>>,
}

impl<'a> Vip<'a> {
    fn new(settings: &'a Settings, held_out: Option<Samples<'a>>, device: Device) -> anyhow::Result<Self> {
        // The sign is irrelevant for a seed.
        tch::manual_seed(settings.seed as i64);
        let weights = settings.encoder_weights.as_deref();
        let encoder = TrainedEncoder::new(settings.encoder, weights, settings.bf16, device)?.with_zoom(settings.zoom);
        let adam = Adam::new(&[("encoder", &encoder.variables)], 0.0);
        Ok(Self { settings, encoder, adam, held_out })
    }

    fn loss(&self, batch: &VipBatch, train: bool) -> Result<Loss, TchError> {
        let (samples, _, _, height, width) = batch.images.size5()?;
        // All frames at once, (4B, 3, S, S).
        let frames = batch.images.f_reshape([samples * FRAMES as i64, 3, height, width])?;
        let embeddings = self.encoder.embed(&frames, train)?.f_reshape([samples, FRAMES as i64, -1])?;
        loss(&embeddings, &batch.permutations, &self.settings.objective())
    }
}

impl Learner for Vip<'_> {
    type Batch = VipBatch;

    fn update(&mut self, batch: &VipBatch, step: u64) -> anyhow::Result<Terms> {
        self.adam.zero_grad();
        let loss = self.loss(batch, true)?;
        loss.total.backward();
        let rate = self.settings.learning_rate.get() * self.settings.lr_factor(step);
        let gradient_norm = self.adam.step(rate, self.settings.gradient_limit())?;
        Ok(vec![
            ("loss", f64::try_from(&loss.total)?),
            ("size", f64::try_from(&loss.size)?),
            ("main", f64::try_from(&loss.main)?),
            ("negatives", f64::try_from(&loss.negatives)?),
            ("gradient_norm", gradient_norm),
        ])
    }

    fn validate(&self) -> anyhow::Result<Terms> {
        let Some(held_out) = &self.held_out else { return Ok(Vec::new()) };
        let mut sum = 0.0;
        for number in 0..VALIDATION_BATCHES {
            let batch = held_out.batch(number)?;
            sum += f64::try_from(&tch::no_grad(|| self.loss(&batch, false))?.total)?;
        }
        let mut away = Vec::new();
        for clip in 0..held_out.clips.len().min(BUMP_CLIPS) {
            let images = clip_images(held_out.clips, clip, BUMP_FRAMES)?;
            let embeddings = tch::no_grad(|| rows(&images, |part| self.encoder.embed(part, false)))?;
            away.extend(bumps(&embeddings));
        }
        let mut terms = vec![("loss", sum / VALIDATION_BATCHES as f64)];
        terms.extend(Spread::of(&away).map(|spread| ("bumps", spread.mean)));
        Ok(terms)
    }

    fn state(&self) -> anyhow::Result<Vec<(String, Tensor)>> {
        let mut state = self.adam.state();
        state.extend(named("encoder", &self.encoder.variables));
        Ok(state)
    }

    fn restore(&mut self, state: &[(String, Tensor)]) -> anyhow::Result<()> {
        self.adam.restore(state)?;
        restore_named("encoder", &self.encoder.variables, state)
    }

    fn save(&self, folder: &Path) -> anyhow::Result<()> {
        self.encoder.save(&folder.join("encoder.safetensors"))
    }
}

#[cfg(test)]
#[path = "vip_tests.rs"]
mod tests;
