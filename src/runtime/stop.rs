//! Ways out: the stop flag, Ctrl-C, panics. All of them end with the arm holding.
//!
//! This is a program's stop, not an emergency stop: it needs the program, the computer and the cable to work. Keep the
//! hardware button at hand.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::RuntimeError;
use super::standing::{Doubt, Hold, confirm};
use crate::action::JointCommand;
use crate::driver::{ArmDriver, DriverError, FaultCode};
use crate::episode::Outcome;
use crate::observation::Proprioception;
use crate::time::{Clock, SystemClock, Timestamp};

/// Arms that were sent a command since they last held; the second Ctrl-C waits for zero.
static MOVING_ARMS: AtomicUsize = AtomicUsize::new(0);
/// The first signal that arrived, 0 before.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
/// How many signals arrived.
static SIGNALS: AtomicUsize = AtomicUsize::new(0);

/// Asks every loop that holds a clone to stop. Cheap to ask: the control thread does at every tick.
#[derive(Clone, Debug, Default)]
pub struct StopFlag {
    raised: Arc<AtomicBool>,
    reason: Arc<OnceLock<String>>,
    signals: bool,
}

impl StopFlag {
    /// A flag that only [`StopFlag::raise`] raises.
    pub fn new() -> Self {
        Self::default()
    }

    /// A flag that Ctrl-C (SIGINT) and SIGTERM raise too, from now on and for the whole process.
    ///
    /// A second signal ends the process at once if no arm is moving (the first one made the loops hold), a third in
    /// any case.
    pub fn on_signals() -> io::Result<Self> {
        for signal in [libc::SIGINT, libc::SIGTERM] {
            install(signal)?;
        }
        Ok(Self { signals: true, ..Self::default() })
    }

    /// Raises the flag; the first reason stays. Not for the control thread (it allocates).
    pub fn raise(&self, reason: impl Into<String>) {
        // A second reason is of no interest.
        let _ = self.reason.set(reason.into());
        self.raised.store(true, Ordering::Release);
    }

    /// Has anyone asked to stop?
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire) || (self.signals && SIGNAL.load(Ordering::Acquire) != 0)
    }

    /// Why, once raised.
    pub fn reason(&self) -> Option<String> {
        if !self.is_raised() {
            return None;
        }
        let signal = match SIGNAL.load(Ordering::Acquire) {
            libc::SIGTERM => "SIGTERM",
            _ => "Ctrl-C",
        };
        Some(self.reason.get().cloned().unwrap_or_else(|| signal.into()))
    }

    /// The outcome of an episode that was stopped, once raised: aborted by the operator.
    pub fn outcome(&self) -> Option<Outcome> {
        self.reason().map(|why| Outcome::Aborted { judge: "operator".into(), why })
    }
}

fn install(signal: libc::c_int) -> io::Result<()> {
    // SAFETY: an all-zero sigaction is a valid one with an empty mask; the handler does only what signal-safety(7)
    // allows (atomics, _exit); the struct outlives the call; the old action is not wanted.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(signal, &action, std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

extern "C" fn on_signal(signal: libc::c_int) {
    let _ = SIGNAL.compare_exchange(0, signal, Ordering::AcqRel, Ordering::Acquire);
    let earlier = SIGNALS.fetch_add(1, Ordering::AcqRel);
    if earlier >= 2 || (earlier == 1 && MOVING_ARMS.load(Ordering::Acquire) == 0) {
        // SAFETY: _exit may be called in a signal handler; 128 + signal is the shell's convention.
        unsafe { libc::_exit(128 + signal) };
    }
}

/// The only hand on an arm while a loop runs: whatever way the loop ends, dropping this makes the arm hold.
pub struct HoldGuard<'a> {
    arm: &'a mut (dyn ArmDriver + 'static),
    now: Timestamp,
    holds: bool,
    counted: bool,
    fault: Option<FaultCode>,
}

impl<'a> HoldGuard<'a> {
    /// Takes the arm.
    pub fn new(arm: &'a mut (dyn ArmDriver + 'static), now: Timestamp) -> Self {
        Self { arm, now, holds: false, counted: false, fault: None }
    }

    /// What the arm senses; an error makes it hold.
    pub fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        self.now = now;
        let sensed = self.arm.read(now);
        self.or_hold(sensed)
    }

    /// Sends a command; an error makes the arm hold.
    pub fn write(&mut self, now: Timestamp, command: &JointCommand) -> Result<(), DriverError> {
        self.now = now;
        self.holds = false;
        if !self.counted {
            self.counted = true;
            MOVING_ARMS.fetch_add(1, Ordering::AcqRel);
        }
        let written = self.arm.write(now, command);
        self.or_hold(written)
    }

    /// Stops the arm where it is.
    pub fn hold(&mut self, now: Timestamp) -> Result<(), DriverError> {
        self.now = now;
        let result = self.arm.hold(now);
        if result.is_ok() {
            self.holds = true;
            self.uncount();
        }
        result
    }

    /// The way out of a loop in real time: holds, and watches until the arm is seen standing or that is given up.
    pub fn hold_and_confirm(&mut self, clock: &SystemClock) -> (Result<(), DriverError>, Hold) {
        let told = clock.now();
        let held = self.hold(told);
        let hold = match held {
            // A driver that could not pass the hold on may still show that the arm stands: its own time-out may have acted.
            Err(error) => match confirm(self.arm, told, clock) {
                standing @ Hold::Standing { .. } => standing,
                Hold::Unconfirmed(_) => Hold::Unconfirmed(Doubt::NotSent(error)),
            },
            Ok(()) => confirm(self.arm, told, clock),
        };
        (held, hold)
    }

    /// The last fault the arm reported, in words; for after the loop, since it allocates.
    pub fn fault_text(&self) -> Option<String> {
        self.fault.map(|code| self.arm.fault_text(code))
    }

    fn or_hold<T>(&mut self, result: Result<T, DriverError>) -> Result<T, DriverError> {
        if let Err(error) = &result {
            if let DriverError::Fault(code) = error {
                self.fault = Some(*code);
            }
            // The first error is the one to report; if this fails too, dropping the guard tries again.
            let _ = self.hold(self.now);
        }
        result
    }

    fn uncount(&mut self) {
        if std::mem::take(&mut self.counted) {
            MOVING_ARMS.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for HoldGuard<'_> {
    fn drop(&mut self) {
        if !self.holds {
            // Nothing is left to tell it to: whoever drops the guard reports why.
            let _ = self.arm.hold(self.now);
        }
        self.uncount();
    }
}

/// Runs one side of the runtime; a panic in it becomes an error, so that the way out is the same.
pub(super) fn guarded<T>(side: impl FnOnce() -> Result<T, RuntimeError>) -> Result<T, RuntimeError> {
    // Unwind safety: after a panic the parts are only told to hold and to close, never run again in this episode.
    catch_unwind(AssertUnwindSafe(side)).unwrap_or_else(|panic| Err(RuntimeError::Panicked(message(panic.as_ref()))))
}

/// What a panic said.
pub(super) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| s.to_string()).or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::fake::FakeArm;

    #[test]
    fn dropping_the_guard_holds_even_when_unwinding() {
        let (mut arm, switches) = FakeArm::new(6);
        let panicked = guarded::<()>(|| {
            let _guard = HoldGuard::new(&mut arm, Timestamp::ZERO);
            panic!("the policy fell over");
        });
        assert!(matches!(panicked, Err(RuntimeError::Panicked(why)) if why == "the policy fell over"));
        assert!(switches.holds());
    }

    #[test]
    fn an_arm_that_holds_already_is_not_told_twice() {
        let (mut arm, switches) = FakeArm::new(6);
        let mut guard = HoldGuard::new(&mut arm, Timestamp::ZERO);
        guard.hold(Timestamp::ZERO).unwrap();
        drop(guard);
        assert_eq!(switches.hold_count(), 1);
    }

    #[test]
    fn the_first_reason_stays() {
        let flag = StopFlag::new();
        assert_eq!((flag.is_raised(), flag.reason()), (false, None));
        flag.clone().raise("button");
        flag.raise("later");
        assert_eq!(flag.reason().as_deref(), Some("button"));
    }
}
