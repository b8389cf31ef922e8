//! Ways out: the stop flag, signals, panics. All of them end with the arm holding.
//!
//! | signal | what happens |
//! |---|---|
//! | SIGINT, SIGTERM, SIGHUP, SIGQUIT and every other one that ends a program unless caught | the flag is raised, arms hold |
//! | SIGTSTP (Ctrl-Z) while an arm on a link moves | the same, instead of being suspended with the arm in motion |
//! | SIGTSTP otherwise | suspended as usual; nothing moves, so nothing is replayed after `fg` |
//! | SIGTTIN, SIGTTOU | ignored: in the background a read of the terminal fails instead of stopping the program |
//! | SIGPIPE, SIGXFSZ | ignored: the write fails with EPIPE or EFBIG, and the caller handles it |
//! | SIGKILL, SIGSTOP, a crash | cannot be caught: the controller's own time-out or the guard (`driver::guard`) stops the arm |
//!
//! This is a program's stop, not an emergency stop: it needs the program, the computer and the cable to work. Keep the
//! hardware button at hand.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::error::RuntimeError;
use super::standing::{Doubt, Hold, confirm};
use visuomotor_arms::driver::{ArmDriver, DriverError, FaultCode};
use visuomotor_core::action::JointCommand;
use visuomotor_core::episode::Outcome;
use visuomotor_core::observation::Proprioception;
use visuomotor_core::protection::Protection;
use visuomotor_core::time::{Clock, SystemClock, Timestamp};

/// Number of arms commanded since they last held; the second Ctrl-C waits for zero.
static MOVING_ARMS: AtomicUsize = AtomicUsize::new(0);
/// Those not simulated in this process: they keep moving while it is suspended.
static MOVING_ON_A_LINK: AtomicUsize = AtomicUsize::new(0);
/// The first signal received, 0 before.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
/// Number of SIGINT, SIGTERM and SIGQUIT received.
static SIGNALS: AtomicUsize = AtomicUsize::new(0);

/// Signals that end a program unless caught, and their names for the operator. Crashes (SIGSEGV, SIGABRT and the like)
/// are excluded: a crashed program cannot be trusted with an arm.
const ENDING: [(libc::c_int, &str); 13] = [
    (libc::SIGINT, "Ctrl-C"),
    (libc::SIGTERM, "SIGTERM"),
    (libc::SIGHUP, "SIGHUP: the terminal or the connection to it was closed"),
    (libc::SIGQUIT, "SIGQUIT (Ctrl-\\)"),
    (libc::SIGUSR1, "SIGUSR1"),
    (libc::SIGUSR2, "SIGUSR2"),
    (libc::SIGALRM, "SIGALRM"),
    (libc::SIGVTALRM, "SIGVTALRM"),
    (libc::SIGPROF, "SIGPROF"),
    (libc::SIGXCPU, "SIGXCPU: the limit of processor time was reached"),
    (libc::SIGIO, "SIGIO"),
    (libc::SIGPWR, "SIGPWR: the power is failing"),
    (libc::SIGSTKFLT, "SIGSTKFLT"),
];

/// A signal's name for the operator.
fn name_of(signal: libc::c_int) -> &'static str {
    if signal == libc::SIGTSTP {
        return "Ctrl-Z (SIGTSTP) while the arm moved: it holds, and the program ends instead of being suspended";
    }
    ENDING.iter().find(|(number, _)| *number == signal).map_or("a real-time signal", |(_, name)| name)
}

/// Requests all loops with a clone to stop. Cheap to poll: the control thread does so at every tick.
#[derive(Clone, Debug, Default)]
pub struct StopFlag {
    raised: Arc<AtomicBool>,
    reason: Arc<OnceLock<String>>,
    signals: bool,
}

impl StopFlag {
    /// A flag raised only by [`StopFlag::raise`].
    pub fn new() -> Self {
        Self::default()
    }

    /// A flag raised, from now on and for the whole process, by every signal that would end or suspend the program while an
    /// arm moves; see the table at the top of this file.
    ///
    /// A second SIGINT, SIGTERM or SIGQUIT ends the process at once if no arm is moving (the first one made the loops
    /// hold), a third in any case. Others do not count: a closed terminal sends SIGHUP several times.
    pub fn on_signals() -> io::Result<Self> {
        let raising = on_signal as extern "C" fn(libc::c_int) as libc::sighandler_t;
        if Protection::Signals.is_on() {
            install(libc::SIGINT, raising)?;
            install(libc::SIGTERM, raising)?;
            // A signal that is already ignored (`nohup`, a profiler) stays ignored.
            let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
            for signal in ENDING.iter().map(|(signal, _)| *signal).chain(first..=last) {
                if is_default(signal)? {
                    install(signal, raising)?;
                }
            }
            if is_default(libc::SIGTSTP)? {
                install(libc::SIGTSTP, on_suspend as extern "C" fn(libc::c_int) as libc::sighandler_t)?;
            }
            for signal in [libc::SIGTTIN, libc::SIGTTOU, libc::SIGPIPE, libc::SIGXFSZ] {
                if is_default(signal)? {
                    install(signal, libc::SIG_IGN)?;
                }
            }
        }
        Ok(Self { signals: true, ..Self::default() })
    }

    /// Raises the flag; the first reason stays. Not for the control thread (it allocates).
    pub fn raise(&self, reason: impl Into<String>) {
        // Further reasons are dropped.
        let _ = self.reason.set(reason.into());
        self.raised.store(true, Ordering::Release);
    }

    /// Has a stop been requested?
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire) || (self.signals && SIGNAL.load(Ordering::Acquire) != 0)
    }

    /// The reason, once raised.
    pub fn reason(&self) -> Option<String> {
        if !self.is_raised() {
            return None;
        }
        Some(self.reason.get().cloned().unwrap_or_else(|| name_of(SIGNAL.load(Ordering::Acquire)).into()))
    }

    /// The outcome of a stopped episode, once raised: aborted by the operator.
    pub fn outcome(&self) -> Option<Outcome> {
        self.reason().map(|why| Outcome::Aborted { judge: "operator".into(), why })
    }
}

fn install(signal: libc::c_int, handler: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: an all-zero sigaction is a valid one with an empty mask; the handlers do only what signal-safety(7)
    // allows; the struct outlives the call; the old action is not wanted.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(signal, &action, std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Does this signal have its default action?
fn is_default(signal: libc::c_int) -> io::Result<bool> {
    // SAFETY: nothing is installed; the struct that is filled in outlives the call.
    let (result, action) = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        (libc::sigaction(signal, std::ptr::null(), &mut action), action)
    };
    if result == 0 { Ok(action.sa_sigaction == libc::SIG_DFL) } else { Err(io::Error::last_os_error()) }
}

extern "C" fn on_signal(signal: libc::c_int) {
    let _ = SIGNAL.compare_exchange(0, signal, Ordering::AcqRel, Ordering::Acquire);
    if !matches!(signal, libc::SIGINT | libc::SIGTERM | libc::SIGQUIT) {
        return;
    }
    let earlier = SIGNALS.fetch_add(1, Ordering::AcqRel);
    if earlier >= 2 || (earlier == 1 && MOVING_ARMS.load(Ordering::Acquire) == 0) {
        // SAFETY: _exit may be called in a signal handler; 128 + signal is the shell's convention.
        unsafe { libc::_exit(128 + signal) };
    }
}

/// Ctrl-Z. A suspended program sends nothing, so an arm on a link would continue with its last command.
extern "C" fn on_suspend(signal: libc::c_int) {
    if MOVING_ON_A_LINK.load(Ordering::Acquire) > 0 {
        let _ = SIGNAL.compare_exchange(0, signal, Ordering::AcqRel, Ordering::Acquire);
        return;
    }
    // SAFETY: sigaction, sigemptyset, sigaddset, raise and sigprocmask are async-signal-safe; the structs outlive the
    // calls; errno is given back as it was found. The second signal is delivered, and suspends, when it is unblocked.
    unsafe {
        let errno = *libc::__errno_location();
        let mut usual: libc::sigaction = std::mem::zeroed();
        let mut ours: libc::sigaction = std::mem::zeroed();
        usual.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(signal, &usual, &mut ours);
        libc::raise(signal);
        let mut set: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, &mut before);
        // Here the process was suspended and continued.
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        libc::sigaction(signal, &ours, std::ptr::null_mut());
        *libc::__errno_location() = errno;
    }
}

/// Exclusive access to an arm while a loop runs: however the loop ends, dropping this makes the arm hold.
pub struct HoldGuard<'a> {
    arm: &'a mut (dyn ArmDriver + 'static),
    now: Timestamp,
    holds: bool,
    counted: bool,
    on_a_link: bool,
    fault: Option<FaultCode>,
}

impl<'a> HoldGuard<'a> {
    /// Takes the arm.
    pub fn new(arm: &'a mut (dyn ArmDriver + 'static), now: Timestamp) -> Self {
        let on_a_link = arm.capabilities().driver != "mujoco";
        Self { arm, now, holds: false, counted: false, on_a_link, fault: None }
    }

    /// Reads the arm; an error makes it hold.
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
            MOVING_ON_A_LINK.fetch_add(usize::from(self.on_a_link), Ordering::AcqRel);
        }
        let written = self.arm.write(now, command);
        self.or_hold(written)
    }

    /// [`ArmDriver::is_driven`].
    pub fn is_driven(&self) -> bool {
        self.arm.is_driven()
    }

    /// Stops the arm where it is.
    pub fn hold(&mut self, now: Timestamp) -> Result<(), DriverError> {
        self.now = now;
        if !Protection::HoldAtTheEnd.is_on() {
            return Ok(());
        }
        let result = self.arm.hold(now);
        if result.is_ok() {
            self.holds = true;
            self.uncount();
        }
        result
    }

    /// End of a loop in real time: holds, and watches until the arm is seen at rest or the time-out is over.
    pub fn hold_and_confirm(&mut self, clock: &SystemClock) -> (Result<(), DriverError>, Hold) {
        let told = clock.now();
        let held = self.hold(told);
        let hold = match held {
            // Even if the driver could not send the hold, the arm may be seen at rest: its own time-out may have acted.
            Err(error) => match confirm(self.arm, told, clock) {
                standing @ Hold::Standing { .. } => standing,
                Hold::Unconfirmed(_) => Hold::Unconfirmed(Doubt::NotSent(error)),
            },
            Ok(()) => confirm(self.arm, told, clock),
        };
        (held, hold)
    }

    /// The arm's last fault as text; for use after the loop, since it allocates.
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
            MOVING_ON_A_LINK.fetch_sub(usize::from(self.on_a_link), Ordering::AcqRel);
        }
    }
}

impl Drop for HoldGuard<'_> {
    fn drop(&mut self) {
        if !self.holds && Protection::HoldAtTheEnd.is_on() {
            // The error cannot be returned here; the caller that drops the guard reports the cause.
            let _ = self.arm.hold(self.now);
        }
        self.uncount();
    }
}

/// Runs one loop of the runtime; a panic in it becomes an error, so that both end the same way.
pub(super) fn guarded<T>(side: impl FnOnce() -> Result<T, RuntimeError>) -> Result<T, RuntimeError> {
    // Unwind safety: after a panic the parts only hold and close, and never run again in this episode.
    catch_unwind(AssertUnwindSafe(side)).unwrap_or_else(|panic| Err(RuntimeError::Panicked(message(panic.as_ref()))))
}

/// A panic's message.
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
    fn an_arm_that_already_holds_is_not_commanded_twice() {
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
