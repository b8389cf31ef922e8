//! What an arm's own driver implements, and what became of its controller.

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
    /// Why no state came for so long: nobody there, another type or quality of service, other joints.
    fn silence(&self, waited: Duration) -> ConnectError;
    /// Is everybody there who must be, and nobody who must not? Looked at before torque.
    fn verify(&mut self, patience: Duration) -> Result<(), ConnectError>;
    /// Others who publish on the command topic.
    fn rivals(&self) -> usize;
    /// The modes in which its controller goes on with the last command for ever, and what guards the arm then.
    fn guarded(&self, robot: &Robot) -> Option<Guarded> {
        let _ = robot;
        None
    }
    /// Does its controller go on with the last command of this mode for ever? Then its states are compared with what was sent;
    /// for torques it must tell efforts.
    fn endless(&self, mode: ControlMode) -> bool {
        let _ = mode;
        false
    }
    /// Nothing was sent for so long, because this program was suspended. Does the arm stand by itself by now, so that velocities
    /// begin at rest?
    fn paused(&mut self, pause: Duration) -> bool {
        let _ = pause;
        false
    }
    /// Does the arm's own hold have it, so that it stands whatever becomes of this program? Its guard then lets silence pass,
    /// also that of the slow way back to commands.
    fn own_hold(&self) -> OwnHold {
        OwnHold::No
    }
    /// Torque on, in this mode, holding these joints \[rad\].
    fn activate(&mut self, mode: ControlMode, at: &JointVector) -> Result<(), DriverError>;
    /// Sends the stream's last command.
    fn send(&mut self, stream: &Stream, state: &ArmState);
    /// Sends the stream's last command of a stop. Once `at_rest` the link may hand over to the arm's own hold; it then says
    /// so, and the next command starts anew from what is measured.
    fn rest(&mut self, stream: &Stream, state: &ArmState, at_rest: bool) -> bool;
    /// Sends the stream's last command of a ramp to rest although nothing is known of the arm ([`Stream::stop_blind`] made
    /// it; `at_rest` is its answer). Says whether what was sent is rest.
    fn blind(&mut self, stream: &Stream, at_rest: bool) -> bool;
    /// After a blind ramp ended, and at once where commands do not arrive: switches the arm's controller off where it has such a
    /// switch, so that what it follows is no longer ours. Called once per period until it is no longer under way; must not wait for an answer.
    fn switch_off(&mut self, mode: ControlMode) -> Off;
    /// Are the threads still there that send and receive for this link? Asked now and then, never on the control thread.
    fn alive(&self) -> bool;
    /// Makes everything anew that hangs on those threads, and waits until commands reach the arm again. Moves nothing and
    /// forgets nothing of what was sent.
    fn rebuild(&mut self, patience: Duration) -> Result<(), ConnectError>;
    /// Where the gripper goes: 0 closed .. 1 open.
    fn gripper(&mut self, fraction: f64);
    /// Clears what can be cleared.
    fn recover(&mut self, patience: Duration) -> Result<(), ConnectError>;
    /// The program ends; the arm stands: leaves it so that it stays there by itself.
    fn release(&mut self, state: &ArmState);
    /// What `check` says beyond what is the same for every arm, and round-trip times of calls \[s\].
    fn findings(&mut self) -> (Vec<Finding>, Vec<f64>);
    /// A fault in words for a person.
    fn fault_text(fault: FaultCode) -> String;
}

/// Who has an arm that was told to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnHold {
    /// Our commands.
    No,
    /// Its own hold was asked for and did not answer yet; until then it is not commanded on.
    Asked,
    /// Its own hold.
    Yes,
}

/// What became of an arm's controller after a ramp to rest without its state, or without its ear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Off {
    /// It has no switch: the command of rest is repeated, where that is no place.
    None,
    /// Asked; it did not answer yet.
    Pending,
    /// It follows us no longer, for this reason.
    Done(&'static str),
}
