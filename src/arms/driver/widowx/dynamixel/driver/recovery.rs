//! After a fault or a lost link: hold where possible, reboot where needed, check everything again.

use std::time::Duration;

use super::bus::BusError;
use super::survey::absence;
use super::{DynamixelArm, Misses};
use crate::driver::ConnectError;
use crate::driver::widowx::dynamixel::wire::registers;
use crate::driver::widowx::dynamixel::wire::{Instruction, hardware_error_text};
use crate::driver::widowx::limits::{Role, SERVOS, Servo};
use crate::transport::ByteLink;
use visuomotor_core::time::Timestamp;

/// Longest time a servo may take to come back from a reboot.
const REBOOT: Duration = Duration::from_secs(2);

/// Pause between polls of a rebooting servo.
const PAUSE: Duration = Duration::from_millis(50);

impl<L: ByteLink> DynamixelArm<L> {
    pub(super) fn come_back(&mut self, _now: Timestamp) -> Result<(), ConnectError> {
        if self.lost {
            self.bus.reopen().map_err(|cause| ConnectError::Link {
                arm: self.robot.identity.name.clone(),
                link: self.bus.name().into(),
                cause: cause.to_string(),
                fix: cause.fix().into(),
            })?;
            self.lost = false;
        }
        // A rebooted servo is carried by the others meanwhile; those that reply hold where they are.
        let _ = self.stay();
        let mut rebooted = Vec::new();
        for servo in &SERVOS {
            if self.in_error(servo)? {
                self.reboot(servo)?;
                rebooted.push(servo.id);
            }
        }
        let torque = self.some_torque_on();
        self.mode = None;
        self.fault = None;
        self.misses = Misses::default();
        self.measured = None;
        self.health = Default::default();
        self.prepare()?;
        if torque && !rebooted.is_empty() {
            self.take_load(&rebooted)?;
        }
        Ok(())
    }

    fn in_error(&mut self, servo: &Servo) -> Result<bool, ConnectError> {
        match self.bus.get(servo.id, &registers::HARDWARE_ERROR) {
            Ok(bits) => Ok(bits != 0),
            Err(BusError::Link(cause)) => {
                self.lost = true;
                Err(absence(&self.robot, self.bus.name(), servo, BusError::Link(cause)))
            }
            Err(error) => Err(absence(&self.robot, self.bus.name(), servo, error)),
        }
    }

    /// Reboots one servo and waits until it replies without an error.
    fn reboot(&mut self, servo: &Servo) -> Result<(), ConnectError> {
        // The acknowledgement may be lost with the servo's power-up.
        let _ = self.bus.transact_with_retries(2, servo.id, Instruction::Reboot { id: servo.id }, &mut []);
        let until = self.bus.now() + REBOOT;
        loop {
            self.wait(PAUSE);
            match self.bus.get(servo.id, &registers::HARDWARE_ERROR) {
                Ok(0) => return Ok(()),
                Err(error @ BusError::Link(_)) => return Err(absence(&self.robot, self.bus.name(), servo, error)),
                Ok(bits) if self.bus.now() >= until => {
                    return Err(ConnectError::Unfit {
                        arm: self.robot.identity.name.clone(),
                        link: self.bus.name().into(),
                        what: format!("servo {} ({}) after its reboot", servo.id, servo.name),
                        found: hardware_error_text(bits as u8),
                        expected: "no error".into(),
                        fix: "the cause is still there: take the load off, let it cool, check the supply".into(),
                    });
                }
                Err(error) if self.bus.now() >= until => {
                    return Err(absence(&self.robot, self.bus.name(), servo, error));
                }
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn some_torque_on(&mut self) -> bool {
        SERVOS.iter().any(|servo| self.bus.get(servo.id, &registers::TORQUE_ENABLE) == Ok(1))
    }

    /// A rebooted servo of a holding arm takes its load again, where it is.
    fn take_load(&mut self, rebooted: &[u8]) -> Result<(), ConnectError> {
        for servo in SERVOS.iter().filter(|servo| rebooted.contains(&servo.id)) {
            let here = match self.bus.get(servo.id, &registers::PRESENT_POSITION) {
                Ok(here) => here.clamp(servo.min_position, servo.max_position),
                Err(error) => return Err(absence(&self.robot, self.bus.name(), servo, error)),
            };
            let settings: &[_] = if servo.role == Role::Gripper {
                &[(registers::GOAL_PWM, 0), (registers::TORQUE_ENABLE, 1)]
            } else {
                &[(registers::GOAL_POSITION, here), (registers::TORQUE_ENABLE, 1)]
            };
            for (register, value) in settings {
                if let Err(error) = self.bus.set(servo.id, register, *value) {
                    return Err(absence(&self.robot, self.bus.name(), servo, error));
                }
            }
        }
        Ok(())
    }
}
