//! Encode, then act: the trained policy as an [`ActionSource`].

use std::path::Path;
use std::sync::Arc;

use tch::{Device, Tensor, nn};

use super::actor::Actor;
use super::checkpoint::{Checkpoint, HeadKind, PolicyError};
use super::head::ActionHead;
use crate::action::{ActionError, ActionSource, Decision};
use crate::embedding::Embedding;
use crate::encoder::weights::Weights;
use crate::encoder::{Encoder, EncoderError, EncoderKind, policy_image};
use crate::observation::{Image, Observation};
use crate::time::Clock;

/// What turns embeddings into actions.
enum Head {
    Places(ActionHead),
    Actor(Actor),
}

/// A trained policy for one task.
pub struct VisualPolicy {
    checkpoint: Checkpoint,
    task: usize,
    encoder: Encoder,
    head: Head,
    // Owns the head's tensors.
    _variables: nn::VarStore,
    stopwatch: Arc<dyn Clock>,
}

impl VisualPolicy {
    /// Loads the policy in `folder` for a task it was trained on. `stopwatch` measures what encoding and acting cost.
    pub fn load(folder: &Path, task: &str, stopwatch: Arc<dyn Clock>) -> Result<Self, PolicyError> {
        let checkpoint = Checkpoint::load(folder)?;
        let task = checkpoint.task(&Checkpoint::path(folder), task)?;
        let kind: EncoderKind = checkpoint.encoder.parse()?;
        let encoder = Encoder::load(kind, &folder.join("encoder.safetensors"))?;
        // The large encoders bring any image to their own size; the small one sees the policy's image as it is.
        if kind == EncoderKind::Small && checkpoint.image_size != encoder.image_size() {
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
        };
        Weights::read(&folder.join("head.safetensors"))?.fill(&variables, "")?;
        variables.freeze();
        Ok(Self { checkpoint, task, encoder, head, _variables: variables, stopwatch })
    }

    /// Acts for another of its tasks from now on.
    pub fn set_task(&mut self, folder: &Path, task: &str) -> Result<(), PolicyError> {
        self.task = self.checkpoint.task(&Checkpoint::path(folder), task)?;
        Ok(())
    }

    /// What the policy was made for.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Embedding of an image, as the policy sees it.
    pub fn embed(&self, image: &Image) -> Result<Embedding, PolicyError> {
        let image = policy_image(image, self.checkpoint.image_size).map_err(EncoderError::from)?;
        Ok(self.encoder.encode(&image)?)
    }

    fn act(&self, embedding: &Embedding, state: &[f64; 7]) -> Result<[f64; 7], ActionError> {
        let network = |e: tch::TchError| ActionError::Network(e.to_string());
        let condition = self.checkpoint.condition(state, self.task);
        let mode = tch::no_grad(|| {
            let row = |values: &[f32]| Tensor::f_from_slice(values)?.f_unsqueeze(0);
            let (embedding, condition) = (row(&embedding.values)?, row(&condition)?);
            match &self.head {
                Head::Places(head) => Ok(head.forward(&embedding, &condition)?.mean),
                Head::Actor(actor) => actor.forward(&embedding, &condition)?.mode(),
            }
        })
        .map_err(network)?;
        let mut normalized = [0.0f32; 7];
        mode.f_reshape([7]).and_then(|m| m.f_copy_data(&mut normalized, 7)).map_err(network)?;
        Ok(normalized.map(f64::from))
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
        let normalized = self.act(&embedding, &observation.bridge_state())?;
        let decided = self.stopwatch.now();
        if !normalized.iter().all(|v| v.is_finite()) {
            return Err(ActionError::NotFinite("an action"));
        }
        let action = self.checkpoint.bounds.denormalize(normalized);
        Ok(Decision {
            action,
            label: action,
            joint_torques: None,
            embedding: Some(embedding),
            encoder_seconds: encoded.since(begin).as_secs_f64(),
            policy_seconds: decided.since(encoded).as_secs_f64(),
        })
    }
}
