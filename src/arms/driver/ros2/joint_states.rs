//! Joint positions for a guard, which only needs to know whether the arm stands still.

use std::time::{Duration, Instant};

use super::state::JointOrder;
use crate::transport::ros2::messages::sensor::JointState;
use crate::transport::ros2::{Qos, RosError, RosNode, RosSubscriber};
use visuomotor_core::observation::JointVector;

/// A topic of joint states, in chain order.
pub struct JointStates {
    states: RosSubscriber<JointState>,
    order: JointOrder,
}

impl JointStates {
    /// Subscribes for these joints.
    pub fn of(node: &RosNode, topic: &str, joints: &[String]) -> Result<Self, RosError> {
        Ok(Self { states: node.subscriber(topic, Qos::State)?, order: JointOrder::new(joints.to_vec()) })
    }

    /// Waits until a state has all the joints.
    pub fn wait(&mut self, patience: Duration) -> Result<(), RosError> {
        let deadline = Instant::now() + patience;
        loop {
            match self.states.wait(deadline.saturating_duration_since(Instant::now()))? {
                Some(message) if matches!(self.order.read(&message), Ok(Some(_))) => return Ok(()),
                Some(_) => {}
                None => return Err(self.states.silence(patience)),
            }
        }
    }

    /// Positions of the newest state since the last call \[rad\].
    pub fn positions(&mut self) -> Option<JointVector> {
        let mut newest = None;
        while let Ok(Some(message)) = self.states.take() {
            if let Ok(Some([positions, ..])) = self.order.read(&message) {
                newest = Some(positions);
            }
        }
        newest
    }
}
