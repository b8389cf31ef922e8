//! Training loop and the [`Learner`] trait.
//!
//! One file because a step, its curves and its checkpoint are only ever right together.
//!
//! An algorithm is a [`Learner`]: it takes one optimizer step at a time on a batch, and its state contains everything needed
//! to resume. [`Batches`] returns batches; a batch depends on the step's number only, so that a resumed run draws the same
//! batches as an unbroken one. [`learn`] is the loop: it prepares batches ahead of time, seeds libtorch's generator at each
//! step, writes curves and checkpoints, resumes and stops. It checks every number that an algorithm returns: one that is not
//! finite ends the training at that step, and the last good checkpoint stays.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tch::{Device, Tensor};

use super::caught::caught;
use super::checkpoint::{check_fit, encode, find, read_state, write_files};
use super::prefetch::{Prefetch, threads};
use super::settings::recorded;
use super::{Curves, curves_svg};
use crate::network::splitmix64;
use visuomotor_core::untrusted;

/// Named numbers of one step, always in the same order: the terms of the loss, and what else is drawn as a curve.
pub type Terms = Vec<(&'static str, f64)>;

/// An algorithm that learns step by step.
pub trait Learner {
    /// The data of one step.
    type Batch: Send;

    /// One optimizer step on `batch`. libtorch's generator was seeded from the run's seed and `step` before the call.
    fn update(&mut self, batch: &Self::Batch, step: u64) -> anyhow::Result<Terms>;

    /// Everything needed to resume as if never stopped: variables, their averages and targets, the optimizers' moments.
    fn state(&self) -> anyhow::Result<Vec<(String, Tensor)>>;

    /// Restores a saved state.
    fn restore(&mut self, state: &[(String, Tensor)]) -> anyhow::Result<()>;

    /// Writes the files for other programs (`encoder.safetensors`, a policy) into `folder`.
    fn save(&self, folder: &Path) -> anyhow::Result<()>;

    /// Terms on the held-out data, without augmentation; empty without such data.
    fn validate(&self) -> anyhow::Result<Terms> {
        Ok(Vec::new())
    }
}

/// A source of batches.
pub trait Batches: Sync {
    /// The data of one step.
    type Batch: Send;

    /// The batch of a step (0-based), a function of the step's number and the settings alone.
    fn batch(&self, step: u64) -> anyhow::Result<Self::Batch>;
}

/// Schedule of a training run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Seed of libtorch's generator, mixed with the step.
    pub seed: u64,
    /// Optimizer steps, at least 1.
    pub steps: u64,
    /// Steps between checkpoints; 0: only at the end.
    pub checkpoint_every: u64,
    /// Steps between validations; 0: only at the end.
    pub validate_every: u64,
}

/// A training run's arguments besides its settings.
pub struct Run<'a> {
    /// Output folder for checkpoint, curves, record and the learner's files.
    pub out: &'a Path,
    /// Resume from the checkpoint in `out`.
    pub resume: bool,
    /// Where networks run.
    pub device: Device,
    /// The command line, for the record.
    pub command: String,
    /// Called between steps: stop now?
    pub stop: &'a dyn Fn() -> bool,
    /// Receives a line of progress.
    pub tell: &'a dyn Fn(&str),
    /// Success rate of the policy saved in a folder, called at each checkpoint; `None` without trials.
    pub score: &'a dyn Fn(&Path) -> anyhow::Result<Option<f64>>,
}

/// A seed for the random numbers of one step (data, libtorch). Different seeds and steps give unrelated ones.
pub fn step_seed(seed: u64, step: u64) -> u64 {
    splitmix64(splitmix64(seed, 0), step)
}

/// Largest curves file read \[bytes\]: ten curves with a point every ten of a million steps take 40 MB.
const LARGEST_CURVES: u64 = 1 << 30;

/// How often progress is logged without a terminal.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Prefix of the session's own entries in a state.
const OWN: &str = "session.";

/// Trains to the last step of the schedule, or until asked to stop. Returns whether it came to the end.
///
/// `record` goes into `record.json`; its `algorithm` names the algorithm, and a checkpoint of another one is refused. Writes
/// to `run.out`: the learner's files, `checkpoint.safetensors` (the resumable state), `curves.json`, `curves.svg`,
/// `record.json`; each is written atomically. When asked to stop, and when a batch cannot be prepared, the state is saved
/// first. Errors name the step and the checkpoint that is kept.
pub fn learn<L: Learner>(
    learner: &mut L,
    batches: &dyn Batches<Batch = L::Batch>,
    schedule: &Schedule,
    record: Value,
    run: &Run<'_>,
) -> anyhow::Result<bool> {
    ensure!(schedule.steps > 0, "steps: found 0, expected at least 1; set it in the settings or with --steps");
    std::fs::create_dir_all(run.out)
        .with_context(|| format!("{}: cannot be created; choose another --out", run.out.display()))?;
    let mut session = Session::begin(learner, schedule, record, run)?;
    std::thread::scope(|scope| {
        // The next batches are prepared while the network learns from this one.
        let mut ahead = Prefetch::start(scope, batches, session.step..schedule.steps, threads());
        while session.step < schedule.steps {
            if (run.stop)() {
                session.save_unless_saved(learner)?;
                return Ok(false);
            }
            let asked = Instant::now();
            let batch = match ahead.next() {
                Ok(batch) => batch,
                Err(error) => {
                    session.save_unless_saved(learner)?;
                    return Err(error.context(session.failure_at_step("no batch could be prepared")));
                }
            };
            session.waited += asked.elapsed().as_secs_f64();
            // The sign is irrelevant for a seed.
            tch::manual_seed(step_seed(schedule.seed, session.step) as i64);
            let terms = caught(|| learner.update(&batch, session.step))
                .with_context(|| session.failure_at_step("the step could not be taken"))?;
            session.take(&terms)?;
            if session.reports() {
                session.report(learner)?;
            }
        }
        session.bar.finish_and_clear();
        Ok(true)
    })
}

/// Mean of a term since the last report.
struct Mean {
    name: String,
    sum: f64,
    count: f64,
}

/// A training run between two steps.
struct Session<'a> {
    schedule: &'a Schedule,
    run: &'a Run<'a>,
    record: Value,
    algorithm: String,
    state_file: PathBuf,
    /// Steps taken.
    step: u64,
    /// Step of the checkpoint in the folder.
    saved: Option<u64>,
    curves: Curves,
    means: Vec<Mean>,
    bar: ProgressBar,
    /// When this process started, and the steps and seconds that had been taken by then.
    began: Instant,
    before: (u64, f64),
    /// Time of the last report, and the seconds waited for data since.
    reported: Instant,
    waited: f64,
    /// Time of the last progress line without a terminal.
    logged: Instant,
}

impl<'a> Session<'a> {
    fn begin<L: Learner>(
        learner: &mut L,
        schedule: &'a Schedule,
        record: Value,
        run: &'a Run<'a>,
    ) -> anyhow::Result<Self> {
        let algorithm = record.get("algorithm").and_then(Value::as_str).unwrap_or_default().to_string();
        ensure!(!algorithm.is_empty(), "the record of a training run must name its `algorithm`");
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {elapsed} (left {eta})");
        let now = Instant::now();
        let mut session = Self {
            schedule,
            run,
            record,
            algorithm,
            state_file: run.out.join("checkpoint.safetensors"),
            step: 0,
            saved: None,
            curves: Curves::default(),
            means: Vec::new(),
            bar: ProgressBar::new(schedule.steps).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())),
            began: now,
            before: (0, 0.0),
            reported: now,
            waited: 0.0,
            logged: now,
        };
        if run.resume {
            session.resume(learner)?;
        } else {
            ensure!(
                !session.state_file.exists(),
                "{}: a training run is kept here; go on with it (--resume) or choose another --out",
                session.state_file.display()
            );
        }
        Ok(session)
    }

    /// Restores the state, the curves and the step of the checkpoint in the folder.
    fn resume<L: Learner>(&mut self, learner: &mut L) -> anyhow::Result<()> {
        let file = &self.state_file;
        let state = read_state(file, &self.algorithm)?;
        check_fit(file, &state, &learner.state()?, OWN)?;
        learner.restore(&state).with_context(|| file.display().to_string())?;
        let step = find(&state, "session.step").and_then(|t| Ok(i64::try_from(t)?));
        self.step = step.with_context(|| file.display().to_string())?.unsigned_abs();
        for (name, tensor) in &state {
            if let Some(name) = name.strip_prefix("session.mean.")
                && let [sum, count] = Vec::<f64>::try_from(tensor)?[..]
            {
                self.means.push(Mean { name: name.to_string(), sum, count });
            }
        }
        self.saved = Some(self.step);
        let file = self.run.out.join("curves.json");
        if file.exists() {
            self.curves = serde_json::from_slice(&untrusted::read(&file, LARGEST_CURVES)?)
                .with_context(|| format!("{}: not a curves file; remove it to begin new curves", file.display()))?;
        }
        // The curves may be a report ahead of the checkpoint.
        for points in self.curves.series.values_mut() {
            points.retain(|(step, _)| *step <= self.step);
        }
        let seconds = self.curves.series.get("seconds").and_then(|points| points.last()).map_or(0.0, |point| point.1);
        self.before = (self.step, seconds);
        self.report_changes();
        (self.run.tell)(&format!("resuming from step {}", self.step));
        Ok(())
    }

    /// Reports the settings and data that differ from those of the checkpoint.
    fn report_changes(&self) {
        let text = untrusted::read(&self.run.out.join("record.json"), untrusted::LARGEST_TEXT).unwrap_or_default();
        let Ok(old) = serde_json::from_slice::<Value>(&text) else { return };
        for part in ["settings", "data"] {
            let (Some(old), Some(new)) = (old[part].as_object(), self.record[part].as_object()) else { continue };
            for (key, now) in new {
                let then =
                    if part == "settings" { recorded(old, key) } else { old.get(key).cloned().unwrap_or_default() };
                if then != *now {
                    (self.run.tell)(&format!("{part}: `{key}` is {now}, the checkpoint was made with {then}"));
                }
            }
        }
    }

    /// The error text: what happened at which step, and which checkpoint is kept.
    fn failure_at_step(&self, what: &str) -> String {
        match self.saved {
            Some(step) => {
                format!(
                    "step {}: {what}; {} keeps step {step}: go on with --resume",
                    self.step,
                    self.state_file.display()
                )
            }
            None => format!("step {}: {what}; no checkpoint was made before", self.step),
        }
    }

    /// Counts a step after checking that all its terms are finite.
    fn take(&mut self, terms: &Terms) -> anyhow::Result<()> {
        for (name, value) in terms {
            if !value.is_finite() {
                bail!(self.failure_at_step(&format!("`{name}` became {value}; lower the learning rate")));
            }
        }
        for (name, value) in terms {
            match self.means.iter_mut().find(|mean| mean.name == *name) {
                Some(mean) => (mean.sum, mean.count) = (mean.sum + value, mean.count + 1.0),
                None => self.means.push(Mean { name: (*name).to_string(), sum: *value, count: 1.0 }),
            }
        }
        self.step += 1;
        self.bar.set_position(self.step);
        if self.step.is_multiple_of(50)
            && let Some(mean) = self.means.first()
        {
            self.bar.set_message(format!("{} {:.4}", mean.name, mean.sum / mean.count));
        }
        // Without a terminal there is no bar.
        if self.bar.is_hidden() && (self.step == self.before.0 + 10 || self.logged.elapsed() >= TELL_EVERY) {
            self.logged = Instant::now();
            let (steps, seconds) = (self.schedule.steps, self.began.elapsed().as_secs_f64());
            let each = seconds / (self.step - self.before.0) as f64;
            let left = each * steps.saturating_sub(self.step) as f64 / 60.0;
            (self.run.tell)(&format!("step {} of {steps}: {each:.3} s a step, {left:.0} min left", self.step));
        }
        Ok(())
    }

    fn due(&self, every: u64) -> bool {
        self.step == self.schedule.steps || (every > 0 && self.step.is_multiple_of(every))
    }

    fn reports(&self) -> bool {
        self.due(self.schedule.checkpoint_every) || self.due(self.schedule.validate_every)
    }

    /// Adds to the curves, validates, saves and reports, each when due.
    fn report<L: Learner>(&mut self, learner: &L) -> anyhow::Result<()> {
        let step = self.step;
        let mut line = format!("step {step}:");
        for mean in std::mem::take(&mut self.means) {
            let value = mean.sum / mean.count;
            line.push_str(&format!(" {} {value:.4}", mean.name));
            self.curves.push(&format!("train_{}", mean.name), step, value);
        }
        let waiting = self.waited / self.reported.elapsed().as_secs_f64().max(1e-9);
        self.curves.push("waiting_share", step, waiting);
        let seconds = self.before.1 + self.began.elapsed().as_secs_f64();
        self.curves.push("seconds", step, seconds);
        if self.due(self.schedule.validate_every) {
            for (name, value) in
                caught(|| learner.validate()).with_context(|| self.failure_at_step("validation failed"))?
            {
                ensure!(value.is_finite(), self.failure_at_step(&format!("validation's `{name}` became {value}")));
                line.push_str(&format!(", validation {name} {value:.4}"));
                self.curves.push(&format!("validation_{name}"), step, value);
            }
        }
        if self.due(self.schedule.checkpoint_every) {
            self.save(learner)?;
            if let Some(rate) = (self.run.score)(self.run.out)? {
                line.push_str(&format!(", success {rate:.2}"));
                self.curves.push("success", step, rate);
            }
        }
        self.write_curves()?;
        line.push_str(&format!(", {seconds:.0} s, {:.0} % of the time waiting for data", 100.0 * waiting));
        self.bar.suspend(|| (self.run.tell)(&line));
        (self.reported, self.waited) = (Instant::now(), 0.0);
        Ok(())
    }

    fn save_unless_saved<L: Learner>(&mut self, learner: &L) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        if self.step == self.saved.unwrap_or(0) { Ok(()) } else { self.save(learner) }
    }

    /// Saves the learner's files, then the state. Checks that all values are finite before anything is written; a run that is
    /// cut off in between repeats the last steps.
    fn save<L: Learner>(&mut self, learner: &L) -> anyhow::Result<()> {
        let mut state = learner.state()?;
        state.push((format!("{OWN}step"), Tensor::f_from_slice(&[self.step as i64])?));
        for mean in &self.means {
            state.push((format!("{OWN}mean.{}", mean.name), Tensor::f_from_slice(&[mean.sum, mean.count])?));
        }
        let bytes = encode(&self.state_file, &self.algorithm, &state)
            .with_context(|| self.failure_at_step("the state cannot be saved"))?;
        drop(state);
        let kept = self.failure_at_step("the learner's files cannot be saved");
        learner.save(self.run.out).with_context(|| kept.clone())?;
        self.write_curves()?;
        let mut record = self.record.clone();
        record["command"] = self.run.command.clone().into();
        record["gradient_steps"] = self.step.into();
        let record_file = self.run.out.join("record.json");
        // The state last: it marks the step as taken.
        write_files(&[(record_file, serde_json::to_vec_pretty(&record)?), (self.state_file.clone(), bytes)])
            .with_context(|| kept)?;
        self.saved = Some(self.step);
        Ok(())
    }

    fn write_curves(&self) -> anyhow::Result<()> {
        let names: Vec<&str> =
            self.curves.series.keys().map(String::as_str).filter(|name| *name != "seconds").collect();
        let chart = curves_svg(&self.curves, &names);
        let file = |name: &str| self.run.out.join(name);
        write_files(&[
            (file("curves.json"), serde_json::to_vec_pretty(&self.curves)?),
            (file("curves.svg"), chart.into_bytes()),
        ])
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
