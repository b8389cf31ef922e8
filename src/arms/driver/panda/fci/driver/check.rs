//! Is the link fit to move the arm? A communication test in which the arm stays where it is.
//!
//! It reads states, requests a setting a few times (round trips over TCP), then holds the pose for a moment over the real 1 kHz
//! exchange, which is the only way to get the robot's own success rate.

use std::sync::Arc;
use std::time::Duration;

use super::report::{names, obstacle, text};
use super::settings::{FciSettings, Model};
use super::{FciArm, Phase};
use crate::driver::panda::limits::{SUCCESS_DOUBTFUL, SUCCESS_UNFIT};
use crate::driver::{ArmDriver, CheckReport, ConnectError, Finding, Grade};
use visuomotor_core::action::ControlMode;
use visuomotor_core::time::Clock;

/// Duration of reading states, and then of holding the pose \[s\].
const SECONDS: f64 = 2.0;

/// Share of missing states above which the operator should know.
const STATES_DOUBTFUL: f64 = 0.99;

/// Runs the test. The robot may be in any mode; holding is skipped where it cannot move.
pub fn check(
    address: &str,
    model: Model,
    settings: FciSettings,
    clock: Arc<dyn Clock>,
) -> Result<CheckReport, ConnectError> {
    let mut report = CheckReport {
        robot: model.robot().into(),
        driver: "fci".into(),
        link: address.into(),
        round_trips: Vec::new(),
        rate_hz: None,
        findings: Vec::new(),
    };
    let begun = clock.now();
    let mut arm = FciArm::connect(address, model, settings, Arc::clone(&clock))?;
    report.round_trips.push(clock.now().since(begun).as_secs_f64());
    let version = format!("{} ({model})", model.version());
    report.findings.push(Finding::good("control interface", version.clone(), version));
    scheduling_findings(&arm, &mut report);

    let first = arm.health();
    std::thread::sleep(Duration::from_secs_f64(SECONDS));
    let last = arm.health();
    let came = last.count.saturating_sub(first.count);
    let passed = last.robot_ms.saturating_sub(first.robot_ms).max(1);
    let seconds = last.received_at.since(first.received_at).as_secs_f64();
    report.rate_hz = (seconds > 0.0).then(|| came as f64 / seconds);
    let share = came as f64 / passed as f64;
    let found = format!("{:.1} % of {passed}", 100.0 * share);
    let grade = if share >= STATES_DOUBTFUL { Grade::Good } else { Grade::Doubtful };
    report.findings.push(
        Finding::good("states that came", found, format!("at least {} %", 100.0 * STATES_DOUBTFUL))
            .graded(grade, "use a cable straight to the control box, and another network card for cameras"),
    );
    match obstacle(last.mode, last.errors) {
        None => report.findings.push(Finding::good("robot mode", last.mode.to_string(), "idle")),
        Some(fault) => {
            let finding = Finding::good("robot mode", last.mode.to_string(), "idle").graded(Grade::Bad, text(fault));
            report.findings.push(finding);
            return Ok(report);
        }
    }
    if last.errors != 0 {
        let finding = Finding::good("errors", names(last.errors), "none").graded(Grade::Bad, "recover the robot");
        report.findings.push(finding);
    }
    hold_findings(&mut arm, &*clock, &mut report);
    Ok(report)
}

fn scheduling_findings(arm: &FciArm, report: &mut CheckReport) {
    let scheduling = arm.scheduling();
    let found = match scheduling.priority {
        Some(priority) => format!("SCHED_FIFO {priority}"),
        None => "like any other".into(),
    };
    let refused = scheduling.granted.iter().filter(|one| !one.granted).map(ToString::to_string);
    let (grade, fix) = match scheduling.priority {
        Some(_) => (Grade::Good, String::new()),
        None => (Grade::Doubtful, refused.collect::<Vec<_>>().join("; ")),
    };
    report.findings.push(Finding::good("scheduling of the FCI thread", found, "SCHED_FIFO").graded(grade, fix));
    let kernel = franka::realtime::has_realtime_kernel();
    let found = if kernel { "real-time" } else { "not real-time" };
    let grade = if kernel { Grade::Good } else { Grade::Doubtful };
    report
        .findings
        .push(Finding::good("kernel", found, "real-time").graded(grade, "Franka asks for a PREEMPT_RT kernel"));
}

/// Holds the pose and evaluates the robot's reports on our commands.
fn hold_findings(arm: &mut FciArm, clock: &dyn Clock, report: &mut CheckReport) {
    if let Err(error) = arm.activate(clock.now(), ControlMode::Position) {
        let finding =
            Finding::good("holding the pose", error.to_string(), "active").graded(Grade::Bad, arm.last_error_text());
        report.findings.push(finding);
        return;
    }
    let mut cycles = Vec::new();
    let until = clock.now() + Duration::from_secs_f64(SECONDS);
    while clock.now() < until && matches!(arm.health().phase, Phase::Moving(_)) {
        std::thread::sleep(Duration::from_millis(10));
        while let Some(cycle) = arm.next_cycle() {
            cycles.push(cycle);
        }
    }
    let health = arm.health();
    if !matches!(health.phase, Phase::Moving(_)) {
        let finding =
            Finding::good("holding the pose", arm.last_error_text(), "active").graded(Grade::Bad, "recover the robot");
        report.findings.push(finding);
        return;
    }
    let worst = cycles.iter().skip(100).map(|cycle| cycle.success_rate).fold(f64::INFINITY, f64::min);
    let (grade, fix) = match worst {
        rate if rate >= SUCCESS_DOUBTFUL => (Grade::Good, ""),
        rate if rate >= SUCCESS_UNFIT => (Grade::Doubtful, "torque control will feel rough: look at the network"),
        _ => (Grade::Bad, "do not move the arm over this link: look at network, kernel and other programs"),
    };
    let expected = format!("at least {SUCCESS_DOUBTFUL}");
    report.findings.push(Finding::good("lowest success rate", format!("{worst:.2}"), expected).graded(grade, fix));
    let mut turnarounds: Vec<u32> = cycles.iter().map(|cycle| cycle.turnaround).collect();
    let mut intervals: Vec<u32> = cycles.iter().skip(1).map(|cycle| cycle.interval).collect();
    let late = percentile(&mut turnarounds, 0.99) / 1000.0;
    let grade = if late <= 300.0 { Grade::Good } else { Grade::Doubtful };
    report.findings.push(
        Finding::good("time to reply, 99th percentile", format!("{late:.0} us"), "at most 300 us")
            .graded(grade, "take load off this computer"),
    );
    let interval = percentile(&mut intervals, 0.99) / 1e6;
    let grade = if interval <= 2.0 { Grade::Good } else { Grade::Doubtful };
    report.findings.push(
        Finding::good("time between states, 99th percentile", format!("{interval:.2} ms"), "at most 2 ms")
            .graded(grade, "take load off this computer, or look at the network"),
    );
}

/// A percentile; 0 of nothing.
fn percentile(values: &mut [u32], share: f64) -> f64 {
    values.sort_unstable();
    let index = (share * values.len() as f64) as usize;
    values.get(index.min(values.len().saturating_sub(1))).map_or(0.0, |value| f64::from(*value))
}
