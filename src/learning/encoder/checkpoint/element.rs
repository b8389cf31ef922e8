//! Stored bytes to numbers: every number format of PyTorch that holds real numbers.

use visuomotor_core::pickle::Element;

use super::Array;

/// The values of one format, from their little-endian bytes, each of `element.size()`; f64 is rounded to f32, everything else is
/// exact (of u64 beyond i64, the bits).
pub(super) fn decode<'a>(element: Element, at: impl Iterator<Item = &'a [u8]>) -> Array {
    let value: fn(u64) -> f32 = match element {
        Element::F32 => |bits| f32::from_bits(bits as u32),
        Element::F16 => |bits| half(bits as u16),
        Element::Bf16 => |bits| f32::from_bits((bits as u32) << 16),
        Element::F64 => |bits| f64::from_bits(bits) as f32,
        Element::F8E4M3 => |bits| if bits & 0x7f == 0x7f { f32::NAN } else { small(bits as u8, 3, 7) },
        Element::F8E5M2 => |bits| half((bits as u16) << 8),
        Element::F8E4M3Fnuz => |bits| if bits == 0x80 { f32::NAN } else { small(bits as u8, 3, 8) },
        Element::F8E5M2Fnuz => |bits| if bits == 0x80 { f32::NAN } else { small(bits as u8, 2, 16) },
        Element::F8E8M0 => |bits| if bits == 0xff { f32::NAN } else { 2f64.powi(bits as i32 - 127) as f32 },
        Element::Other(name, _) => return Array::Other(name),
        Element::I64 | Element::U64 => return integers(at, |bits| bits as i64),
        Element::I32 => return integers(at, |bits| i64::from(bits as i32)),
        Element::I16 => return integers(at, |bits| i64::from(bits as i16)),
        Element::I8 => return integers(at, |bits| i64::from(bits as i8)),
        Element::U8 | Element::U16 | Element::U32 | Element::Untyped => return integers(at, |bits| bits as i64),
        Element::Bool => return integers(at, |bits| i64::from(bits != 0)),
    };
    Array::F32(at.map(|bytes| value(bits(bytes))).collect())
}

fn integers<'a>(at: impl Iterator<Item = &'a [u8]>, value: fn(u64) -> i64) -> Array {
    Array::I64(at.map(|bytes| value(bits(bytes))).collect())
}

/// At most 8 bytes, little-endian.
fn bits(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

/// An 8-bit float with `fraction` bits of fraction and that exponent bias, exactly; its special values are the caller's.
fn small(bits: u8, fraction: i32, bias: i32) -> f32 {
    let sign = if bits & 0x80 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from((bits & 0x7f) >> fraction);
    let part = f32::from(bits & ((1 << fraction) - 1)) * 2f32.powi(-fraction);
    match exponent {
        0 => sign * part * 2f32.powi(1 - bias),
        _ => sign * (1.0 + part) * 2f32.powi(exponent - bias),
    }
}

/// IEEE half precision to single, exactly.
pub(super) fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}
