//! Which episodes fail, and how: in the papers' simulated pre-training data about 30 % of episodes succeed.
//!
//! The expert sees nothing and goes to the given positions. Given a wrong one, it fails as a human who misjudged it:
//! it closes its fingers beside the object, releases beside the container, or drops the object on the way.

use anyhow::ensure;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::cli::kitchen::KitchenSetting;
use crate::cli::layout::derived_seed;
use crate::cli::set_up::SetUp;
use crate::config::Rule;
use crate::scripted::{Assignment, Then};

/// Shortest and longest failure \[s\]: about as long as successes.
const SECONDS: (f64, f64) = (5.0, 9.5);

/// Share of episodes that succeed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share(f64);

impl Share {
    /// Refuses a value outside of 0 to 1.
    pub fn new(share: f64) -> anyhow::Result<Self> {
        ensure!((0.0..=1.0).contains(&share), "--success-share: found {share}, expected a number from 0 to 1");
        Ok(Self(share))
    }

    /// Must this episode succeed? Of `n` consecutive episodes, `n` times the share do, to within one; `words` offset the
    /// sequence.
    pub fn succeeds(self, words: &str, number: usize) -> bool {
        let begin = ChaCha8Rng::seed_from_u64(derived_seed(words)).random_range(0.0..1.0);
        let before = |number: usize| (number as f64 * self.0 + begin).floor();
        // With a share of 1, rounding must not lose an episode.
        self.0 == 1.0 || before(number + 1) > before(number)
    }
}

/// The wrong position that a misled expert is given, and how long it tries \[s\].
pub(super) fn misled(setting: &KitchenSetting, set_up: &SetUp, told: Assignment) -> (Assignment, f64) {
    let mut rng = ChaCha8Rng::seed_from_u64(set_up.seed ^ 0xfa11_ed00);
    let mut told = told;
    let container = set_up.task.container.as_ref().and_then(|name| setting.objects.get(name));
    let radius = container.and_then(|c| c.inner_radius).unwrap_or(0.07);
    let angle: f64 = rng.random_range(-std::f64::consts::PI..std::f64::consts::PI);
    let aside = |place: [f64; 3], way: f64| [place[0] + way * angle.cos(), place[1] + way * angle.sin(), place[2]];
    let kind = rng.random_range(0..10);
    match (kind, &mut told.then) {
        // Beside the object.
        (0..5, Then::Release { .. }) => told.grasp = aside(told.grasp, rng.random_range(0.035..0.075)),
        // Beside the button.
        (_, Then::Press { .. }) => told.grasp = aside(told.grasp, rng.random_range(0.07..0.11)),
        // Beside the container, or back into it.
        (5..8, Then::Release { at }) => {
            *at = match set_up.task.rule {
                Rule::TakeOut => [told.grasp[0], told.grasp[1], told.grasp[2] + 0.06],
                Rule::PutIn | Rule::Press => aside(*at, radius + rng.random_range(0.05..0.09)),
            }
        }
        // Dropped on the way.
        (_, Then::Release { at }) => {
            let share = match set_up.task.rule {
                Rule::TakeOut => rng.random_range(0.05..0.2),
                Rule::PutIn | Rule::Press => rng.random_range(0.2..0.5),
            };
            for axis in 0..2 {
                at[axis] = told.grasp[axis] + share * (at[axis] - told.grasp[axis]);
            }
            at[2] = rng.random_range(0.09..0.13);
        }
    }
    // A wrong position, but inside the workspace.
    let limits = &setting.station.robot.limits;
    let release = match &mut told.then {
        Then::Release { at } => Some(at),
        Then::Press { .. } => None,
    };
    for place in [Some(&mut told.grasp), release].into_iter().flatten() {
        for axis in 0..3 {
            place[axis] = place[axis].clamp(limits.workspace_low[axis] + 0.005, limits.workspace_high[axis] - 0.005);
        }
    }
    (told, rng.random_range(SECONDS.0..SECONDS.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_holds_from_any_start_of_the_sequence() {
        for (share, words) in [(0.3, "1 a"), (0.3, "2 b"), (0.25, "1 c"), (0.0, "1 d"), (1.0, "1 e"), (0.77, "9 f")] {
            let kept = Share::new(share).unwrap();
            for n in [1usize, 7, 40, 125] {
                let successes = (0..n).filter(|number| kept.succeeds(words, *number)).count();
                assert!((successes as f64 - share * n as f64).abs() < 1.0, "{successes} of {n}, share {share}");
            }
        }
        let firsts: Vec<bool> = (0..20).map(|task| Share(0.3).succeeds(&format!("1 {task}"), 0)).collect();
        assert!(firsts.contains(&true) && firsts.contains(&false), "every row begins alike");
    }

    #[test]
    fn a_share_outside_of_0_to_1_is_refused() {
        for share in [-0.1, 1.1, f64::NAN] {
            assert!(Share::new(share).is_err(), "{share}");
        }
    }
}
