//! What every arm driver and every camera must do, as a suite that any of them can be put through: ours are, and so can yours.
//!
//! ```no_run
//! use visuomotor_arms::conformance::{Violation, check_arm};
//! use visuomotor_arms::driver::ArmDriver;
//! use visuomotor_core::time::{Clock, SystemClock};
//!
//! fn check(arm: &mut dyn ArmDriver) -> Result<(), Violation> {
//!     let clock = SystemClock::new();
//!     check_arm(arm, &mut |duration| {
//!         std::thread::sleep(duration);
//!         clock.now()
//!     })
//! }
//! ```
//!
//! Time passes by the caller's hand: a clock moved forward for a simulated arm, a sleep for an emulated one.

mod arm;
mod camera;
#[cfg(test)]
mod point_arm;

use std::time::Duration;

use visuomotor_core::time::Timestamp;

pub use arm::check_arm;
pub use camera::check_camera;

/// Lets this much time pass; returns the time it is then.
pub type Pass<'a> = &'a mut dyn FnMut(Duration) -> Timestamp;

/// A rule that a driver or camera breaks.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{rule}: {found}")]
pub struct Violation {
    /// What must hold.
    pub rule: &'static str,
    /// What was seen instead.
    pub found: String,
}

fn violation(rule: &'static str, found: impl Into<String>) -> Violation {
    Violation { rule, found: found.into() }
}

/// `found` is made only where the rule is broken.
fn require(rule: &'static str, holds: bool, found: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(violation(rule, found())) }
}
