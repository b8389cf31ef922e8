//! Batches of prior and target data in a fixed ratio.

use anyhow::ensure;
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::{TransitionBatch, Transitions, assemble};
use crate::policy::Checkpoint;
use crate::training::cql::Settings;
use crate::training::{Batches, ClipAugmentation, step_seed};

/// Most transitions kept for validation.
const HELD_OUT: usize = 512;

/// Batches of transitions, stratified: from `switch_at` on, floor(batch_size * mixing) come from prior data and the rest from the
/// target's; before, all come from prior data. Within a part, transitions are drawn uniformly with replacement; `successes`
/// sets the share of successes in the prior part.
pub struct Mixture<'a> {
    settings: &'a Settings,
    checkpoint: &'a Checkpoint,
    prior: &'a Transitions,
    prior_steps: Vec<usize>,
    /// Steps of successes and of failures, and the share of successes; `None`: drawn together.
    apart: Option<Apart>,
    target: Option<(&'a Transitions, Vec<usize>)>,
    validation: Vec<usize>,
}

/// Prior data's steps of successes and of failures.
struct Apart {
    share: f64,
    successes: Vec<usize>,
    failures: Vec<usize>,
}

impl Apart {
    /// `None` where nothing failed. Refuses a share of successes where there are none.
    fn new(share: f64, data: &Transitions, steps: &[usize]) -> anyhow::Result<Option<Self>> {
        let (successes, failures): (Vec<usize>, Vec<usize>) = steps.iter().partition(|step| data.succeeds(**step));
        ensure!(
            share == 0.0 || !successes.is_empty(),
            "successes: found {share}, but no episode of the prior data succeeds; remove the key or add successes"
        );
        Ok((!failures.is_empty()).then_some(Self { share, successes, failures }))
    }

    /// The steps that the `i`-th of `count` transitions is drawn from.
    fn steps(&self, i: usize, count: usize) -> &[usize] {
        if i < (count as f64 * self.share).round() as usize { &self.successes } else { &self.failures }
    }
}

impl<'a> Mixture<'a> {
    /// A mixture of `prior` and `target`; every `settings.validation`-th episode of the target (of the prior data, where
    /// there is no target) is held out.
    pub fn new(
        settings: &'a Settings,
        checkpoint: &'a Checkpoint,
        prior: &'a Transitions,
        target: Option<&'a Transitions>,
    ) -> anyhow::Result<Self> {
        let (nth_of_prior, nth_of_target) =
            if target.is_some() { (0, settings.validation) } else { (settings.validation, 0) };
        let (prior_steps, mut validation) = prior.split(nth_of_prior);
        let target = target.map(|target| {
            let (steps, kept) = target.split(nth_of_target);
            validation = kept;
            (target, steps)
        });
        for (what, data, steps) in [("prior", prior, &prior_steps)]
            .into_iter()
            .chain(target.iter().map(|(data, steps)| ("target", *data, steps)))
        {
            ensure!(
                !steps.is_empty(),
                "validation: found {}, which keeps every episode of the {what} data ({}) back and leaves none to train \
                 on; use 0, or 2 and more",
                settings.validation,
                data.episodes()
            );
            ensure!(
                data.robot == checkpoint.robot && (data.rate_hz - checkpoint.rate_hz).abs() < 1e-9,
                "the {what} data was recorded on {} at {} Hz, the policy is for {} at {} Hz; choose data of one arm \
                 and rate",
                data.robot,
                data.rate_hz,
                checkpoint.robot,
                checkpoint.rate_hz
            );
            let square = [checkpoint.image_size; 2];
            ensure!(
                data.camera_size() == checkpoint.camera_size || data.camera_size() == square,
                "the {what} data has images of {:?} pixels, the settings' `camera_size` is {:?}; correct it or choose \
                 data of that camera",
                data.camera_size(),
                checkpoint.camera_size
            );
        }
        let apart = match settings.successes {
            Some(share) => Apart::new(share, prior, &prior_steps)?,
            None => None,
        };
        Ok(Self { settings, checkpoint, prior, prior_steps, apart, target, validation })
    }

    /// Numbers of prior and of target transitions in a batch at `step`.
    pub fn parts(&self, step: u64) -> (usize, usize) {
        let Settings { batch_size: batch, mixing, switch_at, .. } = *self.settings;
        if self.target.is_none() || step < switch_at {
            return (batch, 0);
        }
        // 64 * 0.9 = 57.6 becomes 57; the small term keeps 10 * 0.7 from becoming 6.
        let prior = ((batch as f64 * mixing + 1e-9).floor() as usize).min(batch);
        (prior, batch - prior)
    }

    /// One line for the log: the composition of a batch, and from which step on.
    pub fn describe(&self) -> String {
        let batch = self.settings.batch_size;
        let successes = match &self.apart {
            Some(apart) => format!(", {} of it of successes", apart.share),
            None => String::new(),
        };
        if self.target.is_none() {
            return format!("{batch} transitions a batch, all of prior data{successes}");
        }
        let (prior, target) = self.parts(u64::MAX);
        let before = match self.settings.switch_at {
            0 => String::new(),
            switch_at => format!("all of prior data before step {switch_at}, then "),
        };
        format!(
            "{batch} transitions a batch, {before}{prior} of prior data + {target} of the target's (mixing {} is the \
             share of prior data{successes})",
            self.settings.mixing
        )
    }

    /// The held-out data, without augmentation, in batches; at most 512 transitions, evenly spread.
    pub fn held_out(&self) -> anyhow::Result<Vec<TransitionBatch>> {
        let none = ClipAugmentation::NONE;
        let data = self.target.as_ref().map_or(self.prior, |(target, _)| target);
        let stride = self.validation.len().div_ceil(HELD_OUT).max(1);
        let picks: Vec<(&Transitions, usize)> = self.validation.iter().step_by(stride).map(|s| (data, *s)).collect();
        // Nothing is drawn: neither images nor states are augmented.
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let batches = picks.chunks(self.settings.batch_size.max(1));
        Ok(batches.map(|picks| assemble(picks, self.checkpoint, &none, 0.0, &mut rng)).collect::<Result<_, _>>()?)
    }
}

impl Batches for Mixture<'_> {
    type Batch = TransitionBatch;

    fn batch(&self, step: u64) -> anyhow::Result<TransitionBatch> {
        let settings = self.settings;
        let mut rng = ChaCha8Rng::seed_from_u64(step_seed(settings.seed, step));
        let (prior, target) = self.parts(step);
        let mut picks = Vec::with_capacity(settings.batch_size);
        let pool = |i| self.apart.as_ref().map_or(&self.prior_steps[..], |apart| apart.steps(i, prior));
        picks.extend((0..prior).filter_map(|i| pool(i).choose(&mut rng)).map(|step| (self.prior, *step)));
        if let Some((data, steps)) = &self.target {
            picks.extend((0..target).filter_map(|_| steps.choose(&mut rng)).map(|step| (*data, *step)));
        }
        Ok(assemble(&picks, self.checkpoint, &settings.augmentation, settings.state_jitter, &mut rng)?)
    }
}
