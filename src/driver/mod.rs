//! Arms behind one trait. Each arm has a folder with the same file names; the simulator implements the same trait.

use crate::action::JointCommand;
use crate::observation::Proprioception;
use crate::time::Timestamp;

/// What an arm can do, readable before it is connected.
#[derive(Clone, Debug, PartialEq)]
pub struct Capabilities {
    /// Arm name (`widowx`).
    pub robot: String,
    /// What stands behind the trait (`mujoco`).
    pub driver: String,
    /// Number of joints.
    pub joints: usize,
    /// Rate the arm wants commands at \[Hz\].
    pub control_rate_hz: f64,
}

/// What an arm's driver reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// The arm did not answer in time.
    #[error("the arm is silent; it holds its last command: check cable and power, then start again")]
    Silent,
    /// The arm reports a fault.
    #[error("the arm reports a fault (code {0}); it holds: clear the fault, then start again")]
    Fault(u32),
    /// The driver is not active.
    #[error("the arm is not active: activate it before commanding it")]
    Inactive,
    /// A number in the command is not finite.
    #[error("a command that is not finite was refused; the arm holds")]
    NotFinite,
}

/// An arm. Called from the control thread only; no method blocks, prints or allocates once active.
pub trait ArmDriver: Send {
    /// What this arm can do.
    fn capabilities(&self) -> &Capabilities;
    /// Torque on, holding the measured position.
    fn activate(&mut self, now: Timestamp) -> Result<(), DriverError>;
    /// What the arm senses at `now`.
    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError>;
    /// Sends a command.
    fn write(&mut self, now: Timestamp, command: &JointCommand) -> Result<(), DriverError>;
    /// Stops where it is and stays there under torque; the way out of everything. May be called at any time.
    fn hold(&mut self, now: Timestamp) -> Result<(), DriverError>;
}
