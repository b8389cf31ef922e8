//! Random crops of square images, drawn and resized as torchvision's `RandomResizedCrop`.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Least and largest width / height of a drawn box (torchvision's default).
const RATIO: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);
/// Attempts before the whole image is used, as in torchvision.
const ATTEMPTS: usize = 10;

/// A part of an image \[pixels\]: x to the right, y down, from the upper left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CropBox {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// Width, above 0.
    pub width: f32,
    /// Height, above 0.
    pub height: f32,
}

impl CropBox {
    /// All of an image of `size` x `size`.
    pub fn whole(size: usize) -> Self {
        let side = size as f32;
        Self { x: 0.0, y: 0.0, width: side, height: side }
    }
}

/// A box of whole pixels that covers `scale` (least, largest; above 0, at most 1) of the area of an image of
/// `size` x `size`, and is between 3:4 and 4:3: torchvision's `RandomResizedCrop.get_params`.
pub fn draw_crop(rng: &mut ChaCha8Rng, size: usize, scale: (f64, f64)) -> CropBox {
    let side = size as f64;
    for _ in 0..ATTEMPTS {
        let area = side * side * between(rng, scale.0, scale.1);
        let ratio = between(rng, RATIO.0.ln(), RATIO.1.ln()).exp();
        let width = (area * ratio).sqrt().round_ties_even();
        let height = (area / ratio).sqrt().round_ties_even();
        if width >= 1.0 && width <= side && height >= 1.0 && height <= side {
            // Both differences are whole and at least 0.
            let y = rng.random_range(0..=(side - height) as usize);
            let x = rng.random_range(0..=(side - width) as usize);
            return CropBox { x: x as f32, y: y as f32, width: width as f32, height: height as f32 };
        }
    }
    // torchvision falls back to the largest central box of a ratio in range; for a square that is the whole image.
    CropBox::whole(size)
}

/// Uniform between two numbers; the first if they are equal or swapped.
pub(super) fn between(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    if low < high { rng.random_range(low..=high) } else { low }
}

/// The input values of one output value, with their weights.
struct Window {
    first: usize,
    weights: Vec<f32>,
}

/// The windows that turn `length` pixels from `start` on, of a line of `size`, into `out` ones: a triangle as wide as the
/// reduction, centers at half pixels; pixels outside of the part are not used (torchvision crops first).
fn windows(start: f32, length: f32, size: usize, out: usize) -> Vec<Window> {
    let (start, length) = (f64::from(start), f64::from(length));
    let last = size as f64 - 1.0;
    let low = start.floor().clamp(0.0, last);
    let high = ((start + length).ceil() - 1.0).clamp(low, last);
    let scale = length / out as f64;
    let support = scale.max(1.0);
    (0..out)
        .map(|i| {
            let center = start + (i as f64 + 0.5) * scale;
            let from = (center - support + 0.5).floor().clamp(low, high);
            let to = ((center + support + 0.5).floor() - 1.0).clamp(from, high);
            let (first, end) = (from as usize, to as usize + 1);
            let triangle = |x: usize| (1.0 - ((x as f64 + 0.5 - center) / support).abs()).max(0.0);
            let sum: f64 = (first..end).map(triangle).sum();
            let weight = |x: usize| if sum > 0.0 { triangle(x) / sum } else { 1.0 / (end - first) as f64 };
            Window { first, weights: (first..end).map(|x| weight(x) as f32).collect() }
        })
        .collect()
}

/// Resizes the box `b` of an image, shape (size, size, 3) u8, to planes (3, out_size, out_size) f32 in 0..1: bilinear,
/// antialiased when reduced (torchvision's `resized_crop` of a float tensor).
///
/// `image` holds size * size * 3 bytes, `out` 3 * out_size * out_size numbers, both sizes at least 1.
pub fn resized_crop(image: &[u8], size: usize, b: CropBox, out_size: usize, out: &mut [f32]) {
    let columns = windows(b.x, b.width, size, out_size);
    let rows = windows(b.y, b.height, size, out_size);
    let first_row = rows.iter().map(|window| window.first).min().unwrap_or(0);
    let end_row = rows.iter().map(|window| window.first + window.weights.len()).max().unwrap_or(0);
    let height = end_row - first_row;
    // Rows first: (3, height, out_size), in 0..1.
    let mut narrow = vec![0.0f32; 3 * height * out_size];
    let (red, rest) = narrow.split_at_mut(height * out_size);
    let (green, blue) = rest.split_at_mut(height * out_size);
    for (line, pixels) in image.chunks_exact(size * 3).skip(first_row).take(height).enumerate() {
        for (column, window) in columns.iter().enumerate() {
            let mut sums = [0.0f32; 3];
            for (pixel, weight) in pixels[window.first * 3..].chunks_exact(3).zip(&window.weights) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += f32::from(*value) * weight;
                }
            }
            let at = line * out_size + column;
            (red[at], green[at], blue[at]) = (sums[0] / 255.0, sums[1] / 255.0, sums[2] / 255.0);
        }
    }
    let planes = out.chunks_exact_mut(out_size * out_size).zip(narrow.chunks_exact(height * out_size));
    for (plane, narrow) in planes {
        for (line, window) in plane.chunks_exact_mut(out_size).zip(&rows) {
            line.fill(0.0);
            let used = narrow[(window.first - first_row) * out_size..].chunks_exact(out_size);
            for (values, weight) in used.zip(&window.weights) {
                for (sum, value) in line.iter_mut().zip(values) {
                    *sum += value * weight;
                }
            }
        }
    }
}

/// A random shift for a crop from an image with edges repeated `pad` pixels wide: x and y in -pad..=pad.
pub fn draw_shift(rng: &mut ChaCha8Rng, pad: u32) -> (i64, i64) {
    let pad = i64::from(pad);
    (rng.random_range(-pad..=pad), rng.random_range(-pad..=pad))
}

/// Shifts planes (channels, size, size) by (x, y) \[pixels\], repeating the edge. With [`draw_shift`] this is ICVF's random
/// crop: pad by repeating the edge, then crop to the size.
pub fn shift(planes: &mut [f32], size: usize, (dx, dy): (i64, i64)) {
    if (dx, dy) == (0, 0) {
        return;
    }
    let last = size as i64 - 1;
    let columns: Vec<usize> = (0..=last).map(|x| (x + dx).clamp(0, last) as usize).collect();
    for plane in planes.chunks_exact_mut(size * size) {
        let source = plane.to_vec();
        for (y, line) in (0..=last).zip(plane.chunks_exact_mut(size)) {
            let row = &source[(y + dy).clamp(0, last) as usize * size..];
            for (value, x) in line.iter_mut().zip(&columns) {
                *value = row[*x];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;

    fn test_image(size: usize) -> Vec<u8> {
        (0..size * size * 3).map(|i| ((i * i * 31 + i * 7) % 251) as u8).collect()
    }

    #[test]
    fn the_whole_image_at_its_own_size_is_only_rearranged() {
        let image = test_image(7);
        let mut out = vec![0.0; 3 * 49];
        resized_crop(&image, 7, CropBox::whole(7), 7, &mut out);
        for pixel in 0..49 {
            for channel in 0..3 {
                assert_eq!(out[channel * 49 + pixel], f32::from(image[pixel * 3 + channel]) / 255.0);
            }
        }
    }

    #[test]
    fn crops_are_torchvisions() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/golden/augmentations.json")).unwrap();
        let image: Vec<u8> = (0..300u32).map(|i| ((31 * i * i + 7 * i) % 251) as u8).collect();
        for crop in golden["crops"].as_array().unwrap() {
            let number = |key: &str| crop[key].as_f64().unwrap();
            let [x, y, width, height] = ["x", "y", "width", "height"].map(|key| number(key) as f32);
            let side = number("out") as usize;
            let mut out = vec![f32::NAN; 3 * side * side];
            resized_crop(&image, 10, CropBox { x, y, width, height }, side, &mut out);
            let expected: Vec<f32> = serde_json::from_value(crop["planes"].clone()).unwrap();
            assert_eq!(out.len(), expected.len());
            assert!(out.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 2e-6), "{width}x{height} -> {side}");
        }
    }

    #[test]
    fn a_box_uses_no_pixels_outside_of_it() {
        let mut image = vec![255u8; 8 * 8 * 3];
        for y in 2..5 {
            image[(y * 8 + 3) * 3..(y * 8 + 7) * 3].fill(51);
        }
        for out_size in [1, 3, 20] {
            let mut out = vec![0.0; 3 * out_size * out_size];
            resized_crop(&image, 8, CropBox { x: 3.0, y: 2.0, width: 4.0, height: 3.0 }, out_size, &mut out);
            assert!(out.iter().all(|v| (v - 0.2).abs() < 1e-6), "{out_size}: {out:?}");
        }
    }

    #[test]
    fn a_shift_repeats_the_edge() {
        let mut planes: Vec<f32> = (0..9).map(|v| v as f32).collect();
        shift(&mut planes, 3, (1, -1));
        assert_eq!(planes, [1.0, 2.0, 2.0, 1.0, 2.0, 2.0, 4.0, 5.0, 5.0]);
    }

    proptest! {
        #[test]
        fn drawn_boxes_are_inside_and_cover_the_requested_area(seed in any::<u64>(), size in 16usize..300) {
            let b = draw_crop(&mut ChaCha8Rng::seed_from_u64(seed), size, (0.2, 1.0));
            let side = size as f32;
            prop_assert!(b.x >= 0.0 && b.y >= 0.0 && b.x + b.width <= side && b.y + b.height <= side);
            // Sides are rounded to whole pixels.
            let (least, largest) = ((b.width - 0.5) * (b.height - 0.5), (b.width + 0.5) * (b.height + 0.5));
            prop_assert!(largest >= 0.2 * side * side && least <= side * side);
            let steepest = (b.width + 0.5) / (b.height - 0.5);
            prop_assert!(steepest >= 0.75 && (b.width - 0.5) / (b.height + 0.5) <= 4.0 / 3.0 + 1e-3);
            prop_assert_eq!(b, draw_crop(&mut ChaCha8Rng::seed_from_u64(seed), size, (0.2, 1.0)));
        }

        #[test]
        fn resized_values_stay_between_the_darkest_and_the_brightest(
            x in -3.0f32..12.0, y in -3.0f32..12.0, width in 0.1f32..14.0, height in 0.1f32..14.0, out_size in 1usize..20
        ) {
            let image: Vec<u8> = test_image(12).iter().map(|v| 50 + v % 100).collect();
            let mut out = vec![f32::NAN; 3 * out_size * out_size];
            resized_crop(&image, 12, CropBox { x, y, width, height }, out_size, &mut out);
            prop_assert!(out.iter().all(|v| (50.0 / 255.0 - 1e-5..=149.0 / 255.0 + 1e-5).contains(v)), "{:?}", out);
        }
    }
}
