//! The policy's camera in a model.

use visuomotor_core::config::CameraCalibration;
use visuomotor_core::geometry::Pose;

/// Name of the policy's camera in a model.
pub(super) const POLICY_CAMERA: &str = "policy";

/// The MJCF text of a camera with this calibration and pose.
pub(super) fn camera_mjcf(calibration: &CameraCalibration, base_from_camera: &Pose) -> String {
    let (p, q) = (base_from_camera.translation.vector, base_from_camera.rotation);
    let fovy = calibration.vertical_field_of_view().to_degrees();
    format!(
        "<worldbody><camera name=\"{POLICY_CAMERA}\" pos=\"{} {} {}\" quat=\"{} {} {} {}\" fovy=\"{fovy}\"/></worldbody>\n",
        p.x, p.y, p.z, q.w, q.i, q.j, q.k
    )
}
