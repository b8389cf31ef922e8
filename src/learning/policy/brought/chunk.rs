//! Action chunks: several actions from one inference, executed one after the other.

use std::collections::VecDeque;
use std::time::Duration;

use super::output::Output;
use visuomotor_core::time::Timestamp;

/// The next action of a chunk.
#[derive(Clone, Debug, PartialEq)]
pub struct Next {
    /// Its numbers.
    pub row: Vec<f64>,
    /// Capture time of the image it was planned from.
    pub captured_at: Timestamp,
    /// How long after the inference it was planned to act.
    pub ahead: Duration,
}

/// The rest of the newest chunk, and the actions of the previous one that were planned for the same moments.
pub struct Chunk {
    execute: usize,
    blend: f64,
    period: f64,
    rows: VecDeque<Vec<f64>>,
    before: VecDeque<Vec<f64>>,
    taken: usize,
    captured_at: Timestamp,
    /// Time of the inference.
    looked_at: Timestamp,
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
            looked_at: Timestamp::ZERO,
        }
    }

    /// Forgets what was planned.
    pub fn forget(&mut self) {
        self.rows.clear();
        self.before.clear();
        self.taken = 0;
    }

    /// Is it time for a new inference? Also after skipped decisions: after a camera fault the plan is for another time.
    pub fn is_used_up(&self, now: Timestamp) -> bool {
        self.rows.is_empty() || self.taken >= self.execute || self.is_behind(now)
    }

    /// Is the next action's moment past by more than a policy period?
    fn is_behind(&self, now: Timestamp) -> bool {
        now.since(self.looked_at).as_secs_f64() > self.period * (self.taken + 1) as f64
    }

    /// Stores the actions of an inference at `now`; keeps those that the previous chunk planned for the same moments, for
    /// blending.
    pub fn begin(&mut self, rows: Vec<Vec<f64>>, captured_at: Timestamp, now: Timestamp) {
        let behind = self.is_behind(now);
        self.before = std::mem::replace(&mut self.rows, rows.into());
        if behind {
            self.before.clear();
        }
        self.taken = 0;
        (self.captured_at, self.looked_at) = (captured_at, now);
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
