//! The tool on a spring to its reference pose: `tau = J^T (K dx - D v) + N (K_n (home - q) - D_n dq) + coriolis`.
//!
//! On top of gravity compensation \[Nm\]. `N = I - J^T (J J^T)^-1 J` projects posture torques into the nullspace (the projector
//! of libfranka's example, not the dynamically consistent one: elbow motion disturbs the tool a little). The error is
//! clipped before the spring, so that a far target pulls no harder than a near one. Base frame, meters, radians.

use nalgebra::{Matrix6, SVector, Vector6};

use visuomotor_core::geometry::Pose;
use visuomotor_core::kinematics::{Chain, pose_error};
use visuomotor_core::observation::{JointVector, MAX_JOINTS, Proprioception};

/// Damping of the projector near singularities.
const LOST: f64 = 1e-6;

/// Springs and dampers of the tool and of the posture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CartesianImpedance {
    /// Stiffness along \[N/m\] and about \[Nm/rad\] the base axes.
    pub stiffness: [f64; 6],
    /// Damping along \[N s/m\] and about \[Nm s/rad\] the base axes.
    pub damping: [f64; 6],
    /// The distance error is clipped to this \[m\].
    pub longest: f64,
    /// The angle error is clipped to this \[rad\].
    pub widest: f64,
    /// Nullspace stiffness of each joint \[Nm/rad\], for redundant arms.
    pub posture_stiffness: JointVector,
    /// Nullspace damping of each joint \[Nm s/rad\].
    pub posture_damping: JointVector,
}

impl CartesianImpedance {
    /// Torques \[Nm\] that pull the tool toward `reference`; `coriolis` \[Nm\] as in [`super::JointImpedance::torque`].
    pub fn torque(
        &self,
        chain: &Chain,
        reference: &Pose,
        measured: &Proprioception,
        coriolis: &JointVector,
    ) -> JointVector {
        let count = chain.joints();
        let mut q = SVector::<f64, MAX_JOINTS>::zeros();
        let mut speed = q;
        let mut home = q;
        for joint in 0..count {
            // A missing number must not become zero.
            let of = |vector: &JointVector| vector.get(joint).copied().unwrap_or(f64::NAN);
            q[joint] = of(&measured.joint_positions);
            speed[joint] = of(&measured.joint_velocities);
            home[joint] = of(chain.home());
        }
        let jacobian = chain.jacobian(&measured.joint_positions);
        let (mut translation, mut rotation) = pose_error(&chain.forward(&measured.joint_positions), reference);
        for (error, most) in [(&mut translation, self.longest), (&mut rotation, self.widest)] {
            let length = error.norm();
            if length > most {
                *error *= most / length;
            }
        }
        let error = Vector6::new(translation.x, translation.y, translation.z, rotation.x, rotation.y, rotation.z);
        let wrench = Vector6::from(self.stiffness).component_mul(&error)
            - Vector6::from(self.damping).component_mul(&(jacobian * speed));
        let mut torque = jacobian.transpose() * wrench;
        if count > 6 {
            let mut posture = SVector::<f64, MAX_JOINTS>::zeros();
            for joint in 0..count {
                posture[joint] = self.posture_stiffness[joint] * (home[joint] - q[joint])
                    - self.posture_damping[joint] * speed[joint];
            }
            let normal = jacobian * jacobian.transpose() + Matrix6::from_diagonal_element(LOST);
            // Only non-finite numbers make this fail; the torque is then not finite either.
            if let Some(factored) = normal.cholesky() {
                torque += posture - jacobian.transpose() * factored.solve(&(jacobian * posture));
            }
        }
        let mut out = JointVector::zeros(count);
        for (joint, value) in out.iter_mut().enumerate() {
            *value = torque[joint] + coriolis.get(joint).copied().unwrap_or(f64::NAN);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nalgebra::{Translation3, UnitQuaternion, Vector3};

    use super::*;
    use visuomotor_core::config::Robot;
    use visuomotor_core::time::Timestamp;

    fn widowx() -> Chain {
        Chain::from_robot(&Robot::load(Path::new(crate::CHECKOUT), "widowx").unwrap()).unwrap()
    }

    fn measured(chain: &Chain, speed: f64) -> Proprioception {
        let mut joint_velocities = JointVector::zeros(chain.joints());
        joint_velocities.fill(speed);
        Proprioception {
            joint_positions: *chain.home(),
            joint_velocities,
            joint_efforts: JointVector::zeros(chain.joints()),
            finger_position: 0.02,
            gripper: 1.0,
            measured_at: Timestamp::ZERO,
        }
    }

    fn law() -> CartesianImpedance {
        CartesianImpedance {
            stiffness: [100.0, 100.0, 100.0, 5.0, 5.0, 5.0],
            damping: [10.0, 10.0, 10.0, 0.5, 0.5, 0.5],
            longest: 0.05,
            widest: 0.3,
            posture_stiffness: JointVector::from_slice(&[1.0; 8]),
            posture_damping: JointVector::from_slice(&[0.2; 8]),
        }
    }

    /// Work per radian of each joint against a wrench at the tool, from the pose's own derivative: no Jacobian involved.
    fn virtual_work(chain: &Chain, force: &Vector3<f64>, moment: &Vector3<f64>) -> Vec<f64> {
        let step = 1e-6;
        (0..chain.joints())
            .map(|joint| {
                let (mut before, mut after) = (*chain.home(), *chain.home());
                before[joint] -= step;
                after[joint] += step;
                let (before, after) = (chain.forward(&before), chain.forward(&after));
                let linear = (after.translation.vector - before.translation.vector) / (2.0 * step);
                let angular = (after.rotation * before.rotation.inverse()).scaled_axis() / (2.0 * step);
                force.dot(&linear) + moment.dot(&angular)
            })
            .collect()
    }

    #[test]
    fn the_torque_does_the_work_of_the_spring() {
        let chain = widowx();
        let still = measured(&chain, 0.0);
        let here = chain.forward(chain.home());
        let away = Vector3::new(0.01, -0.02, 0.015);
        let turn = Vector3::new(0.05, 0.02, -0.04);
        let goal = Pose::from_parts(
            Translation3::from(here.translation.vector + away),
            UnitQuaternion::from_scaled_axis(turn) * here.rotation,
        );
        let torque = law().torque(&chain, &goal, &still, &JointVector::zeros(6));
        let expected = virtual_work(&chain, &(100.0 * away), &(5.0 * turn));
        for joint in 0..6 {
            assert!((torque[joint] - expected[joint]).abs() < 1e-6, "{torque:?} {expected:?}");
        }
        // At the goal and at rest the spring is zero, and Coriolis torques pass through.
        let coriolis = JointVector::from_slice(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]);
        let torque = law().torque(&chain, &here, &still, &coriolis);
        assert!((0..6).all(|joint| (torque[joint] - coriolis[joint]).abs() < 1e-9), "{torque:?}");
    }

    #[test]
    fn a_far_target_pulls_no_harder_than_the_clip_and_motion_is_braked() {
        let chain = widowx();
        let here = chain.forward(chain.home());
        let still = measured(&chain, 0.0);
        let shifted = |meters: f64| {
            let place = here.translation.vector + Vector3::new(meters, 0.0, 0.0);
            Pose::from_parts(place.into(), here.rotation)
        };
        let none = JointVector::zeros(6);
        let near = law().torque(&chain, &shifted(0.05), &still, &none);
        let far = law().torque(&chain, &shifted(5.0), &still, &none);
        assert!((0..6).all(|joint| (near[joint] - far[joint]).abs() < 1e-9), "{near:?} {far:?}");
        let moving = measured(&chain, 0.5);
        let braking = law().torque(&chain, &here, &moving, &none);
        let power: f64 = braking.iter().map(|torque| torque * 0.5).sum();
        assert!(power < -1e-3, "{power} W");
    }

    #[test]
    fn missing_or_non_finite_inputs_give_a_non_finite_torque() {
        let chain = widowx();
        let here = chain.forward(chain.home());
        let none = JointVector::zeros(6);
        let mut broken = measured(&chain, 0.0);
        broken.joint_velocities[2] = f64::NAN;
        assert!(!law().torque(&chain, &here, &broken, &none).is_finite());
        let mut short = measured(&chain, 0.0);
        short.joint_positions = JointVector::zeros(5);
        assert!(!law().torque(&chain, &here, &short, &none).is_finite());
        assert!(!law().torque(&chain, &here, &measured(&chain, 0.0), &JointVector::zeros(5)).is_finite());
    }
}
