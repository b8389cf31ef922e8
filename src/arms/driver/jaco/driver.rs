//! Jaco behind the arm trait.
//!
//! One file because an arm over ROS 2 is one link: its topics, and the implementation of each `ArmLink` method with them.
//!
//! One message is one 10 ms step of the arm, taken from a queue of 2000. A stream slower than 100 Hz is slow motion; the arm
//! continues after a faster one has ended. So exactly one message is sent every 10 ms on absolute deadlines, missed ones are never
//! made up for, and a stop sends explicit zeros.
//!
//! - Positions: the node has no streamed position mode, so a servo here converts them to velocities: `v = dq/dt of the target +
//!   GAIN (target - measured)`, each change within the acceleration limit.
//! - Torques: torque mode is entered with every torque near zero at rest, and left by every stop, with or without states, and when
//!   the program ends. Silence of 250 ms ends it too where the arm's inactivity type is 0. With type 1, Kinova's default for this
//!   generation, the arm then floats at zero torque and coasts. The type cannot be read back, so torque mode is activated only
//!   while a guard stands by ([`crate::driver::guard`]), which requests position mode when this program is gone. Between activation
//!   and the first command the arm floats as well.
//! - The node only logs whether it took the mode. So the sensors' torques beyond the weight are compared with the commanded
//!   torques. This detects a node that did not enter torque mode or does not receive commands.
//! - The zero of the torque sensors is set by `in/set_zero_torques` in the candle pose (all joints 180 degrees), where no sensor
//!   carries weight. The operator does that, and sets the node to publish torques without the weight: with it no other pose is near
//!   zero.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::brake::ask_for_position_mode;
use super::velocities::Velocities;
use super::{limits, wire};
use crate::driver::guard::{self, EndlessMode, Guarded};
use crate::driver::ros2::{
    ArmLink, ArmState, Condition, GRIPPER_PATIENCE, JointOrder, LinkOptions, Off, OwnHold, RosArm, SlowGripper, Stream,
    Turns, alone, check_arm, connect_error, refused,
};
use crate::driver::{CheckReport, ConnectError, DriverError, FaultCode, Finding, Grade};
use crate::transport::ros2::messages::kinova::{
    ClearTrajectories, FingerPosition, JointAngles, JointTorque, JointVelocity, SetFingersPosition,
    SetFingersPositionPart, SetTorqueControlMode, SetTorqueControlParameters, Start, StateRequest,
};
use crate::transport::ros2::messages::sensor::JointState;
use crate::transport::ros2::messages::std::Empty;
use crate::transport::ros2::{
    Pacing, Qos, RepeatedRequest, RosClient, RosError, RosNode, RosPublisher, RosSettings, RosSubscriber,
};
use visuomotor_core::action::ControlMode;
use visuomotor_core::config::{Gripper, Robot};
use visuomotor_core::kinematics::Dynamics;
use visuomotor_core::observation::JointVector;
use visuomotor_core::time::{Clock, Timestamp};

/// Gain of the position servo \[1/s\]. The arm's state comes at 10 Hz unless configured otherwise, so it is up to 0.1 s old
/// and a step 10 ms: the loop's phase margin stays above 60 degrees up to 4 /s; half of that is used.
pub const GAIN: f64 = 2.0;

/// The torques at rest are too far from zero to enter torque mode.
const TORQUES_NOT_ZERO: FaultCode = FaultCode(1);

/// Longest time for a service call of the node.
const CALL: Duration = Duration::from_secs(3);

/// How long torques may take to settle near zero before torque mode is entered.
const SETTLING: Duration = Duration::from_secs(1);

/// Time-outs for an arm whose state comes at 10 Hz.
pub fn default_options() -> LinkOptions {
    LinkOptions::for_period(Duration::from_millis(100))
}

/// Jaco's topics.
pub struct JacoLink {
    arm: String,
    node: RosNode,
    description: Robot,
    order: JointOrder,
    turns: Turns,
    gripper: Gripper,
    velocities: RosPublisher<JointVelocity>,
    torques: RosPublisher<JointTorque>,
    joints: RosSubscriber<JointState>,
    torque_readings: RosSubscriber<JointAngles>,
    fingers: RosSubscriber<FingerPosition>,
    start: RosClient<Start>,
    clear: RosClient<ClearTrajectories>,
    torque_mode: RosClient<SetTorqueControlMode>,
    torque_parameters: RosClient<SetTorqueControlParameters>,
    hand: SlowGripper,
    finger: f64,
    torque_reading: Option<JointVector>,
    sent: Velocities,
    in_torque_mode: bool,
    position_mode: RepeatedRequest,
    /// For the arm's weight.
    dynamics: Option<Dynamics>,
    /// Has a command been executed since the arm was activated?
    followed: bool,
    fault: Option<FaultCode>,
    misfit: Option<ConnectError>,
}

/// Jaco over ROS 2.
pub type Jaco = RosArm<JacoLink>;

/// Connects; moves nothing. Settings without a namespace get the maker's (`/j2s7s300_driver`).
pub fn connect(
    robot: &Robot,
    settings: RosSettings,
    options: LinkOptions,
    clock: Arc<dyn Clock>,
) -> Result<Jaco, ConnectError> {
    limits::check(robot)?;
    let rate = 1.0 / limits::STEP.as_secs_f64();
    if robot.identity.control_rate_hz != rate {
        return Err(ConnectError::Unfit {
            arm: robot.identity.name.clone(),
            link: "ros2".into(),
            what: "robot.control_rate_hz".into(),
            found: robot.identity.control_rate_hz.to_string(),
            expected: format!("exactly {rate}: the arm steps every 10 ms"),
            fix: format!("correct robots/{}/robot.toml", robot.identity.name),
        });
    }
    let link = JacoLink::new(robot, in_namespace(robot, settings))?;
    let modes = [ControlMode::Position, ControlMode::Velocity, ControlMode::Torque];
    RosArm::connect(link, robot, &modes, options, Pacing::Exact, clock)
}

/// Is the link fit? Moves nothing.
pub fn check(
    robot: &Robot,
    settings: RosSettings,
    options: LinkOptions,
    clock: Arc<dyn Clock>,
) -> Result<CheckReport, ConnectError> {
    check_arm(&robot.identity.name, connect(robot, settings, options, clock), Duration::from_secs(2))
}

/// The maker's namespace where none is given: emulated arms use it too.
pub fn in_namespace(robot: &Robot, settings: RosSettings) -> RosSettings {
    if settings.namespace.trim_end_matches('/').is_empty() {
        settings.with_namespace(&wire::namespace(limits::kind(robot)))
    } else {
        settings
    }
}

impl JacoLink {
    fn new(robot: &Robot, settings: RosSettings) -> Result<Self, ConnectError> {
        let arm = robot.identity.name.clone();
        let made = || -> Result<Self, RosError> {
            let node = RosNode::start(settings)?;
            let mut action = node.action_client::<SetFingersPosition>("fingers_action/finger_positions")?;
            let gripper = robot.gripper.clone();
            let hand = SlowGripper::start(&arm, move |fraction| {
                let fingers = wire::fingers(gripper.finger_from_fraction(fraction));
                action.execute(SetFingersPositionPart { fingers }, GRIPPER_PATIENCE).map(|_| ())
            })?;
            Ok(Self {
                node: node.clone(),
                description: robot.clone(),
                order: JointOrder::new(robot.joint_names()),
                turns: Turns::new(robot),
                gripper: robot.gripper.clone(),
                sent: Velocities::new(robot),
                velocities: node.publisher("in/joint_velocity", Qos::Command)?,
                torques: node.publisher("in/joint_torque", Qos::Command)?,
                joints: node.subscriber("out/joint_state", Qos::State)?,
                torque_readings: node.subscriber("out/joint_torques", Qos::State)?,
                fingers: node.subscriber("out/finger_position", Qos::State)?,
                start: node.client("in/start")?,
                clear: node.client("in/clear_trajectories")?,
                torque_mode: node.client("in/set_torque_control_mode")?,
                torque_parameters: node.client("in/set_torque_control_parameters")?,
                hand,
                finger: robot.gripper.finger_open,
                torque_reading: None,
                in_torque_mode: false,
                position_mode: RepeatedRequest::default(),
                dynamics: Dynamics::from_robot(robot).ok(),
                followed: false,
                fault: None,
                misfit: None,
                arm: arm.clone(),
            })
        };
        made().map_err(|error| connect_error(&arm, error))
    }

    fn publish(&mut self, values: &JointVector) {
        let result = if self.in_torque_mode {
            self.torques.publish(wire::torque(values))
        } else {
            self.sent.send(values);
            self.velocities.publish(wire::velocity(values))
        };
        if let Err(error) = result {
            tracing::warn!("{}: {error}", self.arm);
        }
    }

    /// Velocities that follow the stream's positions.
    fn servo(&self, stream: &Stream, state: &ArmState) -> JointVector {
        let (target, mut wish) = (stream.last(), stream.slope());
        for joint in 0..wish.len() {
            wish[joint] += GAIN * (target[joint] - state.positions[joint]);
        }
        self.sent.toward(&wish)
    }

    fn set_torque_mode(&mut self, on: bool) -> Result<(), RosError> {
        self.torque_mode.call(StateRequest { state: u16::from(on) }, CALL)?;
        self.in_torque_mode = on;
        self.position_mode = RepeatedRequest::default();
        Ok(())
    }

    /// Without waiting: the node may be gone.
    fn ask_for_position_mode(&mut self) {
        if let Err(error) = self.torque_mode.send_request(StateRequest { state: 0 }) {
            tracing::warn!("{}: {error}", self.arm);
        }
    }

    /// One step of leaving torque mode, without waiting: beats must continue until the arm holds by itself.
    fn leave_torque_mode(&mut self) {
        if ask_for_position_mode(&mut self.position_mode, &self.torque_mode) {
            self.in_torque_mode = false;
        }
    }

    fn zeros(&self) -> JointVector {
        JointVector::zeros(self.order.names().len())
    }

    /// Zero velocities, whatever the mode.
    fn stand(&mut self) {
        self.sent.rest();
        if let Err(error) = self.velocities.publish(wire::velocity(self.sent.sent())) {
            tracing::warn!("{}: {error}", self.arm);
        }
    }

    /// The sensors' torques beyond the weight, and the weight: the efforts of `out/joint_state` may or may not contain it,
    /// depending on the node's settings.
    fn efforts(&self, positions: &JointVector) -> Option<JointVector> {
        let (mut efforts, weight) = (self.torque_reading?, self.dynamics.as_ref()?.gravity(positions));
        efforts.iter_mut().zip(weight.iter()).for_each(|(effort, weight)| *effort += weight);
        Some(efforts)
    }

    fn take_torques(&mut self) {
        if let Ok(Some(reading)) = self.torque_readings.newest() {
            let all = reading.to_array().map(f64::from);
            self.torque_reading = Some(JointVector::from_slice(&all[..self.order.names().len().min(7)]));
        }
    }

    /// Enters torque mode with every torque near zero, starting from zero torques.
    fn enter_torque_mode(&mut self) -> Result<(), DriverError> {
        let arm = self.arm.clone();
        let near_zero = |reading: &JointVector| reading.iter().all(|torque| torque.abs() <= limits::TORQUE_AT_REST);
        // Readings are old: wait until those of a motion that just ended are gone.
        let deadline = Instant::now() + SETTLING;
        while !self.torque_reading.as_ref().is_some_and(near_zero) {
            if Instant::now() >= deadline {
                return Err(DriverError::Fault(TORQUES_NOT_ZERO));
            }
            std::thread::park_timeout(Duration::from_millis(10));
            self.take_torques();
        }
        self.torque_parameters.call(Empty::default(), CALL).map_err(|error| refused(&arm, error))?;
        // The first torques in the mode are zero.
        self.torques.publish(wire::torque(&self.zeros())).map_err(|error| refused(&arm, error))?;
        self.set_torque_mode(true).map_err(|error| refused(&arm, error))
    }

    fn follow(&mut self, stream: &Stream, state: &ArmState) {
        let values = if stream.mode() == ControlMode::Position { self.servo(stream, state) } else { *stream.last() };
        self.publish(&values);
    }
}

impl ArmLink for JacoLink {
    fn poll(&mut self, _: Timestamp) -> Option<ArmState> {
        if let Ok(Some(fingers)) = self.fingers.newest() {
            let angle = wire::finger_angle(&fingers);
            if angle.is_finite() {
                self.finger = angle.clamp(self.gripper.finger_min, self.gripper.finger_max);
            }
        }
        let mut newest = None;
        while let Ok(Some(message)) = self.joints.take() {
            match self.order.read(&message) {
                Ok(Some(joints)) => newest = Some(joints),
                Ok(None) => self.misfit = Some(self.order.wrong_arm(&self.arm, self.joints.topic(), &message)),
                Err(misfit) => self.misfit = Some(misfit.error(&self.arm, self.joints.topic())),
            }
        }
        // Read after the states: the node publishes the torques of each state just before it.
        self.take_torques();
        let [mut positions, velocities, mut efforts] = newest?;
        self.misfit = None;
        self.turns.unwind(&mut positions);
        if self.in_torque_mode {
            efforts = self.efforts(&positions).unwrap_or(efforts);
        }
        let condition = self.fault.map_or(Condition::Ready, Condition::Fault);
        Some(ArmState { positions, velocities, efforts, finger: self.finger, condition })
    }

    fn silence(&self, waited: Duration) -> ConnectError {
        self.misfit.clone().unwrap_or_else(|| connect_error(&self.arm, self.joints.silence(waited)))
    }

    fn verify(&mut self, patience: Duration) -> Result<(), ConnectError> {
        let arm = self.arm.clone();
        self.velocities.wait_for_subscriber(patience).map_err(|error| connect_error(&arm, error))?;
        alone(&self.arm, self.velocities.topic(), self.velocities.other_publishers())?;
        alone(&self.arm, self.torques.topic(), self.torques.other_publishers())
    }

    fn guarded(&self, robot: &Robot) -> Option<Guarded> {
        let torque = EndlessMode { mode: ControlMode::Torque, ramp: robot.limits.joint_torque_rate.clone() };
        let (controller, joints) = (guard::Controller::Kinova, self.order.names().to_vec());
        Some(Guarded::new(controller, &self.arm, joints, vec![torque], self.node.settings()))
    }

    fn endless(&self, mode: ControlMode) -> bool {
        mode == ControlMode::Torque && self.in_torque_mode
    }

    fn paused(&mut self, pause: Duration) -> bool {
        !self.in_torque_mode && self.sent.paused(pause)
    }

    fn own_hold(&self) -> OwnHold {
        match (self.position_mode.is_pending(), self.in_torque_mode) {
            (true, _) => OwnHold::Requested,
            (false, true) => OwnHold::No,
            (false, false) => OwnHold::Yes,
        }
    }

    fn other_publishers(&self) -> usize {
        self.velocities.other_publishers() + self.torques.other_publishers()
    }

    fn activate(&mut self, mode: ControlMode, _: &JointVector) -> Result<(), DriverError> {
        let arm = self.arm.clone();
        self.sent.rest();
        self.followed = false;
        if mode != ControlMode::Torque {
            if self.in_torque_mode {
                self.set_torque_mode(false).map_err(|error| refused(&arm, error))?;
            }
            // Steps that an earlier program left in the queue would be executed first.
            self.clear.call(Empty::default(), CALL).map_err(|error| refused(&arm, error))?;
            return Ok(());
        }
        self.enter_torque_mode()
    }

    fn send(&mut self, stream: &Stream, state: &ArmState) {
        self.followed = true;
        if stream.mode() == ControlMode::Torque
            && !self.in_torque_mode
            && let Err(DriverError::Fault(code)) = self.enter_torque_mode()
        {
            // The arm stands in position mode and would not follow: that is a fault, not silence.
            self.fault = Some(code);
            return;
        }
        self.follow(stream, state);
    }

    fn rest(&mut self, stream: &Stream, state: &ArmState, _: bool) -> bool {
        if stream.mode() != ControlMode::Torque {
            self.follow(stream, state);
            return false;
        }
        if !self.followed {
            self.publish(&self.zeros());
            return false;
        }
        if self.in_torque_mode {
            // States that are 0.1 s old cannot hold an arm by torques; its own position mode does.
            self.leave_torque_mode();
        }
        self.stand();
        !self.in_torque_mode
    }

    fn blind(&mut self, stream: &Stream, _: bool) -> bool {
        if stream.mode() == ControlMode::Torque && self.in_torque_mode {
            // With fading torques the arm coasts; its own position mode stops it, and needs none of the missing states.
            self.ask_for_position_mode();
            self.stand();
            return true;
        }
        // The position servo needs the arm's position: without it, velocities go to zero. A velocity stream already goes there, and
        // an arm that was not let into torque mode is at zero.
        let velocities = self.sent.toward(&self.zeros());
        self.publish(&velocities);
        velocities.iter().all(|velocity| *velocity == 0.0)
    }

    fn switch_off(&mut self, _: ControlMode) -> Off {
        if !self.in_torque_mode {
            // There is no switch; each velocity is one step, so without messages there is nothing left to execute.
            return Off::None;
        }
        self.ask_for_position_mode();
        self.in_torque_mode = false;
        self.position_mode = RepeatedRequest::default();
        Off::Done("its node was asked for position mode, which holds it")
    }

    fn alive(&self) -> bool {
        self.node.loops_alive()
    }

    fn rebuild(&mut self, patience: Duration) -> Result<(), ConnectError> {
        let mut new = Self::new(&self.description, self.node.settings().clone())?;
        (new.sent, new.in_torque_mode, new.followed, new.fault) =
            (self.sent.clone(), self.in_torque_mode, self.followed, self.fault);
        std::mem::swap(&mut new.turns, &mut self.turns);
        // The old hand may wait for a response that never comes: do not wait for it here.
        let old = std::mem::replace(self, new);
        std::thread::spawn(move || drop(old));
        self.velocities.wait_for_subscriber(patience).map_err(|error| connect_error(&self.arm, error))
    }

    fn gripper(&mut self, fraction: f64) {
        self.hand.set_target(fraction);
    }

    fn recover(&mut self, _: Duration) -> Result<(), ConnectError> {
        let arm = self.arm.clone();
        self.turns.restart();
        (self.misfit, self.fault) = (None, None);
        let zeros = self.zeros();
        // The node may not be the one that was commanded to enter torque mode.
        self.set_torque_mode(false).map_err(|error| connect_error(&arm, error))?;
        self.publish(&zeros);
        self.clear.call(Empty::default(), CALL).map_err(|error| connect_error(&arm, error))?;
        self.start.call(Empty::default(), CALL).map_err(|error| connect_error(&arm, error))?;
        Ok(())
    }

    fn release(&mut self, _: &ArmState) {
        let zeros = self.zeros();
        if self.in_torque_mode {
            // Position mode holds by itself.
            if let Err(error) = self.set_torque_mode(false) {
                tracing::error!(
                    "{}: torque mode could not be left: the arm floats and coasts unless its inactivity type is 0: {error}",
                    self.arm
                );
            }
        }
        self.publish(&zeros);
    }

    fn findings(&mut self) -> (Vec<Finding>, Vec<f64>) {
        let mut findings = vec![
            Finding::good("command pace", "one message per 10 ms, absolute", "one message per 10 ms"),
            Finding::good("position mode", format!("velocity servo here, gain {GAIN} 1/s"), "streamed positions")
                .graded(
                    Grade::Doubtful,
                    "the node has no streamed position; raise its status rate above 10 Hz for a tighter servo",
                ),
        ];
        let expected = format!("within {} Nm at rest, to enter torque mode", limits::TORQUE_AT_REST);
        let zero = "zero the torques in the candle pose (`ros2 service call .../in/set_zero_torques`), and let the node publish \
                    them without the weight: torque_parameters/publish_torque_with_gravity_compensation = true";
        findings.push(match &self.torque_reading {
            Some(reading) => {
                let most = reading.iter().fold(0.0_f64, |most, torque| most.max(torque.abs()));
                let found = Finding::good("joint torques", format!("{most:.1} Nm at most"), expected);
                if most <= limits::TORQUE_AT_REST { found } else { found.graded(Grade::Doubtful, zero) }
            }
            None => Finding::good("joint torques", "not reported", expected)
                .graded(Grade::Doubtful, "torque mode cannot be entered without out/joint_torques"),
        });
        findings.push(
            Finding::good("torque inactivity", "cannot be read back", "type 0: position mode after 250 ms").graded(
                Grade::Doubtful,
                "set inactivity type 0 in the arm (SetTorqueInactivityType): with type 1, this generation's default, an arm in \
                 torque mode floats and coasts once commands fail to come; a guard process stops it when this program dies, \
                 `visuomotor guard --listen` on the node's host when this machine does",
            ),
        );
        for (what, there) in [
            ("in/set_torque_control_mode", self.torque_mode.available()),
            ("in/clear_trajectories", self.clear.available()),
        ] {
            let found = Finding::good(what, if there { "served" } else { "not served" }, "served");
            findings.push(if there {
                found
            } else {
                found.graded(Grade::Bad, "start the maker's node and its bridge")
            });
        }
        (findings, Vec::new())
    }

    fn fault_text(fault: FaultCode) -> String {
        if fault == TORQUES_NOT_ZERO {
            return format!(
                "a joint feels more than {} Nm at rest, or out/joint_torques is silent: put the arm into the candle pose and call \
                 in/set_zero_torques; if that pose alone is near zero, set the node's parameter \
                 torque_parameters/publish_torque_with_gravity_compensation to true",
                limits::TORQUE_AT_REST
            );
        }
        format!("code {}", fault.0)
    }
}
