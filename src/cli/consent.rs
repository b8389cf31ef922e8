//! Who allowed what: the arm recovers and moves by itself only with consent, and what was granted is recorded with the episode.

use clap::Args;
use serde::Serialize;

use crate::recording::Attachment;
use crate::runtime::Granted;

/// Consent without a person.
#[derive(Args, Debug, Default, Clone, Copy)]
pub struct ConsentArguments {
    /// Recover a simulated arm after a fault without asking; refused where a real arm is connected
    #[arg(long)]
    pub yes: bool,
}

/// The answer to whether the arm may recover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Yes, by whom (`page`, `terminal`).
    Yes(String),
    /// No, by whom.
    No(String),
    /// No operator to ask.
    Nobody,
}

/// What was allowed, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Consent {
    /// What the arm was to do, as it was announced.
    pub to: String,
    /// Who consented (`page`, `terminal`), or why no consent was needed (`simulated`, `--yes, simulated`).
    pub by: String,
}

/// Consents as a file of a recording.
pub fn attachment(consents: &[Consent]) -> anyhow::Result<Attachment> {
    let data = serde_json::to_vec_pretty(consents)?;
    Ok(Attachment { name: "consent.json".into(), media_type: "application/json".into(), data })
}

/// What the operating system granted the control loop as a file of a recording; none where nothing was asked for.
pub fn realtime_attachment(granted: &[Granted]) -> anyhow::Result<Option<Attachment>> {
    if granted.is_empty() {
        return Ok(None);
    }
    let data = serde_json::to_vec_pretty(granted)?;
    Ok(Some(Attachment { name: "realtime.json".into(), media_type: "application/json".into(), data }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_kept_with_the_episode() {
        assert!(realtime_attachment(&[]).unwrap().is_none());
        let refused = crate::runtime::Realtime { priority: None, lock_memory: false, cpu: Some(1_000_000) }.try_out();
        let attached = realtime_attachment(&refused).unwrap().unwrap();
        let text = String::from_utf8(attached.data).unwrap();
        assert!(text.contains("\"granted\": false") && text.contains("CPU 1000000"), "{text}");
    }
}
