//! The disk becomes full during an evaluation: the trials continue, and the report names what is missing.
//!
//! The full disk is a limit of file sizes, which applies to a whole process: each test runs in its own child process.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::fixture::{Scripted, options, scene, tasks};
use visuomotor::evaluation::journal::JOURNAL_FILE;
use visuomotor::evaluation::{
    Progress, Report, Scenario, TrialPlan, TrialRecord, TrialRun, TrialRunner, evaluate, plans,
};

/// The child's working folder.
const FOLDER: &str = "FULL_DISK_FOLDER";

/// Runs `act` in a child process; `name` is the test that calls.
fn in_a_child(name: &str, act: impl FnOnce(&Path)) {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return act(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("evaluation::full_disk::{name}"), "--nocapture"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&child.stderr));
}

/// No file may be longer than this from now on.
fn limit(bytes: u64) {
    visuomotor::recording::survive_file_size_limit();
    // SAFETY: plain calls with values that live during them.
    unsafe {
        let mut now = std::mem::zeroed::<libc::rlimit>();
        assert_eq!(libc::getrlimit(libc::RLIMIT_FSIZE, &mut now), 0);
        now.rlim_cur = bytes.min(now.rlim_max);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &now), 0);
    }
}

/// A runner whose disk is full during some trials.
struct FullDisk {
    runner: Scripted,
    full: std::ops::Range<usize>,
}

impl TrialRunner for FullDisk {
    fn run(&mut self, plan: &TrialPlan, episode_name: &str) -> anyhow::Result<Option<TrialRun>> {
        let number = self.runner.ran.len();
        limit(if self.full.contains(&number) { 100 } else { u64::MAX });
        self.runner.run(plan, episode_name)
    }
}

/// What was reported: trials ended, most trials that waited, lines that could not be written.
#[derive(Default)]
struct Heard {
    ended: usize,
    waited: usize,
    unwritten: Vec<TrialRecord>,
}

fn run(folder: &Path, full: std::ops::Range<usize>) -> (Report, Heard) {
    let plans = plans(&scene(), Scenario::Plain, &tasks()[..1], 7).unwrap();
    let mut heard = Heard::default();
    let mut runner = FullDisk { runner: Scripted::new(), full };
    let mut progress = |told: Progress<'_>| match told {
        Progress::Ended { .. } => heard.ended += 1,
        Progress::Waiting { trials, why } => {
            assert!(why.to_string().contains("File too large"), "{why}");
            heard.waited = heard.waited.max(trials);
        }
        Progress::Unwritten { lines, .. } => {
            heard.unwritten = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        }
        _ => {}
    };
    let report = evaluate(&options(folder), &scene(), &plans, &mut runner, &mut progress, &|| false).unwrap();
    limit(u64::MAX);
    (report, heard)
}

#[test]
fn results_wait_while_the_disk_is_full_and_are_written_in_order_when_there_is_room() {
    in_a_child("results_wait_while_the_disk_is_full_and_are_written_in_order_when_there_is_room", |folder| {
        let (report, heard) = run(folder, 3..7);
        assert_eq!((heard.ended, heard.waited, heard.unwritten.len()), (12, 4, 0));
        assert!(report.complete && report.total.trials == 12);
        // The images of the four trials are lost, and the report on disk says so.
        assert_eq!(report.missing.len(), 4, "{:?}", report.missing);
        assert!(report.missing.iter().all(|line| line.contains("images") && line.contains("File too large")));
        let text = fs::read_to_string(folder.join("report.json")).unwrap();
        let on_disk: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(on_disk, report);
        assert!(fs::read_to_string(folder.join("report.html")).unwrap().contains("missing in the record"));
        assert!(report.table().contains("missing in the record (4)"), "{}", report.table());
        let journal = fs::read_to_string(folder.join(JOURNAL_FILE)).unwrap();
        let lines: Vec<TrialRecord> = journal.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
        let trials: Vec<u32> = lines.iter().map(|record| record.plan.trial).collect();
        assert_eq!(trials, report.trials.iter().map(|row| row.trial).collect::<Vec<_>>(), "in the order they were run");
        assert_eq!(lines.iter().filter(|record| !record.missing.is_empty()).count(), 4);
        assert!(lines.iter().filter(|record| record.missing.is_empty()).all(|record| record.pictures.len() == 8));
        // No partial images or reports are left behind.
        assert!(!folder.join("report.html.partial").exists());
    });
}

#[test]
fn results_that_can_never_be_written_are_told_line_by_line() {
    in_a_child("results_that_can_never_be_written_are_told_line_by_line", |folder| {
        let (report, heard) = run(folder, 9..99);
        assert_eq!((heard.ended, heard.waited, heard.unwritten.len()), (12, 3, 3));
        assert!(report.complete, "all twelve were run");
        let words = report.missing.join("\n");
        assert!(words.contains("3 trials in the journal") && words.contains("this report"), "{words}");
        // Appended by hand they count as written: the evaluation is complete, and only its report is written again.
        let mut journal = fs::read_to_string(folder.join(JOURNAL_FILE)).unwrap();
        assert_eq!(journal.lines().count(), 1 + 9);
        for record in &heard.unwritten {
            journal.push_str(&(serde_json::to_string(record).unwrap() + "\n"));
        }
        fs::write(folder.join(JOURNAL_FILE), journal).unwrap();
        let (again, heard) = run(folder, 99..99);
        assert_eq!((again.total, heard.ended), (report.total, 0));
    });
}

#[test]
fn a_disk_that_is_full_before_the_first_trial_is_refused() {
    in_a_child("a_disk_that_is_full_before_the_first_trial_is_refused", |folder| {
        limit(100);
        let plans = plans(&scene(), Scenario::Plain, &tasks()[..1], 7).unwrap();
        let mut runner = Scripted::new();
        let error = evaluate(&options(folder), &scene(), &plans, &mut runner, &mut |_| {}, &|| false).unwrap_err();
        limit(u64::MAX);
        assert!(format!("{error:#}").contains("journal.jsonl"), "{error:#}");
        assert!(runner.ran.is_empty());
    });
}
