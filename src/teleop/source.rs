//! The action source of a demonstration: a person at a device.

use std::time::Duration;

use super::{DeviceError, Guard, Mapping, Reading, TeleopDevice};
use crate::action::{Action, ActionBounds, ActionError, ActionSource, Decision};
use crate::config::TeleopSetting;
use crate::kinematics::Chain;
use crate::observation::Observation;
use crate::operator::Operator;

/// A person at a device, deciding at the policy rate as a policy would.
pub struct TeleopSource<D> {
    device: D,
    guard: Guard,
    mapping: Mapping,
    operator: Operator,
    name: String,
    /// The gripper's last target; `None` before the first decision.
    gripper: Option<f64>,
}

impl<D: TeleopDevice> TeleopSource<D> {
    /// `chain` is the arm's, `operator` is shown the device's state.
    pub fn new(
        device: D,
        setting: &TeleopSetting,
        bounds: ActionBounds,
        chain: Chain,
        policy_period: Duration,
        operator: Operator,
    ) -> Self {
        let guard = Guard::new(Duration::from_secs_f64(setting.timeout()), policy_period);
        let mapping = Mapping::new(setting, bounds, chain, policy_period);
        let name = format!("teleop ({})", device.name());
        Self { device, guard, mapping, operator, name, gripper: None }
    }

    /// The device, for the next episode.
    pub fn into_device(self) -> D {
        self.device
    }

    fn action(&mut self, observation: &Observation) -> Result<Action, DeviceError> {
        let now = observation.observed_at;
        self.device.feel(observation);
        let reading = self.device.newest(now)?;
        let followed = self.guard.follow(reading, now);
        let gripper = match (&followed, self.gripper) {
            (Some(Reading { gripper: Some(asked), .. }), _) => asked.clamp(0.0, 1.0),
            (_, Some(gripper)) => gripper,
            // As it stands: taking the arm over must not open a hand that holds something.
            (_, None) => observation.proprioception.gripper.clamp(0.0, 1.0),
        };
        self.gripper = Some(gripper);
        let state = match (self.guard.trouble(), &followed, reading.is_some()) {
            (Some(trouble), ..) => trouble.text(),
            (None, Some(_), _) => "driving",
            (None, None, true) => "let go",
            (None, None, false) => "nothing heard yet",
        };
        let name = self.device.name();
        self.operator.show(|panel| {
            panel.device.clear();
            panel.device.push_str(name);
            panel.device.push_str(": ");
            panel.device.push_str(state);
        });
        Ok(self.mapping.action(followed.as_ref(), &observation.base_from_tool, gripper))
    }
}

impl<D: TeleopDevice> ActionSource for TeleopSource<D> {
    fn name(&self) -> &str {
        &self.name
    }

    fn reset(&mut self) {
        self.device.reset();
        self.guard.reset();
        self.mapping.reset();
        self.gripper = None;
    }

    fn decide(&mut self, observation: &Observation) -> Result<Decision, ActionError> {
        let action = self.action(observation).map_err(|error| ActionError::Ended(error.to_string()))?;
        Ok(Decision::plain(action))
    }

    fn looks_at_images(&self) -> bool {
        false
    }
}
