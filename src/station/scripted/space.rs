//! What a source's decisions ask for.

use visuomotor_core::action::ActionBounds;
use visuomotor_core::observation::JointVector;

/// What a station takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ActionSpace {
    /// Changes of the tool's pose within these bounds.
    Pose(ActionBounds),
    /// Joint torques up to these limits, on top of gravity compensation \[Nm\].
    Torques(JointVector),
}

impl ActionSpace {
    /// Limits of the torques, where torques are asked for \[Nm\].
    pub fn torque_limits(&self) -> Option<&JointVector> {
        match self {
            ActionSpace::Pose(_) => None,
            ActionSpace::Torques(limits) => Some(limits),
        }
    }
}
