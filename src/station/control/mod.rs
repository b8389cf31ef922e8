//! From slow actions to fast joint commands.
//!
//! Start at [`Controller`]: an action (policy rate) moves a target pose, inverse kinematics converts it to joints, and a
//! joint-space segment leads there until the next action (control rate). That is the law `interpolate`; `follower.rs` has
//! the others, which send smooth positions, velocities or torques instead. [`Differential`] converts twists to joint
//! velocities for any caller. Actions mean the same as in Bridge (`widowx_controller.py`): a change of the previous
//! *target* pose, rotation about the measured tool position, all axes the base's. One fix: an unreachable target is
//! discarded, so it cannot wind up.
//!
//! Base frame, meters, radians. Nothing here allocates or reads a clock, and nothing here protects the arm: every
//! command still goes through `safety`.

mod cartesian_impedance;
mod controller;
mod differential;
mod error;
mod follower;
mod gripper;
mod impedance_of;
mod joint_impedance;
mod segment;
mod torque;
mod trajectory;

pub use cartesian_impedance::CartesianImpedance;
pub use controller::{Accepted, Controller};
pub use differential::{Differential, DifferentialSettings, JointMotion, TwistFrame};
pub use error::ControlError;
pub use joint_impedance::JointImpedance;
pub use torque::TorqueRamp;
pub use trajectory::{JerkLimited, MotionLimits, MotionState, NoMotion, VelocityRamp};
