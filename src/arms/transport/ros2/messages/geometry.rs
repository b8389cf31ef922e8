//! `geometry_msgs`.

use serde::{Deserialize, Serialize};

use super::std::Header;
use crate::transport::ros2::message::ros_messages;

/// `geometry_msgs/msg/Vector3`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Vector3 {
    /// First component, in the field's unit.
    pub x: f64,
    /// Second component, in the field's unit.
    pub y: f64,
    /// Third component, in the field's unit.
    pub z: f64,
}

/// `geometry_msgs/msg/Point`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Along x \[m\].
    pub x: f64,
    /// Along y \[m\].
    pub y: f64,
    /// Along z \[m\].
    pub z: f64,
}

/// `geometry_msgs/msg/Quaternion`: x, y, z, w in this order; no rotation by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quaternion {
    /// i, no unit.
    pub x: f64,
    /// j, no unit.
    pub y: f64,
    /// k, no unit.
    pub z: f64,
    /// Real part, no unit.
    pub w: f64,
}

impl Default for Quaternion {
    fn default() -> Self {
        Self { x: 0.0, y: 0.0, z: 0.0, w: 1.0 }
    }
}

/// `geometry_msgs/msg/Pose`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pose {
    /// Where.
    pub position: Point,
    /// How turned.
    pub orientation: Quaternion,
}

/// `geometry_msgs/msg/Transform`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transform {
    /// Where \[m\].
    pub translation: Vector3,
    /// How turned.
    pub rotation: Quaternion,
}

/// `geometry_msgs/msg/Twist`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Twist {
    /// Velocity \[m/s\].
    pub linear: Vector3,
    /// Angular velocity \[rad/s\].
    pub angular: Vector3,
}

/// `geometry_msgs/msg/Accel`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accel {
    /// Acceleration \[m/s2\].
    pub linear: Vector3,
    /// Angular acceleration \[rad/s2\].
    pub angular: Vector3,
}

/// `geometry_msgs/msg/Wrench`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wrench {
    /// Force \[N\].
    pub force: Vector3,
    /// Torque \[Nm\].
    pub torque: Vector3,
}

/// `geometry_msgs/msg/Inertia`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inertia {
    /// Mass \[kg\].
    pub m: f64,
    /// Center of mass \[m\].
    pub com: Vector3,
    /// About x \[kg m2\].
    pub ixx: f64,
    /// Product x y \[kg m2\].
    pub ixy: f64,
    /// Product x z \[kg m2\].
    pub ixz: f64,
    /// About y \[kg m2\].
    pub iyy: f64,
    /// Product y z \[kg m2\].
    pub iyz: f64,
    /// About z \[kg m2\].
    pub izz: f64,
}

/// Messages of a header and one value.
macro_rules! stamped {
    ($($(#[$doc:meta])* $name:ident { $field:ident: $value:ty }),+ $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
            pub struct $name {
                /// When, and in which frame.
                pub header: Header,
                /// The value.
                pub $field: $value,
            }
        )+
    };
}

stamped! {
    /// `geometry_msgs/msg/PoseStamped`.
    PoseStamped { pose: Pose },
    /// `geometry_msgs/msg/TwistStamped`.
    TwistStamped { twist: Twist },
    /// `geometry_msgs/msg/AccelStamped`.
    AccelStamped { accel: Accel },
    /// `geometry_msgs/msg/WrenchStamped`.
    WrenchStamped { wrench: Wrench },
    /// `geometry_msgs/msg/InertiaStamped`.
    InertiaStamped { inertia: Inertia },
}

/// `geometry_msgs/msg/TransformStamped`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TransformStamped {
    /// When, and the frame it is seen from.
    pub header: Header,
    /// The frame it places.
    pub child_frame_id: String,
    /// The value.
    pub transform: Transform,
}

ros_messages!(
    "geometry_msgs": Vector3, Point, Quaternion, Pose, Transform, Twist, Accel, Wrench, Inertia, PoseStamped, TwistStamped,
    AccelStamped, WrenchStamped, InertiaStamped, TransformStamped
);
