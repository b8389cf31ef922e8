//! Absolute deadlines and the budget for missing them. Pure arithmetic: no clock is read and nothing sleeps here.
//!
//! The next start is the last planned start plus one period. After an overrun, whole periods are skipped and counted,
//! never caught up in a burst.

use std::time::Duration;

use visuomotor_core::protection::Protection;
use visuomotor_core::time::Timestamp;

/// Planned starts, one period apart.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    period: Duration,
    next: Timestamp,
    missed: u64,
}

/// One start of a loop's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Planned start.
    pub planned: Timestamp,
    /// Actual start.
    pub now: Timestamp,
    /// Whole periods skipped just before it.
    pub skipped: u64,
}

impl Due {
    /// A start that is exactly on time.
    pub fn on_time(now: Timestamp) -> Self {
        Self { planned: now, now, skipped: 0 }
    }

    /// How late it started.
    pub fn lateness(&self) -> Duration {
        self.now.since(self.planned)
    }
}

impl Schedule {
    /// Starts at `first` and every `period` after; a period of zero is taken as 1 ns.
    pub fn new(first: Timestamp, period: Duration) -> Self {
        Self { period: period.max(Duration::from_nanos(1)), next: first, missed: 0 }
    }

    /// The next planned start.
    pub fn next(&self) -> Timestamp {
        self.next
    }

    /// Takes the start that is due at `now` and plans the one after it.
    pub fn begin(&mut self, now: Timestamp) -> Due {
        let late = now.since(self.next);
        let skipped = (late.as_nanos() / self.period.as_nanos()) as u64;
        let planned = Timestamp::from_nanos(self.next.as_nanos() + skipped * self.period.as_nanos() as u64);
        self.missed += skipped;
        self.next = planned + self.period;
        Due { planned, now, skipped }
    }

    /// Starts skipped so far.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

/// How much time the control loop may lose before it reacts, independent of its rate.
///
/// Lost time fills a bucket that empties slowly ([`DeadlineWatch`]), so that frequent late starts count as well as
/// consecutive ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineBudget {
    /// From here on it is logged after the episode.
    pub warn: Duration,
    /// From here on the arm holds, until enough starts were on time and a new action arrives.
    pub hold: Duration,
    /// From here on the episode ends, with the arm holding.
    pub stop: Duration,
}

impl Default for DeadlineBudget {
    /// Reported from one period of a 50 Hz loop, held after 0.1 s, ended after 0.5 s.
    fn default() -> Self {
        let millis = Duration::from_millis;
        Self { warn: millis(20), hold: millis(100), stop: millis(500) }
    }
}

/// State of the budget after a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strain {
    /// On time.
    None,
    /// Late enough to report.
    Warn,
    /// The arm must hold.
    Hold,
    /// The episode must end.
    Stop,
}

/// Punctual periods that make up for a missed one.
///
/// A loop that loses more than one period in eleven fills its bucket and is ended; one that loses fewer runs on. On a
/// desktop without a real-time kernel, an occasionally late loop loses one in hundreds.
pub const PAYBACK: u32 = 10;

/// Tracks lost time against a [`DeadlineBudget`].
///
/// A leaky bucket: each skipped period is added, and each punctual start removes a tenth of a period. A repeating
/// pattern of four late starts and one good one fills it.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineWatch {
    budget: DeadlineBudget,
    period: Duration,
    lost: Duration,
}

impl DeadlineWatch {
    /// Nothing missed yet, in a loop of this period.
    pub fn new(budget: DeadlineBudget, period: Duration) -> Self {
        Self { budget, period, lost: Duration::ZERO }
    }

    /// State of the budget after this start. No allocation, no lock.
    pub fn after(&mut self, due: &Due) -> Strain {
        self.lost = if due.skipped == 0 {
            self.lost.saturating_sub(self.period / PAYBACK)
        } else {
            let skipped = u32::try_from(due.skipped).unwrap_or(u32::MAX);
            self.lost.saturating_add(self.period.saturating_mul(skipped))
        };
        if !Protection::DeadlineBudget.is_on() {
            return Strain::None;
        }
        match self.lost {
            Duration::ZERO => Strain::None,
            lost if lost >= self.budget.stop => Strain::Stop,
            lost if lost >= self.budget.hold => Strain::Hold,
            lost if lost >= self.budget.warn => Strain::Warn,
            _ => Strain::None,
        }
    }

    /// Lost time not yet made up.
    pub fn lost(&self) -> Duration {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(ms * MS)
    }

    #[test]
    fn starts_stay_on_the_grid_and_lateness_does_not_add_up() {
        let mut schedule = Schedule::new(at(0), Duration::from_millis(20));
        assert_eq!(schedule.begin(at(0)), Due::on_time(at(0)));
        let late = schedule.begin(at(27));
        assert_eq!((late.planned, late.skipped, late.lateness()), (at(20), 0, Duration::from_millis(7)));
        assert_eq!(schedule.next(), at(40));
    }

    #[test]
    fn after_an_overrun_whole_periods_are_skipped_and_counted() {
        let mut schedule = Schedule::new(at(0), Duration::from_millis(20));
        schedule.begin(at(0));
        let due = schedule.begin(at(75));
        assert_eq!((due.planned, due.skipped), (at(60), 2));
        assert_eq!((schedule.next(), schedule.missed()), (at(80), 2));
        let exact = schedule.begin(at(100));
        assert_eq!((exact.planned, exact.skipped), (at(100), 1), "a whole period late is one skipped start");
    }

    const MILLIS: fn(u64) -> Duration = Duration::from_millis;

    /// States of a watch for starts that skip these numbers of periods, at a rate [Hz].
    fn strains(rate: u32, skips: impl IntoIterator<Item = u64>) -> Vec<Strain> {
        let mut watch = DeadlineWatch::new(DeadlineBudget::default(), Duration::from_secs(1) / rate);
        skips.into_iter().map(|skipped| watch.after(&Due { planned: at(0), now: at(0), skipped })).collect()
    }

    #[test]
    fn the_budget_warns_then_holds_then_stops_and_is_paid_back_slowly() {
        let budget = DeadlineBudget { warn: MILLIS(20), hold: MILLIS(60), stop: MILLIS(100) };
        let mut watch = DeadlineWatch::new(budget, MILLIS(20));
        let due = |skipped| Due { planned: at(0), now: at(0), skipped };
        assert_eq!(watch.after(&due(0)), Strain::None);
        assert_eq!(watch.after(&due(1)), Strain::Warn);
        assert_eq!(watch.after(&due(2)), Strain::Hold);
        // One punctual start is not enough: ten make up for one.
        assert_eq!((watch.after(&due(0)), watch.lost()), (Strain::Warn, MILLIS(58)));
        assert_eq!(watch.after(&due(1)), Strain::Hold);
        assert_eq!(watch.after(&due(2)), Strain::Stop);
        // 118 ms are lost; 49 starts on time leave 20 of them.
        for _ in 0..49 {
            assert_ne!(watch.after(&due(0)), Strain::None);
        }
        assert_eq!((watch.after(&due(0)), watch.lost()), (Strain::None, MILLIS(18)));
    }

    #[test]
    fn four_late_starts_and_a_good_one_do_not_run_for_ever() {
        for rate in [10, 50, 100, 1000] {
            let pattern = [1, 1, 1, 1, 0].into_iter().cycle().take(20 * rate as usize);
            let strains = strains(rate, pattern);
            let ended = strains.iter().position(|strain| *strain == Strain::Stop).expect("it never stops");
            // 39 tenths of a period are lost in nine periods: half a second within 1.2 s of the pattern.
            assert!(ended * 9 / 5 <= rate as usize * 13 / 10 + 9, "{rate} Hz: after {ended} starts");
        }
    }

    #[test]
    fn a_loop_that_is_late_once_in_twelve_starts_runs_on() {
        for rate in [50, 1000] {
            let pattern = (0..100 * rate as usize).map(|start| u64::from(start % 12 == 0));
            assert!(strains(rate, pattern).iter().all(|strain| *strain <= Strain::Warn), "{rate} Hz");
        }
    }

    #[test]
    fn counts_scale_with_the_rate() {
        // 25 ms are 25 periods of a Panda's loop and end nothing; half a second ends every loop.
        assert_eq!(strains(1000, [25]), [Strain::Warn]);
        assert_eq!(strains(1000, [100]), [Strain::Hold]);
        assert_eq!(strains(50, [5]), [Strain::Hold]);
        for rate in [10, 50, 100, 1000] {
            assert_eq!(strains(rate, [u64::from(rate) / 2]), [Strain::Stop], "{rate} Hz");
            assert_eq!(strains(rate, [u64::from(rate) / 2 - 1]), [Strain::Hold], "{rate} Hz");
        }
    }

    #[test]
    fn a_stall_of_two_seconds_ends_the_loop_at_its_first_start_and_replays_no_period() {
        for rate in [50, 100, 1000] {
            let period = Duration::from_secs(1) / rate;
            let mut schedule = Schedule::new(at(0), period);
            let mut watch = DeadlineWatch::new(DeadlineBudget::default(), period);
            assert_eq!(watch.after(&schedule.begin(at(0))), Strain::None);
            let due = schedule.begin(at(2000));
            assert_eq!(watch.after(&due), Strain::Stop, "{rate} Hz");
            // No burst of missed starts: the next one is in the future.
            assert_eq!((due.now, due.planned, schedule.next()), (at(2000), at(2000), at(2000) + period));
        }
    }

    #[test]
    fn absurd_counts_do_not_overflow() {
        assert_eq!(strains(1, [u64::MAX, u64::MAX, 0, u64::MAX]), [Strain::Stop; 4]);
    }

    proptest! {
        #[test]
        fn planned_starts_are_on_the_grid_and_never_in_the_future(steps in proptest::collection::vec(0u64..200, 1..50)) {
            let mut schedule = Schedule::new(at(0), Duration::from_millis(20));
            let (mut now, mut begun) = (at(0), 0);
            for step in steps {
                now = (now + Duration::from_millis(step)).max(schedule.next());
                let due = schedule.begin(now);
                prop_assert_eq!(due.planned.as_nanos() % (20 * MS), 0);
                prop_assert!(due.planned <= now && now < schedule.next());
                begun += 1;
            }
            // Every grid point was either begun or counted as missed.
            prop_assert_eq!(begun + schedule.missed(), schedule.next().as_nanos() / (20 * MS));
        }
    }
}
