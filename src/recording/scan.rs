//! Walks the records of an MCAP file up to the first byte that cannot be trusted.

use mcap::records::{Record, op};
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};

/// No record of an episode is larger \[bytes\]; a damaged length field must not allocate the machine's memory.
const RECORD_LIMIT: usize = 1 << 28;

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
    let options =
        LinearReaderOptions::default().with_prevalidate_chunk_crcs(true).with_record_length_limit(RECORD_LIMIT);
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
                match mcap::parse_record(opcode, data) {
                    Ok(record) => visit(record)?,
                    Err(error) => return Ok(Ending::CutOff(format!("a record is damaged ({error})"))),
                }
            }
        }
    }
    Ok(Ending::Whole)
}
