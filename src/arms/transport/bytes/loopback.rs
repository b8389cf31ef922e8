//! Two ends in memory: each reads what the other writes. For tests of code that uses a link.
//!
//! Reading never waits: when nothing is there it returns 0 and moves the shared clock to the deadline. A dropped end is an
//! unplugged one. Bounded: a writer without a reader blocks until its time-out, as on a real port.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{ByteLink, LinkError};
use visuomotor_core::time::{Clock, ManualClock, Timestamp};

/// Capacity of a direction \[bytes\].
const CAPACITY: usize = 4096;

/// One end.
pub struct Loopback {
    name: &'static str,
    incoming: Arc<Mutex<VecDeque<u8>>>,
    outgoing: Arc<Mutex<VecDeque<u8>>>,
    clock: Arc<ManualClock>,
}

/// Two ends on one manual clock, which is returned too.
pub fn loopback() -> (Loopback, Loopback, Arc<ManualClock>) {
    let (there, back) = (queue(), queue());
    let clock = Arc::new(ManualClock::new());
    let a = Loopback { name: "loopback a", incoming: back.clone(), outgoing: there.clone(), clock: clock.clone() };
    let b = Loopback { name: "loopback b", incoming: there, outgoing: back, clock: clock.clone() };
    (a, b, clock)
}

fn queue() -> Arc<Mutex<VecDeque<u8>>> {
    Arc::new(Mutex::new(VecDeque::with_capacity(CAPACITY)))
}

/// A byte queue is consistent whenever its lock is free, also after a panic elsewhere.
fn lock(queue: &Mutex<VecDeque<u8>>) -> MutexGuard<'_, VecDeque<u8>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ByteLink for Loopback {
    fn name(&self) -> &str {
        self.name
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        if Arc::strong_count(&self.outgoing) < 2 {
            return Err(LinkError::Unplugged);
        }
        let mut queue = lock(&self.outgoing);
        if queue.len() + bytes.len() > CAPACITY {
            return Err(LinkError::Stuck);
        }
        queue.extend(bytes);
        Ok(())
    }

    fn read(&mut self, into: &mut [u8], until: Timestamp) -> Result<usize, LinkError> {
        let mut queue = lock(&self.incoming);
        let count = queue.len().min(into.len());
        for (to, from) in into.iter_mut().zip(queue.drain(..count)) {
            *to = from;
        }
        drop(queue);
        if count == 0 {
            if Arc::strong_count(&self.incoming) < 2 {
                return Err(LinkError::Unplugged);
            }
            self.clock.advance_to(until);
        }
        Ok(count)
    }

    fn discard_input(&mut self) -> Result<(), LinkError> {
        lock(&self.incoming).clear();
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), LinkError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_cross_and_a_dropped_end_is_unplugged() {
        let (mut a, mut b, clock) = loopback();
        let mut buffer = [0; 8];
        a.write_all(&[1, 2, 3]).unwrap();
        assert_eq!(b.read(&mut buffer, Timestamp::ZERO), Ok(3));
        assert_eq!(buffer[..3], [1, 2, 3]);
        let later = Timestamp::from_nanos(5);
        assert_eq!((b.read(&mut buffer, later), clock.now()), (Ok(0), later));
        drop(a);
        assert_eq!(b.read(&mut buffer, later), Err(LinkError::Unplugged));
        assert_eq!(b.write_all(&[1]), Err(LinkError::Unplugged));
    }

    #[test]
    fn a_writer_nobody_reads_from_gets_stuck() {
        let (mut a, _b, _) = loopback();
        assert_eq!(a.write_all(&[0; CAPACITY]), Ok(()));
        assert_eq!(a.write_all(&[0]), Err(LinkError::Stuck));
    }
}
