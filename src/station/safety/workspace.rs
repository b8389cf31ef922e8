//! The tool's box.

use nalgebra::Vector3;

/// Tolerated distance outside the box \[m\]: the path between two poses inside is straight in joints, not in space.
pub(super) const TOLERANCE: f64 = 0.005;

/// Distance from the base's axis within which the tool is free on the way to a posture \[m\]: a folded WidowX has its tool
/// there or just in front of it, and turning its waist leads past the corners between there and the box. Not a share of
/// the box, whose near side may be far away because of another object.
pub(super) const ABOUT_THE_BASE: f64 = 0.12;

/// A box in the base frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Workspace {
    /// Lower corner \[m\].
    pub(super) low: [f64; 3],
    /// Upper corner \[m\].
    pub(super) high: [f64; 3],
    /// Is the arm going to a posture instead of following actions?
    pub(super) approaching: bool,
}

impl Workspace {
    /// Distance from a point to the box \[m\]; zero inside, NaN for NaN inputs.
    pub(super) fn distance_outside(&self, point: &Vector3<f64>) -> f64 {
        self.beyond(point).iter().map(|beyond| beyond * beyond).sum::<f64>().sqrt()
    }

    /// Distance of a point beyond each of the box's six sides \[m\]; NaN for NaN inputs.
    fn beyond(&self, point: &Vector3<f64>) -> [f64; 6] {
        std::array::from_fn(|side| {
            let axis = side / 2;
            let beyond = if side % 2 == 0 { self.low[axis] - point[axis] } else { point[axis] - self.high[axis] };
            // Zero only where the comparison holds, so that NaN does not count as inside.
            if beyond <= 0.0 { 0.0 } else { beyond }
        })
    }

    /// May the tool go to `next` from `last`, its position by the last sent command? Allowed are positions inside the box and
    /// its tolerance, and those no further out beyond any side than `last`.
    ///
    /// An arm without torque folds with its tool behind the box, or just inside. The straight joint path from there to a
    /// posture may lead a little further out before it leads in. This is allowed around the base's axis, where there is only
    /// the arm itself, and at no lower or higher level.
    pub(super) fn allows(&self, next: &Vector3<f64>, last: &Vector3<f64>) -> bool {
        self.distance_outside(next) <= TOLERANCE
            || self.no_further_out(next, last)
            || self.approaching && self.about_the_base(next, last)
    }

    fn no_further_out(&self, next: &Vector3<f64>, last: &Vector3<f64>) -> bool {
        self.beyond(next).iter().zip(self.beyond(last)).all(|(next, last)| *next <= last)
    }

    fn about_the_base(&self, next: &Vector3<f64>, last: &Vector3<f64>) -> bool {
        let level = next.z >= last.z.min(self.low[2]) && next.z <= last.z.max(self.high[2]);
        // `min` and `max` skip NaN: from an unknown position nothing counts as level.
        next.x.hypot(next.y) <= ABOUT_THE_BASE && level && last.iter().all(|value| value.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: Workspace = Workspace { low: [0.1, -0.3, 0.0], high: [0.4, 0.3, 0.3], approaching: false };

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
        assert!(!BOX.allows(&Vector3::new(0.3, 0.0, -0.1), &last), "nearer, but out on another side");
    }

    #[test]
    fn only_an_unfolding_arm_may_approach_its_base_and_not_lower() {
        let at = |x: f64, z: f64| Vector3::new(x, 0.0, z);
        let folded = at(0.04, -0.01);
        let approaching = Workspace { approaching: true, ..BOX };
        assert!(approaching.allows(&at(0.03, -0.01), &folded));
        assert!(!BOX.allows(&at(0.03, -0.01), &folded), "an action does not unfold an arm");
        assert!(!approaching.allows(&at(0.03, -0.02), &folded), "lower");
        assert!(!approaching.allows(&at(0.61, 0.1), &at(0.6, 0.1)), "away from the base");
        assert!(approaching.allows(&at(0.09, 0.1), &at(0.1, 0.1)) && !BOX.allows(&at(0.09, 0.1), &at(0.1, 0.1)));
        assert!(!approaching.allows(&at(0.2, -0.01), &at(0.2, 0.0)), "out of the box, below");
        assert!(
            !approaching.allows(&Vector3::new(0.2, 0.31, 0.1), &Vector3::new(0.3, 0.3, 0.1)),
            "out of the box, beside"
        );
        assert!(!approaching.allows(&at(f64::NAN, 0.1), &folded) && !approaching.allows(&at(0.03, f64::NAN), &folded));
        assert!(!approaching.allows(&at(0.03, 0.0), &at(f64::NAN, 0.0)), "its position is unknown");
    }

    #[test]
    fn a_box_around_the_base_has_nothing_behind_it() {
        let around = Workspace { low: [-0.6, -0.75, 0.02], high: [0.6, 0.3, 0.9], approaching: true };
        assert!(!around.allows(&Vector3::new(0.0, 0.0, 0.91), &Vector3::new(0.0, 0.0, 0.9)));
    }

    #[test]
    fn a_box_far_from_the_base_is_not_made_longer_towards_it() {
        let far = Workspace { low: [0.5, -0.3, 0.0], high: [0.7, 0.3, 0.3], approaching: true };
        assert!(!far.allows(&Vector3::new(0.49, 0.0, 0.1), &Vector3::new(0.5, 0.0, 0.1)));
    }

    #[test]
    fn nan_is_outside_everything() {
        let inside = Vector3::new(0.2, 0.0, 0.1);
        for axis in 0..3 {
            let mut bad = inside;
            bad[axis] = f64::NAN;
            assert!(!BOX.allows(&bad, &inside));
        }
        let nowhere = Workspace { low: [f64::NAN; 3], high: [f64::NAN; 3], approaching: true };
        assert!(!nowhere.allows(&inside, &inside));
    }
}
