//! From slow actions to fast joint commands.
//!
//! Start at [`Controller`]: an action (policy rate) moves a target pose, inverse kinematics turns it into joints, and a
//! joint-space segment leads there until the next action (control rate). The meaning of an action is Bridge's
//! (`widowx_controller.py`): a change of the previous *target* pose, rotation about the measured tool position, all axes
//! the base's; with one repair: a target the arm cannot reach is not kept, so it cannot wind up.
//!
//! Base frame, meters, radians. Nothing here allocates or reads a clock, and nothing here protects the arm: every
//! command still goes through `safety`.

mod controller;
mod gripper;
mod segment;

pub use controller::{Accepted, Controller};
