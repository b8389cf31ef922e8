//! How a guard stops an arm behind `xs_sdk`: it sends zero velocity repeatedly, on the command topic and by service. The node
//! cannot be switched off without dropping the arm.
//!
//! The meaning of the topic's numbers depends on the node's mode: a restarted node is in position mode, where zeros are a goal
//! pose. So nothing is sent on it once no state came for [`GONE`]; the service's command means the same in every mode.

use std::time::{Duration, Instant};

use super::stop::ServiceStop;
use crate::driver::guard::Brake;
use crate::driver::widowx::xs_sdk::wire::{Order, group_command};
use crate::transport::ros2::messages::interbotix::JointGroupCommand;
use crate::transport::ros2::messages::sensor::JointState;
use crate::transport::ros2::{Qos, RosError, RosNode, RosPublisher, RosSubscriber};
use visuomotor_core::observation::JointVector;
use visuomotor_core::time::Timestamp;

/// Silence after which the node may have been restarted: it takes more than a second to start.
const GONE: Duration = Duration::from_millis(500);

/// A guard's access to the arm's command topic and register service.
pub struct XsSdkBrake {
    group: RosPublisher<JointGroupCommand>,
    states: RosSubscriber<JointState>,
    order: Order,
    stop: ServiceStop,
    opened: Instant,
    heard: Instant,
    /// No state came for too long while the arm was being stopped.
    gone: bool,
    stopping: bool,
}

/// Accepts any position: it only matters whether the arm stands still.
const ANYWHERE: [(f64, f64); 6] = [(-1e3, 1e3); 6];

impl XsSdkBrake {
    /// Waits until the node takes our commands and its states arrive.
    pub fn open(node: &RosNode, patience: Duration) -> Result<Self, RosError> {
        let began = Instant::now();
        let mut states = node.subscriber::<JointState>("joint_states", Qos::State)?;
        let group = node.publisher("commands/joint_group", Qos::Command)?;
        let stop = ServiceStop::of(node)?;
        group.wait_for_subscriber(patience)?;
        stop.wait_for_server(patience)?;
        let Some(first) = states.wait(patience.saturating_sub(began.elapsed()))? else {
            return Err(states.silence(patience));
        };
        let order = Order::of(&first.name).map_err(|found| RosError::Setting {
            what: "the list of joints in joint_states".into(),
            found,
            expected: "those of a WidowX".into(),
            fix: "correct link.namespace".into(),
        })?;
        Ok(Self { group, states, order, stop, opened: began, heard: Instant::now(), gone: false, stopping: false })
    }
}

impl Brake for XsSdkBrake {
    fn send(&mut self, command: &JointVector) {
        self.gone |= self.heard.elapsed() > GONE;
        if self.gone {
            return;
        }
        if let Err(error) = self.group.publish(group_command(command)) {
            tracing::warn!("{error}");
        }
    }

    fn switch_off(&mut self) {
        let now = Timestamp::ZERO + self.opened.elapsed();
        if !std::mem::replace(&mut self.stopping, true) {
            self.stop.begin(now);
        }
        self.stop.go_on(now);
    }

    fn positions(&mut self) -> Option<JointVector> {
        let message = self.states.newest().ok().flatten()?;
        self.heard = Instant::now();
        self.order.read(&message, &ANYWHERE).ok().map(|state| state.positions)
    }
}
