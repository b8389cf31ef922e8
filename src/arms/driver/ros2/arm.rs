//! [`ArmDriver`] over any [`ArmLink`]: the control thread's end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::link::ArmLink;
use super::silence::SilenceWatch;
use super::state::{ArmState, Condition};
use super::worker::Worker;
use super::{LinkOptions, REFUSED, connect_error};
use crate::driver::guard::{Guarded, Guarding};
use crate::driver::{
    ArmDriver, Capabilities, CheckReport, ConnectError, DriverError, FaultCode, Finding, Grade, Reply, Request,
    Setpoint,
};
use crate::transport::ros2::{Bridge, Pacing};
use visuomotor_core::action::{ControlMode, JointCommand};
use visuomotor_core::config::Robot;
use visuomotor_core::observation::Proprioception;
use visuomotor_core::protection::Protection;
use visuomotor_core::time::{Clock, Timestamp};

/// How long a guard may take to start and to find the arm's controller.
const STARTING: Duration = Duration::from_secs(20);

/// An arm over ROS 2. [`RosArm::connect`] moves nothing.
pub struct RosArm<L: ArmLink> {
    capabilities: Capabilities,
    robot: Robot,
    options: LinkOptions,
    bridge: Bridge<Worker<L>>,
    /// Dropped after the bridge, whose last message must be sent first.
    guarded: Option<Guarded>,
    clock: Arc<dyn Clock>,
    active: Option<ControlMode>,
    silence_watch: SilenceWatch,
}

/// A fault as text: the common code, or the link's.
pub(super) fn text<L: ArmLink>(fault: FaultCode) -> String {
    if fault == REFUSED {
        return "a service or action of the arm refused or did not reply; the log says which".into();
    }
    L::fault_text(fault)
}

impl<L: ArmLink> RosArm<L> {
    /// Waits for the arm, checks that it is the right one and has no other commander, and starts the bridge.
    pub fn connect(
        mut link: L,
        robot: &Robot,
        modes: &[ControlMode],
        options: LinkOptions,
        pacing: fn(Duration) -> Pacing,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConnectError> {
        let name = &robot.identity.name;
        let state = first_state(&mut link, options.patience, &*clock)?;
        if let Some(DriverError::Implausible { joint, value, low, high }) = state.implausible(robot) {
            return Err(ConnectError::Unfit {
                arm: name.clone(),
                link: "ros2".into(),
                what: format!("what {} reports", robot.joint[joint].name),
                found: value.to_string(),
                expected: format!("within {low} .. {high}"),
                fix: "is this the arm of the launch file, and are its encoders calibrated?".into(),
            });
        }
        link.verify(options.patience)?;
        let rate = robot.identity.control_rate_hz;
        let guarded = link.guarded(robot);
        let worker = Worker::new(link, robot, options, rate, Arc::clone(&clock));
        let period = Duration::from_secs_f64(1.0 / rate);
        let bridge = Bridge::spawn(name, worker, pacing(period), Arc::clone(&clock))
            .map_err(|error| connect_error(name, error))?;
        let capabilities = Capabilities {
            robot: name.clone(),
            driver: "ros2".into(),
            joints: robot.joint.len(),
            control_rate_hz: rate,
            modes: modes.to_vec(),
        };
        let silence_watch = SilenceWatch::new(period);
        let mut arm =
            Self { capabilities, robot: robot.clone(), options, bridge, guarded, clock, active: None, silence_watch };
        arm.wait_for_news(arm.clock.now());
        Ok(arm)
    }

    /// Sets how the arm is guarded in the modes that need it. Without a guard those modes are refused.
    pub fn guarded_by(mut self, guarding: Guarding) -> Self {
        if let Some(guarded) = &mut self.guarded {
            guarded.set(guarding);
        }
        self
    }

    /// Process id of the arm's guard, where it runs on this machine.
    pub fn guard_process(&self) -> Option<u32> {
        self.guarded.as_ref().and_then(Guarded::process)
    }

    /// Waits until the bridge delivered a state received after `after`.
    fn wait_for_news(&mut self, after: Timestamp) {
        let deadline = Instant::now() + self.options.patience;
        while Instant::now() < deadline && self.bridge.alive() {
            if self.bridge.state().is_some_and(|(_, at)| at > after) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Slow calls wait for their own time-outs, several times: this bounds all of them together.
    fn longest_call(&self) -> Duration {
        self.options.patience * 6
    }

    fn sensed(&self, state: &ArmState, at: Timestamp) -> Proprioception {
        Proprioception {
            joint_positions: state.positions,
            joint_velocities: state.velocities,
            joint_efforts: state.efforts,
            finger_position: state.finger,
            gripper: self.robot.gripper.fraction_from_finger(state.finger),
            measured_at: at,
        }
    }

    fn trip(&mut self) {
        self.active = None;
        self.bridge.send(Setpoint::Hold);
    }

    /// Findings without moving the arm, from listening for `seconds`.
    pub fn survey(&mut self, listening: Duration) -> CheckReport {
        let name = self.capabilities.robot.clone();
        let mut findings = Vec::new();
        let (began, mut states, mut last) = (self.clock.now(), 0_u32, None);
        let end = Instant::now() + listening;
        while Instant::now() < end {
            if let Some((_, at)) = self.bridge.state()
                && last != Some(at)
            {
                last = Some(at);
                states += 1;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        let rate = f64::from(states) / self.clock.now().since(began).as_secs_f64().max(1e-3);
        let least = 1.0 / self.options.stale.as_secs_f64();
        let found = Finding::good("state messages", format!("{rate:.0} Hz"), format!("more than {least:.0} Hz"));
        findings.push(if rate > least {
            found
        } else {
            found.graded(Grade::Bad, "raise the arm node's publishing rate, or move closer to it on the network")
        });
        if let Some((state, _)) = self.bridge.state() {
            findings.push(condition_finding::<L>(state.condition));
            findings.push(match state.implausible(&self.robot) {
                None => Finding::good("joint state", "finite and within range", "finite and within range"),
                Some(error) => Finding::good("joint state", error.to_string(), "finite and within range")
                    .graded(Grade::Bad, "check the arm's calibration"),
            });
        }
        let mut round_trips = Vec::new();
        if let Ok(Reply::Surveyed(more, trips)) = self.bridge.request(Request::Survey, self.longest_call()) {
            findings.extend(more);
            round_trips = trips;
        }
        CheckReport {
            robot: name,
            driver: "ros2".into(),
            link: "ros2".into(),
            round_trips,
            rate_hz: Some(rate),
            findings,
        }
    }
}

fn condition_finding<L: ArmLink>(condition: Condition) -> Finding {
    let expected = "ready, no fault, no other commander";
    match condition {
        Condition::Ready => Finding::good("condition", "ready", expected),
        Condition::Fault(code) => {
            Finding::good("condition", text::<L>(code), expected).graded(Grade::Bad, "clear the fault at the arm")
        }
        Condition::SecondCommander => {
            Finding::good("condition", "another program publishes on the command topic", expected)
                .graded(Grade::Bad, "stop the other program")
        }
        Condition::Lost(error) => {
            Finding::good("condition", error.to_string(), expected).graded(Grade::Bad, "see what it says")
        }
    }
}

fn first_state<L: ArmLink>(link: &mut L, patience: Duration, clock: &dyn Clock) -> Result<ArmState, ConnectError> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(state) = link.poll(clock.now()) {
            return Ok(state);
        }
        if Instant::now() >= deadline {
            return Err(link.silence(patience));
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The report on an arm; also for one that responds and cannot be connected. An arm that does not respond gets none.
pub fn check_arm<L: ArmLink>(
    name: &str,
    connected: Result<RosArm<L>, ConnectError>,
    listening: Duration,
) -> Result<CheckReport, ConnectError> {
    match connected {
        Ok(mut arm) => Ok(arm.survey(listening)),
        Err(error @ ConnectError::Unfit { .. }) => Ok(CheckReport {
            robot: name.into(),
            driver: "ros2".into(),
            link: "ros2".into(),
            round_trips: Vec::new(),
            rate_hz: None,
            findings: vec![
                Finding::good("connection", error.to_string(), "an arm as described")
                    .graded(Grade::Bad, "see what was found"),
            ],
        }),
        Err(error) => Err(error),
    }
}

impl<L: ArmLink> ArmDriver for RosArm<L> {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn activate(&mut self, _: Timestamp, mode: ControlMode) -> Result<(), DriverError> {
        if !self.capabilities.modes.contains(&mode) {
            return Err(DriverError::Mode(mode));
        }
        self.active = None;
        let patience = self.options.patience.max(STARTING);
        let heartbeat = match &mut self.guarded {
            Some(guarded) => guarded.prepare(mode, patience, &self.clock).map_err(DriverError::Guard)?,
            None => None,
        };
        match self.bridge.request(Request::Activate(mode, heartbeat), self.longest_call()) {
            Ok(Reply::Activated(Ok(()))) => {
                self.active = Some(mode);
                self.bridge.send(Setpoint::Hold);
                self.wait_for_news(self.clock.now());
                Ok(())
            }
            Ok(Reply::Activated(Err(error))) => Err(error),
            Ok(_) | Err(_) => Err(DriverError::Silent),
        }
    }

    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        self.silence_watch.polled(now);
        let newest = self.bridge.state();
        // Checked before the age of the state: a program that was suspended has no new state, and that is not the arm's fault.
        let guard = self.guarded.as_ref().and_then(|guarded| guarded.fault(now));
        let checked = Protection::StateCheck.is_on();
        let error = match (guard, newest) {
            (Some(fault), _) => DriverError::Guard(fault),
            (None, None) => DriverError::Silent,
            (None, Some(_)) if !self.bridge.alive() => DriverError::LinkDied,
            (None, Some((_, at))) if self.silence_watch.is_silent(now, at, self.options.stale) && checked => {
                DriverError::Silent
            }
            (None, Some((state, at))) => match (state.condition, state.implausible(&self.robot)) {
                (Condition::Fault(code), _) => DriverError::Fault(code),
                (Condition::SecondCommander, _) => DriverError::SecondCommander,
                (Condition::Lost(error), _) => error,
                (Condition::Ready, Some(error)) if checked => error,
                (Condition::Ready, _) => return Ok(self.sensed(&state, at)),
            },
        };
        self.trip();
        Err(error)
    }

    fn observed(&mut self, _: Timestamp) -> Option<Proprioception> {
        let (state, at) = self.bridge.state()?;
        Some(self.sensed(&state, at))
    }

    fn write(&mut self, _: Timestamp, command: &JointCommand) -> Result<(), DriverError> {
        match self.active {
            None => return Err(DriverError::Inactive),
            Some(mode) if mode != command.mode() => return Err(DriverError::Mode(command.mode())),
            Some(_) => {}
        }
        if command.joints().len() != self.capabilities.joints
            || !command.joints().is_finite()
            || !command.gripper().is_finite()
        {
            self.bridge.send(Setpoint::Hold);
            return Err(DriverError::NotFinite);
        }
        self.bridge.send(Setpoint::Follow(*command));
        Ok(())
    }

    fn hold(&mut self, _: Timestamp) -> Result<(), DriverError> {
        self.bridge.send(Setpoint::Hold);
        if self.bridge.alive() { Ok(()) } else { Err(DriverError::LinkDied) }
    }

    fn recover(&mut self, now: Timestamp) -> Result<(), ConnectError> {
        self.active = None;
        if let Some(guarded) = &mut self.guarded {
            guarded.forget_faulty(now);
        }
        match self.bridge.request(Request::Recover, self.longest_call()) {
            Ok(Reply::Recovered(result)) => {
                if result.is_ok() {
                    self.wait_for_news(self.clock.now());
                }
                result
            }
            Ok(_) => Err(ConnectError::Link {
                arm: self.capabilities.robot.clone(),
                link: "ros2".into(),
                cause: "the bridge replied to another request".into(),
                fix: "start again".into(),
            }),
            Err(error) => Err(connect_error(&self.capabilities.robot, error)),
        }
    }

    fn fault_text(&self, fault: FaultCode) -> String {
        text::<L>(fault)
    }
}
