//! Resizing to a square, bit for bit as Pillow's `resize(..., BILINEAR)` does it: rows first, rounded to a gray level,
//! then columns (Pillow 13 begins with the columns of some tall images; the versions that made the Bridge data do not).
//!
//! A difference of one gray level changes a network's output. A vectorized resizer rounds differently, and not the same on
//! every processor, so recordings, training and robots would disagree. The filter is a triangle as wide as the reduction,
//! which keeps a reduced image from aliasing (Pillow, `src/libImaging/Resample.c`). Bridge used Pillow's LANCZOS for its data
//! and scikit-image's antialiasing on its robots; this is one filter for both.

/// Fractional bits of a weight, as in Pillow.
const PRECISION: u32 = 32 - 8 - 2;

/// Weights of the values that make one new value.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

/// The windows that turn a line of `from` values into one of `to`; both at least 1.
fn windows(from: usize, to: usize) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    let support = scale.max(1.0);
    (0..to)
        .map(|i| {
            let center = (i as f64 + 0.5) * scale;
            // The casts truncate towards zero and negative values to zero, as Pillow's do.
            let first = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(from);
            let triangle = |x: usize| (1.0 - ((x as f64 - center + 0.5) * (1.0 / support)).abs()).max(0.0);
            let sum: f64 = (first..end).map(triangle).sum();
            let fixed = |x: usize| (0.5 + triangle(x) / sum * f64::from(1 << PRECISION)) as i32;
            Window { first, weights: (first..end).map(fixed).collect() }
        })
        .collect()
}

/// `pixels`, (height, width, 3), as (size, size, 3). The caller has checked that `pixels` has that many bytes, at least
/// one pixel, and that `size` is at least 1.
pub(super) fn squash(pixels: &[u8], width: usize, height: usize, size: usize) -> Vec<u8> {
    let round = |sum: i32| (sum >> PRECISION).clamp(0, 255) as u8;
    let half = 1 << (PRECISION - 1);
    let mut narrow = pixels.to_vec();
    if width != size {
        let windows = windows(width, size);
        narrow = Vec::with_capacity(height * size * 3);
        for row in pixels.chunks_exact(width * 3) {
            for window in &windows {
                let mut sums = [half; 3];
                for (pixel, weight) in row[window.first * 3..].chunks_exact(3).zip(&window.weights) {
                    for (sum, value) in sums.iter_mut().zip(pixel) {
                        *sum += i32::from(*value) * weight;
                    }
                }
                narrow.extend(sums.map(round));
            }
        }
    }
    if height == size {
        return narrow;
    }
    let stride = size * 3;
    let mut out = Vec::with_capacity(size * stride);
    let mut sums = vec![half; stride];
    for window in windows(height, size) {
        sums.fill(half);
        for (row, weight) in narrow[window.first * stride..].chunks_exact(stride).zip(&window.weights) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += i32::from(*value) * weight;
            }
        }
        out.extend(sums.iter().map(|sum| round(*sum)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_image_stays_flat_at_any_size() {
        for (width, height, size) in [(1, 1, 128), (640, 480, 128), (7, 300, 5), (128, 480, 128)] {
            assert!(squash(&vec![200; width * height * 3], width, height, size).iter().all(|v| *v == 200));
        }
    }
}
