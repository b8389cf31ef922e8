//! Embeddings of a clip's images, as rows of numbers.

use std::sync::Arc;

use anyhow::Context;
use tch::{Device, Kind, TchError, Tensor};

use crate::encoder::Encoder;
use crate::network::IntentionValues;
use crate::training::Clips;
use visuomotor_core::observation::Image;
use visuomotor_core::time::Timestamp;

/// Images encoded at once: more need memory, fewer waste time.
const TOGETHER: usize = 32;

/// Embeddings of all images of a clip by an encoder that only infers.
pub fn embed_clip(encoder: &Encoder, clips: &dyn Clips, clip: usize) -> anyhow::Result<Vec<Vec<f32>>> {
    let camera: Arc<str> = clips.name(clip).into();
    let size = clips.size();
    let mut embeddings = Vec::new();
    let frames = clips.frames(clip);
    for first in (0..frames).step_by(TOGETHER) {
        let images = (first..frames.min(first + TOGETHER)).map(|index| {
            let pixels = clips.frame(clip, index)?;
            Ok(Image {
                camera: camera.clone(),
                width: size,
                height: size,
                pixels: pixels.as_ref().into(),
                captured_at: Timestamp::ZERO,
                sequence: index as u64,
            })
        });
        let images = images.collect::<anyhow::Result<Vec<_>>>()?;
        let encoded = encoder.encode_batch(&images).with_context(|| clips.name(clip).to_string())?;
        embeddings.extend(encoded.into_iter().map(|embedding| embedding.values));
    }
    Ok(embeddings)
}

/// The first images of a clip, at most `most`, shape (T, 3, S, S), f32 in 0..1.
pub fn clip_images(clips: &dyn Clips, clip: usize, most: usize) -> anyhow::Result<Tensor> {
    let side = i64::from(clips.size());
    let mut images = Vec::new();
    for index in 0..clips.frames(clip).min(most) {
        let pixels = clips.frame(clip, index)?;
        let image = Tensor::f_from_slice(&pixels)?.f_reshape([side, side, 3])?.f_permute([2, 0, 1])?;
        images.push(image.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?);
    }
    Ok(Tensor::f_stack(&images, 0)?)
}

/// Rows of `embed` for images (T, 3, S, S), T of them.
pub fn rows(images: &Tensor, embed: impl Fn(&Tensor) -> Result<Tensor, TchError>) -> anyhow::Result<Vec<Vec<f32>>> {
    let mut rows = Vec::new();
    for part in images.f_split(TOGETHER as i64, 0)? {
        let embeddings = embed(&part)?.f_to_device(Device::Cpu)?;
        for row in embeddings.f_unbind(0)? {
            rows.push(Vec::<f32>::try_from(row.f_contiguous()?)?);
        }
    }
    Ok(rows)
}

/// min(V1, V2)(s_t, g, g) along a clip, with the clip's last image as the goal: T values from T embeddings, rising to about 0
/// for a well-trained value. Empty for no embeddings.
pub fn values_to_the_last(values: &IntentionValues, embeddings: &[Vec<f32>]) -> anyhow::Result<Vec<f64>> {
    let Some(last) = embeddings.last() else { return Ok(Vec::new()) };
    let device = values.device();
    let dimension = last.len() as i64;
    let goal = Tensor::f_from_slice(last)?.f_reshape([1, dimension])?.f_to_device(device)?;
    let along = Tensor::f_from_slice(&embeddings.concat())?.f_reshape([-1, dimension])?.f_to_device(device)?;
    let value = tch::no_grad(|| values.least(&along, &goal, &goal))?;
    Ok(Vec::<f64>::try_from(value.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::EncoderKind;
    use crate::network::{PerceptronShape, choose_device, fill};
    use crate::training::icvf::tests::Numbered;
    use tch::nn;

    #[test]
    fn both_ways_to_embed_a_clip_agree() {
        let clips = Numbered::sized(&[40], 128);
        let encoder = Encoder::random(EncoderKind::Small, 3, choose_device()).unwrap();
        let store = nn::VarStore::new(Device::Cpu);
        let network = EncoderKind::Small.network(&store.root()).unwrap();
        fill(&store, 3).unwrap();
        let ours = rows(&clip_images(&clips, 0, usize::MAX).unwrap(), |x| network.forward(x, false)).unwrap();
        let theirs = embed_clip(&encoder, &clips, 0).unwrap();
        assert_eq!((ours.len(), theirs.len(), ours[0].len()), (40, 40, 128));
        let off = ours.concat().iter().zip(theirs.concat()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-4, "{off}");
    }

    #[test]
    fn values_along_a_clip_are_those_of_each_image() {
        let store = nn::VarStore::new(choose_device());
        let shape = PerceptronShape { hidden: vec![4], layer_norm: false, dropout: 0.0 };
        let values = IntentionValues::new(&store.root(), 3, &shape).unwrap();
        fill(&store, 2).unwrap();
        let clip = [vec![0.1, 0.2, 0.3], vec![-1.0, 0.5, 2.0], vec![0.0, 1.0, 0.0]];
        let along = values_to_the_last(&values, &clip).unwrap();
        let row = |i: usize| Tensor::from_slice(&clip[i]).reshape([1, 3]).to_device(choose_device());
        for (i, value) in along.iter().enumerate() {
            let alone = f64::try_from(values.least(&row(i), &row(2), &row(2)).unwrap()).unwrap();
            assert!((value - alone).abs() < 1e-5, "{value} {alone}");
        }
        assert_eq!(along.len(), 3);
        assert!(values_to_the_last(&values, &[]).unwrap().is_empty());
    }
}
