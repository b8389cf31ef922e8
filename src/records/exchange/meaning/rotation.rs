//! Ways to write an orientation or a turn as numbers.

use nalgebra::{Matrix3, Quaternion, Rotation3, UnitQuaternion, Vector3};
use visuomotor_core::geometry::{euler_from_rotation, rotation_from_euler};

/// How numbers stand for an orientation or a turn \[rad\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationForm {
    /// Roll, pitch, yaw about fixed axes x, y, z (`R = Rz Ry Rx`), Bridge's.
    EulerXyz,
    /// Axis times angle.
    RotationVector,
    /// Quaternion x, y, z, w, as ROS and SciPy.
    QuaternionXyzw,
    /// Quaternion w, x, y, z, as MuJoCo.
    QuaternionWxyz,
    /// The first two columns of the rotation matrix, one after the other (Zhou et al. 2019, "On the Continuity of Rotation
    /// Representations in Neural Networks").
    SixNumbers,
}

impl RotationForm {
    /// How many numbers it takes.
    pub fn width(self) -> usize {
        match self {
            Self::EulerXyz | Self::RotationVector => 3,
            Self::QuaternionXyzw | Self::QuaternionWxyz => 4,
            Self::SixNumbers => 6,
        }
    }

    /// Name in messages, and of the option's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::EulerXyz => "euler-xyz",
            Self::RotationVector => "rotvec",
            Self::QuaternionXyzw => "quat-xyzw",
            Self::QuaternionWxyz => "quat-wxyz",
            Self::SixNumbers => "rot6d",
        }
    }

    /// The rotation; `None` where the numbers stand for none (a quaternion far from length 1, parallel columns).
    pub fn rotation(self, numbers: &[f64]) -> Option<UnitQuaternion<f64>> {
        let quaternion = |w: f64, x: f64, y: f64, z: f64| {
            let quaternion = Quaternion::new(w, x, y, z);
            // Files hold 32-bit floats, some hold few digits.
            ((quaternion.norm() - 1.0).abs() < 0.02).then(|| UnitQuaternion::from_quaternion(quaternion))
        };
        match (self, numbers) {
            (Self::EulerXyz, [roll, pitch, yaw]) => Some(rotation_from_euler(*roll, *pitch, *yaw)),
            (Self::RotationVector, [x, y, z]) => Some(UnitQuaternion::from_scaled_axis(Vector3::new(*x, *y, *z))),
            (Self::QuaternionXyzw, [x, y, z, w]) | (Self::QuaternionWxyz, [w, x, y, z]) => quaternion(*w, *x, *y, *z),
            (Self::SixNumbers, [a, b, c, d, e, f]) => {
                let first = Vector3::new(*a, *b, *c);
                let second = Vector3::new(*d, *e, *f);
                let lengths = [first.norm(), second.norm()];
                if lengths.iter().any(|length| (length - 1.0).abs() > 0.05) || first.dot(&second).abs() > 0.05 {
                    return None;
                }
                let x = first.normalize();
                let y = (second - x * x.dot(&second)).normalize();
                let matrix = Matrix3::from_columns(&[x, y, x.cross(&y)]);
                Some(UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(matrix)))
            }
            _ => None,
        }
    }

    /// Roll, pitch, yaw \[rad\]. Euler angles stay as they are: outside of +-pi they still count turns.
    pub fn euler(self, numbers: &[f64]) -> Option<[f64; 3]> {
        match (self, numbers) {
            (Self::EulerXyz, [roll, pitch, yaw]) => Some([*roll, *pitch, *yaw]),
            _ => self.rotation(numbers).map(|rotation| euler_from_rotation(&rotation)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers(form: RotationForm, rotation: &UnitQuaternion<f64>) -> Vec<f64> {
        let q = rotation.quaternion();
        let matrix = rotation.to_rotation_matrix();
        match form {
            RotationForm::EulerXyz => euler_from_rotation(rotation).to_vec(),
            RotationForm::RotationVector => rotation.scaled_axis().iter().copied().collect(),
            RotationForm::QuaternionXyzw => vec![q.i, q.j, q.k, q.w],
            RotationForm::QuaternionWxyz => vec![q.w, q.i, q.j, q.k],
            RotationForm::SixNumbers => matrix.matrix().columns(0, 2).iter().copied().collect(),
        }
    }

    proptest! {
        #[test]
        fn every_form_names_the_same_rotation(x in -2.0..2.0f64, y in -2.0..2.0f64, z in -2.0..2.0f64) {
            let rotation = UnitQuaternion::from_scaled_axis(Vector3::new(x, y, z));
            for form in [
                RotationForm::EulerXyz,
                RotationForm::RotationVector,
                RotationForm::QuaternionXyzw,
                RotationForm::QuaternionWxyz,
                RotationForm::SixNumbers,
            ] {
                let written = numbers(form, &rotation);
                prop_assert_eq!(written.len(), form.width());
                let read = form.rotation(&written).unwrap();
                prop_assert!(read.angle_to(&rotation) < 1e-6, "{:?}", form);
            }
        }

        #[test]
        fn any_numbers_are_a_rotation_or_none(numbers in proptest::collection::vec(-1e3..1e3f64, 0..8)) {
            for form in [RotationForm::QuaternionXyzw, RotationForm::SixNumbers, RotationForm::RotationVector] {
                if let Some(rotation) = form.rotation(&numbers) {
                    prop_assert!((rotation.norm() - 1.0).abs() < 1e-9);
                }
            }
        }
    }
}
