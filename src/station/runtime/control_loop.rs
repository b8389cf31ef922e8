//! The control loop: read, accept, command, filter, write, report. Runs at control rate; never allocates, locks or prints.
//!
//! It holds the measured position until the first action arrives. After a stop it holds until a *new* action arrives,
//! and seeds control and safety from the measurement before it moves again.

use rtrb::Producer;

use super::latest::{LatestReader, LatestWriter};
use super::ledger::{Ledger, Series};
use super::posture::Posture;
use super::schedule::{Due, Strain};
use super::stop::HoldGuard;
use crate::control::{Accepted, Controller};
use crate::safety::SafetyFilter;
use visuomotor_arms::driver::{ArmDriver, DriverError};
use visuomotor_core::action::{Action, JointCommand, TimedAction};
use visuomotor_core::episode::{ControlTick, Filtered, LimitReason};
use visuomotor_core::observation::{JointVector, Proprioception};
use visuomotor_core::protection::Protection;
use visuomotor_core::time::{Clock, Timestamp};

/// Counters of the control loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlCounts {
    /// Ticks run.
    pub ticks: u64,
    /// Ticks whose command the safety filter changed.
    pub limited: u64,
    /// Times the arm was commanded to hold, by the filter, a refused or expired action or the deadline budget.
    pub stopped: u64,
    /// Times a new action resumed motion after that.
    pub resumed: u64,
    /// Actions without an inverse-kinematics solution.
    pub no_solution: u64,
    /// Ticks not recorded because the ring was full.
    pub dropped: u64,
}

/// Control and safety parts of the loop.
pub type ControlParts<'a> = (&'a mut (dyn ArmDriver + 'static), &'a mut Controller, &'a mut SafetyFilter);

/// The fast loop, from the newest action to the arm.
pub struct ControlLoop<'a> {
    pub(super) arm: HoldGuard<'a>,
    controller: &'a mut Controller,
    safety: &'a mut SafetyFilter,
    actions: LatestReader<TimedAction>,
    states: LatestWriter<Proprioception>,
    ticks: Producer<ControlTick>,
    pub(super) ledger: Ledger,
    pub(super) counts: ControlCounts,
    action: Option<TimedAction>,
    held: Option<(LimitReason, JointCommand)>,
}

impl<'a> ControlLoop<'a> {
    /// A loop over these parts, at `now`; only the slots and the ring connect it to the decision loop.
    pub fn new(
        (arm, controller, safety): ControlParts<'a>,
        actions: LatestReader<TimedAction>,
        states: LatestWriter<Proprioception>,
        ticks: Producer<ControlTick>,
        now: Timestamp,
    ) -> Self {
        let arm = HoldGuard::new(arm, now);
        let (ledger, counts) = (Ledger::new(), ControlCounts::default());
        Self { arm, controller, safety, actions, states, ticks, ledger, counts, action: None, held: None }
    }

    /// One tick. `stopwatch` only measures its duration. After an error the arm holds.
    pub fn tick(&mut self, due: Due, strain: Strain, stopwatch: &dyn Clock) -> Result<ControlTick, DriverError> {
        let (started, now) = (stopwatch.now(), due.now);
        let sensed = self.arm.read(now)?;
        self.states.publish(now, sensed);
        if self.counts.ticks == 0 {
            self.seed(now, &sensed);
        }
        let refused = if strain >= Strain::Hold { Some(LimitReason::Deadlines) } else { self.accept(now, &sensed) };
        let (wished, sent, filtered) = self.filter(now, &sensed, refused);
        match filtered {
            Filtered::Stopped(reason) => self.stay(now, reason, sent)?,
            Filtered::Limited(_) | Filtered::Passed => self.arm.write(now, &sent)?,
        }
        let image_age = self.action.map(|action| now.since(action.image_captured_at));
        let took = stopwatch.now().since(started);
        let tick = ControlTick {
            at: due.planned,
            measured: sensed.joint_positions,
            measured_gripper: sensed.gripper,
            wished,
            sent,
            action: self.action.map_or(Action::stay(sensed.gripper), |action| action.action),
            step_index: self.action.map(|action| action.step_index),
            filtered,
            image_age_seconds: image_age.map_or(f64::NAN, |age| age.as_secs_f64()),
            tick_seconds: took.as_secs_f64(),
        };
        self.ledger.record(Series::ControlTick, took);
        image_age.inspect(|&age| self.ledger.record(Series::ImageAge, age));
        self.counts.ticks += 1;
        self.counts.dropped += u64::from(self.ticks.push(tick).is_err());
        Ok(tick)
    }

    /// Seeds control and safety from the measurement, at rest.
    fn seed(&mut self, now: Timestamp, sensed: &Proprioception) {
        self.controller.seed(now, sensed);
        self.safety.seed(now, sensed);
    }

    /// Takes a new action from the slot, if there is one; returns the reason if it was refused.
    fn accept(&mut self, now: Timestamp, sensed: &Proprioception) -> Option<LimitReason> {
        let (newest, _) = self.actions.newest(now)?;
        let taken_back = |action: &&mut TimedAction| newest.paused || action.step_index == newest.step_index;
        if let Some(action) = self.action.as_mut().filter(taken_back) {
            // The decision loop withdraws an action when a camera is at fault or the run is paused. The withdrawal also covers
            // the action in force when its replacement was never seen here.
            action.expires_at = action.expires_at.min(newest.expires_at);
            action.paused |= newest.paused;
            return None;
        }
        if newest.is_expired(now) {
            // It expired in a stall, or was withdrawn before it was seen: the previous one continues until it expires.
            return None;
        }
        self.action = Some(newest);
        if self.held.is_some() || !self.arm.is_driven() {
            // Not `seed`: the gripper keeps its target, so that a held object is not released.
            self.controller.resume(now, sensed);
            self.safety.seed(now, sensed);
        }
        let accepted = match &newest.motion {
            Some(motion) if Protection::ActionKind.is_on() => {
                self.controller.accept_motion(now, motion, newest.action.gripper, sensed)
            }
            _ => self.controller.accept(now, &newest.action, sensed),
        };
        let usable = matches!(accepted, Accepted::Taken | Accepted::NoSolution);
        if usable && self.held.take().is_some() {
            self.counts.resumed += 1;
        }
        match accepted {
            Accepted::Taken => None,
            Accepted::NoSolution => {
                self.counts.no_solution += 1;
                Some(LimitReason::NoSolution)
            }
            Accepted::WrongAction => Some(LimitReason::WrongAction),
            Accepted::NotFinite => Some(LimitReason::NotFinite),
        }
    }

    /// The desired and the sent command, and the filter's result.
    fn filter(
        &mut self,
        now: Timestamp,
        sensed: &Proprioception,
        refused: Option<LimitReason>,
    ) -> (JointCommand, JointCommand, Filtered) {
        let here = JointCommand::position(sensed.joint_positions, sensed.gripper);
        match (refused, self.held) {
            // After an action that cannot be followed, the last target stays in force.
            (None | Some(LimitReason::NoSolution), None) => {}
            (None, Some((reason, still))) => return (still, still, Filtered::Stopped(reason)),
            (Some(reason), held) => {
                let still = held.map_or(here, |(_, still)| still);
                return (still, still, Filtered::Stopped(reason));
            }
        }
        let wished = self.controller.command(now, sensed);
        if self.action.is_some_and(|action| action.paused) {
            return (wished, here, Filtered::Stopped(LimitReason::Paused));
        }
        if self.action.is_some_and(|action| action.is_expired(now)) {
            return (wished, here, Filtered::Stopped(LimitReason::ImageAge));
        }
        let age = self.action.map(|action| now.since(action.decided_at));
        let verdict = self.safety.filter(now, &wished, sensed, age);
        match verdict.filtered {
            Filtered::Stopped(reason) => (wished, here, Filtered::Stopped(reason)),
            Filtered::Limited(reason) => {
                self.counts.limited += 1;
                (wished, verdict.sent, Filtered::Limited(reason))
            }
            Filtered::Passed => (wished, verdict.sent, refused.map_or(Filtered::Passed, Filtered::Limited)),
        }
    }

    /// Commands the arm to hold, once per stop: repeating it at every tick would let the arm creep under load.
    fn stay(&mut self, now: Timestamp, reason: LimitReason, still: JointCommand) -> Result<(), DriverError> {
        if self.held.is_none() {
            self.arm.hold(now)?;
            self.counts.stopped += 1;
        }
        self.held = Some((reason, still));
        Ok(())
    }

    /// Moves to a posture instead of following actions.
    ///
    /// Returns its goal \[rad\]: the requested joints, clamped to the usable limits.
    pub(super) fn move_to(&mut self, now: Timestamp, posture: &Posture) -> Result<JointVector, LimitReason> {
        match self.controller.move_to(now, &posture.joints, posture.duration, posture.gripper) {
            Accepted::Taken => Ok(self.controller.goal()),
            Accepted::WrongAction => Err(LimitReason::WrongAction),
            Accepted::NoSolution => Err(LimitReason::NoSolution),
            Accepted::NotFinite => Err(LimitReason::NotFinite),
        }
    }
}

#[cfg(test)]
#[path = "control_loop_tests.rs"]
mod tests;
