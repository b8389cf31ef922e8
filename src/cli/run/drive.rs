//! One run on a station: decision source, listeners and result.

use std::path::PathBuf;

use super::difference::Differences;
use super::ending::Ended;
use super::job::Job;
use super::start_up::StartUp;
use super::take_over::TakeOver;
use super::tally::Tally;
use super::until::Until;
use crate::cli::distances::Distances;
use crate::cli::live::Live;
use crate::cli::record::Notes;
use crate::cli::source::{Part, Source};
use crate::cli::stage::Person;
use crate::cli::terminal::TerminalView;
use crate::embedding::Embedding;
use crate::episode::StepSink;
use crate::operator::{Operator, Phase};
use crate::recording::Attachment;
use crate::runtime::{EpisodeRequest, Station, StopFlag, Timing, run_episode};
use crate::scripted::Assignment;
use crate::teleop::Handover;
use crate::time::{Clock, Timestamp};

/// Viewers of a run, and the ways to end it.
pub struct Watchers<'a> {
    /// Buttons and the panel.
    pub operator: &'a Operator,
    /// The page.
    pub live: &'a Live,
    /// Stop flag of the run.
    pub stop: &'a StopFlag,
    /// Does the operator type lines at a terminal?
    pub typed: bool,
}

impl Watchers<'_> {
    /// The operator at the terminal of a run without an arm; `None` in lockstep.
    pub fn person(&self, lockstep: bool) -> Option<Person> {
        let typed = self.typed && !lockstep;
        typed.then(|| Person::at_the_terminal(self.stop.clone()).pausing(self.operator.clone()))
    }
}

/// Inputs of a run besides its station.
pub struct Drive<'a> {
    job: &'a Job,
    source: Source,
    goal: Option<Embedding>,
    record: Option<PathBuf>,
    dry_run: bool,
    start: StartUp,
    take_over: Option<TakeOver>,
    assignment: Option<Assignment>,
    differences: Option<Differences>,
}

impl<'a> Drive<'a> {
    /// Loads the decision source and the goal embedding.
    pub fn prepare(
        job: &'a Job,
        assignment: Option<Assignment>,
        record: Option<PathBuf>,
        dry_run: bool,
        start: StartUp,
    ) -> anyhow::Result<Self> {
        let (task, instruction) = (&job.task.name, &job.task.instruction);
        let part = Part { task, instruction, assignment, station: job.place.station(), seed: job.seed };
        let source = job.entrant.source(part)?;
        let goal = goal(job, &source)?;
        Ok(Self { goal, job, source, record, dry_run, start, take_over: None, assignment, differences: None })
    }

    /// Sets the device that the operator may take over with.
    pub fn taken_over_with(self, take_over: Option<TakeOver>) -> Self {
        Self { take_over, ..self }
    }

    /// Sets the recording to compare with.
    pub fn beside(self, differences: Differences) -> Self {
        Self { differences: Some(differences), ..self }
    }

    /// Runs it to its end; `files` are attached to the recording.
    pub fn run(
        mut self,
        station: &mut Station,
        mut until: Until<'_>,
        timing: Timing<'_>,
        files: Vec<Attachment>,
        watchers: &Watchers<'_>,
    ) -> anyhow::Result<Ended> {
        let now = match timing {
            Timing::Lockstep { .. } => Timestamp::ZERO,
            Timing::Wall { clock, .. } => clock.now(),
        };
        let device = self
            .take_over
            .take()
            .map(|device| device.source(self.job, self.assignment, watchers.operator))
            .transpose()?;
        let recorder = self.record.take().map(|folder| self.job.recorder(&folder, files, now)).transpose()?;
        let operator = watchers.operator;
        let mut notes = recorder.map(|recorder| Notes { recorder, operator: operator.clone() });
        let mut distances =
            Distances { goal: self.goal.take(), start: None, curve: Vec::new(), live: Some(watchers.live) };
        let (mut tally, mut view) = (Tally::default(), TerminalView::new(operator.clone()));
        let mut page = watchers.live.sink();
        let name = notes.as_ref().and_then(|notes| notes.recorder.path().file_stem());
        let name = name.map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned());
        let mut sinks: Vec<&mut dyn StepSink> = vec![&mut tally, &mut distances, &mut view];
        sinks.extend(self.differences.as_mut().map(|differences| differences as &mut dyn StepSink));
        sinks.extend(notes.as_mut().map(|notes| notes as &mut dyn StepSink));
        sinks.extend(page.as_mut().map(|page| &mut **page as &mut dyn StepSink));
        let mut source = Handover::new(self.source.as_dyn(), device, operator.clone());
        operator.forget();
        operator.show(|panel| panel.phase = Phase::Running);
        let request = EpisodeRequest {
            start: self.job.episode_start(&name),
            seconds: self.job.task.seconds,
            source: &mut source,
            sinks,
            judge: &mut until,
            stop: watchers.stop,
        };
        // In lockstep nothing waits for the clock.
        let real = matches!(timing, Timing::Wall { .. });
        self.start.mark("recorder");
        let begin = match timing {
            Timing::Lockstep { .. } => Timestamp::ZERO,
            Timing::Wall { clock, .. } => clock.now(),
        };
        let report = run_episode(station, request, timing);
        let handovers = source.finish();
        self.start.first(begin, tally.first_decision, tally.first_command);
        if !self.dry_run {
            crate::cli::last_words::say_hold(&report);
        }
        let recorded = notes.map(|notes| (notes.recorder.path().to_path_buf(), notes.recorder.state()));
        let start = real.then_some(self.start);
        let (judged, dry_run, differences) = (until.is_ruled(), self.dry_run, self.differences);
        Ok(Ended { report, tally, handovers, differences, recorded, judged, dry_run, start })
    }
}

/// Goal embedding, if there is a goal image and the policy embeds images.
#[cfg(feature = "torch")]
fn goal(job: &Job, source: &Source) -> anyhow::Result<Option<Embedding>> {
    let (Source::Policy(policy), Some(file)) = (source, &job.task.goal) else { return Ok(None) };
    Ok(Some(policy.embed(&crate::cli::image_file::read_image(file)?)?))
}

#[cfg(not(feature = "torch"))]
fn goal(_job: &Job, _source: &Source) -> anyhow::Result<Option<Embedding>> {
    Ok(None)
}
