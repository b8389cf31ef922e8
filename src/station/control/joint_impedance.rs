//! A spring per joint to its reference, and a damper to ground: `tau = K (q_ref - q) - D dq + coriolis`.
//!
//! On top of gravity compensation \[Nm\]. A pushed arm yields and returns.

use visuomotor_core::observation::{JointVector, Proprioception};

/// Springs and dampers of the joints.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JointImpedance {
    /// Stiffness of each joint \[Nm/rad\].
    pub stiffness: JointVector,
    /// Damping of each joint \[Nm s/rad\].
    pub damping: JointVector,
}

impl JointImpedance {
    /// Torques \[Nm\] toward `reference` \[rad\]; `coriolis` \[Nm\] are the arm's velocity-product torques, zero if unknown.
    pub fn torque(&self, reference: &JointVector, measured: &Proprioception, coriolis: &JointVector) -> JointVector {
        let (q, speed) = (&measured.joint_positions, &measured.joint_velocities);
        let mut torque = JointVector::zeros(reference.len());
        for (joint, value) in torque.iter_mut().enumerate() {
            // A missing number must not become zero.
            let of = |vector: &JointVector| vector.get(joint).copied().unwrap_or(f64::NAN);
            *value = of(&self.stiffness) * (reference[joint] - of(q)) - of(&self.damping) * of(speed) + of(coriolis);
        }
        torque
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visuomotor_core::time::Timestamp;

    #[test]
    fn springs_pull_back_dampers_brake_and_coriolis_is_added() {
        let vector = JointVector::from_slice;
        let law = JointImpedance { stiffness: vector(&[10.0, 20.0]), damping: vector(&[1.0, 2.0]) };
        let measured = Proprioception {
            joint_positions: vector(&[0.1, -0.2]),
            joint_velocities: vector(&[0.5, -1.0]),
            joint_efforts: vector(&[0.0, 0.0]),
            finger_position: 0.02,
            gripper: 1.0,
            measured_at: Timestamp::ZERO,
        };
        let torque = law.torque(&vector(&[0.2, -0.2]), &measured, &vector(&[0.25, 0.0]));
        assert!((torque[0] - (1.0 - 0.5 + 0.25)).abs() < 1e-12 && (torque[1] - 2.0).abs() < 1e-12, "{torque:?}");
        assert!(!law.torque(&vector(&[0.2, -0.2]), &measured, &vector(&[0.0])).is_finite(), "a joint is missing");
    }
}
