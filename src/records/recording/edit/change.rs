//! What an edit changes in an episode.

use std::borrow::Cow;

use serde_json::Value;

use visuomotor_core::episode::{Outcome, OutcomeKind};

/// What to change in an episode; `None` keeps what is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpisodeChange {
    /// Name, which is the file's, too.
    pub name: Option<String>,
    /// Task name.
    pub task: Option<String>,
    /// Instruction in plain words.
    pub instruction: Option<String>,
    /// Outcome, then judged by `operator`. An outcome of this kind already keeps its judge and reason.
    pub outcome: Option<OutcomeKind>,
    /// A note to add.
    pub note: Option<String>,
}

impl EpisodeChange {
    /// The message `/episode/start` with the changes; each is described in `changed`.
    pub(super) fn start<'a>(
        &self,
        data: Cow<'a, [u8]>,
        changed: &mut Vec<String>,
    ) -> serde_json::Result<Cow<'a, [u8]>> {
        let wanted = [("name", &self.name), ("task", &self.task), ("instruction", &self.instruction)];
        if wanted.iter().all(|(_, value)| value.is_none()) {
            return Ok(data);
        }
        let mut message: Value = serde_json::from_slice(&data)?;
        let before = changed.len();
        for (key, value) in wanted {
            let Some(value) = value else { continue };
            let old = message[key].as_str().unwrap_or_default().to_string();
            if old != *value {
                changed.push(format!("{key}: {old:?} to {value:?}"));
                message[key] = Value::String(value.clone());
            }
        }
        match changed.len() == before {
            true => Ok(data),
            false => Ok(Cow::Owned(serde_json::to_vec(&message)?)),
        }
    }

    /// The message `/episode/end` with the changes; each is described in `changed`.
    pub(super) fn end<'a>(&self, data: Cow<'a, [u8]>, changed: &mut Vec<String>) -> serde_json::Result<Cow<'a, [u8]>> {
        let Some(kind) = self.outcome else { return Ok(data) };
        let mut message: Value = serde_json::from_slice(&data)?;
        let old: Outcome = serde_json::from_value(message["outcome"].clone())?;
        if old.kind() == kind {
            return Ok(data);
        }
        let judge = "operator".to_string();
        let (Outcome::Success { judge: before }
        | Outcome::Failure { judge: before, .. }
        | Outcome::Aborted { judge: before, .. }) = &old;
        changed.push(format!("outcome: {} (judged by {before}) to {kind} (judged by {judge})", old.word()));
        let why = "relabeled".to_string();
        message["outcome"] = serde_json::to_value(match kind {
            OutcomeKind::Success => Outcome::Success { judge },
            OutcomeKind::Failure => Outcome::Failure { judge, why },
            OutcomeKind::Aborted => Outcome::Aborted { judge, why },
        })?;
        Ok(Cow::Owned(serde_json::to_vec(&message)?))
    }
}
