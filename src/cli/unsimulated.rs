//! Stand-in for the in-process simulator in a build without it: refuses to prepare anything.

use super::kitchen::KitchenSetting;
use super::set_up::SetUp;
use crate::episode::{Judge, Outcome};
#[cfg(feature = "torch")]
use crate::observation::Image;
use crate::observation::JointVector;
use crate::runtime::Station;
use crate::scripted::Assignment;
use crate::time::Timestamp;

/// A kitchen set up for one episode; never constructed here.
pub struct Prepared {
    /// The demonstrator's assignment.
    pub assignment: Assignment,
}

/// The rule of a simulated task; uninhabited.
pub enum SuccessRule {}

impl Judge for SuccessRule {
    fn judge(&mut self, _now: Timestamp) -> Option<Outcome> {
        match *self {}
    }

    fn time_out(&mut self, _now: Timestamp) -> Outcome {
        match *self {}
    }
}

fn absent<T>() -> anyhow::Result<T> {
    anyhow::bail!(
        "driver mujoco: this program was built without the simulator; choose --driver dynamixel, ros2 or fci, or build with the \
         feature `mujoco`"
    )
}

impl KitchenSetting {
    /// Refused.
    pub fn prepare(&self, _set_up: &SetUp) -> anyhow::Result<Prepared> {
        absent()
    }

    /// Refused.
    pub fn prepare_around(&self, _set_up: &SetUp, _joints: JointVector) -> anyhow::Result<Prepared> {
        absent()
    }

    /// Refused.
    pub fn running(&self, _set_up: &SetUp, _prepared: &Prepared) -> anyhow::Result<(Station, SuccessRule)> {
        absent()
    }

    /// Refused.
    pub fn running_at(
        &self,
        _set_up: &SetUp,
        _prepared: &Prepared,
        _now: Timestamp,
    ) -> anyhow::Result<(Station, SuccessRule)> {
        absent()
    }

    /// Refused.
    #[cfg(feature = "torch")]
    pub fn goal_image(&self, _set_up: &SetUp) -> anyhow::Result<Image> {
        absent()
    }
}
