//! Sleeps until an absolute time. Linux.

use std::time::Duration;

use visuomotor_core::time::{Clock, SystemClock, Timestamp};

/// Sleeps on `CLOCK_MONOTONIC`, by the stamps of a [`SystemClock`].
#[derive(Clone, Copy, Debug)]
pub struct Sleeper {
    /// `CLOCK_MONOTONIC` at the system clock's zero \[ns\].
    origin: u64,
}

impl Sleeper {
    /// For the stamps of `clock`. Both count the same oscillator, so one reading of each is enough.
    pub fn new(clock: &SystemClock) -> Self {
        Self { origin: monotonic_nanos().saturating_sub(clock.now().as_nanos()) }
    }

    /// Sleeps until `at`; returns at once if that is in the past. No allocation, no lock.
    pub fn until(&self, at: Timestamp) {
        let nanos = Duration::from_nanos(self.origin.saturating_add(at.as_nanos()));
        let target = libc::timespec { tv_sec: nanos.as_secs() as libc::time_t, tv_nsec: nanos.subsec_nanos().into() };
        loop {
            // SAFETY: `target` is a valid timespec that outlives the call; with TIMER_ABSTIME the remainder is not
            // written, so null is allowed (clock_nanosleep(2)).
            let error = unsafe {
                libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &target, std::ptr::null_mut())
            };
            if error != libc::EINTR {
                return;
            }
        }
    }
}

fn monotonic_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to; CLOCK_MONOTONIC exists on every Linux, so the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_wakes_early_and_does_not_wait_for_the_past() {
        let clock = SystemClock::new();
        let sleeper = Sleeper::new(&clock);
        // `new` reads two clocks one after the other: allow for the time between.
        let slack = Duration::from_millis(1);
        let target = clock.now() + Duration::from_millis(5);
        sleeper.until(target);
        assert!(clock.now() + slack >= target);
        sleeper.until(Timestamp::ZERO);
    }
}
