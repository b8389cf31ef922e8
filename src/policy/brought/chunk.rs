//! Several actions of one look, carried out one after the other.

use std::collections::VecDeque;
use std::time::Duration;

use super::description::Output;
use crate::time::Timestamp;

/// The next action of a chunk.
#[derive(Clone, Debug, PartialEq)]
pub struct Next {
    /// Its numbers.
    pub row: Vec<f64>,
    /// Capture time of the image it was planned on.
    pub captured_at: Timestamp,
    /// How long after the look it was planned to act.
    pub ahead: Duration,
}

/// What is left of the newest chunk, and of the one before where both planned the same moment.
pub struct Chunk {
    execute: usize,
    blend: f64,
    period: f64,
    rows: VecDeque<Vec<f64>>,
    before: VecDeque<Vec<f64>>,
    taken: usize,
    captured_at: Timestamp,
}

impl Chunk {
    /// For a policy period \[s\].
    pub fn new(output: &Output, period: f64) -> Self {
        Self {
            execute: output.executed(),
            blend: output.blend,
            period,
            rows: VecDeque::new(),
            before: VecDeque::new(),
            taken: 0,
            captured_at: Timestamp::ZERO,
        }
    }

    /// Forgets what was planned.
    pub fn forget(&mut self) {
        self.rows.clear();
        self.before.clear();
        self.taken = 0;
    }

    /// Is it time for a new look?
    pub fn is_used_up(&self) -> bool {
        self.rows.is_empty() || self.taken >= self.execute
    }

    /// A new look's actions; what the last look planned beyond is kept for blending.
    pub fn begin(&mut self, rows: Vec<Vec<f64>>, captured_at: Timestamp) {
        self.before = std::mem::replace(&mut self.rows, rows.into());
        self.taken = 0;
        self.captured_at = captured_at;
    }

    /// The next action.
    pub fn next(&mut self) -> Option<Next> {
        let mut row = self.rows.pop_front()?;
        if let Some(before) = self.before.pop_front() {
            for (value, before) in row.iter_mut().zip(before) {
                *value = (1.0 - self.blend) * *value + self.blend * before;
            }
        }
        let ahead = Duration::from_secs_f64(self.period * self.taken as f64);
        self.taken += 1;
        Some(Next { row, captured_at: self.captured_at, ahead })
    }
}
