//! The wire format of protocol buffers: reads and writes the fields of a message.
//!
//! A field is a key (number << 3 | wire type) and a value. Source: protobuf.dev/programming-guides/encoding.

/// Malformed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// A value reaches beyond the end.
    #[error("it ends in the middle of a value: it is truncated, or not an ONNX file")]
    CutOff,
    /// An invalid key or number.
    #[error("it is not a protocol buffer, so not an ONNX file")]
    NotAMessage,
    /// Invalid text.
    #[error("a name in it is not UTF-8 text")]
    NotText,
    /// Graphs nested too deeply.
    #[error("its graphs are nested too deeply")]
    TooDeep,
    /// Too many names, which would take many times the file's size in memory.
    #[error("it has more inputs, axes, constants or operators than are supported")]
    TooMany,
    /// There is no graph.
    #[error("it contains no graph: it is not an ONNX model")]
    NoGraph,
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Numbers of any width.
    Number(u64),
    /// Text, bytes, another message, or packed numbers.
    Bytes(&'a [u8]),
    /// 32 or 64 bits, unused here.
    Fixed,
}

impl<'a> Value<'a> {
    /// The bytes; an error for a number.
    pub fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::NotAMessage),
        }
    }

    /// The text.
    pub fn text(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed::NotText)
    }

    /// The number, as signed.
    pub fn number(self) -> Result<i64, Malformed> {
        match self {
            // Negative numbers are encoded as their two's complement.
            Value::Number(number) => Ok(number as i64),
            _ => Err(Malformed::NotAMessage),
        }
    }
}

/// The fields of a message, in their order.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], Malformed> {
        let count = usize::try_from(count).map_err(|_| Malformed::CutOff)?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed::CutOff)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed::NotAMessage)
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), Malformed> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(Malformed::NotAMessage),
        };
        match key >> 3 {
            0 => Err(Malformed::NotAMessage),
            number => Ok((number, value)),
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            // The rest cannot be parsed.
            self.rest = &[];
        }
        Some(field)
    }
}

/// A message under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push((number as u8 & 0x7f) | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    pub fn number(&mut self, field: u64, number: i64) {
        self.varint(field << 3);
        self.varint(number as u64);
    }

    pub fn float(&mut self, field: u64, number: f32) {
        self.varint(field << 3 | 5);
        self.bytes.extend(number.to_le_bytes());
    }

    pub fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    pub fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    pub fn message(&mut self, field: u64, message: &Message) {
        self.bytes(field, &message.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut message = Message::default();
        message.number(1, 300);
        message.number(2, -1);
        message.float(3, 0.5);
        message.text(4, "name");
        let bytes = message.into_bytes();
        // The encoding guide's own example.
        assert_eq!(bytes[..3], [0x08, 0xac, 0x02]);
        let fields: Vec<_> = Fields::of(&bytes).map(Result::unwrap).collect();
        assert_eq!(fields[0], (1, Value::Number(300)));
        assert_eq!(fields[1].1.number(), Ok(-1));
        assert_eq!(fields[2], (3, Value::Fixed));
        assert_eq!(fields[3].1.text(), Ok("name"));
    }

    #[test]
    fn a_length_beyond_the_end_a_strange_key_and_an_endless_number_end_the_reading() {
        for (bytes, expected) in [
            (&[0x0a, 0x05, 1][..], Malformed::CutOff),
            (&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Malformed::CutOff),
            (&[0x0b, 0, 0], Malformed::NotAMessage),
            (&[0x02, 0], Malformed::NotAMessage),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Malformed::NotAMessage),
        ] {
            let mut fields = Fields::of(bytes);
            assert_eq!(fields.next().unwrap().unwrap_err(), expected, "{bytes:?}");
            assert!(fields.next().is_none());
        }
    }
}
