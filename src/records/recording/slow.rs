//! A disk that is slow on purpose: the fault matrix shows with it that no loop waits for a recording.
//!
//! Only a build with the feature `fault-controls` has the switch; in other builds nothing waits here.

#[cfg(feature = "fault-controls")]
mod switch {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    static MILLIS: AtomicU64 = AtomicU64::new(0);

    /// Makes each write of a recording in this process take this long, from now on.
    pub fn slow_down(by: Duration) {
        MILLIS.store(by.as_millis() as u64, Ordering::Release);
    }

    pub(in crate::recording) fn wait() {
        std::thread::sleep(Duration::from_millis(MILLIS.load(Ordering::Acquire)));
    }
}

#[cfg(not(feature = "fault-controls"))]
mod switch {
    #[inline(always)]
    pub(in crate::recording) const fn wait() {}
}

#[cfg(feature = "fault-controls")]
pub use switch::slow_down;
pub(super) use switch::wait;
