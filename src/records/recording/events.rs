//! The JSON messages of an episode besides its start and end.

use nalgebra::{Quaternion, UnitQuaternion};
use serde::{Deserialize, Deserializer, Serialize};

use visuomotor_core::action::{AskedTorques, Decider, Motion};
use visuomotor_core::episode::Filtered;
use visuomotor_core::geometry::Pose;
use visuomotor_core::observation::JointVector;

/// `/episode/step`: closes a step. The three arrays repeat the CDR topics for human readers; programs read the CDR ones,
/// which keep NaN (JSON writes null).
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
    #[serde(flatten)]
    pub motion: MotionEvent,
    /// In a run in which control can change hands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Decider>,
    pub images: Vec<ImageEvent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder_digest: Option<String>,
}

/// The motion that a step asks for instead of a pose change, at most one of these; chain order. JSON writes NaN as null.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct MotionEvent {
    /// x, y, z \[m\], qx, qy, qz, qw of `base_from_tool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tool_pose: Option<Numbers>,
    /// \[rad\]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    joint_positions: Option<Numbers>,
    /// \[rad/s\]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    joint_velocities: Option<Numbers>,
    /// \[Nm\]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    joint_torques: Option<TorqueEvent>,
}

#[derive(Debug, Serialize, Deserialize)]
struct TorqueEvent {
    asked: Numbers,
    label: Numbers,
}

type Numbers = Vec<Option<f64>>;

fn numbers(values: &[f64]) -> Numbers {
    values.iter().map(|value| value.is_finite().then_some(*value)).collect()
}

fn values(numbers: Numbers) -> Vec<f64> {
    numbers.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect()
}

fn joints(numbers: Numbers) -> Result<JointVector, String> {
    JointVector::try_from(values(numbers))
}

impl MotionEvent {
    pub(super) fn of(motion: Option<Motion>) -> Self {
        let mut event = Self::default();
        match motion {
            None => {}
            Some(Motion::ToolPose(pose)) => {
                let rotation = pose.rotation.coords;
                event.tool_pose = Some(numbers(&[pose.translation.vector.as_slice(), rotation.as_slice()].concat()));
            }
            Some(Motion::JointPositions(joints)) => event.joint_positions = Some(numbers(&joints)),
            Some(Motion::JointVelocities(joints)) => event.joint_velocities = Some(numbers(&joints)),
            Some(Motion::JointTorques(torques)) => {
                event.joint_torques =
                    Some(TorqueEvent { asked: numbers(&torques.asked), label: numbers(&torques.label) });
            }
        }
        event
    }

    pub(super) fn read(self) -> Result<Option<Motion>, String> {
        let Self { tool_pose, joint_positions, joint_velocities, joint_torques } = self;
        Ok(match (tool_pose, joint_positions, joint_velocities, joint_torques) {
            (None, None, None, None) => None,
            (Some(pose), None, None, None) => Some(Motion::ToolPose(pose_of(&values(pose))?)),
            (None, Some(positions), None, None) => Some(Motion::JointPositions(joints(positions)?)),
            (None, None, Some(velocities), None) => Some(Motion::JointVelocities(joints(velocities)?)),
            (None, None, None, Some(TorqueEvent { asked, label })) => {
                Some(Motion::JointTorques(AskedTorques { asked: joints(asked)?, label: joints(label)? }))
            }
            _ => {
                return Err(
                    "a step asks for more than one of tool pose, joint positions, velocities and torques".into()
                );
            }
        })
    }
}

/// A pose exactly as it was written: normalizing again would change its last digits.
fn pose_of(numbers: &[f64]) -> Result<Pose, String> {
    let &[x, y, z, qx, qy, qz, qw] = numbers else {
        return Err(format!("a tool pose of {} numbers, expected x, y, z, qx, qy, qz, qw", numbers.len()));
    };
    let quaternion = Quaternion::new(qw, qx, qy, qz);
    if (quaternion.norm() - 1.0).abs() > 1e-6 {
        return Err(format!("a tool pose whose quaternion is {} long, expected 1", quaternion.norm()));
    }
    let rotation = UnitQuaternion::new_unchecked(quaternion);
    Ok(Pose::from_parts([x, y, z].into(), rotation))
}

/// Fields that `CompressedImage` does not have.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ImageEvent {
    pub camera: String,
    pub sequence: u64,
    pub captured_at_ns: u64,
    /// Size before scaling \[pixels\].
    pub camera_width: u32,
    pub camera_height: u32,
}

/// `/episode/safety`: what the filter changed at one control tick; no message if it changed nothing.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SafetyEvent {
    pub at_ns: u64,
    pub step_index: Option<u64>,
    pub filtered: Filtered,
}

/// An operator's note on an episode (`/episode/note`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When \[ns on the run's clock\].
    pub at_ns: u64,
    /// The interface it came from (`page`, `terminal`).
    pub by: String,
    /// The text.
    pub text: String,
}

/// Steps that were not recorded (`/episode/gap`): the recording itself notes where it is incomplete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// First step that is missing.
    pub first_step: u64,
    /// Number of missing steps.
    pub steps: u64,
    /// Control ticks missing with them.
    pub ticks: u64,
    /// The reason.
    pub why: String,
}

fn nan_from_null<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(asked: &str) -> Result<Option<Motion>, String> {
        let zeros = "[0.0,0.0,0.0,0.0,0.0,0.0,0.0]";
        let text = format!(
            r#"{{"index":1,"observed_at_ns":2,"decided_at_ns":3,"encoder_seconds":null,"policy_seconds":0.5,"bridge_state":{zeros},"action":{zeros},"label":{zeros},{asked}"images":[]}}"#
        );
        let event: StepEvent = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        // Written back as it was read.
        assert!(serde_json::to_string(&event).unwrap().contains(asked), "{event:?}");
        event.motion.read()
    }

    #[test]
    fn steps_of_before_are_read() {
        assert_eq!(read(""), Ok(None));
        let torques = read(r#""joint_torques":{"asked":[1.5,null],"label":[1.5,0.25]},"#).unwrap();
        let torques = torques.and_then(|motion| motion.torques()).unwrap();
        assert_eq!(torques.label, JointVector::from_slice(&[1.5, 0.25]));
        assert!(torques.asked[0] == 1.5 && torques.asked[1].is_nan());
    }

    #[test]
    fn a_step_with_two_motions_or_an_invalid_pose_is_refused() {
        let two = read(r#""joint_positions":[0.5],"joint_velocities":[0.5],"#).unwrap_err();
        assert!(two.contains("more than one"), "{two}");
        for (pose, words) in [("[0.1,0.2]", "2 numbers"), ("[0.1,0.2,0.3,0.0,0.0,0.0,0.5]", "0.5 long")] {
            let refusal = read(&format!(r#""tool_pose":{pose},"#)).unwrap_err();
            assert!(refusal.contains(words), "{refusal}");
        }
        assert!(read(r#""joint_positions":[0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0],"#).is_err());
    }
}
