//! The action source of a demonstration: an operator at a device.

use std::time::Duration;

use super::{DeviceError, Guard, Mapping, Reading, TeleopDevice};
use visuomotor_core::action::{Action, ActionBounds, ActionError, ActionSource, Decision};
use visuomotor_core::config::TeleopSetting;
use visuomotor_core::kinematics::Chain;
use visuomotor_core::observation::Observation;
use visuomotor_core::operator::Operator;
use visuomotor_core::time::Timestamp;

/// After a takeover, the device's gripper value is used once it has changed by this much \[1\].
const PICK_UP: f64 = 0.1;

/// The gripper after a takeover: it keeps its target until the operator moves it.
struct PickUp {
    keeps: f64,
    /// The device's first gripper value.
    first: Option<f64>,
}

/// An operator at a device, deciding at the policy rate as a policy would.
pub struct TeleopSource<D> {
    device: D,
    guard: Guard,
    mapping: Mapping,
    operator: Operator,
    name: String,
    /// The gripper's last target; `None` before the first decision.
    gripper: Option<f64>,
    /// Set after a takeover.
    pick_up: Option<PickUp>,
}

impl<D: TeleopDevice> TeleopSource<D> {
    /// `chain` is the arm's; `operator` shows the device's state.
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
        Self { device, guard, mapping, operator, name, gripper: None, pick_up: None }
    }

    /// The device, for the next episode.
    pub fn into_device(self) -> D {
        self.device
    }

    /// Begins from the arm's present pose, in the middle of a run: the gripper keeps its target until the device's value changes.
    pub fn take_over(&mut self, gripper: Option<f64>) {
        self.reset();
        self.gripper = gripper;
        self.pick_up = gripper.map(|keeps| PickUp { keeps, first: None });
    }

    /// Kind of its device.
    pub fn device_name(&self) -> &'static str {
        self.device.name()
    }

    /// Is its device still connected?
    pub fn check(&mut self, now: Timestamp) -> Result<(), DeviceError> {
        self.device.newest(now).map(drop)
    }

    /// Gripper target for this device value.
    fn picked_up(&mut self, asked: f64) -> f64 {
        let Some(PickUp { keeps, first }) = &mut self.pick_up else { return asked };
        if (asked - *first.get_or_insert(asked)).abs() < PICK_UP {
            return *keeps;
        }
        self.pick_up = None;
        asked
    }

    fn action(&mut self, observation: &Observation) -> Result<Action, DeviceError> {
        let now = observation.observed_at;
        self.device.feel(observation);
        let reading = self.device.newest(now)?;
        let followed = self.guard.follow(reading, now);
        let gripper = match (&followed, self.gripper) {
            (Some(Reading { gripper: Some(asked), .. }), _) => self.picked_up(asked.clamp(0.0, 1.0)),
            (_, Some(gripper)) => gripper,
            // As measured: a takeover must not open a gripper that holds something.
            (_, None) => observation.proprioception.gripper.clamp(0.0, 1.0),
        };
        self.gripper = Some(gripper);
        let state = match (self.guard.fault(), &followed, reading.is_some()) {
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
        self.pick_up = None;
    }

    fn decide(&mut self, observation: &Observation) -> Result<Decision, ActionError> {
        let action = self.action(observation).map_err(|error| ActionError::Ended(error.to_string()))?;
        Ok(Decision::plain(action))
    }

    fn looks_at_images(&self) -> bool {
        false
    }
}
