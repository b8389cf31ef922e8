//! Poses, twists and the Euler convention.
//!
//! A transform is named `a_from_b`: it maps coordinates in frame `b` to frame `a`, so names cancel when multiplied
//! (`base_from_camera * camera_from_object`). Meters and radians. Quaternions are nalgebra's; MuJoCo's order is
//! (w, x, y, z) and ROS's is (x, y, z, w): both are converted at the edge.

use nalgebra::{Isometry3, Matrix3, Rotation3, UnitQuaternion, Vector3};
use serde::{Deserialize, Serialize};

/// Position \[m\] and orientation of one frame in another.
pub type Pose = Isometry3<f64>;

/// Linear \[m/s\] and angular \[rad/s\] velocity of a frame, linear first (as ROS and Franka; MuJoCo puts rotation first).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Twist {
    /// Linear velocity \[m/s\].
    pub linear: Vector3<f64>,
    /// Angular velocity \[rad/s\].
    pub angular: Vector3<f64>,
}

/// Orientation from roll, pitch, yaw \[rad\]: `R = Rz(yaw) * Ry(pitch) * Rx(roll)` (fixed axes x, y, z).
pub fn rotation_from_euler(roll: f64, pitch: f64, yaw: f64) -> UnitQuaternion<f64> {
    UnitQuaternion::from_euler_angles(roll, pitch, yaw)
}

/// Roll, pitch, yaw \[rad\] with `R = Rz(yaw) * Ry(pitch) * Rx(roll)`; pitch in \[-pi/2, pi/2\].
pub fn euler_from_rotation(rotation: &UnitQuaternion<f64>) -> [f64; 3] {
    let (roll, pitch, yaw) = rotation.euler_angles();
    [roll, pitch, yaw]
}

/// The Bridge data set's reference orientation: tool pointing down, tool z forward (base x).
///
/// Bridge reports Euler angles of `R * R_default^T`, so a gripper that points straight down reads zero
/// (widowx_controller.py of the Bridge robot code).
pub fn bridge_default_rotation() -> UnitQuaternion<f64> {
    let matrix = Matrix3::new(0.0, 0.0, 1.0, 0.0, 1.0, 0.0, -1.0, 0.0, 0.0);
    UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(matrix))
}

/// The axis of an arm's tool frame that points out of its fingers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approach {
    /// x, as Interbotix's and so Bridge's: fingers open along y.
    #[default]
    X,
    /// z, as Franka's, Rethink's and Kinova's: fingers open along y.
    Z,
}

impl Approach {
    /// Bridge's tool frame (x out of the fingers, z forward where they point down) in the arm's tool frame.
    pub fn tool_from_bridge_tool(self) -> UnitQuaternion<f64> {
        let matrix = match self {
            Approach::X => Matrix3::identity(),
            Approach::Z => Matrix3::new(0.0, 0.0, 1.0, 0.0, -1.0, 0.0, 1.0, 0.0, 0.0),
        };
        UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(matrix))
    }
}

/// Position \[m\] and Bridge Euler angles \[rad\] of a tool that approaches along x, in the base frame: x, y, z, roll, pitch, yaw.
pub fn bridge_pose(base_from_tool: &Pose) -> [f64; 6] {
    let relative = base_from_tool.rotation * bridge_default_rotation().inverse();
    let [roll, pitch, yaw] = euler_from_rotation(&relative);
    let p = base_from_tool.translation.vector;
    [p.x, p.y, p.z, roll, pitch, yaw]
}

/// The tool pose that [`bridge_pose`] describes.
pub fn pose_from_bridge(bridge: [f64; 6]) -> Pose {
    let [x, y, z, roll, pitch, yaw] = bridge;
    let rotation = rotation_from_euler(roll, pitch, yaw) * bridge_default_rotation();
    Pose::from_parts(Vector3::new(x, y, z).into(), rotation)
}

/// Wraps an angle to (-pi, pi] \[rad\].
pub fn wrap_angle(angle: f64) -> f64 {
    let turn = std::f64::consts::TAU;
    let wrapped = angle.rem_euclid(turn);
    if wrapped > std::f64::consts::PI { wrapped - turn } else { wrapped }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_gripper_that_points_down_reads_zero() {
        let down = Pose::from_parts(Vector3::new(0.3, 0.0, 0.15).into(), bridge_default_rotation());
        assert_eq!(bridge_pose(&down), [0.3, 0.0, 0.15, 0.0, 0.0, 0.0]);
        // The tool's own x axis (the approach direction) points down in base.
        assert!((down.rotation * Vector3::x() - Vector3::new(0.0, 0.0, -1.0)).norm() < 1e-12);
    }

    proptest! {
        #[test]
        fn bridge_pose_round_trips(x in -1.0..1.0f64, roll in -3.0..3.0f64, pitch in -1.5..1.5f64, yaw in -3.0..3.0f64) {
            let there = pose_from_bridge([x, 0.1, 0.2, roll, pitch, yaw]);
            let back = bridge_pose(&there);
            for (a, b) in back.iter().zip([x, 0.1, 0.2, roll, pitch, yaw]) {
                prop_assert!((a - b).abs() < 1e-9);
            }
        }

        #[test]
        fn euler_is_rz_ry_rx(roll in -3.0..3.0f64, pitch in -1.5..1.5f64, yaw in -3.0..3.0f64) {
            let expected = Rotation3::from_axis_angle(&Vector3::z_axis(), yaw)
                * Rotation3::from_axis_angle(&Vector3::y_axis(), pitch)
                * Rotation3::from_axis_angle(&Vector3::x_axis(), roll);
            let got = rotation_from_euler(roll, pitch, yaw).to_rotation_matrix();
            prop_assert!((expected.matrix() - got.matrix()).norm() < 1e-12);
        }

        #[test]
        fn wrapped_angles_differ_by_whole_turns(angle in -100.0..100.0f64) {
            let wrapped = wrap_angle(angle);
            prop_assert!(wrapped.abs() <= std::f64::consts::PI + 1e-12);
            let turns = (angle - wrapped) / std::f64::consts::TAU;
            prop_assert!((turns - turns.round()).abs() < 1e-9);
        }
    }
}
