//! The emulated bus behind a link in memory, in one thread and on a clock that advances by waiting: a driver's run on it is
//! reproducible.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::BusEmulator;
use crate::transport::{ByteLink, LinkError};
use visuomotor_core::time::Timestamp;

struct Shared {
    bus: BusEmulator,
    now: Timestamp,
    plugged: bool,
    pending: Vec<u8>,
}

/// A handle on the emulated bus: to inspect it, to inject faults, to advance its time.
#[derive(Clone)]
pub struct EmulatedBus {
    shared: Arc<Mutex<Shared>>,
}

/// The computer's end.
pub struct EmulatedLink {
    shared: Arc<Mutex<Shared>>,
}

impl EmulatedBus {
    /// Puts a bus behind a link; its clock starts at one second.
    pub fn new(bus: BusEmulator) -> Self {
        let now = Timestamp::from_secs_f64(1.0);
        Self { shared: Arc::new(Mutex::new(Shared { bus, now, plugged: true, pending: Vec::new() })) }
    }

    /// A link to it; there may be several, as of several programs.
    pub fn link(&self) -> EmulatedLink {
        EmulatedLink { shared: self.shared.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Inspects or changes the bus.
    pub fn with<T>(&self, look: impl FnOnce(&mut BusEmulator) -> T) -> T {
        look(&mut self.lock().bus)
    }

    /// The bus's time.
    pub fn now(&self) -> Timestamp {
        self.lock().now
    }

    /// Time passes on the bus without traffic.
    pub fn pass(&self, time: Duration) {
        let mut shared = self.lock();
        let now = shared.now + time;
        shared.now = now;
        shared.bus.advance(now);
    }

    /// Unplugs the adapter's cable, or plugs it in again.
    pub fn plug(&self, plugged: bool) {
        self.lock().plugged = plugged;
    }
}

impl EmulatedLink {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plugged(&self) -> Result<MutexGuard<'_, Shared>, LinkError> {
        let shared = self.lock();
        if shared.plugged { Ok(shared) } else { Err(LinkError::Unplugged) }
    }
}

impl ByteLink for EmulatedLink {
    fn name(&self) -> &str {
        "emulated bus"
    }

    fn now(&self) -> Timestamp {
        self.lock().now
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let mut shared = self.plugged()?;
        let now = shared.now;
        shared.bus.receive(now, bytes);
        Ok(())
    }

    fn read(&mut self, into: &mut [u8], until: Timestamp) -> Result<usize, LinkError> {
        let mut shared = self.plugged()?;
        let shared = &mut *shared;
        if shared.pending.is_empty() {
            shared.now = match shared.bus.next_due() {
                Some(due) if due <= until => shared.now.max(due),
                _ => shared.now.max(until),
            };
            shared.bus.advance(shared.now);
            shared.bus.take_due(shared.now, &mut shared.pending);
        }
        let count = shared.pending.len().min(into.len());
        into[..count].copy_from_slice(&shared.pending[..count]);
        shared.pending.drain(..count);
        Ok(count)
    }

    fn discard_input(&mut self) -> Result<(), LinkError> {
        let mut shared = self.plugged()?;
        let shared = &mut *shared;
        shared.bus.take_due(shared.now, &mut shared.pending);
        shared.pending.clear();
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), LinkError> {
        match self.lock().plugged {
            true => Ok(()),
            false => Err(LinkError::Missing),
        }
    }
}
