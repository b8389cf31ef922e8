//! Policies that fail once the arm moves: earlier decisions are recorded completely, the arm holds, and one message says why.
//! A chunk that jumps is limited to the arm's limits per tick.

use std::path::Path;
use std::process::Output;

use visuomotor::action::ControlMode;
use visuomotor::config::Robot;
use visuomotor::episode::{Filtered, LimitReason, Outcome};
use visuomotor::recording::{ReadOptions, RecordedEpisode, RecordedStep, read_episode_with};

use super::LAUNCH;
use crate::program::{Project, root};

/// Decisions before the modules of `tests/golden/make_brought.py` go wrong: one call of five tries the module out.
const GOOD: usize = 4;

/// A project with a policy folder `mine` around this module.
fn with_policy(module: &str, more: &[&str]) -> Project {
    let project = Project::new();
    let module = root().join("tests/golden/brought").join(module).display().to_string();
    let new = ["policy", "new", &module, "--robot", "widowx", "--rate", "5", "--input", "state", "--out", "mine"];
    let made = project.call(&[&new[..], &["--actions", "pose-change"], more].concat());
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    project
}

fn run(project: &Project, seconds: &str) -> Output {
    let _processor = super::processor();
    let run = ["run", LAUNCH, "--task", "cucumber_in_pot", "--policy", "mine", "--record", "runs"];
    project.call(&[&run[..], &["--seconds", seconds]].concat())
}

fn recorded(project: &Project) -> RecordedEpisode {
    let options = ReadOptions { control_ticks: true, ..ReadOptions::default() };
    let file: &Path = &project.path("runs/cucumber_in_pot-0000.mcap");
    read_episode_with(file, options).unwrap()
}

/// The run ended for this reason, in one message, and its recording is complete.
fn ends_with(output: &Output, recorded: &RecordedEpisode, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let faults: Vec<&str> = said.lines().filter(|line| line.starts_with("fault ")).collect();
    assert_eq!(faults.len(), 1, "{said}");
    assert!(words.iter().all(|word| faults[0].contains(word)), "{said}");
    assert!(recorded.complete, "{said}");
    assert_eq!(recorded.steps.len(), GOOD, "{said}");
    let end = recorded.end.as_ref().unwrap();
    let Outcome::Aborted { why, .. } = &end.outcome else { panic!("{:?}", end.outcome) };
    assert!(words.iter().all(|word| why.contains(word)), "{why}");
}

#[test]
fn a_policy_that_returns_nan_ends_in_a_hold_and_nothing_recorded_is_lost() {
    let project = with_policy("nan_later.pt", &[]);
    let output = run(&project, "3");
    let recorded = recorded(&project);
    ends_with(&output, &recorded, &["not finite", "the arm holds"]);
    assert!(recorded.ticks.iter().all(|tick| tick.sent.joints().iter().all(|joint| joint.is_finite())));
}

#[test]
fn a_policy_that_returns_another_length_ends_in_a_hold_and_nothing_recorded_is_lost() {
    let project = with_policy("short_later.pt", &[]);
    let output = run(&project, "3");
    ends_with(&output, &recorded(&project), &["shape [1, 6]", "expected (1, 1, 7)"]);
}

/// In real time: late decisions are discarded, and the arm holds meanwhile.
#[test]
fn a_policy_that_is_too_late_makes_the_arm_hold() {
    let project = with_policy("slow_later.pt", &[]);
    project.edit(LAUNCH, |text| text.replace("clock = \"lockstep\"", "clock = \"wall\""));
    let output = run(&project, "4");
    let said = String::from_utf8_lossy(&output.stdout);
    // A machine that takes some seconds for one of its decisions ends the run for it, with a message.
    let ended = match output.status.code() {
        Some(1) => said.contains("success_rule"),
        Some(3) => said.contains("decisions come") || said.contains("control periods"),
        _ => false,
    };
    assert!(ended, "{output:?}");
    let decisions = said.lines().find(|line| line.starts_with("decisions")).unwrap();
    assert!(decisions.contains("discarded as too late") && !decisions.contains(" 0 discarded"), "{said}");
    let recorded = recorded(&project);
    assert!(recorded.complete && !recorded.steps.is_empty(), "{said}");
    // What a fast machine decides in time is executed: an image's age of 0.3 s and a policy period.
    let took = |step: &RecordedStep| step.decided_at.since(step.images[0].captured_at).as_secs_f64();
    assert!(recorded.steps.iter().all(|step| took(step) <= 0.5), "{said}");
    let held =
        |reason: LimitReason| recorded.ticks.iter().filter(|tick| tick.filtered == Filtered::Stopped(reason)).count();
    assert!(held(LimitReason::CommandAge) + held(LimitReason::ImageAge) > 0, "the arm did not hold: {said}");
}

#[test]
fn a_chunk_that_jumps_moves_the_arm_no_faster_than_its_limits() {
    let project = with_policy("jumps.pt", &["--chunk", "4", "--execute", "4"]);
    let output = run(&project, "4");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let recorded = recorded(&project);
    assert_eq!(recorded.steps.len(), 20);
    let asked = |step: usize| recorded.steps[step].action.translation[0];
    assert!((1..20).all(|step| (asked(step) - asked(step - 1)).abs() > 0.2), "the chunk does not jump");
    let limited = recorded.ticks.iter().filter(|tick| !matches!(tick.filtered, Filtered::Passed)).count();
    assert!(limited > 10, "the safety filter changed {limited} of {} commands", recorded.ticks.len());
    let robot = Robot::load(root(), "widowx").unwrap();
    for (before, after) in recorded.ticks.iter().zip(&recorded.ticks[1..]) {
        assert_eq!(after.sent.mode(), ControlMode::Position);
        let seconds = after.at.since(before.at).as_secs_f64();
        for (joint, most) in robot.limits.joint_velocity.iter().enumerate() {
            let step = (after.sent.joints()[joint] - before.sent.joints()[joint]).abs();
            assert!(
                step <= most * seconds * (1.0 + 1e-6),
                "joint {joint}: {step} rad in {seconds} s, {:?}",
                after.filtered
            );
        }
    }
}
