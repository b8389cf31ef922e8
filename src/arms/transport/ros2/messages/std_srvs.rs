//! `std_srvs`.

use serde::{Deserialize, Serialize};

use super::ros_services;
use super::std::{Bool, Empty as Nothing};

/// Did it work, and what has it to say: the answer of [`Trigger`] and [`SetBool`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Did it work?
    pub success: bool,
    /// Why not, or more.
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
