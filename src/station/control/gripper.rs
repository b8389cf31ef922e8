//! Converts a policy's gripper value to a gripper target.

use visuomotor_core::config::GripperPolicy;

/// Applies a [`GripperPolicy`] from decision to decision.
#[derive(Clone, Copy, Debug)]
pub(super) struct GripperFilter {
    policy: GripperPolicy,
    /// Last target, 0 closed .. 1 open.
    target: f64,
    /// Consecutive decisions for the other side.
    differing: u32,
}

impl GripperFilter {
    /// Starts open (V-PTR's start value of +1).
    pub(super) fn new(policy: GripperPolicy) -> Self {
        Self { policy, target: 1.0, differing: 0 }
    }

    /// Resets to this target (0 closed .. 1 open).
    pub(super) fn restart(&mut self, target: f64) {
        self.target = target.clamp(0.0, 1.0);
        self.differing = 0;
    }

    /// Target after a decision with the value `asked` (0 closed .. 1 open, finite).
    pub(super) fn decide(&mut self, asked: f64) -> f64 {
        let asked = asked.clamp(0.0, 1.0);
        self.target = match self.policy {
            GripperPolicy::Direct => asked,
            GripperPolicy::Sticky { steps } => self.sticky(asked, steps),
            GripperPolicy::RateLimit { closing, opening } => {
                // On the normalized value, -1 closed .. +1 open.
                let before = 2.0 * self.target - 1.0;
                let normalized = (2.0 * asked - 1.0).min(before + opening).max(before - closing);
                (0.5 * (normalized + 1.0)).clamp(0.0, 1.0)
            }
        };
        self.target
    }

    fn sticky(&mut self, asked: f64, steps: u32) -> f64 {
        let closed = self.target < 0.5;
        self.differing = if (asked < 0.5) == closed { 0 } else { self.differing + 1 };
        let toggled = self.differing >= steps.max(1);
        if toggled {
            self.differing = 0;
        }
        if closed == toggled { 1.0 } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(policy: GripperPolicy, asked: &[f64]) -> Vec<f64> {
        let mut filter = GripperFilter::new(policy);
        asked.iter().map(|a| filter.decide(*a)).collect()
    }

    #[test]
    fn direct_passes_the_value_within_its_range() {
        assert_eq!(answers(GripperPolicy::Direct, &[0.3, 0.9, 1.5, -2.0]), [0.3, 0.9, 1.0, 0.0]);
    }

    #[test]
    fn sticky_with_one_step_is_a_threshold_at_one_half() {
        let policy = GripperPolicy::Sticky { steps: 1 };
        assert_eq!(answers(policy, &[0.6, 0.5, 0.49, 0.0, 0.5, 1.0]), [1.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn sticky_toggles_only_after_that_many_decisions_in_a_row() {
        let policy = GripperPolicy::Sticky { steps: 3 };
        let asked = [0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9];
        assert_eq!(answers(policy, &asked), [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn rate_limited_closing_takes_seven_decisions_and_opening_two() {
        let policy = GripperPolicy::RateLimit { closing: 0.3, opening: 1.0 };
        let closing = answers(policy, &[0.0; 7]);
        assert!(closing.windows(2).all(|pair| pair[1] < pair[0]));
        // Six steps of 0.3 from +1 end at -0.8, which is a tenth open.
        assert!((closing[5] - 0.1).abs() < 1e-12);
        assert_eq!(closing[6], 0.0);
        let mut filter = GripperFilter::new(policy);
        filter.restart(0.0);
        assert_eq!([filter.decide(1.0), filter.decide(1.0)], [0.5, 1.0]);
    }
}
