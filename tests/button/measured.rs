//! The policies of `launch/button` on 12 trials each: in the in-process simulator, and through their emulated controllers.
//!
//! `cargo xtask button` (half an hour on a quiet machine) writes `docs/button.json` and the page made from it. With `BUTTON` set to
//! row names separated by commas, only those rows are measured again.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use visuomotor::action::ControlMode;
use visuomotor::config::Robot;
use visuomotor::episode::Filtered;
use visuomotor::recording::{ReadOptions, list_episodes, read_episode_with};

use crate::program::{Simulated, root};

/// A policy, and the links that drive its arm.
struct Arm {
    launch: &'static str,
    robot: &'static str,
    links: &'static [Link],
}

/// A driver, and the emulated arm's address.
struct Link {
    driver: &'static str,
    place: &'static [&'static str],
}

const FCI: Link = Link { driver: "fci", place: &["--address", "127.0.0.1"] };
const ROS2: Link = Link { driver: "ros2", place: &[] };

const ARMS: [Arm; 9] = [
    Arm { launch: "panda", robot: "panda", links: &[FCI, ROS2] },
    Arm { launch: "fr3", robot: "fr3", links: &[FCI, ROS2] },
    Arm { launch: "sawyer", robot: "sawyer", links: &[ROS2] },
    Arm { launch: "jaco_j2n7s300", robot: "jaco_j2n7s300", links: &[ROS2] },
    Arm { launch: "jaco_j2s6s300", robot: "jaco_j2s6s300", links: &[ROS2] },
    Arm { launch: "jaco_j2s7s300", robot: "jaco_j2s7s300", links: &[ROS2] },
    Arm { launch: "panda_torque", robot: "panda", links: &[FCI] },
    Arm { launch: "sawyer_torque", robot: "sawyer", links: &[ROS2] },
    Arm { launch: "jaco_j2n7s300_torque", robot: "jaco_j2n7s300", links: &[ROS2] },
];

/// Results of 12 trials.
#[derive(Debug, Serialize, Deserialize)]
struct Score {
    successes: u64,
    trials: u64,
    aborted: u64,
    /// Successes of the control rows, by name.
    controls: Vec<(String, u64)>,
    /// Of torque policies.
    load: Option<Load>,
}

/// Peaks of the trials, each as a share of the manufacturer's limit, and the safety filter's interventions.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Load {
    torque: f64,
    /// In shares of the description's limit, half of the manufacturer's or less.
    torque_rate: f64,
    speed: f64,
    ticks: u64,
    /// Ticks in which a limit changed a command, by limit.
    limited: BTreeMap<String, u64>,
    /// Largest change of a joint's torque.
    changed_by: f64,
    stopped: u64,
}

fn command(domain: u32, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_visuomotor"));
    command.current_dir(root()).env("ROS_DOMAIN_ID", domain.to_string()).args(arguments).stdin(Stdio::null());
    command
}

impl Arm {
    fn file(&self) -> String {
        format!("launch/button/{}.toml", self.launch)
    }

    /// In the in-process simulator, with the control rows.
    fn here(&self, folder: &Path) -> Result<Score, String> {
        self.score(folder, command(0, &["evaluate", &self.file(), "--out", &folder.display().to_string()]))
    }

    /// Through the emulated controller of another process.
    fn over(&self, link: &Link, domain: u32, folder: &Path) -> Result<Score, String> {
        let (file, out, stage) =
            (self.file(), folder.display().to_string(), folder.join("stage").display().to_string());
        let place = [link.place, &["--driver", link.driver, "--stage", &stage]].concat();
        let simulate = [&["simulate", "--robot", self.robot, "--launch", &file], &place[..]].concat();
        let _arm = Simulated::start(command(domain, &simulate)).ok_or("the emulated arm did not start")?;
        let evaluate = ["evaluate", &file, "--out", &out, "--without-controls", "--yes"];
        self.score(folder, command(domain, &[&evaluate[..], &place].concat()))
    }

    fn score(&self, folder: &Path, mut evaluate: Command) -> Result<Score, String> {
        let done = evaluate.output().map_err(|error| error.to_string())?;
        let report = std::fs::read(folder.join("report.json"))
            .map_err(|_| format!("{}: {}", self.launch, String::from_utf8_lossy(&done.stderr)))?;
        let report: Value = serde_json::from_slice(&report).map_err(|error| error.to_string())?;
        let number = |value: &Value, key: &str| value[key].as_u64().unwrap_or_default();
        let controls = report["controls"].as_array().into_iter().flatten();
        let name = |control: &Value| control["policy"].as_str().unwrap_or_default().to_string();
        Ok(Score {
            successes: number(&report["total"], "successes"),
            trials: number(&report["total"], "trials"),
            aborted: number(&report["total"], "aborted"),
            controls: controls.map(|control| (name(control), number(&control["total"], "successes"))).collect(),
            load: self.launch.ends_with("_torque").then(|| self.load(&folder.join("episodes"))).transpose()?,
        })
    }

    /// From the recorded commands and joints.
    fn load(&self, episodes: &Path) -> Result<Load, String> {
        let robot = Robot::load(root(), self.robot).map_err(|error| error.to_string())?;
        let options = ReadOptions { images: false, control_ticks: true };
        let mut load = Load::default();
        for file in list_episodes(episodes).map_err(|error| error.to_string())? {
            let episode = read_episode_with(&file, options).map_err(|error| error.to_string())?;
            for step in &episode.steps {
                for (speed, joint) in step.proprioception.joint_velocities.iter().zip(&robot.joint) {
                    load.speed = load.speed.max(speed.abs() / joint.velocity);
                }
            }
            for pair in episode.ticks.windows(2) {
                let [before, now] = [&pair[0], &pair[1]];
                load.ticks += 1;
                match now.filtered {
                    Filtered::Passed => {}
                    Filtered::Limited(reason) => {
                        let reason = serde_json::to_value(reason).map_err(|error| error.to_string())?;
                        *load.limited.entry(reason.as_str().unwrap_or_default().into()).or_default() += 1;
                        for (i, joint) in robot.joint.iter().enumerate() {
                            let by = (now.sent.joints()[i] - now.wished.joints()[i]).abs();
                            load.changed_by = load.changed_by.max(by / joint.effort);
                        }
                    }
                    Filtered::Stopped(_) => load.stopped += 1,
                }
                if [before.sent.mode(), now.sent.mode()] != [ControlMode::Torque; 2] {
                    continue;
                }
                let seconds = now.at.since(before.at).as_secs_f64();
                for (i, joint) in robot.joint.iter().enumerate() {
                    let (was, is) = (before.sent.joints()[i], now.sent.joints()[i]);
                    load.torque = load.torque.max(is.abs() / joint.effort);
                    load.torque_rate =
                        load.torque_rate.max((is - was).abs() / seconds / robot.limits.joint_torque_rate[i]);
                }
            }
        }
        Ok(load)
    }
}

/// Measured before, or now, by launch file and link.
type Rows = BTreeMap<String, Score>;

/// The page made from all rows.
fn page(rows: &Rows) -> String {
    let mut page = String::from(
        "# The button, pressed by every arm\n\nWritten by `cargo xtask button`, not by hand. Each policy of `launch/button` presses the button in 12 trials: in the \
         simulator of one process (lockstep), and from the images and through the emulated controller of another process (real \
         time). Control rows ran on the same trials: the scripted expert, random actions and, under torque, none at all (every \
         torque zero).\n\n| launch file | link | successes | aborted | control rows |\n|---|---|---|---|---|\n",
    );
    let mut loads = String::from(
        "\n## Torques\n\nThe hardest moments of those trials. Torque (on top of gravity compensation) and joint speed in shares of the \
         maker's limits, torque rate in shares of the arm's description, which is half of the maker's or less. *Changed*, *stopped*: control \
         ticks in which the safety filter changed a command (by which limit, and by at most how much of a joint's torque), or held the \
         arm.\n\n| launch file | link | peak torque | peak torque rate | peak joint speed | ticks | changed | stopped \
         |\n|---|---|---|---|---|---|---|---|\n",
    );
    for (name, score) in rows {
        let (launch, link) = name.split_once(' ').unwrap();
        let controls: Vec<String> =
            score.controls.iter().map(|(name, successes)| format!("{name} {successes}")).collect();
        let controls = if controls.is_empty() { "-".into() } else { controls.join(", ") };
        let (successes, trials) = (score.successes, score.trials);
        writeln!(page, "| {launch} | {link} | {successes}/{trials} | {} | {controls} |", score.aborted).unwrap();
        let Some(load) = &score.load else { continue };
        let share = |value: f64| format!("{:.0} %", 100.0 * value);
        let (torque, rate, speed) = (share(load.torque), share(load.torque_rate), share(load.speed));
        let changed: Vec<String> = load.limited.iter().map(|(reason, ticks)| format!("{ticks} {reason}")).collect();
        let changed =
            if changed.is_empty() { "0".into() } else { format!("{}, {}", changed.join(", "), share(load.changed_by)) };
        let counts = format!("{} | {changed} | {}", load.ticks, load.stopped);
        writeln!(loads, "| {launch} | {link} | {torque} | {rate} | {speed} | {counts} |").unwrap();
    }
    page + &loads
}

#[test]
#[ignore = "half an hour on a quiet machine; writes a page of the documentation"]
fn every_arm() {
    let file = root().join("docs/button.json");
    let mut rows: Rows =
        std::fs::read(&file).map_or_else(|_| Rows::new(), |text| serde_json::from_slice(&text).unwrap());
    let named = std::env::var("BUTTON").ok();
    let wanted = |name: &str| named.as_ref().is_none_or(|named| named.split(',').any(|named| named == name));
    let mut domain = 40 + std::process::id() % 30;
    let mut wrong = Vec::new();
    for arm in &ARMS {
        let here = format!("{} this process", arm.launch);
        for link in std::iter::once(None).chain(arm.links.iter().map(Some)) {
            let name = link.map_or(here.clone(), |link: &Link| format!("{} {}", arm.launch, link.driver));
            if !wanted(&name) {
                continue;
            }
            domain += 1;
            let folder = tempfile::tempdir().unwrap();
            let score = match link {
                None => arm.here(folder.path()),
                Some(link) => arm.over(link, domain, folder.path()),
            };
            match score {
                Ok(score) => {
                    println!("{name}: {score:?}");
                    rows.insert(name, score);
                    std::fs::write(&file, serde_json::to_vec_pretty(&rows).unwrap()).unwrap();
                    std::fs::write(root().join("docs/button.md"), page(&rows)).unwrap();
                }
                Err(why) => wrong.push(format!("{name}: {why}")),
            }
        }
        for (name, score) in rows.iter().filter(|(name, _)| name.starts_with(&format!("{} ", arm.launch))) {
            let least = if score.load.is_some() || *name != here { 8 } else { 10 };
            let near = rows.get(&here).is_none_or(|here| here.successes.abs_diff(score.successes) <= 2);
            // Random actions sometimes touch a button below them; without any actions it stays up.
            let idle = score.controls.iter().all(|(name, successes)| match name.as_str() {
                "still" => *successes == 0,
                "random" => 2 * successes <= score.successes,
                _ => true,
            });
            if score.successes < least || !near || !idle || score.aborted > 0 {
                wrong.push(format!("{name}: {score:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
