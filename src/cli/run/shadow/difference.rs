//! What was asked for when an episode was recorded, and what is asked for now.

use std::fmt;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::playback::Playback;
use crate::action::{Action, Decider};
use crate::episode::{ControlTick, EpisodeEnd, EpisodeStart, Filtered, Step, StepSink};
use crate::geometry::rotation_from_euler;
use crate::observation::JointVector;

/// Names of an action's numbers.
const PARTS: [&str; 7] = ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper"];

/// What one decision asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Asked {
    action: Action,
    torques: Option<JointVector>,
}

/// One decision beside the recorded one.
#[derive(Clone, Debug)]
struct Row {
    recorded: u64,
    seconds: f64,
    decided_by: Option<Decider>,
    then: Asked,
    now: Asked,
    /// The hardest that the safety filter did to its commands.
    filtered: Filtered,
}

impl Row {
    /// \[m\]
    fn translation(&self) -> f64 {
        let (then, now) = (self.then.action.translation, self.now.action.translation);
        (0..3).map(|axis| (then[axis] - now[axis]).powi(2)).sum::<f64>().sqrt()
    }

    /// \[rad\]
    fn rotation(&self) -> f64 {
        let of = |asked: &Asked| {
            let [roll, pitch, yaw] = asked.action.rotation;
            rotation_from_euler(roll, pitch, yaw)
        };
        of(&self.then).angle_to(&of(&self.now))
    }

    fn gripper(&self) -> f64 {
        (self.then.action.gripper - self.now.action.gripper).abs()
    }

    /// The joint that differs most \[Nm\].
    fn torque(&self) -> Option<f64> {
        let (then, now) = (self.then.torques?, self.now.torques?);
        Some(then.iter().zip(now.iter()).map(|(then, now)| (then - now).abs()).fold(0.0, f64::max))
    }
}

/// All decisions of a shadow run beside the recorded ones.
pub struct Differences {
    playback: Arc<Playback>,
    rows: Vec<Row>,
}

impl Differences {
    /// Against the recording that is played.
    pub fn new(playback: Arc<Playback>) -> Self {
        Self { playback, rows: Vec::new() }
    }

    /// Writes a line for each decision.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let torques = self.rows.first().and_then(|row| row.now.torques).map_or(0, |torques| torques.len());
        let mut out = String::from("step,recorded_step,seconds,decided_by");
        for time in ["then", "now"] {
            PARTS.iter().for_each(|part| out.push_str(&format!(",{time}_{part}")));
            (1..=torques).for_each(|joint| out.push_str(&format!(",{time}_torque_{joint}")));
        }
        out.push_str(",filter\n");
        for (number, row) in self.rows.iter().enumerate() {
            let decided_by = match row.decided_by {
                Some(Decider::Policy) => "policy",
                Some(Decider::Operator) => "operator",
                None => "",
            };
            // Writing to a String cannot fail.
            let _ = write!(out, "{number},{},{:.3},{decided_by}", row.recorded, row.seconds);
            for asked in [&row.then, &row.now] {
                let torques = asked.torques.iter().flat_map(|torques| torques.to_vec());
                asked.action.to_array().into_iter().chain(torques).for_each(|v| out.push_str(&format!(",{v:.6}")));
            }
            out.push_str(&match row.filtered {
                Filtered::Passed => ",passed\n".into(),
                Filtered::Limited(reason) => format!(",limited {reason:?}\n"),
                Filtered::Stopped(reason) => format!(",stopped {reason:?}\n"),
            });
        }
        std::fs::write(path, out)
            .with_context(|| format!("{}: cannot be written; choose another --differences", path.display()))
    }
}

impl StepSink for Differences {
    fn episode_started(&mut self, _start: &EpisodeStart) -> anyhow::Result<()> {
        Ok(())
    }

    fn step(&mut self, step: &Step<'_>) -> anyhow::Result<()> {
        let at = step.observation.observed_at;
        let recorded = self.playback.step(at);
        self.rows.push(Row {
            recorded: recorded.index,
            seconds: self.playback.elapsed(at).as_secs_f64(),
            decided_by: recorded.decided_by,
            then: Asked { action: recorded.action, torques: recorded.joint_torques.map(|torques| torques.asked) },
            now: Asked {
                action: step.decision.action,
                torques: step.decision.joint_torques.map(|torques| torques.asked),
            },
            filtered: Filtered::Passed,
        });
        Ok(())
    }

    fn control_tick(&mut self, tick: &ControlTick) -> anyhow::Result<()> {
        let index = tick.step_index.and_then(|index| usize::try_from(index).ok());
        if let Some(row) = index.and_then(|index| self.rows.get_mut(index))
            && hardness(tick.filtered) > hardness(row.filtered)
        {
            row.filtered = tick.filtered;
        }
        Ok(())
    }

    fn episode_ended(&mut self, _end: &EpisodeEnd) -> anyhow::Result<()> {
        Ok(())
    }
}

fn hardness(filtered: Filtered) -> u8 {
    match filtered {
        Filtered::Passed => 0,
        Filtered::Limited(_) => 1,
        Filtered::Stopped(_) => 2,
    }
}

/// Median and largest.
fn spread(values: impl Iterator<Item = f64>, scale: f64, unit: &str) -> String {
    let mut values: Vec<f64> = values.collect();
    // NaN is the largest.
    values.sort_by(f64::total_cmp);
    match values.last() {
        Some(most) => format!("{:.3} / {:.3} {unit}", scale * values[values.len() / 2], scale * most),
        None => "none".into(),
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = &self.rows;
        let of = |decider| rows.iter().filter(|row| row.decided_by == Some(decider)).count();
        write!(f, "shadow     {} decisions beside {} recorded ones", rows.len(), self.playback.steps.len())?;
        if of(Decider::Operator) > 0 {
            write!(f, ", {} of them by the operator then", of(Decider::Operator))?;
        }
        let filtered = |kind: u8| rows.iter().filter(|row| hardness(row.filtered) == kind).count();
        write!(f, "; {} with limited and {} with stopped commands", filtered(1), filtered(2))?;
        if rows.iter().any(|row| row.torque().is_some()) {
            let torques = spread(rows.iter().filter_map(Row::torque), 1.0, "Nm in the joint that differs most");
            write!(f, "\ntorques    differ by {torques} (p50 / max)")?;
        } else {
            write!(f, "\ntranslation differs by {} (p50 / max)", spread(rows.iter().map(Row::translation), 1e3, "mm"))?;
            write!(f, "\nrotation   differs by {} (p50 / max)", spread(rows.iter().map(Row::rotation), 1.0, "rad"))?;
        }
        write!(f, "\ngripper    differs by {} (p50 / max)", spread(rows.iter().map(Row::gripper), 1.0, "of its travel"))
    }
}
