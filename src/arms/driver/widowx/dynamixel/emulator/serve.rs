//! The emulated bus on a pseudo-terminal in real time, for `visuomotor simulate` and for peers that are not ours.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::BusEmulator;
use crate::transport::{ByteLink, LinkError, Pty, loss};

/// Longest sleep: the servos' own loop goes on while the bus is silent.
const IDLE: Duration = Duration::from_millis(2);

/// Replies due sooner than this are waited for without sleeping: a sleeping thread wakes up some 50 us late.
const AWAKE: Duration = Duration::from_micros(150);

/// Serves the bus on this link until it is stopped. The servos live on the link's clock.
pub fn serve(bus: &mut BusEmulator, link: &mut impl ByteLink, stop: &AtomicBool) -> Result<(), LinkError> {
    let mut incoming = [0; 1024];
    let mut outgoing = Vec::with_capacity(1024);
    while !stop.load(Ordering::Acquire) {
        let now = link.now();
        bus.take_due(now, &mut outgoing);
        if loss::outgoing_is_lost() {
            outgoing.clear();
        }
        loss::change(&mut outgoing);
        if !outgoing.is_empty() {
            match link.write_all(&outgoing) {
                // No reader: the bytes are lost, as on a wire.
                Ok(()) | Err(LinkError::Stuck) => outgoing.clear(),
                Err(error) => return Err(error),
            }
        }
        let until = match bus.next_due() {
            Some(due) if due.since(now) < AWAKE => now,
            Some(due) => due.min(now + IDLE),
            None => now + IDLE,
        };
        let count = link.read(&mut incoming, until)?;
        let count = if loss::incoming_is_lost() { 0 } else { count };
        let now = link.now();
        if count > 0 {
            bus.receive(now, &incoming[..count]);
        } else if until > now || bus.next_due().is_none() {
            bus.advance(now);
        }
    }
    Ok(())
}

/// A thread that serves the bus on a pseudo-terminal of its own; dropping it ends both.
pub struct BusServer {
    path: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<(BusEmulator, Result<(), LinkError>)>>,
}

impl BusServer {
    /// Starts serving; `symlink` is made to point at the terminal.
    pub fn start(bus: BusEmulator, symlink: Option<&Path>) -> Result<Self, LinkError> {
        let pty = Pty::open(symlink)?;
        let path = pty.path().to_owned();
        Self::start_on(bus, pty, path)
    }

    /// Starts serving on a given link, for instance a faulty one; `path` is the path that programs open.
    pub fn start_on(mut bus: BusEmulator, mut link: impl ByteLink + 'static, path: String) -> Result<Self, LinkError> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let serve = move || {
            let result = serve(&mut bus, &mut link, &told);
            (bus, result)
        };
        let thread = std::thread::Builder::new().name("dynamixel bus".into()).spawn(serve);
        let thread = thread.map_err(|error| LinkError::from_errno(error.raw_os_error().unwrap_or(0)))?;
        Ok(Self { path, stop, thread: Some(thread) })
    }

    /// Path of the terminal to open.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Stops serving; returns the final bus, or why serving had ended; `None` if its thread panicked.
    pub fn finish(mut self) -> Option<(BusEmulator, Result<(), LinkError>)> {
        self.stop.store(true, Ordering::Release);
        self.thread.take().and_then(|thread| thread.join().ok())
    }
}

impl Drop for BusServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
