//! Goal of a motion.

use std::time::Duration;

use visuomotor_core::observation::JointVector;

/// Goal of a motion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Posture {
    /// Joint positions \[rad\], chain order; clamped to the usable limits.
    pub joints: JointVector,
    /// Gripper: 0 closed .. 1 open. Not waited for.
    pub gripper: f64,
    /// Planned duration of the motion; the safety filter's speed limits may stretch it.
    pub duration: Duration,
}
