//! Panda (and FR3) behind the arm trait over ros2_control, with franka_ros2's topics.
//!
//! - One forward controller per mode. They take an array without names, silently ignore one of another size and hold the last one
//!   forever. So their joints are compared with ours, name by name, before anything is sent. A controller is restarted at every
//!   activation, which clears its held command. A stop is a ramp, and this driver starts one within 0.1 s when the control thread
//!   falls silent. When the robot's state falls silent, velocities and torques are ramped to zero without it and the controller is
//!   stopped.
//! - A killed program would leave the last command active: velocities continue, torques too. So these modes are activated only
//!   while a guard stands by ([`crate::driver::guard`]); one more reason why `fci` is this arm's torque path.
//! - Commands cross a network without a clock: the hardware interface's own rate limiter must be on (franka_ros2's is off for
//!   positions and velocities unless configured), or the robot stops itself for discontinuities.
//!
//! One file because an arm over ROS 2 is one link: its topics, and the implementation of each `ArmLink` method with them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::driver::guard::{self, EndlessMode, Guarded};
use crate::driver::panda::limits::MakerLimits;
use crate::driver::panda::ros2::wire;
use crate::driver::ros2::{
    ArmLink, ArmState, Condition, GRIPPER_PATIENCE, JointOrder, LinkOptions, Off, RosArm, SlowGripper, Stream, alone,
    check_arm, connect_error, refused,
};
use crate::driver::{CheckReport, ConnectError, DriverError, FaultCode, Finding, Grade};
use crate::transport::ros2::messages::builtin;
use crate::transport::ros2::messages::controller_manager::{
    ControllerState, ListControllers, SwitchController, SwitchControllerRequest,
};
use crate::transport::ros2::messages::franka::{ErrorRecovery, FrankaRobotState, Move, MoveGoal};
use crate::transport::ros2::messages::sensor::JointState;
use crate::transport::ros2::messages::std::{Empty, Float64MultiArray};
use crate::transport::ros2::{
    Pacing, PendingRequest, Qos, RosActionClient, RosClient, RosError, RosNode, RosPublisher, RosSettings,
    RosSubscriber,
};
use visuomotor_core::action::ControlMode;
use visuomotor_core::config::{Gripper, Robot};
use visuomotor_core::observation::JointVector;
use visuomotor_core::time::{Clock, Timestamp};

pub use super::brake::StackBrake;

/// Longest time for a service call of the controller manager.
const CALL: Duration = Duration::from_secs(5);

/// Longest time for a recovery; users report up to 12 s.
const RECOVERY: Duration = Duration::from_secs(15);

/// Oldest robot state that counts.
const STATE_STALE: Duration = Duration::from_secs(1);

/// Time-outs for a stack that runs at 1 kHz.
pub fn default_options() -> LinkOptions {
    LinkOptions::for_period(Duration::from_millis(1))
}

/// The Panda's topics.
pub struct PandaLink {
    arm: String,
    node: RosNode,
    description: Robot,
    /// Request to stop the controller after a ramp without states.
    stopping: Option<PendingRequest>,
    order: JointOrder,
    topics: [RosPublisher<Float64MultiArray>; 3],
    joints: RosSubscriber<JointState>,
    robot: RosSubscriber<FrankaRobotState>,
    fingers: RosSubscriber<JointState>,
    list: RosClient<ListControllers>,
    switch: RosClient<SwitchController>,
    recovery: RosActionClient<ErrorRecovery>,
    hand: SlowGripper,
    finger_name: String,
    finger: f64,
    fault: Option<(Option<FaultCode>, Timestamp)>,
    success_rate: Option<f64>,
    misfit: Option<ConnectError>,
    clock: Arc<dyn Clock>,
}

/// Panda over ROS 2.
pub type Panda = RosArm<PandaLink>;

/// Connects; moves nothing and switches no controller.
pub fn connect(
    robot: &Robot,
    settings: RosSettings,
    options: LinkOptions,
    clock: Arc<dyn Clock>,
) -> Result<Panda, ConnectError> {
    let name = &robot.identity.name;
    match MakerLimits::of(name) {
        Some(limits) => limits.check(robot)?,
        None => {
            return Err(ConnectError::Unfit {
                arm: name.clone(),
                link: "ros2".into(),
                what: "the arm".into(),
                found: name.clone(),
                expected: "panda or fr3".into(),
                fix: "correct `robot` in the launch file".into(),
            });
        }
    }
    let link = PandaLink::new(robot, settings, Arc::clone(&clock))?;
    RosArm::connect(link, robot, &wire::MODES, options, Pacing::Prompt, clock)
}

/// Is the link fit? Moves nothing.
pub fn check(
    robot: &Robot,
    settings: RosSettings,
    options: LinkOptions,
    clock: Arc<dyn Clock>,
) -> Result<CheckReport, ConnectError> {
    check_arm(&robot.identity.name, connect(robot, settings, options, clock), Duration::from_secs(1))
}

fn place(mode: ControlMode) -> usize {
    match mode {
        ControlMode::Position => 0,
        ControlMode::Velocity => 1,
        ControlMode::Torque => 2,
    }
}

/// Moves the fingers; a width is twice one finger's way.
fn hand(arm: &str, node: &RosNode, gripper: &Gripper) -> Result<SlowGripper, RosError> {
    let mut action = node.action_client::<Move>(wire::GRIPPER_MOVE)?;
    let gripper = gripper.clone();
    SlowGripper::start(arm, move |fraction| {
        let width = 2.0 * gripper.finger_from_fraction(fraction);
        // franka_gripper's own default is 0.1 m/s; a width's speed is twice a finger's.
        let goal = MoveGoal { width, speed: gripper.finger_velocity.min(0.1) };
        action.execute(goal, GRIPPER_PATIENCE).map(|_| ())
    })
}

impl PandaLink {
    fn new(robot: &Robot, settings: RosSettings, clock: Arc<dyn Clock>) -> Result<Self, ConnectError> {
        let arm = robot.identity.name.clone();
        let made = || -> Result<Self, RosError> {
            let node = RosNode::start(settings)?;
            let topic = |mode| node.publisher(&wire::commands(mode), Qos::Command);
            Ok(Self {
                description: robot.clone(),
                stopping: None,
                order: JointOrder::new(robot.joint_names()),
                topics: [topic(ControlMode::Position)?, topic(ControlMode::Velocity)?, topic(ControlMode::Torque)?],
                joints: node.subscriber(wire::JOINT_STATES, Qos::State)?,
                robot: node.subscriber(wire::ROBOT_STATE, Qos::State)?,
                fingers: node.subscriber(wire::GRIPPER_STATES, Qos::State)?,
                list: node.client(wire::LIST_CONTROLLERS)?,
                switch: node.client(wire::SWITCH_CONTROLLER)?,
                recovery: node.action_client(wire::ERROR_RECOVERY)?,
                hand: hand(&arm, &node, &robot.gripper)?,
                finger_name: robot.gripper.finger.first().map(|finger| finger.name.clone()).unwrap_or_default(),
                finger: robot.gripper.finger_open,
                fault: None,
                success_rate: None,
                misfit: None,
                clock: Arc::clone(&clock),
                arm: arm.clone(),
                node,
            })
        };
        made().map_err(|error| connect_error(&arm, error))
    }

    fn controllers(&mut self) -> Result<Vec<ControllerState>, RosError> {
        Ok(self.list.call(Empty::default(), CALL)?.controller)
    }

    /// Starts `start` and stops `stop`, all or nothing.
    fn switch(&mut self, start: Vec<String>, stop: Vec<String>) -> Result<(), RosError> {
        if start.is_empty() && stop.is_empty() {
            return Ok(());
        }
        let what = format!("switch to {}", start.join(", "));
        let timeout = builtin::Duration { sec: 2, nanosec: 0 };
        let answer = self.switch.call(SwitchControllerRequest::strict(start, stop, timeout), CALL)?;
        if answer.ok {
            return Ok(());
        }
        Err(RosError::Goal {
            action: self.switch.service().into(),
            found: format!("that it did not {what}"),
            fix: "its node's log says why; is the robot in an error?".into(),
        })
    }

    /// Our active controllers.
    fn running(&mut self) -> Result<Vec<String>, RosError> {
        let ours = wire::MODES.map(wire::controller);
        let all = self.controllers()?;
        Ok(all.into_iter().filter(|c| c.state == "active" && ours.contains(&c.name.as_str())).map(|c| c.name).collect())
    }

    fn publish(&mut self, mode: ControlMode, values: &JointVector) {
        if let Err(error) = self.topics[place(mode)].publish(wire::command(values)) {
            tracing::warn!("{}: {error}", self.arm);
        }
    }
}

impl ArmLink for PandaLink {
    fn poll(&mut self, now: Timestamp) -> Option<ArmState> {
        if let Ok(Some(state)) = self.robot.newest() {
            self.fault = Some((wire::fault(&state), now));
            self.success_rate = Some(state.control_command_success_rate);
        }
        if let Ok(Some(fingers)) = self.fingers.newest() {
            let at = fingers.name.iter().position(|name| *name == self.finger_name);
            if let Some(position) = at.and_then(|at| fingers.position.get(at)).filter(|position| position.is_finite()) {
                self.finger = *position;
            }
        }
        let mut newest = None;
        while let Ok(Some(message)) = self.joints.take() {
            match self.order.read(&message) {
                Ok(Some(joints)) => newest = Some(joints),
                Ok(None) if self.misfit.is_some() => {}
                Ok(None) => self.misfit = Some(self.order.wrong_arm(&self.arm, self.joints.topic(), &message)),
                Err(misfit) => self.misfit = Some(misfit.error(&self.arm, self.joints.topic())),
            }
        }
        let [positions, velocities, efforts] = newest?;
        self.misfit = None;
        let condition = match self.fault {
            Some((None, at)) if now.since(at) <= STATE_STALE => Condition::Ready,
            Some((Some(code), at)) if now.since(at) <= STATE_STALE => Condition::Fault(code),
            _ => Condition::Fault(wire::UNKNOWN),
        };
        Some(ArmState { positions, velocities, efforts, finger: self.finger, condition })
    }

    fn silence(&self, waited: Duration) -> ConnectError {
        self.misfit.clone().unwrap_or_else(|| connect_error(&self.arm, self.joints.silence(waited)))
    }

    fn verify(&mut self, patience: Duration) -> Result<(), ConnectError> {
        let arm = self.arm.clone();
        if self.fault.is_none() {
            match self.robot.wait(patience).map_err(|error| connect_error(&arm, error))? {
                Some(state) => self.fault = Some((wire::fault(&state), self.clock.now())),
                None => return Err(connect_error(&arm, self.robot.silence(patience))),
            }
        }
        let loaded = self.controllers().map_err(|error| connect_error(&arm, error))?;
        for mode in wire::MODES {
            let name = wire::controller(mode);
            let expected = wire::interfaces(mode, self.order.names());
            // A controller that is not configured yet does not report its interfaces.
            let wants = loaded.iter().find(|c| c.name == name).map(|c| c.required_command_interfaces.clone());
            let fix = format!("load and configure {name} with the joints {}", self.order.names().join(", "));
            let found = match wants {
                Some(wants) if wants == expected => {
                    self.topics[place(mode)]
                        .wait_for_subscriber(patience)
                        .map_err(|error| connect_error(&arm, error))?;
                    alone(&arm, self.topics[place(mode)].topic(), self.topics[place(mode)].other_publishers())?;
                    continue;
                }
                Some(wants) if wants.is_empty() => "a controller that is not configured".into(),
                Some(wants) => wants.join(", "),
                None => "no such controller".into(),
            };
            return Err(ConnectError::Unfit {
                arm,
                link: self.list.service().into(),
                what: format!("the joints of {name}"),
                found,
                expected: expected.join(", "),
                fix,
            });
        }
        Ok(())
    }

    fn guarded(&self, robot: &Robot) -> Option<Guarded> {
        let endless = vec![
            EndlessMode { mode: ControlMode::Velocity, ramp: robot.limits.joint_acceleration.clone() },
            EndlessMode { mode: ControlMode::Torque, ramp: robot.limits.joint_torque_rate.clone() },
        ];
        let (controller, joints) = (guard::Controller::Ros2Control, self.order.names().to_vec());
        Some(Guarded::new(controller, &self.arm, joints, endless, self.node.settings()))
    }

    fn endless(&self, mode: ControlMode) -> bool {
        mode != ControlMode::Position
    }

    fn other_publishers(&self) -> usize {
        self.topics.iter().map(RosPublisher::other_publishers).sum()
    }

    fn activate(&mut self, mode: ControlMode, at: &JointVector) -> Result<(), DriverError> {
        let arm = self.arm.clone();
        self.stopping = None;
        let refuse = |error: RosError| refused(&arm, error);
        let running = self.running().map_err(refuse)?;
        // Stopping a controller clears its held command; it starts again at rest.
        self.switch(Vec::new(), running).map_err(refuse)?;
        self.switch(vec![wire::controller(mode).into()], Vec::new()).map_err(refuse)?;
        let zeros = JointVector::zeros(at.len());
        self.publish(mode, if mode == ControlMode::Position { at } else { &zeros });
        Ok(())
    }

    fn send(&mut self, stream: &Stream, _: &ArmState) {
        self.publish(stream.mode(), stream.last());
    }

    fn rest(&mut self, stream: &Stream, _: &ArmState, _: bool) -> bool {
        self.publish(stream.mode(), stream.last());
        false
    }

    fn blind(&mut self, stream: &Stream, at_rest: bool) -> bool {
        self.publish(stream.mode(), stream.last());
        at_rest
    }

    fn switch_off(&mut self, mode: ControlMode) -> Off {
        match self.stopping {
            None => {
                let timeout = builtin::Duration { sec: 2, nanosec: 0 };
                let stop = vec![wire::controller(mode).to_string()];
                let request = SwitchControllerRequest::strict(Vec::new(), stop, timeout);
                self.stopping = self.switch.send_request(request).ok().flatten();
                Off::Pending
            }
            Some(request) => match self.switch.response(request) {
                Ok(Some(answer)) if answer.ok => {
                    self.stopping = None;
                    Off::Done("its controller is stopped, and the robot holds by itself")
                }
                Ok(None) => Off::Pending,
                Ok(Some(_)) | Err(_) => {
                    self.stopping = None;
                    Off::None
                }
            },
        }
    }

    fn alive(&self) -> bool {
        self.node.loops_alive()
    }

    fn rebuild(&mut self, patience: Duration) -> Result<(), ConnectError> {
        let settings = self.node.settings().clone();
        let new = Self::new(&self.description, settings, Arc::clone(&self.clock))?;
        // The old hand may wait for a response that never comes: do not wait for it here.
        let old = std::mem::replace(self, new);
        std::thread::spawn(move || drop(old));
        let arm = self.arm.clone();
        for topic in &self.topics {
            topic.wait_for_subscriber(patience).map_err(|error| connect_error(&arm, error))?;
        }
        Ok(())
    }

    fn gripper(&mut self, fraction: f64) {
        self.hand.set_target(fraction);
    }

    fn recover(&mut self, patience: Duration) -> Result<(), ConnectError> {
        let arm = self.arm.clone();
        self.misfit = None;
        let faulty = self.fault.is_none_or(|(fault, _)| fault.is_some());
        if faulty {
            self.recovery.execute(Empty::default(), RECOVERY).map_err(|error| connect_error(&arm, error))?;
        }
        // The action's result and the state arrive independently.
        let deadline = Instant::now() + patience;
        let mut last = None;
        while Instant::now() < deadline {
            match self.robot.wait(Duration::from_millis(50)).map_err(|error| connect_error(&arm, error))? {
                Some(state) if wire::fault(&state).is_none() => {
                    self.fault = Some((None, self.clock.now()));
                    return Ok(());
                }
                Some(state) => last = wire::fault(&state),
                None => {}
            }
        }
        Err(ConnectError::Unfit {
            arm,
            link: self.robot.topic().into(),
            what: "the robot's state after a recovery".into(),
            found: wire::fault_text(last.unwrap_or(wire::UNKNOWN)),
            expected: "no error".into(),
            fix: "do what it says, then recover again".into(),
        })
    }

    fn release(&mut self, _: &ArmState) {
        // Without a controller the robot holds by itself; with one it would continue at the last command.
        let stopped = self.running().and_then(|running| self.switch(Vec::new(), running));
        if let Err(error) = stopped {
            tracing::error!(
                "{}: its controller could not be stopped and goes on with its last command: {error}",
                self.arm
            );
        }
    }

    fn findings(&mut self) -> (Vec<Finding>, Vec<f64>) {
        let mut trips = Vec::new();
        for _ in 0..5 {
            let began = Instant::now();
            if self.controllers().is_ok() {
                trips.push(began.elapsed().as_secs_f64());
            }
        }
        let watchdog = "forward controllers have none: they hold the last command for ever; a guard process stops the \
                        arm when this program dies, `visuomotor guard --listen` on the stack's host when this machine \
                        does; use fci for torques";
        let mut findings = vec![
            Finding::good("command time-out at the robot's side", "none", "at most 0.1 s")
                .graded(Grade::Doubtful, watchdog),
        ];
        if let Some(rate) = self.success_rate {
            let found = Finding::good("control_command_success_rate", format!("{rate:.2}"), "0.95 or more, in motion");
            findings.push(found);
        }
        let recovery = self.recovery.available();
        let found = Finding::good(wire::ERROR_RECOVERY, if recovery { "served" } else { "not served" }, "served");
        findings.push(if recovery {
            found
        } else {
            found.graded(Grade::Doubtful, "without it a reflex can only be cleared at the robot")
        });
        (findings, trips)
    }

    fn fault_text(fault: FaultCode) -> String {
        wire::fault_text(fault)
    }
}
