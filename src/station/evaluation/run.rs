//! Runs the remaining trials one by one, and journals each before the next begins.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

use super::journal::{Journal, JournalError, JournalHeader, PictureFile, TrialRecord};
use super::options::EvaluationOptions;
use super::page;
use super::protocol::TrialPlan;
use super::report::{REPORT_FILE, Report};
use super::trial::{TrialRun, TrialRunner};
use visuomotor_core::config::{Scene, digest};
use visuomotor_core::episode::Outcome;
use visuomotor_core::protection::Protection;

/// File name of the page within the results folder.
pub const PAGE_FILE: &str = "report.html";

/// Progress events, for a progress bar or plain lines.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// The folder contained trials of the same evaluation.
    Resumed {
        /// Trials done.
        done: usize,
        /// Trials planned.
        planned: usize,
        /// Bytes of a half-written trial that were dropped; that trial runs again.
        dropped_bytes: u64,
    },
    /// A trial begins.
    Started {
        /// Its plan.
        plan: &'a TrialPlan,
        /// Trials done.
        done: usize,
        /// Trials planned.
        planned: usize,
    },
    /// A trial has ended; it is on disk unless lines are waiting.
    Ended {
        /// Its record.
        record: &'a TrialRecord,
        /// Trials done.
        done: usize,
        /// Trials planned.
        planned: usize,
    },
    /// Results could not be written yet; they are kept, and written as soon as there is space.
    Waiting {
        /// Trials that wait.
        trials: usize,
        /// Why.
        why: &'a JournalError,
    },
    /// The evaluation is over, and these lines of the journal could not be written.
    Unwritten {
        /// The lines, to be appended by hand.
        lines: &'a [String],
        /// Why.
        why: &'a JournalError,
    },
    /// `report.json` and `report.html` are written.
    Reported {
        /// Their content.
        report: &'a Report,
    },
}

/// Runs the trials of `plans` that are missing in the journal in `options.folder`.
///
/// The reports are written after every task and at the end, also when `stop` returns true (polled before each trial) or
/// the runner fails: results so far are always on disk. An aborted trial is run again only when the evaluation is
/// restarted.
pub fn evaluate(
    options: &EvaluationOptions,
    scene: &Scene,
    plans: &[TrialPlan],
    runner: &mut dyn TrialRunner,
    progress: &mut dyn FnMut(Progress<'_>),
    stop: &dyn Fn() -> bool,
) -> anyhow::Result<Report> {
    let mut evaluation = Evaluation::open(options, scene, plans)?;
    evaluation.tell_resumed(progress);
    let remaining = evaluation.remaining();
    for (i, plan) in remaining.iter().enumerate() {
        if stop() {
            break;
        }
        if !evaluation.run(plan, runner, progress)? {
            break;
        }
        if remaining.get(i + 1).is_some_and(|next| next.task != plan.task) {
            evaluation.report(progress)?;
        }
    }
    evaluation.finish(progress)
}

/// Rewrites the reports of an evaluation with the current `options`, mainly its controls, without running trials.
pub fn report_again(
    options: &EvaluationOptions,
    scene: &Scene,
    plans: &[TrialPlan],
    progress: &mut dyn FnMut(Progress<'_>),
) -> anyhow::Result<Report> {
    Evaluation::open(options, scene, plans)?.finish(progress)
}

/// One policy's planned trials and its journal.
pub(super) struct Evaluation<'a> {
    options: &'a EvaluationOptions,
    scene: &'a Scene,
    plans: &'a [TrialPlan],
    journal: Journal,
}

impl<'a> Evaluation<'a> {
    /// Opens or creates the results folder; results of another evaluation are refused.
    pub fn open(options: &'a EvaluationOptions, scene: &'a Scene, plans: &'a [TrialPlan]) -> anyhow::Result<Self> {
        ensure!(
            plans.iter().all(|plan| plan.scenario == options.scenario),
            "the plans are not of scenario {}",
            options.scenario.number()
        );
        for control in &options.controls {
            ensure!(
                control.scenario == options.scenario,
                "the control row {} was scored in scenario {}, not {}: name a report of the same scenario",
                control.policy,
                control.scenario.number(),
                options.scenario.number()
            );
        }
        fs::create_dir_all(&options.folder).with_context(|| format!("{}: cannot be made", options.folder.display()))?;
        let header = JournalHeader::new(
            options.scenario,
            options.seed,
            &options.policy,
            &options.settings_digest,
            &options.weights_digest,
            &digest(&serde_json::to_vec(&(scene, plans))?),
        );
        let journal = Journal::open(&options.folder, &header)?;
        Ok(Self { options, scene, plans, journal })
    }

    /// Reports existing trials, if any.
    pub fn tell_resumed(&self, progress: &mut dyn FnMut(Progress<'_>)) {
        if !self.journal.records().is_empty() || self.journal.dropped_bytes() > 0 {
            let dropped_bytes = self.journal.dropped_bytes();
            progress(Progress::Resumed { done: self.done(), planned: self.plans.len(), dropped_bytes });
        }
    }

    /// The plans without a valid trial, in their order.
    pub fn remaining(&self) -> Vec<&'a TrialPlan> {
        self.journal.remaining(self.plans)
    }

    /// Every attempt so far.
    pub fn records(&self) -> &[TrialRecord] {
        self.journal.records()
    }

    fn done(&self) -> usize {
        self.plans.len() - self.remaining().len()
    }

    /// Runs and journals one trial. False: it was not begun, and no more are wanted.
    pub fn run(
        &mut self,
        plan: &TrialPlan,
        runner: &mut dyn TrialRunner,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> anyhow::Result<bool> {
        progress(Progress::Started { plan, done: self.done(), planned: self.plans.len() });
        let attempt = self.journal.next_attempt(plan);
        let name = episode_name(plan, attempt);
        let keep = |run| keep(&self.options.folder, plan, attempt, &name, run);
        let kept = runner.run(plan, &name).and_then(|run| run.map(keep).transpose());
        let record = match kept {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(false),
            Err(error) => {
                self.write_waiting(progress);
                // The runner's error must be reported, even if the disk is full too.
                let error = match self.write_reports() {
                    Ok(_) => error,
                    Err(second) => error.context(format!("the report of what was found so far failed too: {second:#}")),
                };
                return Err(error.context(format!("trial {name}")));
            }
        };
        self.journal.append(record)?;
        if let Some((lines, why)) = self.journal.waiting() {
            progress(Progress::Waiting { trials: lines.len(), why });
        }
        if let Some(record) = self.journal.records().last() {
            progress(Progress::Ended { record, done: self.done(), planned: self.plans.len() });
        }
        Ok(true)
    }

    /// Writes waiting lines and the reports; failures are reported.
    pub fn finish(&mut self, progress: &mut dyn FnMut(Progress<'_>)) -> anyhow::Result<Report> {
        self.write_waiting(progress);
        self.report(progress)
    }

    fn write_waiting(&mut self, progress: &mut dyn FnMut(Progress<'_>)) {
        self.journal.write_waiting();
        if let Some((lines, why)) = self.journal.waiting() {
            progress(Progress::Unwritten { lines, why });
        }
    }

    /// Writes the reports of the results so far.
    pub fn report(&self, progress: &mut dyn FnMut(Progress<'_>)) -> anyhow::Result<Report> {
        let report = self.write_reports()?;
        progress(Progress::Reported { report: &report });
        Ok(report)
    }

    /// Writes `report.json` and `report.html`, each under a temporary name first so that no reader sees a partial file.
    ///
    /// If they cannot be written, the returned report says so; the results are in the journal.
    fn write_reports(&self) -> anyhow::Result<Report> {
        let mut report = Report::new(self.options, &self.scene.name, self.plans, self.journal.records());
        if let Some((lines, why)) = self.journal.waiting() {
            report.missing.push(format!("{} trials in the journal: {why}", lines.len()));
        }
        match self.write_files(&report) {
            Err(error) if Protection::Recording.is_on() => report.missing.push(format!("this report: {error:#}")),
            written => written?,
        }
        Ok(report)
    }

    fn write_files(&self, report: &Report) -> anyhow::Result<()> {
        let mut json = serde_json::to_string_pretty(report)?;
        json.push('\n');
        replace(&self.options.folder.join(REPORT_FILE), json.as_bytes())?;
        let html = page::render(report, self.plans, self.journal.records(), &self.options.folder);
        replace(&self.options.folder.join(PAGE_FILE), html.as_bytes())
    }
}

/// `<task>-<trial>`, with the attempt if it is not the first.
fn episode_name(plan: &TrialPlan, attempt: u32) -> String {
    if attempt == 1 { plan.name() } else { format!("{}-attempt-{attempt}", plan.name()) }
}

/// Stores the images of a trial and makes its record.
fn keep(folder: &Path, plan: &TrialPlan, attempt: u32, name: &str, run: TrialRun) -> anyhow::Result<TrialRecord> {
    ensure!(run.seconds.is_finite() && run.seconds >= 0.0, "the runner reported a duration of {} s", run.seconds);
    let mut missing = run.missing;
    let (pictures, stored) = store_pictures(folder, &format!("trials/{name}"), &run.pictures);
    match stored {
        Err(error) if Protection::Recording.is_on() => missing.push(format!("images: {error:#}")),
        stored => stored?,
    }
    let finite = |curve: Vec<(f64, f64)>| curve.into_iter().filter(|(seconds, y)| seconds.is_finite() && y.is_finite());
    let (distance_times, goal_distances) = finite(run.goal_distance).unzip();
    let outcome = run.outcome.kind();
    let (judge, why) = match run.outcome {
        Outcome::Success { judge } => (judge, String::new()),
        Outcome::Failure { judge, why } | Outcome::Aborted { judge, why } => (judge, why),
    };
    Ok(TrialRecord {
        plan: plan.clone(),
        attempt,
        outcome,
        judge,
        why,
        seconds: run.seconds,
        steps: run.steps,
        episode: run.episode,
        goal_distances,
        distance_times,
        state_value: finite(run.state_value).collect(),
        latency: run.latency,
        deadline_misses: run.deadline_misses,
        pictures,
        missing,
    })
}

/// Stores the images of a trial in `folder/relative`. Returns those that are complete, and the error that stopped the rest.
fn store_pictures(folder: &Path, relative: &str, taken: &[(f64, Vec<u8>)]) -> (Vec<PictureFile>, anyhow::Result<()>) {
    let mut pictures = Vec::with_capacity(taken.len());
    let store = |pictures: &mut Vec<PictureFile>| -> anyhow::Result<()> {
        let place = folder.join(relative);
        // Left by an attempt that was killed before it was journaled.
        if place.exists() {
            fs::remove_dir_all(&place).with_context(|| format!("{}: cannot be removed", place.display()))?;
        }
        fs::create_dir_all(&place).with_context(|| format!("{}: cannot be made", place.display()))?;
        for (i, (seconds, jpeg)) in taken.iter().enumerate().filter(|(_, (seconds, _))| seconds.is_finite()) {
            let file = format!("{relative}/{i:04}.jpg");
            fs::write(folder.join(&file), jpeg)
                .inspect_err(|_| {
                    // A partial image is discarded; if it cannot be removed, nothing refers to it.
                    let _ = fs::remove_file(folder.join(&file));
                })
                .with_context(|| format!("{file}: cannot be written"))?;
            pictures.push(PictureFile { seconds: *seconds, file });
        }
        Ok(())
    };
    let stored = store(&mut pictures);
    (pictures, stored)
}

/// Writes a file under a temporary name first, so that no reader sees a partial one.
pub(super) fn replace(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    fs::write(&partial, bytes)
        .and_then(|()| fs::rename(&partial, file))
        .inspect_err(|_| {
            // It takes up disk space.
            let _ = fs::remove_file(&partial);
        })
        .with_context(|| format!("{}: cannot be written", file.display()))
}
