//! Listeners: a recorder whose disk may be full, and the control loop's ticks.

use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;
use visuomotor::episode::{ControlTick, EpisodeEnd, EpisodeStart, SinkError, Step, StepSink};
use visuomotor::time::{Clock, ManualClock, Timestamp};

use super::fault::Fault;

/// A recorder that keeps everything in memory.
pub struct Record {
    disk_full: bool,
    pub steps: u64,
    pub ticks: Vec<ControlTick>,
    pub ended: bool,
}

impl Record {
    pub fn new(fault: Fault) -> Self {
        Self { disk_full: fault == Fault::DiskFull, steps: 0, ticks: Vec::new(), ended: false }
    }
}

impl StepSink for Record {
    fn episode_started(&mut self, _: &EpisodeStart) -> Result<(), SinkError> {
        Ok(())
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), SinkError> {
        if self.disk_full && Fault::DiskFull.on(step.decided_at) {
            return Err(SinkError::new("no space left on device"));
        }
        self.steps += 1;
        Ok(())
    }

    fn control_tick(&mut self, tick: &ControlTick) -> Result<(), SinkError> {
        self.ticks.push(*tick);
        Ok(())
    }

    fn episode_ended(&mut self, _: &EpisodeEnd) -> Result<(), SinkError> {
        self.ended = true;
        Ok(())
    }
}

/// Lines for a terminal, with the row's time.
#[derive(Clone)]
pub struct Terminal<'a> {
    clock: &'a ManualClock,
    lines: Arc<Mutex<Vec<(Timestamp, String)>>>,
}

impl<'a> Terminal<'a> {
    pub fn new(clock: &'a ManualClock) -> Self {
        Self { clock, lines: Arc::default() }
    }

    /// Every line, oldest first.
    pub fn lines(&self) -> Vec<(Timestamp, String)> {
        self.lines.lock().expect("nothing panics with it").clone()
    }
}

impl io::Write for Terminal<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = self.lines.lock().expect("nothing panics with it");
        lines.extend(text.lines().map(|line| (self.clock.now(), line.trim().to_owned())));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Terminal<'static> {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
