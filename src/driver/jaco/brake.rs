//! What a guard does to a Jaco in torque mode: its own position mode, asked for until the node answers, and zero velocities. The
//! arm then holds by itself.
//!
//! No torque is sent: one that fades lets the arm coast.

use std::time::{Duration, Instant};

use super::wire;
use crate::driver::guard::Brake;
use crate::driver::ros2::JointOrder;
use crate::observation::JointVector;
use crate::transport::ros2::messages::kinova::{JointVelocity, SetTorqueControlMode, StateRequest};
use crate::transport::ros2::messages::sensor::JointState;
use crate::transport::ros2::{Asked, Qos, RosClient, RosError, RosNode, RosPublisher, RosSubscriber};

/// How often the node is asked again while it does not answer.
const AGAIN: Duration = Duration::from_millis(300);

/// How often it is looked for the node's service while it is waited for.
const LOOK: Duration = Duration::from_millis(10);

/// Zero velocities that are sent after the node answered: what ends a motion may be lost on the way, and each is a step of 10 ms
/// in the arm's queue.
const LAST_WORDS: u32 = 5;

/// The way out of torque mode. Nothing here waits.
#[derive(Debug, Default)]
pub(super) struct PositionMode {
    asked: Option<(Option<Asked>, Instant)>,
}

impl PositionMode {
    /// Asks for it, again and again; returns whether the node answered. It answers nothing but that it was asked.
    pub(super) fn go_on(&mut self, service: &RosClient<SetTorqueControlMode>) -> bool {
        if let Some((asked, at)) = &self.asked {
            if asked.and_then(|asked| service.answer(asked).ok().flatten()).is_some() {
                self.asked = None;
                return true;
            }
            if at.elapsed() < AGAIN {
                return false;
            }
        }
        // No server, or the request could not be sent: tried again.
        self.asked = Some((service.ask(StateRequest { state: 0 }).ok().flatten(), Instant::now()));
        false
    }

    /// Was it asked for without an answer yet?
    pub(super) fn is_pending(&self) -> bool {
        self.asked.is_some()
    }
}

/// Jaco's velocity topic and torque service in the hands of a guard.
pub struct JacoBrake {
    velocities: RosPublisher<JointVelocity>,
    states: RosSubscriber<JointState>,
    order: JointOrder,
    torque_mode: RosClient<SetTorqueControlMode>,
    position_mode: PositionMode,
    /// The node answered.
    left: bool,
    /// Zero velocities sent since then.
    said: u32,
}

impl JacoBrake {
    /// Waits until the node takes our commands, its service is there, and the joints' states are heard.
    pub fn open(node: &RosNode, joints: &[String], patience: Duration) -> Result<Self, RosError> {
        let deadline = Instant::now() + patience;
        let left = || deadline.saturating_duration_since(Instant::now());
        let mut states = node.subscriber::<JointState>("out/joint_state", Qos::State)?;
        let velocities = node.publisher("in/joint_velocity", Qos::Command)?;
        let torque_mode = node.client::<SetTorqueControlMode>("in/set_torque_control_mode")?;
        velocities.wait_for_subscriber(patience)?;
        while !torque_mode.available() {
            if left().is_zero() {
                return Err(RosError::NoPeer {
                    what: format!("serves {}", torque_mode.service()),
                    seconds: patience.as_secs_f64(),
                    fix: "start the maker's node and its bridge".into(),
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
        let position_mode = PositionMode::default();
        Ok(Self { velocities, states, order, torque_mode, position_mode, left: false, said: 0 })
    }
}

impl Brake for JacoBrake {
    fn send(&mut self, command: &JointVector) {
        self.left = self.left || self.position_mode.go_on(&self.torque_mode);
        if self.said >= LAST_WORDS {
            return;
        }
        self.said += u32::from(self.left);
        if let Err(error) = self.velocities.publish(wire::velocity(&JointVector::zeros(command.len()))) {
            tracing::warn!("{error}");
        }
    }

    /// The first command did.
    fn switch_off(&mut self) {}

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
