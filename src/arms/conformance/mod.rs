//! The rules for every arm driver and camera, as a test suite. Ours pass it; run it on your own drivers too.
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
//! The caller makes time pass: by advancing a clock for a simulated arm, by sleeping for an emulated one.

mod arm;
mod camera;
#[cfg(test)]
mod point_arm;

use std::time::Duration;

use visuomotor_core::time::Timestamp;

pub use arm::check_arm;
pub use camera::check_camera;

/// Lets this much time pass; returns the time afterwards.
pub type Pass<'a> = &'a mut dyn FnMut(Duration) -> Timestamp;

/// A rule that a driver or camera violates.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{rule}: {found}")]
pub struct Violation {
    /// The rule.
    pub rule: &'static str,
    /// What was observed instead.
    pub found: String,
}

fn violation(rule: &'static str, found: impl Into<String>) -> Violation {
    Violation { rule, found: found.into() }
}

/// `found` is only evaluated where the rule is violated.
fn require(rule: &'static str, holds: bool, found: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(violation(rule, found())) }
}
