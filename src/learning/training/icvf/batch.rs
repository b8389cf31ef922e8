//! Batches of images for ICVF, each a function of the run's seed and the step's number.

use std::collections::HashMap;

use anyhow::{Context, ensure};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, TchError, Tensor};

use super::goals::{GoalShares, Place, Sample, some_of};
use super::loss::{Embeddings, Reached, TargetEmbeddings};
use crate::training::{Batches, ClipAugmentation, Clips, step_seed};

/// B elements over N images.
#[derive(Debug)]
pub struct Batch {
    /// The images s, g and z, (N, 3, S, S), f32 in 0..1, RGB.
    pub images: Tensor,
    /// The images s', (M, 3, S, S).
    pub next: Tensor,
    /// s: indices of images, (B), i64.
    pub s: Tensor,
    /// s': indices in `next`, (B).
    pub s_next: Tensor,
    /// The outcome g: indices of images, (B).
    pub g: Tensor,
    /// The intent z: indices of images, (B); (1) where it is the same for all.
    pub z: Tensor,
    /// Which goals are reached.
    pub reached: Reached,
}

impl Batch {
    /// B elements, each with images of its own, each (B, 3, S, S); `z` may be one for all.
    pub fn separate(s: &Tensor, s_next: Tensor, g: &Tensor, z: &Tensor, reached: Reached) -> Result<Self, TchError> {
        let (count, intents) = (s.size()[0], z.size()[0]);
        let numbers = |from: i64, to: i64| Tensor::f_arange_start(from, to, (Kind::Int64, Device::Cpu));
        Ok(Self {
            images: Tensor::f_cat(&[s, g, z], 0)?,
            next: s_next,
            s: numbers(0, count)?,
            s_next: numbers(0, count)?,
            g: numbers(count, 2 * count)?,
            z: numbers(2 * count, 2 * count + intents)?,
            reached,
        })
    }

    /// The same on another device.
    pub fn to(&self, device: Device) -> Result<Self, TchError> {
        Ok(Self {
            images: self.images.f_to_device(device)?,
            next: self.next.f_to_device(device)?,
            s: self.s.f_to_device(device)?,
            s_next: self.s_next.f_to_device(device)?,
            g: self.g.f_to_device(device)?,
            z: self.z.f_to_device(device)?,
            reached: Reached { g: self.reached.g.f_to_device(device)?, z: self.reached.z.f_to_device(device)? },
        })
    }

    /// The embeddings with gradients, in one pass.
    pub fn embed(&self, encoder: impl Fn(&Tensor) -> Result<Tensor, TchError>) -> Result<Embeddings, TchError> {
        self.picked(&encoder(&self.images)?)
    }

    /// The embeddings by the target network, in one pass. Together with those with gradients, 7 passes per element where each
    /// has images of its own. The published code takes 12, because each value encodes anew.
    pub fn embed_target(
        &self,
        encoder: impl Fn(&Tensor) -> Result<Tensor, TchError>,
    ) -> Result<TargetEmbeddings, TchError> {
        let ahead = self.next.size()[0];
        let embeddings = encoder(&Tensor::f_cat(&[&self.next, &self.images], 0)?)?;
        let (next, at) = (embeddings.f_narrow(0, 0, ahead)?, embeddings.f_narrow(0, ahead, self.images.size()[0])?);
        Ok(TargetEmbeddings { s_next: next.f_index_select(0, &self.s_next)?, at: self.picked(&at)? })
    }

    /// Embeddings of the elements from those of the images, (N, D).
    fn picked(&self, embeddings: &Tensor) -> Result<Embeddings, TchError> {
        let of = |numbers: &Tensor| embeddings.f_index_select(0, numbers);
        Ok(Embeddings { s: of(&self.s)?, g: of(&self.g)?, z: of(&self.z)? })
    }
}

/// Elements that share images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Images s of each clip; a batch is made of as many clips as its images allow.
    pub images_per_clip: usize,
    /// Elements of each image s.
    pub goals_per_image: usize,
}

/// Draws batches from clips.
pub struct GoalBatches<'a> {
    /// The source of images: at least one clip, each of at least one image.
    pub clips: &'a dyn Clips,
    /// How goals are drawn.
    pub shares: GoalShares,
    /// Augmentation: independent for each image, s, s', g and z alike.
    pub augmentation: ClipAugmentation,
    /// Images s per batch.
    pub batch: usize,
    /// How elements share images; `None`: each has its own.
    pub shared: Option<Shared>,
    /// Seed of the run.
    pub seed: u64,
    /// Use intents? Otherwise z is a white image, one for all.
    pub intent: bool,
}

impl GoalBatches<'_> {
    /// The images and elements of a step's batch, and the generator for its augmentation.
    pub fn samples(&self, step: u64) -> (Vec<Sample>, ChaCha8Rng) {
        let mut rng = ChaCha8Rng::seed_from_u64(step_seed(self.seed, step));
        let samples = match self.shared {
            None => (0..self.batch).map(|_| self.shares.draw(self.clips, &mut rng)).collect(),
            Some(Shared { images_per_clip, goals_per_image }) => {
                let mut images = Vec::with_capacity(self.batch);
                while images.len() < self.batch {
                    let clip = rng.random_range(0..self.clips.len());
                    images.extend(some_of(self.clips, clip, images_per_clip, self.shares.stride, &mut rng));
                }
                self.shares.draw_among(self.clips, &images, images_per_clip, goals_per_image, &mut rng)
            }
        };
        (samples, rng)
    }

    /// The batch of elements that share images: each image is read, augmented and encoded once.
    fn sharing(&self, samples: &[Sample], reached: Reached, rng: &mut ChaCha8Rng) -> anyhow::Result<Batch> {
        let (mut images, mut next, mut numbers) = (Vec::new(), Vec::new(), HashMap::new());
        for x in samples {
            numbers.entry(x.s).or_insert_with(|| {
                images.push(x.s);
                next.push(x.s_next);
                images.len() as i64 - 1
            });
        }
        let numbered = |of: fn(&Sample) -> Place| -> anyhow::Result<Tensor> {
            // Outcomes and intents are among the images s.
            let found: Option<Vec<i64>> = samples.iter().map(|x| numbers.get(&of(x)).copied()).collect();
            Ok(Tensor::f_from_slice(&found.context("a goal is not among the images of its batch")?)?)
        };
        let s = numbered(|x| x.s)?;
        Ok(Batch {
            s_next: s.shallow_clone(),
            s,
            g: numbered(|x| x.g)?,
            z: numbered(|x| x.z)?,
            images: self.images(&images, rng)?,
            next: self.images(&next, rng)?,
            reached,
        })
    }

    /// Augmented images, shape (B, 3, S, S).
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
            // One image at a time: ICVF augments each independently.
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
        let flags = |of: fn(&Sample) -> bool| {
            Tensor::f_from_slice(&samples.iter().map(|x| f32::from(u8::from(of(x)))).collect::<Vec<_>>())
        };
        let reached = Reached { g: flags(Sample::reached_g)?, z: flags(Sample::reached_z)? };
        if self.shared.is_some() {
            return self.sharing(&samples, reached, &mut rng);
        }
        let mut images = |of: fn(&Sample) -> Place| self.images(&samples.iter().map(of).collect::<Vec<_>>(), &mut rng);
        let (s, s_next, g) = (images(|x| x.s)?, images(|x| x.s_next)?, images(|x| x.g)?);
        let z = if self.intent {
            images(|x| x.z)?
        } else {
            let side = i64::from(self.clips.size());
            Tensor::f_ones([1, 3, side, side], (Kind::Float, Device::Cpu))?
        };
        Ok(Batch::separate(&s, s_next, &g, &z, reached)?)
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

    fn sharing(clips: &Numbered) -> GoalBatches<'_> {
        GoalBatches { shared: Some(Shared { images_per_clip: 4, goals_per_image: 3 }), ..batches(clips, true) }
    }

    /// Numbers of images, read from their first pixels.
    fn numbers_in(images: &Tensor) -> Vec<usize> {
        let pixels = images.flatten(1, -1).select(1, 0) * 255.0;
        Vec::<f32>::try_from(pixels).unwrap().iter().map(|v| v.round() as usize).collect()
    }

    /// The image numbers of each element, seen through an encoder: s, s', g, z.
    fn seen(batch: &Batch) -> [Vec<usize>; 4] {
        let encoder = |x: &Tensor| x.f_flatten(1, -1)?.f_narrow(1, 0, 3);
        let (online, target) = (batch.embed(encoder).unwrap(), batch.embed_target(encoder).unwrap());
        let TargetEmbeddings { s_next, at } = &target;
        for (a, b) in [(&online.s, &at.s), (&online.g, &at.g), (&online.z, &at.z)] {
            assert!(a.equal(b));
        }
        [&online.s, s_next, &online.g, &online.z].map(numbers_in)
    }

    #[test]
    fn an_element_of_its_own_images_costs_seven_not_twelve() {
        let clips = Numbered::new(&[5, 6]);
        let batch = batches(&clips, true).batch(0).unwrap();
        let (images, passes) = (Cell::new(0), Cell::new(0));
        let encoder = |x: &Tensor| {
            images.set(images.get() + x.size()[0]);
            passes.set(passes.get() + 1);
            x.f_flatten(1, -1)?.f_narrow(1, 0, 3)
        };
        batch.embed(encoder).unwrap();
        batch.embed_target(encoder).unwrap();
        assert_eq!((images.get(), passes.get()), (7 * 16, 2));
    }

    #[test]
    fn elements_that_share_images_cost_three_of_each() {
        let clips = Numbered::new(&[50, 60]);
        let batch = sharing(&clips).batch(0).unwrap();
        // An image drawn twice is encoded once.
        let distinct = numbers_in(&batch.images);
        assert!(distinct.len() <= 16 && distinct.len() > 8);
        assert_eq!(distinct.len(), distinct.iter().collect::<std::collections::HashSet<_>>().len());
        assert_eq!(batch.images.size(), batch.next.size());
        assert_eq!((batch.s.size(), batch.z.size()), (vec![48], vec![48]));
    }

    #[test]
    fn without_intents_one_white_image_is_used_for_all() {
        let clips = Numbered::new(&[5, 6]);
        let batch = batches(&clips, false).batch(0).unwrap();
        assert_eq!((batch.images.size(), batch.z.size()), (vec![33, 3, 8, 8], vec![1]));
        assert_eq!(seen(&batch)[3], [255]);
    }

    #[test]
    fn batches_contain_the_drawn_images_and_reached_goals_equal_s() {
        let clips = Numbered::new(&[5, 6, 20]);
        for batches in [batches(&clips, true), sharing(&clips)] {
            let (samples, _) = batches.samples(4);
            let batch = batches.batch(4).unwrap();
            let [s, s_next, g, z] = seen(&batch);
            for (i, x) in samples.iter().enumerate() {
                for (found, place) in [(s[i], x.s), (s_next[i], x.s_next), (g[i], x.g), (z[i], x.z)] {
                    assert_eq!(found, clips.number(place.clip, place.index));
                }
                assert_eq!(batch.reached.g.double_value(&[i as i64]) == 1.0, s[i] == g[i]);
                assert_eq!(batch.reached.z.double_value(&[i as i64]) == 1.0, s[i] == z[i]);
            }
            assert!(samples.iter().any(|x| x.reached_g()) && samples.iter().any(|x| !x.reached_g()));
        }
    }

    #[test]
    fn a_batch_depends_on_seed_and_step_alone() {
        let clips = Numbered::new(&[50, 60]);
        for shared in [None, sharing(&clips).shared] {
            let of = |seed, step| {
                let [_, _, g, _] = seen(&GoalBatches { seed, shared, ..batches(&clips, true) }.batch(step).unwrap());
                g
            };
            assert_eq!(of(3, 7), of(3, 7));
            assert!(of(3, 7) != of(3, 8) && of(3, 7) != of(4, 7));
        }
    }
}
