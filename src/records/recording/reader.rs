//! Reads one episode, complete or cut off.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use mcap::records::{Metadata, Record};

use super::assembly::{Assembled, Assembly, is_picture, reordered};
use super::edit::Edit;
use super::events::Gap;
use super::recorded::{ReadOptions, RecordedEpisode, RecordedStep};
use super::scan::{Ending, scan};
use super::{Attachment, FORMAT_VERSION, METADATA_NAME, RecordingError};
use visuomotor_core::episode::EpisodeEnd;
use visuomotor_core::untrusted::{self, Budget};

/// What the names of this program's own schemas begin with.
const OWN_SCHEMAS: &str = "visuomotor.";

const OF_ANOTHER: &str = "an MCAP file of another program (no `visuomotor` metadata)";

const WITHOUT_METADATA: &str = "it has this program's messages, but no `visuomotor` metadata: the program that wrote the file \
                                again left it out; use the file as it was recorded";

/// Largest recording read \[bytes\]: six hours of two cameras at 5 Hz.
pub(super) const LARGEST: u64 = 16 << 30;

/// Largest size of the kept images and attachments: this many bytes, plus this many times the file's length, because JPEG
/// hardly shrinks in a chunk.
const KEPT: (u64, u64) = (64 << 20, 4);

/// Reads an episode with its images, without control ticks. Reads cut-off files too: see [`RecordedEpisode::lost`].
pub fn read_episode(path: &Path) -> Result<RecordedEpisode, RecordingError> {
    read_episode_with(path, ReadOptions::default())
}

/// Reads the parts of an episode that `options` select, up to the first byte that cannot be trusted.
pub fn read_episode_with(path: &Path, options: ReadOptions) -> Result<RecordedEpisode, RecordingError> {
    let unreadable = |source| RecordingError::unreadable(path, source);
    let file = untrusted::open(path).map_err(unreadable)?;
    let length = untrusted::length_of(&file, LARGEST).map_err(unreadable)?;
    // Bytes appended meanwhile are left to the next reader.
    parse(path, file.take(length), length, options)
}

/// [`read_episode_with`] on bytes in memory; `path` is for messages.
pub fn parse_episode(path: &Path, bytes: &[u8], options: ReadOptions) -> Result<RecordedEpisode, RecordingError> {
    parse(path, bytes, bytes.len() as u64, options)
}

/// Reads an episode of `length` bytes, part by part: only the selected parts stay in memory.
pub(super) fn parse(
    path: &Path,
    mut file: impl Read,
    length: u64,
    options: ReadOptions,
) -> Result<RecordedEpisode, RecordingError> {
    let mut magic = Vec::new();
    let beginning = file.by_ref().take(mcap::MAGIC.len() as u64).read_to_end(&mut magic);
    beginning.map_err(|source| RecordingError::unreadable(path, source))?;
    if !looks_like_mcap(&magic) {
        return Err(not_ours(path, "not an MCAP file"));
    }
    let mut budget = Budget::new("the images and attachments", KEPT.0.saturating_add(KEPT.1.saturating_mul(length)));
    let mut keep = |data: &[u8]| {
        let kept = budget.take(data.len() as u64);
        kept.map_err(|error| RecordingError::TooLarge { path: path.to_path_buf(), found: error.to_string() })
    };
    let mut assembly = Assembly::new(path, options);
    let mut topics: BTreeMap<u16, String> = BTreeMap::new();
    let mut about: Option<BTreeMap<String, String>> = None;
    let mut attachments = Vec::new();
    let mut edits = Vec::new();
    // A schema of this program was seen: its messages may come before the metadata if another program wrote the file again.
    let mut ours = false;
    let mut stray = false;
    let ending = scan(magic.as_slice().chain(file), length, |record| {
        match record {
            Record::Schema { header, .. } => ours |= header.name.starts_with(OWN_SCHEMAS),
            Record::Metadata(metadata) if metadata.name == Edit::METADATA_NAME => {
                edits.push(Edit::from_metadata(&metadata.metadata));
            }
            Record::Metadata(metadata) if metadata.name == METADATA_NAME => {
                check_version(path, &metadata)?;
                if stray {
                    return Err(reordered(path, format!("messages come before the record `{METADATA_NAME}`")));
                }
                about = Some(metadata.metadata);
            }
            Record::Attachment { header, data, .. } => {
                keep(&data)?;
                let (name, media_type) = (header.name, header.media_type);
                attachments.push(Attachment { name, media_type, data: data.into_owned() });
            }
            Record::Channel(channel) => drop(topics.insert(channel.id, channel.topic)),
            Record::Message { header, data } => {
                if about.is_none() && !ours {
                    // Another program's, unless the metadata come later.
                    stray = true;
                    return Ok(());
                }
                let topic = topics.get(&header.channel_id).map_or("", String::as_str);
                if options.images && is_picture(topic) {
                    keep(&data)?;
                }
                assembly.message(topic, &header, &data)?;
            }
            _ => {}
        }
        Ok(())
    })?;
    if stray && about.is_none() {
        return Err(not_ours(path, OF_ANOTHER));
    }
    let mut damaged = false;
    let cut_off = match ending {
        Ending::Whole => None,
        Ending::CutOff(why) => Some(why),
        Ending::Damaged(why) => {
            damaged = true;
            Some(why)
        }
        Ending::TooLarge(found) => return Err(RecordingError::TooLarge { path: path.to_path_buf(), found }),
        Ending::Unsupported(found) => return Err(RecordingError::Unsupported { path: path.to_path_buf(), found }),
        Ending::Unreadable(source) => return Err(RecordingError::unreadable(path, source)),
    };
    let without_start = |why: Option<&String>| match why {
        Some(why) if damaged => RecordingError::Damaged { path: path.to_path_buf(), found: why.clone() },
        _ => RecordingError::CutOff { path: path.to_path_buf(), bytes: length },
    };
    let Some(about) = about else {
        return Err(match &cut_off {
            None if ours => not_ours(path, WITHOUT_METADATA),
            None => not_ours(path, OF_ANOTHER),
            why => without_start(why.as_ref()),
        });
    };
    let started_at_unix_ns = about.get("started_at_unix_ns").and_then(|text| text.parse().ok());
    let Assembled { start, steps, ticks, end, notes, gaps } = assembly.finish();
    let Some(start) = start else {
        return Err(without_start(cut_off.as_ref()));
    };
    let lost = lost(&steps, end.as_ref(), &gaps, cut_off);
    Ok(RecordedEpisode {
        path: path.to_path_buf(),
        start,
        steps,
        ticks,
        end,
        notes,
        gaps,
        attachments,
        edits,
        complete: lost.is_none(),
        lost,
        started_at_unix_ns,
    })
}

fn lost(steps: &[RecordedStep], end: Option<&EpisodeEnd>, gaps: &[Gap], cut_off: Option<String>) -> Option<String> {
    let kept = format!("{} steps are kept", steps.len());
    match (end, cut_off) {
        (Some(end), _) if end.steps != steps.len() as u64 => {
            let why = gaps.first().map_or(String::new(), |gap| format!(" ({})", gap.why));
            Some(format!("the end states {} steps, {kept}{why}", end.steps))
        }
        (Some(_), Some(why)) => Some(format!("only the file's index: {why}; {kept}, with the end")),
        (Some(_), None) => None,
        (None, Some(why)) => Some(format!("{why}: {kept}; what came after and how the episode ended is lost")),
        (None, None) => Some(format!("the recording stopped before the episode ended: {kept}")),
    }
}

pub(super) fn check_version(path: &Path, metadata: &Metadata) -> Result<(), RecordingError> {
    let found = metadata.metadata.get("format_version").map_or("missing", String::as_str);
    if found != FORMAT_VERSION.to_string() {
        return Err(RecordingError::Version { path: path.to_path_buf(), found: found.to_string() });
    }
    Ok(())
}

fn not_ours(path: &Path, found: &str) -> RecordingError {
    RecordingError::NotAnEpisode { path: path.to_path_buf(), found: found.to_string() }
}

/// Does the file start like an MCAP file, as far as it goes?
fn looks_like_mcap(bytes: &[u8]) -> bool {
    let seen = bytes.len().min(mcap::MAGIC.len());
    bytes[..seen] == mcap::MAGIC[..seen]
}
