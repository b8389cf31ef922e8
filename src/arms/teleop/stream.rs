//! A device that is a byte stream: a thread reads, a decoder decodes, and the newest reading is kept.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::{DeviceError, NAP, Reading, TeleopDevice};
use visuomotor_core::time::{Clock, Timestamp};

/// Decodes a device's bytes. Pure: no clock, no file.
pub trait Decoder: Send + 'static {
    /// Kind of device, as in launch files.
    fn device(&self) -> &'static str;
    /// Takes bytes that came at `now`; returns the newest reading they complete, if any.
    fn feed(&mut self, bytes: &[u8], now: Timestamp) -> Option<Reading>;
    /// Nothing came for a while although the device is connected; returns a reading for devices that report only changes.
    fn idle(&mut self, now: Timestamp) -> Option<Reading> {
        let _ = now;
        None
    }
    /// A new episode begins.
    fn reset(&mut self) {}
}

#[derive(Default)]
struct Slot {
    newest: Option<Reading>,
    /// Why no more readings come.
    gone: Option<String>,
}

/// A thread that reads a device, and its newest reading. Dropping it ends the thread at its next wake-up.
pub(super) struct Listener {
    name: &'static str,
    slot: Arc<Mutex<Slot>>,
    quit: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Calls `hear` repeatedly. It must return within a few tens of milliseconds: a reading, nothing new, or why no more readings
    /// come.
    pub fn start(
        name: &'static str,
        mut hear: impl FnMut() -> Result<Option<Reading>, String> + Send + 'static,
    ) -> std::io::Result<Self> {
        let (slot, quit) = (Arc::new(Mutex::new(Slot::default())), Arc::new(AtomicBool::new(false)));
        let (their_slot, their_quit) = (slot.clone(), quit.clone());
        let listen = move || {
            while !their_quit.load(Ordering::Acquire) {
                let heard = hear();
                let mut slot = their_slot.lock().unwrap_or_else(PoisonError::into_inner);
                match heard {
                    Ok(reading) => slot.newest = reading.or(slot.newest),
                    Err(why) => {
                        slot.gone = Some(why);
                        break;
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(listen)?;
        Ok(Self { name, slot, quit, thread: Some(thread) })
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn newest(&self) -> Result<Option<Reading>, DeviceError> {
        let slot = self.slot();
        match &slot.gone {
            Some(cause) => Err(DeviceError::Gone { device: self.name, cause: cause.clone() }),
            None => Ok(slot.newest),
        }
    }

    pub fn forget(&self) {
        self.slot().newest = None;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.quit.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic in it was a bug there; the device is lost either way.
            let _ = thread.join();
        }
    }
}

/// A decoder of a byte stream, run on a thread of its own.
pub struct StreamDevice<D> {
    listener: Listener,
    decoder: Arc<Mutex<D>>,
}

impl<D: Decoder> StreamDevice<D> {
    /// Reads from `source`, which must return within a few tens of milliseconds: bytes, or [`ErrorKind::WouldBlock`] or
    /// [`ErrorKind::TimedOut`] when none came.
    pub fn start(mut source: impl Read + Send + 'static, decoder: D, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let name = decoder.device();
        let decoder = Arc::new(Mutex::new(decoder));
        let theirs = decoder.clone();
        let mut bytes = [0; 4096];
        let hear = move || {
            let got = match source.read(&mut bytes) {
                Ok(0) => return Err("the stream ended".to_string()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(None),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
                Err(error) => return Err(error.to_string()),
            };
            let now = clock.now();
            let mut decoder = theirs.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(if got == 0 { decoder.idle(now) } else { decoder.feed(&bytes[..got], now) })
        };
        Ok(Self { listener: Listener::start(name, hear)?, decoder })
    }
}

impl<D: Decoder> TeleopDevice for StreamDevice<D> {
    fn name(&self) -> &'static str {
        self.listener.name
    }

    fn newest(&mut self, _now: Timestamp) -> Result<Option<Reading>, DeviceError> {
        self.listener.newest()
    }

    fn reset(&mut self) {
        self.decoder.lock().unwrap_or_else(PoisonError::into_inner).reset();
        self.listener.forget();
    }
}

/// A device file whose reads fail with `WouldBlock` when nothing came within one wait.
pub(super) struct DeviceFile(pub File);

impl Read for DeviceFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut wait = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, alive during the call.
        match unsafe { libc::poll(&mut wait, 1, NAP.as_millis() as libc::c_int) } {
            0 => Err(ErrorKind::WouldBlock.into()),
            1.. => self.0.read(into),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
