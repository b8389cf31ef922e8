//! Random actions: the control row that shows what luck alone scores.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::action::{Action, ActionBounds, ActionError, ActionSource, Decision};
use crate::observation::Observation;

/// Uniform within the bounds, from a seed.
pub struct RandomActions {
    bounds: ActionBounds,
    rng: ChaCha8Rng,
}

impl RandomActions {
    /// Random actions within `bounds`.
    pub fn new(bounds: ActionBounds, seed: u64) -> Self {
        Self { bounds, rng: ChaCha8Rng::seed_from_u64(seed) }
    }
}

impl ActionSource for RandomActions {
    fn name(&self) -> &str {
        "random"
    }

    fn reset(&mut self) {}

    fn decide(&mut self, _observation: &Observation) -> Result<Decision, ActionError> {
        let normalized: [f64; 7] = std::array::from_fn(|_| self.rng.random_range(-1.0..=1.0));
        Ok(Decision::plain(self.bounds.denormalize(normalized)))
    }

    fn looks_at_images(&self) -> bool {
        false
    }
}

/// Draws an action near `action`: kept here so that noise and random actions share one generator type.
pub(super) fn disturbed(action: &Action, kick: [f64; 6], bounds: &ActionBounds) -> Action {
    let mut a = action.to_array();
    for (value, delta) in a.iter_mut().zip(kick) {
        *value += delta;
    }
    bounds.clip(&Action::from_array(a))
}
