//! Rows in real time: a fault happens to real processes, and what the emulated arm does after it is measured.
//!
//! Distances are judged, never durations. A joint may travel as far as its speed at the fault carries it within the row's
//! detection bound and one control period, plus its braking distance, plus what its controller had already been told. The
//! longest stall of the arm's own process counts as detection time, because nothing on the machine ran then.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use visuomotor::action::ControlMode;
use visuomotor::driver::ros2::found_within;
use visuomotor::protection::Protection;

use super::link::Link;
use super::processes::{self, Process, Scratch};
use super::trace::{self, Turn};

/// A fault of processes, messages or machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The driving program is stopped for so long \[ms\], then goes on.
    Paused(u64),
    /// It gets this signal.
    Signal(i32, &'static str),
    /// It is killed: nothing of it runs any more.
    Killed,
    /// The watchdog process is killed.
    GuardKilled,
    /// The controller is killed: the arm does what its mechanics do.
    ControllerKilled,
    /// The arm's states no longer arrive; commands do.
    StatesLost,
    /// Commands no longer arrive; states do.
    CommandsLost,
    /// Neither arrives.
    BothLost,
    /// The driving program's machine has no network any more: nothing of it arrives, services and beats neither. Where the
    /// controller has no time-out of its own, a guard on its host stands by (`visuomotor guard --listen`).
    NetworkLost,
    /// A decision takes 1.2 s: the control loop goes on with the last action.
    PolicySlow,
    /// Every processor is taken by a thread of the highest real-time priority for so long \[ms\].
    Hogged(u64),
}

impl Fault {
    pub const ALL: [Fault; 17] = [
        Fault::Paused(15),
        Fault::Paused(50),
        Fault::Paused(500),
        Fault::Paused(2000),
        Fault::Signal(libc::SIGINT, "SIGINT"),
        Fault::Signal(libc::SIGTERM, "SIGTERM"),
        Fault::Signal(libc::SIGHUP, "SIGHUP"),
        Fault::Signal(libc::SIGQUIT, "SIGQUIT"),
        Fault::Killed,
        Fault::GuardKilled,
        Fault::ControllerKilled,
        Fault::StatesLost,
        Fault::CommandsLost,
        Fault::BothLost,
        Fault::NetworkLost,
        Fault::PolicySlow,
        Fault::Hogged(300),
    ];

    pub fn words(self) -> String {
        match self {
            Fault::Paused(ms) => format!("driving program stopped for {ms} ms"),
            Fault::Signal(_, name) => format!("driving program gets {name}"),
            Fault::Killed => "driving program killed (SIGKILL)".into(),
            Fault::GuardKilled => "watchdog process killed (SIGKILL)".into(),
            Fault::ControllerKilled => "arm's controller killed (SIGKILL)".into(),
            Fault::StatesLost => "states lost, commands arrive".into(),
            Fault::CommandsLost => "commands lost, states arrive".into(),
            Fault::BothLost => "states and commands lost".into(),
            Fault::NetworkLost => "network lost, guard on the controller's host where one is needed".into(),
            Fault::PolicySlow => "a decision takes 1.2 s".into(),
            Fault::Hogged(ms) => format!("all processors hogged for {ms} ms at real-time priority"),
        }
    }

    /// What protects against it, for the control row.
    fn protections(self, link: Link, mode: ControlMode) -> &'static [Protection] {
        use Protection::*;
        match self {
            Fault::CommandsLost if link.is_endless(mode) => &[Runaway],
            Fault::Paused(15 | 50) => &[EpollRetry],
            Fault::Paused(_) | Fault::Killed => &[Guard],
            Fault::NetworkLost if link.is_endless(mode) => &[Guard],
            Fault::Signal(..) => &[Signals],
            Fault::StatesLost | Fault::BothLost => &[BlindRamp, StateCheck],
            Fault::CommandsLost => &[Residual],
            Fault::Hogged(_) => &[DeadlineBudget],
            Fault::PolicySlow => &[ActionAge],
            Fault::GuardKilled | Fault::ControllerKilled | Fault::NetworkLost => &[],
        }
    }

    /// Longest time within which the fault must have been noticed \[s\]; `speed` is the arm's then \[rad/s\].
    ///
    /// Commands that are lost while states arrive show only by an arm that goes on although it is told otherwise. Until then it
    /// does what it is told, and nobody can see anything, so the time counts from then ([`told_otherwise`]). A servo may lag and
    /// sag by `limits.following_error` and be that far off for `limits.following_time`: a joint that goes on at `v` is found
    /// after the shorter of `following_error / v` and `following_time`, each with the blocks of 50 ms in which states are looked
    /// at; then its controller is asked by service, which may take as long as any of its states.
    fn detection(self, link: Link, mode: ControlMode, speed: f64) -> f64 {
        let states: f64 = match link {
            // 10 Hz states.
            Link::Jaco => 0.25,
            _ => 0.05,
        };
        match self {
            // Nothing needs to be noticed: the pause is shorter than any time-out.
            Fault::Paused(ms @ (15 | 50)) => ms as f64 * 1e-3,
            Fault::Signal(..) => 0.02,
            Fault::StatesLost => states,
            Fault::CommandsLost if link.is_endless(mode) => found_within(&link.robot(), mode, speed) + states,
            // The camera's oldest image and one policy period.
            Fault::PolicySlow => 0.5,
            // A controller that hears nothing is stopped by its own time-out, else by the guard, or switched off by a service.
            _ => match link {
                Link::PandaFci => 0.05,
                Link::PandaRos2Control | Link::WidowxXsSdk => 0.15,
                Link::WidowxDynamixel | Link::Sawyer => 0.25,
                Link::Jaco => 0.35,
            },
        }
    }

    /// May the arm go on after it?
    fn may_go_on(self) -> bool {
        matches!(self, Fault::Paused(_) | Fault::Hogged(_) | Fault::PolicySlow)
    }
}

/// What a row found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// The fault in words.
    pub fault: String,
    /// Arm and link.
    pub link: String,
    /// Control mode.
    pub mode: String,
    /// Protection that was switched off, in a control row.
    pub without: Option<String>,
    /// Within the bounds?
    pub green: bool,
    /// Why it was not run, where it was not.
    pub skipped: Option<String>,
    /// Largest joint speed at the fault \[rad/s\].
    #[serde(deserialize_with = "number")]
    pub speed_before: f64,
    /// Detection bound of the row \[s\].
    #[serde(deserialize_with = "number")]
    pub detection_bound: f64,
    /// The fastest joint had lost a tenth of its speed \[s after the fault\].
    pub noticed_after: Option<f64>,
    /// Every joint stood still from then on \[s after the fault\].
    pub rest_after: Option<f64>,
    /// Largest joint speed after the fault \[rad/s\].
    #[serde(deserialize_with = "number")]
    pub peak_speed: f64,
    /// Farthest a joint travelled after the fault \[rad\], and how far that joint might \[rad\].
    #[serde(deserialize_with = "number")]
    pub travelled: f64,
    /// Bound of that joint \[rad\].
    #[serde(deserialize_with = "number")]
    pub allowed: f64,
    /// Longest stall of the arm's process within the time judged \[s\].
    #[serde(deserialize_with = "number")]
    pub stall: f64,
    /// What the operator saw.
    pub seen: Vec<String>,
    /// What failed, in words.
    pub why: String,
}

/// As the environment variable has them.
pub fn names(protections: &[Protection]) -> String {
    protections.iter().map(|off| format!("{off:?}")).collect::<Vec<_>>().join(",")
}

/// A number; JSON has null for what is none.
fn number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
}

impl Finding {
    /// Nothing found yet.
    pub fn new(fault: &str, link: &str, mode: ControlMode, detection_bound: f64) -> Self {
        Self {
            fault: fault.into(),
            link: link.into(),
            mode: mode.to_string(),
            without: None,
            green: false,
            skipped: None,
            speed_before: f64::NAN,
            detection_bound,
            noticed_after: None,
            rest_after: None,
            peak_speed: f64::NAN,
            travelled: f64::NAN,
            allowed: f64::NAN,
            stall: f64::NAN,
            seen: Vec::new(),
            why: String::new(),
        }
    }
}

/// Joint speed that counts as standing \[rad/s\].
pub const STANDING: f64 = 0.02;
/// What the gauge cannot tell from rest: sag under gravity, settling of the simulated servo \[rad\].
pub const FLOOR: f64 = 0.015;
/// How long the arm is watched after a fault \[s\].
const WATCHED: f64 = 2.5;

/// Does the link have this row at all? Otherwise why not.
fn left_out(fault: Fault, link: Link, mode: ControlMode) -> Option<&'static str> {
    let own_timeout = !matches!(link, Link::WidowxXsSdk | Link::PandaRos2Control);
    match fault {
        Fault::GuardKilled if own_timeout || mode == ControlMode::Position => {
            Some("this link and mode needs no watchdog process: its controller has a time-out or keeps its position")
        }
        Fault::PolicySlow if link != Link::Sawyer => Some("a row of the policy: run once a mode"),
        Fault::ControllerKilled => Some("with its controller the mechanics end too: there is nothing left to measure"),
        Fault::CommandsLost | Fault::BothLost | Fault::NetworkLost | Fault::StatesLost
            if cfg!(not(feature = "fault-controls")) =>
        {
            Some("needs a build with the feature fault-controls")
        }
        _ => None,
    }
}

/// Runs one row; `off` makes it a control.
pub fn run(fault: Fault, link: Link, mode: ControlMode, domain: u16, control: bool) -> Finding {
    let off = if control { fault.protections(link, mode) } else { &[] };
    let mut finding = Finding::new(&fault.words(), link.name(), mode, fault.detection(link, mode, f64::INFINITY));
    finding.without = control.then(|| names(off));
    finding.skipped = left_out(fault, link, mode).map(String::from);
    if finding.skipped.is_some() {
        return finding;
    }
    if control && off.is_empty() {
        finding.skipped = Some("no protection of ours to switch off".into());
        return finding;
    }
    if let Err(error) = measure(fault, link, mode, domain, off, &mut finding) {
        finding.green = false;
        finding.why = format!("{error:#}");
    }
    finding
}

fn measure(
    fault: Fault,
    link: Link,
    mode: ControlMode,
    domain: u16,
    off: &[Protection],
    finding: &mut Finding,
) -> anyhow::Result<()> {
    let scratch = Scratch::new()?;
    let joints = link.joints();
    let mut arm = processes::arm(link, &scratch, domain)?;
    let (mut guard, mut address) = (None, None);
    if fault == Fault::NetworkLost && link.is_endless(mode) {
        let (process, place) = processes::listening_guard(domain, off)?;
        (guard, address) = (Some(process), Some(place));
    }
    let mut drive = processes::drive(link, mode, &scratch, domain, off, address.as_deref())?;
    wait_for_motion(&scratch, joints)?;
    let mut at = inject(fault, &mut arm, &mut drive)?;
    if fault == Fault::CommandsLost && link.is_endless(mode) {
        at = told_otherwise(&mut drive, at)?;
    }
    watch(at + WATCHED + if let Fault::Paused(ms) = fault { ms as f64 * 1e-3 } else { 0.0 });
    finding.seen = drive.lines();
    finding.seen.extend(guard.as_ref().map(Process::lines).unwrap_or_default());
    let turns = trace::read(&scratch.trace(), joints);
    judge(fault, link, mode, &turns, at, finding)?;
    drop(arm);
    drop(guard);
    // A control box ends a motion after 20 lost packets of a millisecond.
    let may_end = link == Link::PandaFci && fault == Fault::Paused(50);
    if matches!(fault, Fault::Paused(15 | 50)) && off.is_empty() && !may_end {
        let over = finding.seen.iter().any(|line| line.contains("ended"));
        anyhow::ensure!(!over, "a short pause ended the motion: {}", finding.seen.join(" | "));
    }
    if matches!(fault, Fault::Signal(..)) && off.is_empty() {
        anyhow::ensure!(drive.ended().is_some(), "the driving program did not end: {}", finding.seen.join(" | "));
        anyhow::ensure!(
            finding.seen.iter().any(|line| line.contains("hold the arm stands")),
            "it ended without having seen the arm stand: {}",
            finding.seen.join(" | ")
        );
    }
    Ok(())
}

/// When the driving program, which is not heard any more, told the arm to stand or to turn back; at the latest when it ended,
/// since it tells the arm to hold then. Until then the arm did as it was told.
fn told_otherwise(drive: &mut Process, lost: f64) -> anyhow::Result<f64> {
    let end = lost + 6.0;
    drive.tell("watch")?;
    loop {
        let lines = drive.lines();
        let at = |what: &str| {
            let line =
                lines.iter().find(|line| line.split_once(' ').is_some_and(|(_, event)| event.starts_with(what)))?;
            line.split_once(' ')?.0.parse::<f64>().ok()
        };
        if let Some(at) = at("told otherwise").or_else(|| at("ended")) {
            return Ok(at.max(lost));
        }
        anyhow::ensure!(now() < end, "the driving program never told the arm otherwise: {}", lines.join(" | "));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn now() -> f64 {
    trace::monotonic() as f64 * 1e-9
}

fn watch(until: f64) {
    while now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until the arm sways at a steady speed.
fn wait_for_motion(scratch: &Scratch, joints: usize) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs(15);
    loop {
        let turns = trace::read(&scratch.trace(), joints);
        let newest = now();
        let recent: Vec<&Turn> = turns.iter().filter(|turn| turn.at > newest - 0.25).collect();
        let steady = (0..joints).any(|joint| {
            recent.len() > 15
                && (recent.iter().all(|turn| turn.velocities[joint] > 0.06)
                    || recent.iter().all(|turn| turn.velocities[joint] < -0.06))
        });
        if steady {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < end, "the arm did not come to a steady motion");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn inject(fault: Fault, arm: &mut Process, drive: &mut Process) -> anyhow::Result<f64> {
    Ok(match fault {
        Fault::Paused(ms) => {
            let at = drive.signal(libc::SIGSTOP);
            watch(at + ms as f64 * 1e-3);
            drive.signal(libc::SIGCONT);
            at
        }
        Fault::Signal(signal, _) => drive.signal(signal),
        Fault::Killed => drive.signal(libc::SIGKILL),
        Fault::GuardKilled => {
            let guards = processes::children(drive.id());
            anyhow::ensure!(!guards.is_empty(), "the driving program started no watchdog process");
            for guard in guards {
                // SAFETY: kill takes no pointers; the number was just read from the kernel (kill(2)).
                unsafe { libc::kill(guard as i32, libc::SIGKILL) };
            }
            now()
        }
        Fault::ControllerKilled => arm.signal(libc::SIGKILL),
        Fault::StatesLost => arm.tell("states lost")?,
        Fault::CommandsLost => arm.tell("commands lost")?,
        Fault::BothLost => arm.tell("both lost")?,
        Fault::NetworkLost => drive.tell("network lost")?,
        Fault::PolicySlow => drive.tell("slow")?,
        Fault::Hogged(ms) => hog(Duration::from_millis(ms))?,
    })
}

/// Takes every processor with threads above all others; returns when it began.
fn hog(length: Duration) -> anyhow::Result<f64> {
    let count = std::thread::available_parallelism()?.get();
    let begun = now();
    let threads: Vec<_> = (0..count)
        .map(|_| {
            std::thread::spawn(move || {
                let parameters = libc::sched_param { sched_priority: 90 };
                // SAFETY: the calling thread is alive and `parameters` outlives the call (pthread_setschedparam(3)).
                let error = unsafe { libc::pthread_setschedparam(libc::pthread_self(), libc::SCHED_FIFO, &parameters) };
                let end = Instant::now() + length;
                while error == 0 && Instant::now() < end {
                    std::hint::spin_loop();
                }
                error
            })
        })
        .collect();
    for thread in threads {
        let error = thread.join().map_err(|_| anyhow::anyhow!("a hog panicked"))?;
        anyhow::ensure!(error == 0, "no real-time priority: {}", std::io::Error::from_raw_os_error(error));
    }
    Ok(begun)
}

fn fastest(turn: &Turn) -> f64 {
    turn.velocities.iter().fold(0.0, |most, v| f64::max(most, v.abs()))
}

fn judge(
    fault: Fault,
    link: Link,
    mode: ControlMode,
    turns: &[Turn],
    at: f64,
    finding: &mut Finding,
) -> anyhow::Result<()> {
    let robot = link.robot();
    let split = turns.partition_point(|turn| turn.at <= at);
    anyhow::ensure!(split > 0 && split < turns.len(), "the trace does not cover the fault");
    let (before, after) = (&turns[split - 1], &turns[split..]);
    finding.speed_before = fastest(before);
    finding.detection_bound = fault.detection(link, mode, finding.speed_before);
    finding.peak_speed = after.iter().map(fastest).fold(0.0, f64::max);
    // Where a pause may be survived, only what happens until the program runs again is the fault's doing.
    let end = match fault {
        Fault::Paused(ms) => at + ms as f64 * 1e-3,
        // Nobody runs meanwhile, the arm's controller neither: what it does right after counts too.
        Fault::Hogged(ms) => at + ms as f64 * 1e-3 + 0.3,
        // The sleep begins with the next decision.
        Fault::PolicySlow => at + 1.2,
        _ => f64::INFINITY,
    };
    let judged: Vec<&Turn> = after.iter().filter(|turn| turn.at <= end).collect();
    anyhow::ensure!(!judged.is_empty(), "the trace does not cover the time to judge");
    let joint = (0..before.velocities.len())
        .max_by(|&a, &b| before.velocities[a].abs().total_cmp(&before.velocities[b].abs()))
        .unwrap_or_default();
    finding.noticed_after = after
        .iter()
        .find(|turn| turn.velocities[joint].abs() < 0.9 * before.velocities[joint].abs())
        .map(|turn| turn.at - at);
    let mut previous = before.at;
    let mut stall: f64 = 0.0;
    for turn in &judged {
        stall = stall.max(turn.at - previous);
        previous = turn.at;
    }
    finding.stall = stall;
    let period = 1.0 / robot.robot.control_rate_hz;
    finding.allowed = f64::INFINITY;
    let mut share = f64::NEG_INFINITY;
    for joint in 0..before.positions.len() {
        // A sway may be gaining speed: within the detection time the arm is as fast as it was wished to be.
        let detected = judged.iter().take_while(|turn| turn.at <= at + finding.detection_bound);
        let speed = detected.map(|turn| turn.velocities[joint].abs()).fold(before.velocities[joint].abs(), f64::max);
        let deceleration = robot.limits.joint_acceleration[joint];
        let told = match (mode, before.mode) {
            (ControlMode::Position, 1) => (before.goal[joint] - before.positions[joint]).abs(),
            _ => 0.0,
        };
        let allowed =
            speed * (finding.detection_bound + period + stall) + speed * speed / (2.0 * deceleration) + told + FLOOR;
        let travelled =
            judged.iter().map(|turn| (turn.positions[joint] - before.positions[joint]).abs()).fold(0.0, f64::max);
        if travelled / allowed > share {
            share = travelled / allowed;
            (finding.travelled, finding.allowed) = (travelled, allowed);
        }
    }
    let worst = share - 1.0;
    let moving = after.iter().rposition(|turn| fastest(turn) > STANDING);
    let rests = moving.is_none_or(|last| last + 1 < after.len() && after[after.len() - 1].at - after[last].at > 0.3);
    finding.rest_after = rests.then(|| moving.map_or(0.0, |last| after[last].at - at));
    let limit = |joint: usize| 1.3 * robot.limits.joint_velocity[joint];
    let too_fast = after.iter().any(|turn| (0..turn.velocities.len()).any(|j| turn.velocities[j].abs() > limit(j)));
    finding.why = if worst > 0.0 && !(fault.may_go_on() && finding.detection_bound >= end - at) {
        format!("a joint travelled {:.3} rad, {:.3} were allowed", finding.travelled, finding.allowed)
    } else if too_fast {
        "a joint went faster than its limit".into()
    } else if !rests && !fault.may_go_on() {
        "the arm did not come to rest".into()
    } else {
        String::new()
    };
    finding.green = finding.why.is_empty();
    Ok(())
}
