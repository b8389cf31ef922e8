//! The order of the checks.

use std::time::Duration;

use super::joint_limits::{NEGLIGIBLE, within_positions, within_velocities};
use super::torque::TorqueLimits;
use super::velocity::VelocityLimits;
use super::workspace::Workspace;
use super::{finite, watchdog};
use crate::action::{ControlMode, JointCommand};
use crate::config::Robot;
use crate::episode::{Filtered, LimitReason};
use crate::kinematics::Chain;
use crate::observation::{JointVector, Proprioception};
use crate::time::Timestamp;

/// What may be sent, and what was done to the wish.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The command to send: finite, within every limit, of the wish's mode. After a stop: the position sent last, no
    /// velocity, or no torque.
    ///
    /// Before the first finite measurement there is nothing to hold: then it has no joints, and no arm moves on it.
    pub sent: JointCommand,
    /// Passed, limited or stopped, and why.
    pub filtered: Filtered,
}

/// Control periods that may count as elapsed between two commands: after a stall the arm must not jump.
const MOST_PERIODS: f64 = 2.0;
/// Accelerations beyond the limit times this are a jump \[1\].
const JUMP: f64 = 2.0;

/// The last sent command, from which the next one is measured.
#[derive(Clone, Copy, Debug)]
struct Sent {
    command: JointCommand,
    at: Timestamp,
    /// Velocity between it and the one before \[rad/s\]; zero at a start.
    velocity: JointVector,
}

impl Sent {
    /// Where a mode starts from: the measured positions, no velocity, no torque.
    fn start(mode: ControlMode, measured: &Proprioception, at: Timestamp) -> Self {
        let nothing = JointVector::zeros(measured.joint_positions.len());
        let joints = if mode == ControlMode::Position { measured.joint_positions } else { nothing };
        let command = JointCommand { mode, joints, gripper: measured.gripper.clamp(0.0, 1.0) };
        Self { command, at, velocity: nothing }
    }
}

/// Keeps every command within the arm's limits.
#[derive(Clone, Debug)]
pub struct SafetyFilter {
    pub(super) chain: Chain,
    pub(super) velocity: JointVector,
    acceleration: JointVector,
    pub(super) workspace: Workspace,
    command_age: f64,
    period: f64,
    streams_positions: bool,
    velocities: VelocityLimits,
    torques: TorqueLimits,
    last: Option<Sent>,
}

impl SafetyFilter {
    /// A filter with the limits of this arm.
    pub fn new(robot: &Robot, chain: Chain) -> Self {
        let period = 1.0 / robot.robot.control_rate_hz;
        Self {
            chain,
            velocity: JointVector::from_slice(&robot.limits.joint_velocity),
            acceleration: JointVector::from_slice(&robot.limits.joint_acceleration),
            workspace: Workspace {
                low: robot.limits.workspace_low,
                high: robot.limits.workspace_high,
                approaching: false,
            },
            command_age: robot.limits.command_age,
            period,
            streams_positions: robot.streams_positions(),
            velocities: VelocityLimits::of(robot, period),
            torques: TorqueLimits::of(robot, period),
            last: None,
        }
    }

    /// Starts from what is measured, at the start and after every stop or reconnect: the arm is held where it is.
    ///
    /// A measurement that is not finite leaves nothing to hold; the first finite one given to
    /// [`SafetyFilter::filter`] is then taken.
    pub fn seed(&mut self, now: Timestamp, measured: &Proprioception) {
        self.last = finite::measurement_is_finite(measured, self.chain.joints())
            .then(|| Sent::start(ControlMode::Position, measured, now));
    }

    /// What may be sent of `wished` at `now`.
    ///
    /// `action_age` is the age of the action behind the wish, `None` while no action is expected. Filtering the answer
    /// again at the same moment changes nothing. The first call after [`SafetyFilter::new`] without a seed seeds itself;
    /// a wish of another mode than the one before starts that mode from the measurement, with no time elapsed.
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
        let Some(mut last) = self.last else {
            let sent = JointCommand::position(JointVector::zeros(0), 1.0);
            return Verdict { sent, filtered: Filtered::Stopped(LimitReason::NotFinite) };
        };

        if !finite::command_is_finite(wished, joints) || !finite::measurement_is_finite(measured, joints) {
            return self.stop(now, last.command, LimitReason::NotFinite);
        }
        if watchdog::too_old(action_age, self.command_age) {
            return self.stop(now, last.command, LimitReason::CommandAge);
        }
        if wished.mode != last.command.mode {
            last = Sent::start(wished.mode, measured, now);
        }

        let workspace = Workspace { approaching: action_age.is_none(), ..self.workspace };
        let mut changes = Changes::default();
        let gripper = wished.gripper.clamp(0.0, 1.0);
        changes.note(LimitReason::JointPosition, (gripper - wished.gripper).abs());
        let since = now.since(last.at).as_secs_f64();
        let elapsed = since.min(MOST_PERIODS * self.period);
        let before = last.command.joints;

        let limited = match wished.mode {
            ControlMode::Position => self.position(&workspace, &wished.joints, &last, (elapsed, since), &mut changes),
            ControlMode::Velocity => {
                let at = (&self.chain, &workspace);
                Ok(self.velocities.within(at, &wished.joints, &before, measured, elapsed, &mut changes))
            }
            ControlMode::Torque => {
                let at = (&self.chain, &workspace);
                self.torques.within(at, &wished.joints, &before, measured, elapsed, &mut changes)
            }
        };
        let limited = match limited {
            Ok(limited) => limited,
            Err(reason) => return self.stop(now, last.command, reason),
        };
        let sent = JointCommand { mode: wished.mode, joints: limited, gripper };
        if !finite::command_is_finite(&sent, joints) {
            return self.stop(now, last.command, LimitReason::NotFinite);
        }
        // At the same moment nothing moves: the velocity stays what it was.
        let velocity = if since > 0.0 { speed(&sent.joints, &before, since) } else { last.velocity };
        self.last = Some(Sent { command: sent, at: now, velocity });
        Verdict { sent, filtered: changes.verdict() }
    }

    /// Positions: inside the usable range, no faster than the joints may be, tool inside its box.
    ///
    /// Acceleration is left to the arm's servo, and to the jerk-limited law; an arm that takes a stream has no such servo
    /// and stops itself at a jump, so there a jump is never sent.
    fn position(
        &self,
        workspace: &Workspace,
        wished: &JointVector,
        last: &Sent,
        (elapsed, since): (f64, f64),
        changes: &mut Changes,
    ) -> Result<JointVector, LimitReason> {
        let before = last.command.joints;
        let inside = within_positions(wished, &before, self.chain.usable_limits());
        changes.note(LimitReason::JointPosition, distance(&inside, wished));

        let slow = within_velocities(&inside, &before, &self.velocity, elapsed);
        changes.note(LimitReason::JointVelocity, distance(&slow, &inside));

        let tool = |q: &JointVector| self.chain.forward(q).translation.vector;
        let allowed = workspace.allows(&tool(&slow), &tool(&before));
        let sent = if allowed { slow } else { before };
        if !allowed {
            // However far the wish was shortened before, this is why the arm stands.
            changes.decide(LimitReason::Workspace);
        }
        if self.streams_positions && since > 0.0 {
            // Over all the time since: an arm that heard nothing went on as it was going.
            let velocity = speed(&sent, &before, since);
            let smooth = (0..sent.len()).all(|joint| {
                let acceleration = (velocity[joint] - last.velocity[joint]).abs() / since;
                acceleration <= JUMP * self.acceleration[joint]
            });
            if !smooth {
                return Err(LimitReason::JointAcceleration);
            }
        }
        Ok(sent)
    }

    /// Holds the last sent position, or lets velocity and torque go.
    fn stop(&mut self, now: Timestamp, mut held: JointCommand, reason: LimitReason) -> Verdict {
        if held.mode != ControlMode::Position {
            held.joints.fill(0.0);
        }
        self.last = Some(Sent { command: held, at: now, velocity: JointVector::zeros(held.joints.len()) });
        Verdict { sent: held, filtered: Filtered::Stopped(reason) }
    }
}

/// Which limit changed the command most.
#[derive(Default)]
pub(super) struct Changes {
    largest: f64,
    reason: Option<LimitReason>,
}

impl Changes {
    pub(super) fn note(&mut self, reason: LimitReason, change: f64) {
        if !(change <= self.largest.max(NEGLIGIBLE)) {
            self.largest = change;
            self.reason = Some(reason);
        }
    }

    pub(super) fn decide(&mut self, reason: LimitReason) {
        self.largest = f64::INFINITY;
        self.reason = Some(reason);
    }

    fn verdict(&self) -> Filtered {
        self.reason.map_or(Filtered::Passed, Filtered::Limited)
    }
}

/// Largest difference of one joint, in the vectors' unit.
pub(super) fn distance(a: &JointVector, b: &JointVector) -> f64 {
    a.iter().zip(b.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Velocity from one vector to another \[unit/s\].
fn speed(to: &JointVector, from: &JointVector, elapsed: f64) -> JointVector {
    let mut velocity = *to;
    for (value, from) in velocity.iter_mut().zip(from.iter()) {
        *value = (*value - from) / elapsed;
    }
    velocity
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "mode_tests.rs"]
mod mode_tests;
