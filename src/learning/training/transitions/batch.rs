//! Transitions as a batch of tensors.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, TchError, Tensor};

use super::Transitions;
use crate::policy::Checkpoint;
use crate::training::ClipAugmentation;
use crate::training::dataset::normalized;
use crate::training::hindsight::Places;

/// A batch of B transitions.
pub struct TransitionBatch {
    /// Augmented images of s (B, 3, size, size), f32 in 0..1.
    pub images: Tensor,
    /// Augmented images of s', as `images`, with independent augmentation.
    pub next_images: Tensor,
    /// Scaled state and task one-hot of s (B, 7 + tasks).
    pub conditions: Tensor,
    /// The same of s'.
    pub next_conditions: Tensor,
    /// Normalized actions (B, 7), clipped to +-0.99.
    pub actions: Tensor,
    /// The actions that the demonstrator meant, without the added noise; otherwise as `actions`.
    pub shown: Tensor,
    /// Where the tool will close and open its fingers; episodes that failed have no such places.
    pub places: Places,
    /// 1 where the episode succeeded and its steps may be imitated, else 0 (B).
    pub imitated: Tensor,
    /// Rewards (B): +10 or -1.
    pub rewards: Tensor,
    /// Masks (B): 0 where the step is terminal, else 1.
    pub masks: Tensor,
    /// Returns of the trajectories (B).
    pub returns: Tensor,
}

impl TransitionBatch {
    /// The same on `device`.
    pub fn to_device(&self, device: Device) -> Result<Self, TchError> {
        let there = |tensor: &Tensor| tensor.f_to_device(device);
        Ok(Self {
            images: there(&self.images)?,
            next_images: there(&self.next_images)?,
            conditions: there(&self.conditions)?,
            next_conditions: there(&self.next_conditions)?,
            actions: there(&self.actions)?,
            shown: there(&self.shown)?,
            places: self.places.to_device(device)?,
            imitated: there(&self.imitated)?,
            rewards: there(&self.rewards)?,
            masks: there(&self.masks)?,
            returns: there(&self.returns)?,
        })
    }
}

/// Assembles a batch of transitions: each pick is a step of some data. `jitter` is noise on the scaled states.
pub fn assemble(
    picks: &[(&Transitions, usize)],
    checkpoint: &Checkpoint,
    augmentation: &ClipAugmentation,
    jitter: f64,
    rng: &mut ChaCha8Rng,
) -> Result<TransitionBatch, TchError> {
    let size = checkpoint.image_size as usize;
    let pixels = size * size * 3;
    let mut images = vec![0.0f32; picks.len() * pixels];
    let mut next_images = images.clone();
    let (mut conditions, mut next_conditions) = (Vec::new(), Vec::new());
    let (mut actions, mut shown, mut imitated, mut ahead) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut rewards, mut masks, mut returns) = (Vec::new(), Vec::new(), Vec::new());
    for (slot, &(data, step)) in picks.iter().enumerate() {
        let at = slot * pixels..(slot + 1) * pixels;
        let next = data.next(step);
        augmentation.apply(&[&data.images[step]], size, size, &mut images[at.clone()], rng);
        augmentation.apply(&[&data.images[next]], size, size, &mut next_images[at], rng);
        for (step, conditions) in [(step, &mut conditions), (next, &mut next_conditions)] {
            let mut condition = checkpoint.condition(&data.states[step], data.tasks[step]);
            for value in &mut condition[..7] {
                if jitter > 0.0 {
                    *value += rng.random_range(-jitter..=jitter) as f32;
                }
            }
            conditions.extend(condition);
        }
        actions.extend(normalized(&data.actions[step], &checkpoint.bounds));
        shown.extend(normalized(&data.shown[step], &checkpoint.bounds));
        ahead.push(data.ahead[step]);
        imitated.push(f32::from(u8::from(data.succeeded(data.episode(step)))));
        rewards.push(data.rewards[step].0);
        masks.push(data.rewards[step].1);
        returns.push(data.returns[step]);
    }
    let (b, s) = (picks.len() as i64, size as i64);
    let shaped = |values: &[f32], shape: &[i64]| Tensor::f_from_slice(values)?.f_reshape(shape);
    Ok(TransitionBatch {
        images: shaped(&images, &[b, 3, s, s])?,
        next_images: shaped(&next_images, &[b, 3, s, s])?,
        conditions: shaped(&conditions, &[b, -1])?,
        next_conditions: shaped(&next_conditions, &[b, -1])?,
        actions: shaped(&actions, &[b, 7])?,
        shown: shaped(&shown, &[b, 7])?,
        places: Places::of(&ahead, &checkpoint.state)?,
        imitated: shaped(&imitated, &[b])?,
        rewards: shaped(&rewards, &[b])?,
        masks: shaped(&masks, &[b])?,
        returns: shaped(&returns, &[b])?,
    })
}
