//! When a servo bus counts as silent: the same servo did not reply in two reads without noise, or three reads in a row were
//! incomplete.
//!
//! A dead cable or servo sends nothing: at 50 Hz that is detected 46 ms after the last state, the time of the second read included.
//! On a noisy bus it takes 66 ms.

/// Incomplete reads in a row after which the arm counts as silent, whatever the cause.
const MISSES: u32 = 3;

/// Incomplete reads since the last whole one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Misses {
    in_a_row: u32,
    /// Servos without a reply in the last read, a bit each; none where it was disturbed.
    silent_servos: u8,
    pub silent: bool,
}

impl Misses {
    /// Records an incomplete read and the servos that did not reply; returns whether the bus became silent with it.
    pub fn count(&mut self, silent_servos: u8) -> bool {
        let twice = self.silent_servos & silent_servos != 0;
        (self.in_a_row, self.silent_servos) = (self.in_a_row.saturating_add(1), silent_servos);
        let silent = twice || self.in_a_row >= MISSES;
        silent && !std::mem::replace(&mut self.silent, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servo_that_is_not_heard_in_two_reads_is_silent() {
        let mut misses = Misses::default();
        assert!(!misses.count(0b0000_0100));
        assert!(misses.count(0b0111_1111) && misses.silent);
        assert!(!misses.count(0b0111_1111), "that is no news");
    }

    #[test]
    fn noise_is_given_a_third_read() {
        let mut misses = Misses::default();
        assert!(!misses.count(0b0100) && !misses.count(0));
        assert!(misses.count(0b0100));
    }
}
