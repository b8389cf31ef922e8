//! The rules of [`ArmDriver`].

use std::time::Duration;

use visuomotor_core::action::{ControlMode, JointCommand};
use visuomotor_core::observation::{JointVector, Proprioception};
use visuomotor_core::time::Timestamp;

use super::{Pass, Violation, require, violation};
use crate::driver::{ArmDriver, DriverError, Standstill};

/// How far joints are moved \[rad\], and for how long \[s\].
const WAY: f64 = 0.06;
const RAMP: f64 = 0.6;
/// Allowed position error at the end \[rad\]: a weak servo sags under its load.
const OFF: f64 = 0.025;
/// Velocity per position error \[1/s\], and the largest that it adds \[rad/s\].
const GAIN: f64 = 2.0;
const MOST: f64 = 0.1;
/// How far a joint may move while it is activated \[rad\].
const STILL: f64 = 0.02;
/// Longest time for the arm to arrive, or to come to rest \[s\].
const PATIENCE: f64 = 3.0;

const DESCRIBES: &str = "capabilities name the arm, its joints, its rate and at least one mode";
const SENSES: &str = "read returns finite positions of every joint";
const STAMPS: &str = "read stamps states with times that have passed and never go back";
const INACTIVE: &str = "write before activate is refused";
const ACTIVATES: &str = "activate holds the measured position";
const FOLLOWS: &str = "the arm goes where it is commanded";
const STANDS: &str = "hold makes the arm stand, and keeps it there";
const MODE: &str = "a command of another mode than the activated one is refused";
const FINITE: &str = "a command that is not finite is refused, and the arm stands";
const LENGTH: &str = "a command with another number of joints is refused, and the arm stands";

/// Checks an arm against every rule of [`ArmDriver`]; returns the first violation.
///
/// **The arm moves**: every joint by 0.06 rad at most, from where it is, in each of its modes. It is for simulated and emulated
/// arms; a real one needs an operator at its hardware stop and room around it.
pub fn check_arm(arm: &mut dyn ArmDriver, pass: Pass<'_>) -> Result<(), Violation> {
    let capabilities = arm.capabilities().clone();
    let (joints, rate) = (capabilities.joints, capabilities.control_rate_hz);
    let describes = joints > 0 && rate.is_finite() && rate > 0.0 && !capabilities.modes.is_empty();
    require(DESCRIBES, describes && !capabilities.robot.is_empty(), || format!("{capabilities:?}"))?;
    let mut trial = Trial { arm, pass, period: Duration::from_secs_f64(1.0 / rate), joints, seen: Timestamp::ZERO };
    let state = trial.wait()?;
    let command = JointCommand::of(capabilities.modes[0], trial.still(capabilities.modes[0], &state), state.gripper);
    let now = trial.tick();
    require(INACTIVE, trial.arm.write(now, &command).is_err(), || "it was taken".into())?;
    for mode in &capabilities.modes {
        trial.activates(*mode)?;
        trial.follows(*mode)?;
        trial.stands(STANDS)?;
        trial.refuses(*mode, &capabilities.modes)?;
    }
    Ok(())
}

struct Trial<'a> {
    arm: &'a mut dyn ArmDriver,
    pass: Pass<'a>,
    period: Duration,
    joints: usize,
    /// Time of the newest state.
    seen: Timestamp,
}

impl Trial<'_> {
    fn tick(&mut self) -> Timestamp {
        (self.pass)(self.period)
    }

    /// One control period later.
    fn read(&mut self) -> Result<(Timestamp, Proprioception), Violation> {
        let now = self.tick();
        let state = self.arm.read(now).map_err(|error| violation(SENSES, error.to_string()))?;
        let sensed = state.joint_positions.len() == self.joints && state.joint_positions.is_finite();
        require(SENSES, sensed, || format!("{:?}", state.joint_positions))?;
        // A state may arrive between the two.
        let after = (self.pass)(Duration::ZERO);
        let (at, before) = (state.measured_at, self.seen);
        let in_order = at <= after && at >= before;
        require(STAMPS, in_order, || format!("measured at {at:?}, read by {after:?}, the state before at {before:?}"))?;
        self.seen = at;
        Ok((now, state))
    }

    /// The first state; a newly connected arm may take a moment.
    fn wait(&mut self) -> Result<Proprioception, Violation> {
        let mut passed = 0.0;
        loop {
            match self.read() {
                Ok((_, state)) => return Ok(state),
                Err(violation) if passed >= PATIENCE => return Err(violation),
                Err(_) => passed += self.period.as_secs_f64(),
            }
        }
    }

    /// The command that keeps the arm where it is, in this mode.
    fn still(&self, mode: ControlMode, state: &Proprioception) -> JointVector {
        match mode {
            ControlMode::Position => state.joint_positions,
            ControlMode::Velocity | ControlMode::Torque => JointVector::zeros(self.joints),
        }
    }

    fn activates(&mut self, mode: ControlMode) -> Result<(), Violation> {
        let before = self.wait()?;
        let now = self.tick();
        self.arm.activate(now, mode).map_err(|error| violation(ACTIVATES, format!("{mode}: {error}")))?;
        let after = self.wait()?;
        let moved = farthest(&before.joint_positions, &after.joint_positions);
        require(ACTIVATES, moved <= STILL, || format!("{mode}: a joint moved {moved:.3} rad"))
    }

    /// Every joint moves by [`WAY`] at the same time; under torque, where only the weight is known, no motion is required.
    ///
    /// The way is planned over true time, and velocities correct what a late command left over: a machine that is busy with
    /// other work is no fault of the driver.
    fn follows(&mut self, mode: ControlMode) -> Result<(), Violation> {
        let (began, start) = self.read()?;
        let goal = start.joint_positions.map(|q| q + WAY);
        loop {
            let (now, state) = self.read()?;
            let passed = now.since(began).as_secs_f64();
            let off = farthest(&goal, &state.joint_positions);
            if passed >= RAMP && (off <= OFF || mode == ControlMode::Torque) {
                return Ok(());
            }
            require(FOLLOWS, passed < PATIENCE, || format!("{mode}: a joint is {off:.3} rad from where it was sent"))?;
            let share = (passed / RAMP).min(1.0);
            // It begins and ends at rest.
            let speed = 1.5 * WAY / RAMP * (1.0 - (2.0 * share - 1.0).powi(2));
            let planned = start.joint_positions.map(|q| q + WAY * share * share * (3.0 - 2.0 * share));
            let joints = match mode {
                ControlMode::Position => planned,
                ControlMode::Velocity => {
                    planned.zip_map(state.joint_positions, |to, at| speed + (GAIN * (to - at)).clamp(-MOST, MOST))
                }
                ControlMode::Torque => JointVector::zeros(self.joints),
            };
            let command = JointCommand::of(mode, joints, state.gripper);
            self.arm.write(now, &command).map_err(|error| violation(FOLLOWS, format!("{mode}: {error}")))?;
        }
    }

    fn stands(&mut self, rule: &'static str) -> Result<(), Violation> {
        let now = self.tick();
        self.arm.hold(now).map_err(|error| violation(rule, error.to_string()))?;
        let (mut watch, mut passed) = (Standstill::default(), 0.0);
        loop {
            let (now, state) = self.read()?;
            watch.observe(now, &state.joint_positions);
            if watch.stands(now) {
                return Ok(());
            }
            passed += self.period.as_secs_f64();
            require(rule, passed < PATIENCE, || format!("it moved by {:?} lately", watch.moved()))?;
        }
    }

    fn refuses(&mut self, mode: ControlMode, modes: &[ControlMode]) -> Result<(), Violation> {
        if let Some(other) = modes.iter().copied().find(|other| *other != mode) {
            self.activates(mode)?;
            let (now, state) = self.read()?;
            let command = JointCommand::of(other, self.still(other, &state), state.gripper);
            let refused = self.arm.write(now, &command);
            require(MODE, matches!(refused, Err(DriverError::Mode(_))), || format!("{other} in {mode}: {refused:?}"))?;
            self.stands(MODE)?;
        }
        for bad in [f64::NAN, f64::INFINITY] {
            self.activates(mode)?;
            let (now, state) = self.read()?;
            let mut joints = self.still(mode, &state);
            joints[self.joints - 1] = bad;
            let refused = self.arm.write(now, &JointCommand::of(mode, joints, state.gripper));
            require(FINITE, refused.is_err(), || format!("{bad} in {mode}: it was taken"))?;
            self.stands(FINITE)?;
        }
        self.activates(mode)?;
        let (now, state) = self.read()?;
        let short = JointVector::from_slice(&self.still(mode, &state)[..self.joints - 1]);
        let refused = self.arm.write(now, &JointCommand::of(mode, short, state.gripper));
        require(LENGTH, refused.is_err(), || format!("{} joints: they were taken", self.joints - 1))?;
        self.stands(LENGTH)
    }
}

/// Largest distance of a joint \[rad\].
fn farthest(from: &JointVector, to: &JointVector) -> f64 {
    from.zip_map(*to, |a, b| a - b).max_abs()
}

#[cfg(test)]
mod tests {
    use visuomotor_core::time::{Clock, ManualClock};

    use super::super::point_arm::PointArm;
    use super::*;
    use crate::driver::{Capabilities, ConnectError};

    /// A fake arm that breaks one rule.
    struct Broken {
        arm: PointArm,
        fault: Fault,
        held_at: Option<Timestamp>,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Fault {
        None,
        TakesEverything,
        IgnoresCommands,
        DriftsInHold,
        StampsTheFuture,
        JumpsOnActivation,
        NotFinite,
    }

    impl ArmDriver for Broken {
        fn capabilities(&self) -> &Capabilities {
            self.arm.capabilities()
        }
        fn activate(&mut self, now: Timestamp, mode: ControlMode) -> Result<(), DriverError> {
            self.arm.activate(now, mode)?;
            if self.fault == Fault::JumpsOnActivation {
                self.arm.write(now, &JointCommand::position(JointVector::from_slice(&[0.5, 0.5]), 1.0))?;
            }
            Ok(())
        }
        fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
            let mut state = self.arm.read(now)?;
            match self.fault {
                Fault::StampsTheFuture => state.measured_at = now + Duration::from_millis(1),
                Fault::NotFinite => state.joint_positions[1] = f64::NAN,
                Fault::DriftsInHold => {
                    let held = self.held_at.map_or(0.0, |at| now.since(at).as_secs_f64());
                    state.joint_positions[0] += 0.1 * held;
                }
                _ => {}
            }
            Ok(state)
        }
        fn write(&mut self, now: Timestamp, command: &JointCommand) -> Result<(), DriverError> {
            self.held_at = None;
            match self.fault {
                Fault::TakesEverything => Ok(()),
                Fault::IgnoresCommands if command.mode() == ControlMode::Position && command.joints().is_finite() => {
                    let at = self.arm.read(now)?.joint_positions;
                    self.arm.write(now, &command.with_joints(at))
                }
                _ => self.arm.write(now, command),
            }
        }
        fn hold(&mut self, now: Timestamp) -> Result<(), DriverError> {
            self.held_at = Some(now);
            self.arm.hold(now)
        }
        fn recover(&mut self, now: Timestamp) -> Result<(), ConnectError> {
            self.arm.recover(now)
        }
    }

    fn outcome(fault: Fault) -> Option<&'static str> {
        outcome_on(fault, |_| 1)
    }

    /// On a machine where a pause takes a multiple of the requested time, given by its number.
    fn outcome_on(fault: Fault, delay: fn(u32) -> u32) -> Option<&'static str> {
        let (clock, mut number) = (ManualClock::new(), 0);
        let mut pass = |duration: Duration| {
            number += 1;
            clock.advance(duration * delay(number));
            clock.now()
        };
        check_arm(
            &mut Broken { arm: PointArm::at("toy", JointVector::zeros(2), 50.0), fault, held_at: None },
            &mut pass,
        )
        .err()
        .map(|violation| violation.rule)
    }

    #[test]
    fn each_broken_rule_is_found_and_a_good_driver_passes() {
        assert_eq!(outcome(Fault::None), None);
        assert_eq!(outcome(Fault::TakesEverything), Some(INACTIVE));
        assert_eq!(outcome(Fault::IgnoresCommands), Some(FOLLOWS));
        assert_eq!(outcome(Fault::DriftsInHold), Some(STANDS));
        assert_eq!(outcome(Fault::StampsTheFuture), Some(STAMPS));
        assert_eq!(outcome(Fault::JumpsOnActivation), Some(ACTIVATES));
        assert_eq!(outcome(Fault::NotFinite), Some(SENSES));
    }

    #[test]
    fn a_busy_machine_is_no_fault_of_the_driver() {
        assert_eq!(outcome_on(Fault::None, |_| 2), None);
        assert_eq!(outcome_on(Fault::None, |number| if number % 11 == 0 { 12 } else { 1 }), None);
        assert_eq!(outcome_on(Fault::IgnoresCommands, |_| 2), Some(FOLLOWS));
    }
}
