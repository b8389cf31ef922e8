//! The result of a row, and the constants by which rows are judged.

use serde::{Deserialize, Serialize};
use visuomotor::action::ControlMode;
use visuomotor::protection::Protection;

/// Joint speed that counts as standing still \[rad/s\].
pub const STANDING: f64 = 0.02;
/// What the gauge cannot distinguish from rest: sag under gravity, settling of the simulated servo \[rad\].
pub const FLOOR: f64 = 0.015;
/// Control periods between noticing a fault and commanding a hold.
pub const MOST_TICKS: f64 = 2.0;

/// The result of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// The fault in words.
    pub fault: String,
    /// Arm and link.
    pub link: String,
    /// Control mode.
    pub mode: String,
    /// Protections that were switched off, in a control row.
    pub without: Option<String>,
    /// Within the bounds?
    pub green: bool,
    /// Why it was not run, if so.
    pub skipped: Option<String>,
    /// The criteria, in words.
    #[serde(default)]
    pub judged: String,
    /// Largest joint speed at the fault \[rad/s\].
    #[serde(deserialize_with = "number")]
    pub speed_before: f64,
    /// Detection bound of the row \[s\].
    #[serde(deserialize_with = "number")]
    pub detection_bound: f64,
    /// The program first noticed \[s after the fault\].
    #[serde(default)]
    pub detected_after: Option<f64>,
    /// It commanded a hold \[s after the fault\].
    #[serde(default)]
    pub held_after: Option<f64>,
    /// Control periods between both.
    #[serde(default)]
    pub ticks_to_hold: Option<f64>,
    /// The fastest joint had lost a tenth of its speed \[s after the fault\].
    pub slower_after: Option<f64>,
    /// Every joint stood still from then on \[s after the fault\].
    pub rest_after: Option<f64>,
    /// Largest joint speed after the fault \[rad/s\].
    #[serde(deserialize_with = "number")]
    pub peak_speed: f64,
    /// Highest acceleration of a joint once the arm moves on, in shares of the joint's limit \[1\].
    #[serde(default = "none", deserialize_with = "number")]
    pub rejoins: f64,
    /// Farthest a joint travelled after the fault \[rad\].
    #[serde(deserialize_with = "number")]
    pub travelled: f64,
    /// Bound of that joint \[rad\].
    #[serde(deserialize_with = "number")]
    pub allowed: f64,
    /// Longest stall of the arm's process within the time judged \[s\].
    #[serde(deserialize_with = "number")]
    pub stall: f64,
    /// The most informative line for the operator.
    #[serde(default)]
    pub operator: String,
    /// Everything the operator saw.
    pub seen: Vec<String>,
    /// Contents of the recording.
    #[serde(default)]
    pub kept: String,
    /// What failed, in words.
    pub why: String,
}

/// By the names of the environment variable.
pub fn names(protections: &[Protection]) -> String {
    protections.iter().map(|off| format!("{off:?}")).collect::<Vec<_>>().join(",")
}

fn none() -> f64 {
    f64::NAN
}

/// A number; JSON has null for a non-finite one.
fn number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
}

impl Finding {
    /// An empty result.
    pub fn new(fault: &str, link: &str, mode: ControlMode, detection_bound: f64) -> Self {
        Self {
            fault: fault.into(),
            link: link.into(),
            mode: mode.to_string(),
            without: None,
            green: false,
            skipped: None,
            judged: String::new(),
            speed_before: f64::NAN,
            detection_bound,
            detected_after: None,
            held_after: None,
            ticks_to_hold: None,
            slower_after: None,
            rest_after: None,
            peak_speed: f64::NAN,
            rejoins: f64::NAN,
            travelled: f64::NAN,
            allowed: f64::NAN,
            stall: f64::NAN,
            operator: String::new(),
            seen: Vec::new(),
            kept: String::new(),
            why: String::new(),
        }
    }
}
