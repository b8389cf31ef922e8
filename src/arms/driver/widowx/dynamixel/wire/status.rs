//! A servo's reply: [`Status`], written by the emulator and read by the driver.
//!
//! A reply is accepted only from the requested servo and with the requested length. So a packet with one wrong byte is never
//! accepted: header and length must be the expected ones, and the CRC finds every error of up to 16 bits in a row at equal length.

use super::packet::{Packet, TooLong};
use super::{BROADCAST, Frame, STATUS};

/// A status packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status<'a> {
    /// Servo that replies.
    pub id: u8,
    /// Bit 7: it has a hardware error. Low bits: what was wrong with the instruction, see [`StatusError`].
    pub error: u8,
    /// The requested data.
    pub parameters: &'a [u8],
}

/// Errors a servo reports for an instruction (low bits of the error byte).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StatusError {
    /// Execution failed.
    ResultFail = 1,
    /// Unknown instruction.
    Instruction = 2,
    /// Wrong CRC.
    Crc = 3,
    /// A value out of its range, or a goal while the bus watchdog has expired.
    DataRange = 4,
    /// Too few bytes for the register.
    DataLength = 5,
    /// A goal beyond the servo's limits.
    DataLimit = 6,
    /// Read only, or locked while torque is on.
    Access = 7,
}

/// Bit of the error byte for a hardware error.
pub(crate) const ALERT: u8 = 0x80;

impl<'a> Status<'a> {
    /// Writes the packet; returns its bytes.
    pub fn encode<'p>(&self, packet: &'p mut Packet) -> Result<&'p [u8], TooLong> {
        packet.start(self.id, STATUS);
        packet.put(self.error);
        packet.put_all(self.parameters);
        packet.finish()
    }

    /// Reads a packet; `None` when it is no status packet of a single servo.
    pub fn parse(frame: Frame<'a>) -> Option<Self> {
        // A body that ends in `FF FF FD` without its stuffing was cut short by a wrong length.
        let cut = frame.parameters.ends_with(&[0xFF, 0xFF, 0xFD]) && !frame.raw.ends_with(&[0xFF, 0xFF, 0xFD, 0xFD]);
        if frame.instruction != STATUS || frame.id == BROADCAST || cut {
            return None;
        }
        let (error, parameters) = frame.parameters.split_first()?;
        Some(Self { id: frame.id, error: *error, parameters })
    }

    /// Does the servo have a hardware error?
    pub fn alert(&self) -> bool {
        self.error & ALERT != 0
    }
}

/// One servo's part of the reply to a fast sync read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastBlock<'a> {
    /// Servo.
    pub id: u8,
    /// As in [`Status::error`].
    pub error: u8,
    /// The requested data.
    pub data: &'a [u8],
}

/// The blocks of a reply to a fast sync read.
#[derive(Clone, Debug)]
pub struct FastBlocks<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> FastBlocks<'a> {
    /// For this packet, `count` servos with `length` bytes each; `None` when it is no such reply.
    pub fn parse(frame: Frame<'a>, count: usize, length: usize) -> Option<Self> {
        // error, id, data and a running CRC each; the last one is the packet's own CRC.
        let whole = frame.raw.len() + 2 == count * (length + 4);
        (frame.instruction == STATUS && frame.id == BROADCAST && whole).then_some(Self { rest: frame.raw, length })
    }
}

impl<'a> Iterator for FastBlocks<'a> {
    type Item = FastBlock<'a>;

    fn next(&mut self) -> Option<FastBlock<'a>> {
        let block = self.rest.get(..self.length + 2)?;
        self.rest = self.rest.get(self.length + 4..).unwrap_or_default();
        Some(FastBlock { error: block[0], id: block[1], data: &block[2..] })
    }
}

/// Writes the reply to a fast sync read: one packet, each block followed by the CRC up to there.
pub(crate) fn encode_fast<'p, 'd>(
    packet: &'p mut Packet,
    count: usize,
    length: usize,
    blocks: impl Iterator<Item = FastBlock<'d>>,
) -> Result<&'p [u8], TooLong> {
    packet.start(BROADCAST, STATUS);
    packet.without_stuffing();
    let whole = 1 + count * (length + 4);
    for (index, block) in blocks.take(count).enumerate() {
        packet.put(block.error);
        packet.put(block.id);
        packet.put_all(block.data);
        if index + 1 < count {
            let crc = packet.running_crc(whole as u16);
            packet.put_u16(crc);
        }
    }
    packet.finish()
}

#[cfg(test)]
mod tests {
    use super::super::Framer;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_manuals_answer_to_a_ping_is_read() {
        // Id 1 is an XM430-W350 (0x0406 in the manual's example: model 1030), firmware 38.
        let bytes = [0xFF, 0xFF, 0xFD, 0x00, 0x01, 0x07, 0x00, 0x55, 0x00, 0x06, 0x04, 0x26, 0x65, 0x5D];
        let mut seen = 0;
        Framer::default().feed(&bytes, |frame| {
            seen += 1;
            let status = Status::parse(frame).unwrap();
            assert_eq!((status.id, status.error, status.parameters), (1, 0, &[0x06, 0x04, 0x26][..]));
        });
        assert_eq!(seen, 1);
        let status = Status { id: 1, error: 0, parameters: &[0x06, 0x04, 0x26] };
        assert_eq!(status.encode(&mut Packet::default()).unwrap(), bytes);
    }

    #[test]
    fn a_fast_answer_round_trips_unstuffed() {
        let data = [[0xFF, 0xFF, 0xFD, 0x00], [1, 2, 3, 4], [0xFF, 0xFF, 0xFD, 0xFD]];
        let blocks: Vec<FastBlock<'_>> =
            data.iter().enumerate().map(|(i, data)| FastBlock { id: i as u8 + 1, error: 0x80, data }).collect();
        let mut packet = Packet::default();
        let bytes = encode_fast(&mut packet, 3, 4, blocks.iter().copied()).unwrap().to_vec();
        assert_eq!(usize::from(bytes[5]), 1 + 3 * 8);
        let mut seen = Vec::new();
        Framer::default().feed(&bytes, |frame| {
            assert!(FastBlocks::parse(frame, 2, 4).is_none() && FastBlocks::parse(frame, 3, 3).is_none());
            assert!(Status::parse(frame).is_none());
            for (block, wanted) in FastBlocks::parse(frame, 3, 4).unwrap().zip(&blocks) {
                assert_eq!(block, *wanted);
                seen.push(block.id);
            }
        });
        assert_eq!(seen, [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn every_status_round_trips(
            id in 0u8..253,
            error: u8,
            parameters in proptest::collection::vec(prop_oneof![Just(0xFFu8), Just(0xFD), any::<u8>()], 0..150),
        ) {
            let status = Status { id, error, parameters: &parameters };
            let bytes = status.encode(&mut Packet::default()).unwrap().to_vec();
            let mut count = 0;
            Framer::default().feed(&bytes, |frame| {
                count += 1;
                assert_eq!(Status::parse(frame), Some(status));
            });
            prop_assert_eq!(count, 1);
        }

        /// Only data from the requested servo with the requested length is accepted.
        #[test]
        fn one_wrong_byte_is_never_taken_for_another_answer(
            id in 0u8..253,
            parameters in proptest::collection::vec(prop_oneof![Just(0xFFu8), Just(0xFD), any::<u8>()], 0..20),
            at: prop::sample::Index,
            change in 1u8..=255,
        ) {
            let sent = Status { id, error: 0, parameters: &parameters };
            let mut bytes = sent.encode(&mut Packet::default()).unwrap().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            let mut taken = 0;
            let mut take = |frame: Frame<'_>| {
                if let Some(status) = Status::parse(frame) {
                    taken += usize::from(status.id == id && status.parameters.len() == parameters.len());
                }
            };
            let mut framer = Framer::default();
            framer.feed(&bytes, &mut take);
            framer.flush(&mut take);
            prop_assert_eq!(taken, 0);
        }
    }
}
