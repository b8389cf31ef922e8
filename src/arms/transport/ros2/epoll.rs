//! This program's own `epoll_wait`, which continues waiting after a signal.
//!
//! A stop and continue (Ctrl-Z and `fg`, a debugger, a paused container) interrupts `epoll_wait` whatever signals are masked
//! (signal(7)), and the middleware's event loops end at the first error of a wait: nothing would be received or sent any more. A
//! symbol defined in a program takes precedence over the C library's, so the event loops call this one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use visuomotor_core::protection::Protection;

/// Waits that were interrupted and resumed.
static REPEATED: AtomicU64 = AtomicU64::new(0);

/// How often a wait for the network was interrupted by a signal and resumed, in the whole program.
pub fn repeated_waits() -> u64 {
    REPEATED.load(Ordering::Relaxed)
}

/// `epoll_wait(2)`, not interruptible: it waits for the rest of the time, by the monotonic clock. Unlike the C library's it is no
/// thread cancellation point.
///
/// # Safety
///
/// As `epoll_wait(2)`: `events` has room for `most` events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_wait(
    epoll: libc::c_int,
    events: *mut libc::epoll_event,
    most: libc::c_int,
    timeout: libc::c_int,
) -> libc::c_int {
    // Negative means forever.
    let deadline = u64::try_from(timeout).ok().map(|ms| Instant::now() + Duration::from_millis(ms));
    let mut left = timeout;
    loop {
        // SAFETY: the arguments are the caller's, who answers for them, but for a timeout that is no longer than his; a
        // null signal mask is allowed and makes the last argument meaningless (epoll_pwait(2)).
        let ready = unsafe {
            libc::syscall(libc::SYS_epoll_pwait, epoll, events, most, left, std::ptr::null::<libc::sigset_t>(), 8)
        };
        // SAFETY: it is this thread's own number of the last error.
        let interrupted = ready < 0 && unsafe { *libc::__errno_location() } == libc::EINTR;
        if !interrupted || !Protection::EpollRetry.is_on() {
            // At most `most`, or -1.
            return ready as libc::c_int;
        }
        REPEATED.fetch_add(1, Ordering::Relaxed);
        if let Some(deadline) = deadline {
            left = milliseconds(deadline.saturating_duration_since(Instant::now()));
        }
    }
}

/// Rounded up, so that no waiter wakes early.
fn milliseconds(left: Duration) -> libc::c_int {
    libc::c_int::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(libc::c_int::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits on nothing for this long \[ms\]; returns the result.
    fn wait(timeout: libc::c_int) -> libc::c_int {
        // SAFETY: a new descriptor of our own, closed below; no pointers.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 1];
        // SAFETY: there is room for the one event.
        let ready = unsafe { epoll_wait(epoll, events.as_mut_ptr(), 1, timeout) };
        // SAFETY: it was opened above and has no other owner.
        unsafe { libc::close(epoll) };
        ready
    }

    extern "C" fn nothing(_: libc::c_int) {}

    #[test]
    fn a_wait_that_signals_interrupt_still_takes_its_whole_time_and_is_no_error() {
        let handler: extern "C" fn(libc::c_int) = nothing;
        // SAFETY: the handler does nothing, so it may interrupt anything; nothing else in these tests uses SIGURG, which is
        // ignored otherwise.
        unsafe { libc::signal(libc::SIGURG, handler as *const () as libc::sighandler_t) };
        let before = repeated_waits();
        let (id, known) = std::sync::mpsc::channel();
        let waiting = std::thread::spawn(move || {
            // SAFETY: it only returns the id of this thread.
            id.send(unsafe { libc::pthread_self() }).unwrap();
            let began = Instant::now();
            (wait(300), began.elapsed())
        });
        let thread = known.recv().unwrap();
        while !waiting.is_finished() {
            // SAFETY: the thread is joined below, so its name stays valid until then.
            unsafe { libc::pthread_kill(thread, libc::SIGURG) };
            std::thread::sleep(Duration::from_millis(5));
        }
        let (ready, took) = waiting.join().unwrap();
        assert_eq!(ready, 0, "a wait on nothing ends with nothing");
        assert!(took >= Duration::from_millis(300), "{took:?}");
        assert!(repeated_waits() > before, "no wait was interrupted");
    }

    #[test]
    fn what_is_left_is_rounded_up_and_a_wait_without_time_returns_at_once() {
        assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
        assert_eq!(milliseconds(Duration::from_millis(7)), 7);
        assert_eq!(milliseconds(Duration::MAX), libc::c_int::MAX);
        assert_eq!(wait(0), 0);
    }
}
