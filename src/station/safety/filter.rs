//! The order of the checks.
//!
//! One file because the order of the checks must be read in one place.

use std::time::Duration;

use super::changes::{Changes, distance, part_of_the_way};
use super::joint_limits::{NEGLIGIBLE, within_braking, within_positions, within_velocities};
use super::residual::Residual;
use super::torque::TorqueLimits;
use super::travel::Travel;
use super::velocity::{SentBefore, VelocityLimits};
use super::walls::Walls;
use super::workspace::Workspace;
use super::{finite, watchdog};
use visuomotor_core::action::{ControlMode, JointCommand};
use visuomotor_core::config::Robot;
use visuomotor_core::episode::{Filtered, LimitReason};
use visuomotor_core::kinematics::Chain;
use visuomotor_core::observation::{JointVector, Proprioception};
use visuomotor_core::protection::Protection;
use visuomotor_core::time::Timestamp;

/// The command that may be sent, and the filter's intervention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The command to send: finite, within every limit, in the mode of the desired one. After a stop: the last sent
    /// position, zero velocity, or zero torque.
    ///
    /// Before the first finite measurement there is nothing to hold: the command then has no joints, and moves no arm.
    pub sent: JointCommand,
    /// Passed, limited or stopped, with the reason.
    pub filtered: Filtered,
}

/// Maximum control periods counted as elapsed between two commands: after a stall the arm must not jump.
const MOST_PERIODS: f64 = 2.0;
/// The same for a stream of positions, where periods are shorter \[s\]: for this long a control box extrapolates the
/// stream by itself (20 cycles of 1 ms), so that continuing from there is not a jump.
const BRIDGED: f64 = 0.02;
/// Accelerations and jerks beyond this multiple of the limit are a jump \[1\].
const JUMP: f64 = 2.0;
/// Share of the acceleration limit with which a commanded position brakes; the rest is for other limits on a step \[1\].
const BRAKING: f64 = 0.8;
/// Share of the speed limit with which a blocked joint's command is taken back \[1\].
const TAKING_BACK: f64 = 0.25;
/// Iterations that scale a step to the tool's speed limit; each is exact to second order.
const SHORTENINGS: u32 = 4;

/// The last sent command, to which the next one is compared.
#[derive(Clone, Copy, Debug)]
struct Sent {
    command: JointCommand,
    at: Timestamp,
    /// Its change since the one before, per second: a velocity \[rad/s\] for positions; zero at a start.
    slope: JointVector,
    /// The slope's own change, per second.
    bend: JointVector,
    /// Times between the commands before; none at a start.
    spacing: Option<Spacing>,
}

/// Times between the last three commands \[s\].
#[derive(Clone, Copy, Debug)]
struct Spacing {
    /// From the one before to the last.
    after: f64,
    /// From the one before that to the one before.
    earlier: f64,
}

/// How a command continues the previous ones.
///
/// By divided differences, which are means of the curve's second and third derivatives over the times they span: a curve
/// within its limits passes, however unevenly it is sampled.
struct Line {
    /// Change since the command before, per second.
    slope: JointVector,
    /// The slope's change, per second.
    bend: JointVector,
    /// Time over which the bend changed \[s\].
    span: f64,
    spacing: Spacing,
}

impl Sent {
    /// Start of a mode: the measured positions, zero velocity, or zero torque.
    fn start(mode: ControlMode, measured: &Proprioception, at: Timestamp) -> Self {
        let nothing = JointVector::zeros(measured.joint_positions.len());
        let joints = if mode == ControlMode::Position { measured.joint_positions } else { nothing };
        let command = JointCommand::of(mode, joints, measured.gripper.clamp(0.0, 1.0));
        Self::at_rest(command, at)
    }

    fn at_rest(command: JointCommand, at: Timestamp) -> Self {
        let nothing = JointVector::zeros(command.joints().len());
        Self { command, at, slope: nothing, bend: nothing, spacing: None }
    }

    /// The line from here to `joints`, `since` \[s\] later, more than none. At a start nothing moved before.
    fn line_to(&self, joints: &JointVector, since: f64) -> Line {
        let Spacing { after, earlier } = self.spacing.unwrap_or(Spacing { after: since, earlier: since });
        let slope = speed(joints, &self.command.joints(), since);
        let bend = speed(&slope, &self.slope, 0.5 * (since + after));
        Line { slope, bend, span: (since + after + earlier) / 3.0, spacing: Spacing { after: since, earlier: after } }
    }

    /// This command after the one before.
    fn following(&self, command: JointCommand, at: Timestamp) -> Self {
        let since = at.since(self.at).as_secs_f64();
        if since > 0.0 {
            let Line { slope, bend, spacing, .. } = self.line_to(&command.joints(), since);
            Self { command, at, slope, bend, spacing: Some(spacing) }
        } else {
            // No time elapsed, so nothing moves.
            Self { command, at, ..*self }
        }
    }
}

/// Times of one tick \[s\].
#[derive(Clone, Copy, Debug)]
struct Elapsed {
    /// Counted time since the previous command: at most [`MOST_PERIODS`], or [`BRIDGED`] for a stream.
    counted: f64,
    /// Time since the previous command.
    since: f64,
}

/// Keeps every command within the arm's limits.
///
/// ```
/// use std::path::Path;
/// use std::time::Duration;
///
/// use visuomotor_arms::driver::{Plant, PointPlant};
/// use visuomotor_core::action::JointCommand;
/// use visuomotor_core::config::Robot;
/// use visuomotor_core::kinematics::Chain;
/// use visuomotor_core::time::Timestamp;
/// use visuomotor_station::safety::SafetyFilter;
///
/// # let checkout = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// let robot = Robot::load(Path::new(checkout), "widowx")?;
/// let chain = Chain::from_robot(&robot)?;
/// let measured = PointPlant::at(*chain.home()).sense();
/// let mut filter = SafetyFilter::new(&robot, chain.clone());
/// filter.seed(Timestamp::ZERO, &measured);
///
/// // A jump of 1 rad within one control period of 20 ms: the filter sends as much of it as the limits allow.
/// let mut goal = *chain.home();
/// goal[0] += 1.0;
/// let now = Timestamp::ZERO + Duration::from_millis(20);
/// let verdict = filter.filter(now, &JointCommand::position(goal, 1.0), &measured, Some(Duration::ZERO));
/// let step = (verdict.sent.joints()[0] - chain.home()[0]).abs();
/// assert!(step > 0.0 && step < 0.1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SafetyFilter {
    pub(super) chain: Chain,
    pub(super) velocity: JointVector,
    acceleration: JointVector,
    jerk: JointVector,
    braking: JointVector,
    tool_speed: f64,
    pub(super) workspace: Workspace,
    command_age: f64,
    period: f64,
    streams_positions: bool,
    velocities: VelocityLimits,
    torques: TorqueLimits,
    residual: Residual,
    travel: Travel,
    last: Option<Sent>,
}

impl SafetyFilter {
    /// A filter with the limits of this arm.
    pub fn new(robot: &Robot, chain: Chain) -> Self {
        let period = 1.0 / robot.identity.control_rate_hz;
        let acceleration = JointVector::from_slice(&robot.limits.joint_acceleration);
        Self {
            chain,
            velocity: JointVector::from_slice(&robot.limits.joint_velocity),
            acceleration,
            jerk: JointVector::from_slice(&robot.limits.joint_jerk),
            braking: BRAKING * acceleration,
            tool_speed: robot.limits.tool_speed,
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
            residual: Residual::of(robot),
            travel: Travel::none(),
            last: None,
        }
    }

    /// Seeds from the measurement, at the start and after every stop or reconnect: the arm is held where it is.
    ///
    /// A measurement that is not finite leaves nothing to hold; the first finite one given to
    /// [`SafetyFilter::filter`] is then taken.
    pub fn seed(&mut self, now: Timestamp, measured: &Proprioception) {
        self.residual.start();
        self.travel = Travel::none();
        self.last = finite::measurement_is_finite(measured, self.chain.joints())
            .then(|| Sent::start(ControlMode::Position, measured, now));
    }

    /// Filters the command `wished` at `now`.
    ///
    /// `action_age` is the age of the action behind it, `None` while no action is expected. Filtering the result again at
    /// the same time changes nothing. The first call after [`SafetyFilter::new`] without a seed seeds itself. A command of a
    /// new mode starts that mode from the measurement, with zero time elapsed.
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

        let lengths = wished.joints().len() == joints && measured.joint_positions.len() == joints;
        let finite = finite::command_is_finite(wished, joints) && finite::measurement_is_finite(measured, joints);
        if !lengths || (Protection::Finite.is_on() && !finite) {
            return self.stop(now, last.command, LimitReason::NotFinite);
        }
        if Protection::ActionAge.is_on() && watchdog::too_old(action_age, self.command_age) {
            return self.stop(now, last.command, LimitReason::CommandAge);
        }
        if wished.mode() != last.command.mode() {
            last = Sent::start(wished.mode(), measured, now);
            self.residual.start();
            self.travel = Travel::none();
        }

        let mut changes = Changes::default();
        let gripper = wished.gripper().clamp(0.0, 1.0);
        changes.note(LimitReason::JointPosition, (gripper - wished.gripper()).abs());
        let since = now.since(last.at).as_secs_f64();
        let most = MOST_PERIODS * self.period;
        let streams = self.streams_positions && wished.mode() == ControlMode::Position;
        let elapsed = Elapsed { counted: since.min(if streams { most.max(BRIDGED) } else { most }), since };
        let before = last.command.joints();
        let mut residual = self.residual;
        let mut travel = self.travel;
        residual.note(wished.mode(), &before, &measured.joint_positions, since);

        let workspace = Workspace { approaching: action_age.is_none(), ..self.workspace };
        let walls = Walls { chain: &self.chain, workspace };
        let limited = match wished.mode() {
            ControlMode::Position => {
                let residual = (&mut residual, &measured.joint_positions);
                self.position(&walls, &wished.joints(), &last, elapsed, residual, &mut changes)
            }
            ControlMode::Velocity => {
                let sent = SentBefore { joints: &before, slope: &last.slope, elapsed: elapsed.counted };
                // The arm has moved on since it was measured.
                let here = travel.since(&measured.joint_positions, measured.measured_at, now);
                Ok(self.velocities.within(&walls, &wished.joints(), sent, &here, &mut residual, &mut changes))
            }
            ControlMode::Torque => {
                let sensed = (measured, now.since(measured.measured_at).as_secs_f64());
                self.torques.within(&walls, &wished.joints(), &before, sensed, elapsed.counted, &mut changes)
            }
        };
        let limited = match limited {
            Ok(limited) => limited,
            Err(reason) => return self.stop(now, last.command, reason),
        };
        let sent = JointCommand::of(wished.mode(), limited, gripper);
        if Protection::Finite.is_on() && !finite::command_is_finite(&sent, joints) {
            return self.stop(now, last.command, LimitReason::NotFinite);
        }
        self.residual = residual;
        self.travel = travel;
        if wished.mode() == ControlMode::Velocity {
            self.travel.note(now, &sent.joints());
        }
        self.last = Some(last.following(sent, now));
        Verdict { sent, filtered: changes.verdict() }
    }

    /// Positions: inside the usable range, able to brake before its end, within joint and tool speed limits, on the right
    /// side of every wall, and not far ahead of a joint that does not follow.
    ///
    /// Acceleration and jerk are left to the arm's servo and to the jerk-limited law. An arm that takes a stream has no such
    /// servo and stops itself at a jump, so a jump is never sent there.
    fn position(
        &self,
        walls: &Walls<'_>,
        wished: &JointVector,
        last: &Sent,
        elapsed: Elapsed,
        (residual, measured): (&mut Residual, &JointVector),
        changes: &mut Changes,
    ) -> Result<JointVector, LimitReason> {
        let before = last.command.joints();
        let mut inside = *wished;
        if Protection::JointPosition.is_on() {
            let limits = self.chain.usable_limits();
            inside = within_positions(wished, &before, limits);
            inside = within_braking(&inside, &before, limits, (&self.velocity, &self.braking), elapsed.counted);
        }
        changes.note(LimitReason::JointPosition, distance(&inside, wished));

        let mut sent = inside;
        if Protection::JointVelocity.is_on() {
            sent = within_velocities(&inside, &before, &self.velocity, elapsed.counted);
            changes.note(LimitReason::JointVelocity, distance(&sent, &inside));
        }
        let here = self.chain.place(&before);
        let mut there = self.chain.place(&sent);
        if let Some(reason) = walls.refuses_placed(&there, &here) {
            // This reason overrides earlier limits, since it is why the arm stands still.
            (sent, there) = (before, here);
            changes.decide(reason);
        }
        let most = self.tool_speed * elapsed.counted + NEGLIGIBLE;
        if Protection::JointVelocity.is_on() && !(there.longest_way(&here) <= most) {
            let fast = sent;
            for _ in 0..SHORTENINGS {
                // A little more than needed, so that a scaled step passes when filtered again.
                sent = part_of_the_way(&before, &sent, 0.999 * most / there.longest_way(&here));
                there = self.chain.place(&sent);
                if there.longest_way(&here) <= most {
                    break;
                }
            }
            if !(there.longest_way(&here) <= most) {
                (sent, there) = (before, here);
            }
            changes.note(LimitReason::ToolVelocity, distance(&sent, &fast));
            if let Some(reason) = walls.refuses_placed(&there, &here) {
                sent = before;
                changes.decide(reason);
            }
        }
        if self.streams_positions && elapsed.since > 0.0 {
            self.smooth(&sent, last, elapsed.since)?;
        }

        let mut taken = sent;
        for joint in 0..sent.len() {
            let ramp = TAKING_BACK * self.velocity[joint] * elapsed.counted;
            let asked = (wished[joint], before[joint]);
            let allowed = residual.allowed(ControlMode::Position, joint, asked, measured[joint], ramp);
            taken[joint] = allowed.bring(sent[joint]);
        }
        if taken != sent {
            // While a command is taken back, the other joints wait.
            let waiting =
                (0..sent.len()).any(|joint| (taken[joint] - before[joint]) * (sent[joint] - before[joint]) < 0.0);
            for joint in 0..sent.len() {
                if waiting && taken[joint] == sent[joint] {
                    taken[joint] = before[joint];
                }
            }
            if Protection::JointPosition.is_on() {
                // A command does not follow an arm measured out of its range.
                taken = within_positions(&taken, &before, self.chain.usable_limits());
            }
            // A stream cannot be taken back gently, nor can a command through a wall.
            if self.streams_positions || walls.refuses(&taken, &before).is_some() {
                return Err(LimitReason::Residual);
            }
            changes.decide(LimitReason::Residual);
        }
        Ok(taken)
    }

    /// Is the position free of a jump from the previous ones?
    fn smooth(&self, sent: &JointVector, last: &Sent, since: f64) -> Result<(), LimitReason> {
        // Over the whole time since: without commands the arm extrapolated its motion.
        let line = last.line_to(sent, since);
        for joint in 0..sent.len() {
            if !(line.bend[joint].abs() <= JUMP * self.acceleration[joint]) {
                return Err(LimitReason::JointAcceleration);
            }
            let jerk = (line.bend[joint] - last.bend[joint]).abs() / line.span;
            if !(jerk <= JUMP * self.jerk[joint]) {
                return Err(LimitReason::JointJerk);
            }
        }
        Ok(())
    }

    /// Holds the last sent position, or sets velocity and torque to zero. The caller commands the driver to hold, which
    /// brakes within the arm's limits; the next command starts from the one sent here.
    fn stop(&mut self, now: Timestamp, last: JointCommand, reason: LimitReason) -> Verdict {
        let nothing = JointVector::zeros(last.joints().len());
        let held = if last.mode() == ControlMode::Position { last } else { last.with_joints(nothing) };
        self.last = Some(Sent::at_rest(held, now));
        self.residual.start();
        if held.mode() == ControlMode::Velocity {
            self.travel.note(now, &nothing);
        }
        Verdict { sent: held, filtered: Filtered::Stopped(reason) }
    }
}

/// Velocity from one vector to another \[unit/s\].
fn speed(to: &JointVector, from: &JointVector, elapsed: f64) -> JointVector {
    (*to - *from) / elapsed
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "mode_tests.rs"]
mod mode_tests;
#[cfg(test)]
#[path = "truth_tests/mod.rs"]
mod truth_tests;
