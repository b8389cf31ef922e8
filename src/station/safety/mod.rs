//! The one filter before every driver.
//!
//! Start at [`SafetyFilter::filter`]: it is the fixed order of checks, one file each, for every arm and mode:
//!
//! 1. every number is finite, and there is one per joint (`finite.rs`);
//! 2. the action is fresh (`watchdog.rs`);
//! 3. joint positions, with braking distance (`joint_limits.rs`);
//! 4. joint speeds, accelerations and jerks (`velocity.rs` for velocities), or torques and their rates (`torque.rs`);
//! 5. the tool's box (`workspace.rs`), planes and the arm's own parts (`walls.rs`);
//! 6. the speed of the tool, and of every part of the arm;
//! 7. does the arm follow its commands? (`residual.rs`);
//! 8. every number is still finite.
//!
//! A later check takes precedence: where it changes a command, earlier checks that this could violate are repeated. Joints
//! in radians, tool in the base frame in meters. The limits are those of `robots/<arm>/robot.toml`, which are never looser
//! than the manufacturer's. Every limit is written so that NaN fails it, and the filter never allocates, panics or reads a
//! clock.
//!
//! By mode: positions are checked against range, speeds and walls; acceleration and jerk are left to the servo where a
//! position is a goal, and for an arm that follows every position a jump is a stop. Velocities brake before the range and
//! the walls from the arm's predicted position: the measurement advanced by the commands sent since (`travel.rs`). Torques
//! do not determine speed or position, so the measured motion is braked. The only obstacles known to the filter are box and
//! planes, and it is not an emergency stop.
//!
//! An arm that starts outside a limit may stay or come back, but never go further out.

// `!(x <= max)` is not `x > max`: NaN fails the first and passes the second.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

mod changes;
mod filter;
mod finite;
mod joint_limits;
mod residual;
mod torque;
mod travel;
mod velocity;
mod walls;
mod watchdog;
mod workspace;

pub use filter::{SafetyFilter, Verdict};
