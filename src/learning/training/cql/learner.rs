//! CQL from images: the encoders in front of the networks, and the saved files.

use std::cell::Cell;
use std::path::Path;

use anyhow::{Context, ensure};
use tch::{Device, Kind, Tensor};

use super::{ActorCritic, Draws, Embedded, Settings};
use crate::encoder::weights;
use crate::policy::{Checkpoint, CriticRecord, HeadKind, StateScale};
use crate::training::average::{self, MovingAverage};
use crate::training::checkpoint::{check_fit, named, read_state, restore_named, write_files};
use crate::training::transitions::TransitionBatch;
use crate::training::{Decay, Learner, Terms, TrainedEncoder, soft_update, step_seed, weights_bytes};
use visuomotor_core::config::digest;

/// How often images were encoded in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passes {
    /// Passes whose gradient is kept.
    pub with_gradient: u32,
    /// Passes without gradient.
    pub without_gradient: u32,
    /// Images of all passes together.
    pub images: i64,
}

/// The trained encoders besides the critic's.
struct Apart {
    actor: TrainedEncoder,
    target: TrainedEncoder,
}

/// The encoders; where they are frozen, all networks use the critic's.
struct Encoders {
    critic: TrainedEncoder,
    apart: Option<Apart>,
    passes: Cell<Passes>,
}

/// CQL as a [`Learner`].
pub struct Cql {
    settings: Settings,
    checkpoint: Checkpoint,
    encoders: Encoders,
    networks: ActorCritic,
    /// The average of the actor and its encoder.
    average: Option<MovingAverage>,
    held_out: Vec<TransitionBatch>,
}

impl Encoders {
    fn new(settings: &Settings, device: Device) -> anyhow::Result<Self> {
        let weights = settings.encoder_weights.as_deref();
        let new = || TrainedEncoder::new(settings.encoder, weights, settings.bf16, device);
        let mut critic = new()?;
        let apart = if settings.freeze_encoders {
            critic.freeze();
            None
        } else {
            // The same weights as the critic's, also where the generator drew them.
            let actor = new()?;
            soft_update(&actor.variables, &critic.variables, 1.0)?;
            Some(Apart { actor, target: critic.copy()? })
        };
        Ok(Self { critic, apart, passes: Cell::new(Passes::default()) })
    }

    /// Embeddings (B, D) of images (B, 3, S, S). BatchNorm statistics stay fixed: V-PTR trains VIP's weights that way, and
    /// four networks that see one batch each would end with different ones.
    fn encode(&self, encoder: &TrainedEncoder, images: &Tensor, gradient: bool) -> anyhow::Result<Tensor> {
        let mut passes = self.passes.get();
        if gradient {
            passes.with_gradient += 1;
        } else {
            passes.without_gradient += 1;
        }
        passes.images += images.size()[0];
        self.passes.set(passes);
        Ok(if gradient { encoder.embed(images, false)? } else { tch::no_grad(|| encoder.embed(images, false))? })
    }

    /// The embeddings of a batch for every network.
    fn encode_all(&self, batch: &TransitionBatch, gradient: bool) -> anyhow::Result<Embedded> {
        Ok(match &self.apart {
            Some(Apart { actor, target }) => Embedded {
                critic: self.encode(&self.critic, &batch.images, gradient)?,
                target_next: self.encode(target, &batch.next_images, false)?,
                actor: self.encode(actor, &batch.images, gradient)?,
                actor_next: self.encode(actor, &batch.next_images, false)?,
            },
            None => {
                let now = self.encode(&self.critic, &batch.images, false)?;
                let next = self.encode(&self.critic, &batch.next_images, false)?;
                Embedded {
                    critic: now.shallow_clone(),
                    target_next: next.shallow_clone(),
                    actor: now,
                    actor_next: next,
                }
            }
        })
    }

    /// A moving average of the actor and its encoder, starting at their present values; `None` without averaging.
    fn average(&self, networks: &ActorCritic, keep: Decay) -> Option<MovingAverage> {
        let mut actor = named("actor", &networks.actor_variables);
        actor.extend(self.apart.iter().flat_map(|apart| named("actor_encoder", &apart.actor.variables)));
        (keep.get() > 0.0).then(|| MovingAverage::new(keep, actor))
    }

    fn actor(&self) -> &TrainedEncoder {
        self.apart.as_ref().map_or(&self.critic, |apart| &apart.actor)
    }
}

impl Cql {
    /// A learner with the weights its settings name; those from the seed depend on it alone. [`Learner::validate`] uses
    /// `held_out`.
    pub fn new(
        settings: &Settings,
        checkpoint: &Checkpoint,
        held_out: Vec<TransitionBatch>,
        device: Device,
    ) -> anyhow::Result<Self> {
        tch::manual_seed(settings.seed as i64);
        let encoders = Encoders::new(settings, device)?;
        let stores = encoders.apart.as_ref().map(|apart| (&apart.actor.variables, &encoders.critic.variables));
        let networks = ActorCritic::new(settings, encoders.critic.dimension(), stores, device)?;
        let (settings, checkpoint) = (settings.clone(), checkpoint.clone());
        let average = encoders.average(&networks, settings.ema_decay);
        Ok(Self { settings, checkpoint, encoders, networks, average, held_out })
    }

    /// Continues from the state of a phase 2 in `folder`: weights, target and the optimizers' moments; with
    /// [`Settings::reinit_actor`] the critic's only. An average starts again.
    pub fn go_on_from(&mut self, folder: &Path) -> anyhow::Result<()> {
        let file = folder.join("checkpoint.safetensors");
        let mut state = read_state(&file, "cql")?;
        state.retain(|(name, _)| !name.starts_with(average::PREFIX));
        self.same_freedom(&state).with_context(|| file.display().to_string())?;
        let now = self.trained();
        check_fit(&file, &state, &now, "session.")?;
        if self.settings.reinit_actor {
            state.retain(|(name, _)| !is_actors(name));
            state.extend(
                now.iter().filter(|(name, _)| is_actors(name)).map(|(name, tensor)| (name.clone(), tensor.copy())),
            );
        }
        self.restore_trained(&state)?;
        self.average = self.encoders.average(&self.networks, self.settings.ema_decay);
        Ok(())
    }

    /// The whole state except averages.
    fn trained(&self) -> Vec<(String, Tensor)> {
        let mut state = named("critic_encoder", &self.encoders.critic.variables);
        if let Some(Apart { actor, target }) = &self.encoders.apart {
            state.extend(named("actor_encoder", &actor.variables));
            state.extend(named("target_encoder", &target.variables));
        }
        state.extend(self.networks.state());
        state
    }

    fn restore_trained(&mut self, state: &[(String, Tensor)]) -> anyhow::Result<()> {
        self.same_freedom(state)?;
        restore_named("critic_encoder", &self.encoders.critic.variables, state)?;
        if let Some(Apart { actor, target }) = &self.encoders.apart {
            restore_named("actor_encoder", &actor.variables, state)?;
            restore_named("target_encoder", &target.variables, state)?;
        }
        self.networks.restore(state)
    }

    /// Means over the held-out data.
    fn judge_held_out(&self) -> anyhow::Result<Terms> {
        let device = self.encoders.critic.variables.device();
        let (mut means, mut count) = (Terms::new(), 0.0);
        for batch in &self.held_out {
            let batch = batch.to_device(device)?;
            let size = batch.actions.size()[0];
            // The same random numbers every time, so that the curve shows only changes of the networks.
            let draws = Draws::new(0, size, self.settings.sample_counts(), device)?;
            let seen = self.encoders.encode_all(&batch, false)?;
            let terms = self.networks.judge(&seen, &batch, &draws)?;
            if means.is_empty() {
                means = terms.iter().map(|(name, _)| (*name, 0.0)).collect();
            }
            for ((_, mean), (_, value)) in means.iter_mut().zip(terms) {
                *mean += value * size as f64;
            }
            count += size as f64;
        }
        for (_, mean) in &mut means {
            *mean /= count;
        }
        Ok(means)
    }

    /// Runs `work` with the actor as it is saved.
    fn averaged<T>(&self, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        match &self.average {
            Some(average) => average.instead(work),
            None => work(),
        }
    }

    /// Refuses a state with trained encoders where the settings freeze them, and vice versa.
    fn same_freedom(&self, state: &[(String, Tensor)]) -> anyhow::Result<()> {
        let trained = state.iter().any(|(name, _)| name.starts_with("actor_encoder."));
        ensure!(
            trained == self.encoders.apart.is_some(),
            "key `freeze_encoders`: found {}, the checkpoint was trained with {}; set it so",
            self.settings.freeze_encoders,
            !trained
        );
        Ok(())
    }

    /// How often images were encoded in the last step.
    pub fn passes(&self) -> Passes {
        self.encoders.passes.get()
    }
}

impl Learner for Cql {
    type Batch = TransitionBatch;

    fn update(&mut self, batch: &TransitionBatch, step: u64) -> anyhow::Result<Terms> {
        let Self { settings, encoders, networks, average, .. } = self;
        let device = encoders.critic.variables.device();
        encoders.passes.set(Passes::default());
        let batch = batch.to_device(device)?;
        let seed = step_seed(settings.seed, step);
        let draws = Draws::new(seed, batch.actions.size()[0], settings.sample_counts(), device)?;
        let seen = encoders.encode_all(&batch, true)?;
        let terms = networks.step(&seen, &batch, &draws, settings.lr_factor(step), || {
            let Some(Apart { target, .. }) = &encoders.apart else { return Ok(None) };
            soft_update(&target.variables, &encoders.critic.variables, settings.tau.get())?;
            if !settings.encode_again {
                return Ok(None);
            }
            encoders.encode(&encoders.critic, &batch.images, false).map(Some)
        })?;
        if let Some(average) = average {
            average.follow(step);
        }
        Ok(terms)
    }

    fn state(&self) -> anyhow::Result<Vec<(String, Tensor)>> {
        let mut state = self.trained();
        state.extend(self.average.iter().flat_map(MovingAverage::state));
        Ok(state)
    }

    fn restore(&mut self, state: &[(String, Tensor)]) -> anyhow::Result<()> {
        self.restore_trained(state)?;
        self.average.as_mut().map_or(Ok(()), |average| average.restore(state))
    }

    /// The policy folder: actor and its encoder, critic and its encoder, `policy.toml`.
    fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let at = |name: &str| folder.join(name);
        let (encoder_file, head_file, critic_file) =
            (at("encoder.safetensors"), at("head.safetensors"), at(Checkpoint::CRITIC));
        let (encoder, head) = self.averaged(|| {
            let head = weights_bytes(&self.networks.actor_variables, &head_file)?;
            Ok((self.encoders.actor().to_bytes(&encoder_file)?, head))
        })?;
        let mut arrays = Vec::new();
        for (prefix, store) in [("encoder", &self.encoders.critic.variables), ("head", &self.networks.critic_variables)]
        {
            for (name, variable) in named(prefix, store) {
                let flat = variable.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
                arrays.push((name, variable.size(), Vec::<f32>::try_from(flat.f_reshape([-1])?)?));
            }
        }
        let critic = weights::to_bytes(&critic_file, &arrays, "training")?;
        let mut checkpoint = self.checkpoint.clone();
        checkpoint.encoder_digest = digest(&encoder);
        checkpoint.head_digest = digest(&head);
        checkpoint.critic = Some(CriticRecord { digest: digest(&critic), shape: self.settings.critic_shape() });
        let description = toml::to_string_pretty(&checkpoint)?.into_bytes();
        write_files(&[
            (encoder_file, encoder),
            (head_file, head),
            (critic_file, critic),
            (Checkpoint::path(folder), description),
        ])
    }

    fn validate(&self) -> anyhow::Result<Terms> {
        self.averaged(|| self.judge_held_out())
    }
}

/// Does a tensor of a state belong to the actor: its weights, its encoder's, its temperature, or their moments?
fn is_actors(name: &str) -> bool {
    ["actor", "temperature"].iter().any(|owner| name.starts_with(owner))
}

/// The `policy.toml` for these settings and an arm with `rate_hz` \[Hz\] decisions; the weights add its digests.
pub fn described(settings: &Settings, robot: &str, rate_hz: f64, state: StateScale) -> Checkpoint {
    Checkpoint {
        version: Checkpoint::VERSION,
        name: settings.name.clone(),
        robot: robot.to_string(),
        encoder: settings.encoder,
        encoder_digest: String::new(),
        head_digest: String::new(),
        image_size: settings.image_size,
        camera_size: settings.camera_size,
        rate_hz,
        bounds: settings.bounds,
        tasks: settings.tasks.clone(),
        state,
        hidden: settings.hidden.clone(),
        head: HeadKind::Actor,
        latent: Some(settings.latent),
        locates: settings.places_weight.get() > 0.0,
        joints: None,
        critic: None,
    }
}

/// The `policy.toml` of phase 3: that of phase 2 in `folder`, including the scaling of the state. Refuses settings that would
/// make another network or change the meaning of its numbers.
pub fn continued(settings: &Settings, folder: &Path) -> anyhow::Result<Checkpoint> {
    let before = Checkpoint::load(folder)
        .with_context(|| format!("{}: phase 3 resumes from the folder of a phase 2", folder.display()))?;
    let file = Checkpoint::path(folder);
    ensure!(
        before.head == HeadKind::Actor,
        "{}: key `head`: found {:?}, expected actor; go on from a folder of `visuomotor train cql`",
        file.display(),
        before.head
    );
    let shape = before.critic.as_ref().map(|critic| &critic.shape);
    let now = settings.critic_shape();
    let pairs = [
        ("encoder", before.encoder.to_string(), settings.encoder.to_string()),
        ("tasks", before.tasks.join(", "), settings.tasks.join(", ")),
        ("latent", format!("{:?}", before.latent), format!("{:?}", Some(settings.latent))),
        ("places_weight", before.locates.to_string(), (settings.places_weight.get() > 0.0).to_string()),
        ("hidden", format!("{:?}", before.hidden), format!("{:?}", settings.hidden)),
        ("reappend", format!("{:?}", shape.map(|s| &s.reappend)), format!("{:?}", Some(&now.reappend))),
        ("image_size", before.image_size.to_string(), settings.image_size.to_string()),
        ("camera_size", format!("{:?}", before.camera_size), format!("{:?}", settings.camera_size)),
        ("bounds", format!("{:?}", before.bounds), format!("{:?}", settings.bounds)),
    ];
    for (key, before, now) in pairs {
        ensure!(
            before == now,
            "{}: key `{key}`: phase 2 was trained with {before}, the settings of phase 3 have {now}; make them equal",
            file.display()
        );
    }
    Ok(Checkpoint { name: settings.name.clone(), critic: None, ..before })
}
