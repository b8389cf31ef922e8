//! Joint torques of a policy or an impedance law: held between two decisions, and changed within the arm's torque-rate
//! limit.
//!
//! All torques are on top of gravity compensation \[Nm\] (see [`visuomotor_core::action::ControlMode::Torque`]): zero lets the arm float.

use visuomotor_core::config::Robot;
use visuomotor_core::observation::JointVector;

/// The last torque sent, moving toward the requested torque.
#[derive(Clone, Debug)]
pub struct TorqueRamp {
    limit: JointVector,
    rate: JointVector,
    torque: JointVector,
}

impl TorqueRamp {
    /// Starts at zero torque, within the limits of this arm.
    pub fn new(robot: &Robot) -> Self {
        let limit = JointVector::from_slice(&robot.limits.joint_torque);
        let rate = JointVector::from_slice(&robot.limits.joint_torque_rate);
        Self { limit, rate, torque: JointVector::zeros(limit.len()) }
    }

    /// Resets to zero torque.
    pub fn rest(&mut self) {
        self.torque.fill(0.0);
    }

    /// Torque after `elapsed` \[s\] toward `wished` \[Nm\]; non-finite numbers change nothing.
    pub fn toward(&mut self, wished: &JointVector, elapsed: f64) -> JointVector {
        for joint in 0..self.torque.len() {
            let step = self.rate[joint] * elapsed;
            let Some(wish) = wished.get(joint) else { continue };
            if !(wish.is_finite() && step >= 0.0) {
                continue;
            }
            let limit = self.limit[joint];
            let present = self.torque[joint];
            self.torque[joint] = present + (wish.clamp(-limit, limit) - present).clamp(-step, step);
        }
        self.torque
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn ramp() -> (TorqueRamp, Robot) {
        let robot = Robot::load(Path::new(crate::CHECKOUT), "widowx").unwrap();
        (TorqueRamp::new(&robot), robot)
    }

    #[test]
    fn the_slope_is_the_rate_limit_and_the_end_is_the_torque_limit() {
        let (mut ramp, robot) = ramp();
        let wish = JointVector::from_slice(&[1e3, -1e3, 0.01, 0.0, 1e3, -1e3]);
        assert_eq!(ramp.toward(&wish, 0.0), JointVector::zeros(6), "no time allows no change");
        let first = ramp.toward(&wish, 0.001);
        let rate = &robot.limits.joint_torque_rate;
        let expected = [rate[0] * 1e-3, -rate[1] * 1e-3, 0.01, 0.0, rate[4] * 1e-3, -rate[5] * 1e-3];
        for joint in 0..6 {
            assert!((first[joint] - expected[joint]).abs() < 1e-15, "{first:?}");
        }
        for _ in 0..1000 {
            ramp.toward(&wish, 0.001);
        }
        let limit = &robot.limits.joint_torque;
        let end = ramp.toward(&wish, 0.001);
        assert_eq!(&*end, &[limit[0], -limit[1], 0.01, 0.0, limit[4], -limit[5]]);
        ramp.rest();
        assert_eq!(ramp.toward(&wish, 0.0), JointVector::zeros(6));
    }

    #[test]
    fn nonsense_holds_the_torque() {
        let (mut ramp, _) = ramp();
        let held = ramp.toward(&JointVector::from_slice(&[0.1; 6]), 1.0);
        assert_eq!(ramp.toward(&JointVector::from_slice(&[f64::NAN; 6]), 1.0), held);
        assert_eq!(ramp.toward(&JointVector::from_slice(&[1.0; 6]), f64::NAN), held);
        assert_eq!(ramp.toward(&JointVector::zeros(0), 1.0), held);
    }
}
