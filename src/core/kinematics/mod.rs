//! A serial arm's geometry (joints to tool pose, the Jacobian, and the way back) and what it takes to move it.
//!
//! Start at [`Chain`]; [`Dynamics`] has gravity, mass matrix and Coriolis torques. Meters and radians; joints in the order of `robots/<arm>/robot.toml`; every pose is
//! `base_from_tool`. Revolute joints in one unbroken chain only; anything else is refused when the chain is built.
//! Nothing here allocates, reads a clock or panics: the control thread calls it at control rate. A number that is not
//! finite goes in and comes out as one (or as [`NoSolution`]); `safety` stops it.

// `!(x <= max)` is not `x > max`: NaN fails the first and passes the second.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

mod bodies;
mod braking;
mod bridge;
mod chain;
mod dynamics;
mod inverse;

pub use bodies::{Bodies, Contact, Placement};
pub use braking::braking_speed;
pub use chain::{Chain, Jacobian, JointLimit, KinematicsError};
pub use dynamics::{Dynamics, GRAVITY, MassMatrix, Payload, Terms};
pub use inverse::{InverseSettings, NoSolution, pose_error};
