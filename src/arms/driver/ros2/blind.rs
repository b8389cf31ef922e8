//! The ramp to rest of an arm whose state is unknown, and what follows it.

use std::time::Duration;

use super::link::{ArmLink, Off};
use super::worker::{REST_REPEATS, Worker};
use visuomotor_core::action::ControlMode;
use visuomotor_core::time::Timestamp;

/// How long a controller may take to confirm that it is off.
const SWITCHING: Duration = Duration::from_secs(2);

/// How often a new link is tried after the old one died, and the time-out of each attempt.
const REBUILD: Duration = Duration::from_secs(2);

/// A ramp to rest without the arm's state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ramp {
    /// How often the command of rest was sent.
    pub rest_commands: u32,
    /// When the controller was first requested to switch off.
    pub switching_since: Option<Timestamp>,
    /// It does not respond, or has no switch.
    pub stays_on: bool,
    /// When a new link was last tried.
    pub rebuilt: Option<Timestamp>,
}

impl<L: ArmLink> Worker<L> {
    /// One step of the ramp to rest of an arm whose state is unknown, and of what follows it.
    ///
    /// Velocities and torques: zero is repeated until the controller is off. Positions: once they are braked the controller holds
    /// the last one by itself, and nothing more is sent, because a controller that comes back in another pose must not move to the
    /// old one.
    pub(super) fn ramp_blind(&mut self, now: Timestamp, mode: ControlMode) {
        if self.dead {
            if self.ramp.rebuilt.is_some_and(|at| now.since(at) < REBUILD) {
                return;
            }
            self.ramp.rebuilt = Some(now);
            if let (true, Some((state, _))) = (self.request_guard_stop(), self.state) {
                // It ramps down meanwhile: later commands must not begin at the old values.
                self.stream.seed(mode, &state.positions);
            }
            let arm = &self.robot.identity.name;
            match self.link.rebuild(REBUILD) {
                Ok(()) => tracing::warn!("{arm}: new ROS 2 threads reach it; it is ramped to rest"),
                Err(error) => tracing::error!("{arm}: it cannot be reached by new ROS 2 threads: {error}"),
            }
            self.dead = !self.link.alive();
            if self.dead {
                return;
            }
        }
        let all_sent = self.ramp.rest_commands >= REST_REPEATS;
        if !all_sent || mode != ControlMode::Position {
            let at_rest = self.stream.stop_blind();
            let at_rest = self.link.blind(&self.stream, at_rest);
            self.ramp.rest_commands = if at_rest { self.ramp.rest_commands.saturating_add(1) } else { 0 };
            if at_rest {
                self.request_guard_stop();
            }
        }
        // Messages to an arm that receives nothing are not waited for.
        let deaf = self.runaway.runaway_joint().is_some();
        if (self.ramp.rest_commands < REST_REPEATS && !deaf) || self.ramp.stays_on {
            return;
        }
        let arm = &self.robot.identity.name;
        let (done, known) = match deaf {
            true => ("asked by its service to stop", "its states show whether it stands"),
            false => ("ramped to rest without its state", "whether it stands is not known"),
        };
        match self.link.switch_off(mode) {
            Off::Done(how) => {
                tracing::warn!("{arm}: {done}; {how}; {known}");
                self.request_guard_stop();
                self.mode = None;
            }
            Off::Pending if now.since(*self.ramp.switching_since.get_or_insert(now)) <= SWITCHING => {}
            Off::Pending | Off::None => {
                let rest =
                    if mode == ControlMode::Position { "the last position stays its goal" } else { "zeros go on" };
                tracing::warn!("{arm}: {done}; its controller cannot be switched off from here, {rest}; {known}");
                self.ramp.stays_on = true;
                if mode == ControlMode::Position {
                    self.mode = None;
                }
            }
        }
    }
}
