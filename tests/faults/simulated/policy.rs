//! The sway, until the fault.

use std::time::Duration;

use visuomotor::action::{ActionError, ActionSource, AskedTorques, Decision};
use visuomotor::observation::{JointVector, Observation};
use visuomotor::time::ManualClock;

use super::fault::Fault;
use crate::drive::Sway;

pub struct Policy<'a> {
    fault: Fault,
    sway: Sway,
    clock: &'a ManualClock,
    stalled: bool,
}

impl<'a> Policy<'a> {
    pub fn new(fault: Fault, clock: &'a ManualClock) -> Self {
        Self { fault, sway: Sway::new(), clock, stalled: false }
    }
}

impl ActionSource for Policy<'_> {
    fn name(&self) -> &str {
        "sway"
    }

    fn reset(&mut self) {
        self.sway.reset();
    }

    fn decide(&mut self, observation: &Observation) -> Result<Decision, ActionError> {
        let mut decision = self.sway.decide(observation)?;
        if !self.fault.on(observation.observed_at) {
            return Ok(decision);
        }
        match self.fault {
            // One way only: against the obstacle.
            Fault::ArmBlocked => decision.action.translation[1] = -decision.action.translation[1].abs(),
            Fault::PolicyNan => decision.action.translation[1] = f64::NAN,
            Fault::PolicyInfinite => decision.action.rotation[2] = f64::INFINITY,
            Fault::PolicyHuge => decision.action.translation[1] = -0.6,
            Fault::PolicyFar => decision.action.translation[1] = -30.0,
            Fault::PolicyWrongKind => decision.motion = Some(AskedTorques::plain(JointVector::zeros(3)).into()),
            Fault::PolicyFails => return Err(ActionError::Network("out of memory".into())),
            Fault::PolicyPanics => panic!("the policy fell over"),
            Fault::LoopsStall if !std::mem::replace(&mut self.stalled, true) => {
                self.clock.advance(Duration::from_secs(2));
            }
            _ => {}
        }
        Ok(decision)
    }
}
