//! Trials are neither repeated nor lost, whenever the program was killed.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;

use super::fixture::{Scripted, options, scene, tasks};
use visuomotor::episode::{Outcome, OutcomeKind};
use visuomotor::evaluation::journal::JOURNAL_FILE;
use visuomotor::evaluation::{
    EvaluationOptions, Journal, JournalError, JournalHeader, Progress, Report, Scenario, TrialPlan, evaluate, plans,
};

fn one_task() -> Vec<TrialPlan> {
    plans(&scene(), Scenario::Plain, &tasks()[..1], 7).unwrap()
}

fn run(options: &EvaluationOptions, plans: &[TrialPlan], runner: &mut Scripted) -> anyhow::Result<Report> {
    evaluate(options, &scene(), plans, runner, &mut |_| {}, &|| false)
}

#[test]
fn killed_after_trial_7_it_resumes_to_twelve_different_trials() {
    let folder = tempfile::tempdir().unwrap();
    let (options, plans) = (options(folder.path()), one_task());
    let mut first = Scripted { fails_after: 7, ..Scripted::new() };
    let error = format!("{:#}", run(&options, &plans, &mut first).unwrap_err());
    assert!(error.contains("the arm is silent") && error.contains("croissant_out_of_bowl-08"), "{error}");
    let so_far: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("report.json")).unwrap()).unwrap();
    assert_eq!(so_far["total"]["trials"], 7, "results so far are on disk");
    assert_eq!(so_far["complete"], false);

    let mut second = Scripted::new();
    let mut resumed = Vec::new();
    let report = evaluate(
        &options,
        &scene(),
        &plans,
        &mut second,
        &mut |progress| {
            if let Progress::Resumed { done, planned, dropped_bytes } = progress {
                resumed.push((done, planned, dropped_bytes));
            }
        },
        &|| false,
    )
    .unwrap();
    assert_eq!(resumed, [(7, 12, 0)]);
    assert_eq!((first.ran.len(), second.ran.len()), (7, 5));
    let different: BTreeSet<_> = first.ran.iter().chain(&second.ran).collect();
    assert_eq!(different.len(), 12);
    assert!(report.complete && report.total.trials == 12);

    let mut third = Scripted::new();
    assert_eq!(
        run(&options, &plans, &mut third).unwrap(),
        report,
        "a finished evaluation only writes its report again"
    );
    assert!(third.ran.is_empty());
}

#[test]
fn stopping_between_trials_keeps_what_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let (options, plans) = (options(folder.path()), one_task());
    let asked = Cell::new(0);
    let stop = || asked.replace(asked.get() + 1) >= 3;
    let report = evaluate(&options, &scene(), &plans, &mut Scripted::new(), &mut |_| {}, &stop).unwrap();
    assert_eq!((report.total.trials, report.complete), (3, false));
    assert!(folder.path().join("report.html").is_file());
}

#[test]
fn an_aborted_trial_does_not_count_and_runs_again_on_resume() {
    let folder = tempfile::tempdir().unwrap();
    let (options, plans) = (options(folder.path()), one_task());
    let aborts = |plan: &TrialPlan| match plan.trial {
        5 => Outcome::Aborted { judge: "operator".into(), why: "stopped".into() },
        _ => Outcome::Success { judge: "success_rule".into() },
    };
    let report = run(&options, &plans, &mut Scripted { outcome: aborts, ..Scripted::new() }).unwrap();
    assert_eq!((report.total.successes, report.total.trials, report.total.aborted), (11, 11, 1));
    assert!(!report.complete);
    let mut again = Scripted::new();
    let report = run(&options, &plans, &mut again).unwrap();
    assert_eq!(again.ran, ["croissant_out_of_bowl-05-attempt-2"]);
    assert_eq!((report.total.trials, report.total.aborted, report.complete), (12, 1, true));
    assert_eq!(report.trials.len(), 13, "both attempts are recorded");
}

#[test]
fn a_journal_cut_at_any_byte_holds_its_longest_valid_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let plans = one_task();
    // Without images and curves, so that every byte can be tried.
    let header = JournalHeader::new(Scenario::Plain, 7, "vptr", &options.settings_digest, "", "layout");
    let mut journal = Journal::open(folder.path(), &header).unwrap();
    let record = |plan: &TrialPlan| visuomotor::evaluation::TrialRecord {
        plan: plan.clone(),
        attempt: 1,
        outcome: OutcomeKind::Success,
        judge: "success_rule".into(),
        why: String::new(),
        seconds: 12.5,
        steps: 62,
        episode: "a.mcap".into(),
        goal_distances: vec![1.5],
        distance_times: vec![0.2],
        state_value: Vec::new(),
        latency: Default::default(),
        deadline_misses: 0,
        pictures: Vec::new(),
        missing: Vec::new(),
    };
    for plan in &plans[..2] {
        journal.append(record(plan)).unwrap();
    }
    drop(journal);
    let file = folder.path().join(JOURNAL_FILE);
    let whole = fs::read(&file).unwrap();
    for length in 0..=whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        let lines = whole[..length].iter().filter(|&&byte| byte == b'\n').count();
        let mut journal = Journal::open(folder.path(), &header).unwrap();
        let done = lines.saturating_sub(1);
        assert_eq!(journal.records().len(), done, "cut at byte {length}");
        assert_eq!(journal.remaining(&plans).len(), 12 - done);
        assert_eq!(journal.dropped_bytes() == 0, length == 0 || whole[length - 1] == b'\n', "cut at byte {length}");
        journal.append(record(&plans[done])).unwrap();
        drop(journal);
        assert_eq!(Journal::open(folder.path(), &header).unwrap().records().len(), done + 1, "cut at byte {length}");
    }
}

#[test]
fn other_settings_weights_seed_scenario_policy_or_layout_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    run(&options, &one_task(), &mut Scripted { fails_after: 2, ..Scripted::new() }).unwrap_err();
    let refused = |options: &EvaluationOptions, plans: &[TrialPlan], word: &str| {
        let mut runner = Scripted::new();
        let error = run(options, plans, &mut runner).unwrap_err();
        let typed = error.downcast_ref::<JournalError>().unwrap_or_else(|| panic!("{word}: {error:#}"));
        assert!(matches!(typed, JournalError::Different { what, .. } if *what == word), "{typed}");
        assert!(typed.to_string().contains("--out"), "the fix is named: {typed}");
        assert!(runner.ran.is_empty());
    };
    let other = || options.clone();
    refused(&EvaluationOptions { settings_digest: "other".into(), ..other() }, &one_task(), "settings digest");
    refused(&EvaluationOptions { weights_digest: "other".into(), ..other() }, &one_task(), "weights digest");
    refused(&EvaluationOptions { seed: 8, ..other() }, &one_task(), "seed");
    refused(&EvaluationOptions { policy: "random".into(), ..other() }, &one_task(), "policy");
    let distracted = plans(&scene(), Scenario::Distractors, &tasks()[..1], 7).unwrap();
    refused(&EvaluationOptions { scenario: Scenario::Distractors, ..other() }, &distracted, "scenario");
    refused(&options, &plans(&scene(), Scenario::Plain, &tasks(), 7).unwrap(), "layout digest");
}

#[test]
fn a_damaged_line_in_the_middle_is_refused_and_the_file_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    run(&options, &one_task(), &mut Scripted { fails_after: 3, ..Scripted::new() }).unwrap_err();
    let file = folder.path().join(JOURNAL_FILE);
    let mut lines: Vec<String> = fs::read_to_string(&file).unwrap().lines().map(String::from).collect();
    lines[2] = lines[2][..40].into();
    let damaged = lines.join("\n") + "\n";
    fs::write(&file, &damaged).unwrap();
    let error = run(&options, &one_task(), &mut Scripted::new()).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(JournalError::Damaged { line: 3, .. })), "{error:#}");
    assert_eq!(fs::read_to_string(&file).unwrap(), damaged);
}

#[test]
fn two_programs_cannot_write_one_journal() {
    let folder = tempfile::tempdir().unwrap();
    let header = JournalHeader::new(Scenario::Plain, 7, "vptr", "", "", "");
    let _first = Journal::open(folder.path(), &header).unwrap();
    assert!(matches!(Journal::open(folder.path(), &header), Err(JournalError::InUse { .. })));
}
