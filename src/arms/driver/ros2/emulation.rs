//! The loop of an emulated controller, and the record of its commands.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::transport::ros2::RosError;
use visuomotor_core::action::ControlMode;
use visuomotor_core::observation::JointVector;
use visuomotor_core::time::{Clock, Timestamp};

/// The controller's side of the wire.
pub trait Controller: Send + 'static {
    /// Time between turns.
    const PERIOD: Duration;
    /// Takes new commands, advances the plant to `now`, publishes what is due.
    fn turn(&mut self, now: Timestamp);
}

/// Runs a [`Controller`] on a thread of its own until it is dropped.
pub struct Emulation {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Emulation {
    /// Starts it.
    pub fn run<C: Controller>(name: &str, mut controller: C, clock: Arc<dyn Clock>) -> Result<Self, RosError> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                let mut due = Instant::now();
                while !seen.load(Ordering::Acquire) {
                    controller.turn(clock.now());
                    due += C::PERIOD;
                    let now = Instant::now();
                    if due < now {
                        // Late turns are skipped; the plant advances by the elapsed time.
                        due = now;
                    }
                    std::thread::sleep(due - now);
                }
            })
            .map_err(|error| RosError::Create {
                what: format!("emulator thread {name}"),
                cause: error.to_string(),
                fix: "too many threads: end other programs".into(),
            })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Emulation {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A controller that panicked has reported it.
            let _ = thread.join();
        }
    }
}

/// One command as it arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Received {
    /// Time of arrival.
    pub at: Timestamp,
    /// Meaning of the numbers.
    pub mode: ControlMode,
    /// rad, rad/s or Nm, by mode, chain order.
    pub joints: JointVector,
}

/// An emulated controller's commands, oldest first; the newest [`CommandLog::LENGTH`].
#[derive(Clone, Debug, Default)]
pub struct CommandLog {
    entries: Arc<Mutex<Vec<Received>>>,
}

impl CommandLog {
    /// Commands kept \[messages\].
    pub const LENGTH: usize = 200_000;

    /// Adds a command.
    pub fn push(&self, received: Received) {
        let mut entries = self.lock();
        if entries.len() >= Self::LENGTH {
            entries.drain(..Self::LENGTH / 2);
        }
        entries.push(received);
    }

    /// A copy of all commands.
    pub fn all(&self) -> Vec<Received> {
        self.lock().clone()
    }

    /// Clears the log.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Received>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
