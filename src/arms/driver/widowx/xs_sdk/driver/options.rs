//! How a WidowX behind `xs_sdk` is connected.

use crate::driver::guard::Guarding;
use crate::transport::ros2::RosSettings;

/// How the gripper motor is driven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GripperDrive {
    /// By force (`pwm`), with the position loop here, as Bridge does: gives way instead of overloading.
    #[default]
    Pwm,
    /// By the opening in meters (`linear_position`); closing on an object for long trips the servo's overload.
    LinearPosition,
}

impl GripperDrive {
    /// Operating mode of the node.
    pub(super) fn mode(self) -> &'static str {
        match self {
            GripperDrive::Pwm => "pwm",
            GripperDrive::LinearPosition => "linear_position",
        }
    }
}

/// How the arm is connected.
#[derive(Clone, Debug, PartialEq)]
pub struct XsSdkOptions {
    /// Where on the ROS 2 graph; the namespace is the arm's (`/wx250s` as shipped).
    pub settings: RosSettings,
    /// How the gripper motor is driven.
    pub gripper: GripperDrive,
    /// Longest wait for the node when connecting, and for each of its responses \[s\].
    pub patience: f64,
    /// State older than this is silence \[s\]: five states. A register read stalls the node's 100 Hz (a servo takes 17 ms at the
    /// USB adapter's 16 ms latency). During a read the limit is three states and twice the last read's duration where that is more,
    /// never more than 0.2 s on top.
    pub silence: f64,
    /// Bus watchdog of the servos \[s\]: they stop when the node or its cable dies.
    pub watchdog: f64,
    /// In velocity mode the arm is stopped when no command came for this long \[s\].
    pub command_gap: f64,
    /// Shortest period of polling each servo for hardware errors \[s\]; one that looks dead is polled at once.
    pub health_period: f64,
    /// What stops the arm in velocity mode when this program is gone.
    pub guarding: Guarding,
}

impl XsSdkOptions {
    /// Defaults.
    pub fn new(settings: RosSettings) -> Self {
        Self {
            settings,
            gripper: GripperDrive::default(),
            patience: 5.0,
            silence: 0.05,
            watchdog: 0.2,
            command_gap: 0.1,
            health_period: 0.1,
            guarding: Guarding::None,
        }
    }
}
