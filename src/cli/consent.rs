//! Consent: the arm recovers and moves by itself only with consent, which is recorded with the episode.

use clap::Args;
use serde::Serialize;

use crate::recording::Attachment;

/// Consent given on the command line.
#[derive(Args, Debug, Default, Clone, Copy)]
pub struct ConsentArguments {
    /// Recover a simulated arm after a fault without asking; refused where a real arm is connected
    #[arg(long)]
    pub yes: bool,
}

/// The reply to a request to recover the arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Yes, by whom (`page`, `terminal`).
    Yes(String),
    /// No, by whom.
    No(String),
    /// No operator to ask.
    Nobody,
}

/// One consent: what for, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Consent {
    /// The announced action.
    pub to: String,
    /// Who consented (`page`, `terminal`), or why no consent was needed (`simulated`, `--yes, simulated`).
    pub by: String,
}

/// The consents as an attachment of a recording.
pub fn attachment(consents: &[Consent]) -> anyhow::Result<Attachment> {
    let data = serde_json::to_vec_pretty(consents)?;
    Ok(Attachment { name: "consent.json".into(), media_type: "application/json".into(), data })
}
