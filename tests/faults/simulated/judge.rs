//! Judges a row in simulated time. Everything is exact: the clock is manual.

use visuomotor::action::ControlMode;
use visuomotor::config::Robot;
use visuomotor::episode::{ControlTick, Filtered, LimitReason};
use visuomotor::kinematics::Chain;
use visuomotor::time::Timestamp;

use super::arm::{Moment, Story};
use super::fault::{ACTION_LIFE, BEGIN, Fault};
use crate::finding::{FLOOR, Finding, MOST_TICKS, STANDING};

/// Factor by which a measured joint may exceed its limit: a joint under torque is braked, not cut off \[1\].
const OVER: f64 = 1.3;
/// How far the tool may be outside its box: it is measured, and brakes \[m\].
const OUT: f64 = 0.02;
/// Rounding of a step of a command \[1\].
const ROUNDING: f64 = 1.01;
/// Most that the acceleration of a stream may jump: the filter's own bound for positions \[1\].
const JUMP: f64 = 2.0;

/// A row's data.
pub struct Row<'a> {
    pub fault: Fault,
    pub mode: ControlMode,
    pub robot: &'a Robot,
    pub chain: &'a Chain,
    pub story: &'a Story,
    pub ticks: &'a [ControlTick],
    /// Why the episode ended, if it did.
    pub ended: Option<String>,
    /// Lines on the terminal.
    pub lines: &'a [(Timestamp, String)],
}

fn speed(moment: &Moment) -> f64 {
    // A NaN speed is above every limit.
    moment.velocities.iter().fold(0.0, |most, v| if v.abs() <= most { most } else { v.abs() })
}

fn seconds(at: Timestamp) -> f64 {
    at.as_secs_f64() - BEGIN
}

/// Fills in the finding: measured numbers, and why it is red.
pub fn judge(row: &Row<'_>, finding: &mut Finding) {
    let moments = &row.story.moments;
    let split = moments.partition_point(|moment| seconds(moment.at) < 0.0);
    let (Some(last), true) = (split.checked_sub(1), split < moments.len()) else {
        finding.why = "the row ended before its fault".into();
        return;
    };
    let (before, after) = (&moments[last], &moments[split..]);
    finding.speed_before = speed(before);
    finding.peak_speed = after.iter().map(speed).fold(0.0, |most, v| if v <= most { most } else { v });
    finding.stall = 0.0;
    let fastest = (0..before.velocities.len())
        .max_by(|&a, &b| before.velocities[a].abs().total_cmp(&before.velocities[b].abs()))
        .unwrap_or_default();
    let slower = |moment: &&Moment| moment.velocities[fastest].abs() < 0.9 * before.velocities[fastest].abs();
    finding.slower_after = after.iter().find(slower).map(|moment| seconds(moment.at));
    notice(row, finding);
    // The arm must have stopped before the fault is over; what follows is a recovery, which must not jump.
    let during: Vec<&Moment> = after.iter().take_while(|moment| seconds(moment.at) < row.fault.lasts()).collect();
    let moving = during.iter().rposition(|moment| !(speed(moment) <= STANDING));
    let stood = moving.is_none_or(|last| last + 1 < during.len());
    finding.rest_after = stood.then(|| moving.map_or(0.0, |last| seconds(during[last].at)));
    let mut judged = vec!["speed", "box", "steps", "image"];
    let mut why = Vec::new();
    if !(finding.speed_before >= 0.1) {
        why.push(format!("the arm hardly moved before the fault ({:.3} rad/s)", finding.speed_before));
    }
    why.extend(numbers(after));
    why.extend(too_fast(row, after));
    why.extend(out_of_box(row, after));
    why.extend(old_images(row));
    why.extend(jumps(row, moments));
    if row.fault.goes_on() {
        (finding.travelled, finding.allowed) = (f64::NAN, f64::NAN);
    } else {
        judged.extend(["way", "rest", "hold"]);
        why.extend(travel(row, before, &during, finding));
        if !stood {
            why.push("the arm did not come to rest while the fault lasted".into());
        }
        match finding.ticks_to_hold {
            Some(ticks) if ticks <= MOST_TICKS => {}
            Some(ticks) => {
                why.push(format!("the hold came {ticks:.0} ticks after it was noticed, {MOST_TICKS} are allowed"))
            }
            None => why.push("the arm was not told to hold".into()),
        }
    }
    if row.fault == Fault::ArmBlocked {
        judged.push("push");
        why.extend(pushed(row, &during));
    }
    if !(speed(&moments[moments.len() - 1]) <= STANDING) {
        why.push("the arm did not stand after the episode".into());
    }
    finding.judged = judged.join(", ");
    finding.why = why.into_iter().next().unwrap_or_default();
    finding.green = finding.why.is_empty();
}

/// When the program noticed, and when it commanded a hold.
fn notice(row: &Row<'_>, finding: &mut Finding) {
    let within = |at: Timestamp| (0.0..row.fault.lasts()).contains(&seconds(at));
    let told = row.lines.iter().find(|(at, _)| within(*at));
    // An arm that keeps moving within its limits is limited, not stopped.
    let acts = |tick: &&ControlTick| match tick.filtered {
        Filtered::Stopped(_) => true,
        Filtered::Limited(reason) => match row.fault {
            Fault::ArmBlocked => reason == LimitReason::Residual,
            Fault::PolicyHuge | Fault::PolicyFar => true,
            _ => false,
        },
        Filtered::Passed => false,
    };
    let stopped = row.ticks.iter().find(|tick| within(tick.at) && acts(tick));
    let held = row.story.holds.iter().copied().find(|at| within(*at));
    let first = told.map(|(at, _)| *at).into_iter().chain(stopped.map(|tick| tick.at)).chain(held).min();
    finding.detected_after = first.map(seconds);
    finding.held_after = held.map(seconds);
    let period = 1.0 / row.robot.identity.control_rate_hz;
    finding.ticks_to_hold = first.zip(held).map(|(first, held)| (held.since(first).as_secs_f64() / period).round());
    // Most informative: the end of an episode, then a warning, then the control loop's state on the page.
    let stopped = stopped.and_then(|tick| match tick.filtered {
        Filtered::Stopped(reason) => Some(format!("the arm holds: {reason:?}")),
        Filtered::Limited(reason) => Some(format!("limited: {reason:?}")),
        Filtered::Passed => None,
    });
    finding.operator =
        row.ended.clone().or_else(|| told.map(|(_, line)| line.clone())).or(stopped).unwrap_or_else(|| "-".into());
}

fn numbers(after: &[Moment]) -> Option<String> {
    let finite =
        |moment: &Moment| moment.positions.is_finite() && moment.told.is_none_or(|told| told.joints().is_finite());
    (!after.iter().all(finite)).then(|| "the arm was told a number that is none".into())
}

fn too_fast(row: &Row<'_>, after: &[Moment]) -> Option<String> {
    let limit = &row.robot.limits.joint_velocity;
    after.iter().find_map(|moment| {
        let joint = (0..moment.velocities.len()).find(|&j| !(moment.velocities[j].abs() <= OVER * limit[j]))?;
        Some(format!("joint {joint} went at {:.2} rad/s, its limit is {:.2}", moment.velocities[joint], limit[joint]))
    })
}

fn out_of_box(row: &Row<'_>, after: &[Moment]) -> Option<String> {
    let (low, high) = (row.robot.limits.workspace_low, row.robot.limits.workspace_high);
    let mut worst: f64 = 0.0;
    for moment in after {
        let tool = row.chain.forward(&moment.positions).translation.vector;
        for axis in 0..3 {
            let out = (low[axis] - tool[axis]).max(tool[axis] - high[axis]);
            if !(out <= worst) {
                worst = out;
            }
        }
    }
    (!(worst <= OUT)).then(|| format!("the tool went {worst:.3} m out of its box"))
}

/// No command may follow an action that was decided on too old an image.
fn old_images(row: &Row<'_>) -> Option<String> {
    let period = 1.0 / row.robot.identity.control_rate_hz;
    let moved = row.ticks.iter().filter(|tick| !matches!(tick.filtered, Filtered::Stopped(_)));
    let oldest = moved.map(|tick| tick.image_age_seconds).filter(|age| !age.is_nan()).fold(0.0, f64::max);
    let most = ACTION_LIFE + period;
    (!(oldest <= most)).then(|| format!("the arm was moved on an image {oldest:.2} s old, {most:.2} are allowed"))
}

/// From tick to tick a command changes no more than the arm's limits allow, also when the arm moves on after a hold.
fn jumps(row: &Row<'_>, moments: &[Moment]) -> Option<String> {
    let (limits, period) = (&row.robot.limits, 1.0 / row.robot.identity.control_rate_hz);
    let mut slope: Option<Vec<f64>> = None;
    for pair in moments.windows(2) {
        let (Some(from), Some(to)) = (pair[0].told, pair[1].told) else { continue };
        if pair[1].held || from.mode() != to.mode() {
            slope = None;
            continue;
        }
        // The first command after a hold starts from rest; a stall of the loops is a hold that was not commanded.
        let late = pair[1].at.since(pair[0].at).as_secs_f64() > 1.5 * period;
        if pair[0].held || late {
            slope = Some(vec![0.0; to.joints().len()]);
        }
        let change: Vec<f64> = (0..to.joints().len()).map(|j| (to.joints()[j] - from.joints()[j]) / period).collect();
        for (joint, &now) in change.iter().enumerate() {
            let (found, limit) = match row.mode {
                // A servo smooths the way to a position; an arm that follows a stream does not.
                ControlMode::Position if !row.robot.streams_positions() => {
                    (now.abs(), ROUNDING * limits.joint_velocity[joint])
                }
                ControlMode::Position => {
                    let bend = slope.as_ref().map_or(0.0, |slope| (now - slope[joint]) / period);
                    let (fast, limit) = (now.abs(), ROUNDING * limits.joint_velocity[joint]);
                    if fast <= limit {
                        (bend.abs(), ROUNDING * JUMP * limits.joint_acceleration[joint])
                    } else {
                        (fast, limit)
                    }
                }
                // Braking before the end of a range may be harder than accelerating.
                ControlMode::Velocity if now * from.joints()[joint] < 0.0 => continue,
                ControlMode::Velocity => (now.abs(), ROUNDING * limits.joint_acceleration[joint]),
                ControlMode::Torque => (now.abs(), ROUNDING * limits.joint_torque_rate[joint]),
            };
            if !(found <= limit) {
                return Some(format!(
                    "the command of joint {joint} jumped {:.2} s after the fault: {found:.2}, {limit:.2} are allowed",
                    seconds(pair[1].at)
                ));
            }
        }
        slope = Some(change);
    }
    None
}

fn travel(row: &Row<'_>, before: &Moment, during: &[&Moment], finding: &mut Finding) -> Option<String> {
    let period = 1.0 / row.robot.identity.control_rate_hz;
    let mut share = f64::NEG_INFINITY;
    for joint in 0..before.positions.len() {
        // Within the detection time it is as fast as commanded.
        let detected = during.iter().take_while(|moment| seconds(moment.at) <= row.fault.detection());
        let speed =
            detected.map(|moment| moment.velocities[joint].abs()).fold(before.velocities[joint].abs(), f64::max);
        let told = match (row.mode, before.told) {
            (ControlMode::Position, Some(told)) => (told.joints()[joint] - before.positions[joint]).abs(),
            _ => 0.0,
        };
        let allowed = speed * (row.fault.detection() + period)
            + speed * speed / (2.0 * row.robot.limits.joint_acceleration[joint])
            + told
            + FLOOR;
        let way = |moment: &&Moment| (moment.positions[joint] - before.positions[joint]).abs();
        let travelled = during.iter().map(way).fold(0.0, f64::max);
        if travelled / allowed > share {
            share = travelled / allowed;
            (finding.travelled, finding.allowed) = (travelled, allowed);
        }
    }
    (!(share <= 1.0))
        .then(|| format!("a joint travelled {:.3} rad, {:.3} were allowed", finding.travelled, finding.allowed))
}

/// A blocked arm must not be pushed ever harder: a position runs ahead no farther than the description allows; a velocity is
/// only retried now and then, so the distance commanded in vain stays small.
fn pushed(row: &Row<'_>, during: &[&Moment]) -> Option<String> {
    let Some(last) = during.last() else { return Some("no moment while it was blocked".into()) };
    let (error, time) = (row.robot.limits.following_error, row.robot.limits.following_time);
    let period = 1.0 / row.robot.identity.control_rate_hz;
    (0..last.positions.len()).find_map(|joint| {
        let told = |moment: &Moment| moment.told.map_or(0.0, |told| told.joints()[joint]);
        let (pushed, most) = match row.mode {
            ControlMode::Position => ((told(last) - last.positions[joint]).abs(), error + 0.01),
            ControlMode::Velocity => {
                let way = during.iter().map(|moment| told(moment).abs() * period).sum();
                let fastest = during.iter().map(|moment| told(moment).abs()).fold(0.0, f64::max);
                // Noticed, released, and tried again once.
                (way, 2.5 * error + 2.0 * fastest * (time + 0.1))
            }
            ControlMode::Torque => return None,
        };
        (!(pushed <= most))
            .then(|| format!("joint {joint} is still pushed: {pushed:.3} rad ahead, {most:.3} are allowed"))
    })
}
