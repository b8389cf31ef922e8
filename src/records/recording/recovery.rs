//! Completes a recording that was cut off.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use mcap::records::{MessageHeader, Metadata, Record};

use super::error::io_error;
use super::reader::parse;
use super::scan::{Ending, scan};
use super::storage::{self, Output, PARTIAL, WHOLE};
use super::{ReadOptions, RecordingError, list_partial, schemas};
use visuomotor_core::untrusted;

/// Result of [`recover`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The complete file.
    pub path: PathBuf,
    /// Policy steps in it.
    pub steps: u64,
    /// What is lost; `None` if nothing is.
    pub lost: Option<String>,
}

/// Copies everything readable of a cut-off recording into a complete file with an index, named `NAME.mcap`.
///
/// `NAME.mcap.partial` is removed when the complete file is on the disk. A damaged `NAME.mcap` is kept as
/// `NAME.mcap.damaged`. A complete file is left unchanged. Refused while another process still writes the recording.
pub fn recover(path: &Path) -> Result<Recovered, RecordingError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = name.strip_suffix(PARTIAL).or_else(|| name.strip_suffix(WHOLE)).ok_or_else(|| {
        RecordingError::NotAnEpisode {
            path: path.to_path_buf(),
            found: format!("the name ends neither in `{PARTIAL}` nor in `{WHOLE}`"),
        }
    })?;
    let whole = path.with_file_name(format!("{stem}{WHOLE}"));
    let in_place = whole == path;
    let unreadable = |source| RecordingError::unreadable(path, source);
    let mut from = untrusted::open(path).map_err(unreadable)?;
    storage::lock(&from, path)?;
    let length = from.metadata().map_err(unreadable)?.len();
    // Images are copied from the file, not kept in memory.
    let episode = parse(path, &from, length, ReadOptions { images: false, control_ticks: true })?;
    let recovered = Recovered { path: whole.clone(), steps: episode.steps.len() as u64, lost: episode.lost };
    if in_place && recovered.lost.is_none() {
        return Ok(recovered);
    }
    if !in_place && whole.exists() {
        return Err(RecordingError::AlreadyThere { path: whole, fix: "move it away before recovering" });
    }
    // Starts with a dot, so that it is not listed if this is cut off, too.
    let copy = path.with_file_name(format!(".{stem}.mcap.recovering"));
    let failed = |source| RecordingError::Write { path: copy.clone(), steps: 0, source };
    let mut output = File::create(&copy).and_then(storage::output).map_err(failed)?;
    from.rewind().map_err(unreadable)?;
    let lost = recovered.lost.clone().unwrap_or_else(|| "nothing".into());
    let about =
        Metadata { name: "visuomotor.recovered".into(), metadata: BTreeMap::from([("lost".to_string(), lost)]) };
    // This is the second pass: the first one checked how the scan ends.
    copy_records(&from, length, &mut output, &mut Unchanged)
        .and_then(|_| output.write_metadata(&about))
        .map_err(|error| failed(io_error(error)))?;
    if in_place {
        let mut damaged = OsString::from(path);
        damaged.push(".damaged");
        std::fs::rename(path, damaged).map_err(failed)?;
    }
    storage::finish(output, &copy, &whole).map_err(failed)?;
    if !in_place {
        std::fs::remove_file(path).map_err(failed)?;
    }
    Ok(recovered)
}

/// Completes every cut-off recording of a folder that no program is writing any more; returns one line per file for the
/// operator. A recording that cannot be completed is left unchanged, and its line gives the reason.
pub fn finish_partial(folder: &Path) -> Result<Vec<String>, RecordingError> {
    let mut lines = Vec::new();
    for partial in list_partial(folder)? {
        lines.push(match recover(&partial) {
            Ok(Recovered { path, steps, lost }) => {
                let lost = lost.unwrap_or_else(|| "nothing is lost".into());
                format!("{}: was cut off and is finished now, {steps} steps; {lost}", path.display())
            }
            // Another process is writing it: nothing to report.
            Err(RecordingError::Busy { .. }) => continue,
            Err(error) => format!("{error}"),
        });
    }
    Ok(lines)
}

/// What [`copy_records`] changes on the way.
pub(super) trait Revise {
    /// A channel of this id follows.
    fn channel(&mut self, _id: u16, _topic: &str) {}

    /// The bytes to be written in place of the message's; further messages may be written before it.
    fn message<'d>(
        &mut self,
        _topic: &str,
        _header: &MessageHeader,
        data: Cow<'d, [u8]>,
        _output: &mut Output,
    ) -> mcap::McapResult<Cow<'d, [u8]>> {
        Ok(data)
    }
}

/// Copies every byte of every message as it is.
struct Unchanged;

impl Revise for Unchanged {}

/// Copies the records of a recording of `length` bytes, message by message, up to the first byte that cannot be trusted.
pub(super) fn copy_records(
    from: impl Read,
    length: u64,
    output: &mut Output,
    revise: &mut impl Revise,
) -> mcap::McapResult<Ending> {
    let mut topics: BTreeMap<u16, String> = BTreeMap::new();
    scan(from, length, |record| -> mcap::McapResult<()> {
        match record {
            Record::Schema { header, data } => {
                output.add_schema_with_id(header.id, &header.name, &header.encoding, &data)?;
            }
            Record::Channel(channel) => {
                revise.channel(channel.id, &channel.topic);
                output.add_channel_with_id(
                    channel.id,
                    channel.schema_id,
                    &channel.topic,
                    &channel.message_encoding,
                    &channel.metadata,
                )?;
                topics.insert(channel.id, channel.topic);
            }
            Record::Message { header, data } => {
                let topic = topics.get(&header.channel_id).map_or("", String::as_str);
                let data = revise.message(topic, &header, data, output)?;
                output.write_to_known_channel(&header, &data)?;
                if [schemas::EPISODE_START, schemas::EPISODE_STEP].contains(&topic) {
                    output.flush()?;
                }
            }
            Record::Attachment { header, data, .. } => output.attach(&mcap::Attachment {
                log_time: header.log_time,
                create_time: header.create_time,
                name: header.name,
                media_type: header.media_type,
                data: data.into_owned().into(),
            })?,
            Record::Metadata(metadata) => output.write_metadata(&metadata)?,
            _ => {}
        }
        Ok(())
    })
}
