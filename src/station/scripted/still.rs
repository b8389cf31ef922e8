//! No motion: the control row that shows what the arm does by itself, under torque control with all torques zero.

use super::space::ActionSpace;
use visuomotor_core::action::{Action, ActionError, ActionSource, AskedTorques, Decision};
use visuomotor_core::observation::{JointVector, Observation};

/// Commands no motion, with the gripper open.
pub struct Still {
    space: ActionSpace,
}

impl Still {
    /// For an action space.
    pub fn new(space: ActionSpace) -> Self {
        Self { space }
    }
}

impl ActionSource for Still {
    fn name(&self) -> &str {
        "still"
    }

    fn reset(&mut self) {}

    fn decide(&mut self, _observation: &Observation) -> Result<Decision, ActionError> {
        Ok(match self.space.torque_limits() {
            Some(limits) => Decision::moving(AskedTorques::plain(JointVector::zeros(limits.len())), 1.0),
            None => Decision::plain(Action::stay(1.0)),
        })
    }

    fn looks_at_images(&self) -> bool {
        false
    }
}
