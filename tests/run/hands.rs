//! A run in real time that changes hands by the page's buttons: the arm's behavior, and the recording.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use serde_json::Value;
use visuomotor::action::Decider;
use visuomotor::episode::{ControlTick, Filtered, LimitReason};
use visuomotor::recording::{ReadOptions, RecordedEpisode, read_episode_with};

use super::LAUNCH;
use crate::page::client::Client;
use crate::program::{Project, refused};

/// A run with a client of its page.
struct Run {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    said: String,
    client: Client,
}

impl Run {
    fn start(project: &Project, arguments: &[&str]) -> Self {
        let mut command = project.command(&[&["run", LAUNCH, "--page", "127.0.0.1:0"], arguments].concat());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut out, mut said) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        while out.read_line(&mut said).unwrap() > 0 && !said.ends_with("running\n") {}
        let url = said.lines().find_map(|line| line.strip_prefix("page: http://")).expect("no page was announced");
        let (address, token) = url.split_once("/?token=").unwrap();
        let shown = format!("Bearer {}", token.trim());
        let client = Client::at(address.parse().unwrap(), &[("Authorization", &shown)]).unwrap();
        Self { child, out, said, client }
    }

    /// Waits until this party drives and that many steps were decided; returns the state.
    fn until(&mut self, driving: &str, steps: u64) -> Value {
        self.client.state(driving, |value| {
            value["state"]["panel"]["driving"] == driving
                && value["state"]["episode"]["steps"].as_u64().is_some_and(|found| found >= steps)
        })
    }

    fn press(&mut self, wish: &str) {
        self.client.send(&format!(r#"{{"wish":"{wish}"}}"#));
        assert_eq!(self.client.answer("accepted"), wish);
    }

    /// Its exit code and output.
    fn finish(mut self) -> (Option<i32>, String) {
        self.out.read_to_string(&mut self.said).unwrap();
        (self.child.wait().unwrap().code(), self.said)
    }
}

fn steps(state: &Value) -> u64 {
    state["state"]["episode"]["steps"].as_u64().unwrap()
}

fn seconds(state: &Value) -> f64 {
    state["state"]["episode"]["seconds"].as_f64().unwrap()
}

/// The longest stretch of ticks at which the arm held because the run was paused.
fn pause(recorded: &RecordedEpisode) -> Vec<ControlTick> {
    let paused = |tick: &ControlTick| tick.filtered == Filtered::Stopped(LimitReason::Paused);
    let stretches = recorded.ticks.chunk_by(|a, b| paused(a) == paused(b));
    let longest = stretches.filter(|ticks| paused(&ticks[0])).max_by_key(|ticks| ticks.len());
    longest.expect("it never held").to_vec()
}

#[test]
fn a_run_is_paused_taken_over_and_handed_back_and_its_recording_says_who_decided() {
    let project = Project::new();
    // On a machine busy with other tests only its continuation is checked.
    let patient = "\n[realtime]\nbudget = { warn = 3.0, hold = 4.0, stop = 5.0 }\n";
    project.edit(LAUNCH, |text| {
        text.replace("rendering = \"camera\"", "rendering = \"policy\"").replace("max_age = 0.3", "max_age = 5.0")
            + patient
    });
    let task = ["--task", "cucumber_in_pot", "--policy", "random", "--seconds", "600"];
    let mut run = Run::start(&project, &[&task[..], &["--take-over", "scripted", "--record", "runs"]].concat());
    run.until("policy", 5);
    run.press("pause");
    let state = run.until("paused", 5);
    let (then, decided) = (seconds(&state), steps(&state));
    run.client.state("a pause of two seconds", |value| seconds(value) > then + 2.0);
    run.press("take_over");
    let state = run.until("operator", decided + 5);
    // Nothing was decided in the pause, and the state shows who drives.
    assert!(state["state"]["panel"]["device"].as_str().unwrap().contains("scripted"), "{state}");
    run.press("hand_back");
    let state = run.until("policy", 0);
    run.until("policy", steps(&state) + 5);
    run.press("accept");
    let (code, said) = run.finish();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("by the operator, 1 intervention, 1 pause"), "{said}");

    let file = project.path("runs/cucumber_in_pot-0000.mcap");
    let recorded = read_episode_with(&file, ReadOptions { images: false, control_ticks: true }).unwrap();
    let deciders: Vec<Decider> = recorded.steps.iter().map(|step| step.decided_by.unwrap()).collect();
    let hands: Vec<(Decider, usize)> = deciders.chunk_by(|a, b| a == b).map(|part| (part[0], part.len())).collect();
    let [(Decider::Policy, before), (Decider::Operator, taken), (Decider::Policy, after)] = hands[..] else {
        panic!("{hands:?}")
    };
    assert!(before >= 5 && taken >= 5 && after >= 5, "{hands:?}");
    assert!(recorded.steps.iter().zip(0..).all(|(step, index)| step.index == index), "steps are missing");
    let held = pause(&recorded);
    let length = held[held.len() - 1].at.since(held[0].at).as_secs_f64();
    assert!(length > 1.9, "the arm held for {length} s");
    // At rest no joint moves: the tolerance of a residual is ten times as wide.
    let rest = held.iter().find(|tick| tick.at.since(held[0].at).as_secs_f64() > 0.5).unwrap().measured;
    let still = held.iter().filter(|tick| tick.at.since(held[0].at).as_secs_f64() > 0.5);
    for tick in still {
        let moved = tick.measured.iter().zip(rest.iter()).map(|(now, then)| (now - then).abs()).fold(0.0, f64::max);
        assert!(moved < 5e-3, "a joint moved by {moved} rad in the pause");
    }
    let listed = project.call(&["recordings", "list", "runs"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains(&format!("{taken} by the operator")), "{listed}");
    exported(&project, taken);
}

/// Interventions are a separate column.
#[cfg(feature = "exchange")]
fn exported(project: &Project, taken: usize) {
    let output = project.call(&["recordings", "export", "--format", "lerobot", "--images", "runs", "lerobot"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let read = |name: &str| -> Value { serde_json::from_slice(&std::fs::read(project.path(name)).unwrap()).unwrap() };
    let column = "complementary_info.is_intervention";
    let feature = &read("lerobot/meta/info.json")["features"][column];
    assert_eq!(feature["dtype"], "int64", "{feature}");
    let (statistics, steps) = (read("lerobot/meta/stats.json"), read("lerobot/meta/info.json")["total_frames"].clone());
    let share = taken as f64 / steps.as_f64().unwrap();
    assert!((statistics[column]["mean"][0].as_f64().unwrap() - share).abs() < 1e-9, "{}", statistics[column]);
}

#[cfg(not(feature = "exchange"))]
fn exported(_project: &Project, _taken: usize) {}

#[test]
fn what_cannot_be_taken_over_is_refused_before_anything_moves() {
    let project = Project::new();
    let run = |more: &[&str]| {
        let task = ["run", LAUNCH, "--task", "cucumber_in_pot", "--policy", "random"];
        project.call(&[&task[..], more].concat())
    };
    refused(&run(&["--take-over", "page"]), &["device page", "--page"]);
    refused(&run(&["--take-over", "telepathy"]), &["telepathy", "keyboard", "gamepad"]);
    refused(&run(&["--device-path", "/dev/null"]), &["--take-over"]);
    let torque = "launch/button/panda_torque.toml";
    std::fs::create_dir(project.path("launch/button")).unwrap();
    project.edit(torque, |text| text);
    let output = project.call(&["run", torque, "--policy", "random", "--take-over", "scripted"]);
    refused(&output, &["--take-over scripted", "torque", "panda_torque.toml", "leave it out"]);
}
