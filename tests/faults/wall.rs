//! Rows in real time: a fault happens to real processes, and what the emulated arm does after it is measured.
//!
//! Distances are judged, never durations. A joint may travel as far as its speed at the fault carries it within the row's
//! detection bound and one control period, plus its braking distance, plus what its controller had already been told. The
//! longest stall of the arm's own process counts as detection time, because nothing on the machine ran then.

use std::time::{Duration, Instant};

use visuomotor::action::ControlMode;
use visuomotor::driver::ros2::found_within;
use visuomotor::protection::Protection;

use super::finding::{Finding, names};
use super::inject::inject;
use super::judge::{judge, judge_words};
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
    /// The arm's states are lost for 0.6 s; then it is recovered and driven on.
    Recovered,
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
    /// Each write of the recording takes 1 s from now on.
    DiskSlow,
    /// Bytes that are no message, and messages that were cut, come in by the thousand.
    Malformed,
    /// Another program begins to publish commands.
    SecondCommander,
    /// The computer of the program is gone, or the network to it: a watchdog on the controller's side is left.
    HostLost,
}

impl Fault {
    pub const ALL: [Fault; 22] = [
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
        Fault::Recovered,
        Fault::CommandsLost,
        Fault::BothLost,
        Fault::NetworkLost,
        Fault::PolicySlow,
        Fault::Hogged(300),
        Fault::DiskSlow,
        Fault::Malformed,
        Fault::SecondCommander,
        Fault::HostLost,
    ];

    pub fn words(self) -> String {
        match self {
            Fault::Paused(ms) => format!("driving program stopped for {ms} ms"),
            Fault::Signal(_, name) => format!("driving program gets {name}"),
            Fault::Killed => "driving program killed (SIGKILL)".into(),
            Fault::GuardKilled => "watchdog process killed (SIGKILL)".into(),
            Fault::ControllerKilled => "arm's controller killed (SIGKILL)".into(),
            Fault::StatesLost => "states lost, commands arrive".into(),
            Fault::Recovered => "states lost for 0.6 s, then recovered and driven on".into(),
            Fault::CommandsLost => "commands lost, states arrive".into(),
            Fault::BothLost => "states and commands lost".into(),
            Fault::NetworkLost => "network lost, guard on the controller's host where one is needed".into(),
            Fault::PolicySlow => "a decision takes 1.2 s".into(),
            Fault::Hogged(ms) => format!("all processors hogged for {ms} ms at real-time priority"),
            Fault::DiskSlow => "each write to the disk takes 1 s".into(),
            Fault::Malformed => "malformed packets come in".into(),
            Fault::SecondCommander => "another program publishes commands".into(),
            Fault::HostLost => {
                "the program's computer or its network is lost, watchdog on the controller's side".into()
            }
        }
    }

    /// What protects against it, for the control row.
    fn protections(self, link: Link, mode: ControlMode) -> &'static [Protection] {
        use Protection::*;
        match self {
            Fault::CommandsLost if link.is_endless(mode) => &[Runaway],
            Fault::Paused(15 | 50) => &[EpollRetry],
            Fault::Paused(_) | Fault::Killed | Fault::HostLost => &[Guard],
            Fault::NetworkLost if link.is_endless(mode) => &[Guard],
            Fault::Signal(..) => &[Signals],
            // The guard is asked to stop the arm, and an arm that goes on is stopped by service.
            Fault::BothLost if link.is_endless(mode) => &[BlindRamp, StateCheck, Guard, Runaway],
            // The gauge of jumps is tried on every trace; what protects when states are lost has its own row.
            Fault::Recovered => &[],
            Fault::StatesLost | Fault::BothLost => &[BlindRamp, StateCheck],
            Fault::CommandsLost => &[Residual],
            Fault::Hogged(_) => &[DeadlineBudget, ActionAge, Guard, GuardWatch, StateCheck, CommandDeadline],
            Fault::PolicySlow => &[ActionAge],
            Fault::DiskSlow => &[Recording],
            Fault::SecondCommander => &[Protection::SecondCommander],
            Fault::Malformed => &[PacketCheck, StateCheck],
            Fault::GuardKilled => &[GuardWatch],
            Fault::ControllerKilled | Fault::NetworkLost => &[],
        }
    }

    /// Longest time within which the fault must have been noticed \[s\]; `speed` is the arm's then \[rad/s\].
    ///
    /// Commands that are lost while states arrive show only by an arm that goes on although it is commanded otherwise. Until then it
    /// does what it is told, and nobody can see anything, so the time counts from then ([`told_otherwise`]). A servo may lag and
    /// sag by `limits.following_error` and be that far off for `limits.following_time`: a joint that goes on at `v` is found
    /// after the shorter of `following_error / v` and `following_time`, each with the blocks of 50 ms in which states are looked
    /// at; then its controller is asked by service, which may take as long as any of its states.
    pub fn detection(self, link: Link, mode: ControlMode, speed: f64) -> f64 {
        let states: f64 = match link {
            // 10 Hz states.
            Link::Jaco => 0.25,
            _ => 0.05,
        };
        match self {
            // Nothing needs to be noticed: the pause is shorter than any time-out.
            Fault::Paused(ms @ (15 | 50)) => ms as f64 * 1e-3,
            Fault::Signal(..) => 0.02,
            Fault::StatesLost | Fault::Recovered => states,
            Fault::CommandsLost if link.is_endless(mode) => found_within(&link.robot(), mode, speed) + states,
            // The camera's oldest image and one policy period.
            Fault::PolicySlow => 0.5,
            // Looked for five times a second, after it was discovered.
            Fault::SecondCommander => 0.6,
            Fault::DiskSlow | Fault::Malformed => f64::INFINITY,
            // A controller that hears nothing is stopped by its own time-out, else by the guard, or switched off by a service.
            _ => match link {
                Link::PandaFci => 0.05,
                Link::PandaRos2Control | Link::WidowxXsSdk => 0.15,
                Link::WidowxDynamixel | Link::Sawyer => 0.25,
                // The guard's, as for the others that have one; the program itself waits for states that come at 10 Hz.
                Link::Jaco if link.is_endless(mode) && self != Fault::BothLost => 0.15,
                Link::Jaco => 0.35,
            },
        }
    }

    /// May the arm go on after it?
    pub fn may_go_on(self) -> bool {
        matches!(
            self,
            Fault::Recovered
                | Fault::Paused(_)
                | Fault::Hogged(_)
                | Fault::PolicySlow
                | Fault::DiskSlow
                | Fault::Malformed
        )
    }
}

/// How long the arm is watched after a fault \[s\].
const WATCHED: f64 = 2.5;

/// Does the link have this row at all? Otherwise why not.
pub fn left_out(fault: Fault, link: Link, mode: ControlMode) -> Option<&'static str> {
    let own_timeout = link.times_out(mode);
    match fault {
        Fault::GuardKilled if own_timeout || mode == ControlMode::Position => {
            Some("this link and mode needs no watchdog process: its controller has a time-out or keeps its position")
        }
        Fault::PolicySlow if link != Link::Sawyer => Some("a row of the policy: run once a mode"),
        Fault::SecondCommander if link == Link::WidowxDynamixel => Some("a serial port is locked to one program"),
        Fault::SecondCommander if link == Link::PandaFci => Some("a control box takes one connection"),
        Fault::HostLost if own_timeout || mode == ControlMode::Position => Some(
            "this link and mode needs no watchdog: its controller has a time-out or keeps its position, as when the program is killed",
        ),
        Fault::NetworkLost if link == Link::WidowxDynamixel => {
            Some("a serial cable is no network: as states and commands lost")
        }
        Fault::NetworkLost if link == Link::PandaFci => Some("its wire is the network: as states and commands lost"),
        Fault::DiskSlow if link != Link::Sawyer => Some("a row of the disk: run once a mode"),
        Fault::CommandsLost
        | Fault::BothLost
        | Fault::NetworkLost
        | Fault::StatesLost
        | Fault::Recovered
        | Fault::DiskSlow
        | Fault::Malformed
            if cfg!(not(feature = "fault-controls")) =>
        {
            Some("needs a build with the feature fault-controls")
        }
        _ => None,
    }
}

/// Why a row has no control: the arm is safe without any protection of ours, or what protects is not ours.
fn no_control(fault: Fault, link: Link, mode: ControlMode) -> Option<&'static str> {
    let own_timeout = link.times_out(mode);
    match fault {
        Fault::Paused(15 | 50) if matches!(link, Link::WidowxDynamixel | Link::PandaFci) => Some(
            "safe: the arm's controller itself bears so short a silence, and the link waits for nothing that a signal ends",
        ),
        Fault::Paused(_) | Fault::Killed | Fault::CommandsLost | Fault::BothLost | Fault::NetworkLost
            if own_timeout && !matches!(fault, Fault::Paused(15 | 50)) =>
        {
            Some("safe: the arm's controller itself stops when it hears nothing for its time-out")
        }
        Fault::Paused(500..) | Fault::Killed | Fault::CommandsLost | Fault::BothLost | Fault::NetworkLost
            if mode == ControlMode::Position =>
        {
            Some("safe: the arm's controller itself goes to the last position and stays")
        }
        Fault::StatesLost if link == Link::PandaFci => {
            Some("safe: the control box itself ends a motion when its states are not answered")
        }
        Fault::Hogged(_) if matches!(link, Link::WidowxDynamixel | Link::PandaFci) => {
            Some("safe: the arm's controller itself stops when it hears nothing for its time-out, and says so")
        }
        Fault::Malformed if link == Link::PandaFci => {
            Some("its packets are checked by the library that speaks to the control box")
        }
        Fault::Malformed if link != Link::WidowxDynamixel => {
            Some("its packets are checked by the middleware's library")
        }
        Fault::Recovered => {
            Some("states lost have a row of their own; the gauge of jumps is tried on every trace it judges")
        }
        Fault::ControllerKilled => Some("its silence is that of lost states, whose control is there"),
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
    finding.skipped = control.then(|| no_control(fault, link, mode)).flatten().map(String::from);
    if finding.skipped.is_some() {
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
    let mut set_up = SetUp::moving(fault, link, mode, domain, off)?;
    let said_before = set_up.drive.lines().len();
    let mut at = inject(fault, &mut set_up)?;
    if fault == Fault::CommandsLost && link.is_endless(mode) {
        at = told_otherwise(&mut set_up.drive, at)?;
    }
    if fault == Fault::Recovered {
        // It looks for a while whether the arm stands, connects what has to be connected, and sways for some time.
        set_up.drive.wait_for("recovered")?;
        watch(now() + 4.0);
    }
    watch(at + WATCHED + if let Fault::Paused(ms) = fault { ms as f64 * 1e-3 } else { 0.0 });
    finding.seen = set_up.drive.lines().split_off(said_before);
    finding.seen.extend(set_up.guard.iter().flat_map(Process::lines));
    if fault == Fault::ControllerKilled {
        // It asks the controller that is gone to switch off, and waits for that a while.
        while set_up.drive.ended().is_none() && now() < at + 12.0 {
            watch(now() + 0.05);
        }
        finding.seen = set_up.drive.lines().split_off(said_before);
        return judge_words(link, at, set_up.drive.ended().is_some(), finding);
    }
    let turns = trace::read(&set_up.scratch.trace(), link.joints());
    judge(fault, link, mode, &turns, at, finding)?;
    // It ends before its recording is looked at, and may be stopped: then it must not hear of a signal.
    let ended = set_up.drive.ended().is_some();
    drop(set_up.arm);
    finding.kept = set_up.scratch.kept(ended);
    let said = |what: &str| finding.seen.iter().any(|line| line.contains(what));
    // A control box ends a motion after 20 lost packets of a millisecond.
    let may_end = link == Link::PandaFci && fault == Fault::Paused(50);
    if matches!(fault, Fault::Paused(15 | 50)) && !may_end {
        anyhow::ensure!(!said("ended"), "a short pause ended the motion");
    }
    if matches!(fault, Fault::Hogged(_) | Fault::PolicySlow) {
        anyhow::ensure!(finding.held_after.is_some(), "the arm was not told to hold");
    }
    // What is thrown away, and what somebody else waits for, holds up nobody. Packets for a control box end its motion.
    if fault == Fault::DiskSlow || (fault == Fault::Malformed && link != Link::PandaFci) {
        anyhow::ensure!(finding.held_after.is_none(), "the arm held for it");
    }
    if fault == Fault::Recovered {
        anyhow::ensure!(finding.judged.contains("jump"), "it was not judged how the arm went on");
    }
    if matches!(fault, Fault::Signal(..)) {
        anyhow::ensure!(ended, "the driving program did not end");
        anyhow::ensure!(said("hold the arm stands"), "it ended without having seen the arm stand");
    }
    Ok(())
}

/// The processes of a row, with the arm swaying.
pub struct SetUp {
    pub arm: Process,
    pub drive: Process,
    /// The watchdog on the controller's side, where the row has one.
    pub guard: Option<Process>,
    /// Who may publish commands too, where the row has one.
    pub rival: Option<Process>,
    pub scratch: Scratch,
}

impl SetUp {
    /// Starts everything and waits for a steady motion. Nothing is judged before the fault, so a set-up that a busy machine
    /// made hold or end is made again.
    fn moving(fault: Fault, link: Link, mode: ControlMode, domain: u16, off: &[Protection]) -> anyhow::Result<Self> {
        // In another domain each time: a watchdog may still stay with the arm that was left.
        let again = |domain: u16| Self::start(fault, link, mode, domain, off);
        again(domain).or_else(|_| again(100 + domain)).or_else(|_| again(200 + domain % 33))
    }

    fn start(fault: Fault, link: Link, mode: ControlMode, domain: u16, off: &[Protection]) -> anyhow::Result<Self> {
        let scratch = Scratch::new()?;
        let arm = processes::arm(link, &scratch, domain)?;
        let guard = match fault {
            Fault::HostLost => Some(processes::guard(domain, off)?),
            Fault::NetworkLost if link.is_endless(mode) => Some(processes::guard(domain, off)?),
            _ => None,
        };
        let rival = match fault {
            Fault::SecondCommander => Some(processes::rival(link, mode, domain)?),
            _ => None,
        };
        let mut drive = processes::drive(link, mode, &scratch, domain, off, guard.as_ref())?;
        wait_for_motion(&scratch, link.joints(), &mut drive)?;
        Ok(Self { arm, drive, guard, rival, scratch })
    }
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

pub fn now() -> f64 {
    trace::monotonic() as f64 * 1e-9
}

pub fn watch(until: f64) {
    while now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Newest physics turns that a motion is told from \[s\].
const RECENT: f64 = 0.25;
/// Slowest steady motion \[rad/s\].
const STEADY: f64 = 0.06;

/// Waits until the arm sways at a steady speed: a joint went one way over the newest quarter of a second and still goes.
pub fn wait_for_motion(scratch: &Scratch, joints: usize, drive: &mut Process) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs(15);
    loop {
        // The newest turns only: reading all of them again and again would be a load of its own.
        let turns = trace::newest(&scratch.trace(), joints);
        if let Some(last) = turns.last()
            && now() - last.at < RECENT
        {
            let recent: Vec<&Turn> = turns.iter().filter(|turn| turn.at > last.at - RECENT).collect();
            let (first, span) = (recent[0], last.at - recent[0].at);
            let steady = (0..joints).any(|joint| {
                let way = last.positions[joint] - first.positions[joint];
                let goes = |turn: &&&Turn| turn.velocities[joint] * way.signum() > STEADY;
                span > 0.8 * RECENT
                    && way.abs() > STEADY * span
                    && goes(&&first)
                    && goes(&&last)
                    && 10 * recent.iter().filter(goes).count() > 9 * recent.len()
            });
            if steady {
                return Ok(());
            }
        }
        let over = drive.ended().is_some();
        anyhow::ensure!(
            !over && Instant::now() < end,
            "the arm did not come to a steady motion: {}",
            drive.lines().split_off(drive.lines().len().saturating_sub(5)).join(" | ")
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
