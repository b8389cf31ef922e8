//! `std_srvs`.

use serde::{Deserialize, Serialize};

use super::ros_services;
use super::std::{Bool, Empty as Nothing};

/// Success and message: the response of [`Trigger`] and [`SetBool`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Success.
    pub success: bool,
    /// Reason of a failure, or further information.
    pub message: String,
}

ros_services!(
    "std_srvs":
    /// `std_srvs/srv/Empty`.
    Empty(Nothing, Nothing),
    /// `std_srvs/srv/Trigger`.
    Trigger(Nothing, Outcome),
    /// `std_srvs/srv/SetBool`.
    SetBool(Bool, Outcome),
);
