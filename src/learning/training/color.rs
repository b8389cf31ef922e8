//! Color jitter: brightness, contrast, saturation and hue, in random order, clipped to 0..1 after each.
//!
//! As in PTR and V-PTR (`augmentations.py`, after DeepMind's BYOL): brightness is added, contrast scales each channel about
//! its mean, saturation scales HSV's S, hue rotates HSV's H. Theirs is +-0.2, 0.1, 0.1, 0.03 with probability 0.8.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::crop::between;

/// How far colors are varied.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColorJitter {
    /// Largest addition to every value, on 0..1.
    pub brightness: f64,
    /// Largest change of the contrast, as a factor.
    pub contrast: f64,
    /// Largest change of the saturation, as a factor.
    pub saturation: f64,
    /// Largest rotation of the hue \[turns of the color circle\], at most 0.5.
    pub hue: f64,
    /// Share of images that are varied.
    pub probability: f64,
}

impl ColorJitter {
    /// Changes nothing.
    pub const NONE: ColorJitter =
        ColorJitter { brightness: 0.0, contrast: 0.0, saturation: 0.0, hue: 0.0, probability: 0.0 };

    /// PTR's and V-PTR's.
    pub const PTR: ColorJitter =
        ColorJitter { brightness: 0.2, contrast: 0.1, saturation: 0.1, hue: 0.03, probability: 0.8 };

    /// One change within these limits; `None` for an image that is not changed. Draws the same number of random numbers
    /// either way.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Option<ColorChange> {
        let chosen = rng.random::<f64>() < self.probability;
        let mut within = |largest: f64| between(rng, -largest, largest) as f32;
        let mut steps = [
            Step::Brightness(within(self.brightness)),
            Step::Contrast(1.0 + within(self.contrast)),
            Step::Saturation(1.0 + within(self.saturation)),
            Step::Hue(within(self.hue)),
        ];
        steps.shuffle(rng);
        chosen.then_some(ColorChange { steps })
    }
}

/// A random change of colors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColorChange {
    steps: [Step; 4],
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// Added.
    Brightness(f32),
    /// Factor about each channel's mean.
    Contrast(f32),
    /// Factor of HSV's S.
    Saturation(f32),
    /// Added to HSV's H \[turns\].
    Hue(f32),
}

impl ColorChange {
    /// Changes planes (3, size, size) in 0..1; they stay in 0..1.
    pub fn apply(&self, planes: &mut [f32]) {
        for step in self.steps {
            match step {
                Step::Brightness(added) if added != 0.0 => {
                    planes.iter_mut().for_each(|v| *v = (*v + added).clamp(0.0, 1.0));
                }
                Step::Contrast(factor) if factor != 1.0 => contrast(planes, factor),
                Step::Saturation(factor) if factor != 1.0 => {
                    in_hsv(planes, |[h, s, v]| [h, (s * factor).clamp(0.0, 1.0), v]);
                }
                Step::Hue(turn) if turn != 0.0 => in_hsv(planes, |[h, s, v]| [(h + turn).rem_euclid(1.0), s, v]),
                _ => {}
            }
        }
    }
}

fn contrast(planes: &mut [f32], factor: f32) {
    let length = (planes.len() / 3).max(1);
    for plane in planes.chunks_exact_mut(length) {
        let mean = (plane.iter().map(|v| f64::from(*v)).sum::<f64>() / length as f64) as f32;
        plane.iter_mut().for_each(|v| *v = ((*v - mean) * factor + mean).clamp(0.0, 1.0));
    }
}

fn in_hsv(planes: &mut [f32], change: impl Fn([f32; 3]) -> [f32; 3]) {
    let length = planes.len() / 3;
    let (red, rest) = planes.split_at_mut(length);
    let (green, blue) = rest.split_at_mut(length);
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        [*r, *g, *b] = rgb_from_hsv(change(hsv_from_rgb([*r, *g, *b]))).map(|v| v.clamp(0.0, 1.0));
    }
}

/// Hue \[turns, 0..1\], saturation and value of red, green and blue, all in 0..1.
fn hsv_from_rgb([r, g, b]: [f32; 3]) -> [f32; 3] {
    let (value, least) = (r.max(g).max(b), r.min(g).min(b));
    let range = value - least;
    if range <= 0.0 {
        return [0.0, 0.0, value];
    }
    let sixth = if value == r {
        (g - b) / range
    } else if value == g {
        2.0 + (b - r) / range
    } else {
        4.0 + (r - g) / range
    };
    [(sixth / 6.0).rem_euclid(1.0), range / value, value]
}

/// The inverse.
fn rgb_from_hsv([h, s, v]: [f32; 3]) -> [f32; 3] {
    let channel = |offset: f32| {
        let k = (offset + h * 6.0).rem_euclid(6.0);
        v - v * s * k.min(4.0 - k).clamp(0.0, 1.0)
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;

    #[test]
    fn the_color_circle_goes_from_red_over_green_to_blue() {
        for (rgb, hue) in [([1.0, 0.0, 0.0], 0.0), ([0.0, 1.0, 0.0], 1.0 / 3.0), ([0.0, 0.0, 1.0], 2.0 / 3.0)] {
            assert_eq!(hsv_from_rgb(rgb), [hue, 1.0, 1.0]);
        }
        assert_eq!(hsv_from_rgb([0.5; 3]), [0.0, 0.0, 0.5]);
    }

    #[test]
    fn colors_are_torchvisions() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/golden/augmentations.json")).unwrap();
        let mut compared = 0;
        for (list, key, step) in [
            ("brightnesses", "added", Step::Brightness as fn(f32) -> Step),
            ("contrasts", "factor", Step::Contrast),
            ("saturations", "factor", Step::Saturation),
            ("hues", "turn", Step::Hue),
        ] {
            for case in golden[list].as_array().unwrap() {
                let mut planes = vec![0.0f32; 300];
                for (i, pixel) in (0..300u32).map(|i| (i as usize, (31 * i * i + 7 * i) % 251)) {
                    planes[i % 3 * 100 + i / 3] = pixel as f32 / 255.0;
                }
                let none = Step::Brightness(0.0);
                let change = step(case[key].as_f64().unwrap() as f32);
                ColorChange { steps: [none, none, change, none] }.apply(&mut planes);
                let expected: Vec<f32> = serde_json::from_value(case["planes"].clone()).unwrap();
                let largest = planes.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(largest < 1e-5, "{list} {}: {largest}", case[key]);
                compared += 1;
            }
        }
        assert_eq!(compared, 10);
    }

    #[test]
    fn four_out_of_five_images_are_varied_in_every_order() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let drawn: Vec<_> = (0..1000).filter_map(|_| ColorJitter::PTR.draw(&mut rng)).collect();
        assert!((760..840).contains(&drawn.len()), "{}", drawn.len());
        let places =
            |of: fn(&Step) -> bool| (0..4).filter(|place| drawn.iter().any(|change| of(&change.steps[*place]))).count();
        assert_eq!([places(|s| matches!(s, Step::Hue(_))), places(|s| matches!(s, Step::Brightness(_)))], [4, 4]);
    }

    #[test]
    fn without_strength_nothing_changes() {
        let none = ColorJitter { probability: 1.0, ..ColorJitter::NONE };
        let mut planes = [0.1, 0.9, 0.3, 0.4, 0.0, 1.0];
        none.draw(&mut ChaCha8Rng::seed_from_u64(3)).unwrap().apply(&mut planes);
        assert_eq!(planes, [0.1, 0.9, 0.3, 0.4, 0.0, 1.0]);
    }

    proptest! {
        #[test]
        fn there_and_back_is_the_same_color(rgb in [0.0f32..=1.0, 0.0f32..=1.0, 0.0f32..=1.0]) {
            let back = rgb_from_hsv(hsv_from_rgb(rgb));
            prop_assert!(rgb.iter().zip(back).all(|(a, b)| (a - b).abs() < 1e-5), "{:?} {:?}", rgb, back);
        }

        #[test]
        fn values_stay_in_range(seed in any::<u64>(), values in proptest::collection::vec(0.0f32..=1.0, 12)) {
            let strong = ColorJitter { brightness: 1.0, contrast: 2.0, saturation: 2.0, hue: 0.5, probability: 1.0 };
            let mut planes = values;
            strong.draw(&mut ChaCha8Rng::seed_from_u64(seed)).unwrap().apply(&mut planes);
            prop_assert!(planes.iter().all(|v| (0.0..=1.0).contains(v)), "{:?}", planes);
        }
    }
}
