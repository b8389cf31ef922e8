//! The ROS 2 messages of an episode, to and from [CDR](super::cdr); field order is that of the `.msg` files.
//!
//! Stamps are this crate's monotonic stamps (seconds and nanoseconds since the run's clock started), not wall-clock time.

use nalgebra::{Quaternion, Translation3, UnitQuaternion};
use serde::{Deserialize, Serialize, Serializer};

use super::cdr::{self, CdrError, Text};
use visuomotor_core::action::{ControlMode, JointCommand};
use visuomotor_core::geometry::Pose;
use visuomotor_core::time::Timestamp;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// `std_msgs/msg/Header`.
#[derive(Serialize, Deserialize)]
struct Header<'a> {
    sec: i32,
    nanosec: u32,
    #[serde(borrow)]
    frame_id: Text<'a>,
}

impl<'a> Header<'a> {
    fn new(stamp: Timestamp, frame: &'a str) -> Self {
        // 2^31 seconds are 68 years of running.
        let sec = (stamp.as_nanos() / NANOS_PER_SECOND) as i32;
        Self { sec, nanosec: (stamp.as_nanos() % NANOS_PER_SECOND) as u32, frame_id: Text(frame) }
    }

    fn stamp(&self) -> Timestamp {
        let seconds = u64::try_from(self.sec).unwrap_or(0);
        Timestamp::from_nanos(seconds * NANOS_PER_SECOND + u64::from(self.nanosec))
    }
}

/// `sensor_msgs/msg/JointState`.
#[derive(Clone, Debug, PartialEq)]
pub struct JointState {
    /// When it was measured or commanded.
    pub stamp: Timestamp,
    /// Joint names, chain order.
    pub names: Vec<String>,
    /// Positions \[rad\] (gripper: fraction, finger: m).
    pub positions: Vec<f64>,
    /// Velocities \[rad/s\]; may be empty.
    pub velocities: Vec<f64>,
    /// Efforts \[Nm\]; may be empty.
    pub efforts: Vec<f64>,
}

impl JointState {
    /// The message in CDR.
    pub fn encode(&self) -> Vec<u8> {
        encode_joint_state(self.stamp, &self.names, &self.positions, &self.velocities, &self.efforts)
    }

    /// From CDR.
    pub fn decode(bytes: &[u8]) -> Result<Self, CdrError> {
        let (header, names, positions, velocities, efforts): (Header<'_>, Vec<Text<'_>>, _, _, _) = cdr::decode(bytes)?;
        let names = names.iter().map(|name| name.0.to_string()).collect();
        Ok(Self { stamp: header.stamp(), names, positions, velocities, efforts })
    }
}

/// [`JointState::encode`] without owning the parts: positions \[rad\], velocities \[rad/s\], efforts \[Nm\].
pub fn encode_joint_state<S: AsRef<str>>(
    stamp: Timestamp,
    names: &[S],
    positions: &[f64],
    velocities: &[f64],
    efforts: &[f64],
) -> Vec<u8> {
    cdr::encode(&(Header::new(stamp, ""), Strings(names), positions, velocities, efforts), 32 + names.len() * 48)
}

/// A `string[]` of whatever has text.
struct Strings<'a, S>(&'a [S]);

impl<S: AsRef<str>> Serialize for Strings<'_, S> {
    fn serialize<T: Serializer>(&self, to: T) -> Result<T::Ok, T::Error> {
        to.collect_seq(self.0.iter().map(AsRef::as_ref))
    }
}

/// A command as `sensor_msgs/msg/JointState`, the gripper fraction after the joints.
///
/// The gripper always has a position, so positions are always present; in the other modes those of the joints are NaN, and
/// `velocity` or `effort` has the joints' numbers, zero for the gripper.
pub fn encode_command<S: AsRef<str>>(stamp: Timestamp, names: &[S], command: &JointCommand) -> Vec<u8> {
    let with = |joints: &[f64], gripper: f64| [joints, &[gripper]].concat();
    let positions = match command.mode() {
        ControlMode::Position => with(&command.joints(), command.gripper()),
        ControlMode::Velocity | ControlMode::Torque => with(&vec![f64::NAN; command.joints().len()], command.gripper()),
    };
    let other = with(&command.joints(), 0.0);
    match command.mode() {
        ControlMode::Position => encode_joint_state(stamp, names, &positions, &[], &[]),
        ControlMode::Velocity => encode_joint_state(stamp, names, &positions, &other, &[]),
        ControlMode::Torque => encode_joint_state(stamp, names, &positions, &[], &other),
    }
}

/// `sensor_msgs/msg/CompressedImage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompressedImage {
    /// When the sensor took it.
    pub stamp: Timestamp,
    /// Camera name.
    pub camera: String,
    /// Always `jpeg` here.
    pub format: String,
    /// The JPEG file.
    pub data: Vec<u8>,
}

impl CompressedImage {
    /// The message in CDR.
    pub fn encode(&self) -> Vec<u8> {
        let header = Header::new(self.stamp, &self.camera);
        let data = serde_bytes::Bytes::new(&self.data);
        cdr::encode(&(header, &self.format, data), self.data.len() + self.camera.len() + 64)
    }

    /// From CDR.
    pub fn decode(bytes: &[u8]) -> Result<Self, CdrError> {
        let (header, format, data): (Header<'_>, Text<'_>, &[u8]) = cdr::decode(bytes)?;
        let camera = header.frame_id.0.to_string();
        Ok(Self { stamp: header.stamp(), camera, format: format.0.to_string(), data: data.to_vec() })
    }
}

/// `geometry_msgs/msg/PoseStamped`; ROS order x, y, z, w for the quaternion.
pub fn encode_pose(stamp: Timestamp, frame: &str, pose: &Pose) -> Vec<u8> {
    let (p, q) = (&pose.translation, &pose.rotation);
    cdr::encode(&(Header::new(stamp, frame), [p.x, p.y, p.z, q.i, q.j, q.k, q.w]), 96)
}

/// Inverse of [`encode_pose`], bit for bit (the quaternion is not normalized again).
pub fn decode_pose(bytes: &[u8]) -> Result<(Timestamp, Pose), CdrError> {
    let (header, [x, y, z, i, j, k, w]): (Header<'_>, [f64; 7]) = cdr::decode(bytes)?;
    let rotation = UnitQuaternion::new_unchecked(Quaternion::new(w, i, j, k));
    Ok((header.stamp(), Pose::from_parts(Translation3::new(x, y, z), rotation)))
}

/// `std_msgs/msg/MultiArrayLayout`: its dimensions (label, size, stride) and the offset of the data.
type Layout<'a> = (Vec<(Text<'a>, u32, u32)>, u32);

/// One dimension named `label`.
fn layout(label: &str, count: usize) -> Layout<'_> {
    (vec![(Text(label), count as u32, count as u32)], 0)
}

/// `std_msgs/msg/Float64MultiArray` of one dimension; `label` names the numbers.
pub fn encode_f64_array(label: &str, values: &[f64]) -> Vec<u8> {
    cdr::encode(&(layout(label, values.len()), values), 48 + label.len() + 8 * values.len())
}

/// Inverse of [`encode_f64_array`], for exactly `N` values.
pub fn decode_f64_array<const N: usize>(bytes: &[u8]) -> Result<[f64; N], CdrError> {
    let (_, values): (Layout<'_>, Vec<f64>) = cdr::decode(bytes)?;
    values.as_slice().try_into().map_err(|_| CdrError::Count { found: values.len(), expected: N })
}

/// `std_msgs/msg/Float32MultiArray` of one dimension; `label` names the numbers.
pub fn encode_f32_array(label: &str, values: &[f32]) -> Vec<u8> {
    cdr::encode(&(layout(label, values.len()), values), 48 + label.len() + 4 * values.len())
}

/// Inverse of [`encode_f32_array`]: label and values.
pub fn decode_f32_array(bytes: &[u8]) -> Result<(String, Vec<f32>), CdrError> {
    let ((dimensions, _), values): (Layout<'_>, Vec<f32>) = cdr::decode(bytes)?;
    Ok((dimensions.first().map_or_else(String::new, |(label, ..)| label.0.to_string()), values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: Timestamp = Timestamp::from_nanos(3_500_000_001);
    // Made by tests/recording/golden_cdr.py with an implementation that shares no code with this one.
    const JOINTS: &str = "00010000030000000165cd1d01000000000000000200000006000000776169737400000007000000656c626f7732000002000000000000000000e03f000000000000f4bf00000000010000000000000000000040";
    const IMAGE: &str = "00010000030000000165cd1d0600000066726f6e74000000050000006a7065670000000003000000ffd8ff";
    const POSE: &str = "00010000030000000165cd1d05000000626173650000000000000000000000000000f03f000000000000004000000000000008400000000000000000333333333333e33f00000000000000009a9999999999e93f";
    const FLOAT64: &str =
        "000100000100000003000000787900000200000002000000000000000200000000000000000000000000e03f000000000000f4bf";
    const FLOAT32: &str = "00010000010000000300000078790000030000000300000000000000030000000000003f0000a0bf00000041";

    fn bytes(hexadecimal: &str) -> Vec<u8> {
        (0..hexadecimal.len()).step_by(2).map(|i| u8::from_str_radix(&hexadecimal[i..i + 2], 16).unwrap()).collect()
    }

    fn joints() -> JointState {
        JointState {
            stamp: AT,
            names: vec!["waist".into(), "elbow2".into()],
            positions: vec![0.5, -1.25],
            velocities: vec![],
            efforts: vec![2.0],
        }
    }

    #[test]
    fn messages_are_the_golden_bytes_both_ways() {
        assert_eq!(joints().encode(), bytes(JOINTS));
        assert_eq!(JointState::decode(&bytes(JOINTS)), Ok(joints()));
        let image =
            CompressedImage { stamp: AT, camera: "front".into(), format: "jpeg".into(), data: vec![255, 216, 255] };
        assert_eq!(image.encode(), bytes(IMAGE));
        assert_eq!(CompressedImage::decode(&bytes(IMAGE)), Ok(image));
        let rotation = UnitQuaternion::new_unchecked(Quaternion::new(0.8, 0.0, 0.6, 0.0));
        let pose = Pose::from_parts(Translation3::new(1.0, 2.0, 3.0), rotation);
        assert_eq!(encode_pose(AT, "base", &pose), bytes(POSE));
        assert_eq!(decode_pose(&bytes(POSE)), Ok((AT, pose)));
        assert_eq!(encode_f64_array("xy", &[0.5, -1.25]), bytes(FLOAT64));
        assert_eq!(decode_f64_array(&bytes(FLOAT64)), Ok([0.5, -1.25]));
        assert_eq!(encode_f32_array("xy", &[0.5, -1.25, 8.0]), bytes(FLOAT32));
        assert_eq!(decode_f32_array(&bytes(FLOAT32)), Ok(("xy".into(), vec![0.5, -1.25, 8.0])));
    }

    #[test]
    fn a_message_cut_anywhere_is_an_error() {
        for golden in [JOINTS, IMAGE, POSE, FLOAT64, FLOAT32] {
            let all = bytes(golden);
            for cut in 0..all.len() {
                let cut = &all[..cut];
                match golden {
                    JOINTS => assert!(JointState::decode(cut).is_err()),
                    IMAGE => assert!(CompressedImage::decode(cut).is_err()),
                    POSE => assert!(decode_pose(cut).is_err()),
                    FLOAT64 => assert!(decode_f64_array::<2>(cut).is_err()),
                    _ => assert!(decode_f32_array(cut).is_err()),
                }
            }
        }
        assert!(matches!(JointState::decode(&[0, 0, 0, 0]), Err(CdrError::Header { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_read_but_never_panic(mut any in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(header) = any.first_chunk_mut::<4>() {
                *header = super::super::cdr::HEADER;
            }
            let _ = JointState::decode(&any);
            let _ = CompressedImage::decode(&any);
            let _ = decode_pose(&any);
            let _ = decode_f64_array::<7>(&any);
            let _ = decode_f32_array(&any);
        }

        #[test]
        fn joint_states_come_back(names in proptest::collection::vec(".{0,9}", 0..5),
                                  positions in proptest::collection::vec(-10.0..10.0f64, 0..9),
                                  nanos in 0..1u64 << 60) {
            let message = JointState {
                stamp: Timestamp::from_nanos(nanos),
                names,
                efforts: positions.iter().rev().copied().collect(),
                velocities: Vec::new(),
                positions,
            };
            prop_assert_eq!(JointState::decode(&message.encode()), Ok(message));
        }
    }
}
