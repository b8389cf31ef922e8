//! A `geometry_msgs/TwistStamped` from anything on ROS 2: joystick nodes, MoveIt Servo's tools, a phone.
//!
//! Velocities in the base frame, \[m/s\] and \[rad/s\]; sending is the dead-man. The gripper (0 closed .. 1 open) is a
//! `std_msgs/Float64` on `TOPIC/gripper`; buttons are those of the terminal or the page.

use super::{DeviceError, Motion, Reading, TeleopDevice};
use crate::transport::ros2::messages::geometry::TwistStamped;
use crate::transport::ros2::messages::std::Float64;
use crate::transport::ros2::{Qos, RosError, RosNode, RosSettings, RosSubscriber};
use visuomotor_core::config::TeleopSetting;
use visuomotor_core::time::Timestamp;

/// The default topic.
const TOPIC: &str = "/teleop/twist";

/// A subscriber of twists.
pub struct RosTwist {
    subscriber: RosSubscriber<TwistStamped>,
    /// The node lives as long as its subscriber.
    _node: RosNode,
    speed: f64,
    turn: f64,
    newest: Option<Reading>,
    gripper_targets: RosSubscriber<Float64>,
    gripper: Option<f64>,
}

impl RosTwist {
    /// Subscribes. Velocities are scaled by the launch file's full speeds and clipped to them.
    pub fn open(settings: RosSettings, setting: &TeleopSetting) -> Result<Self, DeviceError> {
        let topic = setting.topic.as_deref().unwrap_or(TOPIC);
        let unusable = |error: RosError| DeviceError::Unusable {
            device: "ros2",
            place: topic.into(),
            cause: error.to_string(),
            fix: "see ROS_DOMAIN_ID and teleop.topic".into(),
        };
        let node = RosNode::start(settings).map_err(unusable)?;
        let subscriber = node.subscriber(topic, Qos::Sensor).map_err(unusable)?;
        let gripper_targets = node.subscriber(&format!("{topic}/gripper"), Qos::State).map_err(unusable)?;
        Ok(Self {
            subscriber,
            gripper_targets,
            gripper: None,
            _node: node,
            speed: setting.speed,
            turn: setting.turn,
            newest: None,
        })
    }
}

impl TeleopDevice for RosTwist {
    fn name(&self) -> &'static str {
        "ros2"
    }

    fn newest(&mut self, now: Timestamp) -> Result<Option<Reading>, DeviceError> {
        let gone = |error: RosError| DeviceError::Gone { device: "ros2", cause: error.to_string() };
        if let Some(Float64 { data }) = self.gripper_targets.newest().map_err(gone)? {
            self.gripper = Some(data);
        }
        let said = self.subscriber.newest().map_err(gone)?;
        if let Some(TwistStamped { twist, .. }) = said {
            // NaN stays NaN through clamp, and the guard rejects it.
            let along = [twist.linear.x, twist.linear.y, twist.linear.z].map(|v| (v / self.speed).clamp(-1.0, 1.0));
            let about = [twist.angular.x, twist.angular.y, twist.angular.z].map(|w| (w / self.turn).clamp(-1.0, 1.0));
            let engaged = along.iter().chain(&about).any(|value| *value != 0.0);
            self.newest =
                Some(Reading { motion: Motion::Deflection { along, about }, engaged, gripper: self.gripper, at: now });
        }
        Ok(self.newest)
    }
}
