//! Every station of `launch/stations` driven from its camera's images, each arm emulated by a separate process, and every end of a run.
//!
//! `cargo xtask stations` (9 minutes on a quiet machine) writes `docs/stations.md`. With `VISUOMOTOR` set, that program, a build without
//! MuJoCo, is driven instead of the one under test. With `STATIONS` set, only stations named in it are run, and no page is written.

use std::fmt::Write;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use visuomotor::action::ControlMode;
use visuomotor::config::Robot;
use visuomotor::episode::{ControlTick, Filtered, Outcome};
use visuomotor::recording::{ReadOptions, RecordedEpisode, read_episode_with};

use super::await_steps;
use crate::program::{Simulated, root};

/// A station, and its emulated arm's address.
struct Station {
    name: &'static str,
    robot: &'static str,
    driver: &'static str,
    place: &'static [&'static str],
}

const STATIONS: [Station; 6] = [
    Station { name: "widowx_servos", robot: "widowx", driver: "dynamixel", place: &["--port", "arm"] },
    Station { name: "widowx_xs_sdk", robot: "widowx", driver: "ros2", place: &[] },
    Station { name: "panda_fci", robot: "panda", driver: "fci", place: &["--address", "127.0.0.1"] },
    Station { name: "panda_ros2", robot: "panda", driver: "ros2", place: &[] },
    Station { name: "sawyer", robot: "sawyer", driver: "ros2", place: &[] },
    Station { name: "jaco", robot: "jaco_j2s7s300", driver: "ros2", place: &[] },
];

/// Steps after which a run is ended, unless its time ends it.
const STEPS: usize = 20;

/// What ends a run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Time,
    Signal(&'static str, libc::c_int),
    /// The emulated arm and its camera are gone.
    PeerLost,
}

const ENDINGS: [Ending; 6] = [
    Ending::Time,
    Ending::Signal("SIGINT", libc::SIGINT),
    Ending::Signal("SIGTERM", libc::SIGTERM),
    Ending::Signal("SIGHUP", libc::SIGHUP),
    Ending::Signal("SIGQUIT", libc::SIGQUIT),
    Ending::PeerLost,
];

/// Results of a run.
struct Row {
    steps: usize,
    ticks: usize,
    code: Option<i32>,
    /// Largest change from one command to the next, as a share of the limit for that time.
    hardest: f64,
    /// Its last line about the arm.
    held: &'static str,
    outcome: String,
}

fn command(folder: &Path, domain: u32, program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("ROS_DOMAIN_ID", domain.to_string()).args(arguments).stdin(Stdio::null());
    command
}

impl Station {
    fn run(&self, ending: Ending, domain: u32, folder: &Path) -> Result<Row, String> {
        let launch = root().join(format!("launch/stations/{}.toml", self.name)).display().to_string();
        let place = [self.place, &["--driver", self.driver, "--stage", "arm.stage"]].concat();
        let ours = Path::new(env!("CARGO_BIN_EXE_visuomotor"));
        let simulate = [&["simulate", "--robot", self.robot, "--launch", &launch], &place[..]].concat();
        let arm = Simulated::start(command(folder, domain, ours, &simulate));
        let mut arm = arm.ok_or("the emulated arm did not start")?;
        let driven = std::env::var_os("VISUOMOTOR");
        let driven = driven.as_deref().map_or(ours, Path::new);
        let seconds = if ending == Ending::Time { "4" } else { "30" };
        let run = ["run", &launch, "--policy", "random", "--start", "home", "--seconds", seconds, "--record", "runs"];
        let mut run = command(folder, domain, driven, &[&run[..], &place].concat());
        let mut run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(run.stdout.take().unwrap());
        let mut said = String::new();
        // The run itself begins after the motion to its start.
        while out.read_line(&mut said).unwrap() > 0 && !said.ends_with("running\n") {}
        if ending != Ending::Time {
            await_steps(&mut run, &folder.join("runs"), STEPS);
        }
        match ending {
            Ending::Time => {}
            // SAFETY: sends a signal to a child that was not waited for.
            Ending::Signal(_, signal) => _ = unsafe { libc::kill(run.id() as libc::pid_t, signal) },
            Ending::PeerLost => _ = arm.0.kill(),
        }
        out.read_to_string(&mut said).unwrap();
        let code = run.wait().unwrap().code();
        let mut log = String::new();
        run.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        let recorded =
            std::fs::read_dir(folder.join("runs")).map_err(|_| format!("nothing was recorded: {log}{said}"))?;
        let path = recorded.flatten().map(|entry| entry.path()).max().ok_or("nothing was recorded")?;
        let options = ReadOptions { control_ticks: true, ..ReadOptions::default() };
        let recorded = read_episode_with(&path, options).map_err(|error| error.to_string())?;
        let _ = std::fs::remove_dir_all(folder.join("runs"));
        let everything = format!("{said}{log}");
        let held = match (everything.contains("stands and holds"), everything.contains("COULD NOT BE CONFIRMED")) {
            (_, true) => "not confirmed, and said so",
            (true, _) => "seen standing",
            // A run that ends by its time reports this only if it is not standing.
            (false, false) if ending == Ending::Time => "seen standing",
            (false, false) => "nothing said",
        };
        Ok(Row {
            steps: recorded.steps.len(),
            ticks: recorded.ticks.len(),
            code,
            hardest: hardest(&Robot::load(root(), self.robot).unwrap(), &recorded),
            held,
            outcome: recorded.end.as_ref().map_or("cut off".into(), |end| match &end.outcome {
                Outcome::Success { judge } => judge.clone(),
                Outcome::Failure { judge, why } | Outcome::Aborted { judge, why } => format!("{judge}: {why}"),
            }),
        })
    }
}

/// Time over which changes of commands are measured \[s\]: ticks are recorded with their planned time, and one that is late
/// by some tenths of a millisecond may change its command by correspondingly more.
const SPAN: f64 = 0.02;

/// The largest change of a command in shares of its limit: velocities of positions, accelerations of velocities.
fn hardest(robot: &Robot, recorded: &RecordedEpisode) -> f64 {
    let limits = &robot.limits;
    let ticks = &recorded.ticks;
    let ends = |first: usize| {
        (first + 1..ticks.len()).find(|&last| ticks[last].at.since(ticks[first].at).as_secs_f64() >= SPAN)
    };
    // While the arm holds nothing is sent; it continues from where it then stands.
    let held = |tick: &ControlTick| matches!(tick.filtered, Filtered::Stopped(_));
    let sent = |first: usize, last: usize| !ticks[first..=last].iter().any(held);
    let moves = (0..ticks.len()).filter_map(|first| Some((first, ends(first)?)));
    let moves = moves.filter(|(first, last)| sent(*first, *last)).map(|(first, last)| (&ticks[first], &ticks[last]));
    let moves = moves.filter(|(first, last)| first.sent.mode() == last.sent.mode());
    let shares = moves.flat_map(|(first, last)| {
        let seconds = last.at.since(first.at).as_secs_f64();
        let most = match first.sent.mode() {
            ControlMode::Position => &limits.joint_velocity,
            ControlMode::Velocity => &limits.joint_acceleration,
            ControlMode::Torque => &limits.joint_torque_rate,
        };
        let (one, two) = (first.sent.joints(), last.sent.joints());
        (0..most.len()).map(move |joint| (two[joint] - one[joint]).abs() / (seconds * most[joint]))
    });
    shares.fold(0.0, f64::max)
}

#[test]
#[ignore = "minutes of a quiet machine; writes a page of the documentation"]
fn every_station() {
    let mut page = String::from(
        "# Every station, driven\n\nWritten by `cargo xtask stations`, not by hand. `visuomotor run launch/stations/<station>.toml --policy random --start home --record ...` drives an arm that another process \
         emulates, from images which that process publishes, and is ended. *Hardest command* is the largest change of the recorded \
         commands within 20 ms (or from one to the next), in shares of what the arm's limits allow in that time (velocity of positions, \
         acceleration of velocities); ticks are stamped as planned, so a late one counts for some hundredths too much.\n\n| station | ended by | exit code | decisions | ticks | hardest command | the arm at the end | recorded as |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let mut wrong = Vec::new();
    let mut domain = std::process::id() % 30;
    let named = std::env::var("STATIONS").ok();
    let wanted = |station: &&Station| named.as_ref().is_none_or(|named| named.contains(station.name));
    for station in STATIONS.iter().filter(wanted) {
        for ending in ENDINGS {
            domain += 1;
            let folder = tempfile::tempdir().unwrap();
            let name = match ending {
                Ending::Time => "its time".to_string(),
                Ending::Signal(name, _) => name.into(),
                Ending::PeerLost => "arm and camera killed".into(),
            };
            let row = match station.run(ending, domain, folder.path()) {
                Ok(row) => row,
                Err(why) => {
                    wrong.push(format!("{} {name}: {why}", station.name));
                    continue;
                }
            };
            let line = format!(
                "| {} | {name} | {} | {} | {} | {:.2} | {} | {} |",
                station.name,
                row.code.map_or("-".into(), |code| code.to_string()),
                row.steps,
                row.ticks,
                row.hardest,
                row.held,
                row.outcome
            );
            println!("{line}");
            writeln!(page, "{line}").unwrap();
            let code = match ending {
                Ending::Time => 0,
                Ending::Signal(..) => 1,
                Ending::PeerLost => 3,
            };
            let lost = ending == Ending::PeerLost;
            let held = if lost { row.held != "nothing said" } else { row.held == "seen standing" };
            if row.code != Some(code) || row.steps < STEPS / 2 || row.hardest > 1.05 || !held {
                wrong.push(line);
            }
        }
    }
    if named.is_none() {
        std::fs::write(root().join("docs/stations.md"), page).unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
