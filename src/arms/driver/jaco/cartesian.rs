//! Tool velocities for Jaco, streamed at exactly 100 Hz: the node's own inverse kinematics moves the joints.
//!
//! Separate from the arm trait, which commands joints: for teleoperation that needs the maker's Cartesian behavior. Do not run it
//! together with an active [`super::driver::Jaco`]; each detects the other as a second commander only on its own topic.

use std::sync::Arc;
use std::time::Duration;

use super::driver::in_namespace;
use super::{limits, wire};
use crate::driver::ConnectError;
use crate::driver::ros2::{alone, connect_error};
use crate::transport::ros2::messages::kinova::PoseVelocity;
use crate::transport::ros2::{Bridge, BridgeWorker, Pacing, Qos, RosNode, RosPublisher, RosSettings};
use visuomotor_core::config::Robot;
use visuomotor_core::time::{Clock, Timestamp};

/// Streams tool velocities; dropping it sends zeros.
pub struct ToolVelocity {
    bridge: Bridge<Steps>,
}

struct Steps {
    arm: String,
    topic: RosPublisher<PoseVelocity>,
    largest: [f64; 6],
    heard: Timestamp,
}

/// Silence of the caller after which zeros are sent.
const DEADLINE: Duration = Duration::from_millis(100);

/// How often the final zeros are sent.
const LAST_WORDS: u32 = 5;

impl ToolVelocity {
    /// Waits for the node to subscribe; sends nothing before the first [`ToolVelocity::send`].
    pub fn connect(
        robot: &Robot,
        settings: RosSettings,
        patience: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConnectError> {
        limits::check(robot)?;
        let arm = robot.identity.name.clone();
        let node = RosNode::start(in_namespace(robot, settings)).map_err(|error| connect_error(&arm, error))?;
        let topic: RosPublisher<PoseVelocity> =
            node.publisher("in/cartesian_velocity", Qos::Command).map_err(|error| connect_error(&arm, error))?;
        topic.wait_for_subscriber(patience).map_err(|error| connect_error(&arm, error))?;
        alone(&arm, topic.topic(), topic.other_publishers())?;
        let (linear, angular) = (robot.limits.tool_velocity, robot.limits.tool_rotation_velocity);
        let largest = [linear, linear, linear, angular, angular, angular];
        let steps = Steps { arm: arm.clone(), topic, largest, heard: Timestamp::ZERO };
        let bridge = Bridge::spawn(&format!("{arm}-tool"), steps, Pacing::Exact(limits::STEP), clock)
            .map_err(|error| connect_error(&arm, error))?;
        Ok(Self { bridge })
    }

    /// Continues at this velocity until another one comes or none comes for 0.1 s: x, y, z \[m/s\], about x, y, z \[rad/s\], base
    /// axes. Each is clipped to the arm's limit; a number that is not finite stops the arm.
    pub fn send(&mut self, twist: [f64; 6]) {
        self.bridge.send(twist);
    }
}

impl BridgeWorker for Steps {
    type State = ();
    type Command = [f64; 6];
    type Request = ();
    type Response = ();

    fn poll(&mut self, _: Timestamp) -> Option<()> {
        None
    }

    fn command(&mut self, now: Timestamp, twist: &[f64; 6], fresh: bool) {
        if fresh {
            self.heard = now;
        }
        let live = now.since(self.heard) <= DEADLINE && twist.iter().all(|value| value.is_finite());
        let mut step = [0.0; 6];
        if live {
            for ((to, value), largest) in step.iter_mut().zip(twist).zip(self.largest) {
                *to = value.clamp(-largest, largest);
            }
        }
        if let Err(error) = self.topic.publish(wire::twist(step)) {
            tracing::warn!("{}: {error}", self.arm);
        }
    }

    fn request(&mut self, _: Timestamp, (): ()) {}

    fn ended(&mut self, _: Timestamp) {
        // The last message may be lost: it is sent several times, still one per step.
        for _ in 0..LAST_WORDS {
            if let Err(error) = self.topic.publish(wire::twist([0.0; 6])) {
                tracing::warn!("{}: {error}", self.arm);
            }
            std::thread::sleep(limits::STEP);
        }
    }
}
