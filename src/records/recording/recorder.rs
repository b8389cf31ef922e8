//! Records an episode on a thread of its own, so that no loop waits for a disk or an image's compression.
//!
//! A step and the control ticks before it are handed over as one piece. When the thread cannot keep up, whole pieces are left
//! out, counted, and the recording says so itself ([`Gap`]); when the disk runs full, recording stops at a floor and the
//! episode is marked short. Neither ever reaches the loops: [`StepSink::step`] does not fail here.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::storage::free_bytes;
use super::{EpisodeWriter, Gap, Note, RecordingError, WriterOptions};
use visuomotor_core::action::Decision;
use visuomotor_core::episode::{ControlTick, EpisodeEnd, EpisodeStart, Step, StepSink};
use visuomotor_core::observation::Observation;
use visuomotor_core::protection::Protection;
use visuomotor_core::time::Timestamp;

/// Pieces that may wait: two seconds at 30 Hz, at two 640x480 images a step 111 MB.
const WAITING: usize = 60;

/// How often the room on the disk is looked at \[steps\].
const LOOK: u64 = 8;

/// A step that owns what it holds; pixels are shared, not copied.
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
    /// Of a pause, in which there are no steps.
    Ticks(Vec<ControlTick>),
    Note(Note),
    End {
        gap: Option<Gap>,
        ticks: Vec<ControlTick>,
        end: EpisodeEnd,
    },
}

/// How a recording goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecorderState {
    /// Steps handed to the operating system.
    pub steps: u64,
    /// Steps left out because the recorder could not keep up.
    pub dropped: u64,
    /// What stopped the recording before its end, in words.
    pub trouble: Option<String>,
}

/// Hands an episode to an [`EpisodeWriter`] on a thread of its own.
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
    /// Opens the recording; every reason not to record that can be known now is an error now, before motion.
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

    /// How it goes.
    pub fn state(&self) -> RecorderState {
        lock(&self.state).clone()
    }

    /// The file once the episode ended.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records the operator's words; waits for room, for it must not be lost.
    pub fn note(&mut self, note: Note) {
        if let Some(queue) = &self.queue {
            // A thread that ended has left its error in its state.
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
            // The loop waits until the piece before is written.
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
    fn episode_started(&mut self, start: &EpisodeStart) -> anyhow::Result<()> {
        if let Some(queue) = &self.queue {
            // A thread that ended has left its error in its state, and reports it again at the end.
            let _ = queue.send(Piece::Start(Box::new(start.clone())));
        }
        Ok(())
    }

    fn step(&mut self, step: &Step<'_>) -> anyhow::Result<()> {
        self.offer(step);
        Ok(())
    }

    /// Hands the ticks of a pause over, so that a long one does not fill the memory; without room they wait for the next time.
    fn paused(&mut self, _observation: &Observation) -> anyhow::Result<()> {
        let ticks = std::mem::take(&mut self.ticks);
        if let Some(queue) = &self.queue
            && let Err(TrySendError::Full(Piece::Ticks(ticks))) = queue.try_send(Piece::Ticks(ticks))
        {
            self.ticks = ticks;
        }
        Ok(())
    }

    fn control_tick(&mut self, tick: &ControlTick) -> anyhow::Result<()> {
        self.ticks.push(*tick);
        Ok(())
    }

    fn episode_ended(&mut self, end: &EpisodeEnd) -> anyhow::Result<()> {
        let (gap, ticks) = (self.gap.take(), std::mem::take(&mut self.ticks));
        if let Some(queue) = &self.queue {
            // The same.
            let _ = queue.send(Piece::End { gap, ticks, end: end.clone() });
        }
        Ok(self.finish()?)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Without an end the file stays `.partial`, which says what happened.
        let _ = self.finish();
    }
}

struct Worker {
    writer: EpisodeWriter,
    state: Arc<Mutex<RecorderState>>,
    folder: PathBuf,
    floor: u64,
    /// Steps left out since the disk reached its floor.
    short: Option<Gap>,
}

impl Worker {
    fn run(mut self, pieces: &Receiver<Piece>) -> Result<(), RecordingError> {
        let mut first = None;
        for piece in pieces {
            if let Err(error) = self.take(piece) {
                lock(&self.state).trouble.get_or_insert_with(|| error.to_string());
                // The first error is the cause; "stopped before" is what follows from it.
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

    /// Is the disk at its floor? Then this step is counted and left out.
    fn is_short(&mut self, step: &OwnedStep, ticks: u64) -> bool {
        if self.short.is_none() && self.writer.steps().is_multiple_of(LOOK) {
            // A disk that does not tell its room is written to until it refuses.
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
