//! `visuomotor run --shadow`: a recorded episode played to policy, control and safety filter.

use visuomotor::recording::read_episode;

use super::LAUNCH;
use crate::program::{Project, refused};

const EPISODE: &str = "runs/cucumber_in_pot-0000.mcap";

/// A few seconds of the scripted expert.
fn recorded(project: &Project) {
    let run = ["run", LAUNCH, "--task", "cucumber_in_pot", "--policy", "expert", "--seconds", "4", "--record", "runs"];
    let output = project.call(&run);
    assert_eq!(output.status.code(), Some(1), "running out of time is a failure by the rule: {output:?}");
    assert_eq!(read_episode(&project.path(EPISODE)).unwrap().steps.len(), 20);
}

/// A line for each decision: numbers by the name of their column.
fn rows(project: &Project, file: &str) -> Vec<std::collections::BTreeMap<String, String>> {
    let text = std::fs::read_to_string(project.path(file)).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(String::from).collect::<Vec<_>>());
    let names = lines.next().unwrap();
    lines.map(|line| names.iter().cloned().zip(line).collect()).collect()
}

const PARTS: [&str; 7] = ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper"];

#[test]
fn the_policy_that_was_recorded_asks_for_the_same_again_and_another_one_does_not() {
    let project = Project::new();
    recorded(&project);
    let shadow = |policy: &str, more: &[&str]| {
        let run = ["run", LAUNCH, "--shadow", EPISODE, "--policy", policy];
        let output = project.call(&[&run[..], more].concat());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        said
    };
    let said = shadow("expert", &["--differences", "same.csv", "--record", "shadows"]);
    for word in [
        "the recording runs/",
        "nothing is connected",
        "20 decisions beside 20 recorded ones",
        "translation differs by 0.000",
        "gripper    differs by 0.000",
        "none sent",
        "the recording is over",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let same = rows(&project, "same.csv");
    assert_eq!(same.len(), 20);
    for (number, row) in same.iter().enumerate() {
        assert_eq!((&*row["recorded_step"], &*row["decided_by"]), (&*number.to_string(), "policy"));
        for part in PARTS {
            let of = |time: &str| row[&format!("{time}_{part}")].parse::<f64>().unwrap();
            assert!((of("then") - of("now")).abs() < 1e-5, "{part} of step {number}: {} {}", of("then"), of("now"));
        }
    }
    // The filter ran over the policy's commands, from the recorded arm's position.
    assert!(said.contains("200 ticks"), "{said}");
    // The shadow saw the recorded data, and its recording names the original.
    let (then, now) =
        (read_episode(&project.path(EPISODE)), read_episode(&project.path("shadows/cucumber_in_pot-0000.mcap")));
    let (then, now) = (then.unwrap(), now.unwrap());
    assert_eq!(now.steps.len(), then.steps.len());
    for (then, now) in then.steps.iter().zip(&now.steps) {
        assert_eq!((now.proprioception, now.observed_at), (then.proprioception, then.observed_at));
    }
    assert!(now.attachments.iter().any(|file| file.name == "shadow.json"));

    let said = shadow("random", &["--differences", "other.csv"]);
    assert!(!said.contains("translation differs by 0.000"), "{said}");
    let other = rows(&project, "other.csv");
    let apart = |row: &std::collections::BTreeMap<String, String>| row["then_dx"] != row["now_dx"];
    assert!(other.iter().filter(|row| apart(row)).count() > 15, "{other:?}");
    // Only a part of it, at the rate of its clock.
    project.edit(LAUNCH, |text| text.replace("clock = \"lockstep\"", "clock = \"wall\""));
    let at_rate = (0..8).any(|_| {
        let run = ["run", LAUNCH, "--shadow", EPISODE, "--policy", "expert", "--seconds", "2"];
        let output = project.call(&run);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.code() == Some(0) && said.contains("10 decisions beside") && said.contains("in 2.0 s")
    });
    assert!(at_rate, "no shadow run kept its time");
}

#[test]
fn a_recording_that_does_not_fit_is_refused_with_what_it_is() {
    let project = Project::new();
    recorded(&project);
    let shadow = |launch: &str, more: &[&str]| {
        project.call(&[&["run", launch, "--shadow", EPISODE, "--policy", "random"], more].concat())
    };
    std::fs::create_dir(project.path("launch/stations")).unwrap();
    project.edit("launch/stations/jaco.toml", |text| text);
    refused(&shadow("launch/stations/jaco.toml", &[]), &[EPISODE, "recorded on widowx", "jaco_j2s7s300"]);
    refused(&shadow(LAUNCH, &["--take-over", "page"]), &["--shadow", "--take-over"]);
    refused(&shadow(LAUNCH, &["--dry-run"]), &["--shadow", "--dry-run"]);
    refused(&project.call(&["run", LAUNCH, "--differences", "d.csv"]), &["--shadow"]);
    let cases: [(&str, &str, &[&str]); 4] = [
        ("rate_hz = 5.0", "rate_hz = 10.0", &["5 Hz", "rate_hz", "10 Hz"]),
        ("\"over_shoulder\"", "\"side\"", &["over_shoulder", "side"]),
        ("rendering = \"camera\"", "rendering = \"policy\"", &["over_shoulder", "640x480", "128x128"]),
        ("[scene]", "[control]\nlaw = \"torque\"\n\n[scene]", &["tool's pose", "joint torques"]),
    ];
    for (from, to, words) in cases {
        project.edit(LAUNCH, |text| text.replacen(from, to, 1));
        refused(&shadow(LAUNCH, &[]), &[&[EPISODE], words].concat());
        project.edit(LAUNCH, |text| text);
    }
    // A recording of another program is not called damaged; one that was cut off is played to its end.
    let whole = std::fs::read(project.path(EPISODE)).unwrap();
    std::fs::write(project.path("other.mcap"), b"hello, I am no recording").unwrap();
    refused(
        &project.call(&["run", LAUNCH, "--shadow", "other.mcap", "--policy", "random"]),
        &["other.mcap", "not an MCAP file"],
    );
    std::fs::write(project.path("cut.mcap"), &whole[..whole.len() / 2]).unwrap();
    let cut = project.call(&["run", LAUNCH, "--shadow", "cut.mcap", "--policy", "random"]);
    let said = String::from_utf8_lossy(&cut.stdout);
    assert_eq!(cut.status.code(), Some(0), "{cut:?}");
    assert!(said.contains("cut.mcap: ") && said.contains("steps are kept"), "{said}");
}
