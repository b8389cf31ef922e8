//! Compares the actions of a shadow run with the recorded ones.

use std::fmt;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use nalgebra::UnitQuaternion;

use super::playback::Playback;
use crate::action::{Action, Decider, Motion, MotionKind};
use crate::episode::{ControlTick, EpisodeEnd, EpisodeStart, Filtered, SinkError, Step, StepSink};
use crate::geometry::{bridge_pose, rotation_from_euler};
use crate::observation::JointVector;

/// Names of an action's components.
const PARTS: [&str; 7] = ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper"];

/// Action of one decision.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Asked {
    action: Action,
    motion: Option<Motion>,
}

impl Asked {
    fn kind(&self) -> MotionKind {
        MotionKind::of(self.motion.as_ref())
    }

    /// \[rad, rad/s or Nm\]
    fn joints(&self) -> Option<JointVector> {
        match self.motion? {
            Motion::ToolPose(_) => None,
            Motion::JointPositions(joints) | Motion::JointVelocities(joints) => Some(joints),
            Motion::JointTorques(torques) => Some(torques.asked),
        }
    }

    /// The tool's target translation \[m\] and rotation, absolute or relative.
    fn tool(&self) -> ([f64; 3], UnitQuaternion<f64>) {
        if let Some(Motion::ToolPose(base_from_tool)) = self.motion {
            return (base_from_tool.translation.vector.into(), base_from_tool.rotation);
        }
        let [roll, pitch, yaw] = self.action.rotation;
        (self.action.translation, rotation_from_euler(roll, pitch, yaw))
    }

    /// Names of the motion's numbers, in addition to the action's.
    fn names(&self) -> Vec<String> {
        match self.motion {
            Some(Motion::ToolPose(_)) => ["x", "y", "z", "roll", "pitch", "yaw"].map(String::from).into(),
            _ => (1..=self.joints().map_or(0, |joints| joints.len())).map(|joint| format!("joint_{joint}")).collect(),
        }
    }

    /// The motion's numbers \[m, rad, rad/s or Nm\].
    fn numbers(&self) -> Vec<f64> {
        match self.motion {
            Some(Motion::ToolPose(base_from_tool)) => bridge_pose(&base_from_tool).into(),
            _ => self.joints().map_or_else(Vec::new, |joints| joints.to_vec()),
        }
    }
}

/// One decision and the recorded one.
#[derive(Clone, Debug)]
struct Row {
    recorded: u64,
    seconds: f64,
    decided_by: Option<Decider>,
    then: Asked,
    now: Asked,
    /// The safety filter's strongest intervention on its commands.
    filtered: Filtered,
}

impl Row {
    /// \[m\]
    fn translation(&self) -> f64 {
        let ((then, _), (now, _)) = (self.then.tool(), self.now.tool());
        (0..3).map(|axis| (then[axis] - now[axis]).powi(2)).sum::<f64>().sqrt()
    }

    /// \[rad\]
    fn rotation(&self) -> f64 {
        self.then.tool().1.angle_to(&self.now.tool().1)
    }

    fn gripper(&self) -> f64 {
        (self.then.action.gripper - self.now.action.gripper).abs()
    }

    /// Largest difference over the joints \[rad, rad/s or Nm\].
    fn joint(&self) -> Option<f64> {
        Some((self.then.joints()? - self.now.joints()?).max_abs())
    }
}

/// All decisions of a shadow run and the recorded ones.
pub struct Differences {
    playback: Arc<Playback>,
    rows: Vec<Row>,
}

impl Differences {
    /// Compares with this recording.
    pub fn new(playback: Arc<Playback>) -> Self {
        Self { playback, rows: Vec::new() }
    }

    /// Writes one line per decision.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut out = String::from("step,recorded_step,seconds,decided_by");
        for (time, asked) in self.rows.first().iter().flat_map(|row| [("then", &row.then), ("now", &row.now)]) {
            PARTS.iter().for_each(|part| out.push_str(&format!(",{time}_{part}")));
            asked.names().iter().for_each(|name| out.push_str(&format!(",{time}_{name}")));
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
                let numbers = asked.action.to_array().into_iter().chain(asked.numbers());
                numbers.for_each(|value| out.push_str(&format!(",{value:.6}")));
            }
            out.push_str(&match row.filtered {
                Filtered::Passed => ",passed\n".to_string(),
                Filtered::Limited(reason) => format!(",limited {reason:?}\n"),
                Filtered::Stopped(reason) => format!(",stopped {reason:?}\n"),
            });
        }
        std::fs::write(path, out)
            .with_context(|| format!("{}: cannot be written; choose another --differences", path.display()))
    }
}

impl StepSink for Differences {
    fn episode_started(&mut self, _start: &EpisodeStart) -> Result<(), SinkError> {
        Ok(())
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), SinkError> {
        let at = step.observation.observed_at;
        let recorded = self.playback.step(at);
        self.rows.push(Row {
            recorded: recorded.index,
            seconds: self.playback.elapsed(at).as_secs_f64(),
            decided_by: recorded.decided_by,
            then: Asked { action: recorded.action, motion: recorded.motion },
            now: Asked { action: step.decision.action, motion: step.decision.motion },
            filtered: Filtered::Passed,
        });
        Ok(())
    }

    fn control_tick(&mut self, tick: &ControlTick) -> Result<(), SinkError> {
        let index = tick.step_index.and_then(|index| usize::try_from(index).ok());
        if let Some(row) = index.and_then(|index| self.rows.get_mut(index))
            && hardness(tick.filtered) > hardness(row.filtered)
        {
            row.filtered = tick.filtered;
        }
        Ok(())
    }

    fn episode_ended(&mut self, _end: &EpisodeEnd) -> Result<(), SinkError> {
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

/// Median and maximum.
fn spread(values: impl Iterator<Item = f64>, scale: f64, unit: &str) -> String {
    let mut values: Vec<f64> = values.collect();
    // NaN sorts last.
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
        let unlike = rows.iter().find(|row| row.then.kind() != row.now.kind());
        if let Some(Row { then, now, .. }) = unlike {
            write!(f, "\nmotion     then {}, now {}: not compared", then.kind(), now.kind())?;
        } else if let Some(row) = rows.first().filter(|row| row.joint().is_some()) {
            let unit = match row.now.kind() {
                MotionKind::JointPositions => "rad",
                MotionKind::JointVelocities => "rad/s",
                _ => "Nm",
            };
            let joints = spread(rows.iter().filter_map(Row::joint), 1.0, unit);
            write!(f, "\n{} differ by {joints} in the joint that differs most (p50 / max)", row.now.kind())?;
        } else {
            write!(f, "\ntranslation differs by {} (p50 / max)", spread(rows.iter().map(Row::translation), 1e3, "mm"))?;
            write!(f, "\nrotation   differs by {} (p50 / max)", spread(rows.iter().map(Row::rotation), 1.0, "rad"))?;
        }
        write!(f, "\ngripper    differs by {} (p50 / max)", spread(rows.iter().map(Row::gripper), 1.0, "of its travel"))
    }
}
