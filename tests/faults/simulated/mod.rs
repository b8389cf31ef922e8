//! Rows in simulated time: cameras, policies, clocks and disks that misbehave, over the real loops and a point-mass arm, with
//! a manual clock. The same every time, and fast enough for every test run.
//!
//! A row is `fault.rs` (the fault and the protections against it), `arm.rs`, `camera.rs`, `policy.rs`, `record.rs` (the parts,
//! which misbehave on cue) and `judge.rs`.

mod arm;
mod camera;
mod fault;
mod judge;
mod policy;
mod record;

use visuomotor::action::ControlMode;
use visuomotor::runtime::{EpisodeReport, EpisodeRequest, StopFlag, Timing, run_episode};
use visuomotor::time::{Clock, ManualClock};

use arm::PlantArm;
use camera::Camera15;
pub use fault::Fault;
use judge::{Row, judge};
use policy::Policy;
use record::{Record, Terminal};

use super::drive::{Never, start, station};
use super::finding::{Finding, names};
use super::link::Link;

/// Length of a row \[s\].
const LENGTH: f64 = 6.0;

/// The protections switched off in a control of this row.
pub fn without(fault: Fault) -> String {
    names(fault.protections())
}

/// Runs one row; with `control`, a build with the feature `fault-controls` reads the protections that are off from its
/// environment.
pub fn run(fault: Fault, mode: ControlMode, control: bool) -> Finding {
    let mut finding = Finding::new(fault.words(), "simulated", mode, fault.detection());
    finding.skipped = fault.left_out(mode).map(String::from);
    if finding.skipped.is_some() {
        return finding;
    }
    if control {
        finding.without = Some(without(fault));
    }
    if let Err(error) = measure(fault, mode, &mut finding) {
        finding.why = format!("{error:#}");
    }
    finding
}

fn measure(fault: Fault, mode: ControlMode, finding: &mut Finding) -> anyhow::Result<()> {
    // The arm whose description has limits in every mode.
    let link = Link::Sawyer;
    let robot = link.robot();
    let (arm, story) = PlantArm::new(&robot, mode, fault);
    // It lives as long as the process: the terminal's writer is passed around.
    let clock: &'static ManualClock = Box::leak(Box::new(ManualClock::new()));
    let mut station = station(link, mode, Box::new(arm))?;
    station.cameras = vec![(Box::new(Camera15::new(fault)), 0.3)];
    let mut record = Record::new(fault);
    let terminal = Terminal::new(clock);
    let shown = tracing_subscriber::fmt()
        .with_writer(terminal.clone())
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .without_time()
        .with_level(false)
        .with_target(false)
        .finish();
    let report = tracing::subscriber::with_default(shown, || {
        run_episode(
            &mut station,
            EpisodeRequest {
                start: start(link),
                seconds: LENGTH,
                source: &mut Policy::new(fault, clock),
                sinks: vec![&mut record],
                judge: &mut Never,
                stop: &StopFlag::new(),
            },
            Timing::Lockstep { clock, stopwatch: &ManualClock::new() },
        )
    });
    // The loops are over: the arm continues with its last command.
    let mut now = clock.now();
    for _ in 0..150 {
        now = now + station.control_period;
        // Its errors no longer matter.
        let _ = station.arm.read(now);
    }
    let story = story.lock().expect("nothing panics with it").clone();
    let lines = terminal.lines();
    finding.seen.extend(lines.iter().map(|(_, line)| line.clone()));
    let ended = report.fault.as_ref().map(ToString::to_string);
    finding.seen.extend(ended.clone());
    finding.kept = kept(&record, &report);
    let row = Row {
        fault,
        mode,
        robot: &robot,
        chain: &station.chain,
        story: &story,
        ticks: &record.ticks,
        ended,
        lines: &lines,
    };
    judge(&row, finding);
    if finding.green && fault.is_none_of_the_arms() {
        finding.judged.push_str(", work");
        finding.why = unfinished(&report).unwrap_or_default();
        finding.green = finding.why.is_empty();
    }
    Ok(())
}

/// Why the work of an arm that should continue unaffected is incomplete.
fn unfinished(report: &EpisodeReport) -> Option<String> {
    if report.stopped > 0 {
        return Some(format!("the arm held {} times", report.stopped));
    }
    (report.seconds < LENGTH - 0.1).then(|| format!("the arm's work ended after {:.1} s", report.seconds))
}

/// Contents of the record, in words.
fn kept(record: &Record, report: &EpisodeReport) -> String {
    let end = if record.ended { "and how it ended" } else { "not how it ended" };
    format!(
        "{} of {} steps, {} of {} ticks, {end}",
        record.steps,
        report.steps,
        record.ticks.len(),
        report.control_ticks
    )
}
