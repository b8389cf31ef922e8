//! Kinematics of a serial arm (forward, Jacobian, inverse) and its dynamics.
//!
//! Start at [`Chain`]; [`Dynamics`] has gravity, mass matrix and Coriolis torques. Meters and radians; joints in the order
//! of `robots/<arm>/robot.toml`; every pose is `base_from_tool`. Only revolute joints in one serial chain; anything else is
//! refused when the chain is built. Nothing here allocates, reads a clock or panics: the control thread calls it at control
//! rate. Non-finite inputs give non-finite results (or [`NoSolution`]); `safety` stops them.

// `!(x <= max)` is not `x > max`: NaN fails the first and passes the second.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

mod bodies;
mod braking;
mod bridge;
mod chain;
mod dynamics;
mod error;
mod inverse;

pub use bodies::{Bodies, Contact, Placement};
pub use braking::braking_speed;
pub use chain::{Chain, Jacobian, JointLimit};
pub use dynamics::{Dynamics, GRAVITY, MassMatrix, Payload, Terms};
pub use error::KinematicsError;
pub use inverse::{InverseSettings, NoSolution, pose_error};
