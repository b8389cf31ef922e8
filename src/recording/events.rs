//! The JSON messages of an episode besides its start and end.

use serde::{Deserialize, Deserializer, Serialize};

use crate::action::AskedTorques;
use crate::episode::Filtered;
use crate::observation::JointVector;

/// `/episode/step`: closes a step. The three arrays repeat the CDR topics for people; readers take the CDR ones, which
/// keep NaN (JSON has no word for it and writes null).
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StepEvent {
    pub index: u64,
    pub observed_at_ns: u64,
    pub decided_at_ns: u64,
    #[serde(deserialize_with = "nan_from_null")]
    pub encoder_seconds: f64,
    #[serde(deserialize_with = "nan_from_null")]
    pub policy_seconds: f64,
    #[serde(skip_deserializing)]
    pub bridge_state: [f64; 7],
    #[serde(skip_deserializing)]
    pub action: [f64; 7],
    #[serde(skip_deserializing)]
    pub label: [f64; 7],
    /// Of a torque policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joint_torques: Option<TorqueEvent>,
    pub images: Vec<ImageEvent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder_digest: Option<String>,
}

/// Joint torques of a step \[Nm\], chain order; JSON has no word for NaN, which is null.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TorqueEvent {
    pub asked: Vec<Option<f64>>,
    pub label: Vec<Option<f64>>,
}

impl From<AskedTorques> for TorqueEvent {
    fn from(torques: AskedTorques) -> Self {
        let numbers = |joints: JointVector| joints.iter().map(|value| value.is_finite().then_some(*value)).collect();
        Self { asked: numbers(torques.asked), label: numbers(torques.label) }
    }
}

impl TryFrom<TorqueEvent> for AskedTorques {
    type Error = String;
    fn try_from(event: TorqueEvent) -> Result<Self, String> {
        let joints = |numbers: Vec<Option<f64>>| {
            JointVector::try_from(numbers.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect::<Vec<_>>())
        };
        Ok(Self { asked: joints(event.asked)?, label: joints(event.label)? })
    }
}

/// What a `CompressedImage` has no field for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ImageEvent {
    pub camera: String,
    pub sequence: u64,
    pub captured_at_ns: u64,
    /// Size before scaling \[pixels\].
    pub camera_width: u32,
    pub camera_height: u32,
}

/// `/episode/safety`: what the filter did at one control tick, where it did something.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SafetyEvent {
    pub at_ns: u64,
    pub step_index: Option<u64>,
    pub filtered: Filtered,
}

/// What a person wrote about an episode (`/episode/note`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When \[ns on the run's clock\].
    pub at_ns: u64,
    /// Who, by what means (`page`, `terminal`).
    pub by: String,
    /// In words.
    pub text: String,
}

/// Steps that were not recorded (`/episode/gap`): the recording says itself where it is not whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// First step that is missing.
    pub first_step: u64,
    /// How many are missing.
    pub steps: u64,
    /// Control ticks missing with them.
    pub ticks: u64,
    /// Why, in words.
    pub why: String,
}

fn nan_from_null<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
}
