//! Records an episode in its own thread, so that no loop waits for a disk or for image compression.
//!
//! A step and the control ticks before it are queued as one piece. When the thread cannot keep up, whole pieces are dropped
//! and counted, and the recording notes it ([`Gap`]). When the disk runs full, recording stops at a minimum of free space and
//! the episode is marked short. Neither reaches the loops: [`StepSink::step`] does not fail here.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::storage::free_bytes;
use super::{EpisodeWriter, Gap, Note, RecordingError, WriterOptions};
use visuomotor_core::action::Decision;
use visuomotor_core::episode::{ControlTick, EpisodeEnd, EpisodeStart, SinkError, Step, StepSink};
use visuomotor_core::observation::Observation;
use visuomotor_core::protection::Protection;
use visuomotor_core::time::Timestamp;

/// Length of the queue: two seconds at 30 Hz, at two 640x480 images a step 111 MB.
const WAITING: usize = 60;

/// Interval of checks of the disk's free space \[steps\].
const LOOK: u64 = 8;

/// A step with its own data; pixels are shared, not copied.
struct OwnedStep {
    index: u64,
    observation: Observation,
    decision: Decision,
    decided_at: Timestamp,
}

enum Piece {
    Start(Box<EpisodeStart>),
    Step {
        gap: Option<Gap>,
        ticks: Vec<ControlTick>,
        step: Box<OwnedStep>,
    },
    /// Ticks of a pause, in which there are no steps.
    Ticks(Vec<ControlTick>),
    Note(Note),
    End {
        gap: Option<Gap>,
        ticks: Vec<ControlTick>,
        end: EpisodeEnd,
    },
}

/// State of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecorderState {
    /// Steps handed to the operating system.
    pub steps: u64,
    /// Steps dropped because the recorder could not keep up.
    pub dropped: u64,
    /// Why the recording stopped before its end.
    pub trouble: Option<String>,
}

/// Passes an episode to an [`EpisodeWriter`] in its own thread.
pub struct Recorder {
    queue: Option<SyncSender<Piece>>,
    thread: Option<JoinHandle<Result<(), RecordingError>>>,
    state: Arc<Mutex<RecorderState>>,
    ticks: Vec<ControlTick>,
    gap: Option<Gap>,
    path: PathBuf,
}

fn lock(state: &Mutex<RecorderState>) -> MutexGuard<'_, RecorderState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// Opens the recording. Every reason not to record that is known by now is an error now, before motion.
    pub fn create(folder: &Path, name: &str, options: WriterOptions) -> Result<Self, RecordingError> {
        let floor = options.floor_bytes;
        let writer = EpisodeWriter::create(folder, name, options)?;
        let path = writer.path().to_path_buf();
        let state = Arc::new(Mutex::new(RecorderState::default()));
        let (queue, pieces) = sync_channel(if Protection::Recording.is_on() { WAITING } else { 0 });
        let (theirs, folder) = (state.clone(), folder.to_path_buf());
        let write = move || Worker { writer, state: theirs, folder, floor, short: None }.run(&pieces);
        let thread = std::thread::Builder::new().name("recorder".into()).spawn(write);
        let thread = thread.map_err(|source| RecordingError::Write { path: path.clone(), steps: 0, source })?;
        Ok(Self { queue: Some(queue), thread: Some(thread), state, ticks: Vec::new(), gap: None, path })
    }

    /// State of the recording.
    pub fn state(&self) -> RecorderState {
        lock(&self.state).clone()
    }

    /// Path of the file after the episode ended.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records the operator's note; waits for room in the queue, because a note must not be lost.
    pub fn note(&mut self, note: Note) {
        if let Some(queue) = &self.queue {
            // A thread that ended has stored its error in the state.
            let _ = queue.send(Piece::Note(note));
        }
    }

    fn offer(&mut self, step: &Step<'_>) {
        let ticks = std::mem::take(&mut self.ticks);
        let piece = Piece::Step {
            gap: self.gap.take(),
            ticks,
            step: Box::new(OwnedStep {
                index: step.index,
                observation: step.observation.clone(),
                decision: step.decision.clone(),
                decided_at: step.decided_at,
            }),
        };
        let Some(queue) = &self.queue else { return };
        if !Protection::Recording.is_on() {
            // The loop waits until the previous piece is written.
            let _ = queue.send(piece);
            return;
        }
        let Err(TrySendError::Full(Piece::Step { gap, ticks, step })) = queue.try_send(piece) else { return };
        let mut gap = gap.unwrap_or_else(|| Gap {
            first_step: step.index,
            steps: 0,
            ticks: 0,
            why: "the recorder could not keep up".into(),
        });
        gap.steps += 1;
        gap.ticks += ticks.len() as u64;
        self.gap = Some(gap);
        lock(&self.state).dropped += 1;
    }

    /// Waits until everything is written.
    fn finish(&mut self) -> Result<(), RecordingError> {
        self.queue = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(written)) => written,
            Some(Err(_)) => {
                Err(RecordingError::Order { path: self.path.clone(), what: "the recorder's thread panicked" })
            }
            None => Ok(()),
        }
    }
}

impl StepSink for Recorder {
    fn episode_started(&mut self, start: &EpisodeStart) -> Result<(), SinkError> {
        if let Some(queue) = &self.queue {
            // A thread that ended has stored its error in the state, and reports it again at the end.
            let _ = queue.send(Piece::Start(Box::new(start.clone())));
        }
        Ok(())
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), SinkError> {
        self.offer(step);
        Ok(())
    }

    /// Queues the ticks of a pause, so that a long one does not fill the memory; if the queue is full they stay for the next
    /// call.
    fn paused(&mut self, _observation: &Observation) -> Result<(), SinkError> {
        let ticks = std::mem::take(&mut self.ticks);
        if let Some(queue) = &self.queue
            && let Err(TrySendError::Full(Piece::Ticks(ticks))) = queue.try_send(Piece::Ticks(ticks))
        {
            self.ticks = ticks;
        }
        Ok(())
    }

    fn control_tick(&mut self, tick: &ControlTick) -> Result<(), SinkError> {
        self.ticks.push(*tick);
        Ok(())
    }

    fn episode_ended(&mut self, end: &EpisodeEnd) -> Result<(), SinkError> {
        let (gap, ticks) = (self.gap.take(), std::mem::take(&mut self.ticks));
        if let Some(queue) = &self.queue {
            // As in `episode_started`.
            let _ = queue.send(Piece::End { gap, ticks, end: end.clone() });
        }
        Ok(self.finish()?)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Without an end the file stays `.partial`, as cut off.
        let _ = self.finish();
    }
}

struct Worker {
    writer: EpisodeWriter,
    state: Arc<Mutex<RecorderState>>,
    folder: PathBuf,
    floor: u64,
    /// Steps dropped since the disk reached its minimum.
    short: Option<Gap>,
}

impl Worker {
    fn run(mut self, pieces: &Receiver<Piece>) -> Result<(), RecordingError> {
        let mut first = None;
        for piece in pieces {
            if let Err(error) = self.take(piece) {
                lock(&self.state).trouble.get_or_insert_with(|| error.to_string());
                // The first error is the cause; "stopped before" only follows from it.
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(()), Err)
    }

    fn take(&mut self, piece: Piece) -> Result<(), RecordingError> {
        match piece {
            Piece::Start(start) => self.writer.start(&start),
            Piece::Note(note) => self.writer.record_note(&note),
            Piece::Ticks(ticks) => match &mut self.short {
                Some(short) => {
                    short.ticks += ticks.len() as u64;
                    Ok(())
                }
                None => ticks.iter().try_for_each(|tick| self.writer.record_tick(tick)),
            },
            Piece::Step { gap, ticks, step } => {
                self.missing(gap)?;
                if self.is_short(&step, ticks.len() as u64) {
                    return Ok(());
                }
                for tick in &ticks {
                    self.writer.record_tick(tick)?;
                }
                let OwnedStep { index, observation, decision, decided_at } = *step;
                let step = Step { index, observation: &observation, decision: &decision, decided_at };
                self.writer.record_step(&step)?;
                lock(&self.state).steps = self.writer.steps();
                Ok(())
            }
            Piece::End { gap, ticks, end } => {
                self.missing(gap)?;
                let short = self.short.take();
                match &short {
                    Some(gap) => self.writer.record_gap(gap)?,
                    None => ticks.iter().try_for_each(|tick| self.writer.record_tick(tick))?,
                }
                self.writer.end(&end)
            }
        }
    }

    fn missing(&mut self, gap: Option<Gap>) -> Result<(), RecordingError> {
        gap.map_or(Ok(()), |gap| self.writer.record_gap(&gap))
    }

    /// Is the disk at its minimum? Then this step is counted and dropped.
    fn is_short(&mut self, step: &OwnedStep, ticks: u64) -> bool {
        if self.short.is_none() && self.writer.steps().is_multiple_of(LOOK) {
            // If free space is unknown, recording continues until a write fails.
            let free = free_bytes(&self.folder).unwrap_or(u64::MAX);
            if free < self.floor {
                let why = format!(
                    "only {} MiB were left on the disk, recording stops at {} MiB",
                    free >> 20,
                    self.floor >> 20
                );
                lock(&self.state).trouble.get_or_insert_with(|| why.clone());
                self.short = Some(Gap { first_step: step.index, steps: 0, ticks: 0, why });
            }
        }
        let Some(short) = &mut self.short else { return false };
        short.steps += 1;
        short.ticks += ticks;
        true
    }
}
