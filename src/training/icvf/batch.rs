//! Batches of images for ICVF, each a function of the run's seed and the step's number.

use anyhow::{Context, ensure};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, TchError, Tensor};

use super::goals::{GoalShares, Place, Sample};
use super::loss::{Embeddings, Reached, TargetEmbeddings};
use crate::training::{Batches, ClipAugmentation, Clips, step_seed};

/// Images of B elements, each (B, 3, S, S), f32 in 0..1, RGB.
#[derive(Debug)]
pub struct Batch {
    /// Where one is.
    pub s: Tensor,
    /// What came next.
    pub s_next: Tensor,
    /// The outcome.
    pub g: Tensor,
    /// What is intended; one image for all, (1, 3, S, S), where intents do not count.
    pub z: Tensor,
    /// Which goals are reached.
    pub reached: Reached,
}

impl Batch {
    /// The same on another device.
    pub fn to(&self, device: Device) -> Result<Self, TchError> {
        Ok(Self {
            s: self.s.f_to_device(device)?,
            s_next: self.s_next.f_to_device(device)?,
            g: self.g.f_to_device(device)?,
            z: self.z.f_to_device(device)?,
            reached: Reached { g: self.reached.g.f_to_device(device)?, z: self.reached.z.f_to_device(device)? },
        })
    }

    /// The embeddings that learn: 3 images per element, in one pass.
    pub fn embed(&self, encoder: impl Fn(&Tensor) -> Result<Tensor, TchError>) -> Result<Embeddings, TchError> {
        let [s, g, z] = together([&self.s, &self.g, &self.z], encoder)?;
        Ok(Embeddings { s, g, z })
    }

    /// The embeddings of the target network: 4 images per element, in one pass. The published code evaluates its encoder
    /// 12 times per element, because each value asks anew.
    pub fn embed_target(
        &self,
        encoder: impl Fn(&Tensor) -> Result<Tensor, TchError>,
    ) -> Result<TargetEmbeddings, TchError> {
        let [s_next, s, g, z] = together([&self.s_next, &self.s, &self.g, &self.z], encoder)?;
        Ok(TargetEmbeddings { s_next, at: Embeddings { s, g, z } })
    }
}

/// Embeddings of several batches of images from one pass.
fn together<const N: usize>(
    images: [&Tensor; N],
    encoder: impl Fn(&Tensor) -> Result<Tensor, TchError>,
) -> Result<[Tensor; N], TchError> {
    let counts = images.map(|images| images.size().first().copied().unwrap_or(0));
    let embeddings = encoder(&Tensor::f_cat(&images, 0)?)?.f_split_with_sizes(&counts[..], 0)?;
    let parts = embeddings.len();
    <[Tensor; N]>::try_from(embeddings).map_err(|_| TchError::Shape(format!("{parts} parts of embeddings, not {N}")))
}

/// Draws batches from clips.
pub struct GoalBatches<'a> {
    /// Where images come from; each clip of at least one image, and at least one clip.
    pub clips: &'a dyn Clips,
    /// How goals are drawn.
    pub shares: GoalShares,
    /// How images are varied: each on its own, s, s', g and z alike.
    pub augmentation: ClipAugmentation,
    /// Elements per batch, B.
    pub batch: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Do intents count? Otherwise z is a white image, one for all.
    pub intent: bool,
}

impl GoalBatches<'_> {
    /// What the batch of a step is about, and the generator for its variation.
    pub fn samples(&self, step: u64) -> (Vec<Sample>, ChaCha8Rng) {
        let mut rng = ChaCha8Rng::seed_from_u64(step_seed(self.seed, step));
        let samples = (0..self.batch).map(|_| self.shares.draw(self.clips, &mut rng)).collect();
        (samples, rng)
    }

    /// Images, shape (B, 3, S, S), varied.
    fn images(&self, places: &[Place], rng: &mut ChaCha8Rng) -> anyhow::Result<Tensor> {
        let size = self.clips.size() as usize;
        let mut planes = vec![0.0f32; places.len() * 3 * size * size];
        for (place, out) in places.iter().zip(planes.chunks_exact_mut(3 * size * size)) {
            let name = self.clips.name(place.clip);
            let image =
                self.clips.frame(place.clip, place.index).with_context(|| format!("{name}: image {}", place.index))?;
            let expected = size * size * 3;
            ensure!(
                image.len() == expected,
                "{name}: image {}: found {} bytes, expected {expected}",
                place.index,
                image.len()
            );
            // One image at a time: ICVF varies each on its own.
            self.augmentation.apply(&[&image], size, size, out, rng);
        }
        let side = size as i64;
        Ok(Tensor::f_from_slice(&planes)?.f_reshape([places.len() as i64, 3, side, side])?)
    }
}

impl Batches for GoalBatches<'_> {
    type Batch = Batch;

    fn batch(&self, step: u64) -> anyhow::Result<Batch> {
        let (samples, mut rng) = self.samples(step);
        let mut images = |of: fn(&Sample) -> Place| self.images(&samples.iter().map(of).collect::<Vec<_>>(), &mut rng);
        let (s, s_next, g) = (images(|x| x.s)?, images(|x| x.s_next)?, images(|x| x.g)?);
        let z = if self.intent {
            images(|x| x.z)?
        } else {
            let side = i64::from(self.clips.size());
            Tensor::f_ones([1, 3, side, side], (Kind::Float, Device::Cpu))?
        };
        let reached = |of: fn(&Sample) -> bool| {
            Tensor::f_from_slice(&samples.iter().map(|x| f32::from(u8::from(of(x)))).collect::<Vec<_>>())
        };
        Ok(Batch {
            s,
            s_next,
            g,
            z,
            reached: Reached { g: reached(Sample::reached_g)?, z: reached(Sample::reached_z)? },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::training::icvf::tests::{Numbered, settings};

    fn batches(clips: &Numbered, intent: bool) -> GoalBatches<'_> {
        GoalBatches { batch: 16, intent, ..settings().batches(clips) }
    }

    #[test]
    fn an_element_costs_seven_images_not_twelve() {
        let clips = Numbered::new(&[5, 6]);
        let batch = batches(&clips, true).batch(0).unwrap();
        let (images, passes) = (Cell::new(0), Cell::new(0));
        let encoder = |x: &Tensor| {
            images.set(images.get() + x.size()[0]);
            passes.set(passes.get() + 1);
            x.f_flatten(1, -1)?.f_narrow(1, 0, 3)
        };
        let (online, target) = (batch.embed(encoder).unwrap(), batch.embed_target(encoder).unwrap());
        assert_eq!((images.get(), passes.get()), (7 * 16, 2));
        // And each embedding is its own image's.
        let pixels = |images: &Tensor| images.flatten(1, -1).narrow(1, 0, 3);
        for (embedding, images) in [(&online.s, &batch.s), (&online.g, &batch.g), (&online.z, &batch.z)] {
            assert!(embedding.equal(&pixels(images)));
        }
        let TargetEmbeddings { s_next, at } = &target;
        for (embedding, images) in [(s_next, &batch.s_next), (&at.s, &batch.s), (&at.g, &batch.g), (&at.z, &batch.z)] {
            assert!(embedding.equal(&pixels(images)));
        }
    }

    #[test]
    fn without_intents_one_white_image_stands_for_all() {
        let clips = Numbered::new(&[5, 6]);
        let batch = batches(&clips, false).batch(0).unwrap();
        assert_eq!(batch.z.size(), [1, 3, 8, 8]);
        assert_eq!(f64::try_from(batch.z.min()).unwrap(), 1.0);
    }

    #[test]
    fn the_images_are_those_of_the_samples_and_goals_reached_look_like_s() {
        let clips = Numbered::new(&[5, 6]);
        let batches = batches(&clips, true);
        let (samples, _) = batches.samples(4);
        let batch = batches.batch(4).unwrap();
        let number = |images: &Tensor, i: usize| (images.double_value(&[i as i64, 0, 0, 0]) * 255.0).round() as usize;
        for (i, x) in samples.iter().enumerate() {
            for (images, place) in [(&batch.s, x.s), (&batch.s_next, x.s_next), (&batch.g, x.g), (&batch.z, x.z)] {
                assert_eq!(number(images, i), clips.number(place.clip, place.index));
            }
            assert_eq!(batch.reached.g.double_value(&[i as i64]) == 1.0, number(&batch.s, i) == number(&batch.g, i));
            assert_eq!(batch.reached.z.double_value(&[i as i64]) == 1.0, number(&batch.s, i) == number(&batch.z, i));
        }
    }

    #[test]
    fn a_batch_depends_on_seed_and_step_alone() {
        let clips = Numbered::new(&[50, 60]);
        let of = |seed, step| GoalBatches { seed, ..batches(&clips, true) }.batch(step).unwrap().g;
        assert!(of(3, 7).equal(&of(3, 7)));
        assert!(!of(3, 7).equal(&of(3, 8)) && !of(3, 7).equal(&of(4, 7)));
    }
}
