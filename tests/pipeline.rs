//! The pipeline as a user runs it, at smoke scale: stopped, resumed, scored, and its table.

use serde_json::Value;

use crate::program::{Project, refused};

const FILE: &str = "launch/vptr_kitchen.toml";

/// A project with the inputs of the pipeline's stages.
fn project() -> Project {
    let project = Project::new();
    std::fs::create_dir(project.path("launch/smoke")).unwrap();
    for name in
        [FILE, "launch/smoke/behavior_cloning.toml", "launch/smoke/vip.toml", "launch/smoke/reward_weighted.toml"]
    {
        project.edit(name, |text| text);
    }
    // Policies of twenty steps let every trial run to its end.
    project.edit("launch/table_kitchen.toml", |text| text.replace("trial_seconds = 60.0", "trial_seconds = 3.0"));
    project
}

fn run(project: &Project, more: &[&str]) -> std::process::Output {
    let mut words =
        vec!["pipeline", FILE, "--scale", "smoke", "--out", "table", "--method", "bc", "--method", "vip_reward"];
    words.extend(more);
    project.call(&words)
}

#[test]
fn a_pipeline_that_was_stopped_goes_on_and_ends_in_a_table() {
    let project = project();
    // Stopped at once: nothing is done, and it lists the remaining stages.
    let stopped = run(&project, &["--minutes", "0"]);
    assert_eq!(stopped.status.code(), Some(1), "{stopped:?}");
    assert!(String::from_utf8_lossy(&stopped.stdout).contains("not ready: vip_reward-1, bc-1"), "{stopped:?}");
    let listed = run(&project, &["--list"]);
    let text = String::from_utf8_lossy(&listed.stdout).to_string();
    assert_eq!(text.lines().filter(|line| line.contains("to do")).count(), 5, "{text}");
    let nothing = run(&project, &["--without-training"]);
    assert_eq!(nothing.status.code(), Some(1), "{nothing:?}");
    assert!(!project.path("table/target").exists(), "it trained");

    let trained = run(&project, &["--without-evaluation", "--jobs", "2"]);
    assert_eq!(trained.status.code(), Some(0), "{trained:?}");
    let said = std::fs::read_to_string(project.path("table/vip.log")).unwrap();
    assert!(said.contains("cpu (") && said.contains("encoder in"), "{said}");
    let kept = std::fs::read(project.path("table/cloning-1/checkpoint.safetensors")).unwrap();
    let scored = run(&project, &["--without-training"]);
    assert_eq!(scored.status.code(), Some(0), "{scored:?}");
    let again = std::fs::read(project.path("table/cloning-1/checkpoint.safetensors")).unwrap();
    assert!(kept == again, "finished stages ran again");
    let table: Value = serde_json::from_slice(&std::fs::read(project.path("table/table.json")).unwrap()).unwrap();
    let scenarios = table["scenarios"].as_array().unwrap();
    assert_eq!(scenarios.len(), 3);
    for row in scenarios[0]["rows"].as_array().unwrap() {
        assert_eq!(row["total"]["trials"], 4, "{row}");
        assert_eq!(row["tasks"].as_array().unwrap().len(), 4, "{row}");
    }
    assert_eq!(table["missing"].as_array().unwrap().len(), 0);
    let page = std::fs::read_to_string(project.path("table/table.html")).unwrap();
    assert!(page.contains("behavior cloning") && page.contains("VIP reward"));

    // Settings that differ from those of the existing results.
    project.edit("launch/smoke/vip.toml", |text| text.replace("seed = 1", "seed = 2"));
    refused(&run(&project, &[]), &["vip", "other settings"]);
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    let project = project();
    let call = |more: &[&str]| {
        let mut words = vec!["pipeline", FILE, "--out", "table"];
        words.extend(more);
        project.call(&words)
    };
    refused(&call(&["--scale", "huge"]), &[FILE, "huge", "small"]);
    refused(&call(&["--method", "magic"]), &[FILE, "magic", "vptr"]);
}
