//! Settings of phases 2 and 3, one flat file.

use std::path::PathBuf;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use crate::encoder::EncoderKind;
use crate::policy::{CriticShape, Reappended};
use crate::training::ClipAugmentation;
use crate::training::rate;
use crate::training::transitions::Labels;
use visuomotor_core::action::ActionBounds;

/// Settings of multi-task CQL: the multi-task phase, the fine-tuning phase, or both in one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    // --- what is made
    /// Name of the policy.
    pub name: String,
    /// Encoder kind: `small`, `vip`, `vptr`, `r3m`, `mvp`.
    pub encoder: EncoderKind,
    /// Weights that both encoders, the actor's and the critic's, start from (phase 1); without them: from the seed. In a phase
    /// 3 with `actor_anew` the actor's only.
    #[serde(default)]
    pub encoder_weights: Option<PathBuf>,
    /// Freeze the encoders: the frozen baselines.
    pub freeze_encoders: bool,
    /// Width of the bottleneck between an encoder and its heads.
    pub latent: i64,
    /// Hidden widths of the actor and of each critic head.
    pub hidden: Vec<i64>,
    /// Inputs that the critic gets again after every hidden layer: `actions`, `latent`, `task`. V-PTR's code: actions and
    /// latent; its paper: actions and task.
    pub reappend: Vec<Reappended>,
    /// Side of the image the policy sees \[pixels\].
    pub image_size: u32,
    /// Width and height of the camera's images \[pixels\].
    pub camera_size: [u32; 2],
    /// Tasks, in the order of the one-hot input; the target's are among them from the start.
    pub tasks: Vec<String>,
    /// Action bounds.
    pub bounds: ActionBounds,
    // --- optimization
    /// Seed of everything random.
    pub seed: u64,
    /// Gradient steps, both phases together.
    pub steps: u64,
    /// Transitions per batch.
    pub batch: usize,
    /// Learning rate of actor and actor encoder.
    pub actor_rate: f64,
    /// Learning rate of critic and critic encoder.
    pub critic_rate: f64,
    /// Learning rate of the temperature.
    pub temperature_rate: f64,
    /// Steps over which the three rise to their full values; 0: at once (the release).
    #[serde(default)]
    pub warm_up: u64,
    /// Share of the three that remains at the last step of a cosine decay; 1: constant (the release).
    #[serde(default = "rate::constant")]
    pub rate_left: f64,
    /// Largest gradient norm of each of the three; without it: no clipping (the release).
    #[serde(default)]
    pub clip: Option<f64>,
    /// Share of the old average of the actor's weights kept per step. The average is validated and saved; training continues
    /// with the weights themselves. 0: no average (the release).
    #[serde(default)]
    pub average: f64,
    /// Run the encoders' activations in bf16 while training.
    #[serde(default)]
    pub bf16: bool,
    // --- conservative Q-learning
    /// Discount gamma.
    pub discount: f64,
    /// Share tau of the critic that goes into its target at each step.
    pub target_rate: f64,
    /// Weight alpha of the CQL term.
    pub alpha: f64,
    /// Number n of policy actions, and of uniform ones, in the CQL term, and of policy actions in the backup.
    pub samples: i64,
    /// Number k of policy actions in the backup, if different: with 1 the values are those of the policy, not the maximum
    /// over actions that the critic does not know yet.
    #[serde(default)]
    pub backup_samples: Option<i64>,
    /// Target entropy of the temperature: minus the number of action dimensions.
    pub target_entropy: f64,
    /// Temperature at the start.
    pub temperature: f64,
    /// Weight of imitation in the actor's loss: the squared error of the executed action on steps of successes. 0 is CQL;
    /// within thousands instead of hundreds of thousands of steps the actor does not reach the maximum of Q without it.
    #[serde(default)]
    pub cloning: f64,
    /// Weight of the spread within imitation: trains it to match the mean's error. At 0 the temperature takes hundreds of
    /// steps to narrow a policy, and from a wide policy the backup takes the actions that the critic knows least about.
    #[serde(default)]
    pub spread: f64,
    /// Weight of the error of where to grasp and release, in the actor's loss; 0: the actor does not locate (V-PTR).
    #[serde(default)]
    pub places: f64,
    /// Bound Q of the policy's actions in the CQL term from below by the trajectory's return (V-PTR's release does; its paper
    /// does not mention it).
    pub bound_with_returns: bool,
    /// Encode s again with the critic's new encoder for the actor's loss, as the release does: a fifth pass per step.
    /// Otherwise the embedding from before the critic's step is reused, one optimizer step old, with the new bottleneck and
    /// heads. With frozen encoders the two are the same and nothing is encoded again.
    pub encode_again: bool,
    // --- phases
    /// Step from which batches contain target data; before it prior data only. Without target data it has no effect.
    pub switch_at: u64,
    /// Share of prior data in a batch from then on.
    pub mixing: f64,
    /// Does phase 3 reinitialize the actor, from `encoder_weights` and the seed, and continue only the critic? The release
    /// continues both.
    #[serde(default)]
    pub actor_anew: bool,
    /// Share of successes in a batch's prior data; without it: as in the data.
    #[serde(default)]
    pub successes: Option<f64>,
    // --- data
    /// Steps at the end of a success that are rewarded and terminal.
    pub rewarded_steps: usize,
    /// Use the state change that a step achieved as its action, instead of the requested action.
    pub relabel: bool,
    /// Make the gripper's action 0 or 1.
    pub binarize_gripper: bool,
    /// Image augmentation, drawn for s and s' independently.
    pub augmentation: ClipAugmentation,
    /// Noise on the scaled state, uniform in +-this.
    pub state_jitter: f64,
    /// Every n-th episode is kept for validation; 0 keeps none.
    pub validation: usize,
    // --- reporting
    /// Gradient steps between checkpoints; 0: only at the end.
    pub checkpoint_every: u64,
    /// Gradient steps between validations; 0: only at the end.
    pub validate_every: u64,
}

impl Settings {
    /// Factor of the learning rates at a step.
    pub fn rate_factor(&self, step: u64) -> f64 {
        rate::rate_factor(step, self.steps, self.warm_up, self.rate_left)
    }

    /// Refuses values that cannot work; `file` is for messages.
    pub fn check(&self, file: &std::path::Path) -> anyhow::Result<()> {
        rate::check(file, self.rate_left, self.clip)?;
        let file = file.display();
        ensure!(self.steps > 0 && self.batch > 0, "{file}: steps and batch must be at least 1");
        ensure!(!self.tasks.is_empty(), "{file}: key `tasks`: found none; name every task of the data");
        ensure!(
            (0.0..=1.0).contains(&self.mixing),
            "{file}: key `mixing`: found {}, expected a share of prior data in 0..1",
            self.mixing
        );
        ensure!(
            self.successes.is_none_or(|share| (0.0..=1.0).contains(&share)),
            "{file}: key `successes`: found {:?}, expected a share of 0..1, or no such key",
            self.successes
        );
        ensure!(
            (0.0..1.0).contains(&self.discount),
            "{file}: key `discount`: found {}, expected at least 0 and less than 1",
            self.discount
        );
        ensure!(
            self.target_rate > 0.0 && self.target_rate <= 1.0,
            "{file}: key `target_rate`: found {}, expected more than 0 and at most 1",
            self.target_rate
        );
        ensure!(
            (0.0..1.0).contains(&self.average),
            "{file}: key `average`: found {}, expected at least 0 and less than 1",
            self.average
        );
        ensure!(self.samples > 0, "{file}: key `samples`: found {}, expected at least 1", self.samples);
        ensure!(
            self.backup_samples.is_none_or(|samples| samples > 0),
            "{file}: key `backup_samples`: found {:?}, expected at least 1, or no such key",
            self.backup_samples
        );
        ensure!(self.latent > 0, "{file}: key `latent`: found {}, expected at least 1", self.latent);
        ensure!(
            self.hidden.iter().all(|width| *width > 0),
            "{file}: key `hidden`: found {:?}, expected widths of at least 1",
            self.hidden
        );
        ensure!(self.places >= 0.0, "{file}: key `places`: found {}, expected 0 or more", self.places);
        ensure!(self.cloning >= 0.0, "{file}: key `cloning`: found {}, expected 0 or more", self.cloning);
        ensure!(
            self.spread >= 0.0 && (self.spread == 0.0 || self.cloning > 0.0),
            "{file}: key `spread`: found {} with a `cloning` of {}, expected 0, or more where `cloning` is more than 0",
            self.spread,
            self.cloning
        );
        ensure!(self.temperature > 0.0, "{file}: key `temperature`: found {}, expected more than 0", self.temperature);
        Ok(())
    }

    /// n and k: policy actions in the CQL term and in the backup.
    pub fn sample_counts(&self) -> (i64, i64) {
        (self.samples, self.backup_samples.unwrap_or(self.samples))
    }

    /// How episodes become transitions.
    pub fn labels(&self) -> Labels {
        Labels {
            rewarded_steps: self.rewarded_steps,
            discount: self.discount,
            relabel: self.relabel,
            binarize_gripper: self.binarize_gripper,
        }
    }

    /// Sizes of the critic's heads.
    pub fn critic_shape(&self) -> CriticShape {
        CriticShape { latent: self.latent, hidden: self.hidden.clone(), reappend: self.reappend.clone() }
    }
}

/// The settings of the smallest run, for tests.
#[cfg(test)]
pub(super) fn smoke() -> Settings {
    visuomotor_core::config::load(&std::path::Path::new(crate::CHECKOUT).join("launch/smoke/cql.toml")).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_settings_are_refused_by_key_and_value() {
        let refused = |settings: Settings| settings.check(std::path::Path::new("a.toml")).unwrap_err().to_string();
        for (settings, key, found) in [
            (Settings { backup_samples: Some(0), ..smoke() }, "`backup_samples`", "Some(0)"),
            (Settings { spread: -1.0, cloning: 1.0, ..smoke() }, "`spread`", "-1"),
            (Settings { spread: 0.5, cloning: 0.0, ..smoke() }, "`spread`", "0.5"),
            (Settings { spread: f64::NAN, cloning: 1.0, ..smoke() }, "`spread`", "NaN"),
            (Settings { clip: Some(0.0), ..smoke() }, "`clip`", "Some(0.0)"),
            (Settings { average: 1.0, ..smoke() }, "`average`", "1"),
            (Settings { rate_left: 1.5, ..smoke() }, "`rate_left`", "1.5"),
        ] {
            let error = refused(settings);
            assert!(error.contains("a.toml") && error.contains(key) && error.contains(found), "{error}");
        }
    }
}
