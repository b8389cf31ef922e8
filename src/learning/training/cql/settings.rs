//! Settings of phases 2 and 3, one flat file.

use std::path::PathBuf;

use anyhow::ensure;

use crate::encoder::EncoderKind;
use crate::policy::{CriticShape, Reappended};
use crate::training::settings::settings;
use crate::training::transitions::Labels;
use crate::training::{ClipAugmentation, Decay, Fraction, NonNegative, Positive};
use visuomotor_core::action::ActionBounds;

settings! {
    /// Settings of multi-task CQL: the multi-task phase, the fine-tuning phase (`steps` are those of both together), or both
    /// in one run.
    pub struct Settings {
        // --- what is made
        /// Name of the policy.
        pub name: String,
        /// Encoder kind: `small`, `vip`, `vptr`, `r3m`, `mvp`.
        pub encoder: EncoderKind,
        /// Weights that both encoders, the actor's and the critic's, start from (phase 1); without them: from the seed. In a phase
        /// 3 with `reinit_actor` the actor's only.
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
        // --- optimizers: the release has no warm-up, decay, clipping and average
        /// Largest learning rate of actor and actor encoder.
        #[serde(alias = "actor_rate")]
        pub actor_lr: Positive,
        /// Largest learning rate of critic and critic encoder.
        #[serde(alias = "critic_rate")]
        pub critic_lr: Positive,
        /// Largest learning rate of the temperature.
        #[serde(alias = "temperature_rate")]
        pub temperature_lr: Positive,
        /// Share of the old average of the actor's weights kept per step. The average is validated and saved; training continues
        /// with the weights themselves. 0: no average.
        #[serde(default, alias = "average")]
        pub ema_decay: Decay,
        // --- conservative Q-learning
        /// Discount gamma.
        pub discount: f64,
        /// Share tau of the critic that goes into its target at each step.
        #[serde(alias = "target_rate")]
        pub tau: Fraction,
        /// Weight alpha of the CQL term.
        #[serde(alias = "alpha")]
        pub cql_alpha: f64,
        /// Number n of policy actions, and of uniform ones, in the CQL term, and of policy actions in the backup.
        #[serde(alias = "samples")]
        pub cql_n_actions: i64,
        /// Number k of policy actions in the backup, if different: with 1 the values are those of the policy, not the maximum
        /// over actions that the critic does not know yet.
        #[serde(default, alias = "backup_samples")]
        pub backup_n_actions: Option<i64>,
        /// Target entropy of the temperature: minus the number of action dimensions.
        pub target_entropy: f64,
        /// Temperature at the start.
        #[serde(alias = "temperature")]
        pub init_temperature: Positive,
        /// Weight of imitation in the actor's loss: the squared error of the executed action on steps of successes. 0 is CQL;
        /// within thousands instead of hundreds of thousands of steps the actor does not reach the maximum of Q without it.
        #[serde(default, alias = "cloning")]
        pub bc_weight: NonNegative,
        /// Weight of the spread within imitation: trains it to match the mean's error. At 0 the temperature takes hundreds of
        /// steps to narrow a policy, and from a wide policy the backup takes the actions that the critic knows least about.
        #[serde(default, alias = "spread")]
        pub bc_std_weight: f64,
        /// Weight of the error of where to grasp and release, in the actor's loss; 0: the actor does not locate (V-PTR).
        #[serde(default, alias = "places")]
        pub places_weight: NonNegative,
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
        #[serde(default, alias = "actor_anew")]
        pub reinit_actor: bool,
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
    }
}

impl Settings {
    /// Refuses values that cannot work; `file` is for messages.
    pub fn check(&self, file: &std::path::Path) -> anyhow::Result<()> {
        let file = file.display();
        ensure!(self.steps > 0 && self.batch_size > 0, "{file}: steps and batch_size must be at least 1");
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
            self.tau.get() > 0.0,
            "{file}: key `tau`: found {}, expected more than 0 and at most 1",
            self.tau.get()
        );
        ensure!(
            self.cql_n_actions > 0,
            "{file}: key `cql_n_actions`: found {}, expected at least 1",
            self.cql_n_actions
        );
        ensure!(
            self.backup_n_actions.is_none_or(|count| count > 0),
            "{file}: key `backup_n_actions`: found {:?}, expected at least 1, or no such key",
            self.backup_n_actions
        );
        ensure!(self.latent > 0, "{file}: key `latent`: found {}, expected at least 1", self.latent);
        ensure!(
            self.hidden.iter().all(|width| *width > 0),
            "{file}: key `hidden`: found {:?}, expected widths of at least 1",
            self.hidden
        );
        let (std_weight, weight) = (self.bc_std_weight, self.bc_weight.get());
        ensure!(
            std_weight >= 0.0 && (std_weight == 0.0 || weight > 0.0),
            "{file}: key `bc_std_weight`: found {std_weight} with a `bc_weight` of {weight}, expected 0, or more where \
             `bc_weight` is more than 0"
        );
        Ok(())
    }

    /// Refuses a switch to the target's data that never comes; `file` is for messages.
    pub fn check_switch(&self, file: &std::path::Path) -> anyhow::Result<()> {
        ensure!(
            self.switch_at < self.steps,
            "{}: key `switch_at`: found {}, expected less than the {} steps, or the target's data is never seen; lower it \
             or leave out --target",
            file.display(),
            self.switch_at,
            self.steps
        );
        Ok(())
    }

    /// Does a phase 3 begin with new encoder weights for its actor?
    pub fn encoder_begins(&self) -> bool {
        self.reinit_actor && !self.freeze_encoders
    }

    /// Refuses settings that a phase 3 cannot follow; `file` is for messages.
    pub fn check_continuing(&self, file: &std::path::Path) -> anyhow::Result<()> {
        let file = file.display();
        ensure!(
            self.encoder_weights.is_none() || self.encoder_begins(),
            "{file}: key `encoder_weights`: found {:?}, expected none: the encoders are those of --from; remove it, or set \
             `reinit_actor` and no `freeze_encoders`",
            self.encoder_weights
        );
        ensure!(
            self.switch_at == 0,
            "{file}: key `switch_at`: found {}, expected 0: phase 2 is over when phase 3 begins",
            self.switch_at
        );
        Ok(())
    }

    /// n and k: policy actions in the CQL term and in the backup.
    pub fn sample_counts(&self) -> (i64, i64) {
        (self.cql_n_actions, self.backup_n_actions.unwrap_or(self.cql_n_actions))
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
    use crate::training::range::within;

    #[test]
    fn unusable_settings_are_refused_by_key_and_value() {
        let refused = |settings: Settings| settings.check(std::path::Path::new("a.toml")).unwrap_err().to_string();
        for (settings, key, found) in [
            (Settings { backup_n_actions: Some(0), ..smoke() }, "`backup_n_actions`", "Some(0)"),
            (Settings { bc_std_weight: -1.0, bc_weight: within(1.0), ..smoke() }, "`bc_std_weight`", "-1"),
            (Settings { bc_std_weight: 0.5, bc_weight: within(0.0), ..smoke() }, "`bc_std_weight`", "0.5"),
            (Settings { bc_std_weight: f64::NAN, bc_weight: within(1.0), ..smoke() }, "`bc_std_weight`", "NaN"),
            (Settings { tau: within(0.0), ..smoke() }, "`tau`", "found 0,"),
        ] {
            let error = refused(settings);
            assert!(error.contains("a.toml") && error.contains(key) && error.contains(found), "{error}");
        }
        // Ranges are refused where the file is read, by line too.
        let text = toml::to_string(&smoke()).unwrap();
        for (key, found) in [
            ("max_grad_norm", "0.0"),
            ("ema_decay", "1.0"),
            ("final_lr_fraction", "1.5"),
            ("tau", "-0.5"),
            ("actor_lr", "nan"),
            ("bc_weight", "-2.0"),
            ("places_weight", "-2.0"),
            ("init_temperature", "0.0"),
        ] {
            let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
            lines.retain(|line| !line.starts_with(&format!("{key} =")));
            lines.insert(2, format!("{key} = {found}"));
            let read = visuomotor_core::config::parse::<Settings>(std::path::Path::new("a.toml"), &lines.join("\n"));
            let error = read.unwrap_err().to_string();
            let value = found.trim_end_matches(".0").replace("nan", "NaN");
            let named = error.contains("a.toml") && error.contains(key) && error.contains(&format!("found {value},"));
            assert!(named && error.contains('3'), "{error}");
        }
    }
}
