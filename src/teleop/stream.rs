//! A device that is a stream of bytes: a thread reads, a decoder understands, the newest reading waits to be asked for.

use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::{DeviceError, Reading, TeleopDevice};
use crate::time::{Clock, Timestamp};

/// Understands a device's bytes. Pure: no clock, no file.
pub trait Decoder: Send + 'static {
    /// Kind of device, as in launch files.
    fn device(&self) -> &'static str;
    /// Takes bytes that came at `now`; answers the newest reading they complete, if they complete one.
    fn feed(&mut self, bytes: &[u8], now: Timestamp) -> Option<Reading>;
    /// Nothing came for a while although the device is there; a reading for devices that speak only of changes.
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
    /// Why nothing more comes.
    gone: Option<String>,
}

/// A decoder on a thread of its own. Dropping it ends the thread at its next look up.
pub struct StreamDevice<D> {
    name: &'static str,
    decoder: Arc<Mutex<D>>,
    slot: Arc<Mutex<Slot>>,
    quit: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<D: Decoder> StreamDevice<D> {
    /// Reads from `source`, which must answer within a few tens of milliseconds: bytes, or [`ErrorKind::WouldBlock`] or
    /// [`ErrorKind::TimedOut`] when none came.
    pub fn start(mut source: impl Read + Send + 'static, decoder: D, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let name = decoder.device();
        let decoder = Arc::new(Mutex::new(decoder));
        let slot = Arc::new(Mutex::new(Slot::default()));
        let quit = Arc::new(AtomicBool::new(false));
        let (their_decoder, their_slot, their_quit) = (decoder.clone(), slot.clone(), quit.clone());
        let read = move || {
            let mut bytes = [0; 4096];
            while !their_quit.load(Ordering::Acquire) {
                let got = match source.read(&mut bytes) {
                    Ok(0) => Err("the stream ended".to_string()),
                    Ok(count) => Ok(count),
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(0),
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => Err(error.to_string()),
                };
                let now = clock.now();
                let mut decoder = their_decoder.lock().unwrap_or_else(PoisonError::into_inner);
                let mut slot = their_slot.lock().unwrap_or_else(PoisonError::into_inner);
                match got {
                    Ok(0) => slot.newest = decoder.idle(now).or(slot.newest),
                    Ok(count) => slot.newest = decoder.feed(&bytes[..count], now).or(slot.newest),
                    Err(why) => {
                        slot.gone = Some(why);
                        break;
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(read)?;
        Ok(Self { name, decoder, slot, quit, thread: Some(thread) })
    }
}

impl<D: Decoder> TeleopDevice for StreamDevice<D> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn newest(&mut self, _now: Timestamp) -> Result<Option<Reading>, DeviceError> {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        match &slot.gone {
            Some(cause) => Err(DeviceError::Gone { device: self.name, cause: cause.clone() }),
            None => Ok(slot.newest),
        }
    }

    fn reset(&mut self) {
        self.decoder.lock().unwrap_or_else(PoisonError::into_inner).reset();
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).newest = None;
    }
}

impl<D> Drop for StreamDevice<D> {
    fn drop(&mut self) {
        self.quit.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic in it was a bug there; the device is gone either way.
            let _ = thread.join();
        }
    }
}
