//! Inputs of a policy: camera images and proprioception, each with its capture time.

use std::ops::{Add, AddAssign, Deref, DerefMut, Div, Mul, Neg, Sub, SubAssign};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::geometry::Pose;
use crate::time::Timestamp;

/// Maximum number of joints (Sawyer, Jaco and Panda have 7).
pub const MAX_JOINTS: usize = 8;

/// One number per joint in the chain's order, without allocation (the control thread copies these).
///
/// Arithmetic is per joint. Combining vectors of different lengths gives all NaN, with the longer one's length, which fails
/// every limit. A panic would end the control thread, and truncation would hide the mistake.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Vec<f64>", try_from = "Vec<f64>")]
pub struct JointVector {
    len: usize,
    values: [f64; MAX_JOINTS],
}

impl JointVector {
    /// `len` zeros; `len` is cut to [`MAX_JOINTS`].
    #[inline]
    pub fn zeros(len: usize) -> Self {
        Self { len: len.min(MAX_JOINTS), values: [0.0; MAX_JOINTS] }
    }

    /// From a slice; values beyond [`MAX_JOINTS`] are a caller's error and cut off.
    #[inline]
    pub fn from_slice(values: &[f64]) -> Self {
        let mut out = Self::zeros(values.len());
        for (to, from) in out.iter_mut().zip(values) {
            *to = *from;
        }
        out
    }

    /// `len` times the same value; `len` is cut to [`MAX_JOINTS`].
    #[inline]
    pub fn filled(len: usize, value: f64) -> Self {
        Self::zeros(len).map(|_| value)
    }

    /// Applies a function to each value.
    #[inline]
    pub fn map(mut self, mut change: impl FnMut(f64) -> f64) -> Self {
        self.iter_mut().for_each(|value| *value = change(*value));
        self
    }

    /// Combines both vectors joint by joint; all NaN if the lengths differ.
    #[inline]
    pub fn zip_map(self, other: Self, mut combine: impl FnMut(f64, f64) -> f64) -> Self {
        if self.len != other.len {
            return Self::filled(self.len.max(other.len), f64::NAN);
        }
        let mut out = self;
        for (value, other) in out.iter_mut().zip(other.iter()) {
            *value = combine(*value, *other);
        }
        out
    }

    /// Largest absolute value; 0 without joints, NaN if one is NaN.
    #[inline]
    pub fn max_abs(&self) -> f64 {
        // Not `f64::max`, which drops NaN.
        self.iter().fold(0.0, |most, value| if most.is_nan() || value.abs() <= most { most } else { value.abs() })
    }

    /// Is every value finite?
    #[inline]
    pub fn is_finite(&self) -> bool {
        self.iter().all(|v| v.is_finite())
    }
}

impl Deref for JointVector {
    type Target = [f64];
    #[inline]
    fn deref(&self) -> &[f64] {
        &self.values[..self.len]
    }
}

impl DerefMut for JointVector {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f64] {
        &mut self.values[..self.len]
    }
}

impl Add for JointVector {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        self.zip_map(other, |a, b| a + b)
    }
}

impl Sub for JointVector {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        self.zip_map(other, |a, b| a - b)
    }
}

impl AddAssign for JointVector {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for JointVector {
    #[inline]
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Neg for JointVector {
    type Output = Self;
    #[inline]
    fn neg(self) -> Self {
        self.map(|value| -value)
    }
}

impl Mul<f64> for JointVector {
    type Output = Self;
    #[inline]
    fn mul(self, factor: f64) -> Self {
        self.map(|value| value * factor)
    }
}

impl Mul<JointVector> for f64 {
    type Output = JointVector;
    #[inline]
    fn mul(self, vector: JointVector) -> JointVector {
        vector * self
    }
}

impl Div<f64> for JointVector {
    type Output = Self;
    #[inline]
    fn div(self, divisor: f64) -> Self {
        self.map(|value| value / divisor)
    }
}

impl<'a> IntoIterator for &'a JointVector {
    type Item = &'a f64;
    type IntoIter = std::slice::Iter<'a, f64>;
    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut JointVector {
    type Item = &'a mut f64;
    type IntoIter = std::slice::IterMut<'a, f64>;
    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl From<JointVector> for Vec<f64> {
    #[inline]
    fn from(joints: JointVector) -> Self {
        joints.to_vec()
    }
}

impl TryFrom<Vec<f64>> for JointVector {
    type Error = String;
    #[inline]
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
    /// Increments with each image of this camera: distinguishes a frozen camera from a static scene.
    pub sequence: u64,
}

/// Measured state of the arm at one time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proprioception {
    /// Joint positions \[rad\], chain order.
    pub joint_positions: JointVector,
    /// Joint velocities \[rad/s\], chain order.
    pub joint_velocities: JointVector,
    /// Joint efforts \[Nm\], chain order; NaN-free, zero if the arm does not report them.
    pub joint_efforts: JointVector,
    /// Distance of one finger from the gripper's center \[m\] (the WidowX reports fingers, not the full opening).
    pub finger_position: f64,
    /// Gripper opening as a fraction of the arm's usable travel: 0 closed, 1 open (may leave 0..1 a little).
    pub gripper: f64,
    /// When it was measured.
    pub measured_at: Timestamp,
}

/// All inputs of a policy at one time.
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
    /// Decision time of this observation.
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
    fn arithmetic_is_joint_by_joint() {
        let (a, b) = (JointVector::from_slice(&[1.0, -2.0]), JointVector::from_slice(&[0.5, 4.0]));
        assert_eq!(&*(a + b), &[1.5, 2.0]);
        assert_eq!(&*(a - b), &[0.5, -6.0]);
        assert_eq!(&*-a, &[-1.0, 2.0]);
        assert_eq!((a * 2.0, a / 0.5), (2.0 * a, JointVector::from_slice(&[2.0, -4.0])));
        assert_eq!(&*a.map(f64::abs), &[1.0, 2.0]);
        assert_eq!(&*a.zip_map(b, f64::max), &[1.0, 4.0]);
        let mut sum = a;
        sum += b;
        sum -= a;
        assert_eq!(sum, b);
        assert_eq!((&a).into_iter().sum::<f64>(), -1.0);
    }

    #[test]
    fn lengths_that_differ_give_nan_and_the_largest_value_keeps_nan() {
        let (two, three) = (JointVector::zeros(2), JointVector::zeros(3));
        for sum in [two + three, three - two, JointVector::zeros(0) + three] {
            assert_eq!(sum.len(), 3);
            assert!(sum.iter().all(|value| value.is_nan()) && sum.max_abs().is_nan());
        }
        for numbers in [[1.0, -3.0, f64::NAN], [f64::NAN, 3.0, -4.0], [3.0, f64::NAN, 1.0]] {
            assert!(JointVector::from_slice(&numbers).max_abs().is_nan());
        }
        assert_eq!(JointVector::from_slice(&[1.0, -3.0]).max_abs(), 3.0);
        assert_eq!(JointVector::filled(0, 1.0).max_abs(), 0.0);
    }

    #[test]
    fn nan_is_not_finite() {
        assert!(!JointVector::from_slice(&[0.0, f64::NAN]).is_finite());
    }
}
