//! Waits for the next control time, in either timing mode.

use std::time::Duration;

use super::ledger::{Ledger, Series};
use super::schedule::{Due, Schedule};
use super::sleep::Sleeper;
use super::station::Timing;
use visuomotor_core::time::{Clock, ManualClock, SystemClock, Timestamp};

/// The next start of a loop.
pub(super) enum Pacer<'a> {
    /// Advances the clock to the next start.
    Lockstep { clock: &'a ManualClock, schedule: Schedule },
    /// Sleeps until the next start.
    Wall { clock: &'a SystemClock, schedule: Schedule, sleeper: Sleeper },
}

impl<'a> Pacer<'a> {
    /// First start at `first`.
    pub fn new(timing: Timing<'a>, first: Timestamp, period: Duration) -> Self {
        let schedule = Schedule::new(first, period);
        match timing {
            Timing::Lockstep { clock, .. } => Self::Lockstep { clock, schedule },
            Timing::Wall { clock, .. } => Self::Wall { clock, schedule, sleeper: Sleeper::new(clock) },
        }
    }

    /// Waits for the next start. No allocation, no lock.
    pub fn next(&mut self) -> Due {
        match self {
            Self::Lockstep { clock, schedule } => {
                clock.advance_to(schedule.next());
                schedule.begin(clock.now())
            }
            Self::Wall { clock, schedule, sleeper } => {
                sleeper.until(schedule.next());
                schedule.begin(clock.now())
            }
        }
    }

    /// Starts skipped so far.
    pub fn missed(&self) -> u64 {
        match self {
            Self::Lockstep { schedule, .. } | Self::Wall { schedule, .. } => schedule.missed(),
        }
    }

    /// Records the lateness of this start; not in lockstep, where it is always zero.
    pub fn note(&self, due: &Due, ledger: &mut Ledger) {
        if matches!(self, Self::Wall { .. }) {
            ledger.record(Series::ControlJitter, due.lateness());
        }
    }
}
