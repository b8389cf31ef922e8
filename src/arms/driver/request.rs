//! What an arm's control thread requests of the thread that owns the arm's link: the same words for every link with such a thread.
//!
//! A [`Setpoint`] crosses as a newest value and may be overwritten before it is read. A [`Request`] is a call: the control thread waits
//! for its [`Reply`], while the arm is not active. The thread stops the arm and ends when the driver is dropped.
//!
//! The WidowX over ROS 2 has a thread but no calls of this kind: activation and recovery are services that the control thread calls
//! itself, while its thread sends nothing. A serial bus has no thread.

use visuomotor_core::action::{ControlMode, JointCommand};

use super::{ConnectError, DriverError, Finding};

/// What the arm shall do from now on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Setpoint {
    /// Stop and stay.
    Hold,
    /// Follow this command.
    Follow(JointCommand),
}

/// A call; `A` is what activation needs beside the mode.
#[derive(Clone, Debug)]
pub enum Request<A> {
    /// Be active in this mode, holding the measured position.
    Activate(ControlMode, A),
    /// Clear faults and reconnect where needed, while the arm holds.
    Recover,
    /// Findings of the link for `check`. Ends a motion.
    Survey,
}

/// The reply to the [`Request`] of the same name.
#[derive(Debug)]
pub enum Reply {
    /// Active, or why not.
    Activated(Result<(), DriverError>),
    /// Ready to be activated, or why not.
    Recovered(Result<(), ConnectError>),
    /// Findings beyond those common to every arm, and round-trip times of calls \[s\].
    Surveyed(Vec<Finding>, Vec<f64>),
}
