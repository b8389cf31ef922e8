//! What makes a Rust struct a ROS 2 message or service: its package and its name.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A ROS 2 message. Fields stand in the order of the `.msg` file; serde writes them as XCDR1, little endian.
pub trait RosMessage: Serialize + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static {
    /// Package (`sensor_msgs`).
    const PACKAGE: &'static str;
    /// Name (`JointState`).
    const NAME: &'static str;
}

/// A ROS 2 service.
pub trait RosService: 'static {
    /// Package (`interbotix_xs_msgs`).
    const PACKAGE: &'static str;
    /// Name (`TorqueEnable`).
    const NAME: &'static str;
    /// What is asked. A request without fields has one `structure_needs_at_least_one_member: u8`.
    type Request: Serialize + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static;
    /// What is answered; the same rule.
    type Response: Serialize + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static;
}

/// Names the package and type of messages.
macro_rules! ros_messages {
    ($package:literal: $($message:ident),+ $(,)?) => {
        $(impl $crate::transport::ros2::RosMessage for $message {
            const PACKAGE: &'static str = $package;
            const NAME: &'static str = stringify!($message);
        })+
    };
}
pub(crate) use ros_messages;
