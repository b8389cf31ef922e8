//! Image augmentation while a batch is assembled: random shift and color jitter, per image.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Limits of the augmentation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Largest shift in x and y, edge pixels repeated \[pixels\] (PTR, V-PTR: 4).
    pub shift: u32,
    /// Largest additive brightness change, on 0..1 (PTR: 0.2).
    pub brightness: f64,
    /// Largest contrast change, as a factor (PTR: 0.1).
    pub contrast: f64,
    /// Largest change of each color channel, as a factor.
    pub color: f64,
}

impl Augmentation {
    /// Writes one image, shape (size, size, 3) u8, as augmented planes (3, size, size) f32 in 0..1.
    pub fn apply(&self, image: &[u8], size: usize, out: &mut [f32], rng: &mut ChaCha8Rng) {
        let limit = i64::from(self.shift);
        let (dx, dy) = (rng.random_range(-limit..=limit), rng.random_range(-limit..=limit));
        let mut uniform = |range: f64| if range > 0.0 { rng.random_range(-range..=range) } else { 0.0 };
        let brightness = uniform(self.brightness);
        let contrast = 1.0 + uniform(self.contrast);
        let plane = size * size;
        let mean = image.iter().map(|v| f64::from(*v)).sum::<f64>() / (image.len().max(1) as f64 * 255.0);
        // One table per channel: value in 0..255 -> augmented value in 0..1.
        let mut tables = [[0.0f32; 256]; 3];
        for table in &mut tables {
            let gain = 1.0 + uniform(self.color);
            for (value, entry) in table.iter_mut().enumerate() {
                let v = value as f64 / 255.0 * gain;
                *entry = ((v - mean) * contrast + mean + brightness).clamp(0.0, 1.0) as f32;
            }
        }
        let last = size as i64 - 1;
        for y in 0..size {
            let row = (y as i64 + dy).clamp(0, last) as usize * size;
            for x in 0..size {
                let pixel = (row + (x as i64 + dx).clamp(0, last) as usize) * 3;
                for (channel, table) in tables.iter().enumerate() {
                    out[channel * plane + y * size + x] = table[usize::from(image[pixel + channel])];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn without_variation_the_image_is_only_rearranged() {
        let none = Augmentation { shift: 0, brightness: 0.0, contrast: 0.0, color: 0.0 };
        let image: Vec<u8> = (0..12).map(|v| v * 20).collect();
        let mut out = vec![0.0; 12];
        none.apply(&image, 2, &mut out, &mut ChaCha8Rng::seed_from_u64(1));
        for pixel in 0..4 {
            for channel in 0..3 {
                let expected = f32::from(image[pixel * 3 + channel]) / 255.0;
                assert!((out[channel * 4 + pixel] - expected).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn varied_values_stay_in_range_and_depend_on_the_seed() {
        let strong = Augmentation { shift: 1, brightness: 0.5, contrast: 0.5, color: 0.5 };
        let image = vec![128u8; 48];
        let mut a = vec![0.0; 48];
        let mut b = vec![0.0; 48];
        strong.apply(&image, 4, &mut a, &mut ChaCha8Rng::seed_from_u64(1));
        strong.apply(&image, 4, &mut b, &mut ChaCha8Rng::seed_from_u64(2));
        assert!(a.iter().all(|v| (0.0..=1.0).contains(v)));
        assert_ne!(a, b);
    }
}
