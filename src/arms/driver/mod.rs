//! Arms behind one trait. Each arm has a folder with the same file names, one for each of its links where it has two; the simulator
//! implements the same trait.
//!
//! - `limits`: what the arm's maker allows, and the check that a description stays within it
//! - `wire`: bytes or messages, pure
//! - `driver`: [`ArmDriver`] over the wire
//! - `emulator`: the controller's side of the wire over a [`Plant`], for tests and `visuomotor simulate`

mod check;
mod error;
#[cfg(feature = "ros2")]
pub mod guard;
#[cfg(feature = "ros2")]
pub mod jaco;
mod maker;
mod orders;
pub mod panda;
mod plant;
mod request;
#[cfg(feature = "ros2")]
pub mod ros2;
#[cfg(feature = "ros2")]
pub mod sawyer;
mod standing;
mod undriven;
pub mod widowx;

pub use check::{CheckReport, Finding, Grade};
pub use error::{ConnectError, DriverError, FaultCode, GuardFault};
pub use maker::{MakerJoint, check_limits};
pub use orders::{Order, Orders};
pub use plant::{Drive, Plant, PointPlant};
pub use request::{Reply, Request, Setpoint};
pub use standing::{Motion, Standstill, Stillness};
pub use undriven::Undriven;

use visuomotor_core::action::{ControlMode, JointCommand};
use visuomotor_core::observation::Proprioception;
use visuomotor_core::time::Timestamp;

/// Properties of an arm, readable before it is connected.
#[derive(Clone, Debug, PartialEq)]
pub struct Capabilities {
    /// Arm name (`widowx`).
    pub robot: String,
    /// The driver or backend (`mujoco`, `dynamixel`, `ros2`, `fci`).
    pub driver: String,
    /// Number of joints.
    pub joints: usize,
    /// Rate the arm wants commands at \[Hz\].
    pub control_rate_hz: f64,
    /// Supported command modes.
    pub modes: Vec<ControlMode>,
}

/// An arm. Called from the control thread only; no method blocks, prints or allocates once active.
///
/// Concrete drivers have their own `connect`, which may block and allocate and returns [`ConnectError`]: wrong arm, missing servo,
/// unsupported firmware, wrong mode, unarmed watchdog are all found there, before torque.
pub trait ArmDriver: Send {
    /// This arm's properties.
    fn capabilities(&self) -> &Capabilities;
    /// Turns torque on, holding the measured position, ready for commands of this mode. Returns when the arm is ready.
    fn activate(&mut self, now: Timestamp, mode: ControlMode) -> Result<(), DriverError>;
    /// What the arm senses at `now`.
    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError>;
    /// The newest state, even during a fault or with another commander, for detecting whether the arm stands still; `None` where
    /// there is none. Changes nothing.
    fn observed(&mut self, now: Timestamp) -> Option<Proprioception> {
        self.read(now).ok()
    }
    /// Sends a command; its mode must be the one the arm was activated with.
    fn write(&mut self, now: Timestamp, command: &JointCommand) -> Result<(), DriverError>;
    /// Stops where it is and stays there under torque; the way out of every situation. May be called at any time.
    fn hold(&mut self, now: Timestamp) -> Result<(), DriverError>;
    /// After a fault was cleared or a lost controller came back: connects again and clears what can be cleared, while the arm
    /// holds. May block. The caller activates afterwards and seeds control and safety from what is then measured.
    fn recover(&mut self, now: Timestamp) -> Result<(), ConnectError>;
    /// Do commands reach it? Not in a dry run: the arm then stays where it is, whatever is sent.
    fn is_driven(&self) -> bool {
        true
    }
    /// The newest fault as text for the operator; may allocate; not for the control thread.
    fn fault_text(&self, fault: FaultCode) -> String {
        format!("code {}", fault.0)
    }
}
