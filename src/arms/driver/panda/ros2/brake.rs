//! How a guard stops an arm behind ros2_control: it sends zero repeatedly and deactivates the forward controller. The robot then
//! holds by itself.

use std::time::Duration;

use crate::driver::guard::Brake;
use crate::driver::panda::ros2::wire;
use crate::driver::ros2::JointStates;
use crate::transport::ros2::messages::builtin;
use crate::transport::ros2::messages::controller_manager::{SwitchController, SwitchControllerRequest};
use crate::transport::ros2::messages::std::Float64MultiArray;
use crate::transport::ros2::{Qos, RepeatedRequest, RosClient, RosError, RosNode, RosPublisher};
use visuomotor_core::action::ControlMode;
use visuomotor_core::observation::JointVector;

/// A guard's access to the arm's command topic.
pub struct StackBrake {
    controller: String,
    commands: RosPublisher<Float64MultiArray>,
    states: JointStates,
    switch: RosClient<SwitchController>,
    request: RepeatedRequest,
    off: bool,
}

impl StackBrake {
    /// Waits until the controller takes our commands, its manager responds, and joint states arrive.
    pub fn open(node: &RosNode, mode: ControlMode, joints: &[String], patience: Duration) -> Result<Self, RosError> {
        let mut states = JointStates::of(node, wire::JOINT_STATES, joints)?;
        let commands = node.publisher(&wire::commands(mode), Qos::Command)?;
        let switch = node.client::<SwitchController>(wire::SWITCH_CONTROLLER)?;
        commands.wait_for_subscriber(patience)?;
        switch.wait_for_server(patience)?;
        states.wait(patience)?;
        let controller = wire::controller(mode).into();
        Ok(Self { controller, commands, states, switch, request: RepeatedRequest::default(), off: false })
    }
}

impl Brake for StackBrake {
    fn send(&mut self, command: &JointVector) {
        if let Err(error) = self.commands.publish(wire::command(command)) {
            tracing::warn!("{error}");
        }
    }

    fn switch_off(&mut self) {
        let controller = &self.controller;
        let request = || {
            let timeout = builtin::Duration { sec: 2, nanosec: 0 };
            SwitchControllerRequest::strict(Vec::new(), vec![controller.clone()], timeout)
        };
        self.off = self.off || self.request.go_on(&self.switch, request, |answer| answer.ok).is_some();
    }

    fn positions(&mut self) -> Option<JointVector> {
        self.states.positions()
    }
}
