//! Errors between this program and ROS 2, as text for the operator.

use visuomotor_core::failure::{Failing, FailureKind};

/// Why a ROS 2 operation failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RosError {
    /// A setting or an environment variable that is not supported.
    #[error("{what} is {found}, expected {expected}; {fix}")]
    Setting {
        /// Variable or setting.
        what: String,
        /// Its value.
        found: String,
        /// Allowed values.
        expected: String,
        /// What to do.
        fix: String,
    },
    /// The network or the middleware refused.
    #[error("ROS 2 {what} cannot be made ({cause}); {fix}")]
    Create {
        /// Node, topic or service.
        what: String,
        /// The middleware's error.
        cause: String,
        /// What to do.
        fix: String,
    },
    /// A message could not be sent.
    #[error("{topic}: a message could not be sent ({cause})")]
    Send {
        /// Topic or service.
        topic: String,
        /// The middleware's error.
        cause: String,
    },
    /// A reliable reader does not acknowledge: nothing more is queued for it.
    #[error(
        "{topic}: a subscriber stopped acknowledging and the queue is full; find it with `ros2 topic info -v` and end it"
    )]
    Full {
        /// Topic.
        topic: String,
    },
    /// Nothing can be received any more.
    #[error("{topic}: receiving ended ({cause})")]
    Receive {
        /// Topic or service.
        topic: String,
        /// The middleware's error.
        cause: String,
    },
    /// There is no participant on the other side.
    #[error("no node {what} within {seconds} s; {fix}")]
    NoPeer {
        /// The condition waited for: `serves /wx250s/torque_enable`.
        what: String,
        /// Time waited \[s\].
        seconds: f64,
        /// What to do.
        fix: String,
    },
    /// A service or action took the request and never responded.
    #[error("{service} did not reply within {seconds} s; {fix}")]
    Unanswered {
        /// Service or action.
        service: String,
        /// Time waited \[s\].
        seconds: f64,
        /// What to do.
        fix: String,
    },
    /// An action server did not accept, or did not reach, a goal.
    #[error("{action} returned {found}; {fix}")]
    Goal {
        /// Action.
        action: String,
        /// Its response.
        found: String,
        /// What to do.
        fix: String,
    },
    /// The bridge thread is gone.
    #[error("the ROS 2 bridge thread `{name}` ended; start again")]
    Ended {
        /// Thread.
        name: String,
    },
}

impl Failing for RosError {
    fn failure(&self) -> FailureKind {
        if matches!(self, Self::Setting { .. }) { FailureKind::Usage } else { FailureKind::Machine }
    }
}
