//! Copies a part of an episode to an episode of its own; the source stays unchanged.

use std::path::{Path, PathBuf};

use super::{Attachment, EpisodeWriter, Note, RecordedEpisode, RecordingError, SETTINGS_ATTACHMENT, WriterOptions};
use visuomotor_core::action::Decision;
use visuomotor_core::episode::{EpisodeEnd, Step};
use visuomotor_core::observation::Observation;

/// Writes the steps `from..to` of an episode, read with images and control ticks, to `NAME.mcap` in `folder`: images byte for
/// byte, stamps as measured, steps counted from 0, with a note on their source.
pub fn trim(
    episode: &RecordedEpisode,
    from: u64,
    to: u64,
    folder: &Path,
    name: &str,
) -> Result<PathBuf, RecordingError> {
    let kept: Vec<_> = episode.steps.iter().filter(|step| (from..to).contains(&step.index)).collect();
    let (Some(first), Some(last), Some(end)) = (kept.first(), kept.last(), &episode.end) else {
        return Err(RecordingError::Unfit {
            what: "steps to keep",
            found: format!("{from}..{to} of {} steps", episode.steps.len()),
            expected: "at least one step of an episode that has its end",
        });
    };
    let others = episode.attachments.iter().filter(|file| file.name != SETTINGS_ATTACHMENT);
    let options = WriterOptions {
        started_at: first.observed_at,
        attachments: others.cloned().collect::<Vec<Attachment>>(),
        ..WriterOptions::default()
    };
    let mut writer = EpisodeWriter::create(folder, name, options)?;
    let mut start = episode.start.clone();
    start.name = name.into();
    writer.start(&start)?;
    let source = episode.path.file_name().unwrap_or_default().to_string_lossy();
    let text = format!("steps {} to {} of {source}", first.index, last.index);
    writer.record_note(&Note { at_ns: first.observed_at.as_nanos(), by: "trim".into(), text })?;
    for note in &episode.notes {
        writer.record_note(note)?;
    }
    let mut ticks = episode
        .ticks
        .iter()
        .filter(|tick| tick.step_index.is_some_and(|index| (first.index..=last.index).contains(&index)))
        .map(|tick| {
            let mut tick = *tick;
            tick.step_index = tick.step_index.map(|index| index - first.index);
            tick
        })
        .peekable();
    for (index, step) in kept.iter().enumerate() {
        while let Some(tick) = ticks.next_if(|tick| tick.at <= step.decided_at) {
            writer.record_tick(&tick)?;
        }
        let observation = Observation {
            images: Vec::new(),
            proprioception: step.proprioception,
            base_from_tool: step.base_from_tool,
            bridge_state: step.bridge_state,
            observed_at: step.observed_at,
        };
        let decision = Decision {
            action: step.action,
            label: step.label,
            motion: step.motion,
            planned: None,
            decided_by: step.decided_by,
            embedding: step.embedding.clone(),
            encoder_seconds: step.encoder_seconds,
            policy_seconds: step.policy_seconds,
        };
        let step_of =
            Step { index: index as u64, observation: &observation, decision: &decision, decided_at: step.decided_at };
        writer.record_step_with(&step_of, &step.images)?;
    }
    ticks.try_for_each(|tick| writer.record_tick(&tick))?;
    let seconds = last.observed_at.since(first.observed_at).as_secs_f64() + 1.0 / episode.start.policy_rate_hz;
    writer.end(&EpisodeEnd { outcome: end.outcome.clone(), steps: kept.len() as u64, seconds })?;
    Ok(writer.path().to_path_buf())
}
