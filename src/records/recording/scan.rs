//! Reads the records of an MCAP file up to the first byte that cannot be trusted.

use std::borrow::Cow;
use std::io::{self, Read};

use mcap::records::{ChunkHeader, Record, op};
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};

use visuomotor_core::untrusted::Budget;

/// Largest record of an episode \[bytes\]; a damaged length field must not allocate the machine's memory.
const RECORD_LIMIT: usize = 1 << 28;

/// Largest decompressed chunk \[bytes\]: a step of ours has two images, 0.2 MB; `mcap compress` makes chunks of 4 MiB.
const CHUNK_LIMIT: usize = 64 << 20;

/// Largest decompressed size of all chunks of a file: this many bytes, plus this many times the file's length. Joint states
/// shrink to a tenth, JPEG hardly, and zstd stores a run of zeros in a thirty-thousandth.
const UNFOLDING: (u64, u64) = (64 << 20, 32);

/// Most bytes read at a time: a record's length is untrusted.
const PART: usize = 1 << 20;

/// Opcode and length before every record \[bytes\].
const HEAD: usize = 9;

/// How a scan ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// At the closing magic of a complete file.
    Whole,
    /// Earlier, because the file ends or continues with zeros, as after a power cut; the reason.
    CutOff(String),
    /// Earlier, at bytes that are not what was written; the reason.
    Damaged(String),
    /// At something that would take too much memory.
    TooLarge(String),
    /// At something unsupported.
    Unsupported(String),
    /// With an error of the operating system.
    Unreadable(io::Error),
}

/// Calls `visit` for each record of the data section in order; a chunk's records come only after its checksum was verified.
/// `length` is the file's \[bytes\].
pub(super) fn scan<E>(
    mut file: impl Read,
    length: u64,
    mut visit: impl FnMut(Record<'_>) -> Result<(), E>,
) -> Result<Ending, E> {
    // Chunks are opened here: mcap 0.26 subtracts a record's length from its chunk's without checking which is larger.
    let options = LinearReaderOptions::default().with_emit_chunks(true).with_record_length_limit(RECORD_LIMIT);
    let mut reader = LinearReader::new_with_options(options);
    let mut budget =
        Budget::new("what the chunks unfold to", UNFOLDING.0.saturating_add(UNFOLDING.1.saturating_mul(length)));
    let mut in_data = true;
    let mut read = 0u64;
    let mut at_end = false;
    while let Some(event) = reader.next_event() {
        match event {
            Err(mcap::McapError::UnexpectedEof) => {
                return Ok(Ending::CutOff(format!("the file ends at byte {read} inside a record")));
            }
            Err(error) if at_end => return Ok(Ending::CutOff(format!("the file ends at byte {read} ({error})"))),
            Err(error) => return Ok(Ending::Damaged(format!("a record is damaged ({error})"))),
            Ok(LinearReadEvent::ReadRequest(wanted)) => {
                let part = reader.insert(wanted.min(PART));
                let taken = loop {
                    match file.read(part) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        other => break other,
                    }
                };
                match taken {
                    Ok(taken) => {
                        read += taken as u64;
                        at_end = taken == 0;
                        reader.notify_read(taken);
                    }
                    Err(error) => return Ok(Ending::Unreadable(error)),
                }
            }
            Ok(LinearReadEvent::Record { opcode, data }) => {
                // The summary after the data section repeats schemas and channels.
                in_data &= opcode != op::DATA_END;
                if !in_data {
                    continue;
                }
                let damaged = |why: String| Ok(Ending::Damaged(format!("a record is damaged ({why})")));
                if opcode == 0 {
                    // No record has opcode 0. Power cuts and holes in a file leave zeros, possibly without end.
                    return Ok(Ending::CutOff("a record is damaged (zeros instead of a record)".into()));
                }
                match mcap::parse_record(opcode, data) {
                    Ok(Record::Chunk { header, data }) => {
                        let inside = match open(&header, &data, &mut budget) {
                            Ok(inside) => inside,
                            Err(ending) => return Ok(ending),
                        };
                        for record in Records(&inside) {
                            match record {
                                Ok(record) => visit(record)?,
                                Err(why) => return damaged(why),
                            }
                        }
                    }
                    Ok(record) => visit(record)?,
                    Err(error) => return damaged(error.to_string()),
                }
            }
        }
    }
    Ok(Ending::Whole)
}

/// The content of a chunk, after its checksum was verified.
fn open<'a>(header: &ChunkHeader, data: &'a [u8], budget: &mut Budget) -> Result<Cow<'a, [u8]>, Ending> {
    let damaged = |why: String| Ending::Damaged(format!("a record is damaged ({why})"));
    let size = usize::try_from(header.uncompressed_size).unwrap_or(usize::MAX);
    if size > CHUNK_LIMIT {
        return Err(Ending::TooLarge(format!("a chunk of {size} bytes, at most {CHUNK_LIMIT} are unfolded")));
    }
    let inside = match header.compression.as_str() {
        "" => Cow::Borrowed(data),
        // The stated length is untrusted: memory grows with the decompressed bytes.
        "zstd" => {
            budget.take(size as u64).map_err(|error| Ending::TooLarge(error.to_string()))?;
            let mut out = Vec::new();
            let decoder = zstd::Decoder::new(data).map_err(|error| damaged(error.to_string()))?;
            let mut decoder = decoder.take(size as u64 + 1);
            io::copy(&mut decoder, &mut out).map_err(|error| damaged(error.to_string()))?;
            Cow::Owned(out)
        }
        "lz4" => {
            budget.take(size as u64).map_err(|error| Ending::TooLarge(error.to_string()))?;
            let mut out = Vec::new();
            let mut decoder = lz4_flex::frame::FrameDecoder::new(data).take(size as u64 + 1);
            io::copy(&mut decoder, &mut out).map_err(|error| damaged(error.to_string()))?;
            Cow::Owned(out)
        }
        other => {
            let other: String = other.chars().take(20).flat_map(char::escape_debug).collect();
            return Err(Ending::Unsupported(format!("a chunk compressed by `{other}`")));
        }
    };
    if inside.len() != size {
        return Err(damaged(format!("a chunk of {} bytes that says {size}", inside.len())));
    }
    // Zero means "no checksum" (MCAP, Chunk).
    let (found, stated) = (crc32fast::hash(&inside), header.uncompressed_crc);
    if stated != 0 && found != stated {
        return Err(damaged(format!("a chunk's checksum is {found:08x}, expected {stated:08x}")));
    }
    Ok(inside)
}

/// The records of a decompressed chunk.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.0);
        let Some((head, rest)) = rest.split_first_chunk::<HEAD>() else {
            return Some(Err("a chunk ends inside a record".into()));
        };
        let [opcode, length @ ..] = *head;
        let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > rest.len() {
            return Some(Err(format!("a record of {length} bytes in a chunk that has {} left", rest.len())));
        }
        let (data, rest) = rest.split_at(length);
        self.0 = rest;
        Some(mcap::parse_record(opcode, data).map_err(|error| error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by the fuzzer: a record longer than the chunk around it made the reader's count run below zero.
    #[test]
    fn a_record_longer_than_its_chunk_is_damage_and_no_panic() {
        let mut file = mcap::MAGIC.to_vec();
        let inside = [&[op::MESSAGE][..], &1000u64.to_le_bytes(), &[0; 7]].concat();
        let mut chunk = [0; 16].to_vec();
        chunk.extend((inside.len() as u64).to_le_bytes());
        chunk.extend([0; 8]);
        chunk.extend((inside.len() as u64).to_le_bytes());
        chunk.extend(&inside);
        file.push(op::CHUNK);
        file.extend((chunk.len() as u64).to_le_bytes());
        file.extend(chunk);
        let ending = scan::<()>(&file[..], file.len() as u64, |_| panic!("there is no record")).unwrap();
        let Ending::Damaged(why) = ending else { panic!("whole") };
        assert!(why.contains("a record of 1000 bytes in a chunk that has 7 left"), "{why}");
    }

    #[test]
    fn a_chunk_larger_than_it_states_is_refused_before_memory_is_spent() {
        let bomb = zstd::encode_all(&vec![0; 1 << 20][..], 19).unwrap();
        let mut budget = Budget::new("all", 1 << 20);
        let mut ending_of = |uncompressed_size, compression: &str| {
            let header = ChunkHeader {
                message_start_time: 0,
                message_end_time: 0,
                uncompressed_size,
                uncompressed_crc: 0,
                compression: compression.into(),
                compressed_size: bomb.len() as u64,
            };
            open(&header, &bomb, &mut budget).map(|inside| inside.len())
        };
        let Err(Ending::Damaged(why)) = ending_of(100, "zstd") else { panic!("taken") };
        assert!(why.contains("a chunk of 101 bytes that says 100"), "{why}");
        // A file that is too large or unsupported is not damaged.
        let Err(Ending::TooLarge(why)) = ending_of(1 << 40, "zstd") else { panic!("taken") };
        assert!(why.contains("a chunk of 1099511627776 bytes"), "{why}");
        let Err(Ending::TooLarge(why)) = ending_of(1 << 20, "zstd") else { panic!("taken") };
        assert!(why.contains("more than 1 MiB for all"), "{why}");
        let Err(Ending::Unsupported(why)) = ending_of(100, "xz\n") else { panic!("taken") };
        assert_eq!(why, "a chunk compressed by `xz\\n`");
    }

    /// A file with a hole of a terabyte.
    #[test]
    fn zeros_after_the_last_record_end_the_scan() {
        let file = io::Read::chain(mcap::MAGIC, io::repeat(0));
        let Ending::CutOff(why) = scan::<()>(file, 1 << 40, |_| Ok(())).unwrap() else { panic!("whole") };
        assert!(why.contains("zeros instead of a record"), "{why}");
    }
}
