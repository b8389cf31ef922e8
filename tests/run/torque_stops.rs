//! Arms under a policy's own torques whose program is stopped, suspended or killed: how far the emulated joints move, and that they
//! stop in the end.
//!
//! Part of `cargo xtask stations` (3 minutes on a quiet machine), which writes `docs/torque_stops.md`. With `STATIONS` set, only
//! stations named in it are run, and no page is written. With `VISUOMOTOR` set, that program is driven instead of the one under test.

use std::fmt::Write;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{Simulated, root};

/// A launch file whose policy returns torques, and its emulated arm's address.
struct Station {
    name: &'static str,
    robot: &'static str,
    place: &'static [&'static str],
}

const STATIONS: [Station; 2] = [
    Station { name: "panda_torque", robot: "panda", place: &["--driver", "fci", "--address", "127.0.0.1"] },
    Station { name: "sawyer_torque", robot: "sawyer", place: &["--driver", "ros2"] },
];

/// What is done to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Interrupted,
    Terminated,
    TerminalClosed,
    /// For [`PAUSE`], then it is continued.
    Suspended,
    Killed,
}

impl Stop {
    const ALL: [Stop; 5] = [Stop::Interrupted, Stop::Terminated, Stop::TerminalClosed, Stop::Suspended, Stop::Killed];

    fn name(self) -> &'static str {
        match self {
            Stop::Interrupted => "SIGINT",
            Stop::Terminated => "SIGTERM",
            Stop::TerminalClosed => "SIGHUP",
            Stop::Suspended => "SIGSTOP, SIGCONT after 2 s",
            Stop::Killed => "SIGKILL",
        }
    }

    fn send(self, program: &Child) {
        let to = program.id() as libc::pid_t;
        // SAFETY: sends a signal to a child that was not waited for.
        let send = |signal| assert_eq!(unsafe { libc::kill(to, signal) }, 0);
        match self {
            Stop::Interrupted => send(libc::SIGINT),
            Stop::Terminated => send(libc::SIGTERM),
            Stop::TerminalClosed => send(libc::SIGHUP),
            Stop::Killed => send(libc::SIGKILL),
            Stop::Suspended => {
                send(libc::SIGSTOP);
                std::thread::sleep(PAUSE);
                send(libc::SIGCONT);
            }
        }
    }
}

/// How long a program is suspended.
const PAUSE: Duration = Duration::from_secs(2);
/// Joint speed from which an arm counts as moving when its program is stopped \[rad/s\].
const MOVING: f64 = 0.1;
/// How long the joints are watched afterwards.
const WATCHED: Duration = Duration::from_secs(4);
/// Farthest a joint may move after the stop \[rad\].
const FAR: f64 = 0.3;
/// A joint that moved less than this within the last second stands \[rad\].
const STILL: f64 = 2e-3;
/// Longest wait for the arm to move, and for the program to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Runs that may end by themselves before they are stopped, on a machine that stalls.
const TRIES: usize = 6;

/// State of the emulated arm at one time.
#[derive(Clone, Debug)]
struct Moment {
    /// On the clock of the process that emulates it \[s\].
    at: f64,
    /// rad, chain order.
    joints: Vec<f64>,
}

impl Moment {
    /// Largest distance of a joint between two times \[rad\].
    fn distance(&self, other: &Self) -> f64 {
        self.joints.iter().zip(&other.joints).map(|(one, two)| (one - two).abs()).fold(0.0, f64::max)
    }
}

/// Output of `simulate --trace` so far, without an incomplete last line.
fn trace(file: &Path) -> Vec<Moment> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let moment = |line: &str| {
        let mut numbers = line.split(' ').map(|number| number.parse::<f64>().unwrap());
        Some(Moment { at: numbers.next()?, joints: numbers.collect() })
    };
    whole.lines().filter_map(moment).collect()
}

/// Fastest joint over the last tenth of a second \[rad/s\].
fn speed(trace: &[Moment]) -> f64 {
    let Some(last) = trace.last() else { return 0.0 };
    let Some(before) = trace.iter().rev().find(|moment| last.at - moment.at >= 0.1) else { return 0.0 };
    last.distance(before) / (last.at - before.at)
}

/// Result of a stop.
struct Row {
    /// Fastest joint when it was stopped \[rad/s\].
    speed: f64,
    /// Farthest that a joint moved from where it then was \[rad\].
    travel: f64,
    /// Time until it reached its final position \[s\].
    standing_after: f64,
    /// How far a joint moved in the last second that was watched \[rad\].
    drift: f64,
    code: Option<i32>,
    said: &'static str,
}

impl Row {
    fn is_right(&self, stop: Stop) -> bool {
        let code = match stop {
            Stop::Interrupted | Stop::Terminated | Stop::TerminalClosed => Some(1),
            // The controller has stopped the arm meanwhile, which is a fault.
            Stop::Suspended => Some(3),
            Stop::Killed => None,
        };
        self.code == code && self.travel < FAR && self.drift < STILL
    }
}

impl Station {
    fn command(&self, folder: &Path, domain: u32, program: &Path, call: &[&str], more: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).env("ROS_DOMAIN_ID", domain.to_string()).stdin(Stdio::null());
        command.args(call).args(self.place).args(["--stage", "arm.stage"]).args(more);
        command
    }

    /// `None` if the run ended before it was stopped.
    fn run(&self, stop: Stop, domain: u32, folder: &Path) -> Result<Row, String> {
        let launch = root().join(format!("launch/button/{}.toml", self.name)).display().to_string();
        let ours = Path::new(env!("CARGO_BIN_EXE_visuomotor"));
        let simulate = ["simulate", "--robot", self.robot, "--launch", &launch];
        let simulate = self.command(folder, domain, ours, &simulate, &["--trace", "joints"]);
        let _arm = Simulated::start(simulate).ok_or("the emulated arm did not start")?;
        let driven = std::env::var_os("VISUOMOTOR");
        let driven = driven.as_deref().map_or(ours, Path::new);
        let mut run = self.command(folder, domain, driven, &["run", &launch], &["--yes"]);
        let mut run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(run.stdout.take().unwrap());
        let mut said = String::new();
        while out.read_line(&mut said).unwrap() > 0 && !said.ends_with("running\n") {}
        let joints = folder.join("joints");
        let give_up = Instant::now() + PATIENCE;
        // The motion to the start ended a moment ago.
        std::thread::sleep(Duration::from_millis(500));
        while speed(&trace(&joints)) < MOVING {
            if run.try_wait().unwrap().is_some() || Instant::now() > give_up {
                let _ = run.kill();
                let _ = out.read_to_string(&mut said);
                let _ = run.stderr.take().unwrap().read_to_string(&mut said);
                let _ = run.wait();
                let why = said.lines().find(|line| line.starts_with("fault") || line.starts_with("error"));
                return Err(format!("the arm did not move before the run ended: {}\n", why.unwrap_or(&said)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let before = trace(&joints);
        stop.send(&run);
        out.read_to_string(&mut said).unwrap();
        run.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let code = run.wait().unwrap().code();
        std::thread::sleep(WATCHED);
        let all = trace(&joints);
        // The newest row when the signal was sent, and all after it.
        let after = &all[before.len() - 1..];
        let (first, last) = (&after[0], &after[after.len() - 1]);
        let farthest = after.iter().map(|moment| moment.distance(first)).fold(0.0, f64::max);
        let moved = after.iter().rfind(|moment| moment.distance(last) > STILL).unwrap_or(first);
        let last_second = after.iter().filter(|moment| last.at - moment.at <= 1.0);
        Ok(Row {
            speed: speed(&before),
            travel: farthest,
            standing_after: moved.at - first.at,
            drift: last_second.map(|moment| moment.distance(last)).fold(0.0, f64::max),
            code,
            said: match (said.contains("stands and holds"), said.contains("COULD NOT BE CONFIRMED")) {
                (_, true) => "not confirmed, and said so",
                (true, _) => "seen standing",
                _ => "nothing",
            },
        })
    }
}

#[test]
#[ignore = "minutes on a quiet machine; writes a page of the documentation"]
fn every_signal() {
    let mut page = String::from(
        "# Arms under a policy's torques, stopped\n\nWritten by `cargo xtask stations`, not by hand. `visuomotor run launch/button/<station>.toml` drives an arm that another process \
         emulates with the torques of its policy, from images which that process publishes; while a joint is faster than 0.1 rad/s the program \
         gets a signal. Speed, travel and standing are of the emulated joints (`simulate --trace`, 100 Hz), not of what the program measured: \
         *travel* is the farthest a joint was from where it was at the signal within the time until 4 s after the program's end, *standing after* \
         is from when on each joint was within 2 mrad of where it stayed.\n\n| station | stopped by | speed then [rad/s] | travel [rad] | \
         standing after [s] | went in the last second [rad] | exit code | what the program said of the hold |\n|---|---|---|---|---|---|---|---|\n",
    );
    let mut wrong = Vec::new();
    let mut domain = 40 + std::process::id() % 30;
    let named = std::env::var("STATIONS").ok();
    let wanted = |station: &&Station| named.as_ref().is_none_or(|named| named.contains(station.name));
    for station in STATIONS.iter().filter(wanted) {
        for stop in Stop::ALL {
            let mut why = String::new();
            let row = (0..TRIES).find_map(|_| {
                domain += 1;
                let folder = tempfile::tempdir().unwrap();
                station.run(stop, domain, folder.path()).inspect_err(|error| why.push_str(error)).ok()
            });
            let Some(row) = row else {
                wrong.push(format!("{} {}: {why}", station.name, stop.name()));
                continue;
            };
            let line = format!(
                "| {} | {} | {:.2} | {:.4} | {:.2} | {:.5} | {} | {} |",
                station.name,
                stop.name(),
                row.speed,
                row.travel,
                row.standing_after,
                row.drift,
                row.code.map_or("-".into(), |code| code.to_string()),
                row.said
            );
            println!("{line}");
            writeln!(page, "{line}").unwrap();
            if !row.is_right(stop) {
                wrong.push(line);
            }
        }
    }
    if named.is_none() {
        std::fs::write(root().join("docs/torque_stops.md"), page).unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
