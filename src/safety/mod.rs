//! The one filter before every driver.
//!
//! Start at [`SafetyFilter::filter`]: it is the fixed order of checks, one file each. Joints in radians, tool in the
//! base frame in meters. Positions, velocities (`velocity.rs`) and torques (`torque.rs`) go through it in the same way;
//! its limits are those of `robots/<arm>/robot.toml`, which are never looser than the maker's. Every limit is written so
//! that NaN fails it, and the filter never allocates, panics or reads a clock. It limits what is *sent*; it does not watch
//! whether the arm follows a position, it knows no obstacles but the tool's box, and it is not an emergency stop.
//!
//! What is already outside a limit (an arm that starts there) may stay or come back, and never goes further out.

// `!(x <= max)` is not `x > max`: NaN fails the first and passes the second.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

mod filter;
mod finite;
mod joint_limits;
mod torque;
mod velocity;
mod watchdog;
mod workspace;

pub use filter::{SafetyFilter, Verdict};
