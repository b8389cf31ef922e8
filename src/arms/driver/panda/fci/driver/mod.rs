//! A Franka arm over its own 1 kHz interface (FCI), through the crate `franka-rs`: FER (FCI version 5) and FR3 (10).
//!
//! ```text
//! control thread --setpoint--> [newest value] --> FCI thread --UDP 1 kHz--> robot
//!                <--report-- [newest value] <--  (thread)
//! ```
//!
//! The FCI thread (`thread.rs`) owns the connection and is paced by the robot. [`FciArm`] never waits for it in `read`, `write` and
//! `hold`; `activate` and `recover` do, within a stated time. Commands may come at any rate: positions and velocities are brought
//! to 1 kHz within limits of speed, acceleration and jerk ([`shaper`]), torques within limits of torque and torque rate
//! ([`torque`]). When no command comes for [`FciSettings::command_age`] the arm holds.
//!
//! Units: rad, rad/s, Nm on top of gravity and friction, which the robot compensates. It refuses another protocol version, numbers
//! that are not finite, another mode than the active one, and motion while the robot is in a fault. Its stop is a controlled halt
//! in software and no emergency stop: keep the user stop at hand.
//! Start reading at [`FciArm`], then [`pilot`].

mod check;
pub mod envelope;
mod hand;
pub mod pilot;
pub mod report;
mod session;
mod settings;
pub mod shaper;
mod thread;
pub mod torque;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use check::check;
use hand::Hand;
pub use report::{Cycle, NumberedSetpoint, Phase, Report, Scheduling};
use rtrb::Consumer;
pub use settings::{FciSettings, HandSettings, Load, Model, MotionLimits};
use thread::{FciThread, Numbered};
use triple_buffer::{Input, Output};

use crate::driver::panda::limits::JOINTS;
use crate::driver::{ArmDriver, Capabilities, ConnectError, DriverError, FaultCode, Reply, Request, Setpoint};
use visuomotor_core::action::{ControlMode, JointCommand};
use visuomotor_core::observation::{JointVector, Proprioception};
use visuomotor_core::time::{Clock, Timestamp};

/// Cycles kept for readers: four seconds.
const CYCLES: usize = 4096;

/// How far outside its range a reported joint position may be and still be accepted \[rad\].
const BELIEVED: f64 = 0.1;

/// Longest time for shutting down \[s\]: the arm is stopped first. A thread that still waits for a robot that stopped responding in
/// the middle of a request is abandoned; the robot stops by itself after 20 ms.
const LEAVING: Duration = Duration::from_secs(5);

/// Name of this driver.
const DRIVER: &str = "fci";

/// A Franka arm over FCI.
pub struct FciArm {
    capabilities: Capabilities,
    settings: FciSettings,
    model: Model,
    setpoints: Input<NumberedSetpoint>,
    reports: Output<Option<Report>>,
    cycles: Consumer<Cycle>,
    /// None once the thread shall exit.
    requests: Option<SyncSender<Numbered>>,
    replies: Receiver<(u64, Reply)>,
    /// Requests so far.
    requested: u64,
    /// Setpoints so far.
    count: u64,
    active: Option<ControlMode>,
    last: Report,
    hand: Option<Hand>,
    scheduling: Scheduling,
    error_text: Arc<Mutex<String>>,
    thread: Option<JoinHandle<()>>,
}

impl FciArm {
    /// Connects to `host` or `host:port` (1337 without). May block for some seconds; nothing moves. Stamps are taken from
    /// `clock`, which must be the one the control loop uses.
    pub fn connect(
        address: &str,
        model: Model,
        settings: FciSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConnectError> {
        let (setpoints, for_thread) = triple_buffer::triple_buffer(&NumberedSetpoint::NONE);
        let (from_thread, mut reports) = triple_buffer::triple_buffer(&None);
        let (producer, cycles) = rtrb::RingBuffer::new(CYCLES);
        let (requests, received) = sync_channel(2);
        let (replying, replies) = sync_channel(2);
        let (connecting, connected) = sync_channel(1);
        let error_text = Arc::new(Mutex::new(String::new()));
        let thread = FciThread {
            address: address.into(),
            model,
            settings: settings.clone(),
            clock,
            setpoints: for_thread,
            reports: from_thread,
            cycles: producer,
            requests: received,
            replies: replying,
            error_text: Arc::clone(&error_text),
        };
        let link_error = |cause: String, fix: &str| ConnectError::Link {
            arm: model.robot().into(),
            link: address.into(),
            cause,
            fix: fix.into(),
        };
        let thread = std::thread::Builder::new()
            .name("fci".into())
            .spawn(move || thread.run(connecting))
            .map_err(|error| link_error(error.to_string(), "close other programs"))?;
        let lost = || link_error("the FCI thread ended".into(), "start again");
        let scheduling = match connected.recv() {
            Ok(result) => result?,
            Err(_) => return Err(lost()),
        };
        // After the arm, whose own errors say what is at the address.
        let hand = match settings.hand.clone().map(|hand| Hand::connect(address, model.robot(), hand)) {
            Some(Ok(hand)) => Some(hand),
            Some(Err(error)) => {
                // Without requests the thread ends, and with it the session.
                drop(requests);
                let _ended = thread.join();
                return Err(error);
            }
            None => None,
        };
        let last = (*reports.read()).ok_or_else(lost)?;
        Ok(Self {
            capabilities: Capabilities {
                robot: model.robot().into(),
                driver: DRIVER.into(),
                joints: JOINTS,
                control_rate_hz: 1000.0,
                modes: vec![ControlMode::Position, ControlMode::Velocity, ControlMode::Torque],
            },
            settings,
            model,
            setpoints,
            reports,
            cycles,
            requests: Some(requests),
            replies,
            requested: 0,
            count: 0,
            active: None,
            last,
            hand,
            scheduling,
            error_text,
            thread: Some(thread),
        })
    }

    /// The real-time scheduling that the FCI thread obtained.
    pub fn scheduling(&self) -> &Scheduling {
        &self.scheduling
    }

    /// The newest report on robot and link.
    pub fn health(&mut self) -> Report {
        self.refresh();
        self.last
    }

    /// The last fault in the words of the robot and franka-rs. May allocate.
    pub fn last_error_text(&self) -> String {
        self.error_text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The oldest cycle not yet read, of the last four seconds; if none are read, the first four.
    pub fn next_cycle(&mut self) -> Option<Cycle> {
        self.cycles.pop().ok()
    }

    fn refresh(&mut self) {
        if let Some(report) = *self.reports.read() {
            self.last = report;
        }
    }

    fn send(&mut self, at: Timestamp, setpoint: Setpoint) {
        self.count += 1;
        self.setpoints.write(NumberedSetpoint { count: self.count, at, setpoint });
    }

    /// Sends a request to the thread and waits for its reply; `None` on time-out or when the thread is gone.
    fn request(&mut self, request: Request<u64>, patience: Duration) -> Option<Reply> {
        self.requested += 1;
        self.requests.as_ref()?.try_send((self.requested, request)).ok()?;
        loop {
            match self.replies.recv_timeout(patience) {
                Ok((id, reply)) if id == self.requested => return Some(reply),
                // A reply to an abandoned request.
                Ok(_) => continue,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// The fault that keeps the arm from being read or moved at `now`.
    fn trouble(&self, now: Timestamp) -> Option<DriverError> {
        let report = &self.last;
        if let Some(fault) = report.fault {
            return Some(DriverError::Fault(fault));
        }
        // Written so that NaN in the settings is a fault.
        if !(now.since(report.received_at).as_secs_f64() <= self.settings.silence) {
            return Some(DriverError::Silent);
        }
        let maker = self.model.maker();
        (0..JOINTS).find_map(|joint| {
            let (low, high) = (maker.lower[joint] - BELIEVED, maker.upper[joint] + BELIEVED);
            let value = report.q[joint];
            let plausible = value >= low && value <= high && report.dq[joint].is_finite();
            (!plausible).then_some(DriverError::Implausible { joint, value, low, high })
        })
    }

    /// The newest report in the trait's form.
    fn sensed(&self) -> Proprioception {
        let report = &self.last;
        let (gripper, finger_position) = match (&self.hand, &self.settings.hand) {
            (Some(hand), Some(settings)) => {
                let gripper = hand.measured();
                (gripper, 0.5 * (settings.closed + gripper * (settings.open - settings.closed)))
            }
            _ => (0.0, 0.0),
        };
        Proprioception {
            joint_positions: JointVector::from_slice(&report.q),
            joint_velocities: JointVector::from_slice(&report.dq),
            joint_efforts: JointVector::from_slice(&report.tau),
            finger_position,
            gripper,
            measured_at: report.received_at,
        }
    }
}

impl ArmDriver for FciArm {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Waits until the robot has taken the first command, at most [`FciSettings::activation`]; ends a running motion first.
    fn activate(&mut self, now: Timestamp, mode: ControlMode) -> Result<(), DriverError> {
        if self.settings.watch_only {
            return Err(DriverError::Mode(mode));
        }
        self.active = None;
        // Setpoints of an earlier motion must not move this one.
        self.send(now, Setpoint::Hold);
        let patience = Duration::from_secs_f64(self.settings.activation);
        match self.request(Request::Activate(mode, self.count), patience) {
            Some(Reply::Activated(Ok(()))) => {
                self.active = Some(mode);
                self.refresh();
                Ok(())
            }
            Some(Reply::Activated(Err(error))) => Err(error),
            Some(_) | None => Err(DriverError::Silent),
        }
    }

    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        self.refresh();
        if let Some(trouble) = self.trouble(now) {
            return Err(trouble);
        }
        Ok(self.sensed())
    }

    /// The controller keeps reporting the arm's position during a fault.
    fn observed(&mut self, _now: Timestamp) -> Option<Proprioception> {
        self.refresh();
        Some(self.sensed())
    }

    fn write(&mut self, now: Timestamp, command: &JointCommand) -> Result<(), DriverError> {
        let active = self.active.ok_or(DriverError::Inactive)?;
        if let Some(fault) = self.last.fault {
            return Err(DriverError::Fault(fault));
        }
        if command.mode() != active || command.joints().len() != JOINTS {
            self.send(now, Setpoint::Hold);
            return Err(DriverError::Mode(command.mode()));
        }
        if !(command.joints().is_finite() && command.gripper().is_finite()) {
            self.send(now, Setpoint::Hold);
            return Err(DriverError::NotFinite);
        }
        self.send(now, Setpoint::Follow(*command));
        if let Some(hand) = &self.hand {
            hand.set_target(command.gripper());
        }
        Ok(())
    }

    /// The arm brakes within its limits and stays; a robot in a fault, or without a motion, holds by itself.
    fn hold(&mut self, now: Timestamp) -> Result<(), DriverError> {
        self.send(now, Setpoint::Hold);
        self.refresh();
        match self.last.fault {
            Some(fault) => Err(DriverError::Fault(fault)),
            None => Ok(()),
        }
    }

    fn recover(&mut self, now: Timestamp) -> Result<(), ConnectError> {
        self.active = None;
        self.send(now, Setpoint::Hold);
        // The last attempt may still be within its own time limits when the time is up.
        let patience = Duration::from_secs_f64(self.settings.recovery) + LEAVING;
        match self.request(Request::Recover, patience) {
            Some(Reply::Recovered(Ok(()))) => {
                self.refresh();
                Ok(())
            }
            Some(Reply::Recovered(Err(error))) => Err(error),
            Some(_) | None => Err(ConnectError::Silent {
                arm: self.capabilities.robot.clone(),
                link: DRIVER.into(),
                who: "the FCI thread".into(),
                seconds: patience.as_secs_f64(),
                fix: "start the program again".into(),
            }),
        }
    }

    fn fault_text(&self, fault: FaultCode) -> String {
        let words = self.last_error_text();
        if words.is_empty() { report::text(fault) } else { format!("{} ({words})", report::text(fault)) }
    }
}

impl Drop for FciArm {
    fn drop(&mut self) {
        // The thread ends the motion and exits.
        self.requests = None;
        let Some(thread) = self.thread.take() else { return };
        let step = Duration::from_millis(1);
        let mut left = LEAVING;
        while !thread.is_finished() && !left.is_zero() {
            std::thread::sleep(step);
            left = left.saturating_sub(step);
        }
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
}
