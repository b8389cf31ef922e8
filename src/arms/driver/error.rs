//! Arm errors: as text before torque, as numbers on the control thread.

use visuomotor_core::action::ControlMode;
use visuomotor_core::failure::{Failing, FailureKind};

/// A controller's own fault code; [`super::ArmDriver::fault_text`] gives the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultCode(pub u32);

/// What is wrong with the guard, the process that stops the arm when this one is gone (`driver::guard`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardFault {
    /// There is none, and the operator did not waive it.
    Missing,
    /// This program was suspended or hung for longer than the guard's limit, so the guard stopped the arm.
    Late,
    /// It stopped the arm.
    Tripped,
    /// It is gone, or cannot be started.
    Ended,
    /// It runs but sends nothing.
    Silent,
}

impl std::fmt::Display for GuardFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            GuardFault::Missing => {
                "commands of this mode need a guard on this link, because its controller goes on with the last one for ever, \
                 or lets the arm coast, when this program dies: let one be started, use a control law of position mode, or pass \
                 --unguarded-arm-moves-on-if-this-program-dies"
            }
            GuardFault::Late => {
                "this program stood still for longer than its guard lets pass, and the guard commanded the arm to stop: use the \
                 hardware stop if it moves, do not suspend this program while the arm moves, free the machine, then recover"
            }
            GuardFault::Tripped => {
                "the guard commanded the arm to stop, and its message says why: use the hardware stop if it moves, then recover"
            }
            GuardFault::Ended => {
                "the guard is gone or cannot be used, and the arm was commanded to stop: use the hardware stop if it moves, see the \
                 message before, then recover"
            }
            GuardFault::Silent => {
                "the guard is there and says nothing, and the arm was commanded to stop: use the hardware stop if it moves, free \
                 the machine, then recover"
            }
        })
    }
}

/// Errors of an arm's driver at run time. `Copy`, because the control thread passes them on.
///
/// None of the messages claims that the arm holds: only its state can show that, and whoever reads the state reports it.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// The arm did not respond in time.
    #[error(
        "the arm's state is silent: it was commanded to stop, and whether it stands is not known; use the hardware stop if it \
         moves, check cable, power and its controller, then recover"
    )]
    Silent,
    /// This program's own end of the link stopped working: the threads that send and receive are gone.
    #[error(
        "this program's ROS 2 threads ended, and until new ones reached the arm it was sent no command: use the hardware stop \
         if it moves, then recover, or start again"
    )]
    LinkDied,
    /// The arm reports a fault.
    #[error(
        "the arm reports a fault (code {}) and was commanded to stop: use the hardware stop if it moves, clear the fault, then \
         recover", .0.0
    )]
    Fault(FaultCode),
    /// The driver is not active.
    #[error("the arm is not active: activate it before commanding it")]
    Inactive,
    /// A number in the command is not finite.
    #[error("a command that is not finite was refused, and the arm was commanded to stop")]
    NotFinite,
    /// The arm does not have, or is not in, the mode of the command.
    #[error("the arm is not in {0} mode; the command was refused")]
    Mode(ControlMode),
    /// The arm reports an impossible value.
    #[error(
        "joint {joint} reports {value}, which is not within {low} .. {high}; the arm was commanded to stop: use the hardware stop if \
         it moves, and check the encoder and its wiring"
    )]
    Implausible {
        /// Joint, counted from 0.
        joint: usize,
        /// Reported value, rad, rad/s or Nm.
        value: f64,
        /// Least plausible value.
        low: f64,
        /// Largest plausible value.
        high: f64,
    },
    /// The arm keeps moving against its commands: they are lost on the way.
    #[error(
        "joint {joint} goes on although it is commanded otherwise, so commands do not reach the arm's controller: it was commanded to \
         stop, and asked by its service to let go; use the hardware stop if it moves, check the network and the controller, \
         then recover"
    )]
    Runaway {
        /// Joint, counted from 0.
        joint: usize,
    },
    /// Another program commands the same arm.
    #[error(
        "another program commands this arm, which was commanded to stop and may follow the other: use the hardware stop if it \
         moves, and stop the other program"
    )]
    SecondCommander,
    /// The arm has no guard (any more), or its guard stopped it.
    #[error("{0}")]
    Guard(GuardFault),
}

impl Failing for DriverError {
    fn failure(&self) -> FailureKind {
        // A mode that needs a guard, requested without one.
        if *self == Self::Guard(GuardFault::Missing) { FailureKind::Usage } else { FailureKind::Machine }
    }
}

/// Why an arm could not be connected. Torque is off or as it was.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The link itself.
    #[error("{arm} on {link}: the link cannot be used ({cause}); {fix}")]
    Link {
        /// Arm name.
        arm: String,
        /// Port, address or topic.
        link: String,
        /// Error of the operating system or library.
        cause: String,
        /// What to do.
        fix: String,
    },
    /// No response.
    #[error("{arm} on {link}: no reply from {who} within {seconds} s; {fix}")]
    Silent {
        /// Arm name.
        arm: String,
        /// Port, address or topic.
        link: String,
        /// Which part did not respond: a servo id, a node.
        who: String,
        /// Time waited \[s\].
        seconds: f64,
        /// What to do.
        fix: String,
    },
    /// A check of the arm failed: wrong arm, firmware, mode, limit, watchdog.
    #[error("{arm} on {link}: {what} is {found}, expected {expected}; {fix}")]
    Unfit {
        /// Arm name.
        arm: String,
        /// Port, address or topic.
        link: String,
        /// What was checked.
        what: String,
        /// Value found.
        found: String,
        /// Value expected, with the limit.
        expected: String,
        /// What to do.
        fix: String,
    },
}

impl Failing for ConnectError {
    fn failure(&self) -> FailureKind {
        FailureKind::Machine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_claims_that_the_arm_holds() {
        let implausible = DriverError::Implausible { joint: 1, value: 9.0, low: -3.0, high: 3.0 };
        let unsure = [
            DriverError::Silent,
            DriverError::LinkDied,
            DriverError::Fault(FaultCode(1)),
            implausible,
            DriverError::SecondCommander,
            DriverError::Runaway { joint: 2 },
        ];
        for error in unsure {
            let text = error.to_string();
            assert!(!text.contains("hold"), "{text}");
            assert!(text.contains("hardware stop"), "{text}");
        }
        for error in [DriverError::Inactive, DriverError::NotFinite, DriverError::Mode(ControlMode::Torque)] {
            assert!(!error.to_string().contains("hold"), "{error}");
        }
    }
}
