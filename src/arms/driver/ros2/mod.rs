//! Common parts of drivers over ROS 2: one [`ArmDriver`](super::ArmDriver) over any [`ArmLink`], the bridge thread's work between
//! them, and the loop of an emulated controller.
//!
//! An arm's own `driver.rs` implements [`ArmLink`]: its state topics, its command message for each mode, how it is enabled, held
//! and recovered. Everything that must be the same for every arm is here:
//!
//! - commands go out at the link's pace, each at most one control period's limit away from the one before ([`Stream`]);
//! - when the control thread falls silent for [`LinkOptions::deadline`], the arm is ramped to a hold;
//! - a second publisher on the command topic, a state that is old, not finite or impossible ends the motion;
//! - once the arm's state is unknown it is ramped to rest without it, the command of rest is sent several times, and its controller
//!   is switched off where that is possible ([`Off`]): a forward controller would keep the last velocity or torque;
//! - an arm that keeps moving against its commands ([`Runaway`]) does not receive them: its controller is switched off by its
//!   service at once;
//! - times are times of receipt: a remote clock is never trusted.
//!
//! Start reading at [`ArmLink`], then `worker.rs`; `blind.rs` and `guarding.rs` are its parts for an arm without states and for its
//! guard.

mod arm;
mod blind;
mod emulation;
mod gripper;
mod guarding;
mod silence;
mod joint_states;
mod link;
mod runaway;
#[cfg(test)]
mod silence_tests;
mod state;
mod stream;
mod worker;

pub use arm::{RosArm, check_arm};
pub use emulation::{CommandLog, Controller, Emulation, Received};
pub use gripper::GRIPPER_PATIENCE;
pub use gripper::SlowGripper;
pub use joint_states::JointStates;
pub use link::{ArmLink, Off, OwnHold};
pub use runaway::{Runaway, SHARE as TORQUE_SHARE, found_within};
pub use silence::SilenceWatch;
pub use state::{ArmState, Condition, JointOrder, Turns};
pub use stream::Stream;
pub(in crate::driver) use worker::refused;

use std::time::Duration;

use crate::driver::{ConnectError, FaultCode};
use crate::transport::ros2::RosError;

/// Time limits of a driver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkOptions {
    /// Oldest state that counts: an arm that sends nothing new for longer is silent.
    pub stale: Duration,
    /// Longest silence of the control thread before the arm is ramped to a hold.
    pub deadline: Duration,
    /// Longest wait for the arm's nodes to be found and to respond.
    pub patience: Duration,
}

impl LinkOptions {
    /// For an arm whose state comes with this period: it is silent after two and a half periods, at least 50 ms.
    pub fn for_period(period: Duration) -> Self {
        Self {
            stale: period.mul_f64(2.5).max(Duration::from_millis(50)),
            deadline: Duration::from_millis(100),
            patience: Duration::from_secs(10),
        }
    }
}

/// A code of [`FaultCode`] that every arm over ROS 2 may report: a service or action refused or did not respond.
pub const REFUSED: FaultCode = FaultCode(0x8000_0000);

/// A ROS 2 error as an arm's error.
pub fn connect_error(arm: &str, error: RosError) -> ConnectError {
    let arm = arm.to_string();
    match error {
        RosError::NoPeer { what, seconds, fix } => {
            ConnectError::Silent { arm, link: "ros2".into(), who: format!("the node that {what}"), seconds, fix }
        }
        RosError::Unanswered { service, seconds, fix } => {
            ConnectError::Silent { arm, link: service.clone(), who: service, seconds, fix }
        }
        other => {
            let fix = "see `ros2 node list` and `ros2 topic list`".into();
            ConnectError::Link { arm, link: "ros2".into(), cause: other.to_string(), fix }
        }
    }
}

/// Refuses a command topic on which others publish.
pub(super) fn alone(arm: &str, topic: &str, other_publishers: usize) -> Result<(), ConnectError> {
    if other_publishers == 0 {
        return Ok(());
    }
    Err(ConnectError::Unfit {
        arm: arm.into(),
        link: topic.into(),
        what: "the number of other publishers of commands".into(),
        found: other_publishers.to_string(),
        expected: "0".into(),
        fix: "stop the other program (`ros2 topic info -v` names it); one that was killed is forgotten after a minute"
            .into(),
    })
}
