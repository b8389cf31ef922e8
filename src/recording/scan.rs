//! Walks the records of an MCAP file up to the first byte that cannot be trusted.

use std::borrow::Cow;
use std::io::Read;

use mcap::records::{ChunkHeader, Record, op};
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};

/// No record of an episode is larger \[bytes\]; a damaged length field must not allocate the machine's memory.
const RECORD_LIMIT: usize = 1 << 28;

/// Opcode and length before every record \[bytes\].
const HEAD: usize = 9;

/// How a walk ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// At the closing magic of a whole file.
    Whole,
    /// Before: why, in words.
    CutOff(String),
}

/// Calls `visit` for each record of the data section in order; a chunk's records come only after its checksum agreed.
pub(super) fn scan<E>(bytes: &[u8], mut visit: impl FnMut(Record<'_>) -> Result<(), E>) -> Result<Ending, E> {
    // Chunks are opened here: mcap 0.26 subtracts a record's length from its chunk's without asking which is larger.
    let options = LinearReaderOptions::default().with_emit_chunks(true).with_record_length_limit(RECORD_LIMIT);
    let mut reader = LinearReader::new_with_options(options);
    let mut rest = bytes;
    let mut in_data = true;
    while let Some(event) = reader.next_event() {
        match event {
            Err(mcap::McapError::UnexpectedEof) => {
                return Ok(Ending::CutOff(format!("the file ends at byte {} inside a record", bytes.len())));
            }
            Err(error) => return Ok(Ending::CutOff(format!("a record is damaged ({error})"))),
            Ok(LinearReadEvent::ReadRequest(wanted)) => {
                let take = wanted.min(rest.len());
                reader.insert(take)[..take].copy_from_slice(&rest[..take]);
                reader.notify_read(take);
                rest = &rest[take..];
            }
            Ok(LinearReadEvent::Record { opcode, data }) => {
                // Behind the data section lies the summary, which repeats schemas and channels.
                in_data &= opcode != op::DATA_END;
                if !in_data {
                    continue;
                }
                let damaged = |why: String| Ok(Ending::CutOff(format!("a record is damaged ({why})")));
                match mcap::parse_record(opcode, data) {
                    Ok(Record::Chunk { header, data }) => {
                        let inside = match open(&header, &data) {
                            Ok(inside) => inside,
                            Err(why) => return damaged(why),
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

/// What a chunk holds, once its checksum agreed.
fn open<'a>(header: &ChunkHeader, data: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
    let size = usize::try_from(header.uncompressed_size).unwrap_or(usize::MAX);
    if size > RECORD_LIMIT {
        return Err(format!("a chunk of {size} bytes"));
    }
    let inside = match header.compression.as_str() {
        "" => Cow::Borrowed(data),
        // The length is the file's word: memory grows with what really comes out.
        "zstd" => {
            let mut out = Vec::new();
            let decoder = zstd::Decoder::new(data).map_err(|error| error.to_string())?;
            std::io::copy(&mut decoder.take(size as u64 + 1), &mut out).map_err(|error| error.to_string())?;
            Cow::Owned(out)
        }
        other => return Err(format!("a chunk compressed by {other:?}")),
    };
    if inside.len() != size {
        return Err(format!("a chunk of {} bytes that says {size}", inside.len()));
    }
    // Zero stands for "no checksum" (MCAP, Chunk).
    let (found, said) = (crc32fast::hash(&inside), header.uncompressed_crc);
    if said != 0 && found != said {
        return Err(format!("a chunk's checksum is {found:08x}, expected {said:08x}"));
    }
    Ok(inside)
}

/// The records of an opened chunk.
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
        let ending = scan::<()>(&file, |_| panic!("there is no record")).unwrap();
        let Ending::CutOff(why) = ending else { panic!("whole") };
        assert!(why.contains("a record of 1000 bytes in a chunk that has 7 left"), "{why}");
    }

    #[test]
    fn a_chunk_that_unpacks_to_more_than_it_says_is_refused_before_memory_is_spent() {
        let bomb = zstd::encode_all(&vec![0; 1 << 20][..], 19).unwrap();
        let header = ChunkHeader {
            message_start_time: 0,
            message_end_time: 0,
            uncompressed_size: 100,
            uncompressed_crc: 0,
            compression: "zstd".into(),
            compressed_size: bomb.len() as u64,
        };
        assert!(open(&header, &bomb).unwrap_err().contains("a chunk of 101 bytes that says 100"));
    }
}
