//! An arm's driver that records when it first complained and when it was commanded to hold.

use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::driver::{ArmDriver, Capabilities, ConnectError, DriverError, FaultCode};
use visuomotor::observation::Proprioception;
use visuomotor::time::Timestamp;

use super::drive::event;

pub struct Witness {
    arm: Box<dyn ArmDriver>,
    complained: bool,
    /// Commands were sent since the last hold.
    moves: bool,
}

impl Witness {
    pub fn new(arm: Box<dyn ArmDriver>) -> Self {
        Self { arm, complained: false, moves: false }
    }

    fn note<T>(&mut self, result: Result<T, DriverError>) -> Result<T, DriverError> {
        if let Err(error) = &result
            && !std::mem::replace(&mut self.complained, true)
        {
            event(&format!("complained {error}"));
        }
        result
    }
}

impl ArmDriver for Witness {
    fn capabilities(&self) -> &Capabilities {
        self.arm.capabilities()
    }

    fn activate(&mut self, now: Timestamp, mode: ControlMode) -> Result<(), DriverError> {
        self.arm.activate(now, mode)
    }

    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        let read = self.arm.read(now);
        self.note(read)
    }

    fn observed(&mut self, now: Timestamp) -> Option<Proprioception> {
        self.arm.observed(now)
    }

    fn write(&mut self, now: Timestamp, command: &JointCommand) -> Result<(), DriverError> {
        self.moves = true;
        let written = self.arm.write(now, command);
        self.note(written)
    }

    fn hold(&mut self, now: Timestamp) -> Result<(), DriverError> {
        let held = self.arm.hold(now);
        if std::mem::take(&mut self.moves) {
            event("told to hold");
        }
        held
    }

    fn recover(&mut self, now: Timestamp) -> Result<(), ConnectError> {
        self.arm.recover(now)
    }

    fn fault_text(&self, fault: FaultCode) -> String {
        self.arm.fault_text(fault)
    }
}
