//! How long an arm was silent, counting only the time in which this program could receive.
//!
//! A program that was suspended (Ctrl-Z, a debugger, a paused container) finds its newest state old when it resumes, before the
//! receiving threads have run. That is no evidence of the arm's silence, so its silence counts from the resumption. The excuse is
//! bounded.

use std::time::Duration;

use visuomotor_core::time::Timestamp;

/// Longest excuse: an arm not heard for longer than this beyond its limit counts as silent, whatever the cause.
const LONGEST_EXCUSE: Duration = Duration::from_millis(150);

/// One thread's polls of an arm's state.
#[derive(Clone, Copy, Debug)]
pub struct SilenceWatch {
    period: Duration,
    gap: Duration,
    looked: Option<Timestamp>,
    resumed: Timestamp,
}

impl SilenceWatch {
    /// For a thread that polls with this period.
    pub fn new(period: Duration) -> Self {
        // A turn late by one period is normal; when two are missing this program stood still.
        let gap = (period * 2).max(Duration::from_millis(25));
        Self { period, gap, looked: None, resumed: Timestamp::ZERO }
    }

    /// The thread polls at `now`.
    pub fn polled(&mut self, now: Timestamp) {
        if self.looked.is_some_and(|at| now.since(at) > self.gap) {
            self.resumed = now;
        }
        self.looked = Some(now);
    }

    /// Duration of the silence at `now`, where the newest state was received `at`.
    pub fn silence(&self, now: Timestamp, at: Timestamp) -> Duration {
        let whole = now.since(at);
        let heard = now.since(at.max(self.resumed));
        heard.max(whole.saturating_sub(LONGEST_EXCUSE))
    }

    /// Is the arm silent? Silence is reported when it would exceed `limit` by the next poll, because nothing reacts in between.
    pub fn is_silent(&self, now: Timestamp, at: Timestamp, limit: Duration) -> bool {
        self.silence(now, at) + self.period > limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn an_arm_is_not_silent_for_what_this_program_slept() {
        let ms = Duration::from_millis;
        let mut silence_watch = SilenceWatch::new(ms(10));
        for now in [100, 110, 120] {
            silence_watch.polled(at(now));
        }
        assert_eq!(silence_watch.silence(at(120), at(118)), ms(2));
        // Suspended for 55 ms: the state received before is no sign of silence until the program has listened again.
        silence_watch.polled(at(175));
        assert_eq!(silence_watch.silence(at(175), at(118)), ms(0));
        silence_watch.polled(at(185));
        assert_eq!(silence_watch.silence(at(185), at(118)), ms(10));
        // A longer suspension excuses no more.
        silence_watch.polled(at(1000));
        assert_eq!(silence_watch.silence(at(1000), at(118)), ms(882 - 150));
    }

    #[test]
    fn a_silence_is_found_before_it_is_longer_than_its_limit() {
        let limit = Duration::from_millis(50);
        let mut silence_watch = SilenceWatch::new(Duration::from_millis(10));
        let found = (100..).step_by(10).find(|now| {
            silence_watch.polled(at(*now));
            silence_watch.is_silent(at(*now), at(95), limit)
        });
        assert_eq!(found, Some(140), "at the next look it would be 55 ms");
    }

    #[test]
    fn a_thread_that_keeps_looking_counts_all_of_the_silence() {
        let mut silence_watch = SilenceWatch::new(Duration::from_millis(20));
        for turn in 0..10 {
            silence_watch.polled(at(100 + 20 * turn));
        }
        assert_eq!(silence_watch.silence(at(280), at(95)), Duration::from_millis(185));
    }
}
