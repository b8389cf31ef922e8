//! The numbers of an episode, column by column.

use super::*;
use crate::exchange::selection::{SelectedEpisode, Selection};
use crate::recording::RecordedStep;
use visuomotor_core::action::Decider;

/// Number format of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    F32,
    F64,
    I64,
}

impl Kind {
    pub fn dtype(self) -> &'static str {
        match self {
            Kind::F32 => "float32",
            Kind::F64 => "float64",
            Kind::I64 => "int64",
        }
    }
}

/// One column: `width` numbers per step.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub name: String,
    pub kind: Kind,
    pub width: usize,
    /// One name per number; `None` where the column's own name suffices.
    pub names: Option<Vec<String>>,
    /// Step by step; integers are exact up to 2^53, 32-bit floats are rounded already.
    pub values: Vec<f64>,
}

impl Column {
    fn new(name: impl Into<String>, kind: Kind, names: Option<Vec<String>>) -> Self {
        let width = names.as_ref().map_or(1, Vec::len);
        Self { name: name.into(), kind, width, names, values: Vec::new() }
    }

    fn push(&mut self, values: &[f64]) {
        match self.kind {
            Kind::F32 => self.values.extend(values.iter().map(|v| f64::from(*v as f32))),
            _ => self.values.extend(values),
        }
    }

    /// The numbers of one dimension.
    pub fn dimension(&self, index: usize) -> Vec<f64> {
        self.values.iter().skip(index).step_by(self.width.max(1)).copied().collect()
    }
}

/// Position of an episode in its data set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub episode: usize,
    pub task: usize,
    /// Index of its first step among all.
    pub first: u64,
    /// Policy rate \[Hz\].
    pub rate: u32,
}

/// The columns of one episode; the same ones for each episode of a selection.
pub(super) fn columns(selection: &Selection, episode: &SelectedEpisode, at: Standing) -> Vec<Column> {
    let names = |names: &[&str]| Some(names.iter().map(|name| name.to_string()).collect::<Vec<_>>());
    let joints = &selection.start().joint_names;
    let mut out = vec![
        Column::new(STATE, Kind::F32, names(&STATE_NAMES)),
        Column::new(ACTION, Kind::F32, names(&ACTION_NAMES)),
        Column::new(MEASURED_TIME, Kind::F64, None),
        Column::new("timestamp", Kind::F32, None),
        Column::new("frame_index", Kind::I64, None),
        Column::new("episode_index", Kind::I64, None),
        Column::new("index", Kind::I64, None),
        Column::new("task_index", Kind::I64, None),
    ];
    for (index, step) in (0u64..).zip(&episode.steps) {
        let numbers: [&[f64]; 8] = [
            &step.bridge_state,
            &step.action.to_array(),
            &[episode.seconds(step)],
            // LeRobot checks that stamps are equally spaced, so these are computed; the measured ones are in columns of their
            // own.
            &[index as f64 / f64::from(at.rate)],
            &[index as f64],
            &[at.episode as f64],
            &[(at.first + index) as f64],
            &[at.task as f64],
        ];
        for (column, numbers) in out.iter_mut().zip(numbers) {
            column.push(numbers);
        }
    }
    let mut more = |mut column: Column, numbers: &dyn Fn(&RecordedStep) -> Vec<f64>| {
        episode.steps.iter().for_each(|step| column.push(&numbers(step)));
        out.push(column);
    };
    if !joints.is_empty() {
        let column = Column::new(JOINT_POSITIONS, Kind::F32, Some(joints.clone()));
        more(column, &|step| step.proprioception.joint_positions.to_vec());
    }
    if selection.episodes.iter().any(SelectedEpisode::was_disturbed) {
        more(Column::new(NOISE_FREE_ACTION, Kind::F32, names(&ACTION_NAMES)), &|step| step.label.to_array().to_vec());
    }
    if selection.episodes.iter().any(SelectedEpisode::has_interventions) {
        more(Column::new(INTERVENTION, Kind::I64, None), &|step| {
            vec![f64::from(u8::from(step.decided_by == Some(Decider::Operator)))]
        });
    }
    let first = episode.steps[0].observed_at.as_secs_f64();
    for (index, camera) in selection.cameras.iter().enumerate() {
        let column = Column::new(format!("{CAPTURE_TIME}{camera}"), Kind::F64, None);
        more(column, &|step| vec![step.images[index].captured_at.as_secs_f64() - first]);
    }
    out
}
