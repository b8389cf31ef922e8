//! The trait that an arm's own driver implements, and the states of its controller.

use std::time::Duration;

use super::state::ArmState;
use super::stream::Stream;
use crate::driver::guard::Guarded;
use crate::driver::{ConnectError, DriverError, FaultCode, Finding};
use visuomotor_core::action::ControlMode;
use visuomotor_core::config::Robot;
use visuomotor_core::observation::JointVector;
use visuomotor_core::time::Timestamp;

/// One arm's topics, services and rules. Runs on the bridge thread; may block only in `verify`, `activate`, `recover`,
/// `release` and `findings`.
pub trait ArmLink: Send + 'static {
    /// The newest state, if something new came; `now` is the time of receipt.
    fn poll(&mut self, now: Timestamp) -> Option<ArmState>;
    /// Why no state came for so long: no publisher, another type or quality of service, other joints.
    fn silence(&self, waited: Duration) -> ConnectError;
    /// Are all required nodes present, and no forbidden ones? Checked before torque.
    fn verify(&mut self, patience: Duration) -> Result<(), ConnectError>;
    /// Other publishers on the command topic.
    fn other_publishers(&self) -> usize;
    /// The modes in which its controller executes the last command forever, and the guard for them.
    fn guarded(&self, robot: &Robot) -> Option<Guarded> {
        let _ = robot;
        None
    }
    /// Does its controller execute the last command of this mode forever? Then its states are compared with what was sent; for
    /// torques it must report efforts.
    fn endless(&self, mode: ControlMode) -> bool {
        let _ = mode;
        false
    }
    /// Nothing was sent for this long, because this program was suspended. Does the arm stand still by itself by now, so that
    /// velocities begin at rest?
    fn paused(&mut self, pause: Duration) -> bool {
        let _ = pause;
        false
    }
    /// Does the arm hold by itself, so that it stands still whatever becomes of this program? Its guard then tolerates silence,
    /// including that of the slow way back to commands.
    fn own_hold(&self) -> OwnHold {
        OwnHold::No
    }
    /// Turns torque on, in this mode, holding these joints \[rad\].
    fn activate(&mut self, mode: ControlMode, at: &JointVector) -> Result<(), DriverError>;
    /// Sends the stream's last command.
    fn send(&mut self, stream: &Stream, state: &ArmState);
    /// Sends the stream's last command of a stop. Once `at_rest` the link may hand over to the arm's own hold; it then reports so,
    /// and the next command starts from the measured state.
    fn rest(&mut self, stream: &Stream, state: &ArmState, at_rest: bool) -> bool;
    /// Sends the stream's last command of a ramp to rest without knowledge of the arm's state ([`Stream::stop_blind`] made it;
    /// `at_rest` is its result). Returns whether the command sent is one of rest.
    fn blind(&mut self, stream: &Stream, at_rest: bool) -> bool;
    /// After a blind ramp ended, and at once where commands do not arrive: switches the arm's controller off, where that is
    /// possible, so that it no longer executes our commands. Called once per period until it is no longer pending; must not wait
    /// for a response.
    fn switch_off(&mut self, mode: ControlMode) -> Off;
    /// Are the threads still alive that send and receive for this link? Called now and then, never on the control thread.
    fn alive(&self) -> bool;
    /// Recreates everything that depends on those threads, and waits until commands reach the arm again. Moves nothing and keeps
    /// the record of what was sent.
    fn rebuild(&mut self, patience: Duration) -> Result<(), ConnectError>;
    /// Sets the gripper target: 0 closed .. 1 open.
    fn gripper(&mut self, fraction: f64);
    /// Clears what can be cleared.
    fn recover(&mut self, patience: Duration) -> Result<(), ConnectError>;
    /// The program ends; the arm stands still: leaves it so that it stays there by itself.
    fn release(&mut self, state: &ArmState);
    /// Findings of `check` beyond those common to every arm, and round-trip times of calls \[s\].
    fn findings(&mut self) -> (Vec<Finding>, Vec<f64>);
    /// A fault as text for the operator.
    fn fault_text(fault: FaultCode) -> String;
}

/// Who holds an arm that was commanded to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnHold {
    /// Our commands.
    No,
    /// Its own hold was requested and not confirmed yet; until then it gets no new commands.
    Requested,
    /// Its own hold.
    Yes,
}

/// State of an arm's controller after a ramp to rest without its state, or when it does not receive commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Off {
    /// It cannot be switched off: the command of rest is repeated, except for positions.
    None,
    /// Requested; not confirmed yet.
    Pending,
    /// It no longer executes our commands, for this reason.
    Done(&'static str),
}
