//! What a guard does to an arm behind `xs_sdk`: zero velocity, again and again. The node cannot be switched off without
//! dropping the arm.

use std::time::{Duration, Instant};

use crate::driver::guard::Brake;
use crate::driver::widowx::wire::xs_sdk::{Order, group_command};
use crate::observation::JointVector;
use crate::transport::ros2::messages::interbotix::JointGroupCommand;
use crate::transport::ros2::messages::sensor::JointState;
use crate::transport::ros2::{Qos, RosError, RosNode, RosPublisher, RosSubscriber};

/// The arm's command topic in the hands of a guard.
pub struct XsSdkBrake {
    group: RosPublisher<JointGroupCommand>,
    states: RosSubscriber<JointState>,
    order: Order,
}

/// Any position: whether the arm stands is all that is asked.
const ANYWHERE: [(f64, f64); 6] = [(-1e3, 1e3); 6];

impl XsSdkBrake {
    /// Waits until the node takes our commands and its states are heard.
    pub fn open(node: &RosNode, patience: Duration) -> Result<Self, RosError> {
        let began = Instant::now();
        let mut states = node.subscriber::<JointState>("joint_states", Qos::State)?;
        let group = node.publisher("commands/joint_group", Qos::Command)?;
        group.wait_for_subscriber(patience)?;
        let Some(first) = states.wait(patience.saturating_sub(began.elapsed()))? else {
            return Err(states.silence(patience));
        };
        let order = Order::of(&first.name).map_err(|found| RosError::Setting {
            what: "the list of joints in joint_states".into(),
            found,
            expected: "those of a WidowX".into(),
            fix: "correct link.namespace".into(),
        })?;
        Ok(Self { group, states, order })
    }
}

impl Brake for XsSdkBrake {
    fn send(&mut self, command: &JointVector) {
        if let Err(error) = self.group.publish(group_command(command)) {
            tracing::warn!("{error}");
        }
    }

    fn switch_off(&mut self) {}

    fn positions(&mut self) -> Option<JointVector> {
        let message = self.states.newest().ok().flatten()?;
        self.order.read(&message, &ANYWHERE).ok().map(|state| state.positions)
    }
}
