//! All service calls of the node, on the caller's thread: identity, modes, profiles, registers.

use std::time::{Duration, Instant};

use super::XsSdkOptions;
use crate::driver::ConnectError;
use crate::driver::widowx::limits;
use crate::driver::widowx::xs_sdk::wire::{ALL, ARM, GRIPPER, Order, watchdog_counts};
use crate::transport::ros2::messages::interbotix::*;
use crate::transport::ros2::messages::sensor::JointState;
use crate::transport::ros2::{Qos, RosClient, RosError, RosNode, RosPublisher, RosSubscriber};
use visuomotor_core::action::ControlMode;
use visuomotor_core::config::{Gripper, Robot};

/// Our node, the arm node's services, and the information read from them.
pub(super) struct Session {
    pub arm: String,
    pub link: String,
    pub options: XsSdkOptions,
    pub gripper: Gripper,
    /// Hard limits of each joint \[rad\].
    pub range: [(f64, f64); 6],
    pub order: Order,
    pub node: RosNode,
    topics: Option<Topics>,
    control_period: f64,
    info: RosClient<RobotInfo>,
    torque: RosClient<TorqueEnable>,
    modes: RosClient<OperatingModes>,
    reboot: RosClient<Reboot>,
    set: RosClient<RegisterValues>,
    get: RosClient<RegisterValues>,
}

impl Session {
    /// Finds the node and checks that it is this arm.
    pub fn open(robot: &Robot, options: XsSdkOptions) -> Result<Self, ConnectError> {
        let arm = robot.identity.name.clone();
        let settings = options.settings.clone();
        let link = format!("{} (ROS domain {})", settings.resolve("joint_states"), settings.domain);
        let failed = |error: RosError| link_error(&arm, &link, &error);
        limits::fits(robot, &link)?;
        let node = RosNode::start(settings).map_err(failed)?;
        let mut topics = Topics::of(&node).map_err(failed)?;
        let info = node.client("get_robot_info").map_err(failed)?;
        let torque = node.client("torque_enable").map_err(failed)?;
        let modes = node.client("set_operating_modes").map_err(failed)?;
        let reboot = node.client("reboot_motors").map_err(failed)?;
        let set = node.client("set_motor_registers").map_err(failed)?;
        let get = node.client("get_motor_registers").map_err(failed)?;
        let patience = Duration::from_secs_f64(options.patience);
        let Some(first) = topics.states.wait(patience).map_err(failed)? else {
            let (who, fix) = match topics.states.silence(patience) {
                RosError::NoPeer { fix, .. } => ("xs_sdk's joint_states".to_string(), fix),
                other => (other.to_string(), "start xs_sdk".into()),
            };
            return Err(ConnectError::Silent { arm, link, who, seconds: options.patience, fix });
        };
        let order = Order::of(&first.name).map_err(|found| ConnectError::Unfit {
            arm: arm.clone(),
            link: link.clone(),
            what: "the list of joints in joint_states".into(),
            found,
            expected: format!("{}, {GRIPPER}, left_finger, right_finger", limits::JOINTS.join(", ")),
            fix: "this is another arm: correct link.namespace or name the right robot in the launch file".into(),
        })?;
        let mut range = [(0.0, 0.0); 6];
        for (range, joint) in range.iter_mut().zip(&robot.joint) {
            *range = (joint.lower, joint.upper);
        }
        Ok(Self {
            arm,
            link,
            gripper: robot.gripper.clone(),
            control_period: 1.0 / robot.identity.control_rate_hz,
            options,
            range,
            order,
            node,
            topics: Some(topics),
            info,
            torque,
            modes,
            reboot,
            set,
            get,
        })
    }

    /// Parts for the bridge thread; there is one bridge per session.
    pub fn topics(&mut self) -> Option<Topics> {
        self.topics.take()
    }

    /// Switches to the services of another node of ours, when the threads of the first have ended.
    pub fn move_to(&mut self, node: RosNode) -> Result<(), ConnectError> {
        let failed = self.failure();
        let old = (
            std::mem::replace(&mut self.info, node.client("get_robot_info").map_err(&failed)?),
            std::mem::replace(&mut self.torque, node.client("torque_enable").map_err(&failed)?),
            std::mem::replace(&mut self.modes, node.client("set_operating_modes").map_err(&failed)?),
            std::mem::replace(&mut self.reboot, node.client("reboot_motors").map_err(&failed)?),
            std::mem::replace(&mut self.set, node.client("set_motor_registers").map_err(&failed)?),
            std::mem::replace(&mut self.get, node.client("get_motor_registers").map_err(&failed)?),
            std::mem::replace(&mut self.node, node),
        );
        // The old threads may never end: do not wait for them here.
        std::thread::spawn(move || drop(old));
        Ok(())
    }

    /// Checks the node's own description, without changing anything.
    pub fn survey(&mut self) -> Result<(), ConnectError> {
        let info = self.info()?;
        if info.joint_names != limits::JOINTS || info.num_joints != 6 {
            let found = format!("{} ({})", info.joint_names.join(", "), info.num_joints);
            return Err(self.unfit(
                "the node's group `arm`",
                found,
                limits::JOINTS.join(", "),
                "this is another arm or another motor configuration",
            ));
        }
        let bounds = info.joint_lower_limits.iter().zip(&info.joint_upper_limits);
        if bounds.len() != 6 {
            return Err(self.unfit("the node's joint limits", bounds.len().to_string(), "6", "update xs_sdk"));
        }
        for (joint, (low, high)) in bounds.enumerate() {
            let (ours, theirs) = (self.range[joint], (f64::from(*low), f64::from(*high)));
            // The node's description may be tighter than the maker's: then ours must be too.
            if !(ours.0 >= theirs.0 - 0.01 && ours.1 <= theirs.1 + 0.01) {
                return Err(self.unfit(
                    &format!("the node's range of {}", limits::JOINTS[joint]),
                    format!("{:.4} .. {:.4} rad", theirs.0, theirs.1),
                    format!("at least our {:.4} .. {:.4} rad", ours.0, ours.1),
                    "tighten robots/widowx/robot.toml, or correct the node's motor configuration",
                ));
            }
        }
        if self.other_publishers() > 0 {
            return Err(self.second_commander());
        }
        Ok(())
    }

    /// Programs besides us that publish commands for this arm.
    pub fn other_publishers(&self) -> usize {
        let topics = ["commands/joint_group", "commands/joint_single", "commands/joint_trajectory"];
        topics.map(|topic| self.node.publishers_of(topic).len()).into_iter().max().unwrap_or(0)
    }

    pub fn second_commander(&self) -> ConnectError {
        self.unfit(
            "the number of other programs that publish commands",
            self.other_publishers().to_string(),
            "0",
            "stop the other program (`ros2 topic info -v` on commands/joint_group names it)",
        )
    }

    /// The node's description of the group `arm`.
    pub fn info(&mut self) -> Result<RobotInfoResponse, ConnectError> {
        let request = RobotInfoRequest { cmd_type: "group".into(), name: ARM.into() };
        let (patience, failure) = (self.patience(), self.failure());
        self.info.call(request, patience).map_err(failure)
    }

    /// Sets operating modes and profiles where they differ, and reads them back. A mode change drops the torque for a moment.
    pub fn set_modes(&mut self, mode: ControlMode) -> Result<(), ConnectError> {
        let wanted = mode.to_string();
        // A new goal comes every control period and is interpolated by the control loop; the servo's own profile only smooths the
        // steps. Time-based profile, acceleration at most half of it (ROBOTIS e-manual, register 108).
        let velocity = (2e3 * self.control_period).round() as i32;
        let acceleration = velocity / 2;
        let info = self.info()?;
        if info.mode != wanted || info.profile_type != "time" {
            self.change_mode(("group", ARM), &wanted, velocity, acceleration)?;
            let info = self.info()?;
            if info.mode != wanted || info.profile_type != "time" {
                return Err(self.unfit(
                    "the operating mode of the group `arm`",
                    format!("{} with a {} profile", info.mode, info.profile_type),
                    format!("{wanted} with a time profile"),
                    "look at the node's log",
                ));
            }
        }
        let gripper = self.gripper_info()?;
        let grip = self.options.gripper.mode();
        if gripper.mode != grip {
            self.change_mode(("single", GRIPPER), grip, 0, 0)?;
            let found = self.gripper_info()?.mode;
            if found != grip {
                return Err(self.unfit("the operating mode of the gripper", found, grip, "look at the node's log"));
            }
        }
        for (register, value) in [("Profile_Velocity", velocity), ("Profile_Acceleration", acceleration)] {
            if self.registers(("group", ARM), register)?.iter().any(|found| *found != value) {
                self.set_verified(("group", ARM), register, value)?;
            }
        }
        Ok(())
    }

    /// Arms the servos' bus watchdog and reads it back; writes 0 first, because one that tripped refuses goals until then.
    pub fn arm_watchdog(&mut self) -> Result<(), ConnectError> {
        self.set_verified(("group", ALL), "Bus_Watchdog", 0)?;
        self.set_verified(("group", ALL), "Bus_Watchdog", watchdog_counts(self.options.watchdog))
    }

    /// Torque on where it is off; the servos then hold where they are.
    pub fn torque_on(&mut self) -> Result<(), ConnectError> {
        if self.registers(("group", ALL), "Torque_Enable")?.iter().all(|value| *value == 1) {
            return Ok(());
        }
        let request = TorqueEnableRequest { cmd_type: "group".into(), name: ALL.into(), enable: true };
        let (patience, failure) = (self.patience(), self.failure());
        self.torque.call(request, patience).map_err(failure)?;
        let found = self.registers(("group", ALL), "Torque_Enable")?;
        if found.iter().all(|value| *value == 1) {
            return Ok(());
        }
        Err(self.unfit("Torque_Enable", format!("{found:?}"), "1 for all servos", "clear the servos' errors first"))
    }

    /// Restarts the servos that report a hardware error, and only them.
    pub fn reboot_faulted(&mut self) -> Result<(), ConnectError> {
        if self.registers(("group", ALL), "Hardware_Error_Status")?.iter().all(|bits| *bits == 0) {
            return Ok(());
        }
        let request = RebootRequest { cmd_type: "group".into(), name: ALL.into(), enable: true, smart_reboot: true };
        let (patience, failure) = (self.patience(), self.failure());
        self.reboot.call(request, patience).map_err(failure)?;
        // A servo replies again about half a second after its reboot (ROBOTIS e-manual).
        let deadline = Instant::now() + patience;
        loop {
            let found = self.registers(("group", ALL), "Hardware_Error_Status")?;
            if found.iter().all(|bits| *bits == 0) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(self.unfit(
                    "Hardware_Error_Status after a reboot",
                    format!("{found:?}"),
                    "0 for all servos",
                    "let the arm cool down, check its supply, then power-cycle it",
                ));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A register of each servo.
    pub fn registers(&mut self, of: (&str, &str), register: &str) -> Result<Vec<i32>, ConnectError> {
        let request =
            RegisterValuesRequest { cmd_type: of.0.into(), name: of.1.into(), reg: register.into(), value: 0 };
        let (patience, failure) = (self.patience(), self.failure());
        let values = self.get.call(request, patience).map_err(failure)?.values;
        let expected = match of {
            (_, ALL) => 7,
            (_, ARM) => 6,
            _ => 1,
        };
        if values.len() == expected {
            return Ok(values);
        }
        Err(self.unfit(
            &format!("the number of servos that reply to {register}"),
            values.len().to_string(),
            expected.to_string(),
            "check cable and power of the servos",
        ))
    }

    /// The node's description of the gripper.
    fn gripper_info(&mut self) -> Result<RobotInfoResponse, ConnectError> {
        let request = RobotInfoRequest { cmd_type: "single".into(), name: GRIPPER.into() };
        let (patience, failure) = (self.patience(), self.failure());
        self.info.call(request, patience).map_err(failure)
    }

    fn change_mode(
        &mut self,
        of: (&str, &str),
        mode: &str,
        profile_velocity: i32,
        profile_acceleration: i32,
    ) -> Result<(), ConnectError> {
        let request = OperatingModesRequest {
            cmd_type: of.0.into(),
            name: of.1.into(),
            mode: mode.into(),
            profile_type: "time".into(),
            profile_velocity,
            profile_acceleration,
        };
        let (patience, failure) = (self.patience(), self.failure());
        self.modes.call(request, patience).map_err(failure).map(|_| ())
    }

    fn set_verified(&mut self, of: (&str, &str), register: &str, value: i32) -> Result<(), ConnectError> {
        let request = RegisterValuesRequest { cmd_type: of.0.into(), name: of.1.into(), reg: register.into(), value };
        let (patience, failure) = (self.patience(), self.failure());
        self.set.call(request, patience).map_err(failure)?;
        let found = self.registers(of, register)?;
        if found.iter().all(|read| *read == value) {
            return Ok(());
        }
        let expected = format!("{value} for all servos");
        Err(self.unfit(&format!("{register} after writing it"), format!("{found:?}"), expected, "update xs_sdk"))
    }

    fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.options.patience)
    }

    /// Converts a ROS error to a connect error, without borrowing the session.
    fn failure(&self) -> impl Fn(RosError) -> ConnectError + use<> {
        let (arm, link) = (self.arm.clone(), self.link.clone());
        move |error| link_error(&arm, &link, &error)
    }

    pub fn link_error(&self, error: &RosError) -> ConnectError {
        link_error(&self.arm, &self.link, error)
    }

    pub fn silent(&self, who: &str, seconds: f64, fix: &str) -> ConnectError {
        let (arm, link) = (self.arm.clone(), self.link.clone());
        ConnectError::Silent { arm, link, who: who.into(), seconds, fix: fix.into() }
    }

    pub fn unfit(
        &self,
        what: &str,
        found: impl Into<String>,
        expected: impl Into<String>,
        fix: impl Into<String>,
    ) -> ConnectError {
        ConnectError::Unfit {
            arm: self.arm.clone(),
            link: self.link.clone(),
            what: what.into(),
            found: found.into(),
            expected: expected.into(),
            fix: fix.into(),
        }
    }
}

/// Parts for the bridge thread.
pub(super) struct Topics {
    pub states: RosSubscriber<JointState>,
    pub group: RosPublisher<JointGroupCommand>,
    pub single: RosPublisher<JointSingleCommand>,
}

impl Topics {
    /// Made from this node.
    pub fn of(node: &RosNode) -> Result<Self, RosError> {
        Ok(Self {
            states: node.subscriber("joint_states", Qos::State)?,
            group: node.publisher("commands/joint_group", Qos::Command)?,
            single: node.publisher("commands/joint_single", Qos::Command)?,
        })
    }
}

fn link_error(arm: &str, link: &str, error: &RosError) -> ConnectError {
    let (arm, link) = (arm.to_string(), link.to_string());
    match error {
        RosError::NoPeer { what, seconds, fix } => {
            let who = format!("a node that {what}");
            ConnectError::Silent { arm, link, who, seconds: *seconds, fix: fix.clone() }
        }
        RosError::Unanswered { service, seconds, fix } => {
            ConnectError::Silent { arm, link, who: service.clone(), seconds: *seconds, fix: fix.clone() }
        }
        other => {
            let fix = "see what the message says".into();
            ConnectError::Link { arm, link, cause: other.to_string(), fix }
        }
    }
}
