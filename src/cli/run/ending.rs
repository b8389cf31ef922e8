//! Summary of a finished run, as text.

use std::fmt;
use std::path::PathBuf;

use super::difference::Differences;
use super::start_up::StartUp;
use super::tally::Tally;
use crate::cli::exit;
use crate::episode::Outcome;
use crate::recording::RecorderState;
use crate::runtime::{EpisodeReport, RuntimeError, Series};
use crate::teleop::Handovers;

/// Judge of a run whose time is up.
pub const CLOCK: &str = "clock";

/// A finished run.
pub struct Ended {
    /// The runtime's report.
    pub report: EpisodeReport,
    /// Counts of the safety filter's interventions.
    pub tally: Tally,
    /// Handovers between policy and operator.
    pub handovers: Handovers,
    /// Actions of a shadow run compared with the recorded ones.
    pub differences: Option<Differences>,
    /// The recording's file and state.
    pub recorded: Option<(PathBuf, RecorderState)>,
    /// Did a rule judge it?
    pub judged: bool,
    /// Was nothing commanded?
    pub dry_run: bool,
    /// Time to the first command; `None` in lockstep.
    pub start: Option<StartUp>,
}

impl Ended {
    /// 0: ran to its end; 1: stopped, or judged a failure; 3: fault of arm, camera, link or program.
    pub fn exit_code(&self) -> u8 {
        match (&self.report.fault, &self.report.outcome) {
            // A failed recording is not a fault of the arm; it is reported separately.
            (Some(RuntimeError::Sink(_)), _) => 1,
            (Some(_), _) => exit::FAULT,
            (None, Outcome::Success { .. }) => 0,
            (None, Outcome::Failure { judge, .. }) if !self.judged && judge == CLOCK => 0,
            (None, Outcome::Failure { .. } | Outcome::Aborted { .. }) => 1,
        }
    }
}

/// Counts by reason, the most frequent first.
fn counts(counts: &std::collections::BTreeMap<String, u64>) -> String {
    let mut rows: Vec<(&String, &u64)> = counts.iter().collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    if rows.is_empty() {
        return "none".into();
    }
    rows.iter().map(|(reason, count)| format!("{reason} {count}")).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.report;
        let ms = |series: Series| {
            let histogram = report.ledger.histogram(series);
            let at = |share: f64| histogram.value_at_quantile(share) as f64 * 1e-6;
            format!("{:.1} / {:.1} / {:.1} ms", at(0.5), at(0.99), histogram.max() as f64 * 1e-6)
        };
        let sent = if self.dry_run { "wished, none sent" } else { "sent" };
        if let Some(start) = &self.start {
            writeln!(f, "start-up   {start} to the first command")?;
        }
        writeln!(
            f,
            "decisions  {} in {:.1} s, {} discarded as too late",
            report.steps, report.seconds, report.discarded
        )?;
        writeln!(f, "deciding   {} (p50 / p99 / max)", ms(Series::Decision))?;
        writeln!(f, "image age  {} when a command was {sent}", ms(Series::ImageAge))?;
        writeln!(
            f,
            "commands   {} ticks, {} control and {} decision deadlines missed",
            report.control_ticks, report.deadline_misses.control, report.deadline_misses.decision
        )?;
        writeln!(f, "limited    {}", counts(&self.tally.limited))?;
        write!(
            f,
            "held       {}; {} times, {} times resumed",
            counts(&self.tally.held),
            report.stopped,
            report.resumed
        )?;
        if !self.handovers.is_none() {
            write!(f, "\nhands      {}", self.handovers)?;
        }
        if let Some(differences) = &self.differences {
            write!(f, "\n{differences}")?;
        }
        for fault in &report.camera_faults {
            write!(f, "\ncamera     {fault}")?;
        }
        if let Some((path, state)) = &self.recorded {
            write!(f, "\nrecorded   {}: {} steps", path.display(), state.steps)?;
            if state.dropped > 0 {
                write!(f, ", {} left out", state.dropped)?;
            }
            if let Some(trouble) = &state.trouble {
                write!(f, "; {trouble}")?;
            }
        }
        let lost = self.recorded.as_ref().is_some_and(|(_, state)| state.trouble.is_some());
        match &report.fault {
            // Already reported with the recording.
            Some(RuntimeError::Sink(_)) if lost => {}
            Some(fault) => write!(f, "\nfault      {fault}")?,
            None => {}
        }
        Ok(())
    }
}
