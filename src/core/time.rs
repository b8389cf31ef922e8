//! Time as a value: [`Timestamp`], the [`Clock`] trait and a manual clock.
//!
//! Only the sleeping threads read a clock; all other code gets `now` as an argument, so that simulation, replay and tests
//! run the same code on a [`ManualClock`]. Stamps are monotonic nanoseconds since the clock's start; wall-clock time
//! appears only as an annotation in recordings.

use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// A time on a monotonic clock \[ns since the clock's start\].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The clock's start.
    pub const ZERO: Timestamp = Timestamp(0);
    /// Later than anything that happens.
    pub const NEVER: Timestamp = Timestamp(u64::MAX);

    /// From nanoseconds since the clock's start.
    #[inline]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's start.
    #[inline]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// From seconds since the clock's start; negative and NaN become zero.
    #[inline]
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self((seconds.max(0.0) * 1e9).round() as u64)
    }

    /// Seconds since the clock's start \[s\].
    #[inline]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 * 1e-9
    }

    /// Time from `earlier` to `self`; zero if `earlier` is later (a stamp from the future has age zero).
    #[inline]
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    #[inline]
    fn add(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(duration.as_nanos() as u64))
    }
}

/// A source of time. Only sleeping threads and stopwatches hold one.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// The operating system's monotonic clock, counted from its creation.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock that starts at zero now.
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.origin.elapsed().as_nanos() as u64)
    }
}

/// A manually advanced clock for lockstep simulation, replay and tests.
#[derive(Debug, Default)]
pub struct ManualClock {
    nanos: AtomicU64,
}

impl ManualClock {
    /// A clock at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.nanos.fetch_add(by.as_nanos() as u64, Ordering::AcqRel);
    }

    /// Moves the clock to `at`; never backwards: the later of both times counts.
    pub fn advance_to(&self, at: Timestamp) {
        self.nanos.fetch_max(at.0, Ordering::AcqRel);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.nanos.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_from_the_future_has_age_zero() {
        let now = Timestamp::from_secs_f64(1.0);
        assert_eq!(now.since(Timestamp::from_secs_f64(2.0)), Duration::ZERO);
        assert_eq!(now.since(Timestamp::ZERO), Duration::from_secs(1));
    }

    #[test]
    fn a_manual_clock_moves_only_by_hand_and_never_back() {
        let clock = ManualClock::new();
        clock.advance(Duration::from_millis(20));
        assert_eq!(clock.now().as_nanos(), 20_000_000);
        clock.advance_to(Timestamp::from_nanos(5));
        assert_eq!(clock.now().as_nanos(), 20_000_000);
    }

    #[test]
    fn nan_seconds_become_the_start() {
        assert_eq!(Timestamp::from_secs_f64(f64::NAN), Timestamp::ZERO);
    }
}
