//! The order of the checks.

use std::time::Duration;

use super::joint_limits::{NEGLIGIBLE, within_positions, within_velocities};
use super::workspace::Workspace;
use super::{finite, watchdog};
use crate::action::JointCommand;
use crate::config::Robot;
use crate::episode::{Filtered, LimitReason};
use crate::kinematics::Chain;
use crate::observation::{JointVector, Proprioception};
use crate::time::Timestamp;

/// What may be sent, and what was done to the wish.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The command to send: finite, within every limit. After a stop it holds what was sent last.
    ///
    /// Before the first finite measurement there is nothing to hold: then it has no joints, and no arm moves on it.
    pub sent: JointCommand,
    /// Passed, limited or stopped, and why.
    pub filtered: Filtered,
}

/// Control periods that may count as elapsed between two commands: after a stall the arm must not jump.
const MOST_PERIODS: f64 = 2.0;

/// The last sent command, from which the next one is measured.
#[derive(Clone, Copy, Debug)]
struct Sent {
    command: JointCommand,
    at: Timestamp,
}

/// Keeps every command within the arm's limits.
#[derive(Clone, Debug)]
pub struct SafetyFilter {
    chain: Chain,
    velocity: JointVector,
    workspace: Workspace,
    command_age: f64,
    longest_elapsed: f64,
    last: Option<Sent>,
}

impl SafetyFilter {
    /// A filter with the limits of this arm.
    pub fn new(robot: &Robot, chain: Chain) -> Self {
        Self {
            chain,
            velocity: JointVector::from_slice(&robot.limits.joint_velocity),
            workspace: Workspace { low: robot.limits.workspace_low, high: robot.limits.workspace_high },
            command_age: robot.limits.command_age,
            longest_elapsed: MOST_PERIODS / robot.robot.control_rate_hz,
            last: None,
        }
    }

    /// Starts from what is measured, at the start and after every stop or reconnect: the arm is held where it is.
    ///
    /// A measurement that is not finite leaves nothing to hold; the first finite one given to
    /// [`SafetyFilter::filter`] is then taken.
    pub fn seed(&mut self, now: Timestamp, measured: &Proprioception) {
        self.last = finite::measurement_is_finite(measured, self.chain.joints()).then(|| Sent {
            command: JointCommand {
                joint_positions: measured.joint_positions,
                gripper: measured.gripper.clamp(0.0, 1.0),
            },
            at: now,
        });
    }

    /// What may be sent of `wished` at `now`.
    ///
    /// `action_age` is the age of the action behind the wish, `None` while no action is expected. Filtering the answer
    /// again at the same moment changes nothing. The first call after [`SafetyFilter::new`] without a seed seeds itself.
    pub fn filter(
        &mut self,
        now: Timestamp,
        wished: &JointCommand,
        measured: &Proprioception,
        action_age: Option<Duration>,
    ) -> Verdict {
        let joints = self.chain.joints();
        if self.last.is_none() {
            self.seed(now, measured);
        }
        let Some(last) = self.last else {
            let sent = JointCommand { joint_positions: JointVector::zeros(0), gripper: 1.0 };
            return Verdict { sent, filtered: Filtered::Stopped(LimitReason::NotFinite) };
        };

        if !finite::command_is_finite(wished, joints) || !finite::measurement_is_finite(measured, joints) {
            return self.stop(now, last.command, LimitReason::NotFinite);
        }
        if watchdog::too_old(action_age, self.command_age) {
            return self.stop(now, last.command, LimitReason::CommandAge);
        }

        let mut changes = Changes::default();
        let before = last.command.joint_positions;
        let gripper = wished.gripper.clamp(0.0, 1.0);
        changes.note(LimitReason::JointPosition, (gripper - wished.gripper).abs());

        let inside = within_positions(&wished.joint_positions, &before, self.chain.usable_limits());
        changes.note(LimitReason::JointPosition, distance(&inside, &wished.joint_positions));

        let elapsed = now.since(last.at).as_secs_f64().min(self.longest_elapsed);
        let slow = within_velocities(&inside, &before, &self.velocity, elapsed);
        changes.note(LimitReason::JointVelocity, distance(&slow, &inside));

        let tool = |q: &JointVector| self.chain.forward(q).translation.vector;
        let allowed = if self.workspace.allows(&tool(&slow), &tool(&before)) { slow } else { before };
        changes.note(LimitReason::Workspace, distance(&allowed, &slow));

        let sent = JointCommand { joint_positions: allowed, gripper };
        if !finite::command_is_finite(&sent, joints) {
            return self.stop(now, last.command, LimitReason::NotFinite);
        }
        self.last = Some(Sent { command: sent, at: now });
        Verdict { sent, filtered: changes.verdict() }
    }

    /// Holds the last sent command.
    fn stop(&mut self, now: Timestamp, held: JointCommand, reason: LimitReason) -> Verdict {
        self.last = Some(Sent { command: held, at: now });
        Verdict { sent: held, filtered: Filtered::Stopped(reason) }
    }
}

/// Which limit changed the command most.
#[derive(Default)]
struct Changes {
    largest: f64,
    reason: Option<LimitReason>,
}

impl Changes {
    fn note(&mut self, reason: LimitReason, change: f64) {
        if !(change <= self.largest.max(NEGLIGIBLE)) {
            self.largest = change;
            self.reason = Some(reason);
        }
    }

    fn verdict(&self) -> Filtered {
        self.reason.map_or(Filtered::Passed, Filtered::Limited)
    }
}

/// Largest difference of one joint \[rad\].
fn distance(a: &JointVector, b: &JointVector) -> f64 {
    a.iter().zip(b.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
