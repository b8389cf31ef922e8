//! `visuomotor check`: checks the link to an arm before anything moves.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use super::link::{self, ArmArguments};
use super::realtime;
use crate::driver::{CheckReport, Finding, Grade};
use crate::time::SystemClock;

/// Arguments of `visuomotor check`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  visuomotor check --robot widowx --driver dynamixel\n  visuomotor check --robot panda --driver fci --address 172.16.0.2 --out results/check.json\n  visuomotor check --robot jaco_j2s7s300 --driver ros2\n\nNothing moves and torque stays as it is. Exit code 0: fit, perhaps with remarks; 1: not fit; 2: a wrong arm, driver or setting; 3: no reply from the arm."
)]
pub struct CheckArguments {
    /// The arm and its address
    #[command(flatten)]
    pub arm: ArmArguments,
    /// List the good checks too
    #[arg(long)]
    pub all: bool,
    /// Also write the report as JSON
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// Runs the command.
pub fn check(arguments: &CheckArguments) -> anyhow::Result<u8> {
    let (launch, robot) = arguments.arm.load()?;
    let mut report = link::check(&launch, &robot, &Arc::new(SystemClock::new()))?;
    report.findings.extend(realtime::findings(&launch));
    say!("{}", table(&report, arguments.all));
    if let Some(file) = &arguments.out {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(file, json).with_context(|| file.display().to_string())?;
        say!("report: {}", file.display());
    }
    Ok(u8::from(report.verdict() == Grade::Bad))
}

/// The report as text lines; `all` includes the good checks.
fn table(report: &CheckReport, all: bool) -> String {
    let mut lines = vec![format!("{} over {} ({})", report.robot, report.driver, report.link)];
    let mut times = report.round_trips.clone();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize] * 1e3;
    if !times.is_empty() {
        let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
        lines.push(format!("round trip {p50:.2} / {p99:.2} / {max:.2} ms (p50 / p99 / max of {})", times.len()));
    }
    if let Some(rate) = report.rate_hz {
        lines.push(format!("rate {rate:.1} Hz"));
    }
    let listed: Vec<&Finding> = report.findings.iter().filter(|one| all || one.grade != Grade::Good).collect();
    let width = listed.iter().map(|finding| finding.what.len()).max().unwrap_or(0);
    for finding in &listed {
        let mark = match finding.grade {
            Grade::Good => "ok ",
            Grade::Doubtful => "?  ",
            Grade::Bad => "BAD",
        };
        let mut line = format!("{mark} {:width$}  {}  (expected {})", finding.what, finding.found, finding.expected);
        if !finding.fix.is_empty() {
            line.push_str(&format!("; {}", finding.fix));
        }
        lines.push(line);
    }
    let good = report.findings.iter().filter(|one| one.grade == Grade::Good).count();
    lines.push(format!(
        "{good} of {} checks are good{}",
        report.findings.len(),
        if all { "" } else { " (--all lists them)" }
    ));
    lines.push(match report.verdict() {
        Grade::Good => "fit to move".into(),
        Grade::Doubtful => "fit to move, with remarks".into(),
        Grade::Bad => "NOT fit to move".into(),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_ends_in_the_verdict_and_names_the_fix() {
        let bad = Finding::good("latency timer", "16 ms", "1 ms").graded(Grade::Bad, "install the udev rule");
        let report = CheckReport {
            robot: "widowx".into(),
            driver: "dynamixel".into(),
            link: "/dev/ttyDXL".into(),
            round_trips: vec![0.003, 0.001, 0.002],
            rate_hz: Some(200.0),
            findings: vec![Finding::good("servo 1", "XM430-W350", "XM430-W350"), bad],
        };
        let text = table(&report, false);
        assert!(!text.contains("servo 1") && table(&report, true).contains("servo 1"), "{text}");
        assert!(text.contains("1 of 2 checks are good"), "{text}");
        assert!(text.contains("2.00 / 3.00 / 3.00 ms"), "{text}");
        assert!(text.contains("BAD latency timer") && text.contains("install the udev rule"), "{text}");
        assert!(text.ends_with("NOT fit to move"), "{text}");
    }
}
