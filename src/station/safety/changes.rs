//! What a check may do to a number, and which check changed a command most.

use super::joint_limits::NEGLIGIBLE;
use visuomotor_core::episode::{Filtered, LimitReason};
use visuomotor_core::observation::JointVector;

/// The numbers from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Interval {
    pub(super) const ALL: Self = Self { low: f64::NEG_INFINITY, high: f64::INFINITY };

    /// The number, clamped.
    pub(super) fn bring(&self, value: f64) -> f64 {
        if !(value <= self.high) {
            self.high
        } else if !(value >= self.low) {
            self.low
        } else {
            value
        }
    }
}

/// Finds the limit that changed the command most.
#[derive(Default)]
pub(super) struct Changes {
    largest: f64,
    reason: Option<LimitReason>,
}

impl Changes {
    pub(super) fn note(&mut self, reason: LimitReason, change: f64) {
        if !(change <= self.largest.max(NEGLIGIBLE)) {
            self.largest = change;
            self.reason = Some(reason);
        }
    }

    pub(super) fn decide(&mut self, reason: LimitReason) {
        self.largest = f64::INFINITY;
        self.reason = Some(reason);
    }

    pub(super) fn verdict(&self) -> Filtered {
        self.reason.map_or(Filtered::Passed, Filtered::Limited)
    }
}

/// Largest difference over the joints, in the vectors' unit.
pub(super) fn distance(a: &JointVector, b: &JointVector) -> f64 {
    (*a - *b).max_abs()
}

/// From one vector toward another.
pub(super) fn part_of_the_way(from: &JointVector, to: &JointVector, share: f64) -> JointVector {
    *from + share * (*to - *from)
}
