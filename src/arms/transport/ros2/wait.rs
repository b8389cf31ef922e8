//! Waiting for the middleware's futures on an ordinary thread, with a deadline: no executor is needed for one future.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

/// Wakes a thread that parks.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    /// Created once per thread: polling allocates nothing.
    static WAKER: Waker = Waker::from(Arc::new(Unpark(std::thread::current())));
}

/// Polls once. If it is pending, this thread is unparked once it may be ready.
pub(super) fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    WAKER.with(|waker| match future.as_mut().poll(&mut Context::from_waker(waker)) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    })
}

/// Waits for the future, until `deadline` if there is one, and not after `stop` returns true (unpark the thread to make it check).
pub(super) fn wait_for<F: Future>(future: F, deadline: Option<Instant>, stop: impl Fn() -> bool) -> Option<F::Output> {
    let mut future = pin!(future);
    WAKER.with(|waker| {
        let mut context = Context::from_waker(waker);
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return Some(value);
            }
            if stop() {
                return None;
            }
            match deadline {
                None => std::thread::park(),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    std::thread::park_timeout(left);
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_future_that_never_comes_ends_at_the_deadline_or_on_stop() {
        assert_eq!(poll_once(std::future::ready(3)), Some(3));
        assert_eq!(poll_once(std::future::pending::<u8>()), None);
        let soon = Some(Instant::now() + Duration::from_millis(5));
        assert_eq!(wait_for(std::future::pending::<u8>(), soon, || false), None);
        assert_eq!(wait_for(std::future::pending::<u8>(), None, || true), None);
    }
}
