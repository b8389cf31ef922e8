//! What an image shows, in four numbers: enough to recognize the same image again and to detect that nothing can be seen.

/// Upper bound of the pixels sampled for brightness; the fingerprint takes all of them.
const SAMPLES: usize = 16_384;
/// A pixel whose colors are all this dark shows nothing; a covered lens with sensor noise stays below this.
const DARK: u8 = 16;
/// A pixel whose colors are all this bright is saturated.
const BRIGHT: u8 = 250;

/// Content measures of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Content {
    /// Fingerprint of every byte: equal for equal images; two different images collide about once in 2^64.
    pub fingerprint: u64,
    /// Share of pixels whose colors are all nearly black \[1\].
    pub dark: f64,
    /// Share of pixels whose colors are all saturated \[1\].
    pub bright: f64,
    /// Standard deviation of the pixels' brightness \[0..255\].
    pub contrast: f64,
}

impl Content {
    /// Measures an image's pixels (RGB). An image without pixels counts as fully dark.
    pub fn of(pixels: &[u8]) -> Self {
        let count = pixels.len() / 3;
        // Odd, so that the samples do not fall into a few columns of an even width.
        let stride = (count / SAMPLES) | 1;
        let (mut samples, mut dark, mut bright, mut sum, mut squares) = (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
        for pixel in pixels.chunks_exact(3).step_by(stride) {
            let (low, high) = (pixel[0].min(pixel[1]).min(pixel[2]), pixel[0].max(pixel[1]).max(pixel[2]));
            let gray = u64::from(pixel[0]) + u64::from(pixel[1]) + u64::from(pixel[2]);
            samples += 1;
            dark += u64::from(high <= DARK);
            bright += u64::from(low >= BRIGHT);
            sum += gray;
            squares += gray * gray;
        }
        let n = samples.max(1) as f64;
        let (mean, square) = (sum as f64 / n, squares as f64 / n);
        Self {
            fingerprint: fingerprint(pixels),
            dark: if samples == 0 { 1.0 } else { dark as f64 / n },
            bright: bright as f64 / n,
            // Of the sum of three colors.
            contrast: (square - mean * mean).max(0.0).sqrt() / 3.0,
        }
    }
}

/// Four lanes of multiply and rotate, so that the multiplications overlap. Not cryptographic.
fn fingerprint(bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let step = |state: u64, word: u64| (state ^ word).wrapping_mul(ODD).rotate_left(29);
    let mut lanes = [1_u64, 2, 3, 4];
    let mut blocks = bytes.chunks_exact(32);
    for block in &mut blocks {
        for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(8)) {
            let mut eight = [0; 8];
            eight.copy_from_slice(word);
            *lane = step(*lane, u64::from_le_bytes(eight));
        }
    }
    let rest = blocks.remainder().iter().fold(bytes.len() as u64, |state, &byte| step(state, u64::from(byte)));
    lanes.into_iter().fold(rest, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn black_white_and_gray_images_are_told_from_a_scene() {
        let black = Content::of(&[3; 3 * 400]);
        assert_eq!((black.dark, black.bright, black.contrast), (1.0, 0.0, 0.0));
        let white = Content::of(&[255; 3 * 400]);
        assert_eq!((white.dark, white.bright, white.contrast), (0.0, 1.0, 0.0));
        let gray = Content::of(&[128; 3 * 400]);
        assert_eq!((gray.dark, gray.bright, gray.contrast), (0.0, 0.0, 0.0));
        let halves: Vec<u8> = (0..1200).map(|i| if i < 600 { 100 } else { 200 }).collect();
        assert_eq!(Content::of(&halves).contrast, 50.0);
        // One strong color is neither dark nor saturated.
        let red = Content::of(&[255, 0, 0].repeat(400));
        assert_eq!((red.dark, red.bright), (0.0, 0.0));
    }

    #[test]
    fn no_pixels_are_wholly_dark_and_finite() {
        let nothing = Content::of(&[]);
        assert_eq!((nothing.dark, nothing.bright, nothing.contrast), (1.0, 0.0, 0.0));
    }

    proptest! {
        #[test]
        fn any_changed_byte_changes_the_fingerprint(
            mut bytes in proptest::collection::vec(any::<u8>(), 1..300), at in any::<prop::sample::Index>(), by in 1u8..=255
        ) {
            let before = Content::of(&bytes).fingerprint;
            let at = at.index(bytes.len());
            bytes[at] = bytes[at].wrapping_add(by);
            prop_assert_ne!(before, Content::of(&bytes).fingerprint);
        }

        #[test]
        fn shares_and_contrast_stay_in_their_ranges(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let content = Content::of(&bytes);
            prop_assert!((0.0..=1.0).contains(&content.dark) && (0.0..=1.0).contains(&content.bright));
            prop_assert!((0.0..=127.5).contains(&content.contrast), "{}", content.contrast);
        }
    }
}
