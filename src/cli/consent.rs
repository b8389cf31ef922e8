//! Who allowed what: the arm recovers and moves by itself only with consent, and the consent is recorded with the episode.

use clap::Args;
use serde::Serialize;

use crate::recording::Attachment;

/// Consent without a person.
#[derive(Args, Debug, Default, Clone, Copy)]
pub struct ConsentArguments {
    /// Recover a simulated arm after a fault without asking; refused where a real arm is connected
    #[arg(long)]
    pub yes: bool,
}

/// The reply to whether the arm may recover.
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
