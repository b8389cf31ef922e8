//! Copies an episode record by record; images are never encoded again.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use mcap::records::{MessageHeader, Metadata};
use sha2::{Digest, Sha256};

use super::super::error::io_error;
use super::super::events::Note;
use super::super::reader::{self, LARGEST};
use super::super::recovery::copy_records;
use super::super::scan::Ending;
use super::super::storage::{self, Output, PARTIAL, WHOLE};
use super::super::{ReadOptions, RecordedEpisode, RecordingError, schemas};
use super::names::Task;
use super::{Edit, EpisodeChange, Written};
use visuomotor_core::untrusted;

/// Id of the schema and of the channel of notes where the recording has none: far from those that are counted from 1.
const NOTES: u16 = u16::MAX - 1;

/// Writes `task.source` with its changes to `NAME.mcap` in the folder `to`. An error of writing is [`RecordingError::Edit`],
/// every other one is about the source; no file is left then.
pub(super) fn copy_episode(task: &Task, to: &Path, command: &str) -> Result<Written, RecordingError> {
    let path = &task.source;
    let unreadable = |source| RecordingError::unreadable(path, source);
    let mut file = untrusted::open(path).map_err(unreadable)?;
    let length = untrusted::length_of(&file, LARGEST).map_err(unreadable)?;
    // Read through first, so that most episodes that cannot be read cost no writing.
    let options = ReadOptions { images: false, control_ticks: true };
    let episode = reader::parse(path, file.by_ref().take(length), length, options)?;
    check(task, &episode)?;
    let sha256 = digest(&mut file, length).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    let partial = to.join(format!("{}{PARTIAL}", task.name));
    let whole = to.join(format!("{}{WHOLE}", task.name));
    let failed = |source| RecordingError::edit(&partial, source);
    let mut output = File::create_new(&partial).and_then(storage::output).map_err(failed)?;
    let mut edited = Edited { change: &task.change, changed: Vec::new(), noted: false, notes: None, latest: 0 };
    let copied = copy_records(file.take(length), length, &mut output, &mut edited);
    match copied.map_err(|error| failed(io_error(error)))? {
        Ending::Whole => {}
        Ending::CutOff(found) | Ending::Damaged(found) => {
            drop(output);
            std::fs::remove_file(&partial).map_err(failed)?;
            return Err(RecordingError::NotWhole { path: path.clone(), found });
        }
        Ending::TooLarge(found) | Ending::Unsupported(found) => return Err(failed(io::Error::other(found))),
        Ending::Unreadable(source) => {
            drop(output);
            std::fs::remove_file(&partial).map_err(failed)?;
            return Err(unreadable(source));
        }
    }
    // A recording without an end.
    edited.note(&mut output).map_err(|error| failed(io_error(error)))?;
    let changed = edited.changed;
    let edit = Edit {
        command: command.to_string(),
        source: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        sha256,
        changed: if changed.is_empty() { "nothing".into() } else { changed.join("; ") },
    };
    let record = Metadata { name: Edit::METADATA_NAME.into(), metadata: edit.to_metadata() };
    output.write_metadata(&record).map_err(|error| failed(io_error(error)))?;
    storage::finish(output, &partial, &whole).map_err(failed)?;
    Ok(Written { source: path.clone(), name: task.name.clone(), changed })
}

fn check(task: &Task, episode: &RecordedEpisode) -> Result<(), RecordingError> {
    if task.change.outcome.is_some() && episode.end.is_none() {
        let found = format!("{}, which stopped before its end and has no outcome", task.name);
        return Err(super::unfit("episode", found, "one with an end, if --outcome is given"));
    }
    Ok(())
}

/// SHA-256 of the file's first `length` bytes, hexadecimal.
fn digest(file: &mut File, length: u64) -> io::Result<String> {
    file.rewind()?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut file = file.take(length);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => digest.update(&buffer[..count]),
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The changes of an episode while it is copied.
struct Edited<'a> {
    change: &'a EpisodeChange,
    /// Each change made, in words.
    changed: Vec<String>,
    noted: bool,
    /// Channel of the notes, where the recording has one.
    notes: Option<u16>,
    /// Latest log time \[ns\].
    latest: u64,
}

impl super::super::recovery::Revise for Edited<'_> {
    fn channel(&mut self, id: u16, topic: &str) {
        if topic == schemas::EPISODE_NOTE {
            self.notes = Some(id);
        }
    }

    fn message<'d>(
        &mut self,
        topic: &str,
        header: &MessageHeader,
        data: std::borrow::Cow<'d, [u8]>,
        output: &mut Output,
    ) -> mcap::McapResult<std::borrow::Cow<'d, [u8]>> {
        self.latest = self.latest.max(header.log_time);
        let json = |error| mcap::McapError::Io(io::Error::other(error));
        match topic {
            schemas::EPISODE_START => self.change.start(data, &mut self.changed).map_err(json),
            schemas::EPISODE_END => {
                self.note(output)?;
                self.change.end(data, &mut self.changed).map_err(json)
            }
            _ => Ok(data),
        }
    }
}

impl Edited<'_> {
    /// Writes the note, once.
    fn note(&mut self, output: &mut Output) -> mcap::McapResult<()> {
        let Some(text) = self.change.note.as_ref().filter(|_| !self.noted) else { return Ok(()) };
        self.noted = true;
        self.changed.push(format!("note added: {text:?}"));
        let schema = schemas::NOTE_EVENT;
        let channel_id = match self.notes {
            Some(id) => id,
            None => {
                let id = output.add_schema_with_id(NOTES, schema.name, schema.encoding, schema.text.as_bytes())?;
                let encoding = schema.message_encoding();
                output.add_channel_with_id(NOTES, id, schemas::EPISODE_NOTE, encoding, &Default::default())?
            }
        };
        let note = Note { at_ns: self.latest, by: "relabel".into(), text: text.clone() };
        let data = serde_json::to_vec(&note).map_err(|error| mcap::McapError::Io(io::Error::other(error)))?;
        let header = MessageHeader { channel_id, sequence: 0, log_time: self.latest, publish_time: self.latest };
        output.write_to_known_channel(&header, &data)
    }
}
