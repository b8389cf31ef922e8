//! What makes a Rust struct a ROS 2 message, service or action: its package and its name.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A ROS 2 message. Fields stand in the order of the `.msg` file; serde writes them as XCDR1, little endian.
pub trait RosMessage: Serialize + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static {
    /// Package (`sensor_msgs`).
    const PACKAGE: &'static str;
    /// Name (`JointState`).
    const NAME: &'static str;
    /// Largest message taken from the network \[bytes\]; larger ones are counted and dropped.
    const MAX_BYTES: usize = 64 << 10;
}

/// A ROS 2 service.
pub trait RosService: 'static {
    /// Package (`interbotix_xs_msgs`).
    const PACKAGE: &'static str;
    /// Name (`TorqueEnable`).
    const NAME: &'static str;
    /// The request. One without fields has one `structure_needs_at_least_one_member: u8`.
    type Request: Serialize + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static;
    /// The response; the same rule.
    type Response: Serialize + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static;
}

/// A ROS 2 action.
pub trait RosAction: 'static {
    /// Package (`control_msgs`).
    const PACKAGE: &'static str;
    /// Name (`GripperCommand`).
    const NAME: &'static str;
    /// The goal. One without fields has one `structure_needs_at_least_one_member: u8`.
    type Goal: Serialize + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static;
    /// The result; the same rule.
    type Result: Serialize + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static;
    /// Feedback; the same rule.
    type Feedback: Serialize + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static;
}

/// Names the package and type of messages; `up to N` raises the largest accepted size \[bytes\].
macro_rules! ros_messages {
    ($package:literal: $($message:ident $(up to $bytes:expr)?),+ $(,)?) => {
        $(impl $crate::transport::ros2::RosMessage for $message {
            const PACKAGE: &'static str = $package;
            const NAME: &'static str = stringify!($message);
            $(const MAX_BYTES: usize = $bytes;)?
        })+
    };
}
pub(crate) use ros_messages;
