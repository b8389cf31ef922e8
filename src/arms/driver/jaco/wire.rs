//! Jaco's messages, pure: rad/s to deg/s, torques, fingers in turns, twists.

use std::f64::consts::PI;

use crate::transport::ros2::messages::kinova::{FingerPosition, JointTorque, JointVelocity, PoseVelocity};
use visuomotor_core::observation::JointVector;

/// Turns units of a closed finger.
pub const CLOSED: f64 = 6800.0;

/// Angle of a closed finger \[deg\]: the driver's own conversion.
const CLOSED_DEGREES: f64 = 80.0;

/// `out/joint_state` and all other names, in the arm's namespace.
pub fn namespace(kind: &str) -> String {
    format!("/{kind}_driver")
}

/// Numbers in the message's seven fields, 0 where the arm has no joint.
fn seven(values: &JointVector, scale: f64) -> [f32; 7] {
    let mut out = [0.0; 7];
    for (to, value) in out.iter_mut().zip(values.iter()) {
        *to = (value * scale) as f32;
    }
    out
}

/// `joints` numbers of seven, `None` when one is not finite.
fn first(values: [f32; 7], joints: usize, scale: f64) -> Option<JointVector> {
    let mut out = JointVector::zeros(joints);
    for (to, value) in out.iter_mut().zip(values) {
        *to = f64::from(value) * scale;
    }
    out.is_finite().then_some(out)
}

/// A step at these velocities \[rad/s\].
pub fn velocity(values: &JointVector) -> JointVelocity {
    JointVelocity::from_array(seven(values, 180.0 / PI))
}

/// Velocities of a step \[rad/s\].
pub fn requested_velocities(message: &JointVelocity, joints: usize) -> Option<JointVector> {
    first(message.to_array(), joints, PI / 180.0)
}

/// A step at these torques \[Nm\].
pub fn torque(values: &JointVector) -> JointTorque {
    JointTorque::from_array(seven(values, 1.0))
}

/// Torques of a step \[Nm\].
pub fn requested_torques(message: &JointTorque, joints: usize) -> Option<JointVector> {
    first(message.to_array(), joints, 1.0)
}

/// Fingers at this angle \[rad\], all alike.
pub fn fingers(angle: f64) -> FingerPosition {
    let turns = (angle * 180.0 / PI * CLOSED / CLOSED_DEGREES).clamp(0.0, CLOSED) as f32;
    FingerPosition { finger1: turns, finger2: turns, finger3: turns }
}

/// Angle of the first finger \[rad\].
pub fn finger_angle(message: &FingerPosition) -> f64 {
    f64::from(message.finger1) * CLOSED_DEGREES / CLOSED * PI / 180.0
}

/// A step of the tool along the base axes: x, y, z \[m/s\], about x, y, z \[rad/s\].
pub fn twist(values: [f64; 6]) -> PoseVelocity {
    let [x, y, z, rx, ry, rz] = values.map(|value| value as f32);
    PoseVelocity {
        twist_linear_x: x,
        twist_linear_y: y,
        twist_linear_z: z,
        twist_angular_x: rx,
        twist_angular_y: ry,
        twist_angular_z: rz,
    }
}

/// Tool velocity of a step: x, y, z \[m/s\], about x, y, z \[rad/s\]; none when a number is not finite.
pub fn requested_twist(message: &PoseVelocity) -> Option<[f64; 6]> {
    let values = [
        message.twist_linear_x,
        message.twist_linear_y,
        message.twist_linear_z,
        message.twist_angular_x,
        message.twist_angular_y,
        message.twist_angular_z,
    ];
    values.iter().all(|value| value.is_finite()).then(|| values.map(f64::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn velocities_are_degrees_at_the_wire() {
        let asked = JointVector::from_slice(&[PI / 5.0, 0.0, -0.1, 0.0, 0.0, 0.2]);
        let message = velocity(&asked);
        assert!((message.joint1 - 36.0).abs() < 1e-5);
        assert_eq!(message.joint7, 0.0);
        let back = requested_velocities(&message, 6).unwrap();
        assert!(back.iter().zip(asked.iter()).all(|(a, b)| (a - b).abs() < 1e-7));
        assert_eq!(requested_velocities(&JointVelocity { joint2: f32::NAN, ..message }, 6), None);
    }

    #[test]
    fn fingers_are_turns_at_the_wire() {
        assert_eq!(fingers(0.0).finger2, 0.0);
        assert_eq!(fingers(9.0).finger3, 6800.0);
        assert!((finger_angle(&fingers(1.2)) - 1.2).abs() < 1e-6);
    }
}
