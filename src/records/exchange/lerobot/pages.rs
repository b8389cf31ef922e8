//! Checks the sizes that a parquet file's pages announce, before the library allocates memory for them.
//!
//! A page states its decompressed length and its number of values; the library trusts both. A page of a few bytes can
//! announce 2 GiB, and one image in a dictionary can occur in every row. Only page headers are read here: the first fields of
//! thrift's compact protocol (<https://github.com/apache/parquet-format>, `PageHeader`).

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use parquet::arrow::ProjectionMask;
use parquet::basic::{Compression, Type};
use parquet::column::page;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;

/// Largest decompressed page \[bytes\]. Writers end a page at 1 MiB, or after the value that exceeds it, e.g. an image.
pub(super) const LARGEST_PAGE: u64 = 64 << 20;
/// Most values of a page, and of a list in one row. Writers end a page at 20,000 rows, or at 1 MiB.
const MOST_VALUES: u64 = 1 << 22;
/// Most bytes of the texts in lists of a row group, each counted at every occurrence: one row may contain all of them.
const MOST_TEXT: u64 = 512 << 20;
/// Longest page header \[bytes\]: it may contain the smallest and the largest value.
const LONGEST_HEAD: usize = 1 << 20;
/// Read at a time \[bytes\].
const PART: usize = 1 << 16;

/// Why a file is refused.
#[derive(Debug, PartialEq)]
pub(super) enum Unfit {
    /// It contradicts itself.
    Damaged(String),
    /// It would take too much memory.
    TooLarge(String),
    /// It is of an unsupported kind.
    Unsupported(String),
}

/// The largest decompressed page \[bytes\] of the columns in `mask`.
pub(super) fn largest_page(file: &File, about: &ParquetMetaData, mask: &ProjectionMask) -> Result<u64, Unfit> {
    let mut largest = 0;
    let mut window = Window { file, start: 0, bytes: Vec::new() };
    for (row_group, group) in about.row_groups().iter().enumerate() {
        for (index, column) in group.columns().iter().enumerate().filter(|(index, _)| mask.leaf_included(*index)) {
            let codec = column.compression();
            if matches!(codec, Compression::LZO) {
                return Err(Unfit::Unsupported(format!("column {index} compressed by {codec}")));
            }
            let (mut at, length) = column.byte_range();
            let end = at.saturating_add(length);
            let mut all_values = 0u64;
            while at < end {
                let (page, head) = window.page(at)?;
                let unfolded = u64::try_from(page.unfolded).ok();
                let folded = u64::try_from(page.folded).ok();
                let (Some(unfolded), Some(folded)) = (unfolded, folded) else {
                    return Err(Unfit::Damaged(format!("a page of {} bytes", page.folded.min(page.unfolded))));
                };
                let values = u64::try_from(page.values).unwrap_or(u64::MAX);
                if unfolded > LARGEST_PAGE || values > MOST_VALUES {
                    let found = format!("a page that unfolds to {unfolded} bytes, {values} values");
                    return Err(Unfit::TooLarge(found));
                }
                let data = at.saturating_add(head as u64).saturating_add(page.levels.max(0) as u64);
                let stored = folded.saturating_sub(page.levels.max(0) as u64);
                if !unfolds_within(file, codec, data, stored).map_err(Unfit::Damaged)? {
                    return Err(Unfit::TooLarge(format!(
                        "a page that unfolds to more than the {unfolded} bytes it says"
                    )));
                }
                largest = largest.max(unfolded);
                all_values = all_values.saturating_add(values);
                at = at.saturating_add(head as u64).saturating_add(folded);
            }
            let of = column.column_descr();
            if of.max_rep_level() > 0 && of.physical_type() == Type::BYTE_ARRAY {
                let longest = longest_text(file, row_group, index).map_err(Unfit::Damaged)?;
                if all_values.saturating_mul(longest) > MOST_TEXT {
                    let found = format!("lists of {all_values} texts of up to {longest} bytes");
                    return Err(Unfit::TooLarge(found));
                }
            }
        }
    }
    Ok(largest)
}

/// Does a page unfold to at most [`LARGEST_PAGE`]? The library believes gzip, brotli and framed lz4 how much they unfold to; the other
/// codecs it gives no more room than the page announces.
fn unfolds_within(file: &File, codec: Compression, at: u64, length: u64) -> Result<bool, String> {
    let stored = Part { file, at, left: length };
    let mut unfolded: Box<dyn Read> = match codec {
        Compression::GZIP(_) => Box::new(flate2::read::MultiGzDecoder::new(stored)),
        Compression::BROTLI(_) => Box::new(brotli::Decompressor::new(stored, PART)),
        Compression::LZ4 => Box::new(lz4_flex::frame::FrameDecoder::new(stored)),
        _ => return Ok(true),
    };
    let mut part = vec![0; PART];
    let mut total = 0u64;
    loop {
        match unfolded.read(&mut part) {
            Ok(0) => return Ok(true),
            Ok(count) => total += count as u64,
            // What is not of this codec is refused by the library, in its words; LZ4 has two forms of frames.
            Err(_) => return Ok(true),
        }
        if total > LARGEST_PAGE {
            return Ok(false);
        }
    }
}

/// A part of a file.
struct Part<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        let count = self.file.read_at(&mut into[..most], self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// The longest text in a column's dictionary \[bytes\]; 0 without a dictionary, because then each text takes its own space.
fn longest_text(file: &File, row_group: usize, column: usize) -> Result<u64, String> {
    let twin = file.try_clone().map_err(|error| error.to_string())?;
    let message = |error: parquet::errors::ParquetError| error.to_string();
    let reader = SerializedFileReader::new(twin).map_err(message)?;
    let group = reader.get_row_group(row_group).map_err(message)?;
    let mut pages = group.get_column_page_reader(column).map_err(message)?;
    let Some(page::Page::DictionaryPage { buf, .. }) = pages.get_next_page().map_err(message)? else { return Ok(0) };
    // Each text follows its length.
    let (mut rest, mut longest) = (buf.as_ref(), 0);
    while let Some((length, more)) = rest.split_first_chunk() {
        let length = u32::from_le_bytes(*length);
        longest = longest.max(u64::from(length));
        rest = more.get(length as usize..).unwrap_or_default();
    }
    Ok(longest)
}

/// The header of a page.
#[derive(Debug, Default, PartialEq)]
struct Page {
    unfolded: i64,
    folded: i64,
    values: i64,
    /// Bytes before the compressed ones, in data pages of version 2.
    levels: i64,
}

/// The part of the file that was read last.
struct Window<'a> {
    file: &'a File,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// The page header at `at`, and its length \[bytes\].
    fn page(&mut self, at: u64) -> Result<(Page, usize), Unfit> {
        let mut wanted = PART;
        loop {
            let skip = at.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
            let there = skip.and_then(|skip| self.bytes.get(skip..)).unwrap_or_default();
            if let Some(found) = parse(there) {
                return Ok(found);
            }
            if wanted > LONGEST_HEAD {
                return Err(Unfit::Damaged(format!("no page begins at byte {at}")));
            }
            let before = if self.start == at { self.bytes.len() } else { 0 };
            self.bytes.resize(wanted, 0);
            let mut filled = 0;
            while filled < wanted {
                match self.file.read_at(&mut self.bytes[filled..], at.saturating_add(filled as u64)) {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(error) => return Err(Unfit::Damaged(error.to_string())),
                }
            }
            self.bytes.truncate(filled);
            self.start = at;
            if filled <= before {
                return Err(Unfit::Damaged(format!("no page begins at byte {at}")));
            }
            wanted *= 16;
        }
    }
}

/// Reads thrift's compact protocol; `None` where the bytes end too early or are not valid.
struct Compact<'a> {
    bytes: &'a [u8],
    at: usize,
}

fn parse(bytes: &[u8]) -> Option<(Page, usize)> {
    let mut from = Compact { bytes, at: 0 };
    let mut page = Page::default();
    let mut field = 0;
    while let Some(kind) = from.field(&mut field)? {
        match (field, kind) {
            (2, 5) => page.unfolded = from.signed()?,
            (3, 5) => page.folded = from.signed()?,
            // The headers of data, of a dictionary, of data in version 2: the number of values comes first.
            (5 | 7 | 8, 12) => {
                let mut inner = 0;
                while let Some(kind) = from.field(&mut inner)? {
                    match (inner, kind) {
                        (1, 5) => page.values = from.signed()?,
                        (5 | 6, 5) if field == 8 => page.levels = page.levels.saturating_add(from.signed()?),
                        _ => from.skip(kind, 0)?,
                    }
                }
            }
            _ => from.skip(kind, 0)?,
        }
    }
    Some((page, from.at))
}

impl Compact<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A signed number in zigzag.
    fn signed(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The kind of the next field; `Some(None)` at the end of the struct.
    fn field(&mut self, number: &mut i64) -> Option<Option<u8>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Some(None);
        }
        *number = match byte >> 4 {
            0 => self.signed()?,
            step => number.checked_add(i64::from(step))?,
        };
        Some(Some(byte & 0x0f))
    }

    fn skip(&mut self, kind: u8, depth: u8) -> Option<()> {
        if depth > 8 {
            return None;
        }
        match kind {
            // The kind itself is true or false.
            1 | 2 => {}
            3 => _ = self.byte()?,
            4..=6 => _ = self.varint()?,
            7 => self.pass(8)?,
            8 => {
                let length = self.varint()?;
                self.pass(length)?;
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                for _ in 0..count {
                    match head & 0x0f {
                        1 | 2 => _ = self.byte()?,
                        kind => self.skip(kind, depth + 1)?,
                    }
                }
            }
            12 => {
                let mut number = 0;
                while let Some(kind) = self.field(&mut number)? {
                    self.skip(kind, depth + 1)?;
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn pass(&mut self, count: u64) -> Option<()> {
        let end = self.at.checked_add(usize::try_from(count).ok()?)?;
        (end <= self.bytes.len()).then(|| self.at = end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of a dictionary page, encoded by the rules of the compact protocol: type 2, 100 bytes that decompress to
    /// 300, checksum 7, 5 values in encoding 0.
    const DICTIONARY: &[u8] = &[0x15, 4, 0x15, 0xd8, 4, 0x15, 0xc8, 1, 0x15, 14, 0x3c, 0x15, 10, 0x15, 0, 0, 0];

    #[test]
    fn a_page_header_is_parsed_and_a_cut_one_is_refused() {
        let page = Page { unfolded: 300, folded: 100, values: 5, levels: 0 };
        assert_eq!(parse(DICTIONARY), Some((page, DICTIONARY.len())));
        for cut in 0..DICTIONARY.len() {
            assert_eq!(parse(&DICTIONARY[..cut]), None);
        }
        // A list that announces 2^60 numbers, a struct in a struct in a struct.
        assert_eq!(parse(&[0x19, 0xf5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]), None);
        assert_eq!(parse(&[0x1c; 1000]), None);
    }
}
