//! Rows in real time: a fault happens to real processes, and the emulated arm's reaction is measured.
//!
//! Distances are judged, never durations. A joint may travel as far as its speed at the fault carries it within the row's
//! detection bound and one control period, plus its braking distance, plus what its controller was already commanded. The
//! longest stall of the arm's own process counts as detection time, because nothing on the machine ran then.

use std::time::{Duration, Instant};

use visuomotor::action::ControlMode;
use visuomotor::protection::Protection;

use super::fault::{Fault, left_out, no_control};
use super::finding::{Finding, names};
use super::inject::inject;
use super::judge::{judge, judge_words};
use super::link::Link;
use super::processes::{self, Process, Scratch};
use super::trace::{self, Turn};

/// How long the arm is watched after a fault \[s\].
const WATCHED: f64 = 2.5;

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
        // It first checks whether the arm stands, connects, and sways for some time.
        set_up.drive.wait_for("recovered")?;
        watch(now() + 4.0);
    }
    watch(at + WATCHED + if let Fault::Paused(ms) = fault { ms as f64 * 1e-3 } else { 0.0 });
    finding.seen = set_up.drive.lines().split_off(said_before);
    finding.seen.extend(set_up.guard.iter().flat_map(Process::lines));
    if fault == Fault::ControllerKilled {
        // It asks the dead controller to switch off, and waits for that a while.
        while set_up.drive.ended().is_none() && now() < at + 12.0 {
            watch(now() + 0.05);
        }
        finding.seen = set_up.drive.lines().split_off(said_before);
        return judge_words(link, at, set_up.drive.ended().is_some(), finding);
    }
    let turns = trace::read(&set_up.scratch.trace(), link.joints());
    judge(fault, link, mode, &turns, at, finding)?;
    // It ends before its recording is read, and may be stopped: then it must not get a signal.
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
    // Neither a slow disk nor malformed packets may hold the arm; but malformed packets end a control box's motion.
    if fault == Fault::DiskSlow || (fault == Fault::Malformed && link != Link::PandaFci) {
        anyhow::ensure!(finding.detected_after.is_none(), "the arm held for it");
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
    /// The other commander, where the row has one.
    pub rival: Option<Process>,
    pub scratch: Scratch,
}

impl SetUp {
    /// Starts everything and waits for a steady motion. Nothing is judged before the fault, so a set-up that failed on a busy
    /// machine is repeated.
    fn moving(fault: Fault, link: Link, mode: ControlMode, domain: u16, off: &[Protection]) -> anyhow::Result<Self> {
        // In another domain each time: a watchdog may still serve the previous arm.
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

/// When the driving program, whose commands no longer arrive, commanded the arm to stop or to turn back; at the latest when it
/// ended, since it then commands a hold. Until then the arm did as commanded.
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

/// Newest physics turns from which a motion is determined \[s\].
const RECENT: f64 = 0.25;
/// Slowest steady motion \[rad/s\].
const STEADY: f64 = 0.06;

/// Waits until the arm sways at a steady speed: a joint moved one way over the newest quarter of a second and still moves.
pub fn wait_for_motion(scratch: &Scratch, joints: usize, drive: &mut Process) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs(15);
    loop {
        // The newest turns only: reading all of them repeatedly would itself load the machine.
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
