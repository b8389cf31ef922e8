//! State values V(s) of a policy along a rollout (V-PTR, figure 6).

use std::path::{Path, PathBuf};

use tch::{Device, Kind, TchError, Tensor, nn};

use super::actor::Actor;
use super::checkpoint::{Checkpoint, HeadKind, PolicyError};
use super::critic::Critic;
use crate::encoder::weights::Weights;
use crate::encoder::{Encoder, EncoderError, EncoderOptions, policy_image};
use crate::network::normals;
use visuomotor_core::observation::Image;

/// The critic of a policy folder, and the actor whose actions it evaluates.
pub struct StateValue {
    checkpoint: Checkpoint,
    file: PathBuf,
    critic_encoder: Encoder,
    actor_encoder: Encoder,
    critic: Critic,
    actor: Actor,
    // Own the heads' tensors.
    _variables: [nn::VarStore; 2],
}

impl StateValue {
    /// Loads critic and actor from a policy's `folder`. Its encoders run on `device`.
    pub fn load(folder: &Path, device: Device) -> Result<Self, PolicyError> {
        let checkpoint = Checkpoint::load(folder)?;
        let file = Checkpoint::path(folder);
        if checkpoint.head != HeadKind::Actor {
            return Err(PolicyError::Unfit {
                file,
                key: "head",
                trained: "a head without a critic".into(),
                found: "a request for its critic".into(),
                fix: "train it with `visuomotor train cql`",
            });
        }
        let shape = checkpoint.critic(folder)?.shape.clone();
        let weights = folder.join(Checkpoint::CRITIC);
        let options = EncoderOptions::default();
        let critic_encoder = Encoder::load_with(checkpoint.encoder, &weights, "encoder.", options, device)?;
        let actor_encoder = Encoder::load(checkpoint.encoder, &folder.join("encoder.safetensors"), device)?;
        let (dimension, tasks) = (actor_encoder.dimension() as i64, checkpoint.tasks.len() as i64);
        let (mut critic_variables, mut actor_variables) =
            (nn::VarStore::new(Device::Cpu), nn::VarStore::new(Device::Cpu));
        let critic = Critic::new(&critic_variables.root(), dimension, tasks, &shape)?;
        Weights::read(&weights)?.fill(&critic_variables, "head.")?;
        let latent = checkpoint.latent(folder)?;
        let actor =
            Actor::new(&actor_variables.root(), dimension, latent, tasks, &checkpoint.hidden, checkpoint.locates)?;
        Weights::read(&folder.join("head.safetensors"))?.fill(&actor_variables, "")?;
        critic_variables.freeze();
        actor_variables.freeze();
        let _variables = [critic_variables, actor_variables];
        Ok(Self { checkpoint, file, critic_encoder, actor_encoder, critic, actor, _variables })
    }

    /// The policy's `policy.toml`.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// V(s) of a task the policy was trained on = mean over `samples` actions a ~ pi(. | s) of min_i Q_i(s, a), in units of reward.
    ///
    /// `state` is Bridge's: x, y, z \[m\], roll, pitch, yaw \[rad\], gripper. The random numbers behind the actions depend on
    /// `seed` alone: all states of a rollout share them, so that sampling noise adds no steps to the curve.
    pub fn value(
        &self,
        task: &str,
        image: &Image,
        state: &[f64; 7],
        samples: usize,
        seed: u64,
    ) -> Result<f64, PolicyError> {
        let task = self.checkpoint.task(&self.file, task)?;
        let image = policy_image(image, self.checkpoint.image_size).map_err(EncoderError::from)?;
        let (seen, acted_on) = (self.critic_encoder.encode(&image)?, self.actor_encoder.encode(&image)?);
        let condition = self.checkpoint.condition(state, task);
        let normals = normals(samples.max(1) * 7, seed);
        let value = tch::no_grad(|| -> Result<f64, TchError> {
            let row = |values: &[f32]| Tensor::f_from_slice(values)?.f_unsqueeze(0);
            let policy = self.actor.forward(&row(&acted_on.values)?, &row(&condition)?)?;
            let (actions, _) = policy.sample(&Tensor::f_from_slice(&normals)?.f_reshape([1, -1, 7])?)?;
            let latent = self.critic.latent(&row(&seen.values)?)?;
            let q = self.critic.q(&latent, &actions, &row(&condition[7..])?)?;
            f64::try_from(q.f_amin([0i64], false)?.f_mean(Kind::Double)?)
        })?;
        Ok(value)
    }
}
