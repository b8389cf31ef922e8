//! CDR, the byte layout of ROS 2 messages on the wire and on disk: plain, little-endian, XCDR1, by the crate `cdr-encoding`, which
//! also encodes what the ROS 2 arms send.
//!
//! The crate encodes the body. Added here: the 4-byte header before it, strings that are checked more strictly, and errors that give
//! a position.

use byteorder::LittleEndian;
use cdr_encoding::CdrDeserializer;
use serde::{Deserialize, Deserializer, Serialize, de};

/// The header of every message here: plain CDR, little-endian, no options.
pub const HEADER: [u8; 4] = [0x00, 0x01, 0x00, 0x00];

/// Bytes that are not the expected message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CdrError {
    /// The bytes end before the message does.
    #[error("the message ends at byte {have}, more bytes were expected")]
    TooShort {
        /// Bytes available.
        have: usize,
    },
    /// The header is not plain little-endian CDR.
    #[error("the header is {found:02x?}, expected {HEADER:02x?} (plain little-endian CDR)")]
    Header {
        /// The first bytes found, four at most.
        found: Vec<u8>,
    },
    /// A value is not of its type: a string that is not NUL-terminated UTF-8.
    #[error("{cause}, before byte {at}")]
    Value {
        /// Where the next value would start in the message.
        at: usize,
        /// What is wrong.
        cause: String,
    },
    /// Another number of values than the topic has.
    #[error("the message has {found} numbers, expected {expected}")]
    Count {
        /// Number found.
        found: usize,
        /// Number of the topic.
        expected: usize,
    },
}

/// The message: header and body, with capacity for `body` bytes.
pub(super) fn encode(message: &impl Serialize, body: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER.len() + body);
    bytes.extend_from_slice(&HEADER);
    // Neither a vector nor these messages, whose sequences have a length, can fail.
    let written = cdr_encoding::to_writer::<_, LittleEndian, _>(&mut bytes, message);
    debug_assert!(written.is_ok(), "{written:?}");
    bytes
}

/// The message that these bytes begin with; never panics, never allocates more than a few times the message's size.
pub(super) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CdrError> {
    let body = bytes.strip_prefix(&HEADER);
    let body = body.ok_or_else(|| CdrError::Header { found: bytes[..bytes.len().min(HEADER.len())].to_vec() })?;
    let mut from = CdrDeserializer::<LittleEndian>::new(body);
    T::deserialize(&mut from).map_err(|error| match error {
        cdr_encoding::Error::Eof => CdrError::TooShort { have: bytes.len() },
        other => CdrError::Value { at: HEADER.len() + from.bytes_consumed(), cause: other.to_string() },
    })
}

/// A `string`. The crate accepts one without its closing NUL; this does not.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(pub &'a str);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // The bytes of a string are laid out as a `uint8[]`.
        let bytes = <&[u8]>::deserialize(from)?;
        let text = bytes.strip_suffix(&[0]).and_then(|text| std::str::from_utf8(text).ok());
        text.map(Text).ok_or_else(|| de::Error::custom("a string is not NUL-terminated UTF-8"))
    }
}
