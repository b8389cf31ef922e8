//! Checks that a recording is consistent and fit for training: order, gaps, rates, stamps, limits, images, instruction.

use serde::Serialize;

use super::{RecordedEpisode, RecordedStep};
use visuomotor_core::action::{ActionBounds, ControlMode};
use visuomotor_core::config::Robot;
use visuomotor_core::episode::{Filtered, Outcome};

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gravity {
    /// Worth knowing.
    Note,
    /// Inspect before training on it.
    Doubt,
    /// Do not use it.
    Bad,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// Its severity.
    pub gravity: Gravity,
    /// What was found, with the value and the limit.
    pub what: String,
}

/// The findings in one episode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// All findings, in the order of the checks.
    pub remarks: Vec<Remark>,
}

impl Verdict {
    /// The highest severity.
    pub fn gravity(&self) -> Option<Gravity> {
        self.remarks.iter().map(|remark| remark.gravity).max()
    }

    /// `good`, `doubtful` or `bad`.
    pub fn word(&self) -> &'static str {
        match self.gravity() {
            Some(Gravity::Bad) => "bad",
            Some(Gravity::Doubt) => "doubtful",
            _ => "good",
        }
    }

    fn say(&mut self, gravity: Gravity, what: String) {
        self.remarks.push(Remark { gravity, what });
    }
}

/// Mean brightness up to which an image counts as black \[0..255\].
const BLACK: f64 = 6.0;

/// A camera counts as frozen after this many steps with the same image while the tool moves.
const FROZEN: usize = 3;

/// The tool moves if it travels this far in a step \[m\].
const MOVING: f64 = 0.004;

/// One image in this many steps is decoded and checked.
const LOOK: usize = 5;

/// Longest accepted duration of a single policy step, in periods.
const LATE: f64 = 2.5;

/// Checks an episode that was read with images and control ticks. `robot` adds the checks against an arm's limits.
pub fn verify(episode: &RecordedEpisode, robot: Option<&Robot>) -> Verdict {
    let mut verdict = Verdict::default();
    whole(episode, &mut verdict);
    order(episode, &mut verdict);
    rates(episode, &mut verdict);
    pictures(&episode.steps, &mut verdict);
    numbers(episode, &mut verdict);
    if let Some(robot) = robot {
        limits(episode, robot, &mut verdict);
    }
    words(episode, &mut verdict);
    verdict
}

fn whole(episode: &RecordedEpisode, verdict: &mut Verdict) {
    if let Some(lost) = &episode.lost {
        verdict.say(Gravity::Bad, format!("not whole: {lost}"));
    }
    for gap in &episode.gaps {
        let (first, last) = (gap.first_step, gap.first_step + gap.steps.saturating_sub(1));
        verdict.say(Gravity::Bad, format!("steps {first} to {last} were not recorded: {}", gap.why));
    }
    if episode.steps.is_empty() {
        verdict.say(Gravity::Bad, "no steps".into());
    }
    match episode.end.as_ref().map(|end| &end.outcome) {
        None => verdict.say(Gravity::Bad, "its outcome is not recorded".into()),
        Some(Outcome::Success { .. }) => {}
        Some(outcome) => verdict.say(Gravity::Note, format!("its outcome is {}", outcome.word())),
    }
}

fn order(episode: &RecordedEpisode, verdict: &mut Verdict) {
    let missing =
        |index: u64| episode.gaps.iter().any(|gap| (gap.first_step..gap.first_step + gap.steps).contains(&index));
    let mut expected = 0;
    for step in &episode.steps {
        while missing(expected) {
            expected += 1;
        }
        if step.index != expected {
            verdict.say(Gravity::Bad, format!("found step {}, expected step {expected}", step.index));
            break;
        }
        expected += 1;
    }
    let backwards = episode.steps.windows(2).find(|pair| pair[1].observed_at <= pair[0].observed_at);
    if let Some([_, step]) = backwards {
        verdict.say(Gravity::Bad, format!("step {} is not later than the one before", step.index));
    }
    if let Some(pair) = episode.ticks.windows(2).find(|pair| pair[1].at <= pair[0].at) {
        verdict.say(
            Gravity::Bad,
            format!("the control tick at {:.3} s is not later than the one before", pair[1].at.as_secs_f64()),
        );
    }
    for step in &episode.steps {
        if let Some(image) = step.images.iter().find(|image| image.captured_at > step.observed_at) {
            verdict.say(
                Gravity::Bad,
                format!("step {}: the image of {} was captured after the observation", step.index, image.camera),
            );
            break;
        }
    }
}

fn rates(episode: &RecordedEpisode, verdict: &mut Verdict) {
    let period = 1.0 / episode.start.policy_rate_hz;
    let mut intervals: Vec<f64> =
        episode.steps.windows(2).map(|pair| pair[1].observed_at.since(pair[0].observed_at).as_secs_f64()).collect();
    intervals.sort_by(f64::total_cmp);
    let (Some(longest), Some(median)) = (intervals.last(), intervals.get(intervals.len() / 2)) else { return };
    if (median / period - 1.0).abs() > 0.1 {
        let what = format!("a step took {median:.3} s at the median, expected {period:.3} s");
        verdict.say(Gravity::Doubt, what);
    }
    if *longest > LATE * period {
        verdict.say(Gravity::Doubt, format!("the longest step took {longest:.3} s, expected {period:.3} s"));
    }
    let control = 1.0 / episode.start.control_rate_hz;
    let gaps =
        |pair: &[visuomotor_core::episode::ControlTick]| pair[1].at.since(pair[0].at).as_secs_f64() > 1.5 * control;
    let missed = episode.ticks.windows(2).filter(|pair| gaps(pair)).count();
    if missed * 100 > episode.ticks.len() {
        let what = format!(
            "{missed} of {} control ticks came after a missed one, expected at most 1 in 100",
            episode.ticks.len()
        );
        verdict.say(Gravity::Doubt, what);
    }
    let ages = episode
        .steps
        .iter()
        .flat_map(|step| step.images.iter().map(|image| step.observed_at.since(image.captured_at).as_secs_f64()));
    let oldest = ages.fold(0.0, f64::max);
    if oldest > 2.0 * period {
        verdict.say(Gravity::Doubt, format!("an image was {oldest:.3} s old when it was decided on"));
    }
}

fn pictures(steps: &[RecordedStep], verdict: &mut Verdict) {
    if !steps.is_empty() && steps.iter().all(|step| step.images.is_empty()) {
        verdict.say(Gravity::Bad, "no images".into());
        return;
    }
    let cameras = steps.first().map_or(0, |step| step.images.len());
    if let Some(step) = steps.iter().find(|step| step.images.len() != cameras) {
        let what = format!("step {} has {} images, the first one {cameras}", step.index, step.images.len());
        verdict.say(Gravity::Bad, what);
        return;
    }
    for camera in 0..cameras {
        let name = &steps[0].images[camera].camera;
        if let Some(index) = frozen(steps, camera) {
            let what = format!("camera {name} is frozen from step {index} on although the tool moves");
            verdict.say(Gravity::Bad, what);
        }
        for step in steps.iter().step_by(LOOK) {
            let image = match step.images[camera].decode() {
                Ok(image) => image,
                Err(error) => {
                    verdict.say(Gravity::Bad, format!("step {}: {error}", step.index));
                    break;
                }
            };
            let sum: u64 = image.pixels.iter().map(|value| u64::from(*value)).sum();
            let brightness = sum as f64 / image.pixels.len().max(1) as f64;
            // NaN counts as black, too.
            if !(brightness > BLACK) {
                let what = format!("step {}: the image of {name} is black (mean {brightness:.1} of 255)", step.index);
                verdict.say(Gravity::Bad, what);
                break;
            }
        }
    }
}

/// The step from which a camera returns the same image for too long while the tool moves.
fn frozen(steps: &[RecordedStep], camera: usize) -> Option<u64> {
    let mut same = 0;
    for pair in steps.windows(2) {
        let (a, b) = (&pair[0].images[camera], &pair[1].images[camera]);
        let still = a.sequence == b.sequence || (!a.jpeg.is_empty() && a.jpeg == b.jpeg);
        let moved = (pair[1].base_from_tool.translation.vector - pair[0].base_from_tool.translation.vector).norm();
        same = if !still {
            0
        } else if moved > MOVING {
            same + 1
        } else {
            same
        };
        if same >= FROZEN {
            return Some(pair[1].index - same as u64);
        }
    }
    None
}

fn numbers(episode: &RecordedEpisode, verdict: &mut Verdict) {
    let odd = episode.steps.iter().find(|step| {
        !(step.action.is_finite()
            && step.bridge_state.iter().all(|value| value.is_finite())
            && step.proprioception.joint_positions.is_finite())
    });
    if let Some(step) = odd {
        verdict.say(Gravity::Bad, format!("step {} has a number that is not finite", step.index));
    }
    let bounds = ActionBounds::BRIDGE;
    let outside = episode.steps.iter().filter(|step| bounds.clip(&step.action) != step.action).count();
    if outside > 0 {
        let what = format!("{outside} of {} actions leave Bridge's bounds", episode.steps.len());
        verdict.say(Gravity::Doubt, what);
    }
    let (mut limited, mut stopped) = (0, 0);
    for tick in &episode.ticks {
        match tick.filtered {
            Filtered::Passed => {}
            Filtered::Limited(_) => limited += 1,
            Filtered::Stopped(_) => stopped += 1,
        }
    }
    if limited + stopped > 0 {
        let all = episode.ticks.len();
        let gravity = if stopped * 20 > all { Gravity::Doubt } else { Gravity::Note };
        verdict.say(gravity, format!("the safety filter limited {limited} and stopped {stopped} of {all} commands"));
    }
}

fn limits(episode: &RecordedEpisode, robot: &Robot, verdict: &mut Verdict) {
    if episode.start.robot != robot.identity.name {
        let what = format!("recorded on {}, expected {}", episode.start.robot, robot.identity.name);
        verdict.say(Gravity::Bad, what);
        return;
    }
    if episode.start.joint_names != robot.joint_names() {
        verdict.say(Gravity::Bad, "its joint names are not those of the arm's description".into());
        return;
    }
    let beyond = episode.ticks.iter().filter(|tick| tick.sent.mode() == ControlMode::Position).find_map(|tick| {
        let sent = tick.sent.joints();
        let joints = robot.joint.iter().zip(sent.iter());
        joints
            .filter(|(joint, sent)| !(**sent >= joint.lower - 1e-6 && **sent <= joint.upper + 1e-6))
            .map(|(joint, sent)| {
                format!("{} was sent to {sent:.3} rad, allowed {:.3} to {:.3}", joint.name, joint.lower, joint.upper)
            })
            .next()
    });
    if let Some(what) = beyond {
        verdict.say(Gravity::Bad, what);
    }
}

fn words(episode: &RecordedEpisode, verdict: &mut Verdict) {
    if episode.start.task.trim().is_empty() {
        verdict.say(Gravity::Doubt, "it names no task".into());
    }
    if episode.start.instruction.trim().is_empty() {
        verdict.say(Gravity::Doubt, "it has no instruction in words".into());
    }
    for note in &episode.notes {
        verdict.say(Gravity::Note, format!("note ({}): {}", note.by, note.text));
    }
}
