//! The scripted operator: the simulated kitchen's expert behind a joystick, for testing teleoperation without a human.

use crate::action::{ActionBounds, ActionSource};
use crate::config::TeleopSetting;
use crate::episode::{Judge, Outcome};
use crate::observation::Observation;
use crate::operator::{Operator, OperatorJudge, Wish};
use crate::scripted::{Assignment, Demonstrator, Disturbance};
use crate::teleop::{DeviceError, Motion, Reading, TeleopDevice};
use crate::time::Timestamp;

const NAME: &str = "scripted";

/// Deflects a stick in proportion to the expert's motion: everything behind the device is the real code.
pub struct ScriptedDevice {
    expert: Demonstrator,
    setting: TeleopSetting,
    period: f64,
    reading: Option<Reading>,
}

impl ScriptedDevice {
    /// The expert is given the object positions, which a human would see.
    pub fn new(assignment: Assignment, setting: &TeleopSetting, period: f64, seed: u64) -> Self {
        let expert = Demonstrator::new(assignment, ActionBounds::BRIDGE, Disturbance::NONE, seed);
        Self { expert, setting: setting.clone(), period, reading: None }
    }

    /// Stick deflection for this share of full speed.
    fn push(&self, share: f64) -> f64 {
        if share == 0.0 {
            return 0.0;
        }
        let live = share.abs().min(1.0);
        (self.setting.deadzone + live * (1.0 - self.setting.deadzone)).copysign(share)
    }
}

impl TeleopDevice for ScriptedDevice {
    fn name(&self) -> &'static str {
        NAME
    }

    fn newest(&mut self, _now: Timestamp) -> Result<Option<Reading>, DeviceError> {
        Ok(self.reading)
    }

    fn feel(&mut self, observation: &Observation) {
        self.reading = self.expert.decide(observation).ok().map(|decision| {
            let action = decision.action;
            let along = action.translation.map(|way| self.push(way / (self.setting.speed * self.period)));
            let about = action.rotation.map(|turn| self.push(turn / (self.setting.turn * self.period)));
            Reading {
                motion: Motion::Deflection { along, about },
                engaged: true,
                gripper: Some(action.gripper),
                at: observation.observed_at,
            }
        });
    }

    fn reset(&mut self) {
        self.expert.reset();
        self.reading = None;
    }
}

/// Presses "accept" when the success rule is met, as a watching operator would.
pub struct ScriptedJudge<J> {
    /// The rule of the simulated task.
    pub rule: J,
    /// Operator whose buttons are pressed.
    pub operator: Operator,
}

impl<J: Judge> Judge for ScriptedJudge<J> {
    fn judge(&mut self, now: Timestamp) -> Option<Outcome> {
        if self.rule.judge(now).is_some_and(|outcome| outcome.is_success()) {
            // A full queue has 64 pending requests: one more changes nothing.
            let _ = self.operator.wish(Wish::Accept, NAME);
        }
        OperatorJudge(self.operator.clone()).judge(now)
    }

    fn time_out(&mut self, now: Timestamp) -> Outcome {
        OperatorJudge(self.operator.clone()).time_out(now)
    }
}
