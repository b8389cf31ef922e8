//! How a guard stops a Jaco in torque mode: it requests the arm's own position mode until the node responds, and sends zero
//! velocities. The arm then holds by itself.
//!
//! No torques are sent: with fading torques the arm coasts.

use std::time::Duration;

use super::wire;
use crate::driver::guard::Brake;
use crate::driver::ros2::JointStates;
use crate::transport::ros2::messages::kinova::{JointVelocity, SetTorqueControlMode, StateRequest};
use crate::transport::ros2::{Qos, RepeatedRequest, RosClient, RosError, RosNode, RosPublisher};
use visuomotor_core::observation::JointVector;

/// Number of zero velocities sent after the node responded: the message that ends a motion may be lost, and each is a step of 10 ms
/// in the arm's queue.
const LAST_WORDS: u32 = 5;

/// Requests position mode repeatedly; returns whether the node responded. Its response only confirms the request.
pub(super) fn ask_for_position_mode(request: &mut RepeatedRequest, service: &RosClient<SetTorqueControlMode>) -> bool {
    request.go_on(service, || StateRequest { state: 0 }, |_| true).is_some()
}

/// A guard's access to Jaco's velocity topic and torque service.
pub struct JacoBrake {
    velocities: RosPublisher<JointVelocity>,
    states: JointStates,
    torque_mode: RosClient<SetTorqueControlMode>,
    request: RepeatedRequest,
    /// The node responded.
    left: bool,
    /// Zero velocities sent since then.
    sent: u32,
}

impl JacoBrake {
    /// Waits until the node takes our commands, its service is available, and joint states arrive.
    pub fn open(node: &RosNode, joints: &[String], patience: Duration) -> Result<Self, RosError> {
        let mut states = JointStates::of(node, "out/joint_state", joints)?;
        let velocities = node.publisher("in/joint_velocity", Qos::Command)?;
        let torque_mode = node.client::<SetTorqueControlMode>("in/set_torque_control_mode")?;
        velocities.wait_for_subscriber(patience)?;
        torque_mode.wait_for_server(patience)?;
        states.wait(patience)?;
        Ok(Self { velocities, states, torque_mode, request: RepeatedRequest::default(), left: false, sent: 0 })
    }
}

impl Brake for JacoBrake {
    fn send(&mut self, command: &JointVector) {
        self.left = self.left || ask_for_position_mode(&mut self.request, &self.torque_mode);
        if self.sent >= LAST_WORDS {
            return;
        }
        self.sent += u32::from(self.left);
        if let Err(error) = self.velocities.publish(wire::velocity(&JointVector::zeros(command.len()))) {
            tracing::warn!("{error}");
        }
    }

    /// Nothing to do: `send` requests position mode.
    fn switch_off(&mut self) {}

    fn positions(&mut self) -> Option<JointVector> {
        self.states.positions()
    }
}
