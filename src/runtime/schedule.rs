//! Absolute deadlines and the budget for missing them. Pure arithmetic: no clock is read and nothing sleeps here.
//!
//! The next start is the last planned start plus one period. After an overrun whole periods are skipped and counted,
//! never made up for in a burst.

use std::time::Duration;

use crate::time::Timestamp;

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
    /// When it was to start.
    pub planned: Timestamp,
    /// When it did start.
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

/// How many control periods in a row may be missed before something is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineBudget {
    /// From here on the log says so, after the episode \[periods\].
    pub warn: u64,
    /// From here on the arm holds until a start is on time and a new action arrives \[periods\].
    pub hold: u64,
    /// From here on the episode ends, with the arm holding \[periods\].
    pub stop: u64,
}

impl Default for DeadlineBudget {
    /// At 50 Hz: told from the first, held after 0.1 s, ended after 0.5 s.
    fn default() -> Self {
        Self { warn: 1, hold: 5, stop: 25 }
    }
}

/// What the budget says after a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strain {
    /// On time.
    None,
    /// Late enough to tell.
    Warn,
    /// The arm is to hold.
    Hold,
    /// The episode is to end.
    Stop,
}

/// Counts missed periods in a row against a [`DeadlineBudget`].
#[derive(Clone, Copy, Debug)]
pub struct DeadlineWatch {
    budget: DeadlineBudget,
    in_a_row: u64,
}

impl DeadlineWatch {
    /// Nothing missed yet.
    pub fn new(budget: DeadlineBudget) -> Self {
        Self { budget, in_a_row: 0 }
    }

    /// The budget's answer to this start; a start without skipped periods clears the count.
    pub fn after(&mut self, due: &Due) -> Strain {
        self.in_a_row = if due.skipped == 0 { 0 } else { self.in_a_row + due.skipped };
        match self.in_a_row {
            0 => Strain::None,
            n if n >= self.budget.stop => Strain::Stop,
            n if n >= self.budget.hold => Strain::Hold,
            n if n >= self.budget.warn => Strain::Warn,
            _ => Strain::None,
        }
    }

    /// Periods missed in a row.
    pub fn in_a_row(&self) -> u64 {
        self.in_a_row
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

    #[test]
    fn the_budget_warns_then_holds_then_stops_and_one_good_start_clears_it() {
        let mut watch = DeadlineWatch::new(DeadlineBudget { warn: 1, hold: 3, stop: 5 });
        let due = |skipped| Due { planned: at(0), now: at(0), skipped };
        assert_eq!(watch.after(&due(0)), Strain::None);
        assert_eq!(watch.after(&due(1)), Strain::Warn);
        assert_eq!(watch.after(&due(2)), Strain::Hold);
        assert_eq!(watch.after(&due(0)), Strain::None);
        assert_eq!(watch.after(&due(4)), Strain::Hold);
        assert_eq!(watch.after(&due(1)), Strain::Stop);
        assert_eq!(watch.in_a_row(), 5);
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
