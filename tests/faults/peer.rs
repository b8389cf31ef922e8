//! The same faults over the same emulated servo bus, driven by this program and by LeRobot 0.4.4 (`lerobot_widowx.py`).
//!
//! `-- lerobot PYTHON OUT`, where PYTHON is that of an environment with `lerobot[dynamixel]==0.4.4`, writes
//! `faults-lerobot.json` and `faults-lerobot.md`. Only what the emulated arm does is compared; both sides get the bound that
//! this program sets for itself.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use visuomotor::action::ControlMode;

use super::finding::{FLOOR, STANDING};
use super::link::Link;
use super::processes::{self, Process, Scratch};
use super::trace::{self, Turn};
use super::wall::wait_for_motion;

const LINK: Link = Link::WidowxDynamixel;

/// How long the arm is watched \[s\].
const WATCHED: f64 = 3.0;

/// The fault, and the bound within which it must be noticed \[s\].
#[derive(Clone, Copy)]
enum Fault {
    Signal(i32),
    /// Stopped for this long \[ms\].
    Paused(u64),
    /// A line to the driving program.
    Cue(&'static str),
}

/// The criterion.
#[derive(Clone, Copy, PartialEq)]
enum Bound {
    /// The arm stops within its detection time \[s\] and braking distance, and does not fall.
    Stands(f64),
    /// No joint exceeds its speed limit.
    Speed,
}

struct Row {
    words: &'static str,
    fault: Fault,
    bound: Bound,
}

const fn row(words: &'static str, fault: Fault, bound: Bound) -> Row {
    Row { words, fault, bound }
}

/// A decision comes every 0.2 s; an image may be 0.3 s old.
const ROWS: [Row; 10] = [
    row("driving program gets SIGINT (Ctrl-C)", Fault::Signal(libc::SIGINT), Bound::Stands(0.02)),
    row("driving program gets SIGTERM", Fault::Signal(libc::SIGTERM), Bound::Stands(0.02)),
    row("driving program gets SIGHUP (closed terminal)", Fault::Signal(libc::SIGHUP), Bound::Stands(0.02)),
    row("driving program killed (SIGKILL)", Fault::Signal(libc::SIGKILL), Bound::Stands(0.25)),
    row("driving program stopped for 500 ms", Fault::Paused(500), Bound::Speed),
    row("a decision takes 1.2 s", Fault::Cue("slow"), Bound::Speed),
    row("policy returns NaN", Fault::Cue("nan"), Bound::Stands(0.25)),
    row("policy asks for a quarter turn at once", Fault::Cue("jump"), Bound::Speed),
    row("camera gives no more images", Fault::Cue("camera silent"), Bound::Stands(0.55)),
    row("camera repeats one image under new stamps", Fault::Cue("camera frozen"), Bound::Stands(0.55)),
];

/// Reaction of one program's arm.
#[derive(Debug, Serialize)]
struct Finding {
    fault: &'static str,
    program: &'static str,
    green: bool,
    /// Fastest joint at the fault, and afterwards \[rad/s\].
    speed_before: f64,
    peak_speed: f64,
    /// Farthest any joint moved after the fault, and its bound if the arm must stop \[rad\].
    travelled: f64,
    allowed: Option<f64>,
    /// Every joint stood still from then on \[s after the fault\].
    rest_after: Option<f64>,
    /// Torque was off at the end: such an arm lies on its stops or on the table.
    torque_off: bool,
    seen: Vec<String>,
    why: String,
}

/// Runs all rows and writes them to `out`.
pub fn run(python: &Path, out: &Path) -> anyhow::Result<()> {
    let mut findings = Vec::new();
    for row in &ROWS {
        for program in ["visuomotor", "LeRobot 0.4.4"] {
            let domain = 1 + (findings.len() % 90) as u16;
            let finding = measure(row, program, python, domain)?;
            println!(
                "{} {}: {}: travelled {:.3} of {}, peak {:.2} rad/s, rest {:?}{} {}",
                if finding.green { "ok  " } else { "RED " },
                finding.program,
                finding.fault,
                finding.travelled,
                finding.allowed.map_or("-".into(), |allowed| format!("{allowed:.3} rad")),
                finding.peak_speed,
                finding.rest_after,
                if finding.torque_off { ", torque off" } else { "" },
                finding.why
            );
            findings.push(finding);
        }
    }
    std::fs::create_dir_all(out)?;
    std::fs::write(out.join("faults-lerobot.json"), serde_json::to_string_pretty(&findings)? + "\n")?;
    std::fs::write(out.join("faults-lerobot.md"), page(&findings)?)?;
    let ours = findings.iter().filter(|finding| finding.program == "visuomotor" && !finding.green).count();
    anyhow::ensure!(ours == 0, "{ours} rows of this program are red");
    Ok(())
}

fn measure(row: &Row, program: &'static str, python: &Path, domain: u16) -> anyhow::Result<Finding> {
    let scratch = Scratch::new()?;
    let _arm = processes::arm(LINK, &scratch, domain)?;
    let mut drive = match program {
        "visuomotor" => processes::drive(LINK, ControlMode::Position, &scratch, domain, &[], None)?,
        _ => processes::lerobot(python, &scratch)?,
    };
    wait_for_motion(&scratch, LINK.joints(), &mut drive)?;
    let at = inject(row.fault, &mut drive)?;
    std::thread::sleep(Duration::from_secs_f64(WATCHED));
    let turns = trace::read(&scratch.trace(), LINK.joints());
    let split = turns.partition_point(|turn| turn.at <= at);
    anyhow::ensure!(split > 0 && split < turns.len(), "the trace does not cover the fault");
    Ok(judge(row, program, (&turns[split - 1], &turns[split..]), at, drive.lines()))
}

fn inject(fault: Fault, drive: &mut Process) -> anyhow::Result<f64> {
    Ok(match fault {
        Fault::Signal(signal) => drive.signal(signal),
        Fault::Cue(line) => drive.tell(line)?,
        Fault::Paused(ms) => {
            let at = drive.signal(libc::SIGSTOP);
            std::thread::sleep(Duration::from_millis(ms));
            drive.signal(libc::SIGCONT);
            at
        }
    })
}

fn fastest(turn: &Turn) -> f64 {
    turn.velocities.iter().fold(0.0, |most, speed| f64::max(most, speed.abs()))
}

fn judge(
    row: &Row,
    program: &'static str,
    (before, after): (&Turn, &[Turn]),
    at: f64,
    mut seen: Vec<String>,
) -> Finding {
    let robot = LINK.robot();
    let period = 1.0 / robot.identity.control_rate_hz;
    let distance = |joint: usize| {
        after.iter().map(|turn| (turn.positions[joint] - before.positions[joint]).abs()).fold(0.0, f64::max)
    };
    let joints = 0..before.positions.len();
    let worst = joints.clone().max_by(|&a, &b| distance(a).total_cmp(&distance(b))).unwrap_or_default();
    // The joint that moved farthest, with the speed of the fastest: generous to both programs.
    let speed = fastest(before);
    let allowed = match row.bound {
        Bound::Stands(detection) => {
            let told = (before.goal[worst] - before.positions[worst]).abs();
            let braking = speed * speed / (2.0 * robot.limits.joint_acceleration[worst]);
            Some(speed * (detection + period) + braking + told + FLOOR)
        }
        Bound::Speed => None,
    };
    let too_fast = after.iter().any(|turn| {
        joints.clone().any(|joint| !(turn.velocities[joint].abs() <= 1.3 * robot.limits.joint_velocity[joint]))
    });
    let last = after.iter().rposition(|turn| fastest(turn) > STANDING);
    let end = after[after.len() - 1].at;
    let rest_after = match last {
        None => Some(0.0),
        Some(last) if end - after[last].at > 0.3 => Some(after[last].at - at),
        Some(_) => None,
    };
    let travelled = distance(worst);
    let why = if too_fast {
        "a joint went faster than its limit"
    } else if allowed.is_some_and(|allowed| !(travelled <= allowed)) {
        "a joint went too far"
    } else if allowed.is_some() && rest_after.is_none() {
        "the arm did not come to rest"
    } else {
        ""
    };
    // The loop's own clock lines are unrelated to the fault.
    seen.retain(|line| !line.contains("Teleop loop time"));
    let seen: Vec<String> = seen.iter().map(|line| plain(line)).filter(|line| !line.trim().is_empty()).collect();
    Finding {
        fault: row.words,
        program,
        green: why.is_empty(),
        speed_before: speed,
        peak_speed: after.iter().map(fastest).fold(0.0, f64::max),
        travelled,
        allowed,
        rest_after,
        torque_off: after[after.len() - 1].mode == 0,
        seen: seen[seen.len().saturating_sub(12)..].to_vec(),
        why: why.into(),
    }
}

/// A printed line without the terminal's control characters, and LeRobot's file paths only from LeRobot on.
fn plain(line: &str) -> String {
    let line = line.replace("\u{1b}[1A", "");
    match (line.find("File \""), line.find("site-packages/")) {
        (Some(from), Some(to)) if from < to => {
            format!("{}{}", &line[..from + "File \"".len()], &line[to + "site-packages/".len()..])
        }
        _ => line,
    }
}

/// The most informative line: an error, the arm's final state, the reason of the stop.
fn last_words(seen: &[String]) -> &str {
    let says = |word: &str| seen.iter().rev().find(|line| line.contains(word));
    let line = ["Error: ", " fault ", " hold ", " ended ", " stopped "].iter().find_map(|word| says(word));
    line.map_or("-", |line| line.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == ' '))
}

fn page(findings: &[Finding]) -> Result<String, std::fmt::Error> {
    let mut page = String::from(
        "# The same faults with LeRobot 0.4.4\n\nWritten by `cargo xtask faults-lerobot`; not edited by hand. The emulated WidowX 250 \
         stands on its serial port and sways at about 1.1 rad/s. LeRobot drives it by its own Koch follower class with the \
         WidowX's servo list, its own `teleop_loop` at 60 Hz and its own OpenCV camera class, with its default settings \
         ([`lerobot_widowx.py`](../tests/faults/lerobot_widowx.py)); this program by its runtime at 50 Hz. The bounds are \
         this program's own. One run a row. Speeds above about 5 rad/s are the emulator's: a real servo's motor ends there.\n\n\
         | fault | program | result | rad/s before | peak rad/s | farthest joint / allowed \\[rad\\] | at rest after \\[s\\] | torque | last words |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for finding in findings {
        let words = last_words(&finding.seen);
        writeln!(
            page,
            "| {} | {} | {} | {:.2} | {:.2} | {:.3} / {} | {} | {} | {} |",
            finding.fault,
            finding.program,
            if finding.green { "green".into() } else { format!("**red**: {}", finding.why) },
            finding.speed_before,
            finding.peak_speed,
            finding.travelled,
            finding.allowed.map_or("-".into(), |allowed| format!("{allowed:.3}")),
            finding.rest_after.map_or("-".into(), |after| format!("{after:.2}")),
            if finding.torque_off { "**off**" } else { "on" },
            words.replace('|', "/").chars().take(160).collect::<String>(),
        )?;
    }
    Ok(page)
}
