//! Demonstrations as a user collects them: teleoperate, verify, replay, in the simulator.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use visuomotor::episode::Outcome;
use visuomotor::recording::{ReadOptions, list_episodes, read_episode_with};

use crate::program::{Project, refused, root};

const ALL: ReadOptions = ReadOptions { images: true, control_ticks: true };

fn collect(project: &Project, more: &[&str]) -> std::process::Output {
    let mut words =
        vec!["teleoperate", "launch/widowx_kitchen.toml", "--out", "demos", "--device", "scripted", "--lockstep"];
    words.extend(more);
    project.call(&words)
}

#[test]
fn scripted_demonstrations_are_collected_verified_and_replayed() {
    let project = Project::new();
    let output = collect(&project, &["--task", "knife_in_pot", "--episodes", "2"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let files = list_episodes(&project.path("demos")).unwrap();
    assert_eq!(files.len(), 2);
    for file in &files {
        let episode = read_episode_with(file, ALL).unwrap();
        assert!(episode.complete && episode.start.action_source == "teleop", "{:?}", episode.lost);
        assert_eq!(episode.end.unwrap().outcome, Outcome::Success { judge: "operator (scripted)".into() });
        assert!(episode.ticks.iter().all(|tick| tick.wished.joints().is_finite()));
        let names: Vec<&str> = episode.attachments.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["settings.toml", "robot.toml", "calibration.toml", "set_up.json"]);
    }
    // Further episodes continue the numbering; nothing is overwritten.
    let before = std::fs::read(&files[0]).unwrap();
    assert_eq!(collect(&project, &["--task", "knife_in_pot", "--episodes", "1"]).status.code(), Some(0));
    assert_eq!(std::fs::read(&files[0]).unwrap(), before);
    assert_eq!(list_episodes(&project.path("demos")).unwrap().len(), 3);

    let verified = project.call(&["recordings", "verify", "demos", "--robot", "widowx", "--json", "verdicts.json"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    let verdicts: Value = serde_json::from_slice(&std::fs::read(project.path("verdicts.json")).unwrap()).unwrap();
    assert!(verdicts.as_array().unwrap().iter().all(|verdict| verdict["verdict"] == "good"), "{verdicts}");

    assert_eq!(project.call(&["recordings", "card", "demos"]).status.code(), Some(0));
    let card = std::fs::read_to_string(project.path("demos/card.html")).unwrap();
    assert!(card.contains("3 episodes") && card.contains("knife_in_pot") && !card.contains("<script"));

    let replayed = project.call(&["replay", files[0].to_str().unwrap(), "--plot", "course.svg"]);
    let text = String::from_utf8_lossy(&replayed.stdout);
    assert!(replayed.status.success() && text.contains("outcome: success"), "{replayed:?}");
    assert!(std::fs::read_to_string(project.path("course.svg")).unwrap().contains("polyline"));
}

#[test]
fn a_recording_that_is_cut_off_or_of_another_arm_gets_a_clear_answer() {
    let project = Project::new();
    assert_eq!(collect(&project, &["--task", "cucumber_in_pot", "--episodes", "1"]).status.code(), Some(0));
    let file = &list_episodes(&project.path("demos")).unwrap()[0];
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(project.path("demos/half.mcap.partial"), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(project.path("demos/odd.mcap"), &bytes[..bytes.len() / 3]).unwrap();
    let output = project.call(&["recordings", "verify", "demos"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("half.mcap: was cut off and is finished now"), "{text}");
    assert!(text.contains("bad       odd.mcap") && text.contains("good      cucumber_in_pot-0000.mcap"), "{text}");
    let another = project.call(&["recordings", "verify", "demos", "--robot", "panda"]);
    assert!(String::from_utf8_lossy(&another.stdout).contains("recorded on widowx, expected panda"));
    refused(&project.call(&["replay", "nothing.mcap"]), &["nothing.mcap"]);
}

#[test]
fn wrong_words_are_refused_before_anything_moves() {
    let project = Project::new();
    refused(&collect(&project, &[]), &["--task", "knife_in_pot"]);
    refused(&collect(&project, &["--task", "juggle"]), &["juggle", "knife_in_pot"]);
    let base = ["teleoperate", "launch/widowx_kitchen.toml", "--task", "knife_in_pot"];
    let with = |more: &[&str]| project.call(&[&base[..], more].concat());
    refused(&with(&["--lockstep", "--device", "udp"]), &["--lockstep"]);
    refused(&with(&["--device", "udp", "--device-serial", "1WMHH8"]), &["--device-serial", "udp", "quest"]);
    for (device, place) in [("gamepad", "no/such/pad"), ("leader", "no/such/port")] {
        // A missing device is a hardware fault, like a missing arm.
        let output = with(&["--device", device, "--device-path", place]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(text.contains(&format!("{device} at {place}")) && !text.contains("panicked"), "{text}");
    }
    project.edit("launch/widowx_kitchen.toml", |text| format!("{text}\n[teleop]\nspeed = -1.0\n"));
    refused(&with(&["--device", "scripted"]), &["widowx_kitchen.toml", "teleop.speed"]);
}

#[test]
fn a_person_at_a_terminal_drives_accepts_and_quits() {
    let project = Project::new();
    let mut session = Command::new(root().join(".deps/python/bin/python"))
        .arg(root().join("tests/keyboard_session.py"))
        .arg(env!("CARGO_BIN_EXE_visuomotor"))
        .args(["teleoperate", "launch/widowx_kitchen.toml", "--task", "knife_in_pot", "--device", "keyboard"])
        .args(["--episodes", "3", "--out", "demos"])
        .current_dir(project.path("."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let script = "await press b to begin\ntype b\nawait keyboard: driving\nhold w 1.5\nhold f 0.5\ntype \\r\n\
                  await accepted, operator (terminal)\nawait press b to begin\ntype b\nawait keyboard: driving\n\
                  type q\\x7f\nawait 1 of 3 episodes accepted\n";
    session.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = session.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let said: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(said["status"], 1, "{said}");
    let files = list_episodes(&project.path("demos")).unwrap();
    let episodes: Vec<_> = files.iter().map(|file| read_episode_with(file, ALL).unwrap()).collect();
    let outcomes: Vec<&str> = episodes.iter().map(|e| e.end.as_ref().unwrap().outcome.word()).collect();
    assert_eq!(outcomes, ["success", "failure"]);
    let (first, last) = (&episodes[0].steps[0], episodes[0].steps.last().unwrap());
    let moved = last.base_from_tool.translation.x - first.base_from_tool.translation.x;
    assert!(moved > 0.05, "the tool moved {moved} m forward");
}

/// The program with its own page; dropping it ends it.
#[cfg(feature = "page")]
struct Paged {
    program: std::process::Child,
    lines: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

#[cfg(feature = "page")]
impl Paged {
    fn start(project: &Project, arguments: &[&str]) -> Self {
        use std::io::BufRead;
        let mut program = project.command(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = std::io::BufReader::new(program.stdout.take().unwrap()).lines();
        Self { program, lines }
    }

    /// The first line that contains `words`; fails if the program ends.
    fn until(&mut self, words: &str) -> String {
        self.lines.by_ref().map_while(Result::ok).find(|line| line.contains(words)).unwrap_or_else(|| {
            panic!("the program ended without `{words}`");
        })
    }

    /// The page's address, and its URL.
    fn page(&mut self) -> (std::net::SocketAddr, String) {
        let line = self.until("page: http://");
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_string();
        let place = url.trim_start_matches("http://").split('/').next().unwrap();
        (place.parse().unwrap(), url)
    }
}

#[cfg(feature = "page")]
impl Drop for Paged {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[cfg(feature = "page")]
#[test]
fn collected_demonstrations_are_looked_at_on_the_page() {
    use crate::page::devtools::Browser;

    let project = Project::new();
    assert_eq!(
        collect(&project, &["--task", "knife_in_pot", "--episodes", "2", "--policy-size"]).status.code(),
        Some(0)
    );
    let mut program = Paged::start(&project, &["recordings", "page", "demos", "--address", "127.0.0.1:0"]);
    let (_, url) = program.page();
    let mut browser = Browser::start();
    browser.resize(1280, 800, 1.0, false);
    browser.open(&url);
    browser.until("document.querySelectorAll('#episodes li').length === 2");
    browser.click("#episodes li button");
    browser.until("played !== null && document.querySelector('#played-time').textContent.startsWith('step 1 of ')");
    // The kitchen, not a black square.
    browser.until(
        "(() => { const canvas = document.querySelector('#played-cameras canvas'); if (!canvas.width) return false; \
         const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data; \
         return new Set(data).size > 60; })()",
    );
    browser.screenshot(&root().join("target/page/collected.png"));
}

#[cfg(feature = "page")]
#[test]
fn a_gamepad_in_a_browser_drives_and_a_browser_that_leaves_lets_go() {
    use crate::page::client::Client;

    let project = Project::new();
    let arguments = [
        "teleoperate",
        "launch/widowx_kitchen.toml",
        "--task",
        "knife_in_pot",
        "--device",
        "page",
        "--page",
        "127.0.0.1:0",
        "--episodes",
        "2",
        "--out",
        "demos",
    ];
    let mut program = Paged::start(&project, &arguments);
    let (address, url) = program.page();
    let bearer = format!("Bearer {}", url.split_once("?token=").expect("the link has no token").1);
    let token = [("Authorization", bearer.as_str())];
    let phase = |client: &mut Client, wanted: &str| {
        client.state(wanted, |value| value["state"]["panel"]["phase"] == wanted);
    };
    let mut sequence = 0;
    // Both sticks at rest and the bumper open, then closed with the left stick forward.
    let mut pad = |client: &mut Client, forward: f64, held: bool| {
        sequence += 1;
        let buttons: Vec<bool> = (0..16).map(|button| button == 5 && held).collect();
        let pad = serde_json::json!({ "axes": [0.0, -forward, 0.0, 0.0], "buttons": buttons, "sequence": sequence });
        client.send(&serde_json::json!({ "gamepad": pad }).to_string());
    };
    let mut client = Client::at(address, &token).unwrap();
    phase(&mut client, "waiting");
    client.send(r#"{"wish":"begin"}"#);
    phase(&mut client, "running");
    pad(&mut client, 0.0, false);
    // Driven by the page's state, not by time: forward until ten steps have passed.
    let steps = |value: &Value| value["state"]["episode"]["steps"].as_u64().unwrap_or(0);
    let from = steps(&client.state("a step", |value| steps(value) > 0));
    while steps(&client.state("steps", |_| true)) < from + 10 {
        pad(&mut client, 1.0, true);
    }
    client.send(r#"{"wish":"accept"}"#);
    program.until("accepted, operator (page)");

    // The second browser leaves in the middle of a motion: the arm must stand, and stay standing.
    phase(&mut client, "waiting");
    client.send(r#"{"wish":"begin"}"#);
    phase(&mut client, "running");
    pad(&mut client, 0.0, false);
    let from = steps(&client.state("a step", |value| steps(value) > 0));
    while steps(&client.state("steps", |_| true)) < from + 5 {
        pad(&mut client, 1.0, true);
    }
    drop(client);
    let mut other = Client::at(address, &token).unwrap();
    let left = steps(&other.state("a step", |value| steps(value) > 0));
    other.state("ten more steps", |value| steps(value) > left + 10);
    other.send(r#"{"wish":"reject"}"#);
    program.until("rejected");

    let files = list_episodes(&project.path("demos")).unwrap();
    let episodes: Vec<_> = files.iter().map(|file| read_episode_with(file, ALL).unwrap()).collect();
    let outcomes: Vec<&str> = episodes.iter().map(|e| e.end.as_ref().unwrap().outcome.word()).collect();
    assert_eq!(outcomes, ["success", "failure"]);
    let (first, last) = (&episodes[0].steps[0], episodes[0].steps.last().unwrap());
    let moved = last.base_from_tool.translation.x - first.base_from_tool.translation.x;
    assert!(moved > 0.03, "the tool moved {moved} m forward");
    // No motion was requested in the last steps, and there was none.
    let after = &episodes[1].steps[episodes[1].steps.len() - 5..];
    let asked = after.iter().all(|step| step.action.to_array()[..6].iter().all(|value| *value == 0.0));
    let drift = after[4].base_from_tool.translation.x - after[0].base_from_tool.translation.x;
    assert!(asked && drift.abs() < 0.002, "{drift} m");
}
