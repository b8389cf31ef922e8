//! Random actions: the control row that shows the score of pure chance.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::space::ActionSpace;
use visuomotor_core::action::{Action, ActionBounds, ActionError, ActionSource, AskedTorques, Decision};
use visuomotor_core::observation::Observation;

/// Uniform within the bounds, from a seed.
pub struct RandomActions {
    space: ActionSpace,
    rng: ChaCha8Rng,
}

impl RandomActions {
    /// Random actions of a space.
    pub fn new(space: ActionSpace, seed: u64) -> Self {
        Self { space, rng: ChaCha8Rng::seed_from_u64(seed) }
    }
}

impl ActionSource for RandomActions {
    fn name(&self) -> &str {
        "random"
    }

    fn reset(&mut self) {}

    fn decide(&mut self, _observation: &Observation) -> Result<Decision, ActionError> {
        let mut draw = || self.rng.random_range(-1.0..=1.0);
        Ok(match &self.space {
            ActionSpace::Pose(bounds) => Decision::plain(bounds.denormalize(std::array::from_fn(|_| draw()))),
            ActionSpace::Torques(limits) => {
                let mut asked = *limits;
                asked.iter_mut().for_each(|torque| *torque *= draw());
                Decision::moving(AskedTorques::plain(asked), 0.5 + 0.5 * draw())
            }
        })
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
