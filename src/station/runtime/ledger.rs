//! Timings: one full histogram per named series, so that runs can be merged without losing the tail.
//!
//! Histograms are made at full size, so recording never allocates; values beyond 60 s count as 60 s.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Largest distinguished value \[ns\].
const CEILING: u64 = 60_000_000_000;

/// A named series of durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// Age of the image behind the action when a command was sent, for every command.
    ImageAge,
    /// Encoding of images, as reported by the action source.
    Encoder,
    /// From embeddings to an action, as reported by the action source.
    Policy,
    /// A whole decision: images, observation, action, slot.
    Decision,
    /// A whole control tick: read, decide, filter, write.
    ControlTick,
    /// Start lateness of a control tick; empty in lockstep.
    ControlJitter,
}

impl Series {
    /// All of them, in order of the data flow.
    pub const ALL: [Series; 6] = [
        Series::ImageAge,
        Series::Encoder,
        Series::Policy,
        Series::Decision,
        Series::ControlTick,
        Series::ControlJitter,
    ];

    /// Name in results.
    pub fn name(self) -> &'static str {
        match self {
            Series::ImageAge => "image_age",
            Series::Encoder => "encoder",
            Series::Policy => "policy",
            Series::Decision => "decision",
            Series::ControlTick => "control_tick",
            Series::ControlJitter => "control_jitter",
        }
    }
}

/// One histogram per [`Series`], to three digits.
#[derive(Clone)]
pub struct Ledger {
    series: [Histogram<u32>; Series::ALL.len()],
}

impl Ledger {
    /// Empty, at full size.
    pub fn new() -> Self {
        Self {
            series: std::array::from_fn(|_| {
                // It requires a lowest value of at least 1, a highest of at least twice that, and at most 5 digits.
                Histogram::new_with_bounds(1, CEILING, 3).expect("the bounds are constants hdrhistogram accepts")
            }),
        }
    }

    /// Adds a duration. Does not allocate.
    pub fn record(&mut self, series: Series, duration: Duration) {
        let nanos = duration.as_nanos().min(u128::from(CEILING)) as u64;
        self.series[series as usize].saturating_record(nanos);
    }

    /// Adds a duration in seconds; non-finite and negative numbers are left out. Does not allocate.
    pub fn record_seconds(&mut self, series: Series, seconds: f64) {
        if let Ok(duration) = Duration::try_from_secs_f64(seconds) {
            self.record(series, duration);
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Ledger) {
        for (mine, theirs) in self.series.iter_mut().zip(&other.series) {
            // It fails only if a recorded value does not fit, and all are made by `new` above.
            mine.add(theirs).expect("all ledgers have the same bounds");
        }
    }

    /// The raw histogram of a series \[ns\].
    pub fn histogram(&self, series: Series) -> &Histogram<u32> {
        &self.series[series as usize]
    }

    /// The figures for a report.
    pub fn summary(&self) -> LedgerSummary {
        let milliseconds = |nanos: u64| nanos as f64 * 1e-6;
        LedgerSummary(
            Series::ALL
                .iter()
                .map(|&series| {
                    let h = self.histogram(series);
                    let figures = SeriesSummary {
                        p50: milliseconds(h.value_at_quantile(0.5)),
                        p99: milliseconds(h.value_at_quantile(0.99)),
                        max: milliseconds(h.max()),
                        count: h.len(),
                    };
                    (series.name().to_string(), figures)
                })
                .collect(),
        )
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.summary().fmt(f)
    }
}

/// Figures of every series by name; an empty series has count 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LedgerSummary(pub BTreeMap<String, SeriesSummary>);

/// Figures of one series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesSummary {
    /// Median \[ms\].
    pub p50: f64,
    /// 99th percentile \[ms\].
    pub p99: f64,
    /// Largest \[ms\].
    pub max: f64,
    /// Number of samples.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_milliseconds_and_merging_keeps_the_tail() {
        let (mut a, mut b) = (Ledger::new(), Ledger::new());
        for _ in 0..99 {
            a.record(Series::Decision, Duration::from_millis(10));
        }
        b.record_seconds(Series::Decision, 0.5);
        b.record_seconds(Series::Decision, f64::NAN);
        a.merge(&b);
        let figures = a.summary().0["decision"];
        assert_eq!(figures.count, 100);
        assert!((figures.p50 - 10.0).abs() < 0.02, "{figures:?}");
        assert!((figures.max - 500.0).abs() < 0.5, "{figures:?}");
    }

    #[test]
    fn an_hour_counts_as_the_ceiling() {
        let mut ledger = Ledger::new();
        ledger.record(Series::Encoder, Duration::from_secs(3600));
        assert!(ledger.summary().0["encoder"].max >= 60_000.0);
    }

    #[test]
    fn the_summary_is_plain_json_with_every_series() {
        let text = serde_json::to_string(&Ledger::new().summary()).unwrap();
        for series in Series::ALL {
            assert!(text.contains(&format!("\"{}\":{{\"p50\":", series.name())), "{text}");
        }
    }
}
