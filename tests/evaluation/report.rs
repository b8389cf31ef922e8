//! `report.json` keeps its shape and `report.html` shows every trial.

use std::fs;
use std::path::Path;

use super::fixture::{Scripted, options, scene, tasks};
use serde_json::{Value, json};
use visuomotor::episode::Outcome;
use visuomotor::evaluation::journal::JOURNAL_FILE;
use visuomotor::evaluation::{Control, EvaluationOptions, Report, Scenario, TrialPlan, evaluate, plans, revision};

/// Scores scripted controls and then a scripted policy; returns its folder's report.
fn score(folder: &Path, scenario: Scenario, frames: usize) -> Report {
    let plans = plans(&scene(), scenario, &tasks(), 7).unwrap();
    let run = |options: &EvaluationOptions, runner: &mut Scripted| {
        evaluate(options, &scene(), &plans, runner, &mut |_| {}, &|| false).unwrap()
    };
    let control = |policy: &str, outcome: fn(&TrialPlan) -> Outcome| {
        let options = EvaluationOptions {
            folder: folder.join(policy),
            policy: policy.into(),
            scenario,
            weights_digest: String::new(),
            ..options(folder)
        };
        run(&options, &mut Scripted { frames: 0, outcome, ..Scripted::new() });
        Control::load(&options.folder.join("report.json")).unwrap()
    };
    let expert = control("expert", |_| Outcome::Success { judge: "success_rule".into() });
    let random = control("random", |_| Outcome::Failure { judge: "success_rule".into(), why: "time ran out".into() });
    let options = EvaluationOptions { scenario, controls: vec![expert, random], ..options(folder) };
    run(&options, &mut Scripted { frames, ..Scripted::new() })
}

fn written(folder: &Path) -> (Value, String) {
    let json = serde_json::from_str(&fs::read_to_string(folder.join("report.json")).unwrap()).unwrap();
    (json, fs::read_to_string(folder.join("report.html")).unwrap())
}

#[test]
fn the_report_has_the_promised_shape() {
    let folder = tempfile::tempdir().unwrap();
    let report = score(folder.path(), Scenario::Plain, 4);
    let (json, _) = written(folder.path());
    assert_eq!(serde_json::from_value::<Report>(json.clone()).unwrap().tasks, report.tasks);
    let mut keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "command",
            "comparisons",
            "complete",
            "controls",
            "deadline_misses",
            "latency_ms",
            "machine",
            "objects",
            "paper",
            "plain_words",
            "planned",
            "policy",
            "revision",
            "scenario",
            "scene",
            "seed",
            "settings",
            "settings_digest",
            "tasks",
            "total",
            "trials",
            "weights_digest"
        ]
    );
    assert_eq!((&json["scenario"], &json["seed"], &json["planned"]), (&json!(1), &json!(7), &json!(48)));
    let first = &json["tasks"][0];
    assert_eq!(first["task"], "croissant_out_of_bowl");
    assert_eq!((&first["successes"], &first["trials"], &first["aborted"]), (&json!(6), &json!(12), &json!(0)));
    let near = |value: &Value, wanted: f64| assert!((value.as_f64().unwrap() - wanted).abs() < 5e-5, "{value}");
    near(&first["wilson95"][0], 0.2538);
    near(&first["wilson95"][1], 0.7462);
    near(&first["clopper_pearson95"][0], 0.2109);
    assert_eq!((&json["total"]["successes"], &json["total"]["trials"]), (&json!(24), &json!(48)));
    assert_eq!(json["trials"].as_array().unwrap().len(), 48);
    assert_eq!(
        json["trials"][0],
        json!({
            "task": "croissant_out_of_bowl", "trial": 1, "attempt": 1, "start": "right_front", "placement": "shift_1",
            "object": "croissant", "outcome": "failure", "judge": "success_rule",
            "why": "time ran out & the <object> was not lifted", "seconds": 60.0, "steps": 300, "deadline_misses": 0,
            "episode": "episodes/croissant_out_of_bowl-01.mcap"
        })
    );
    assert_eq!(json["latency_ms"]["tick"]["count"], 48 * 800);
    assert!(json["latency_ms"]["tick"]["p99"].as_f64() >= json["latency_ms"]["tick"]["p50"].as_f64());
    assert_eq!(json["deadline_misses"], 4);
    assert_eq!(
        (&json["controls"][0]["policy"], &json["controls"][0]["total"]["successes"]),
        (&json!("expert"), &json!(48))
    );
    assert_eq!(
        (&json["controls"][1]["policy"], &json["controls"][1]["total"]["successes"]),
        (&json!("random"), &json!(0))
    );
    assert!(json["comparisons"][1]["fisher_p"].as_f64().unwrap() < 1e-6);
}

#[test]
fn the_table_for_the_terminal_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let table = score(folder.path(), Scenario::NovelTargets, 0).table();
    for part in ["vptr in scenario 3 (novel targets), seed 7", "carrot", "ice_cream", "4/9", "expert", "9/9", "0/9"] {
        assert!(table.contains(part), "{part} is missing in\n{table}");
    }
}

#[test]
fn the_page_shows_every_trial_and_is_well_formed() {
    for scenario in [Scenario::Plain, Scenario::Distractors, Scenario::NovelTargets] {
        let folder = tempfile::tempdir().unwrap();
        score(folder.path(), scenario, 8);
        let (_, html) = written(folder.path());
        for plan in plans(&scene(), scenario, &tasks(), 7).unwrap() {
            assert!(html.contains(&format!("id=\"{}-1\"", plan.name())), "{}", plan.name());
            assert!(html.contains(&format!("href=\"#{}-1\"", plan.name())), "{}", plan.name());
        }
        check_balance(&html);
        assert!(!html.contains("{{") && !html.contains("}}<"), "a gap was left");
        assert!(html.contains("the &lt;object&gt; was not lifted"), "reasons are escaped");
        for outside in ["http://", "https://", "src=\"/", "src=\"trials"] {
            assert!(!html.contains(outside), "the page refers to {outside}");
        }
        assert!(html.contains("data:image/jpeg;base64,/9j/"));
        assert!(html.contains("real-robot numbers from the paper"));
        // V(s_t) of each task's first trial, from below zero to the reward; non-finite values are left out.
        let tasks = if scenario == Scenario::NovelTargets { 1 } else { 4 };
        assert_eq!(html.matches("<p class=\"label\">V(s<sub>t</sub>)").count(), tasks);
        assert!(html.contains(">-8.6</text>") && html.contains(">10.5</text>") && html.contains(">9.70</text>"));
        let journal = std::fs::read_to_string(folder.path().join(JOURNAL_FILE)).unwrap();
        let curves = journal.lines().skip(1).filter(|line| line.contains("\"state_value\""));
        assert_eq!(curves.count(), tasks);
    }
}

#[test]
fn the_page_stays_small_whatever_the_pictures() {
    let folder = tempfile::tempdir().unwrap();
    score(folder.path(), Scenario::Plain, 300);
    let (_, html) = written(folder.path());
    assert!(html.len() < 25_000_000, "{} bytes", html.len());
    assert_eq!(html.matches("class=\"player\"").count(), 48);
    assert!(folder.path().join("trials/knife_in_pot-12/0299.jpg").is_file(), "all images are on disk");
}

#[test]
fn the_revision_is_gits_or_unknown() {
    let nowhere = tempfile::tempdir().unwrap();
    assert_eq!(revision(nowhere.path()), option_env!("VISUOMOTOR_REVISION").unwrap_or("unknown"));
}

/// Every opened element is closed in order; script and style contents are skipped.
fn check_balance(html: &str) {
    const VOID: [&str; 5] = ["meta", "br", "img", "input", "!doctype"];
    let mut open: Vec<String> = Vec::new();
    let mut rest = html;
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').expect("a tag is not closed");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closed out of order before {:.80}", rest);
            continue;
        }
        let name: String = tag.chars().take_while(|c| !c.is_whitespace() && *c != '/').collect();
        if VOID.contains(&name.as_str()) || tag.ends_with('/') {
            continue;
        }
        if name == "script" || name == "style" {
            let end = format!("</{name}>");
            rest = &rest[rest.find(&end).expect("script or style is not closed") + end.len()..];
            continue;
        }
        open.push(name);
    }
    assert!(open.is_empty(), "not closed: {open:?}");
}
