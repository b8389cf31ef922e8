//! Kinova's node over a [`Plant`]: steps of 10 ms from a queue, torque mode with its rules, fingers in motor turns.
//!
//! As documented by kinova-ros and its users: each velocity message is one 10 ms step in a queue of 2000, so that an arm fed too
//! fast continues after the feed ended; with an empty queue the arm stands still. Torque mode is entered only while every torque
//! beyond the arm's own weight is near zero; a refusal is not reported. After 250 ms without a message the arm does what its
//! [`Inactivity`] says; outside torque mode torques are dropped. The state comes at 10 Hz.
//!
//! The torque sensors have a zero of their own, which drifts. `in/set_zero_torques` sets their zero to what they measure at that
//! moment, including the weight: that is right only in the candle pose, where they carry none. A new emulated arm is as an operator
//! prepares it for torque mode: zeroed there, its node set to publish torques without the weight
//! (`torque_parameters/publish_torque_with_gravity_compensation`, off by default).

mod services;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use self::services::Shared;
use super::{limits, wire};
use crate::driver::ros2::{CommandLog, Controller, Emulation, Received};
use crate::driver::{Drive, Order, Orders, Plant};
use crate::transport::ros2::messages::kinova::{FingerPosition, JointAngles, JointTorque, JointVelocity, PoseVelocity};
use crate::transport::ros2::messages::sensor::JointState;
use crate::transport::ros2::{Qos, RosError, RosNode, RosPublisher, RosServer, RosSubscriber};
use visuomotor_core::action::ControlMode;
use visuomotor_core::config::{Gripper, Robot};
use visuomotor_core::kinematics::Chain;
use visuomotor_core::observation::JointVector;
use visuomotor_core::time::{Clock, Timestamp};

/// An emulated Jaco; ends when dropped.
pub struct JacoEmulator {
    log: CommandLog,
    orders: Orders,
    shared: Arc<Shared>,
    _emulation: Emulation,
    _servers: Vec<RosServer>,
}

/// What an arm in torque mode does after [`limits::TORQUE_SILENCE`] without a message. Kinova's API can set it and not read it
/// back (`SetTorqueInactivityType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inactivity {
    /// Type 0: it goes to position mode and holds.
    Hold,
    /// Type 1, this generation's default: it stays in torque mode with zero torque beside its weight, and coasts.
    #[default]
    Float,
}

/// Starts an emulated Jaco on this node; names are within the node's namespace, which is `/j2s7s300_driver` for the real one.
pub fn start(
    node: &RosNode,
    robot: &Robot,
    plant: Box<dyn Plant>,
    clock: Arc<dyn Clock>,
) -> Result<JacoEmulator, RosError> {
    let (log, orders, shared) = (CommandLog::default(), Orders::default(), Arc::new(Shared::default()));
    let servers = services::start(node, &robot.gripper, &shared, &orders)?;
    let controller = Kinova {
        names: robot.joint_names(),
        gripper: robot.gripper.clone(),
        chain: Chain::from_robot(robot).map_err(|error| RosError::Create {
            what: "emulated jaco".into(),
            cause: error.to_string(),
            fix: "correct its description".into(),
        })?,
        plant,
        velocities: node.subscriber("in/joint_velocity", Qos::Command)?,
        torques: node.subscriber("in/joint_torque", Qos::Command)?,
        twists: node.subscriber("in/cartesian_velocity", Qos::Command)?,
        joints: node.publisher("out/joint_state", Qos::State)?,
        torque_readings: node.publisher("out/joint_torques", Qos::State)?,
        fingers: node.publisher("out/finger_position", Qos::State)?,
        log: log.clone(),
        orders: orders.clone(),
        shared: Arc::clone(&shared),
        zero: JointVector::zeros(robot.joint.len()),
        queue: VecDeque::new(),
        torque_received_at: None,
        held: None,
        next_step: None,
        next_report: Timestamp::ZERO,
    };
    let emulation = Emulation::run("jaco-emulator", controller, clock)?;
    Ok(JacoEmulator { log, orders, shared, _emulation: emulation, _servers: servers })
}

impl JacoEmulator {
    /// The commands it received.
    pub fn log(&self) -> &CommandLog {
        &self.log
    }

    /// The orders it received.
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Is it in torque mode?
    pub fn torque_mode(&self) -> bool {
        self.shared.torque_mode.load(Ordering::Acquire)
    }

    /// Stops or resumes publishing states: they are lost on their way while commands still arrive.
    pub fn mute(&self, muted: bool) {
        self.shared.requests().muted = muted;
    }

    /// Sets what it does when torques stop coming.
    pub fn set_inactivity(&self, inactivity: Inactivity) {
        self.shared.requests().inactivity = inactivity;
    }

    /// Sets the zero offset of every torque sensor \[Nm\], as after long use.
    pub fn bias_torques(&self, bias: f64) {
        self.shared.requests().bias = Some(bias);
    }

    /// Publishes torques with the arm's weight in them, as the node does by default, or without it.
    pub fn publish_weight(&self, weighed: bool) {
        self.shared.requests().weighed = weighed;
    }
}

struct Kinova {
    names: Vec<String>,
    gripper: Gripper,
    chain: Chain,
    plant: Box<dyn Plant>,
    velocities: RosSubscriber<JointVelocity>,
    torques: RosSubscriber<JointTorque>,
    twists: RosSubscriber<PoseVelocity>,
    joints: RosPublisher<JointState>,
    torque_readings: RosPublisher<JointAngles>,
    fingers: RosPublisher<FingerPosition>,
    log: CommandLog,
    orders: Orders,
    shared: Arc<Shared>,
    /// Reading of each torque sensor at zero torque \[Nm\].
    zero: JointVector,
    /// Steps to come: velocities \[rad/s\].
    queue: VecDeque<JointVector>,
    /// In torque mode: when it was entered, or the last torque arrived.
    torque_received_at: Option<Timestamp>,
    /// Position held while the queue is empty.
    held: Option<JointVector>,
    next_step: Option<Timestamp>,
    next_report: Timestamp,
}

impl Kinova {
    /// Readings of the torque sensors, with the arm's weight or, by the controller's model, without it \[Nm\].
    fn readings(&mut self, weighed: bool) -> JointVector {
        let mut torques = self.plant.sense().joint_efforts;
        let weight = if weighed { JointVector::zeros(torques.len()) } else { self.plant.weight() };
        for ((torque, zero), weight) in torques.iter_mut().zip(self.zero.iter()).zip(weight.iter()) {
            *torque += zero - weight;
        }
        torques
    }

    fn in_torque_mode(&self) -> bool {
        self.torque_received_at.is_some()
    }

    fn take(&mut self, now: Timestamp) {
        let asked = {
            let mut shared = self.shared.requests();
            let (zero, bias) = (std::mem::take(&mut shared.zero), shared.bias.take());
            let (torque, clear, stopped) =
                (shared.torque_mode.take(), std::mem::take(&mut shared.clear), shared.stopped);
            (zero, bias, torque, clear, stopped, shared.fingers.take())
        };
        let (zero, bias, torque_mode, clear, stopped, fingers) = asked;
        if let Some(bias) = bias {
            self.zero.fill(bias);
        }
        if zero {
            let felt = self.plant.sense().joint_efforts;
            for (zero, felt) in self.zero.iter_mut().zip(felt.iter()) {
                *zero = -felt;
            }
        }
        if clear || stopped {
            self.queue.clear();
        }
        if let Some(fraction) = fingers {
            self.plant.drive_gripper(fraction.clamp(0.0, 1.0));
        }
        match torque_mode {
            Some(true) if self.readings(false).iter().all(|torque| torque.abs() <= limits::TORQUE_AT_REST) => {
                self.queue.clear();
                self.torque_received_at = Some(now);
            }
            // Refused without a report, as the node does.
            Some(true) => {}
            Some(false) => self.torque_received_at = None,
            None => {}
        }
        let joints = self.names.len();
        while let Ok(Some(message)) = self.velocities.take() {
            self.orders.note(Order::Motion);
            let Some(velocity) = wire::requested_velocities(&message, joints) else { continue };
            self.log.push(Received { at: now, mode: ControlMode::Velocity, joints: velocity });
            if !self.in_torque_mode() && !stopped && self.queue.len() < limits::QUEUE {
                self.queue.push_back(velocity);
            }
        }
        while let Ok(Some(message)) = self.twists.take() {
            self.orders.note(Order::Motion);
            let Some(twist) = wire::requested_twist(&message) else { continue };
            let at = self.plant.sense().joint_positions;
            let velocity = joint_velocities(&self.chain, &at, twist);
            self.log.push(Received { at: now, mode: ControlMode::Velocity, joints: velocity });
            if !self.in_torque_mode() && !stopped && self.queue.len() < limits::QUEUE {
                self.queue.push_back(velocity);
            }
        }
        while let Ok(Some(message)) = self.torques.take() {
            self.orders.note(Order::Motion);
            let Some(torque) = wire::requested_torques(&message, joints) else { continue };
            self.log.push(Received { at: now, mode: ControlMode::Torque, joints: torque });
            if self.in_torque_mode() && !stopped {
                self.torque_received_at = Some(now);
                self.plant.drive(Drive::Floating(torque));
                self.held = None;
            }
        }
        if self.torque_received_at.is_some_and(|at| now.since(at) > limits::TORQUE_SILENCE) {
            let inactivity = self.shared.requests().inactivity;
            match inactivity {
                Inactivity::Hold => self.torque_received_at = None,
                Inactivity::Float => {
                    self.plant.drive(Drive::Floating(JointVector::zeros(joints)));
                    self.held = None;
                }
            }
        }
        self.shared.torque_mode.store(self.in_torque_mode(), Ordering::Release);
    }

    /// One step of 10 ms.
    fn step(&mut self) {
        if self.in_torque_mode() {
            return;
        }
        match self.queue.pop_front() {
            Some(velocity) => {
                self.plant.drive(Drive::Velocity(velocity));
                self.held = None;
            }
            None if self.held.is_none() => {
                let at = self.plant.sense().joint_positions;
                self.held = Some(at);
                self.plant.drive(Drive::Position(at));
            }
            None => {}
        }
    }

    fn report(&mut self) {
        let sensed = self.plant.sense();
        let weighed = self.shared.requests().weighed;
        let mut seven = [0.0; 7];
        for (to, torque) in seven.iter_mut().zip(self.readings(weighed).iter()) {
            *to = *torque as f32;
        }
        // In the node's order.
        let results = [
            self.torque_readings.publish(JointAngles::from_array(seven)),
            self.joints.publish(JointState {
                name: self.names.clone(),
                position: sensed.joint_positions.to_vec(),
                velocity: sensed.joint_velocities.to_vec(),
                effort: sensed.joint_efforts.to_vec(),
                ..Default::default()
            }),
            self.fingers.publish(wire::fingers(self.gripper.finger_from_fraction(sensed.gripper))),
        ];
        for error in results.into_iter().filter_map(Result::err) {
            tracing::debug!("emulated jaco: {error}");
        }
    }
}

/// Joint velocities that move the tool like this, damped near singular poses: transpose of the Jacobian times the solution of
/// a 6 by 6 system.
fn joint_velocities(chain: &Chain, at: &JointVector, twist: [f64; 6]) -> JointVector {
    const DAMPING: f64 = 0.02;
    let jacobian = chain.jacobian(at);
    let square = jacobian * jacobian.transpose() + nalgebra::Matrix6::identity() * (DAMPING * DAMPING);
    let wish = nalgebra::Vector6::from_row_slice(&twist);
    let mut out = JointVector::zeros(at.len());
    if let Some(solver) = square.cholesky() {
        let found = jacobian.transpose() * solver.solve(&wish);
        for (to, from) in out.iter_mut().zip(found.iter()) {
            *to = *from;
        }
    }
    out
}

impl Controller for Kinova {
    const PERIOD: Duration = Duration::from_millis(2);

    fn turn(&mut self, now: Timestamp) {
        self.take(now);
        let mut next = *self.next_step.get_or_insert(now);
        // A late turn executes the steps that were due: the arm's own clock does not wait.
        while next <= now {
            self.plant.advance_to(next);
            self.step();
            next = next + limits::STEP;
        }
        self.next_step = Some(next);
        self.plant.advance_to(now);
        if now >= self.next_report {
            self.next_report = now + Duration::from_millis(100);
            if !self.shared.requests().muted {
                self.report();
            }
        }
    }
}
