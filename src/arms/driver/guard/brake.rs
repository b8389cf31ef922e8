//! What a guard can do to an arm.

use std::time::Duration;

use super::message::{Controller, Hello};
use crate::driver::jaco::brake::JacoBrake;
use crate::driver::panda::ros2::driver::StackBrake;
use crate::driver::widowx::xs_sdk::driver::XsSdkBrake;
use crate::transport::ros2::{RosError, RosNode};
use visuomotor_core::observation::JointVector;

/// An arm's command topic in the hands of a guard. Nothing is sent until the guard trips. No method waits.
pub trait Brake {
    /// Sends a command of the mode that is guarded, on the way from the last one to zero; or stops the arm better than that.
    fn send(&mut self, command: &JointVector);
    /// Takes the controller off the arm, where it has one that can be taken off; called again and again once zero is reached.
    fn switch_off(&mut self);
    /// The newest joint positions \[rad\], if something new came.
    fn positions(&mut self) -> Option<JointVector>;
}

/// Makes the endpoints that `hello` asks for and waits until they are matched.
pub fn open(node: &RosNode, hello: &Hello, patience: Duration) -> Result<Box<dyn Brake>, RosError> {
    Ok(match hello.controller {
        Controller::XsSdk => Box::new(XsSdkBrake::open(node, patience)?),
        Controller::Ros2Control => Box::new(StackBrake::open(node, hello.mode, &hello.joints, patience)?),
        Controller::Kinova => Box::new(JacoBrake::open(node, &hello.joints, patience)?),
    })
}
