//! Action space of a source.

use visuomotor_core::action::ActionBounds;
use visuomotor_core::observation::JointVector;

/// Action space of a station.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ActionSpace {
    /// Changes of the tool's pose within these bounds.
    Pose(ActionBounds),
    /// Joint torques up to these limits, on top of gravity compensation \[Nm\].
    Torques(JointVector),
}

impl ActionSpace {
    /// Torque limits of a torque action space \[Nm\].
    pub fn torque_limits(&self) -> Option<&JointVector> {
        match self {
            ActionSpace::Pose(_) => None,
            ActionSpace::Torques(limits) => Some(limits),
        }
    }
}
