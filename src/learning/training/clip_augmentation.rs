//! Augmentation of the frames of one clip: crops, one for all frames or one for each, shifts, colors.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::color::ColorJitter;
use super::crop::{CropBox, draw_crop, draw_shift, resized_crop, shift};

/// How frames are cropped, in VIP's terms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crop {
    /// No crop.
    #[default]
    None,
    /// A random crop for each frame, resized.
    Rc,
    /// One random crop for all frames of the clip, resized (VIP's release).
    Rctraj,
}

/// How the frames of a clip are varied.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipAugmentation {
    /// How frames are cropped.
    pub crop: Crop,
    /// Least and largest share of the area in a crop (VIP: 0.2, 1).
    pub scale: (f64, f64),
    /// Largest shift in x and y, edges repeated, drawn for each frame \[pixels of the result\] (ICVF: 16).
    pub shift: u32,
    /// Colors, drawn for each frame.
    pub color: ColorJitter,
}

impl ClipAugmentation {
    /// Changes nothing: for validation.
    pub const NONE: ClipAugmentation =
        ClipAugmentation { crop: Crop::None, scale: (1.0, 1.0), shift: 0, color: ColorJitter::NONE };

    /// VIP's release: the same part of 20 to 100 % of the area for all frames.
    pub const VIP: ClipAugmentation =
        ClipAugmentation { crop: Crop::Rctraj, scale: (0.2, 1.0), shift: 0, color: ColorJitter::NONE };

    /// Writes K frames of one clip, each (size, size, 3) u8, as augmented planes (K, 3, out_size, out_size) f32 in 0..1.
    ///
    /// A function of the frames and the state of `rng`. Each frame holds size * size * 3 bytes, `out`
    /// K * 3 * out_size * out_size numbers, both sizes at least 1.
    pub fn apply(&self, frames: &[&[u8]], size: usize, out_size: usize, out: &mut [f32], rng: &mut ChaCha8Rng) {
        let shared = match self.crop {
            Crop::Rctraj => draw_crop(rng, size, self.scale),
            _ => CropBox::whole(size),
        };
        for (frame, planes) in frames.iter().zip(out.chunks_exact_mut(3 * out_size * out_size)) {
            let part = if self.crop == Crop::Rc { draw_crop(rng, size, self.scale) } else { shared };
            resized_crop(frame, size, part, out_size, planes);
            shift(planes, out_size, draw_shift(rng, self.shift));
            if let Some(change) = self.color.draw(rng) {
                change.apply(planes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const SIZE: usize = 12;

    fn frame() -> Vec<u8> {
        (0..SIZE * SIZE * 3).map(|i| (i * 37 % 256) as u8).collect()
    }

    /// Two equal frames, varied.
    fn varied(augmentation: ClipAugmentation, seed: u64) -> (Vec<f32>, Vec<f32>) {
        let frame = frame();
        let mut out = vec![f32::NAN; 2 * 3 * SIZE * SIZE];
        augmentation.apply(&[&frame, &frame], SIZE, SIZE, &mut out, &mut ChaCha8Rng::seed_from_u64(seed));
        assert!(out.iter().all(|v| (0.0..=1.0 + 1e-6).contains(v)));
        let second = out.split_off(3 * SIZE * SIZE);
        (out, second)
    }

    #[test]
    fn without_variation_frames_are_only_rearranged() {
        let (first, second) = varied(ClipAugmentation::NONE, 1);
        assert_eq!(first, second);
        assert_eq!(first[1], f32::from(frame()[3]) / 255.0);
    }

    #[test]
    fn a_clip_shares_its_crop_or_does_not() {
        let (first, second) = varied(ClipAugmentation::VIP, 5);
        assert_eq!(first, second);
        assert_ne!(first, varied(ClipAugmentation::NONE, 5).0);
        assert_ne!(first, varied(ClipAugmentation::VIP, 6).0);
        let each = ClipAugmentation { crop: Crop::Rc, ..ClipAugmentation::VIP };
        let (first, second) = varied(each, 5);
        assert_ne!(first, second);
    }

    #[test]
    fn shifts_and_colors_are_each_frames_own() {
        let shifted = ClipAugmentation { shift: 4, ..ClipAugmentation::NONE };
        let colored = ClipAugmentation { color: ColorJitter::PTR, ..ClipAugmentation::NONE };
        for augmentation in [shifted, colored] {
            let (first, second) = varied(augmentation, 2);
            assert_ne!(first, second);
            assert_eq!(varied(augmentation, 2), (first, second));
        }
    }
}
