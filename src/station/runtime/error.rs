//! Errors that end an episode or a motion early.

use std::time::Duration;

use visuomotor_arms::camera::CameraError;
use visuomotor_arms::driver::DriverError;
use visuomotor_core::action::ActionError;
use visuomotor_core::episode::{LimitReason, SinkError};
use visuomotor_core::failure::{Failing, FailureKind};

/// Why an episode or a motion could not go on. The arm was commanded to hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// No usable image.
    #[error(transparent)]
    Camera(#[from] CameraError),
    /// Driver error.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The arm reports a fault, as the driver's text.
    #[error("the arm stopped: {0}")]
    Fault(String),
    /// The action source failed.
    #[error(transparent)]
    Source(#[from] ActionError),
    /// All decisions have been too late after their images for some time.
    #[error(
        "decisions come {took:.3} s after their image, the limit is {limit:.3} s (the camera's `max_age` and one policy \
         period): use a faster encoder or machine, or lower the policy's `rate_hz`; the arm holds"
    )]
    LateDecisions {
        /// From image to decision \[s\].
        took: f64,
        /// Limit \[s\].
        limit: f64,
    },
    /// A listener failed: a full disk, a closed window.
    #[error("a listener of the episode failed: {0:#}")]
    Sink(SinkError),
    /// A bug.
    #[error("the program panicked: {0}; the arm was commanded to hold: please report this")]
    Panicked(String),
    /// The deadline budget is used up.
    #[error(
        "control periods of {lost:.3} s were missed and too few kept to make up for it, the limit is {limit:.3} s: free the \
         machine, or give the control loop a real-time priority ([realtime] of the launch file)"
    )]
    Deadlines {
        /// Lost time not yet made up \[s\].
        lost: f64,
        /// Limit \[s\].
        limit: f64,
    },
    /// The control loop has not published yet.
    #[error("the control loop has not read the arm yet")]
    NoState,
    /// The control loop stopped publishing.
    #[error("the newest proprioception is {age:.3} s old, the limit is {limit:.3} s: the control loop is stuck")]
    StaleState {
        /// Age \[s\].
        age: f64,
        /// Limit \[s\].
        limit: f64,
    },
    /// The operating system refused a thread.
    #[error("the control thread could not be started: {0}")]
    Thread(std::io::Error),
    /// The safety filter stopped a motion to a posture.
    #[error("the motion was stopped by the safety filter ({0:?}); the arm was commanded to hold")]
    Stopped(LimitReason),
    /// A motion to a posture missed its goal.
    #[error("joint {joint} is {off:.3} rad from where it should be, the limit is {limit:.3} rad: is the arm blocked?")]
    NotReached {
        /// Joint, counted from 0.
        joint: usize,
        /// Distance \[rad\].
        off: f64,
        /// Limit \[rad\].
        limit: f64,
    },
    /// The safety filter blocked a motion to a posture: its path leaves the workspace.
    #[error(
        "the workspace limit keeps joint {joint} {off:.3} rad from where it should be, the limit is {limit:.3} rad: the way \
         leads the tool out of the robot file's `workspace_low` and `workspace_high`; with the arm's torque off move it by \
         hand to where its tool is inside and start again, or choose a posture that has its tool inside"
    )]
    OutsideWorkspace {
        /// Joint, counted from 0.
        joint: usize,
        /// Distance \[rad\].
        off: f64,
        /// Limit \[rad\].
        limit: f64,
    },
    /// The arm moves after a command to hold.
    #[error(
        "joint {joint} moved by {moved:.3} rad after the arm was commanded to hold, the limit is {limit} rad: that it holds could \
         not be confirmed; use the hardware stop, support the arm and look at it"
    )]
    NotStanding {
        /// Joint, counted from 0.
        joint: usize,
        /// Distance \[rad\].
        moved: f64,
        /// Limit \[rad\].
        limit: f64,
    },
    /// The arm sends no state after a command to hold.
    #[error(
        "the arm's state did not come within {seconds} s after it was commanded to hold: that it holds could not be confirmed; use the \
         hardware stop, support the arm, and look at cable and power"
    )]
    HoldUnconfirmed {
        /// Time waited \[s\].
        seconds: f64,
    },
    /// The arm failed, and there is no operator to allow its recovery.
    #[error(
        "the arm failed ({0}) and there is no operator to let it recover: look at it, run `visuomotor recover`, then start this again \
         with the same --out, which goes on where it stopped (at a terminal or with --page it waits and asks)"
    )]
    NobodyToRecover(String),
    /// The arm failed, and the operator did not allow its recovery.
    #[error(
        "the arm failed ({0}) and was not allowed to recover: run `visuomotor recover` when it may, then start this again with \
         the same --out, which goes on where it stopped"
    )]
    NotRecovered(String),
    /// The stop flag was raised during a motion to a posture.
    #[error("stopped: {0}")]
    Interrupted(String),
}

impl Failing for RuntimeError {
    fn failure(&self) -> FailureKind {
        match self {
            Self::Interrupted(_) => FailureKind::Stopped,
            Self::Camera(error) => error.failure(),
            Self::Driver(error) => error.failure(),
            _ => FailureKind::Machine,
        }
    }
}

impl RuntimeError {
    pub(super) fn deadlines(lost: Duration, limit: Duration) -> Self {
        Self::Deadlines { lost: lost.as_secs_f64(), limit: limit.as_secs_f64() }
    }
}
