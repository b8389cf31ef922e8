//! Statistics in LeRobot's format: minimum, maximum, mean, standard deviation, quantiles, per dimension.

use visuomotor_core::observation::Image;

/// Names of the quantiles and their probabilities.
pub(super) const QUANTILES: [(&str, f64); 5] = [("q01", 0.01), ("q10", 0.1), ("q50", 0.5), ("q90", 0.9), ("q99", 0.99)];

/// Statistics of one dimension.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statistics {
    pub min: f64,
    pub max: f64,
    pub mean: f64,
    /// Population standard deviation.
    pub std: f64,
    /// At [`QUANTILES`], linear between the neighbors.
    pub quantiles: [f64; 5],
}

impl Statistics {
    /// Name and value, in LeRobot's order.
    pub fn named(&self) -> [(&'static str, f64); 9] {
        let [q01, q10, q50, q90, q99] = self.quantiles;
        let quantile = |i: usize, value| (QUANTILES[i].0, value);
        [
            ("min", self.min),
            ("max", self.max),
            ("mean", self.mean),
            ("std", self.std),
            quantile(0, q01),
            quantile(1, q10),
            quantile(2, q50),
            quantile(3, q90),
            quantile(4, q99),
        ]
    }

    /// Of at least one number.
    pub fn of(mut numbers: Vec<f64>) -> Self {
        let count = numbers.len().max(1) as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let std = (numbers.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count).sqrt();
        numbers.sort_by(f64::total_cmp);
        let at = |place: f64| {
            let place = place * (count - 1.0);
            let below = numbers.get(place.floor() as usize).copied().unwrap_or(0.0);
            let above = numbers.get(place.ceil() as usize).copied().unwrap_or(below);
            below + (above - below) * place.fract()
        };
        Self { min: at(0.0), max: at(1.0), mean, std, quantiles: QUANTILES.map(|(_, place)| at(place)) }
    }
}

/// Histogram of the 256 values per color: enough for every statistic of images in 0..1.
#[derive(Clone, Debug)]
pub(super) struct Colors {
    counts: [[u64; 256]; 3],
    /// Number of images.
    pub pictures: u64,
}

impl Colors {
    pub fn new() -> Self {
        Self { counts: [[0; 256]; 3], pictures: 0 }
    }

    /// Adds an image; of a large one every n-th pixel and row: about 150 a side, as LeRobot does.
    pub fn add(&mut self, image: &Image) {
        let stride = (image.width.max(image.height) as usize / 150).max(1);
        let width = image.width as usize * 3;
        for row in image.pixels.chunks_exact(width.max(3)).step_by(stride) {
            for pixel in row.chunks_exact(3).step_by(stride) {
                for (counts, value) in self.counts.iter_mut().zip(pixel) {
                    counts[usize::from(*value)] += 1;
                }
            }
        }
        self.pictures += 1;
    }

    pub fn merge(&mut self, other: &Colors) {
        for (counts, more) in self.counts.iter_mut().flatten().zip(other.counts.iter().flatten()) {
            *counts += more;
        }
        self.pictures += other.pictures;
    }

    /// Red, green, blue, in 0..1.
    pub fn statistics(&self) -> [Statistics; 3] {
        self.counts.each_ref().map(|counts| {
            let total = counts.iter().sum::<u64>().max(1) as f64;
            let value = |index: usize| index as f64 / 255.0;
            let weighted = |f: &dyn Fn(f64) -> f64| {
                counts.iter().enumerate().map(|(i, count)| f(value(i)) * *count as f64).sum::<f64>() / total
            };
            let mean = weighted(&|v| v);
            let std = weighted(&|v| (v - mean) * (v - mean)).sqrt();
            let at = |place: f64| {
                let wanted = place * (total - 1.0);
                let mut seen = 0.0;
                let found = counts.iter().position(|count| {
                    seen += *count as f64;
                    seen > wanted
                });
                value(found.unwrap_or(0))
            };
            Statistics { min: at(0.0), max: at(1.0), mean, std, quantiles: QUANTILES.map(|(_, place)| at(place)) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_agree_with_numpy() {
        // numpy.quantile([3, 1, 2, 10], [.01, .1, .5, .9, .99]); mean 4, std 3.5355
        let found = Statistics::of(vec![3.0, 1.0, 2.0, 10.0]);
        let expected = [1.03, 1.3, 2.5, 7.9, 9.79];
        for (a, b) in found.quantiles.iter().zip(expected) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
        assert_eq!((found.min, found.max, found.mean), (1.0, 10.0, 4.0));
        assert!((found.std - 12.5f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn colors_are_counted_per_channel() {
        let pixels: Vec<u8> = [[0, 255, 51], [0, 255, 102]].concat();
        let image = Image {
            camera: "front".into(),
            width: 2,
            height: 1,
            pixels: pixels.into(),
            captured_at: visuomotor_core::time::Timestamp::ZERO,
            sequence: 0,
        };
        let mut colors = Colors::new();
        colors.add(&image);
        let [red, green, blue] = colors.statistics();
        assert_eq!((red.max, green.min), (0.0, 1.0));
        assert!((blue.mean - 0.3).abs() < 1e-12 && (blue.std - 0.1).abs() < 1e-12);
        assert_eq!((blue.min, blue.max), (0.2, 0.4));
    }
}
