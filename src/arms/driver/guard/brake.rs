//! How a guard stops an arm.

use std::time::Duration;

use super::message::{Controller, Hello};
use crate::driver::jaco::brake::JacoBrake;
use crate::driver::panda::ros2::driver::StackBrake;
use crate::driver::widowx::xs_sdk::driver::XsSdkBrake;
use crate::transport::ros2::{RosError, RosNode};
use visuomotor_core::observation::JointVector;

/// A guard's access to an arm's command topic. Nothing is sent until the guard trips. No method waits.
pub trait Brake {
    /// Sends a command of the guarded mode, on the ramp from the last one to zero; or stops the arm in a better way.
    fn send(&mut self, command: &JointVector);
    /// Deactivates the arm's controller, where that is possible; called repeatedly once zero is reached.
    fn switch_off(&mut self);
    /// The newest joint positions \[rad\], if something new came.
    fn positions(&mut self) -> Option<JointVector>;
}

/// Creates the endpoints that `hello` requires and waits until they are matched.
pub fn open(node: &RosNode, hello: &Hello, patience: Duration) -> Result<Box<dyn Brake>, RosError> {
    Ok(match hello.controller {
        Controller::XsSdk => Box::new(XsSdkBrake::open(node, patience)?),
        Controller::Ros2Control => Box::new(StackBrake::open(node, hello.mode, &hello.joints, patience)?),
        Controller::Kinova => Box::new(JacoBrake::open(node, &hello.joints, patience)?),
    })
}
