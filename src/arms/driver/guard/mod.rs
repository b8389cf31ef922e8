//! A process that stops an arm when the program that drives it is gone.
//!
//! Some controllers execute their last command forever: Interbotix's `xs_sdk` keeps turning at the last velocity, ros2_control's
//! forward controllers keep the last velocity or torque. A Jaco in torque mode floats after 250 ms and coasts, unless it is of
//! inactivity type 0, which cannot be read back. A program that is killed (SIGKILL, out of memory) or suspended (SIGSTOP) cannot
//! send them anything. So such commands are sent only while a [`Guard`] stands by:
//!
//! ```text
//! program --- commands (DDS) --------------------> controller --> arm
//!    |                                                ^
//!    `------- beats (pipe, or TCP) ----> guard -------'   zero, and the controller off, when beats stop
//! ```
//!
//! - It is a process of its own, in a process group of its own: Ctrl-C and Ctrl-Z do not reach it.
//! - The driver starts it when such a mode is activated; activation succeeds only after it is matched with the controller.
//! - Beats come from the thread that sends commands ([`Heartbeat`]), every 20 ms. After 100 ms without one, or when the pipe closes, it
//!   stops the arm and keeps it stopped ([`Watch`]). A program that resumes detects that and holds.
//! - A program that receives no states, or whose commands do not arrive, has it stop the arm too: it has a link of its own.
//! - Its end is a fault for the program: the arm is ramped to a hold.
//! - On the program's machine it does not cover the loss of that machine or of the network. [`listen()`] on the
//!   controller's host does.
//!
//! Position modes need none: the arm goes to the last position and stays. Sawyer (`joint_command_timeout`), Jaco's velocities
//! (steps of 10 ms that run out), the FCI and the servo bus (watchdogs) stop by themselves.
//!
//! Start reading at `message.rs`, then `watch.rs` (when it trips), `duty.rs` (its work), `process.rs` (how it is started).

mod brake;
mod duty;
mod heartbeat;
mod listen;
mod message;
mod process;
mod token;
mod watch;

pub use brake::Brake;
pub use duty::{Watched, watch};
pub use heartbeat::Heartbeat;
pub use listen::listen;
pub use message::{Controller, Frame, Frames, Hello, Malformed, VERSION, Word};
pub use process::{Guard, GuardError, Guarding, LIMIT, fault_of};
pub use token::Token;
pub use watch::{Duty, Stopping, Trip, Watch};

use std::sync::Arc;
use std::time::Duration;

use crate::driver::GuardFault;
use crate::transport::ros2::{RosSettings, count_as_own};
use visuomotor_core::action::ControlMode;
use visuomotor_core::time::{Clock, Timestamp};

/// An arm that needs a guard in some modes, and its guard.
pub struct Guarded {
    guarding: Guarding,
    /// The first message to the guard; mode and ramp as for the first of `modes`.
    hello: Hello,
    modes: Vec<EndlessMode>,
    guard: Option<Guard>,
}

/// A mode in which a controller does not stop the arm when commands stop.
#[derive(Clone, Debug, PartialEq)]
pub struct EndlessMode {
    /// The mode.
    pub mode: ControlMode,
    /// Largest change of a command in one second when the arm is stopped \[rad/s2 or Nm/s\], chain order.
    pub ramp: Vec<f64>,
}

impl Guarded {
    /// For commands to a controller with these settings on the graph; nothing is started yet.
    pub fn new(
        controller: Controller,
        arm: &str,
        joints: Vec<String>,
        modes: Vec<EndlessMode>,
        place: &RosSettings,
    ) -> Self {
        let hello = Hello {
            version: VERSION,
            arm: arm.into(),
            controller,
            mode: ControlMode::Velocity,
            joints,
            ramp: Vec::new(),
            limit: LIMIT.as_secs_f64(),
            place: place.clone(),
        };
        Self { guarding: Guarding::None, hello, modes, guard: None }
    }

    /// Sets how it is guarded from now on.
    pub fn set(&mut self, guarding: Guarding) {
        self.guarding = guarding;
    }

    /// The guard for a mode, started where it is needed and not running. `None` where the mode needs none, or the operator waived
    /// it. A guard of another mode is released. The arm must stand still. Blocks.
    pub fn prepare(
        &mut self,
        mode: ControlMode,
        patience: Duration,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Heartbeat>, GuardFault> {
        let endless = self.modes.iter().find(|endless| endless.mode == mode);
        if let Some(guard) = &self.guard {
            let heartbeat = guard.heartbeat();
            let fit = heartbeat.fault(clock.now()).is_none() && !heartbeat.stop_was_requested();
            if endless.is_some() && guard.mode() == mode && fit {
                guard.heartbeat().pause();
                return Ok(Some(guard.heartbeat().clone()));
            }
            // It guards another mode, or tripped: the arm was commanded to hold, and an activation means that it may move.
            guard.heartbeat().done();
            self.guard = None;
        }
        let (Some(endless), false) = (endless, self.guarding == Guarding::Waived) else { return Ok(None) };
        let hello = Hello { mode, ramp: endless.ramp.clone(), ..self.hello.clone() };
        let started = Guard::start(&self.guarding, hello, patience, Arc::clone(clock), count_as_own);
        let guard = started.map_err(|error| fault_of(&error))?;
        let heartbeat = guard.heartbeat().clone();
        self.guard = Some(guard);
        Ok(Some(heartbeat))
    }

    /// What is wrong with the guard, or with this program's timing. Takes no lock.
    pub fn fault(&self, now: Timestamp) -> Option<GuardFault> {
        self.guard.as_ref().and_then(|guard| guard.heartbeat().fault(now))
    }

    /// Releases a faulty guard; returns whether there was one. For a recovery: the arm was commanded to hold, and another guard is
    /// started before it moves again.
    pub fn forget_faulty(&mut self, now: Timestamp) -> bool {
        let faulty = self
            .guard
            .as_ref()
            .is_some_and(|g| g.heartbeat().fault(now).is_some() || g.heartbeat().stop_was_requested());
        if let Some(guard) = self.guard.take_if(|_| faulty) {
            guard.heartbeat().done();
        }
        faulty
    }

    /// Process id of the guard, where it runs on this machine.
    pub fn process(&self) -> Option<u32> {
        self.guard.as_ref().and_then(Guard::process)
    }
}
