//! Records the last packets in both directions: wraps any link, for the message after an error.
//!
//! Keeps the newest [`HISTORY`] calls and at most [`LENGTH`] bytes of each in memory taken once; nothing allocates after
//! that.

use std::collections::VecDeque;
use std::fmt::Write;

use super::{ByteLink, LatencyTimer, LinkError};
use visuomotor_core::time::Timestamp;

/// Calls kept.
pub const HISTORY: usize = 64;

/// Bytes kept of each call.
pub const LENGTH: usize = 200;

/// Direction of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the device.
    Sent,
    /// From the device.
    Received,
}

#[derive(Clone, Copy)]
struct Entry {
    at: Timestamp,
    direction: Direction,
    bytes: [u8; LENGTH],
    length: usize,
}

/// A link that records its traffic.
pub struct TracedLink<L> {
    inner: L,
    entries: VecDeque<Entry>,
}

impl<L: ByteLink> TracedLink<L> {
    /// Wraps a link.
    pub fn new(inner: L) -> Self {
        Self { inner, entries: VecDeque::with_capacity(HISTORY) }
    }

    fn keep(&mut self, direction: Direction, bytes: &[u8]) {
        if self.entries.len() == HISTORY {
            self.entries.pop_front();
        }
        let mut entry = Entry { at: self.inner.now(), direction, bytes: [0; LENGTH], length: bytes.len() };
        let count = bytes.len().min(LENGTH);
        entry.bytes[..count].copy_from_slice(&bytes[..count]);
        self.entries.push_back(entry);
    }

    /// The recorded traffic, oldest first: time \[s\], direction, length, bytes in hexadecimal.
    pub fn report(&self) -> String {
        let mut out = String::new();
        for entry in &self.entries {
            let arrow = if entry.direction == Direction::Sent { "->" } else { "<-" };
            let _ = write!(out, "{:.6} {arrow} {:3}", entry.at.as_secs_f64(), entry.length);
            for byte in &entry.bytes[..entry.length.min(LENGTH)] {
                let _ = write!(out, " {byte:02x}");
            }
            out.push_str(if entry.length > LENGTH { " ...\n" } else { "\n" });
        }
        out
    }
}

impl<L: ByteLink> ByteLink for TracedLink<L> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.keep(Direction::Sent, bytes);
        self.inner.write_all(bytes)
    }

    fn read(&mut self, into: &mut [u8], until: Timestamp) -> Result<usize, LinkError> {
        let got = self.inner.read(into, until)?;
        if got > 0 {
            self.keep(Direction::Received, &into[..got]);
        }
        Ok(got)
    }

    fn discard_input(&mut self) -> Result<(), LinkError> {
        self.inner.discard_input()
    }

    fn reopen(&mut self) -> Result<(), LinkError> {
        self.inner.reopen()
    }

    fn latency_timer(&self) -> LatencyTimer {
        self.inner.latency_timer()
    }
}

#[cfg(test)]
mod tests {
    use super::super::loopback;
    use super::*;

    #[test]
    fn the_newest_calls_are_kept_in_order() {
        let (a, mut b, _) = loopback();
        let mut a = TracedLink::new(a);
        for i in 0..HISTORY as u8 + 3 {
            a.write_all(&[0xFF, i]).unwrap();
        }
        b.write_all(&[7, 8, 9]).unwrap();
        let mut buffer = [0; 4];
        a.read(&mut buffer, Timestamp::ZERO).unwrap();
        let report = a.report();
        let lines: Vec<&str> = report.lines().collect();
        assert_eq!(lines.len(), HISTORY);
        assert_eq!(lines[0], "0.000000 ->   2 ff 04");
        assert_eq!(lines[HISTORY - 1], "0.000000 <-   3 07 08 09");
    }
}
