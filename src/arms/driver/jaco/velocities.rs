//! The velocities that were sent, and which may follow.
//!
//! A message acts for one step of the arm: after a pause in sending the arm stands still, and the next command starts from rest.

use std::time::Duration;

use super::limits::STEP;
use visuomotor_core::config::Robot;
use visuomotor_core::observation::JointVector;

/// Silence after which the arm stands still: two steps without a message.
const STANDS: Duration = Duration::from_millis(30);

/// Velocities of one arm.
#[derive(Clone)]
pub(super) struct Velocities {
    /// Largest velocity of each joint \[rad/s\].
    limit: Vec<f64>,
    /// Largest change from one message to the next \[rad/s\].
    step: Vec<f64>,
    sent: JointVector,
}

impl Velocities {
    /// At rest.
    pub fn new(robot: &Robot) -> Self {
        let step = STEP.as_secs_f64();
        Self {
            limit: robot.limits.joint_velocity.clone(),
            step: robot.limits.joint_acceleration.iter().map(|a| 1.25 * a * step).collect(),
            sent: JointVector::zeros(robot.joint.len()),
        }
    }

    /// Velocities sent last \[rad/s\].
    pub fn sent(&self) -> &JointVector {
        &self.sent
    }

    /// Records velocities as sent \[rad/s\].
    pub fn send(&mut self, values: &JointVector) {
        self.sent = *values;
    }

    /// The arm stands.
    pub fn rest(&mut self) {
        self.sent.fill(0.0);
    }

    /// One step from the last velocities towards these \[rad/s\]; NaN means zero.
    pub fn toward(&self, wish: &JointVector) -> JointVector {
        let mut out = self.sent;
        for joint in 0..out.len() {
            let (limit, step) = (self.limit[joint], self.step[joint]);
            let wish = if wish[joint].is_finite() { wish[joint].clamp(-limit, limit) } else { 0.0 };
            out[joint] += (wish - self.sent[joint]).clamp(-step, step);
        }
        out
    }

    /// Nothing was sent for this long. Does the arm stand still by itself by now?
    pub fn paused(&mut self, pause: Duration) -> bool {
        let stands = pause > STANDS;
        if stands {
            self.rest();
        }
        stands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_pause_the_arm_begins_at_rest() {
        let robot = Robot::load(std::path::Path::new(crate::CHECKOUT), "jaco_j2s7s300").unwrap();
        let mut velocities = Velocities::new(&robot);
        let wish = JointVector::from_slice(&[0.3; 7]);
        for _ in 0..50 {
            velocities.send(&velocities.toward(&wish));
        }
        assert_eq!(velocities.sent()[0], 0.3);
        assert!(!velocities.paused(Duration::from_millis(20)) && velocities.sent()[0] == 0.3);
        assert!(velocities.paused(Duration::from_millis(50)));
        let first = velocities.toward(&wish);
        let step = 1.25 * 0.01 * robot.limits.joint_acceleration[0];
        assert!((first[0] - step).abs() < 1e-12, "{}", first[0]);
        assert_eq!(velocities.toward(&JointVector::from_slice(&[f64::NAN; 7]))[0], 0.0);
    }
}
