//! Finds whole packets in a byte stream that may be cut, corrupted or mixed with noise.
//!
//! A packet is a header, a plausible length, and a matching CRC. On any failure one byte is skipped and the search restarts after
//! it, so that a good packet after a broken one is found. A length made up by noise can keep the framer waiting;
//! [`Framer::flush`] at a time-out searches behind it.

use super::packet::MAX_PACKET;
use super::{HEADER, crc16};
use visuomotor_core::protection::Protection;

/// Room for an incomplete packet and the bytes after it \[bytes\].
const CAPACITY: usize = 2 * MAX_PACKET;

/// A whole packet with the right CRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Servo it is for or from.
    pub id: u8,
    /// Instruction byte.
    pub instruction: u8,
    /// Bytes after the instruction byte, without stuffing.
    pub parameters: &'a [u8],
    /// The same as received; replies to fast sync read are not stuffed.
    pub raw: &'a [u8],
}

/// Bytes in, packets out.
#[derive(Clone, Debug)]
pub struct Framer {
    buffer: [u8; CAPACITY],
    length: usize,
    plain: [u8; MAX_PACKET],
    /// Bytes that belonged to no packet.
    noise: u64,
    /// Packets that were whole but wrong: CRC, length or id.
    broken: u64,
}

impl Default for Framer {
    fn default() -> Self {
        Self { buffer: [0; CAPACITY], length: 0, plain: [0; MAX_PACKET], noise: 0, broken: 0 }
    }
}

impl Framer {
    /// Bytes so far that belonged to no packet.
    pub fn noise(&self) -> u64 {
        self.noise
    }

    /// Packets so far that were broken.
    pub fn broken(&self) -> u64 {
        self.broken
    }

    /// Bytes waiting for the rest of their packet.
    pub fn waiting(&self) -> usize {
        self.length
    }

    /// Drops the waiting bytes.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Takes bytes; calls `packet` with every packet they complete.
    pub fn feed(&mut self, mut bytes: &[u8], mut packet: impl FnMut(Frame<'_>)) {
        while !bytes.is_empty() {
            // A packet is at most half of the buffer and is taken out as soon as it is whole: there is always room.
            let count = bytes.len().min(CAPACITY - self.length);
            let (now, later) = bytes.split_at(count);
            self.buffer[self.length..self.length + count].copy_from_slice(now);
            self.length += count;
            bytes = later;
            self.drain(&mut packet);
        }
    }

    /// No more bytes will come: skips an incomplete packet and takes whole ones behind it.
    pub fn flush(&mut self, mut packet: impl FnMut(Frame<'_>)) {
        while self.length >= HEADER.len() {
            self.broken += 1;
            self.skip(1);
            self.drain(&mut packet);
        }
        self.clear();
    }

    fn skip(&mut self, count: usize) {
        self.buffer.copy_within(count..self.length, 0);
        self.length -= count;
        self.noise += count as u64;
    }

    /// Bytes before the first position of a header or of the beginning of one.
    fn before_header(&self) -> usize {
        let held = &self.buffer[..self.length];
        (0..held.len())
            .find(|start| {
                let seen = &held[*start..held.len().min(start + HEADER.len())];
                HEADER.starts_with(seen)
            })
            .unwrap_or(held.len())
    }

    fn drain(&mut self, packet: &mut impl FnMut(Frame<'_>)) {
        loop {
            let before = self.before_header();
            if before > 0 {
                self.skip(before);
            }
            if self.length < 7 {
                return;
            }
            let id = self.buffer[4];
            let length = usize::from(u16::from_le_bytes([self.buffer[5], self.buffer[6]]));
            let end = 7 + length;
            if length < 3 || end > MAX_PACKET || id == 253 || id == 255 {
                self.broken += 1;
                self.skip(1);
                continue;
            }
            if self.length < end {
                return;
            }
            let crc = u16::from_le_bytes([self.buffer[end - 2], self.buffer[end - 1]]);
            if crc16(0, &self.buffer[..end - 2]) != crc && Protection::PacketCheck.is_on() {
                self.broken += 1;
                self.skip(1);
                continue;
            }
            let raw = &self.buffer[8..end - 2];
            let count = unstuff(raw, &mut self.plain);
            packet(Frame { id, instruction: self.buffer[7], parameters: &self.plain[..count], raw });
            self.buffer.copy_within(end..self.length, 0);
            self.length -= end;
        }
    }
}

/// Removes the `FD` that follows each `FF FF FD`; returns the number of bytes left. `plain` is at least as long.
fn unstuff(raw: &[u8], plain: &mut [u8; MAX_PACKET]) -> usize {
    let (mut count, mut skip) = (0, false);
    for byte in raw {
        if skip && *byte == 0xFD {
            skip = false;
            continue;
        }
        plain[count] = *byte;
        count += 1;
        skip = plain[..count].ends_with(&[0xFF, 0xFF, 0xFD]);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::super::{Instruction, Packet};
    use super::*;
    use proptest::prelude::*;

    fn ids(framer: &mut Framer, bytes: &[u8]) -> Vec<u8> {
        let mut ids = Vec::new();
        framer.feed(bytes, |frame| ids.push(frame.id));
        ids
    }

    fn ping(id: u8) -> Vec<u8> {
        Instruction::Ping { id }.encode(&mut Packet::default()).unwrap().to_vec()
    }

    #[test]
    fn packets_are_found_between_noise_and_in_pieces() {
        let mut framer = Framer::default();
        let stream = [&[1, 2, 0xFF, 0xFF][..], &ping(3), &[0xFF, 0xFF, 0xFD], &ping(4), &[9]].concat();
        let mut found = Vec::new();
        for byte in &stream {
            found.extend(ids(&mut framer, &[*byte]));
        }
        assert_eq!(found, [3, 4]);
        assert_eq!((framer.noise(), framer.waiting()), (8, 0));
    }

    #[test]
    fn a_broken_packet_does_not_hide_the_next() {
        let mut broken = ping(1);
        broken[8] ^= 1;
        let mut framer = Framer::default();
        assert_eq!(ids(&mut framer, &[broken, ping(2)].concat()), [2]);
        assert_eq!(framer.broken(), 1);
    }

    #[test]
    fn an_oversized_or_tiny_length_is_skipped_and_a_made_up_one_given_up() {
        for length in [[0xFF, 0xFF], [0, 0], [2, 0]] {
            let noise = [&HEADER[..], &[1], &length].concat();
            assert_eq!(ids(&mut Framer::default(), &[noise, ping(5)].concat()), [5], "{length:?}");
        }
        // A plausible length whose packet never comes.
        let mut framer = Framer::default();
        let noise = [&HEADER[..], &[1, 100, 0]].concat();
        assert_eq!(ids(&mut framer, &[noise, ping(6)].concat()), [0u8; 0]);
        let mut found = Vec::new();
        framer.flush(|frame| found.push(frame.id));
        assert_eq!((found, framer.waiting()), (vec![6], 0));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_never_panic(
            stream in proptest::collection::vec(prop_oneof![Just(0xFFu8), Just(0xFD), Just(0), any::<u8>()], 0..3000),
            piece in 1usize..700,
        ) {
            let mut framer = Framer::default();
            for part in stream.chunks(piece) {
                framer.feed(part, |frame| assert!(frame.parameters.len() <= frame.raw.len()));
                prop_assert!(framer.waiting() <= MAX_PACKET);
            }
            framer.flush(|_| ());
            prop_assert_eq!(framer.waiting(), 0);
        }
    }
}
