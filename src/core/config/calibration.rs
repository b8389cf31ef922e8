//! `calibration/<station>/<camera>.toml`: pose and intrinsics of a camera. Written by a calibration, not by hand.

use std::path::Path;

use nalgebra::{Quaternion, UnitQuaternion, Vector3};
use serde::{Deserialize, Serialize};

use super::{ConfigError, load};
use crate::geometry::Pose;

/// One camera's intrinsics and pose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraCalibration {
    /// Source: `simulation` or a calibration method.
    pub method: String,
    /// Date, ISO 8601.
    pub date: String,
    /// Reprojection residual \[pixels\].
    pub residual: f64,
    /// Image width \[pixels\].
    pub width: u32,
    /// Image height \[pixels\].
    pub height: u32,
    /// Focal length along y \[pixels\]; pixels are square.
    pub focal_length: f64,
    /// Camera position in the base frame \[m\].
    pub position: [f64; 3],
    /// Camera orientation in the base frame (w, x, y, z); the camera looks along its -z with y up (OpenGL, MuJoCo).
    pub quat_wxyz: [f64; 4],
}

impl CameraCalibration {
    /// Reads and checks a calibration file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let calibration: Self = load(path)?;
        let bad = |key: &str, found: String, expected: &str| {
            Err(ConfigError::unfit(path, key, found, expected, "run the calibration again"))
        };
        if calibration.width == 0 || calibration.height == 0 {
            return bad("width", format!("{}x{}", calibration.width, calibration.height), "at least 1x1");
        }
        if !(calibration.focal_length > 0.0 && calibration.focal_length.is_finite()) {
            return bad("focal_length", calibration.focal_length.to_string(), "a positive number of pixels");
        }
        let norm = calibration.quat_wxyz.iter().map(|v| v * v).sum::<f64>().sqrt();
        if !((norm - 1.0).abs() < 1e-3) {
            return bad("quat_wxyz", format!("norm {norm}"), "norm 1");
        }
        Ok(calibration)
    }

    /// Vertical field of view \[rad\].
    pub fn vertical_field_of_view(&self) -> f64 {
        2.0 * (f64::from(self.height) * 0.5 / self.focal_length).atan()
    }

    /// Pose of the camera in the base frame.
    pub fn base_from_camera(&self) -> Pose {
        let [w, x, y, z] = self.quat_wxyz;
        let [px, py, pz] = self.position;
        Pose::from_parts(Vector3::new(px, py, pz).into(), UnitQuaternion::from_quaternion(Quaternion::new(w, x, y, z)))
    }
}
