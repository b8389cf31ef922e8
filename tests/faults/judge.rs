//! Judges a row in real time: how far and how fast the emulated arm moved, as recorded by its own process.

use visuomotor::action::ControlMode;
use visuomotor::config::Robot;

use super::fault::Fault;
use super::finding::{FLOOR, Finding, STANDING};
use super::link::Link;
use super::trace::Turn;

/// Factor by which a measured joint may exceed its speed limit: servos overshoot, and a joint under torque is braked, not cut
/// off \[1\].
const OVER: f64 = 1.3;

/// Length of the windows that accelerations are taken from \[s\].
const WINDOW: f64 = 0.03;
/// Share of its acceleration limit that a joint may show when the arm moves on \[1\], as in simulated time: a servo overshoots.
const HARDEST: f64 = 2.0;
/// The jump that the gauge must find \[rad\].
const JUMP: f64 = 0.05;

fn fastest(turn: &Turn) -> f64 {
    turn.velocities.iter().fold(0.0, |most, v| f64::max(most, v.abs()))
}

/// Fills in the finding: measured numbers, and why it is red.
pub fn judge(
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
    // If a pause may be survived, only what happens until the program runs again is due to the fault.
    let end = match fault {
        Fault::Paused(ms) => at + ms as f64 * 1e-3,
        // Nothing runs meanwhile, not even the arm's controller: what it does right after counts too.
        Fault::Hogged(ms) => at + ms as f64 * 1e-3 + 0.3,
        // The sleep begins with the next decision.
        Fault::PolicySlow => at + 1.2,
        Fault::Recovered => said(finding, "recovered").unwrap_or(f64::INFINITY),
        _ => f64::INFINITY,
    };
    let judged: Vec<&Turn> = after.iter().filter(|turn| turn.at <= end).collect();
    anyhow::ensure!(!judged.is_empty(), "the trace does not cover the time to judge");
    let joint = (0..before.velocities.len())
        .max_by(|&a, &b| before.velocities[a].abs().total_cmp(&before.velocities[b].abs()))
        .unwrap_or_default();
    finding.slower_after = after
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
    let period = 1.0 / robot.identity.control_rate_hz;
    finding.allowed = f64::INFINITY;
    let mut share = f64::NEG_INFINITY;
    for joint in 0..before.positions.len() {
        // A sway may be speeding up: within the detection time the arm is as fast as its commands.
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
    let moving = after.iter().rposition(|turn| fastest(turn) > STANDING);
    let rests = moving.is_none_or(|last| last + 1 < after.len() && after[after.len() - 1].at - after[last].at > 0.3);
    finding.rest_after = rests.then(|| moving.map_or(0.0, |last| after[last].at - at));
    notice(fault, &robot, at, finding);
    let jumps = jump(fault, &robot, turns, at, finding)?;
    let limit = |joint: usize| OVER * robot.limits.joint_velocity[joint];
    let too_fast = after.iter().any(|turn| (0..turn.velocities.len()).any(|j| !(turn.velocities[j].abs() <= limit(j))));
    // If the arm may keep moving and the fault need not be noticed, its distance is not judged.
    let judges_way = !(fault.may_go_on() && finding.detection_bound >= end - at);
    if !judges_way {
        (finding.travelled, finding.allowed) = (f64::NAN, f64::NAN);
    }
    let mut judged = vec!["speed"];
    judged.extend((!finding.rejoins.is_nan()).then_some("jump"));
    judged.extend(judges_way.then_some("way"));
    judged.extend((!fault.may_go_on()).then_some("rest"));
    finding.judged = judged.join(", ");
    finding.why = if judges_way && !(share <= 1.0) {
        format!("a joint travelled {:.3} rad, {:.3} were allowed", finding.travelled, finding.allowed)
    } else if too_fast {
        "a joint went faster than its limit".into()
    } else if jumps {
        format!("the arm jumped when it went on: {:.2} of its acceleration limit", finding.rejoins)
    } else if !rests && !fault.may_go_on() {
        "the arm did not come to rest".into()
    } else {
        String::new()
    };
    finding.green = finding.why.is_empty();
    Ok(())
}

/// When the driving program last printed it \[s\].
fn said(finding: &Finding, what: &str) -> Option<f64> {
    let events = finding.seen.iter().rev().filter_map(|line| line.split_once(' '));
    events.filter(|(_, event)| *event == what).find_map(|(at, _)| at.parse().ok())
}

/// Did the arm jump when it moved on? Judged by the acceleration of the emulated joints alone, not by any program's output.
fn jump(fault: Fault, robot: &Robot, turns: &[Turn], at: f64, finding: &mut Finding) -> anyhow::Result<bool> {
    let from = match fault {
        Fault::Recovered => said(finding, "recovered"),
        Fault::Paused(ms @ (15 | 50)) => Some(at + ms as f64 * 1e-3),
        Fault::Paused(_) | Fault::Hogged(_) | Fault::PolicySlow => {
            said(finding, "resumed").filter(|resumed| *resumed > at)
        }
        _ => None,
    };
    let Some(from) = from else { return Ok(false) };
    let after = turns.partition_point(|turn| turn.at <= from);
    finding.rejoins = hardest(robot, &turns[after..]);
    // A gauge that misses an injected jump would prove nothing.
    let mut jumped = turns[after..].to_vec();
    let half = jumped.len() / 2;
    for turn in &mut jumped[half..] {
        turn.positions[0] += JUMP;
    }
    anyhow::ensure!(hardest(robot, &jumped) > HARDEST, "the gauge does not find a jump of {JUMP} rad that was put in");
    Ok(!(finding.rejoins <= HARDEST))
}

/// The highest acceleration of a joint, in shares of its limit: from the mean speeds of consecutive windows, so that a
/// step of the position counts, and a servo's ripple of a few milliseconds does not.
fn hardest(robot: &Robot, turns: &[Turn]) -> f64 {
    let mut most: f64 = 0.0;
    let (mut middle, mut end) = (0, 0);
    for start in 0..turns.len() {
        let first = &turns[start];
        let until = |from: usize, at: f64| from + turns[from..].partition_point(|turn| turn.mechanics_at < at);
        middle = until(middle.max(start), first.mechanics_at + WINDOW);
        end = until(end.max(middle), first.mechanics_at + 2.0 * WINDOW);
        let (Some(between), Some(last)) = (turns.get(middle), turns.get(end)) else { break };
        let one = between.mechanics_at - first.mechanics_at;
        let two = last.mechanics_at - between.mechanics_at;
        for joint in 0..first.positions.len() {
            let (p, q, r) = (first.positions[joint], between.positions[joint], last.positions[joint]);
            let acceleration = ((r - q) / two - (q - p) / one) / (0.5 * (one + two));
            most = most.max(acceleration.abs() / robot.limits.joint_acceleration[joint]);
        }
    }
    most
}

/// The emulated arm's mechanics end with its controller: what is left to judge is that the program notices in time, ends, and
/// does not report a hold.
pub fn judge_words(link: Link, at: f64, ended: bool, finding: &mut Finding) -> anyhow::Result<()> {
    notice(Fault::ControllerKilled, &link.robot(), at, finding);
    finding.judged = "words".into();
    let noticed = finding.detected_after;
    anyhow::ensure!(noticed.is_some(), "the program noticed nothing");
    anyhow::ensure!(ended, "the program did not end");
    let said = |what: &str| finding.seen.iter().any(|line| line.contains(what));
    anyhow::ensure!(!said("hold the arm stands"), "it said of an arm without a controller that it holds");
    anyhow::ensure!(said("COULD NOT BE CONFIRMED"), "it did not say that the hold could not be confirmed");
    finding.green = true;
    Ok(())
}

/// When the program noticed, when it commanded a hold, and which of its lines is the most informative about the fault.
fn notice(fault: Fault, robot: &Robot, at: f64, finding: &mut Finding) {
    let stamped = |line: &String| {
        let (stamp, what) = line.split_once(' ')?;
        Some((stamp.parse::<f64>().ok()?, what.to_owned()))
    };
    let events: Vec<(f64, String)> = finding.seen.iter().filter_map(stamped).filter(|(when, _)| *when >= at).collect();
    let first = |words: &[&str]| {
        events
            .iter()
            .filter(|(_, what)| words.iter().any(|word| what.starts_with(word)))
            .min_by(|a, b| a.0.total_cmp(&b.0))
    };
    let by_loop = ["stopped", "complained", "told to hold", "ended"];
    // The driver's own thread detects lost states and warns; other warnings prove nothing.
    let by_driver = ["stopped", "complained", "told to hold", "ended", "warns"];
    let noticed = first(if fault.loses_states() { &by_driver } else { &by_loop }).map(|(when, _)| *when);
    let held = first(&["told to hold"]).map(|(when, _)| *when);
    finding.detected_after = noticed.map(|when| when - at);
    finding.held_after = held.map(|when| when - at);
    finding.ticks_to_hold = noticed.zip(held).map(|(noticed, held)| (held - noticed) * robot.identity.control_rate_hz);
    let unstamped = || finding.seen.iter().filter(|line| stamped(line).is_none()).find(|line| !line.trim().is_empty());
    let after = |word: &str| first(&[word]).map(|(_, what)| what[word.len()..].trim().to_owned());
    let says = after("fault")
        .or_else(|| after("complained"))
        .or_else(|| after("ended"))
        .or_else(|| after("warns"))
        .or_else(|| unstamped().map(|line| line.trim().to_owned()))
        .or_else(|| after("stopped").map(|reason| format!("the arm holds: {reason}")));
    finding.operator = says.into_iter().chain(after("hold")).collect::<Vec<_>>().join("; ");
}
