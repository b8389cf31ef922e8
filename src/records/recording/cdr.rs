//! CDR, the byte layout of ROS 2 messages on the wire and on disk: plain, little-endian, XCDR1.
//!
//! A message is a 4-byte header (`00 01 00 00`: plain CDR, little-endian, no options) and a body. In the body every number
//! starts at a multiple of its own size, counted from the body's first byte; a sequence is a `u32` count and its elements; a
//! string is a `u32` length that includes the closing NUL, the bytes, the NUL. An empty sequence of 8-byte numbers has no
//! padding after its count (as Fast DDS and Cyclone DDS write it).

/// The header of every message here: plain CDR, little-endian.
pub const HEADER: [u8; 4] = [0x00, 0x01, 0x00, 0x00];

/// Bytes that are not the expected message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CdrError {
    /// The bytes end before the message does.
    #[error("the message ends at byte {have}, {need} bytes were expected")]
    TooShort {
        /// Bytes available.
        have: usize,
        /// Bytes needed.
        need: usize,
    },
    /// The header is not plain little-endian CDR.
    #[error("the header is {found:02x?}, expected {HEADER:02x?} (plain little-endian CDR)")]
    Header {
        /// The four bytes found.
        found: [u8; 4],
    },
    /// A string is not UTF-8 or does not end in NUL.
    #[error("a string at byte {at} is not NUL-terminated UTF-8")]
    Text {
        /// Where it starts in the message.
        at: usize,
    },
}

/// Builds one message.
#[derive(Debug)]
pub struct CdrWriter {
    bytes: Vec<u8>,
}

impl CdrWriter {
    /// A message with only its header.
    pub fn new() -> Self {
        Self { bytes: HEADER.to_vec() }
    }

    /// With capacity for `body` bytes.
    pub fn with_capacity(body: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEADER.len() + body);
        bytes.extend_from_slice(&HEADER);
        Self { bytes }
    }

    fn align(&mut self, size: usize) {
        let body = self.bytes.len() - HEADER.len();
        self.bytes.resize(HEADER.len() + body.next_multiple_of(size), 0);
    }

    /// Appends a `uint32`.
    pub fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Appends an `int32`.
    pub fn i32(&mut self, value: i32) {
        self.u32(value as u32);
    }

    /// Appends a `float32`.
    pub fn f32(&mut self, value: f32) {
        self.u32(value.to_bits());
    }

    /// Appends a `float64`.
    pub fn f64(&mut self, value: f64) {
        self.align(8);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Appends a `string`.
    pub fn string(&mut self, value: &str) {
        self.u32(value.len() as u32 + 1);
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
    }

    /// Appends a `string[]`.
    pub fn strings<S: AsRef<str>>(&mut self, values: &[S]) {
        self.u32(values.len() as u32);
        for value in values {
            self.string(value.as_ref());
        }
    }

    /// Appends a `uint8[]`.
    pub fn octets(&mut self, values: &[u8]) {
        self.u32(values.len() as u32);
        self.bytes.extend_from_slice(values);
    }

    /// Appends a `float64[]`.
    pub fn f64s(&mut self, values: &[f64]) {
        self.u32(values.len() as u32);
        for value in values {
            self.f64(*value);
        }
    }

    /// Appends a `float32[]`.
    pub fn f32s(&mut self, values: &[f32]) {
        self.u32(values.len() as u32);
        for value in values {
            self.f32(*value);
        }
    }

    /// The message, header and body.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

impl Default for CdrWriter {
    fn default() -> Self {
        Self::new()
    }
}

/// Decodes one message; never panics, never allocates more than the message's size.
#[derive(Debug)]
pub struct CdrReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> CdrReader<'a> {
    /// A reader after the header of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Result<Self, CdrError> {
        let Some((found, _)) = bytes.split_first_chunk::<4>() else {
            return Err(CdrError::TooShort { have: bytes.len(), need: HEADER.len() });
        };
        if *found != HEADER {
            return Err(CdrError::Header { found: *found });
        }
        Ok(Self { bytes, at: HEADER.len() })
    }

    fn align(&mut self, size: usize) {
        self.at = HEADER.len() + (self.at - HEADER.len()).next_multiple_of(size);
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], CdrError> {
        let end = self.at.saturating_add(count);
        let taken = self.bytes.get(self.at..end).ok_or(CdrError::TooShort { have: self.bytes.len(), need: end })?;
        self.at = end;
        Ok(taken)
    }

    fn number<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], CdrError> {
        self.align(SIZE);
        let mut number = [0; SIZE];
        number.copy_from_slice(self.take(SIZE)?);
        Ok(number)
    }

    /// Reads a sequence's count, refusing one that exceeds the remaining bytes.
    fn count(&mut self, least_element: usize) -> Result<usize, CdrError> {
        let count = self.u32()? as usize;
        let need = self.at.saturating_add(count.saturating_mul(least_element));
        if need > self.bytes.len() {
            return Err(CdrError::TooShort { have: self.bytes.len(), need });
        }
        Ok(count)
    }

    /// Reads a `uint32`.
    pub fn u32(&mut self) -> Result<u32, CdrError> {
        Ok(u32::from_le_bytes(self.number()?))
    }

    /// Reads an `int32`.
    pub fn i32(&mut self) -> Result<i32, CdrError> {
        Ok(i32::from_le_bytes(self.number()?))
    }

    /// Reads a `float32`.
    pub fn f32(&mut self) -> Result<f32, CdrError> {
        Ok(f32::from_le_bytes(self.number()?))
    }

    /// Reads a `float64`.
    pub fn f64(&mut self) -> Result<f64, CdrError> {
        Ok(f64::from_le_bytes(self.number()?))
    }

    /// Reads a `string`.
    pub fn string(&mut self) -> Result<&'a str, CdrError> {
        let at = self.at;
        let count = self.u32()? as usize;
        let (last, text) = self.take(count)?.split_last().ok_or(CdrError::Text { at })?;
        if *last != 0 {
            return Err(CdrError::Text { at });
        }
        std::str::from_utf8(text).map_err(|_| CdrError::Text { at })
    }

    /// Reads a `string[]`.
    pub fn strings(&mut self) -> Result<Vec<String>, CdrError> {
        let count = self.count(5)?;
        (0..count).map(|_| self.string().map(str::to_string)).collect()
    }

    /// Reads a `uint8[]`.
    pub fn octets(&mut self) -> Result<&'a [u8], CdrError> {
        let count = self.u32()? as usize;
        self.take(count)
    }

    /// Reads a `float64[]`.
    pub fn f64s(&mut self) -> Result<Vec<f64>, CdrError> {
        let count = self.count(8)?;
        (0..count).map(|_| self.f64()).collect()
    }

    /// Reads a `float32[]`.
    pub fn f32s(&mut self) -> Result<Vec<f32>, CdrError> {
        let count = self.count(4)?;
        (0..count).map(|_| self.f32()).collect()
    }
}
