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

/// What recovering does to an arm behind this driver, for a person who is to allow it.
pub fn what_recovery_does(driver: &str, robot: &str) -> String {
    let does = match (driver, robot) {
        ("dynamixel", _) => {
            "servos that report a hardware error are rebooted, during which their joints hang on the others; then every servo \
             holds where it is"
        }
        ("fci", _) => {
            "the connection is opened again where it is lost and the reflex is cleared; then the arm holds where it is"
        }
        (_, "widowx") => {
            "the node reboots servos that report a hardware error, during which their joints hang on the others; then every \
             servo holds where it is"
        }
        (_, "panda" | "fr3") => "the error recovery of the controller is run; then the arm holds where it is",
        (_, "sawyer") => "the arm is reset and enabled; then it holds where it is",
        _ => "faults of the controller are cleared; then the arm holds where it is",
    };
    format!(
        "{does}. It goes nowhere. Stand clear of it, support it if it could sink, and have the hardware stop at hand"
    )
}
