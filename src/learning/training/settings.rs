//! The settings that all algorithms share, under the same names, and the names that files of earlier versions have for them.

use serde_json::{Map, Value};

use super::range::{Fraction, Positive};

/// Declares the settings of an algorithm, one flat file: its own keys, then those that all share. Fields of a macro and not
/// of a struct within the struct: with serde's `flatten` an error no longer knows the key and the line that it is about.
///
/// `former` names a function that takes over what keys of earlier versions say in another form.
macro_rules! settings {
    ($(former = $former:path;)? $(#[$meta:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, remote = "Self")]
        pub struct $name {
            $($own)*
            // --- optimization
            /// Seed of everything random.
            pub seed: u64,
            /// Gradient steps.
            pub steps: u64,
            /// Elements per batch: steps of episodes, samples or images.
            #[serde(alias = "batch")]
            pub batch_size: usize,
            /// Gradient steps over which every learning rate rises to its full value; 0: at once.
            #[serde(default, alias = "warm_up")]
            pub warmup_steps: u64,
            /// Fraction of every learning rate that remains at the last step of a cosine decay; 1: constant.
            #[serde(default = "crate::training::Fraction::one", alias = "rate_left")]
            pub final_lr_fraction: crate::training::Fraction,
            /// Largest norm of an optimizer's gradient; without it: no clipping.
            #[serde(default, alias = "clip")]
            pub max_grad_norm: Option<crate::training::Positive>,
            /// Run the encoders' activations in bf16 while training: about twice as fast where the CPU has AMX.
            #[serde(default)]
            pub bf16: bool,
            // --- data
            /// Every n-th episode or clip is kept for validation; 0 keeps none.
            pub validation: usize,
            // --- reporting
            /// Gradient steps between checkpoints; 0: only at the end.
            pub checkpoint_every: u64,
            /// Gradient steps between validations; 0: only at the end; without it: as between checkpoints.
            #[serde(default)]
            pub validate_every: Option<u64>,
        }

        impl $name {
            /// When to stop, to save and to validate.
            pub fn schedule(&self) -> crate::training::Schedule {
                crate::training::Schedule {
                    seed: self.seed,
                    steps: self.steps,
                    checkpoint_every: self.checkpoint_every,
                    validate_every: self.validate_every.unwrap_or(self.checkpoint_every),
                }
            }

            /// Fraction of every learning rate at a step.
            pub fn lr_factor(&self, step: u64) -> f64 {
                crate::training::rate::lr_factor(step, self.steps, self.warmup_steps, self.final_lr_fraction)
            }

            /// Largest gradient norm, infinite without clipping.
            pub fn gradient_limit(&self) -> f64 {
                self.max_grad_norm.map_or(f64::INFINITY, crate::training::Positive::get)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[allow(unused_mut, reason = "only some have keys of earlier versions")]
                let mut settings = $name::deserialize(deserializer)?;
                $($former(&mut settings).map_err(serde::de::Error::custom)?;)?
                Ok(settings)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $name::serialize(self, serializer)
            }
        }
    };
}
pub(super) use settings;

/// The fraction that `final_lr_fraction` stands for where a file of an earlier version names the last learning rate itself.
pub(super) fn fraction_of(final_learning_rate: f64, learning_rate: Positive) -> Result<Fraction, String> {
    Fraction::try_from(final_learning_rate / learning_rate.get()).map_err(|_| {
        let full = learning_rate.get();
        format!("final_learning_rate: found {final_learning_rate}, expected 0 to the learning rate of {full}")
    })
}

/// Keys of earlier versions, and of now.
const FORMER: [(&str, &str); 25] = [
    ("actor_anew", "reinit_actor"),
    ("actor_rate", "actor_lr"),
    ("alike", "tied_init_scale"),
    ("alpha", "cql_alpha"),
    ("average", "ema_decay"),
    ("backup_samples", "backup_n_actions"),
    ("batch", "batch_size"),
    ("clip", "max_grad_norm"),
    ("cloning", "bc_weight"),
    ("critic_rate", "critic_lr"),
    ("encoder_from", "encoder_start_step"),
    ("encoder_rate", "encoder_lr_fraction"),
    ("epsilon", "adam_epsilon"),
    ("gripper", "gripper_weight"),
    ("largest_weight", "max_weight"),
    ("places", "places_weight"),
    ("rate_left", "final_lr_fraction"),
    ("samples", "cql_n_actions"),
    ("spread", "bc_std_weight"),
    ("stale", "max_state_age"),
    ("target_rate", "tau"),
    ("temperature", "init_temperature"),
    ("temperature_rate", "temperature_lr"),
    ("warm_up", "warmup_steps"),
    ("weights", "action_weights"),
];

/// The value of a key of now in the settings of a record, whichever version wrote it; null where it has none.
pub(super) fn recorded(settings: &Map<String, Value>, key: &str) -> Value {
    if let Some(value) = settings.get(key) {
        return value.clone();
    }
    let former = FORMER.iter().filter(|(_, now)| *now == key).find_map(|(former, _)| settings.get(*former));
    let number = |key: &str| settings.get(key).and_then(Value::as_f64);
    match (former, settings.get("cosine"), number("final_learning_rate"), number("learning_rate")) {
        (Some(value), ..) => value.clone(),
        (None, Some(cosine), ..) if key == "final_lr_fraction" => if *cosine == true { 0.0 } else { 1.0 }.into(),
        (None, None, Some(last), Some(full)) if key == "final_lr_fraction" => (last / full).into(),
        _ => Value::Null,
    }
}

/// A settings file of `train`'s `algorithm` under the names that earlier versions had, so that what is known by a digest of its
/// settings is known on.
pub fn under_former_names(algorithm: &str, mut settings: toml::Table) -> toml::Table {
    let of_cql = matches!(algorithm, "cql" | "finetune");
    let decays = settings.get("final_lr_fraction").and_then(toml::Value::as_float);
    let former: Option<(&str, toml::Value)> = match (algorithm, decays, settings.get("learning_rate")) {
        ("icvf", Some(fraction), _) if fraction == 0.0 || fraction == 1.0 => Some(("cosine", (fraction == 0.0).into())),
        ("behavior-cloning" | "torque-cloning", Some(fraction), Some(toml::Value::Float(full))) => {
            Some(("final_learning_rate", (fraction * full).into()))
        }
        _ => None,
    };
    if let Some((key, value)) = former {
        settings.remove("final_lr_fraction");
        settings.insert(key.into(), value);
    }
    for (former, now) in FORMER.iter().filter(|(former, _)| *former != "temperature" || of_cql) {
        if let Some(value) = settings.remove(*now) {
            settings.insert((*former).into(), value);
        }
    }
    settings
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
