//! What a guard does to an arm behind ros2_control: zero, again and again, and the forward controller off. The robot then
//! holds by itself.

use std::time::{Duration, Instant};

use crate::action::ControlMode;
use crate::driver::guard::Brake;
use crate::driver::panda::wire::ros2 as wire;
use crate::driver::ros2::JointOrder;
use crate::observation::JointVector;
use crate::transport::ros2::messages::builtin;
use crate::transport::ros2::messages::controller_manager::{SwitchController, SwitchControllerRequest};
use crate::transport::ros2::messages::sensor::JointState;
use crate::transport::ros2::messages::std::Float64MultiArray;
use crate::transport::ros2::{Asked, Qos, RosClient, RosError, RosNode, RosPublisher, RosSubscriber};

/// How often the controller manager is asked again while it does not say yes.
const AGAIN: Duration = Duration::from_millis(300);

/// How often it is looked for the controller manager while it is waited for.
const LOOK: Duration = Duration::from_millis(10);

/// The arm's command topic in the hands of a guard.
pub struct StackBrake {
    controller: String,
    commands: RosPublisher<Float64MultiArray>,
    states: RosSubscriber<JointState>,
    order: JointOrder,
    switch: RosClient<SwitchController>,
    asked: Option<(Option<Asked>, Instant)>,
    off: bool,
}

impl StackBrake {
    /// Waits until the controller takes our commands, its manager can be asked, and the joints' states are heard.
    pub fn open(node: &RosNode, mode: ControlMode, joints: &[String], patience: Duration) -> Result<Self, RosError> {
        let deadline = Instant::now() + patience;
        let left = || deadline.saturating_duration_since(Instant::now());
        let mut states = node.subscriber::<JointState>(wire::JOINT_STATES, Qos::State)?;
        let commands = node.publisher(&wire::commands(mode), Qos::Command)?;
        let switch = node.client::<SwitchController>(wire::SWITCH_CONTROLLER)?;
        commands.wait_for_subscriber(patience)?;
        while !switch.available() {
            if left().is_zero() {
                return Err(RosError::NoPeer {
                    what: format!("serves {}", switch.service()),
                    seconds: patience.as_secs_f64(),
                    fix: "start the controller manager".into(),
                });
            }
            std::thread::sleep(LOOK);
        }
        let order = JointOrder::new(joints.to_vec());
        loop {
            match states.wait(left())? {
                Some(message) if matches!(order.read(&message), Ok(Some(_))) => break,
                Some(_) => {}
                None => return Err(states.silence(patience)),
            }
        }
        let controller = wire::controller(mode).into();
        Ok(Self { controller, commands, states, order, switch, asked: None, off: false })
    }
}

impl Brake for StackBrake {
    fn send(&mut self, command: &JointVector) {
        if let Err(error) = self.commands.publish(wire::command(command)) {
            tracing::warn!("{error}");
        }
    }

    fn switch_off(&mut self) {
        if self.off {
            return;
        }
        if let Some((asked, at)) = &self.asked {
            let answer = asked.and_then(|asked| self.switch.answer(asked).ok().flatten());
            self.off = answer.is_some_and(|answer| answer.ok);
            if self.off || at.elapsed() < AGAIN {
                return;
            }
        }
        let timeout = builtin::Duration { sec: 2, nanosec: 0 };
        let request = SwitchControllerRequest::strict(Vec::new(), vec![self.controller.clone()], timeout);
        // No server, or the request could not be sent: tried again.
        self.asked = Some((self.switch.ask(request).ok().flatten(), Instant::now()));
    }

    fn positions(&mut self) -> Option<JointVector> {
        let mut newest = None;
        while let Ok(Some(message)) = self.states.take() {
            if let Ok(Some([positions, ..])) = self.order.read(&message) {
                newest = Some(positions);
            }
        }
        newest
    }
}
