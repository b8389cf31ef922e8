//! What a saved policy contains, and the checks that it fits a set-up.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::critic::CriticShape;
use super::torque_head::JointScale;
use crate::encoder::EncoderKind;
use visuomotor_core::action::{ActionBounds, MotionKind};
use visuomotor_core::config::{ConfigError, ControlLaw, digest, load};
use visuomotor_core::failure::{Failing, FailureKind};
use visuomotor_core::geometry::Approach;

/// A policy cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// `policy.toml` is missing or malformed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A weights file is missing, malformed or not what `policy.toml` names.
    #[error("{file}: {what}; {fix}", file = file.display())]
    Weights {
        /// The file.
        file: PathBuf,
        /// What was found and expected.
        what: String,
        /// What to do.
        fix: String,
    },
    /// The policy was made for another set-up.
    #[error("{file}: {key}: the policy was trained for {trained}, this set-up has {found}; {fix}", file = file.display())]
    Unfit {
        /// `policy.toml`.
        file: PathBuf,
        /// What differs.
        key: &'static str,
        /// What the policy was made for.
        trained: String,
        /// What the set-up has.
        found: String,
        /// What to do.
        fix: &'static str,
    },
    /// libtorch refused.
    #[error("the policy network cannot be built: {0}")]
    Network(#[from] tch::TchError),
    /// A weights file does not fit the network.
    #[error(transparent)]
    File(#[from] crate::encoder::weights::WeightsError),
    /// The encoder cannot be loaded.
    #[error(transparent)]
    Encoder(#[from] crate::encoder::EncoderError),
}

impl Failing for PolicyError {
    fn failure(&self) -> FailureKind {
        FailureKind::Usage
    }
}

/// Mean and standard deviation the 7-d Bridge state is scaled by: m, m, m, rad, rad, rad, fraction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateScale {
    /// Mean.
    pub mean: [f64; 7],
    /// Standard deviation, at least 1e-3.
    pub std: [f64; 7],
}

/// What turns an embedding into an action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadKind {
    /// [`ActionHead`](super::ActionHead): predicts where to grasp and release, then acts.
    #[default]
    Places,
    /// [`Actor`](super::Actor): V-PTR's, a bottleneck and a perceptron.
    Actor,
    /// [`TorqueHead`](super::TorqueHead): joint torques in place of a pose change.
    Torques,
}

impl HeadKind {
    /// Does it ask for joint torques, which the control law `torque` takes?
    pub fn asks_torques(self) -> bool {
        self == HeadKind::Torques
    }

    /// What its actions ask of the arm.
    pub fn motion(self) -> MotionKind {
        if self.asks_torques() { MotionKind::JointTorques } else { MotionKind::PoseChange }
    }
}

/// The set-up a policy is to run in.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Arm.
    pub robot: &'a str,
    /// Number of its joints.
    pub joints: usize,
    /// Decision rate \[Hz\].
    pub rate_hz: f64,
    /// Bounds of the actions.
    pub bounds: &'a ActionBounds,
    /// Width and height of the policy camera's images \[pixels\].
    pub camera_size: [u32; 2],
    /// Its control law, which takes some kinds of actions and refuses others.
    pub law: ControlLaw,
    /// Which axis of the arm's tool frame points out of its fingers.
    pub approach: Approach,
}

/// Contents of `critic.safetensors` beside the policy: the critic's own encoder and its heads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CriticRecord {
    /// SHA-256 of `critic.safetensors`.
    pub digest: String,
    /// Sizes of the heads.
    pub shape: CriticShape,
}

/// `policy.toml`: the set-up, tasks, scaling and networks of a policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Format version.
    pub version: u32,
    /// Name for reports.
    pub name: String,
    /// Arm it moves.
    pub robot: String,
    /// Encoder kind.
    pub encoder: EncoderKind,
    /// SHA-256 of `encoder.safetensors`.
    pub encoder_digest: String,
    /// SHA-256 of `head.safetensors`.
    pub head_digest: String,
    /// Side of the camera image the policy sees \[pixels\].
    pub image_size: u32,
    /// Width and height of the camera image it is made from \[pixels\].
    pub camera_size: [u32; 2],
    /// Decision rate \[Hz\].
    pub rate_hz: f64,
    /// Action bounds its outputs are scaled by.
    pub bounds: ActionBounds,
    /// Tasks, in the order of the one-hot input.
    pub tasks: Vec<String>,
    /// Scaling of the state input.
    pub state: StateScale,
    /// Hidden widths of the head.
    pub hidden: Vec<i64>,
    /// Kind of the head; older files without this key have `places`.
    #[serde(default)]
    pub head: HeadKind,
    /// Width of the bottleneck of an `actor` head; other heads have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latent: Option<i64>,
    /// Does an `actor` head predict where to grasp and release? Heads of kind `places` always do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locates: bool,
    /// Scales of joints and torques of a head of kind `torques`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joints: Option<JointScale>,
    /// The critic the policy was trained with, where it was saved: it returns state values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critic: Option<CriticRecord>,
}

impl Checkpoint {
    /// The present format.
    pub const VERSION: u32 = 1;

    /// File of the critic in a policy's folder: `encoder.*` and `head.*`.
    pub const CRITIC: &'static str = "critic.safetensors";

    /// `policy.toml` in a policy's folder.
    pub fn path(folder: &Path) -> PathBuf {
        folder.join("policy.toml")
    }

    /// Index of a task it was trained on; `file` is for the message.
    pub fn task(&self, file: &Path, task: &str) -> Result<usize, PolicyError> {
        self.tasks.iter().position(|t| t == task).ok_or_else(|| PolicyError::Unfit {
            file: file.to_path_buf(),
            key: "tasks",
            trained: self.tasks.join(", "),
            found: task.to_string(),
            fix: "choose one of the policy's tasks, or train this one",
        })
    }

    /// Width of the bottleneck of an `actor` head.
    pub fn latent(&self, folder: &Path) -> Result<i64, PolicyError> {
        self.latent.ok_or_else(|| PolicyError::Unfit {
            file: Self::path(folder),
            key: "latent",
            trained: "a head `actor`, which has a bottleneck".into(),
            found: "no bottleneck width".into(),
            fix: "restore policy.toml",
        })
    }

    /// Scales of joints and torques of a head of kind `torques`.
    pub fn joints(&self, folder: &Path) -> Result<&JointScale, PolicyError> {
        let scale = self.joints.as_ref().filter(|scale| {
            let numbers = [&scale.position_mean, &scale.position_std, &scale.velocity_std, &scale.torque_std];
            // A scale that is not positive, or NaN, would hide what passes through it.
            let positive = |values: &[f64]| values.iter().all(|value| *value > 0.0 && value.is_finite());
            numbers.iter().all(|values| values.len() == scale.joints())
                && numbers[1..].iter().all(|values| positive(values))
                && scale.position_mean.is_finite()
        });
        scale.ok_or_else(|| PolicyError::Unfit {
            file: Self::path(folder),
            key: "joints",
            trained: "a head `torques`, which scales each joint's position, velocity and torque".into(),
            found: "no scales, or not a positive one for each joint".into(),
            fix: "restore policy.toml",
        })
    }

    /// Reads `policy.toml` and checks that the weight files are the ones it names.
    ///
    /// ```
    /// use std::path::Path;
    ///
    /// use visuomotor_learning::policy::Checkpoint;
    ///
    /// # let checkout = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    /// let checkpoint = Checkpoint::load(&checkout.join("policies/kitchen"))?;
    /// assert!(checkpoint.tasks.iter().any(|task| task == "knife_in_pot"));
    /// assert_eq!(checkpoint.rate_hz, 5.0);
    /// # Ok::<(), visuomotor_learning::policy::PolicyError>(())
    /// ```
    pub fn load(folder: &Path) -> Result<Self, PolicyError> {
        let path = Self::path(folder);
        let checkpoint: Self = load(&path)?;
        if checkpoint.version != Self::VERSION {
            return Err(PolicyError::Unfit {
                file: path,
                key: "version",
                trained: format!("format {}", checkpoint.version),
                found: format!("format {}", Self::VERSION),
                fix: "train it again or use the program version it came with",
            });
        }
        check_digest(folder, "encoder.safetensors", &checkpoint.encoder_digest)?;
        check_digest(folder, "head.safetensors", &checkpoint.head_digest)?;
        Ok(checkpoint)
    }

    /// The critic the policy was trained with, its file checked to be the one `policy.toml` names.
    pub fn critic(&self, folder: &Path) -> Result<&CriticRecord, PolicyError> {
        let record = self.critic.as_ref().ok_or_else(|| PolicyError::Unfit {
            file: Self::path(folder),
            key: "critic",
            trained: "acting alone".into(),
            found: "a request for state values".into(),
            fix: "train it with `visuomotor train cql`, which saves the critic too",
        })?;
        check_digest(folder, Self::CRITIC, &record.digest)?;
        Ok(record)
    }

    /// Refuses a set-up that this policy was not made for.
    pub fn check(&self, folder: &Path, offer: &Offer<'_>, task: &str) -> Result<(), PolicyError> {
        let Offer { robot, joints, rate_hz, bounds, camera_size, law, .. } = *offer;
        let unfit = |key, trained: String, found: String, fix| {
            Err(PolicyError::Unfit { file: Self::path(folder), key, trained, found, fix })
        };
        if self.robot != robot {
            return unfit("robot", self.robot.clone(), robot.into(), "choose a policy of this arm");
        }
        // Written so that NaN fails it.
        if !((self.rate_hz - rate_hz).abs() < 1e-9) {
            return unfit(
                "rate_hz",
                format!("{} Hz", self.rate_hz),
                format!("{rate_hz} Hz"),
                "set policy.rate_hz in the launch file",
            );
        }
        let kind = self.head.motion();
        if !law.takes(kind) {
            return unfit("head", kind.to_string(), format!("the control law `{law}`"), ControlLaw::CHOICE);
        }
        if let Some(scale) = self.joints.as_ref().filter(|scale| scale.joints() != joints) {
            return unfit(
                "joints",
                format!("{} joints", scale.joints()),
                format!("{joints} joints"),
                "choose a policy of this arm",
            );
        }
        // Bounds do not apply to torques.
        if kind != MotionKind::JointTorques && self.bounds != *bounds {
            return unfit(
                "bounds",
                format!("{:?}", self.bounds),
                format!("{bounds:?}"),
                "set policy.bounds in the launch file",
            );
        }
        let square = [self.image_size, self.image_size];
        if self.camera_size != camera_size && camera_size != square {
            return unfit(
                "camera_size",
                format!("{}x{} images", self.camera_size[0], self.camera_size[1]),
                format!("{}x{} images", camera_size[0], camera_size[1]),
                "use the camera calibration the policy was trained with",
            );
        }
        if !self.tasks.iter().any(|t| t == task) {
            return unfit(
                "tasks",
                self.tasks.join(", "),
                task.into(),
                "choose one of the policy's tasks, or train this one",
            );
        }
        Ok(())
    }

    /// Digest of the whole policy: encoder and head.
    pub fn weights_digest(&self) -> String {
        digest(format!("{}{}", self.encoder_digest, self.head_digest).as_bytes())
    }

    /// The head's conditioning input for a state and a task: scaled state, then one-hot.
    pub fn condition(&self, state: &[f64; 7], task: usize) -> Vec<f32> {
        let mut out = Vec::with_capacity(7 + self.tasks.len());
        for (i, value) in state.iter().enumerate() {
            out.push(((value - self.state.mean[i]) / self.state.std[i]) as f32);
        }
        out.extend((0..self.tasks.len()).map(|i| if i == task { 1.0 } else { 0.0 }));
        out
    }
}

/// Is the weights file `name` the one `policy.toml` names?
fn check_digest(folder: &Path, name: &str, expected: &str) -> Result<(), PolicyError> {
    let file = folder.join(name);
    let bytes =
        visuomotor_core::untrusted::read(&file, visuomotor_core::untrusted::LARGEST_WEIGHTS).map_err(|error| {
            PolicyError::Weights {
                file: file.clone(),
                what: format!("cannot be read ({error})"),
                fix: "restore the file beside policy.toml".into(),
            }
        })?;
    let found = digest(&bytes);
    if found == expected {
        return Ok(());
    }
    Err(PolicyError::Weights {
        file,
        what: format!("digest {found}, policy.toml names {expected}"),
        fix: "restore the weights this policy was saved with".into(),
    })
}
