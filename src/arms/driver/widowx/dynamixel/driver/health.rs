//! One servo's health per cycle, in turn: errors, watchdog, torque, goal, voltage, temperature, shadows too.
//!
//! One read of 83 bytes (registers 64..147) takes about 1.1 ms of wire time; every servo has its turn each nine cycles,
//! 5.5 times a second at 50 Hz. The alert bit of the control read jumps the queue.

use super::bus::BusError;
use super::fault::FaultKind;
use super::{DynamixelArm, REMEMBERED};
use crate::driver::DriverError;
use crate::driver::widowx::dynamixel::wire::registers::{self, RAM_START, Register, TABLE_LENGTH};
use crate::driver::widowx::dynamixel::wire::units;
use crate::driver::widowx::limits::{Role, SERVOS};
use crate::transport::ByteLink;
use visuomotor_core::protection::Protection;
use visuomotor_core::time::Timestamp;

/// Bytes of the health read.
pub(super) const LENGTH: usize = TABLE_LENGTH - RAM_START as usize;

/// Polls in a row without any reply after which a servo counts as lost. A silent servo is polled again at once, so this is 100 ms;
/// garbled replies do not count: a servo sent them.
const GONE: u8 = 5;

/// The arm is stopped this far below a servo's shut-down temperature \[degC\].
const STOP_BELOW: i32 = 2;

/// Foreign goals after which another program is considered to command the arm.
const FOREIGN: u32 = 2;

/// A servo's newest status.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServoHealth {
    /// Temperature \[degC\].
    pub temperature: f64,
    /// Supply \[V\].
    pub voltage: f64,
    /// Hardware error bits.
    pub error: u8,
    /// Polls in a row without a reply.
    pub missed: u8,
    /// When it last replied to a poll; `None` before the first.
    pub polled_at: Option<Timestamp>,
}

/// Result of one poll.
fn value(bytes: &[u8; LENGTH], register: &Register) -> i32 {
    register.within(RAM_START, bytes).unwrap_or(0)
}

impl<L: ByteLink> DynamixelArm<L> {
    /// Sets the next servo to poll.
    pub(super) fn poll_next(&mut self, id: u8) {
        self.next_poll = usize::from(id.clamp(1, 9)) - 1;
    }

    /// Polls the next servo, if the time left allows.
    pub(super) fn poll_health(&mut self, now: Timestamp, until: Timestamp) -> Result<(), DriverError> {
        if until.since(self.bus.now()) < self.bus.exchange_time(LENGTH) {
            return Ok(());
        }
        let index = self.next_poll;
        self.next_poll = (index + 1) % SERVOS.len();
        let servo = &SERVOS[index];
        let mut bytes = [0; LENGTH];
        match self.bus.read(1, servo.id, RAM_START, &mut bytes) {
            Ok(_) => {}
            Err(BusError::Link(_)) => {
                self.lost = true;
                return Err(DriverError::Silent);
            }
            Err(BusError::Silent) => {
                self.poll_next(servo.id);
                let health = &mut self.health[index];
                health.missed = health.missed.saturating_add(1);
                let gone = health.missed >= GONE && Protection::StateCheck.is_on();
                return if gone { self.fail(FaultKind::ServoSilent, servo.id, 0) } else { Ok(()) };
            }
            Err(_) => return Ok(()),
        }
        let temperature = value(&bytes, &registers::PRESENT_TEMPERATURE);
        let error = value(&bytes, &registers::HARDWARE_ERROR) as u8;
        self.health[index] = ServoHealth {
            temperature: f64::from(temperature),
            voltage: f64::from(value(&bytes, &registers::PRESENT_VOLTAGE)) * units::VOLTAGE_UNIT,
            error,
            missed: 0,
            polled_at: Some(now),
        };
        if error != 0 {
            return self.fail(FaultKind::Hardware, servo.id, error);
        }
        if self.mode.is_none() {
            return Ok(());
        }
        if value(&bytes, &registers::TORQUE_ENABLE) != 1 {
            return self.fail(FaultKind::TorqueLost, servo.id, 0);
        }
        if value(&bytes, &registers::BUS_WATCHDOG) as u8 > 127 {
            return self.fail(FaultKind::Watchdog, servo.id, 0);
        }
        if temperature > i32::from(servo.model.max_temperature()) - STOP_BELOW {
            return self.fail(FaultKind::TooHot, servo.id, temperature as u8);
        }
        let Role::Joint(joint) = servo.role else { return Ok(()) };
        let goal = value(&bytes, &registers::GOAL_POSITION);
        // A lost packet leaves an older goal of ours in force, so all recent ones count as ours.
        if self.remembered.iter().take(REMEMBERED).any(|goals| goals[joint] == goal) {
            self.foreign_goals = 0;
            return Ok(());
        }
        self.foreign_goals += 1;
        if self.foreign_goals >= FOREIGN && Protection::SecondCommander.is_on() {
            let _ = self.stay();
            return Err(DriverError::SecondCommander);
        }
        // Poll the same servo again: our next goal overwrites one that was only a broken packet.
        self.poll_next(servo.id);
        Ok(())
    }

    /// Latches a fault and stops the arm.
    pub(super) fn fail<T>(&mut self, kind: FaultKind, id: u8, bits: u8) -> Result<T, DriverError> {
        let code = kind.code(id, bits);
        self.fault = Some(code);
        // Servos that still reply must stop; only the fault matters to the caller.
        let _ = self.stay();
        Err(DriverError::Fault(code))
    }
}
