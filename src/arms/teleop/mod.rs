//! A person drives: devices, what they say, and how that becomes Bridge actions.
//!
//! Start at [`TeleopSource`], the action source of a demonstration: it asks a [`TeleopDevice`] for its newest
//! [`Reading`], lets [`Guard`] decide whether that may be believed, and [`Mapping`] turn it into an action like a
//! policy's. Every device has a dead-man or a clutch (`Reading::engaged`); a device that falls silent, jumps or sends
//! garbage leaves the arm standing within its time-out, and has to be let go and taken again. In a policy's run [`Handover`]
//! pauses, takes over and hands back.
//!
//! | device | bytes come from | dead-man |
//! |---|---|---|
//! | keyboard | this terminal | keys repeat while held, else time-out |
//! | gamepad | `/dev/input/js*`, or a browser through the page | right shoulder button held |
//! | SpaceMouse | `/dev/hidraw*` | the cap springs back |
//! | Quest | adb's server, the log lines of oculus_reader | grip held (clutch) |
//! | leader | a WidowX without torque on its own bus | space in the terminal toggles |
//! | UDP, ROS 2 | JSON datagrams, `geometry_msgs/TwistStamped` | a field; talking itself |

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

pub use gamepad::{GamepadDecoder, Pad, PadState, open_gamepad};
pub use guard::{Guard, Trouble};
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

/// What a device's hand does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Motion {
    /// Deflection of a stick, cap or key, -1..1 along and about x (forward), y (left), z (up) as its user sits: a speed.
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
    /// What its hand does.
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
    /// It was there and is gone.
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

/// A device. Wishes of its buttons go to the [`visuomotor_core::operator::Operator`] it was opened with.
pub trait TeleopDevice: Send {
    /// Kind, as in launch files.
    fn name(&self) -> &'static str;
    /// Its newest reading; `None` before the first.
    fn newest(&mut self, now: Timestamp) -> Result<Option<Reading>, DeviceError>;
    /// What the arm senses; for devices that look or push back.
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

/// How often the threads of devices look up from waiting.
const NAP: Duration = Duration::from_millis(20);
