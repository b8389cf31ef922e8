//! Timings of one kind. All are kept (a few thousand per trial), so that p50, p99 and maximum are exact and merge exactly.

use serde::{Deserialize, Serialize};

/// Timings of one kind in ascending order \[ms\].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<f32>", into = "Vec<f32>")]
pub struct LatencySeries {
    samples_ms: Vec<f32>,
}

/// Summary of a series \[ms\], rounded to \[us\].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencySummary {
    /// Median \[ms\].
    pub p50: f64,
    /// 99th percentile \[ms\].
    pub p99: f64,
    /// Largest \[ms\].
    pub max: f64,
    /// Number of samples.
    pub count: u64,
}

impl LatencySeries {
    /// From samples in any order \[ms\]; non-finite samples (no image yet) are left out.
    pub fn from_ms(samples: impl IntoIterator<Item = f64>) -> Self {
        samples.into_iter().map(|sample| sample as f32).collect::<Vec<f32>>().into()
    }

    /// The samples in ascending order \[ms\].
    pub fn samples_ms(&self) -> &[f32] {
        &self.samples_ms
    }

    /// Adds the samples of `other`.
    pub fn merge(&mut self, other: &LatencySeries) {
        self.samples_ms.extend_from_slice(&other.samples_ms);
        // The standard sort detects and merges the two ascending runs.
        self.samples_ms.sort_by(f32::total_cmp);
    }

    /// The smallest sample that at least the share `q` (0..=1) of all samples does not exceed \[ms\]; `None` when empty.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let rank = (q.clamp(0.0, 1.0) * self.samples_ms.len() as f64).ceil() as usize;
        self.samples_ms.get(rank.saturating_sub(1)).map(|&sample| f64::from(sample))
    }

    /// Median, 99th percentile, maximum and count; zeros when empty.
    pub fn summary(&self) -> LatencySummary {
        let at = |q| (self.quantile(q).unwrap_or(0.0) * 1e3).round() / 1e3;
        LatencySummary { p50: at(0.5), p99: at(0.99), max: at(1.0), count: self.samples_ms.len() as u64 }
    }
}

impl From<Vec<f32>> for LatencySeries {
    fn from(mut samples_ms: Vec<f32>) -> Self {
        samples_ms.retain(|sample| sample.is_finite());
        samples_ms.sort_by(f32::total_cmp);
        Self { samples_ms }
    }
}

impl From<LatencySeries> for Vec<f32> {
    fn from(series: LatencySeries) -> Self {
        series.samples_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_by_nearest_rank() {
        let series = LatencySeries::from_ms((1..=200).rev().map(f64::from));
        assert_eq!(series.summary(), LatencySummary { p50: 100.0, p99: 198.0, max: 200.0, count: 200 });
        assert_eq!(series.quantile(0.0), Some(1.0));
    }

    #[test]
    fn merging_is_the_same_as_measuring_together() {
        let mut left = LatencySeries::from_ms([3.0, 1.0]);
        left.merge(&LatencySeries::from_ms([2.0, f64::NAN, 0.5]));
        assert_eq!(left, LatencySeries::from_ms([0.5, 1.0, 2.0, 3.0]));
    }

    #[test]
    fn an_empty_series_has_no_quantile() {
        assert_eq!(LatencySeries::default().quantile(0.5), None);
        assert_eq!(LatencySeries::default().summary(), LatencySummary::default());
    }
}
