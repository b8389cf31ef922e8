//! An arm that is read but never driven: used by a dry run.

use super::{ArmDriver, Capabilities, ConnectError, DriverError, FaultCode};
use visuomotor_core::action::{ControlMode, JointCommand};
use visuomotor_core::observation::Proprioception;
use visuomotor_core::time::Timestamp;

/// Passes states on. Torque, commands, holds and recoveries end here: the arm behind it receives none of them.
pub struct Undriven {
    arm: Box<dyn ArmDriver>,
}

impl Undriven {
    /// Wraps an arm that is connected and not active.
    pub fn new(arm: Box<dyn ArmDriver>) -> Self {
        Self { arm }
    }
}

impl ArmDriver for Undriven {
    fn capabilities(&self) -> &Capabilities {
        self.arm.capabilities()
    }

    fn activate(&mut self, _now: Timestamp, mode: ControlMode) -> Result<(), DriverError> {
        if self.arm.capabilities().modes.contains(&mode) { Ok(()) } else { Err(DriverError::Mode(mode)) }
    }

    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        self.arm.read(now)
    }

    fn observed(&mut self, now: Timestamp) -> Option<Proprioception> {
        self.arm.observed(now)
    }

    fn write(&mut self, _now: Timestamp, _command: &JointCommand) -> Result<(), DriverError> {
        Ok(())
    }

    fn hold(&mut self, _now: Timestamp) -> Result<(), DriverError> {
        Ok(())
    }

    fn recover(&mut self, _now: Timestamp) -> Result<(), ConnectError> {
        let capabilities = self.arm.capabilities();
        Err(ConnectError::Unfit {
            arm: capabilities.robot.clone(),
            link: capabilities.driver.clone(),
            what: "the arm".into(),
            found: "connected for a dry run".into(),
            expected: "an arm that may be driven".into(),
            fix: "let it recover with `visuomotor recover`".into(),
        })
    }

    fn fault_text(&self, fault: FaultCode) -> String {
        self.arm.fault_text(fault)
    }

    fn is_driven(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visuomotor_core::observation::JointVector;

    /// Panics at every call except reading.
    struct Untouchable(Capabilities);

    impl ArmDriver for Untouchable {
        fn capabilities(&self) -> &Capabilities {
            &self.0
        }
        fn activate(&mut self, _: Timestamp, _: ControlMode) -> Result<(), DriverError> {
            panic!("torque on")
        }
        fn read(&mut self, _: Timestamp) -> Result<Proprioception, DriverError> {
            Err(DriverError::Silent)
        }
        fn write(&mut self, _: Timestamp, _: &JointCommand) -> Result<(), DriverError> {
            panic!("commanded")
        }
        fn hold(&mut self, _: Timestamp) -> Result<(), DriverError> {
            panic!("commanded to hold")
        }
        fn recover(&mut self, _: Timestamp) -> Result<(), ConnectError> {
            panic!("recovered")
        }
    }

    #[test]
    fn nothing_but_a_read_reaches_the_arm() {
        let capabilities = Capabilities {
            robot: "widowx".into(),
            driver: "dynamixel".into(),
            joints: 6,
            control_rate_hz: 50.0,
            modes: vec![ControlMode::Position],
        };
        let mut arm = Undriven::new(Box::new(Untouchable(capabilities)));
        let now = Timestamp::ZERO;
        assert!(!arm.is_driven());
        assert_eq!(arm.activate(now, ControlMode::Torque), Err(DriverError::Mode(ControlMode::Torque)));
        arm.activate(now, ControlMode::Position).unwrap();
        arm.write(now, &JointCommand::position(JointVector::zeros(6), 1.0)).unwrap();
        arm.hold(now).unwrap();
        assert!(arm.recover(now).unwrap_err().to_string().contains("visuomotor recover"));
        assert_eq!(arm.read(now), Err(DriverError::Silent));
    }
}
