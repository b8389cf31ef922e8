//! The nine servos behind the node, as the node sees them: seven, in the order of its configuration.
//!
//! One file because a servo is its registers and their effects.

use std::collections::VecDeque;
use std::time::Duration;

use crate::driver::widowx::crank::{angle_from_finger, finger_from_angle};
use crate::driver::widowx::limits::JOINTS;
use crate::driver::widowx::xs_sdk::wire::{ALL, ARM, FINGER, GRIPPER, OTHER_FINGER};
use crate::driver::{Drive, Plant};
use crate::transport::ros2::messages::interbotix::*;
use crate::transport::ros2::messages::sensor::JointState;
use crate::transport::ros2::messages::std::Header;
use visuomotor_core::config::Robot;
use visuomotor_core::observation::JointVector;
use visuomotor_core::time::Timestamp;

/// Commands kept for observers.
pub const LOG_CAPACITY: usize = 100_000;
/// How long a mode change leaves the servos without torque.
const LIMP: Duration = Duration::from_millis(20);
/// PWM below which the gripper's gear does not move, counts.
const STICTION: f64 = 60.0;
/// Motor torque per current \[Nm/A\] the efforts are made with; the inverse of what Interbotix assumes.
const TORQUE_PER_AMPERE: [f64; 6] = [1.793, 1.793, 1.793, 0.897, 0.897, 1.0];

/// A count of `Goal_Velocity` \[rad/s\]: 0.229 turns in a minute (ROBOTIS e-manual, address 104).
const VELOCITY_UNIT: f64 = 0.229 * std::f64::consts::TAU / 60.0;

/// A fault to inject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bus cannot be read: -pi on all joints is published.
    FailedReads(bool),
    /// NaN is published as a position.
    NanStates(bool),
    /// Nothing is published.
    Silence(bool),
    /// This servo (joint index, 6 the gripper) shuts down with these error bits.
    Hardware(usize, u8),
    /// Commands on topics do not arrive; services do.
    LostCommands(bool),
    /// Writes of this register are lost: firmware that does not know it.
    DeafWatchdog(bool),
}

/// A command as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedCommand {
    /// Time of arrival.
    pub at: Timestamp,
    /// Operating mode it was taken in.
    pub mode: String,
    /// Values as sent: rad or rad/s.
    pub values: Vec<f32>,
    /// Joint positions at that time \[rad\].
    pub measured: Vec<f64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Registers {
    torque: bool,
    error: u8,
    watchdog: i32,
    profile_velocity: i32,
    profile_acceleration: i32,
}

/// A goal on its way through the servos' time profile.
#[derive(Clone, Copy, Debug)]
struct Goal {
    from: JointVector,
    to: JointVector,
    set_at: Timestamp,
    seconds: f64,
}

impl Goal {
    fn at(&self, now: Timestamp) -> JointVector {
        let share =
            if self.seconds > 0.0 { (now.since(self.set_at).as_secs_f64() / self.seconds).min(1.0) } else { 1.0 };
        let mut out = self.from;
        for (value, to) in out.iter_mut().zip(self.to.iter()) {
            *value += share * (to - *value);
        }
        out
    }
}

/// The servos and what they move.
pub struct Servos {
    plant: Box<dyn Plant>,
    limits: Vec<(f64, f64, f64)>,
    sleep: Vec<f64>,
    names: Vec<String>,
    registers: [Registers; 7],
    mode: String,
    grip_mode: String,
    profile: String,
    goal: Option<Goal>,
    velocity: JointVector,
    /// PWM counts or opening \[m\].
    grip: f64,
    limp_until: Timestamp,
    failed_reads: bool,
    nan_states: bool,
    silent: bool,
    lost_commands: bool,
    deaf_watchdog: bool,
    received: VecDeque<ReceivedCommand>,
    /// Time to read a register of a servo, or a state.
    pub register_time: Duration,
    /// Registers read by service.
    pub register_reads: u64,
    /// States published.
    pub published: u64,
    gripper: visuomotor_core::config::Gripper,
}

impl Servos {
    pub fn new(robot: &Robot, plant: Box<dyn Plant>) -> Self {
        let mut names: Vec<String> = JOINTS.iter().map(|name| name.to_string()).collect();
        names.extend([GRIPPER, FINGER, OTHER_FINGER].map(String::from));
        // modes.yaml as shipped: position with a time profile of 2 s and 0.3 s; the gripper by PWM.
        let as_shipped = Registers { profile_velocity: 2000, profile_acceleration: 300, ..Registers::default() };
        let mut servos = Self {
            plant,
            limits: robot.joint.iter().map(|joint| (joint.lower, joint.upper, joint.velocity)).collect(),
            sleep: robot.identity.sleep.clone(),
            names,
            registers: [as_shipped; 7],
            mode: "position".into(),
            grip_mode: "pwm".into(),
            profile: "time".into(),
            goal: None,
            velocity: JointVector::zeros(6),
            grip: 0.0,
            limp_until: Timestamp::ZERO,
            failed_reads: false,
            nan_states: false,
            silent: false,
            lost_commands: false,
            deaf_watchdog: false,
            received: VecDeque::new(),
            register_time: Duration::ZERO,
            register_reads: 0,
            published: 0,
            gripper: robot.gripper.clone(),
        };
        servos.plant.drive(Drive::Limp);
        servos
    }

    pub fn received(&self) -> &VecDeque<ReceivedCommand> {
        &self.received
    }

    pub fn positions(&self) -> Vec<f64> {
        self.plant.sense().joint_positions.to_vec()
    }

    pub fn torque(&self) -> bool {
        self.registers[..6].iter().all(|servo| servo.torque)
    }

    pub fn power_off(&mut self) {
        self.registers.iter_mut().for_each(|servo| servo.torque = false);
        self.plant.drive(Drive::Limp);
    }

    pub fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::FailedReads(on) => self.failed_reads = on,
            Fault::NanStates(on) => self.nan_states = on,
            Fault::Silence(on) => self.silent = on,
            Fault::DeafWatchdog(on) => self.deaf_watchdog = on,
            Fault::LostCommands(on) => self.lost_commands = on,
            Fault::Hardware(servo, bits) => {
                if let Some(servo) = self.registers.get_mut(servo) {
                    servo.error = bits;
                    servo.torque = false;
                }
            }
        }
    }

    /// Indices of the addressed servos.
    pub fn those(kind: &str, name: &str) -> Vec<usize> {
        match (kind, name) {
            ("group", ALL) => (0..7).collect(),
            ("group", ARM) => (0..6).collect(),
            ("single", GRIPPER) => vec![6],
            ("single", joint) => JOINTS.iter().position(|known| *known == joint).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    pub fn info(&self, kind: &str, name: &str) -> RobotInfoResponse {
        let those = Self::those(kind, name);
        let joints = those.iter().filter(|servo| **servo < 6);
        let pick = |what: fn(&(f64, f64, f64)) -> f64| -> Vec<f32> {
            joints.clone().map(|servo| what(&self.limits[*servo]) as f32).collect()
        };
        let gripper = those == [6];
        RobotInfoResponse {
            mode: if gripper { self.grip_mode.clone() } else { self.mode.clone() },
            profile_type: if gripper { "velocity".into() } else { self.profile.clone() },
            joint_names: those.iter().map(|servo| self.names[*servo].clone()).collect(),
            joint_ids: those.iter().map(|servo| [1, 2, 4, 6, 7, 8, 9][*servo]).collect(),
            joint_lower_limits: pick(|limits| limits.0),
            joint_upper_limits: pick(|limits| limits.1),
            joint_velocity_limits: pick(|limits| limits.2),
            joint_sleep_positions: joints.clone().map(|servo| self.sleep[*servo] as f32).collect(),
            joint_state_indices: those.iter().map(|servo| *servo as i16).collect(),
            num_joints: those.len() as i16,
            name: vec![name.into()],
        }
    }

    pub fn set_torque(&mut self, kind: &str, name: &str, on: bool) {
        for servo in Self::those(kind, name) {
            let servo = &mut self.registers[servo];
            // A servo that shut down obeys only a reboot.
            servo.torque = on && servo.error == 0;
        }
        // Torque on: the goal is where the servo is.
        self.goal = None;
        self.velocity.fill(0.0);
    }

    pub fn set_mode(&mut self, now: Timestamp, ask: &OperatingModesRequest) {
        let those = Self::those(&ask.cmd_type, &ask.name);
        if those == [6] {
            if ["pwm", "linear_position", "position", "current_based_position"].contains(&ask.mode.as_str()) {
                self.grip_mode = ask.mode.clone();
                self.grip = 0.0;
            }
            return;
        }
        if those.is_empty() || !["position", "velocity"].contains(&ask.mode.as_str()) {
            return;
        }
        self.mode = ask.mode.clone();
        self.profile = ask.profile_type.clone();
        self.goal = None;
        self.velocity.fill(0.0);
        self.limp_until = now + LIMP;
        for servo in those {
            self.registers[servo].profile_velocity = ask.profile_velocity;
            self.registers[servo].profile_acceleration = ask.profile_acceleration;
            // The node turns the torque on again after a mode change.
            self.registers[servo].torque = self.registers[servo].error == 0;
        }
    }

    pub fn reboot(&mut self, ask: &RebootRequest) {
        for servo in Self::those(&ask.cmd_type, &ask.name) {
            let servo = &mut self.registers[servo];
            if !ask.smart_reboot || servo.error != 0 {
                *servo = Registers { torque: ask.enable, ..Registers::default() };
            }
        }
        self.goal = None;
        self.velocity.fill(0.0);
    }

    pub fn write(&mut self, ask: &RegisterValuesRequest) {
        for index in Self::those(&ask.cmd_type, &ask.name) {
            let servo = &mut self.registers[index];
            match ask.reg.as_str() {
                "Bus_Watchdog" if !self.deaf_watchdog => servo.watchdog = ask.value,
                "Profile_Velocity" => servo.profile_velocity = ask.value,
                "Profile_Acceleration" => servo.profile_acceleration = ask.value,
                "Goal_Velocity" if index < 6 && self.mode == "velocity" => {
                    self.velocity[index] = f64::from(ask.value) * VELOCITY_UNIT;
                }
                _ => {}
            }
        }
    }

    pub fn read(&self, ask: &RegisterValuesRequest) -> Vec<i32> {
        let those = Self::those(&ask.cmd_type, &ask.name);
        let value = |servo: &Registers| match ask.reg.as_str() {
            "Bus_Watchdog" => servo.watchdog,
            "Profile_Velocity" => servo.profile_velocity,
            "Profile_Acceleration" => servo.profile_acceleration,
            "Torque_Enable" => i32::from(servo.torque),
            "Hardware_Error_Status" => i32::from(servo.error),
            "Present_Temperature" => 35,
            "Present_Input_Voltage" => 120,
            _ => 0,
        };
        those.into_iter().map(|servo| value(&self.registers[servo])).collect()
    }

    /// Takes a command for the arm as the node does: no limits, no time-out.
    pub fn group_command(&mut self, now: Timestamp, command: &JointGroupCommand) {
        if self.lost_commands {
            return;
        }
        if command.name != ARM || command.cmd.len() != 6 {
            tracing::warn!("xs_sdk: a command for `{}` with {} values is ignored", command.name, command.cmd.len());
            return;
        }
        let values: Vec<f64> = command.cmd.iter().map(|value| f64::from(*value)).collect();
        if self.received.len() == LOG_CAPACITY {
            self.received.pop_front();
        }
        self.received.push_back(ReceivedCommand {
            at: now,
            mode: self.mode.clone(),
            values: command.cmd.clone(),
            measured: self.positions(),
        });
        // What a servo does with NaN is an arbitrary number; here it is not sent on.
        if !values.iter().all(|value| value.is_finite()) {
            return;
        }
        let values = JointVector::from_slice(&values);
        if self.mode == "velocity" {
            self.velocity = values;
        } else {
            let from = self.goal.map_or(self.plant.sense().joint_positions, |goal| goal.at(now));
            let seconds = f64::from(self.registers[0].profile_velocity) * 1e-3;
            self.goal = Some(Goal { from, to: values, set_at: now, seconds });
        }
    }

    pub fn single_command(&mut self, _now: Timestamp, command: &JointSingleCommand) {
        if command.name == GRIPPER && command.cmd.is_finite() {
            self.grip = f64::from(command.cmd);
        }
    }

    /// Advances to `now`.
    pub fn advance(&mut self, now: Timestamp) {
        let sensed = self.plant.sense();
        let limp = !self.registers[..6].iter().any(|servo| servo.torque) || now < self.limp_until;
        let drive = if limp {
            self.goal = None;
            Drive::Limp
        } else if self.mode == "velocity" {
            Drive::Velocity(self.without_dead(self.velocity, JointVector::zeros(6)))
        } else {
            let here = sensed.joint_positions;
            let goal = *self.goal.get_or_insert(Goal { from: here, to: here, set_at: now, seconds: 0.0 });
            Drive::Position(self.without_dead(goal.at(now), here))
        };
        self.plant.drive(drive);
        self.drive_gripper(sensed.finger_position);
        self.plant.advance_to(now);
    }

    /// A servo that shut down does not follow: it stays at `instead` (the plant has no single limp joint).
    fn without_dead(&self, mut wanted: JointVector, instead: JointVector) -> JointVector {
        for (joint, value) in wanted.iter_mut().enumerate() {
            if !self.registers[joint].torque {
                *value = instead[joint];
            }
        }
        wanted
    }

    fn drive_gripper(&mut self, finger: f64) {
        if !self.registers[6].torque {
            return;
        }
        let fraction = match self.grip_mode.as_str() {
            // Pushed by force: it moves until something stops it; the gear holds against small forces.
            "pwm" if self.grip > STICTION => self.gripper.fraction_from_finger(self.gripper.finger_max),
            "pwm" if self.grip < -STICTION => self.gripper.fraction_from_finger(self.gripper.finger_min).min(0.0),
            "pwm" => self.gripper.fraction_from_finger(finger),
            _ => self.gripper.fraction_from_finger(0.5 * self.grip),
        };
        self.plant.drive_gripper(fraction);
    }

    /// The state to publish now; an empty message when none is.
    pub fn state(&self, header: Header) -> Option<JointState> {
        if self.silent {
            return None;
        }
        let sensed = self.plant.sense();
        let finger = sensed.finger_position;
        let mut position: Vec<f64> = sensed.joint_positions.to_vec();
        let mut velocity: Vec<f64> = sensed.joint_velocities.to_vec();
        let mut effort: Vec<f64> =
            sensed.joint_efforts.iter().zip(TORQUE_PER_AMPERE).map(|(torque, per)| 1e3 * torque / per).collect();
        // A motor without torque takes no current.
        for (effort, servo) in effort.iter_mut().zip(&self.registers) {
            *effort *= f64::from(servo.torque);
        }
        position.extend([angle_from_finger(finger), finger, -finger]);
        velocity.extend([0.0; 3]);
        effort.extend([0.0; 3]);
        if self.failed_reads {
            position[..7].fill(-std::f64::consts::PI);
            position[7] = finger_from_angle(-std::f64::consts::PI);
            position[8] = -position[7];
        }
        if self.nan_states {
            position[2] = f64::NAN;
        }
        Some(JointState { header, name: self.names.clone(), position, velocity, effort })
    }
}
