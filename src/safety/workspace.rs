//! The tool's box.

use nalgebra::Vector3;

/// Distance outside the box that is let pass \[m\]: the way between two poses inside is straight in joints, not in space.
pub(super) const TOLERANCE: f64 = 0.005;

/// How much further out than it ever was the tool of an arm that began outside may get on its way back \[m\]: an arm that lay
/// folded comes up along a curve that leads out a little before it leads in.
pub(super) const DETOUR: f64 = 0.03;

/// A box in the base frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Workspace {
    /// Lower corner \[m\].
    low: [f64; 3],
    /// Upper corner \[m\].
    high: [f64; 3],
    /// Smallest distance outside since the start \[m\]; zero once the tool was inside.
    nearest: f64,
}

impl Workspace {
    /// A box between two corners \[m\], with the tool inside.
    pub(super) fn new(low: [f64; 3], high: [f64; 3]) -> Self {
        Self { low, high, nearest: 0.0 }
    }

    /// Starts with the tool at a point.
    pub(super) fn start(&mut self, tool: &Vector3<f64>) {
        self.nearest = self.distance_outside(tool);
    }

    /// The tool was measured at a point.
    pub(super) fn reached(&mut self, tool: &Vector3<f64>) {
        let outside = self.distance_outside(tool);
        if outside < self.nearest {
            self.nearest = outside;
        }
    }

    /// Distance from a point to the box \[m\]; zero inside, NaN when a number is.
    pub(super) fn distance_outside(&self, point: &Vector3<f64>) -> f64 {
        let mut squared = 0.0;
        for axis in 0..3 {
            let value = point[axis];
            // Zero only where both comparisons hold, so that NaN does not read as inside.
            let outside = if value >= self.low[axis] && value <= self.high[axis] {
                0.0
            } else if value < self.low[axis] {
                self.low[axis] - value
            } else {
                value - self.high[axis]
            };
            squared += outside * outside;
        }
        f64::sqrt(squared)
    }

    /// May the tool go to `next` when the last sent command has it at `last`? It may inside the box and its tolerance, where
    /// it gets no further out than it is, and as long as it never was inside also on a detour, though never further down.
    pub(super) fn allows(&self, next: &Vector3<f64>, last: &Vector3<f64>) -> bool {
        let outside = self.distance_outside(next);
        let detour = self.nearest > TOLERANCE && outside <= self.nearest + DETOUR && next.z >= last.z.min(self.low[2]);
        outside <= TOLERANCE || outside <= self.distance_outside(last) || detour
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: Workspace = Workspace { low: [0.1, -0.3, 0.0], high: [0.4, 0.3, 0.3], nearest: 0.0 };

    #[test]
    fn the_distance_is_to_the_nearest_point_of_the_box() {
        assert_eq!(BOX.distance_outside(&Vector3::new(0.2, 0.0, 0.1)), 0.0);
        assert!((BOX.distance_outside(&Vector3::new(0.4 + 0.03, 0.3 + 0.04, 0.1)) - 0.05).abs() < 1e-12);
        assert!((BOX.distance_outside(&Vector3::new(0.2, 0.0, -0.02)) - 0.02).abs() < 1e-12);
    }

    #[test]
    fn just_inside_the_tolerance_passes_and_just_outside_does_not() {
        let last = Vector3::new(0.2, 0.0, 0.0);
        assert!(BOX.allows(&Vector3::new(0.2, 0.0, 1e-6 - TOLERANCE), &last));
        assert!(!BOX.allows(&Vector3::new(0.2, 0.0, -1e-6 - TOLERANCE), &last));
    }

    #[test]
    fn outside_only_the_way_back_is_free() {
        let last = Vector3::new(0.6, 0.0, 0.1);
        assert!(BOX.allows(&Vector3::new(0.59, 0.0, 0.1), &last));
        assert!(BOX.allows(&last, &last));
        assert!(!BOX.allows(&Vector3::new(0.61, 0.0, 0.1), &last));
    }

    #[test]
    fn a_tool_that_began_outside_may_take_a_detour_but_not_downward_and_not_again() {
        let mut around = BOX;
        let folded = Vector3::new(0.04, 0.0, -0.01);
        around.start(&folded);
        let at = |x: f64, z: f64| Vector3::new(x, 0.0, z);
        assert!(around.allows(&at(0.02, -0.01), &folded));
        assert!(!around.allows(&at(0.0, -0.01), &folded), "further than a detour");
        assert!(!around.allows(&at(0.035, -0.011), &folded), "downward");
        around.reached(&at(0.08, 0.05));
        assert!(!around.allows(&at(0.04, 0.05), &at(0.08, 0.05)), "it has come nearer meanwhile");
        around.reached(&at(0.2, 0.05));
        assert!(!around.allows(&at(0.09, 0.05), &at(0.1, 0.05)), "it was inside");
        around.start(&at(f64::NAN, 0.0));
        assert!(!around.allows(&at(0.03, 0.05), &at(0.04, 0.05)), "nobody knows where it is");
    }

    #[test]
    fn nan_is_outside_everything() {
        let inside = Vector3::new(0.2, 0.0, 0.1);
        for axis in 0..3 {
            let mut bad = inside;
            bad[axis] = f64::NAN;
            assert!(!BOX.allows(&bad, &inside));
        }
        let nowhere = Workspace::new([f64::NAN; 3], [f64::NAN; 3]);
        assert!(!nowhere.allows(&inside, &inside));
    }
}
