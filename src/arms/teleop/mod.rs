//! Teleoperation: devices, their readings, and how readings become Bridge actions.
//!
//! Start at [`TeleopSource`], the action source of a demonstration: it takes the newest [`Reading`] of a [`TeleopDevice`], lets
//! [`Guard`] decide whether it may be used, and [`Mapping`] turn it into an action like a policy's. Every device has a dead-man or
//! a clutch (`Reading::engaged`). A device that falls silent, jumps or sends invalid numbers stops the arm within its time-out; the
//! operator must release it and grip again. In a policy's run [`Handover`] pauses, takes over and hands back.
//!
//! | device | bytes come from | dead-man |
//! |---|---|---|
//! | keyboard | this terminal | keys repeat while held, else time-out |
//! | gamepad | `/dev/input/js*`, or a browser through the page | right shoulder button held |
//! | SpaceMouse | `/dev/hidraw*` | the cap springs back |
//! | Quest | adb's server, the log lines of oculus_reader | grip held (clutch) |
//! | leader | a WidowX without torque on its own bus | space in the terminal toggles |
//! | UDP, ROS 2 | JSON datagrams, `geometry_msgs/TwistStamped` | a field; ROS 2: sending itself |

mod adb;
mod gamepad;
mod guard;
mod handover;
mod keyboard;
#[cfg(feature = "dynamixel")]
mod leader;
mod mapping;
mod quest;
#[cfg(feature = "ros2")]
mod ros2;
mod source;
mod spacemouse;
mod stream;
mod udp;

use std::time::Duration;

pub use gamepad::{GamepadDecoder, Pad, PadLayout, PadState, UnknownPad, open_gamepad};
pub use guard::{DeviceFault, Guard};
pub use handover::{Handover, Handovers};
pub use keyboard::{Key, KeyDecoder, Keyboard};
#[cfg(feature = "dynamixel")]
pub use leader::Leader;
pub use mapping::Mapping;
pub use quest::{QuestDecoder, connect_quest};
#[cfg(feature = "ros2")]
pub use ros2::RosTwist;
pub use source::TeleopSource;
pub use spacemouse::{SpaceMouseDecoder, open_spacemouse};
pub use stream::{Decoder, StreamDevice};
pub use udp::{UdpDecoder, UdpTwist};

use visuomotor_core::failure::{Failing, FailureKind};
use visuomotor_core::geometry::Pose;
use visuomotor_core::observation::{JointVector, Observation};
use visuomotor_core::time::Timestamp;

/// Motion part of a reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Motion {
    /// Deflection of a stick, cap or key, -1..1 along and about x (forward), y (left), z (up) as its user sits: a velocity.
    Deflection {
        /// Along the axes.
        along: [f64; 3],
        /// About the axes, right-handed.
        about: [f64; 3],
    },
    /// Pose of a tracked hand in the base frame's directions, about an origin of its own \[m\].
    Hand(Pose),
    /// Joint positions of a leader arm, chain order \[rad\].
    Leader(JointVector),
}

impl Motion {
    /// A stick at rest.
    pub const NONE: Motion = Motion::Deflection { along: [0.0; 3], about: [0.0; 3] };
}

/// A device's newest reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Its motion part.
    pub motion: Motion,
    /// Is the dead-man or clutch held?
    pub engaged: bool,
    /// Gripper target: 0 closed .. 1 open; `None` leaves the last target.
    pub gripper: Option<f64>,
    /// When it was read, on the clock the device was opened with.
    pub at: Timestamp,
}

/// Why a device cannot be used (any more). The arm holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// It cannot be opened.
    #[error("{device} at {place}: cannot be opened ({cause}); {fix}")]
    Unusable {
        /// Kind of device.
        device: &'static str,
        /// File or address.
        place: String,
        /// The operating system's or the device's error.
        cause: String,
        /// What to do.
        fix: String,
    },
    /// It was connected and is lost.
    #[error("{device} is gone ({cause}); plug it in again, then start again")]
    Gone {
        /// Kind of device.
        device: &'static str,
        /// The operating system's error.
        cause: String,
    },
}

impl Failing for DeviceError {
    fn failure(&self) -> FailureKind {
        FailureKind::Machine
    }
}

/// A device. Its button presses go to the [`visuomotor_core::operator::Operator`] it was opened with.
pub trait TeleopDevice: Send {
    /// Kind, as in launch files.
    fn name(&self) -> &'static str;
    /// Its newest reading; `None` before the first.
    fn newest(&mut self, now: Timestamp) -> Result<Option<Reading>, DeviceError>;
    /// Receives what the arm senses; for devices that display it or give force feedback.
    fn feel(&mut self, observation: &Observation) {
        let _ = observation;
    }
    /// A new episode begins.
    fn reset(&mut self) {}
}

impl<D: TeleopDevice + ?Sized> TeleopDevice for Box<D> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn newest(&mut self, now: Timestamp) -> Result<Option<Reading>, DeviceError> {
        (**self).newest(now)
    }

    fn feel(&mut self, observation: &Observation) {
        (**self).feel(observation);
    }

    fn reset(&mut self) {
        (**self).reset();
    }
}

/// How often the threads of devices wake up to check whether to end.
const NAP: Duration = Duration::from_millis(20);
