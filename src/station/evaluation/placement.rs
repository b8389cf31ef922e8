//! Placement of an object relative to the starting gripper: below it, or shifted by a few inches (V-PTR appendix C.1).

use serde::{Deserialize, Serialize};

use visuomotor_core::config::StartTransform;

/// Placement of the object relative to the starting gripper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Placement {
    /// Directly below the gripper.
    #[serde(rename = "under")]
    Under,
    /// Shifted toward the center of the box that the start transforms span.
    #[serde(rename = "shift_1")]
    Shift1,
    /// Shifted by the same length, perpendicular to the first shift.
    #[serde(rename = "shift_2")]
    Shift2,
}

impl Placement {
    /// All three, in the order of the paper.
    pub const ALL: [Placement; 3] = [Placement::Under, Placement::Shift1, Placement::Shift2];

    /// `under`, `shift_1`, `shift_2`.
    pub fn word(self) -> &'static str {
        match self {
            Placement::Under => "under",
            Placement::Shift1 => "shift_1",
            Placement::Shift2 => "shift_2",
        }
    }
}

/// The box that the start transforms span, base frame x and y \[m\].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct StartBox {
    low: [f64; 2],
    high: [f64; 2],
}

impl StartBox {
    /// The smallest box around all start places; `None` without any.
    pub(super) fn around(starts: &[StartTransform]) -> Option<Self> {
        let first = starts.first()?.at;
        let mut found = Self { low: first, high: first };
        for start in starts {
            for axis in 0..2 {
                found.low[axis] = found.low[axis].min(start.at[axis]);
                found.high[axis] = found.high[axis].max(start.at[axis]);
            }
        }
        Some(found)
    }

    fn center(&self) -> [f64; 2] {
        [(self.low[0] + self.high[0]) / 2.0, (self.low[1] + self.high[1]) / 2.0]
    }

    /// Distance of `place` outside the box, summed over both axes \[m\].
    fn overhang(&self, place: [f64; 2]) -> f64 {
        (0..2).map(|axis| (self.low[axis] - place[axis]).max(0.0) + (place[axis] - self.high[axis]).max(0.0)).sum()
    }

    /// The place of an object for a start transform, before jitter \[m\].
    ///
    /// The first shift goes `shift` meters toward the center of the box (along x for a start in the center). The second
    /// is perpendicular to it. From a corner of the box both perpendicular directions leave it. The one that ends less far
    /// outside is used; in a square, where both end equally far, the one that ends nearer to the center line in front of the
    /// arm (y of the center); if that is equal too, the one to the left of the first shift.
    pub(super) fn place(&self, start: [f64; 2], placement: Placement, shift: f64) -> [f64; 2] {
        let center = self.center();
        let toward = [center[0] - start[0], center[1] - start[1]];
        let length = toward[0].hypot(toward[1]);
        let first = if length > 1e-9 { [toward[0] / length, toward[1] / length] } else { [1.0, 0.0] };
        let end = |direction: [f64; 2]| [start[0] + shift * direction[0], start[1] + shift * direction[1]];
        match placement {
            Placement::Under => start,
            Placement::Shift1 => end(first),
            Placement::Shift2 => {
                let left = end([-first[1], first[0]]);
                let right = end([first[1], -first[0]]);
                let from_line = |place: [f64; 2]| (place[1] - center[1]).abs();
                let outside = self.overhang(right) - self.overhang(left);
                let nearer = from_line(right) - from_line(left);
                // A tolerance far below the jitter: rounding must not decide ties.
                if outside.abs() > 1e-9 {
                    if outside < 0.0 { right } else { left }
                } else if nearer < -1e-9 {
                    right
                } else {
                    left
                }
            }
        }
    }
}

/// Distance of two places \[m\].
pub(super) fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(places: [[f64; 2]; 4]) -> Vec<StartTransform> {
        places.iter().map(|&at| StartTransform { name: "start".into(), at }).collect()
    }

    fn near(found: [f64; 2], wanted: [f64; 2]) {
        assert!(distance(found, wanted) < 1e-9, "{found:?} is not {wanted:?}");
    }

    /// Box 0.20..0.50 x -0.20..0.20: center (0.35, 0), a 3-4-5 triangle from the corner (0.20, -0.20).
    #[test]
    fn shifts_have_the_length_and_direction_computed_by_hand() {
        let corners = StartBox::around(&starts([[0.2, -0.2], [0.5, -0.2], [0.5, 0.2], [0.2, 0.2]])).unwrap();
        near(corners.place([0.2, -0.2], Placement::Under, 0.05), [0.2, -0.2]);
        near(corners.place([0.2, -0.2], Placement::Shift1, 0.05), [0.23, -0.16]);
        // Perpendiculars of (.6, .8) are (-.8, .6), .04 outside, and (.8, -.6), .03 outside.
        near(corners.place([0.2, -0.2], Placement::Shift2, 0.05), [0.24, -0.23]);
        near(corners.place([0.5, 0.2], Placement::Shift1, 0.05), [0.47, 0.16]);
        near(corners.place([0.5, 0.2], Placement::Shift2, 0.05), [0.46, 0.23]);
    }

    #[test]
    fn in_a_square_the_second_shift_stays_near_the_center_line() {
        let corners = StartBox::around(&starts([[0.2, -0.1], [0.4, -0.1], [0.4, 0.1], [0.2, 0.1]])).unwrap();
        let step = 0.07 / f64::sqrt(2.0);
        near(corners.place([0.2, -0.1], Placement::Shift2, 0.07), [0.2 - step, -0.1 + step]);
        near(corners.place([0.4, 0.1], Placement::Shift2, 0.07), [0.4 + step, 0.1 - step]);
    }

    #[test]
    fn a_start_in_the_center_shifts_forward_and_left() {
        let point = StartBox::around(&starts([[0.3, 0.0]; 4])).unwrap();
        near(point.place([0.3, 0.0], Placement::Shift1, 0.05), [0.35, 0.0]);
        near(point.place([0.3, 0.0], Placement::Shift2, 0.05), [0.3, 0.05]);
    }
}
