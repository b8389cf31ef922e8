//! Batches prepared ahead of time, in the order of their steps.

use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use anyhow::anyhow;

use super::session::Batches;

/// Prepared batches that wait to be used, over all threads.
const WAITING: usize = 4;

/// Number of threads that prepare batches: half of the machine's, as the other half learns.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| (n.get() / 2).clamp(1, 8))
}

/// Running threads. Thread i of n prepares the steps i, i + n, ... and puts them into its own queue. Taking from the queues
/// in turn keeps the order of the steps for any number of threads.
pub(super) struct Prefetch<'scope, B> {
    queues: Vec<Receiver<anyhow::Result<B>>>,
    threads: Vec<ScopedJoinHandle<'scope, ()>>,
    taken: usize,
}

impl<'scope, B: Send + 'scope> Prefetch<'scope, B> {
    /// Starts to prepare the batches of `steps`; `threads` is at least 1.
    pub fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        batches: &'env dyn Batches<Batch = B>,
        steps: Range<u64>,
        threads: usize,
    ) -> Self {
        let mut prefetch = Self { queues: Vec::new(), threads: Vec::new(), taken: 0 };
        for first in 0..threads {
            let (send, queue) = sync_channel((WAITING / threads).max(1));
            let mine = steps.clone().skip(first).step_by(threads);
            prefetch.queues.push(queue);
            prefetch.threads.push(scope.spawn(move || {
                for step in mine {
                    if send.send(batches.batch(step)).is_err() {
                        return;
                    }
                }
            }));
        }
        prefetch
    }

    /// The batch of the next step; an error where it could not be prepared.
    pub fn next(&mut self) -> anyhow::Result<B> {
        let queue = self.taken % self.queues.len().max(1);
        self.taken += 1;
        let answer = self.queues.get(queue).and_then(|queue| queue.recv().ok());
        answer.ok_or_else(|| anyhow!("the thread that prepares batches ended; its last message gives the reason"))?
    }
}

impl<B> Drop for Prefetch<'_, B> {
    fn drop(&mut self) {
        // Without a reader the threads end.
        self.queues.clear();
        for thread in self.threads.drain(..) {
            // A panic was reported on the terminal and by `next`; one in a step not yet taken recurs when that step is made again.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    struct Numbers;

    impl Batches for Numbers {
        type Batch = u64;
        fn batch(&self, step: u64) -> anyhow::Result<u64> {
            // Early steps take longest, so that threads overtake each other.
            std::thread::sleep(Duration::from_millis(20u64.saturating_sub(step)));
            match step {
                77 => Err(anyhow!("no data for step 77")),
                78 => panic!("a broken source of data"),
                _ => Ok(step),
            }
        }
    }

    #[test]
    fn batches_come_in_the_order_of_their_steps() {
        for threads in [1, 2, 3, 8] {
            let got = std::thread::scope(|scope| {
                let mut ahead = Prefetch::start(scope, &Numbers, 3..20, threads);
                (3..20).map(|_| ahead.next().unwrap()).collect::<Vec<_>>()
            });
            assert_eq!(got, (3..20).collect::<Vec<_>>(), "{threads} threads");
        }
    }

    #[test]
    fn an_error_and_a_panic_arrive_in_turn_and_stop_nothing_else() {
        for threads in [1, 2] {
            let errors = std::thread::scope(|scope| {
                let mut ahead = Prefetch::start(scope, &Numbers, 76..90, threads);
                assert_eq!(ahead.next().unwrap(), 76);
                [ahead.next(), ahead.next()].map(|answer| answer.unwrap_err().to_string())
            });
            assert!(errors[0].contains("step 77") && errors[1].contains("ended"), "{errors:?}");
        }
    }
}
