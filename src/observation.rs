//! What a policy may look at: camera images and proprioception, each with the time it was captured.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::geometry::Pose;
use crate::time::Timestamp;

/// The most joints an arm has here (Sawyer, Jaco and Panda have 7).
pub const MAX_JOINTS: usize = 8;

/// One number per joint in the chain's order, without allocation (the control thread copies these).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Vec<f64>", try_from = "Vec<f64>")]
pub struct JointVector {
    len: usize,
    values: [f64; MAX_JOINTS],
}

impl JointVector {
    /// `len` zeros; `len` is cut to [`MAX_JOINTS`].
    pub fn zeros(len: usize) -> Self {
        Self { len: len.min(MAX_JOINTS), values: [0.0; MAX_JOINTS] }
    }

    /// From a slice; values beyond [`MAX_JOINTS`] are an error of the caller and cut off.
    pub fn from_slice(values: &[f64]) -> Self {
        let mut out = Self::zeros(values.len());
        for (to, from) in out.iter_mut().zip(values) {
            *to = *from;
        }
        out
    }

    /// Is every value finite?
    pub fn is_finite(&self) -> bool {
        self.iter().all(|v| v.is_finite())
    }
}

impl Deref for JointVector {
    type Target = [f64];
    fn deref(&self) -> &[f64] {
        &self.values[..self.len]
    }
}

impl DerefMut for JointVector {
    fn deref_mut(&mut self) -> &mut [f64] {
        &mut self.values[..self.len]
    }
}

impl From<JointVector> for Vec<f64> {
    fn from(joints: JointVector) -> Self {
        joints.to_vec()
    }
}

impl TryFrom<Vec<f64>> for JointVector {
    type Error = String;
    fn try_from(values: Vec<f64>) -> Result<Self, String> {
        if values.len() > MAX_JOINTS {
            return Err(format!("{} joints, at most {MAX_JOINTS} are supported", values.len()));
        }
        Ok(Self::from_slice(&values))
    }
}

/// One camera image: u8, (height, width, 3), RGB, row-major from the top left.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Name of the camera that took it, as in the launch file.
    pub camera: Arc<str>,
    /// Width \[pixels\].
    pub width: u32,
    /// Height \[pixels\].
    pub height: u32,
    /// `height * width * 3` bytes, RGB.
    pub pixels: Arc<[u8]>,
    /// When the sensor took it.
    pub captured_at: Timestamp,
    /// Counts up by one per image of this camera: tells a frozen camera from a still scene.
    pub sequence: u64,
}

/// What the arm senses of itself at one time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proprioception {
    /// Joint positions \[rad\], chain order.
    pub joint_positions: JointVector,
    /// Joint velocities \[rad/s\], chain order.
    pub joint_velocities: JointVector,
    /// Joint efforts \[Nm\], chain order; NaN-free, zero where the arm does not tell.
    pub joint_efforts: JointVector,
    /// Distance of one finger from the gripper's center \[m\] (the WidowX reports fingers, not the full opening).
    pub finger_position: f64,
    /// Gripper opening as a fraction of the arm's usable travel: 0 closed, 1 open (may leave 0..1 a little).
    pub gripper: f64,
    /// When it was measured.
    pub measured_at: Timestamp,
}

/// All a policy may look at, at one time.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Newest image of each camera, in launch-file order; the first is the policy's.
    pub images: Vec<Image>,
    /// Newest proprioception.
    pub proprioception: Proprioception,
    /// Tool pose in the base frame, from forward kinematics of the measured joints.
    pub base_from_tool: Pose,
    /// Bridge's 7-d `state`: x, y, z \[m\], roll, pitch, yaw \[rad\], gripper (0 closed .. 1 open).
    pub bridge_state: [f64; 7],
    /// Decision time this observation was put together for.
    pub observed_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joint_vector_keeps_its_length_and_refuses_too_many() {
        let q = JointVector::from_slice(&[1.0, 2.0]);
        assert_eq!(&*q, &[1.0, 2.0]);
        assert!(JointVector::try_from(vec![0.0; MAX_JOINTS + 1]).is_err());
    }

    #[test]
    fn nan_is_not_finite() {
        assert!(!JointVector::from_slice(&[0.0, f64::NAN]).is_finite());
    }
}
