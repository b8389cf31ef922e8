//! One packet being written: header, id, length, stuffed body, CRC, in a buffer of fixed size.

use super::{HEADER, crc16};

/// The longest packet that is sent or accepted \[bytes\]. Our longest is a 9-servo status stream's single status (158);
/// a length field above this is noise.
pub const MAX_PACKET: usize = 512;

/// The packet would be longer than [`MAX_PACKET`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet would be longer than {MAX_PACKET} bytes")]
pub struct TooLong;

/// A packet under construction; reused, it never allocates.
#[derive(Clone, Debug)]
pub struct Packet {
    bytes: [u8; MAX_PACKET],
    length: usize,
    too_long: bool,
    /// Number of bytes of `FF FF FD` at the end of the body.
    matched: u8,
    stuffing: bool,
}

impl Default for Packet {
    fn default() -> Self {
        Self { bytes: [0; MAX_PACKET], length: 0, too_long: false, matched: 0, stuffing: true }
    }
}

impl Packet {
    /// Starts over: a packet for or from `id`.
    pub fn start(&mut self, id: u8, instruction: u8) {
        *self = Self { bytes: self.bytes, length: 7, too_long: false, matched: 0, stuffing: true };
        self.bytes[..4].copy_from_slice(&HEADER);
        self.bytes[4] = id;
        self.put(instruction);
    }

    /// The rest of this packet is not stuffed (replies to fast sync read).
    pub fn without_stuffing(&mut self) {
        self.stuffing = false;
    }

    fn raw(&mut self, byte: u8) {
        // Two bytes are kept free for the CRC.
        if self.length + 2 < MAX_PACKET {
            self.bytes[self.length] = byte;
            self.length += 1;
        } else {
            self.too_long = true;
        }
    }

    /// Adds a byte to the body; after `FF FF FD` another `FD`, so that no header appears inside a packet.
    pub fn put(&mut self, byte: u8) {
        self.raw(byte);
        self.matched = match (self.matched, byte) {
            (2, 0xFD) => 3,
            (2, 0xFF) => 2,
            (matched, 0xFF) if matched < 2 => matched + 1,
            _ => 0,
        };
        if self.matched == 3 {
            self.matched = 0;
            if self.stuffing {
                self.raw(0xFD);
            }
        }
    }

    /// Adds bytes.
    pub fn put_all(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.put(*byte);
        }
    }

    /// Adds 16 bits, low byte first.
    pub fn put_u16(&mut self, value: u16) {
        self.put_all(&value.to_le_bytes());
    }

    /// The CRC of everything so far, as if the packet had this many bytes after its length field.
    pub fn running_crc(&mut self, length: u16) -> u16 {
        self.bytes[5..7].copy_from_slice(&length.to_le_bytes());
        crc16(0, &self.bytes[..self.length])
    }

    /// Writes length and CRC; returns the whole packet.
    pub fn finish(&mut self) -> Result<&[u8], TooLong> {
        if self.too_long {
            return Err(TooLong);
        }
        let length = (self.length + 2 - 7) as u16;
        let crc = self.running_crc(length);
        let end = self.length + 2;
        self.bytes[self.length..end].copy_from_slice(&crc.to_le_bytes());
        Ok(&self.bytes[..end])
    }
}
