//! A faulty cable: wraps any link and, from a seed, corrupts, loses and cuts bytes both ways.
//!
//! Corruption and loss are per byte, a cut is per call and loses the rest of what was written or read. The same seed
//! gives the same faults for the same calls. Nothing allocates.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{ByteLink, LatencyTimer, LinkError};
use visuomotor_core::time::Timestamp;

/// Fault probabilities, 0..1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FaultRates {
    /// That a byte is changed.
    pub corrupt: f64,
    /// That a byte is lost.
    pub drop: f64,
    /// That a call's bytes are cut at a random place.
    pub cut: f64,
    /// That a read returns nothing in time although bytes are available; they come with the next call.
    pub delay: f64,
}

/// Longest write that is passed on in one piece \[bytes\]; longer ones go in several.
const PIECE: usize = 512;

/// A link with faults.
pub struct FaultyLink<L> {
    inner: L,
    rates: FaultRates,
    state: u64,
    faults: u64,
    on: Arc<AtomicBool>,
}

impl<L: ByteLink> FaultyLink<L> {
    /// Wraps a link; the seed decides which bytes are hit.
    pub fn new(inner: L, rates: FaultRates, seed: u64) -> Self {
        Self { inner, rates, state: seed, faults: 0, on: Arc::new(AtomicBool::new(true)) }
    }

    /// Faults so far.
    pub fn faults(&self) -> u64 {
        self.faults
    }

    /// Turns faults on and off from elsewhere; they start on.
    pub fn switch(&self) -> Arc<AtomicBool> {
        self.on.clone()
    }

    /// The next 64 random bits (SplitMix64, Steele et al. 2014: any seed will do and it needs no memory).
    fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Samples an event of this probability.
    fn strikes(&mut self, probability: f64) -> bool {
        let possible = probability > 0.0 && self.on.load(Ordering::Relaxed);
        let strikes = possible && ((self.bits() >> 11) as f64) / ((1u64 << 53) as f64) < probability;
        self.faults += u64::from(strikes);
        strikes
    }

    /// Applies corruption, loss and cuts in place; returns how many bytes are left.
    fn spoil(&mut self, bytes: &mut [u8]) -> usize {
        let mut end = bytes.len();
        if end > 0 && self.strikes(self.rates.cut) {
            end = (self.bits() % end as u64) as usize;
        }
        let mut kept = 0;
        for from in 0..end {
            let mut byte = bytes[from];
            if self.strikes(self.rates.drop) {
                continue;
            }
            if self.strikes(self.rates.corrupt) {
                // Never zero: a corrupted byte is another byte.
                byte ^= (self.bits() % 255 + 1) as u8;
            }
            bytes[kept] = byte;
            kept += 1;
        }
        kept
    }
}

impl<L: ByteLink> ByteLink for FaultyLink<L> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        for piece in bytes.chunks(PIECE) {
            let mut copy = [0; PIECE];
            copy[..piece.len()].copy_from_slice(piece);
            let kept = self.spoil(&mut copy[..piece.len()]);
            self.inner.write_all(&copy[..kept])?;
        }
        Ok(())
    }

    fn read(&mut self, into: &mut [u8], until: Timestamp) -> Result<usize, LinkError> {
        if self.strikes(self.rates.delay) {
            return Ok(0);
        }
        loop {
            let got = self.inner.read(into, until)?;
            let kept = self.spoil(&mut into[..got]);
            // Everything that came was lost: the caller keeps waiting as if nothing had come.
            if kept > 0 || got == 0 {
                return Ok(kept);
            }
        }
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

    fn sent(rates: FaultRates, seed: u64) -> Vec<u8> {
        let (a, mut b, _) = loopback();
        let mut a = FaultyLink::new(a, rates, seed);
        let mut got = Vec::new();
        for _ in 0..100 {
            a.write_all(&[0x55; 20]).unwrap();
            let mut buffer = [0; 64];
            let n = b.read(&mut buffer, Timestamp::ZERO).unwrap();
            got.extend_from_slice(&buffer[..n]);
        }
        got
    }

    #[test]
    fn without_faults_every_byte_passes() {
        assert_eq!(sent(FaultRates::default(), 1), [0x55; 2000]);
    }

    #[test]
    fn faults_come_at_their_rates_and_repeat_with_their_seed() {
        let corrupt = FaultRates { corrupt: 0.05, ..Default::default() };
        let bytes = sent(corrupt, 7);
        let hit = bytes.iter().filter(|b| **b != 0x55).count();
        assert_eq!(bytes.len(), 2000);
        // 100 expected, standard deviation 9.7: the seed is fixed, so this never changes.
        assert!((60..140).contains(&hit), "{hit}");
        assert_eq!(bytes, sent(corrupt, 7));
        assert_ne!(bytes, sent(corrupt, 8));
        let lost = sent(FaultRates { drop: 0.05, ..Default::default() }, 7);
        assert!((1860..1940).contains(&lost.len()), "{}", lost.len());
        let cut = sent(FaultRates { cut: 0.5, ..Default::default() }, 7);
        assert!((1200..1800).contains(&cut.len()), "{}", cut.len());
    }
}
