//! A driver for an arm of your own, from the trait to a passing conformance test: two joints behind a pretended controller.
//!
//!     cargo run --release --example your_own_arm

use std::time::Duration;

use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::conformance;
use visuomotor::driver::{ArmDriver, Capabilities, ConnectError, DriverError};
use visuomotor::observation::{JointVector, Proprioception};
use visuomotor::time::{Clock, ManualClock, Timestamp};

/// What your arm's wire would be: it takes goals \[rad\] and moves at most 1 rad/s.
struct Controller {
    at: [f64; 2],
    goal: [f64; 2],
    moved_at: Timestamp,
}

impl Controller {
    fn exchange(&mut self, now: Timestamp, goal: Option<[f64; 2]>) -> [f64; 2] {
        let most = now.since(self.moved_at).as_secs_f64();
        for (at, goal) in self.at.iter_mut().zip(self.goal) {
            *at += (goal - *at).clamp(-most, most);
        }
        self.moved_at = now;
        self.goal = goal.unwrap_or(self.goal);
        self.at
    }
}

struct TwoJoints {
    controller: Controller,
    capabilities: Capabilities,
    is_active: bool,
}

impl TwoJoints {
    /// A real driver's `connect` looks for everything that can be wrong before torque: wrong arm, wrong mode, no watchdog.
    fn connect() -> Result<Self, ConnectError> {
        let capabilities = Capabilities {
            robot: "two_joints".into(),
            driver: "toy".into(),
            joints: 2,
            control_rate_hz: 50.0,
            modes: vec![ControlMode::Position],
        };
        let controller = Controller { at: [0.2, -0.4], goal: [0.2, -0.4], moved_at: Timestamp::ZERO };
        Ok(Self { controller, capabilities, is_active: false })
    }
}

impl ArmDriver for TwoJoints {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn activate(&mut self, now: Timestamp, mode: ControlMode) -> Result<(), DriverError> {
        if mode != ControlMode::Position {
            return Err(DriverError::Mode(mode));
        }
        self.is_active = true;
        self.hold(now)
    }

    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        let still = JointVector::zeros(2);
        Ok(Proprioception {
            joint_positions: JointVector::from_slice(&self.controller.exchange(now, None)),
            joint_velocities: still,
            joint_efforts: still,
            finger_position: 0.0,
            gripper: 1.0,
            measured_at: now,
        })
    }

    fn write(&mut self, now: Timestamp, command: &JointCommand) -> Result<(), DriverError> {
        if !self.is_active {
            return Err(DriverError::Inactive);
        }
        if command.mode() != ControlMode::Position {
            return Err(DriverError::Mode(command.mode()));
        }
        match command.joints()[..] {
            [a, b] if a.is_finite() && b.is_finite() => {
                self.controller.exchange(now, Some([a, b]));
                Ok(())
            }
            _ => {
                self.hold(now)?;
                Err(DriverError::NotFinite)
            }
        }
    }

    fn hold(&mut self, now: Timestamp) -> Result<(), DriverError> {
        let at = self.controller.exchange(now, None);
        self.controller.exchange(now, Some(at));
        Ok(())
    }

    fn recover(&mut self, _: Timestamp) -> Result<(), ConnectError> {
        self.is_active = false;
        Ok(())
    }
}

fn check() -> anyhow::Result<()> {
    let (mut arm, clock) = (TwoJoints::connect()?, ManualClock::new());
    let mut pass = |duration: Duration| {
        clock.advance(duration);
        clock.now()
    };
    Ok(conformance::check_arm(&mut arm, &mut pass)?)
}

fn main() -> anyhow::Result<()> {
    check()?;
    println!("the driver does what an arm driver must do");
    Ok(())
}

#[test]
fn the_driver_passes() {
    check().unwrap();
}
