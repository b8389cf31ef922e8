//! Encode, then act: the trained policy as an [`ActionSource`].

use std::path::Path;
use std::sync::Arc;

use tch::{Device, Tensor, nn};

use super::actor::Actor;
use super::checkpoint::{Checkpoint, HeadKind, PolicyError};
use super::head::ActionHead;
use super::torque_head::{JointScale, TorqueHead};
use crate::encoder::weights::Weights;
use crate::encoder::{Encoder, EncoderError, EncoderKind, policy_image};
use visuomotor_core::action::{ActionError, ActionSource, AskedTorques, Decision};
use visuomotor_core::embedding::Embedding;
use visuomotor_core::observation::{Image, Observation};
use visuomotor_core::time::Clock;

/// What turns embeddings into actions.
pub(super) enum Head {
    Places(ActionHead),
    Actor(Actor),
    Torques(Box<(TorqueHead, JointScale)>),
}

/// A trained policy for one task.
pub struct VisualPolicy {
    pub(super) checkpoint: Checkpoint,
    task: usize,
    pub(super) encoder: Encoder,
    pub(super) head: Head,
    // Owns the head's tensors.
    _variables: nn::VarStore,
    stopwatch: Arc<dyn Clock>,
}

impl VisualPolicy {
    /// Loads the policy in `folder` for a task it was trained on. Its encoder runs on `device`, its head, which is small, on
    /// the CPU. `stopwatch` measures what encoding and acting cost.
    pub fn load(folder: &Path, task: &str, device: Device, stopwatch: Arc<dyn Clock>) -> Result<Self, PolicyError> {
        let checkpoint = Checkpoint::load(folder)?;
        let task = checkpoint.task(&Checkpoint::path(folder), task)?;
        let encoder = Encoder::load(checkpoint.encoder, &folder.join("encoder.safetensors"), device)?;
        // The large encoders resize any image; the small one takes the policy's image unchanged.
        if checkpoint.encoder == EncoderKind::Small && checkpoint.image_size != encoder.image_size() {
            return Err(PolicyError::Unfit {
                file: Checkpoint::path(folder),
                key: "image_size",
                trained: format!("{0}x{0} images", checkpoint.image_size),
                found: format!("an encoder of {0}x{0} images", encoder.image_size()),
                fix: "restore policy.toml, or train the policy at the encoder's size",
            });
        }
        let mut variables = nn::VarStore::new(Device::Cpu);
        let (dimension, tasks) = (encoder.dimension() as i64, checkpoint.tasks.len() as i64);
        let (root, hidden) = (variables.root(), &checkpoint.hidden);
        let head = match checkpoint.head {
            HeadKind::Places => Head::Places(ActionHead::new(&root, dimension, tasks, hidden)),
            HeadKind::Actor => {
                let latent = checkpoint.latent(folder)?;
                Head::Actor(Actor::new(&root, dimension, latent, tasks, hidden, checkpoint.locates)?)
            }
            HeadKind::Torques => {
                let scale = checkpoint.joints(folder)?.clone();
                let head = TorqueHead::new(&root, dimension, tasks, scale.joints() as i64, hidden)?;
                Head::Torques(Box::new((head, scale)))
            }
        };
        Weights::read(&folder.join("head.safetensors"))?.fill(&variables, "")?;
        variables.freeze();
        Ok(Self { checkpoint, task, encoder, head, _variables: variables, stopwatch })
    }

    /// Switches to another of its tasks.
    pub fn set_task(&mut self, folder: &Path, task: &str) -> Result<(), PolicyError> {
        self.task = self.checkpoint.task(&Checkpoint::path(folder), task)?;
        Ok(())
    }

    /// The policy's `policy.toml`.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Embedding of an image, as the policy sees it.
    pub fn embed(&self, image: &Image) -> Result<Embedding, PolicyError> {
        let image = policy_image(image, self.checkpoint.image_size).map_err(EncoderError::from)?;
        Ok(self.encoder.encode(&image)?)
    }

    /// The decision for an embedding and proprioception, without its computing times.
    fn act(&self, embedding: &Embedding, observation: &Observation) -> Result<Decision, ActionError> {
        let condition = self.checkpoint.condition(&observation.bridge_state, self.task);
        let row = |values: &[f32]| Tensor::f_from_slice(values)?.f_unsqueeze(0);
        let numbers = tch::no_grad(|| {
            let (embedding, condition) = (row(&embedding.values)?, row(&condition)?);
            let numbers = match &self.head {
                Head::Places(head) => head.forward(&embedding, &condition)?.mean,
                Head::Actor(actor) => actor.forward(&embedding, &condition)?.mode()?,
                Head::Torques(torques) => {
                    let (head, scale) = &**torques;
                    let body = row(&scale.body(&observation.proprioception))?;
                    head.forward(&embedding, &condition, &body)?.torques
                }
            };
            Vec::<f32>::try_from(numbers.f_reshape([-1])?)
        });
        let numbers = numbers.map_err(|error| ActionError::Network(error.to_string()))?;
        if !numbers.iter().all(|value| value.is_finite()) {
            return Err(ActionError::NotFinite("an action"));
        }
        let wrong = || ActionError::Network(format!("the head returned {} numbers", numbers.len()));
        if let Head::Torques(head) = &self.head {
            let scale = &head.1;
            let (gripper, torques) = numbers.split_last().ok_or_else(wrong)?;
            let gripper = (0.5 + 0.5 * f64::from(*gripper)).clamp(0.0, 1.0);
            return Ok(Decision::moving(AskedTorques::plain(scale.torques(torques)), gripper));
        }
        let normalized: [f32; 7] = numbers.as_slice().try_into().map_err(|_| wrong())?;
        Ok(Decision::plain(self.checkpoint.bounds.denormalize(normalized.map(f64::from))))
    }
}

impl ActionSource for VisualPolicy {
    fn name(&self) -> &str {
        &self.checkpoint.name
    }

    fn reset(&mut self) {}

    fn decide(&mut self, observation: &Observation) -> Result<Decision, ActionError> {
        let image = observation
            .images
            .first()
            .ok_or_else(|| ActionError::Observation("no camera image, the policy needs one".into()))?;
        let begin = self.stopwatch.now();
        let embedding = self.embed(image).map_err(|e| ActionError::Network(e.to_string()))?;
        let encoded = self.stopwatch.now();
        let decision = self.act(&embedding, observation)?;
        let decided = self.stopwatch.now();
        Ok(Decision {
            embedding: Some(embedding),
            encoder_seconds: encoded.since(begin).as_secs_f64(),
            policy_seconds: decided.since(encoded).as_secs_f64(),
            ..decision
        })
    }
}
