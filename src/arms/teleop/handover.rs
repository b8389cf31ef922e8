//! A policy run that can change hands: the operator pauses and resumes it, takes over with a device and hands back.
//!
//! Every change holds the arm first, so that the next decision begins from where it is. After a pause or an intervention the policy
//! starts from a new observation and discards its plan. A device that is lost while the operator drives pauses the run.

use std::fmt;

use super::{DeviceError, TeleopDevice, TeleopSource};
use visuomotor_core::action::{Action, ActionError, ActionSource, Decider, Decision};
use visuomotor_core::observation::Observation;
use visuomotor_core::operator::{Driving, Operator, Wish};
use visuomotor_core::time::Timestamp;

/// How often a run changed hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handovers {
    /// Times it was paused, by the operator or because the device was lost.
    pub pauses: u64,
    /// Times the operator took over.
    pub interventions: u64,
    /// Steps the operator decided.
    pub operator_steps: u64,
}

impl Handovers {
    /// Did the policy decide throughout?
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Handovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        write!(
            f,
            "{} by the operator, {}, {}",
            count(self.operator_steps, "step"),
            count(self.interventions, "intervention"),
            count(self.pauses, "pause")
        )
    }
}

/// A policy, and the operator who may take over.
pub struct Handover<'a> {
    policy: &'a mut dyn ActionSource,
    device: Option<TeleopSource<Box<dyn TeleopDevice>>>,
    operator: Operator,
    driving: Driving,
    /// The gripper's last target.
    gripper: Option<f64>,
    handovers: Handovers,
}

impl<'a> Handover<'a> {
    /// The policy decides first. Without a device the run can only be paused and resumed.
    pub fn new(
        policy: &'a mut dyn ActionSource,
        device: Option<TeleopSource<Box<dyn TeleopDevice>>>,
        operator: Operator,
    ) -> Self {
        Self { policy, device, operator, driving: Driving::Policy, gripper: None, handovers: Handovers::default() }
    }

    /// Ends the handovers and returns their counts; from then on the operator's buttons for them have no effect.
    pub fn finish(self) -> Handovers {
        self.operator.show(|panel| (panel.driving, panel.may_take_over) = (None, false));
        self.handovers
    }

    /// Who drives after this command; `None`: no change.
    fn after(&self, wish: &Wish) -> Option<Driving> {
        match (wish, self.driving) {
            (Wish::Pause, Driving::Policy | Driving::Operator) => Some(Driving::Paused),
            (Wish::Resume | Wish::HandBack, Driving::Paused) => Some(Driving::Policy),
            (Wish::HandBack | Wish::Begin, Driving::Operator) => Some(Driving::Policy),
            // The device's own begin button takes over and hands back.
            (Wish::TakeOver | Wish::Begin, Driving::Policy | Driving::Paused) if self.device.is_some() => {
                Some(Driving::Operator)
            }
            _ => None,
        }
    }

    fn enter(&mut self, driving: Driving) {
        self.driving = driving;
        match driving {
            Driving::Paused => self.handovers.pauses += 1,
            Driving::Policy => self.policy.look_anew(),
            Driving::Operator => {
                self.handovers.interventions += 1;
                self.operator.show(|panel| panel.warning.clear());
                if let Some(device) = &mut self.device {
                    device.take_over(self.gripper);
                }
            }
        }
        self.show();
    }

    fn show(&self) {
        let device = self.device.as_ref().map(TeleopSource::device_name);
        self.operator.show(|panel| {
            (panel.driving, panel.may_take_over) = (Some(self.driving), device.is_some());
            if let Some(device) = device {
                panel.device = format!("{device}: not driving");
            }
        });
    }

    /// The device is gone: the arm holds until the policy is resumed.
    fn lose(&mut self, why: &str) {
        tracing::warn!("{why}; the run is paused");
        self.enter(Driving::Paused);
        let warning = format!("{why}; the run is paused: resume it, and the policy decides, or end it");
        self.operator.show(|panel| panel.warning = warning);
    }

    /// Takes the operator's commands; returns whether anything changed.
    fn take_wishes(&mut self) -> bool {
        let ours =
            |wish: &Wish| matches!(wish, Wish::Pause | Wish::Resume | Wish::TakeOver | Wish::HandBack | Wish::Begin);
        let mut changed = false;
        while let Some((wish, by)) = self.operator.take(ours) {
            if let Some(driving) = self.after(&wish) {
                tracing::info!("the run changes hands ({by}): {:?} to {driving:?}", self.driving);
                self.enter(driving);
                changed = true;
            }
        }
        changed
    }

    /// Is the device that drives still there?
    fn check_device(&mut self, now: Timestamp) -> Result<(), DeviceError> {
        match &mut self.device {
            Some(device) if self.driving == Driving::Operator => device.check(now),
            _ => Ok(()),
        }
    }

    fn intervene(&mut self, observation: &Observation) -> Decision {
        self.handovers.operator_steps += 1;
        let decided = self.device.as_mut().map(|device| device.decide(observation));
        match decided {
            Some(Ok(decision)) => decision,
            lost => {
                if let Some(Err(error)) = lost {
                    self.lose(&error.to_string());
                }
                // The device was lost after the check: the arm stays until the pause takes effect.
                Decision::plain(Action::stay(self.gripper.unwrap_or(observation.proprioception.gripper)))
            }
        }
    }
}

impl ActionSource for Handover<'_> {
    fn name(&self) -> &str {
        self.policy.name()
    }

    fn reset(&mut self) {
        self.policy.reset();
        if let Some(device) = &mut self.device {
            device.reset();
        }
        (self.driving, self.gripper, self.handovers) = (Driving::Policy, None, Handovers::default());
        self.show();
    }

    fn decide(&mut self, observation: &Observation) -> Result<Decision, ActionError> {
        let (decision, decider) = match self.driving {
            Driving::Operator => (self.intervene(observation), Decider::Operator),
            Driving::Policy | Driving::Paused => (self.policy.decide(observation)?, Decider::Policy),
        };
        self.gripper = Some(decision.action.gripper);
        Ok(Decision { decided_by: Some(decider), ..decision })
    }

    fn looks_at_images(&self) -> bool {
        self.driving != Driving::Operator && self.policy.looks_at_images()
    }

    fn is_paused(&mut self, now: Timestamp) -> bool {
        let changed = self.take_wishes();
        if let Err(error) = self.check_device(now) {
            self.lose(&error.to_string());
        }
        changed || self.driving == Driving::Paused
    }

    fn look_anew(&mut self) {
        self.policy.look_anew();
    }
}

#[cfg(test)]
#[path = "handover_tests.rs"]
mod tests;
