//! Does an arm keep moving against its commands? Commands may be lost on their way while states arrive, and a controller without a
//! time-out then executes the last one forever. Only its states can show that. Pure: times are arguments.
//!
//! States are evaluated in blocks of [`LOOK`], by positions: a controller's velocities may be wrong.
//!
//! - Velocities: a joint may be anywhere between standing still and what was sent within the block, since it may be blocked. Motion
//!   beyond that is against its command. A servo lags, so it counts only when its sum over consecutive blocks exceeds
//!   `limits.following_error`, or when it makes up half of the joint's motion for `limits.following_time`. A joint that moves at
//!   `v` and is commanded to stand still is detected after about the shorter of `following_error / v` and `following_time`
//!   ([`found_within`]).
//! - Torques have no position to compare: the reported efforts must change with what is sent. They are compared with everything
//!   sent within the block: a Jaco reports once in ten commands. The weight is subtracted. The unknown part of it, a payload, is
//!   learned within a second while the commands stay about the same: an effort that changes only with commands is no payload. When
//!   efforts are off by more than [`SHARE`] of the joint's limit for `limits.following_time`, commands have no effect.
//! - Positions: a controller goes to the last one and stays; a blocked one is handled by the safety filter (`safety/residual.rs`).

use visuomotor_core::action::ControlMode;
use visuomotor_core::config::Robot;
use visuomotor_core::kinematics::Dynamics;
use visuomotor_core::observation::{JointVector, MAX_JOINTS};
use visuomotor_core::protection::Protection;
use visuomotor_core::time::Timestamp;

/// Length of a block \[s\]: an encoder's step of 0.0015 rad is a small part of a joint's motion in it.
const LOOK: f64 = 0.05;
/// Motion within a block that counts as none \[rad\]: 0.05 rad/s.
const NOISE: f64 = 0.0025;
/// Share of the motion that must be against the command for its time to count \[1\]: a joint that slows down late is somewhat too
/// fast.
const HALF: f64 = 0.5;
/// Share of the torque limit by which efforts may be off \[1\].
pub const SHARE: f64 = 0.25;
/// Time constant for learning the unknown part of the weight \[s\].
const LEARNED: f64 = 1.0;
/// Change of the commands up to which they count as constant, as a share of the torque limit \[1/s\].
const STEADY: f64 = 0.1;

/// Longest time until a joint is detected that keeps moving at `speed` \[rad/s\] against a command to stand still or to turn back
/// \[s\].
pub fn found_within(robot: &Robot, mode: ControlMode, speed: f64) -> f64 {
    let (error, time) = (robot.limits.following_error, robot.limits.following_time);
    // In the first block the joint was still commanded to move, and time is counted in whole blocks.
    let long = 2.0 * LOOK + time;
    if mode == ControlMode::Velocity { (LOOK + error / speed.abs()).min(long) } else { long }
}

/// Least and largest value sent.
#[derive(Clone, Copy, Debug, Default)]
struct Range {
    least: f64,
    most: f64,
}

impl Range {
    fn only(value: f64) -> Self {
        Self { least: value, most: value }
    }

    fn with(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), most: self.most.max(other.most) }
    }

    fn width(self) -> f64 {
        self.most - self.least
    }

    /// How far `value` is outside; NaN for NaN.
    fn beyond(self, value: f64) -> f64 {
        value - value.clamp(self.least, self.most)
    }
}

/// Record of one joint.
#[derive(Clone, Copy, Debug, Default)]
struct Joint {
    /// Commands within the block, and the position at its start.
    told: Range,
    /// Motion against the commands \[rad\], summed over blocks.
    against: f64,
    /// Its duration \[s\].
    seconds: f64,
    /// Effort beyond the weight, summed over the block's states \[Nm\].
    effort: f64,
    /// Effort beyond the commands, while commands had their effect \[Nm\].
    usual: f64,
}

impl Joint {
    /// Are the efforts of a block of this many states, which took `elapsed` seconds, off the commands by more than the [`SHARE`] of
    /// `limit` \[Nm\]? Learns the usual difference.
    fn is_off(&mut self, states: f64, is_first: bool, limit: f64, elapsed: f64) -> bool {
        let effort = self.effort / states;
        if is_first && effort.is_finite() {
            self.usual = self.told.beyond(effort);
        }
        let off = self.told.beyond(effort - self.usual);
        // An arm that reports no efforts, or NaN, gives no evidence here.
        let is_off = off.abs() > SHARE * limit;
        let is_steady = self.told.width() <= STEADY * limit * elapsed;
        if !is_off && is_steady && off.is_finite() {
            self.usual += off * (elapsed / LEARNED).min(1.0);
        }
        is_off
    }
}

/// Record of an arm's motion against its commands.
#[derive(Clone, Debug)]
pub struct Runaway {
    mode: ControlMode,
    error: f64,
    time: f64,
    torque: JointVector,
    dynamics: Option<Dynamics>,
    joints: [Joint; MAX_JOINTS],
    sent: JointVector,
    /// Start of the block, and the joint positions then.
    began: Option<(Timestamp, JointVector)>,
    /// States within the block.
    states: u32,
    /// Blocks since the start.
    blocks: u32,
    /// The first joint that was detected.
    runaway_joint: Option<usize>,
}

impl Runaway {
    /// For this arm, without commands so far.
    pub fn of(robot: &Robot) -> Self {
        let count = robot.joint.len();
        Self {
            mode: ControlMode::Position,
            error: robot.limits.following_error,
            time: robot.limits.following_time,
            torque: JointVector::from_slice(&robot.limits.joint_torque),
            dynamics: Dynamics::from_robot(robot).ok(),
            joints: [Joint::default(); MAX_JOINTS],
            sent: JointVector::zeros(count),
            began: None,
            states: 0,
            blocks: 0,
            runaway_joint: None,
        }
    }

    /// Restarts at rest, with commands of this mode.
    pub fn start(&mut self, mode: ControlMode) {
        self.mode = mode;
        self.joints = [Joint::default(); MAX_JOINTS];
        self.sent.fill(0.0);
        (self.began, self.states, self.blocks, self.runaway_joint) = (None, 0, 0, None);
    }

    /// Which joint moved against its command since the start?
    pub fn runaway_joint(&self) -> Option<usize> {
        self.runaway_joint
    }

    /// Records a command as sent.
    pub fn sent(&mut self, command: &JointVector) {
        if command.len() != self.sent.len() || !command.is_finite() {
            return;
        }
        self.sent = *command;
        for (joint, told) in self.joints.iter_mut().zip(command.iter()) {
            joint.told = joint.told.with(Range::only(*told));
        }
    }

    /// Takes a state, received at `now`; returns the joint that moved against its command.
    pub fn observe(&mut self, now: Timestamp, positions: &JointVector, efforts: &JointVector) -> Option<usize> {
        let usable = positions.len() == self.sent.len() && positions.is_finite();
        if self.mode == ControlMode::Position || !usable || !Protection::Runaway.is_on() {
            return self.runaway_joint;
        }
        let Some((began, from)) = self.began else {
            self.begin(now, positions);
            return self.runaway_joint;
        };
        if self.mode == ControlMode::Torque && efforts.len() == self.sent.len() {
            let weight = self.dynamics.as_ref().map_or(JointVector::zeros(efforts.len()), |d| d.gravity(positions));
            for (index, joint) in self.joints[..efforts.len()].iter_mut().enumerate() {
                joint.effort += efforts[index] - weight[index];
            }
        }
        self.states += 1;
        let elapsed = now.since(began).as_secs_f64();
        let mut found = self.runaway_joint;
        let (count, states, is_first) = (positions.len(), f64::from(self.states), self.blocks == 0);
        for (index, joint) in self.joints[..count].iter_mut().enumerate() {
            let (mut beyond, mut way) = (0.0, 0.0);
            if self.mode == ControlMode::Velocity {
                way = positions[index] - from[index];
                let told = joint.told.with(Range::only(0.0));
                beyond = Range { least: told.least * elapsed, most: told.most * elapsed }.beyond(way).abs();
                if joint.against + beyond > self.error {
                    found = found.or(Some(index));
                }
            }
            if elapsed < LOOK {
                continue;
            }
            let odd = match self.mode {
                ControlMode::Velocity => {
                    joint.against = if beyond > NOISE { joint.against + beyond } else { 0.0 };
                    beyond > NOISE.max(HALF * way.abs())
                }
                _ => joint.is_off(states, is_first, self.torque[index], elapsed),
            };
            joint.seconds = if odd { joint.seconds + elapsed } else { 0.0 };
            // Sums of tenths are not exact.
            if joint.seconds >= self.time.max(LOOK) - 1e-6 {
                found = found.or(Some(index));
            }
        }
        if elapsed >= LOOK {
            self.blocks = self.blocks.saturating_add(1);
            self.begin(now, positions);
        }
        self.runaway_joint = found;
        found
    }

    fn begin(&mut self, now: Timestamp, positions: &JointVector) {
        (self.began, self.states) = (Some((now, *positions)), 0);
        for (joint, sent) in self.joints.iter_mut().zip(self.sent.iter()) {
            (joint.told, joint.effort) = (Range::only(*sent), 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn robot(name: &str) -> Robot {
        Robot::load(Path::new(crate::CHECKOUT), name).unwrap()
    }

    /// A joint that turns at `speed(ms)` while `told(ms)` is sent, a state every 10 ms: time of detection \[ms\].
    fn found(robot: &Robot, told: impl Fn(u64) -> f64, speed: impl Fn(u64) -> f64) -> Option<u64> {
        let mut runaway = Runaway::of(robot);
        runaway.start(ControlMode::Velocity);
        let still = JointVector::zeros(robot.joint.len());
        let (mut at, mut command) = (still, still);
        for ms in (0..4000).step_by(10) {
            command[1] = told(ms);
            runaway.sent(&command);
            at[1] += speed(ms) * 0.01;
            // As read by an encoder of 4096 steps.
            let mut read = at;
            read[1] = (read[1] / 0.001534).round() * 0.001534;
            if let Some(joint) = runaway.observe(Timestamp::from_nanos(ms * 1_000_000), &read, &still) {
                assert_eq!(joint, 1);
                return Some(ms);
            }
        }
        None
    }

    #[test]
    fn a_joint_that_goes_on_although_told_to_stand_or_turn_is_found_within_the_bound() {
        for name in ["widowx", "panda"] {
            let robot = robot(name);
            for speed in [2.0, 0.9, 0.3, 0.1, -0.3, -1.5] {
                for then in [0.0, -speed] {
                    for when in (1000..1050).step_by(10) {
                        let seen = found(&robot, |ms| if ms < when { speed } else { then }, |_| speed);
                        let bound = found_within(&robot, ControlMode::Velocity, speed);
                        let took = (seen.unwrap_or(9999) - when) as f64 * 1e-3;
                        // Plus one state.
                        assert!(took <= bound + 0.0101, "{name} at {speed} rad/s: {took} s, at most {bound} s");
                    }
                }
            }
        }
    }

    #[test]
    fn an_arm_that_follows_late_or_is_blocked_is_none_that_runs_away() {
        for name in ["widowx", "panda"] {
            let robot = robot(name);
            let most = robot.limits.joint_velocity[1];
            let acceleration = robot.limits.joint_acceleration[1];
            // Back and forth as fast as possible.
            let told = |ms: u64| {
                let (whole, turn) = (2.0 * most / acceleration, ms as f64 * 1e-3 % 2.0);
                let ramp = |since: f64| most - (since * acceleration).min(whole * acceleration);
                if turn < 1.0 { -ramp(turn) } else { ramp(turn - 1.0) }
            };
            let lag = if name == "widowx" { 100 } else { 50 };
            assert_eq!(found(&robot, told, |ms| if ms < lag { 0.0 } else { told(ms - lag) }), None, "{name}");
            assert_eq!(found(&robot, told, |_| 0.0), None, "{name} is blocked");
        }
    }

    /// An arm whose efforts are the weight, the unknown part of it, and `applied(ms)`, while `told(ms)` is sent: time of detection
    /// \[ms\].
    fn torque_found(told: impl Fn(u64) -> f64, applied: impl Fn(u64) -> f64) -> Option<u64> {
        let robot = robot("panda");
        let dynamics = Dynamics::from_robot(&robot).unwrap();
        let mut runaway = Runaway::of(&robot);
        runaway.start(ControlMode::Torque);
        let mut at = JointVector::from_slice(&robot.identity.home);
        let mut command = JointVector::zeros(7);
        for ms in (0..4000).step_by(10) {
            command[1] = told(ms);
            runaway.sent(&command);
            at[1] += 0.5e-2;
            let mut efforts = dynamics.gravity(&at);
            efforts[1] += applied(ms) + 8.0 + 1e-3 * ms as f64;
            if runaway.observe(Timestamp::from_nanos(ms * 1_000_000), &at, &efforts).is_some() {
                return Some(ms);
            }
        }
        None
    }

    #[test]
    fn torques_that_have_no_effect_are_found_and_a_payload_is_none() {
        let braking = |ms: u64| if ms < 1000 { 2.0 } else { -12.0 };
        assert_eq!(torque_found(braking, braking), None);
        assert_eq!(torque_found(|_| 2.0, |_| 2.0), None);
        let took = torque_found(braking, |_| 2.0).unwrap() - 1000;
        let bound = 1e3 * found_within(&robot("panda"), ControlMode::Torque, 0.5) + 10.0;
        assert!(took as f64 <= bound, "{took} ms, at most {bound} ms");
    }

    /// A Jaco reports its state every 100 ms, in which its commands change ten times. Compared with the last command alone, an arm
    /// that followed its commands was stopped.
    #[test]
    fn torques_read_rarely_are_compared_with_all_that_was_sent_since() {
        let robot = robot("jaco_j2n7s300");
        let dynamics = Dynamics::from_robot(&robot).unwrap();
        let at = JointVector::from_slice(&robot.identity.home);
        let found = |applied: &dyn Fn(u64) -> f64, told: &dyn Fn(u64) -> f64| {
            let mut runaway = Runaway::of(&robot);
            runaway.start(ControlMode::Torque);
            let mut command = JointVector::zeros(7);
            for ms in (0..6000_u64).step_by(10) {
                command[1] = told(ms);
                runaway.sent(&command);
                if !ms.is_multiple_of(100) {
                    continue;
                }
                let mut efforts = dynamics.gravity(&at);
                // In transit for up to 30 ms.
                efforts[1] += applied(ms.saturating_sub(30));
                if let Some(joint) = runaway.observe(Timestamp::from_nanos(ms * 1_000_000), &at, &efforts) {
                    assert_eq!(joint, 1);
                    return Some(ms);
                }
            }
            None
        };
        // Half of its limit at once, then back and forth within 0.8 s.
        let most = 0.5 * robot.limits.joint_torque[1];
        let swing = |ms: u64| {
            let phase = ms.saturating_sub(1000) as f64 * 1e-3 * std::f64::consts::TAU / 0.8;
            most * (ms as f64 * 1e-2).min(1.0) * phase.cos()
        };
        assert_eq!(found(&swing, &swing), None);
        // The command of 3000 ms is executed forever.
        let gone_on = |ms: u64| if ms < 3000 { swing(ms) } else { -swing(3000) };
        let took = found(&|ms| swing(ms.min(3000)), &gone_on).unwrap() - 3000;
        // In whole blocks of 100 ms.
        let bound = 1e3 * found_within(&robot, ControlMode::Torque, 0.5) + 200.0;
        assert!(took as f64 <= bound, "{took} ms, at most {bound} ms");
    }

    /// A slow drift of the commands away from the applied torques used to be learned as a payload and was never detected.
    #[test]
    fn torques_that_depart_slowly_are_found_too() {
        let braking = |ms: u64| 2.0 - 1e-2 * ms.saturating_sub(1000).min(1400) as f64;
        assert_eq!(torque_found(braking, braking), None);
        // A quarter of the limit, 10 Nm, is reached after 2000 ms.
        let took = torque_found(braking, |_| 2.0).unwrap() - 2000;
        let bound = 1e3 * found_within(&robot("panda"), ControlMode::Torque, 0.5) + 10.0;
        assert!(took as f64 <= bound, "{took} ms, at most {bound} ms");
    }

    #[test]
    fn nothing_is_said_of_positions_and_of_numbers_that_are_none() {
        let robot = robot("widowx");
        let mut runaway = Runaway::of(&robot);
        let mut at = JointVector::zeros(6);
        for mode in [ControlMode::Position, ControlMode::Torque, ControlMode::Velocity] {
            runaway.start(mode);
            runaway.sent(&JointVector::zeros(6));
            for ms in (0..3000).step_by(10) {
                at[0] = if mode == ControlMode::Position { at[0] + 0.02 } else { f64::NAN };
                let nan = JointVector::from_slice(&[f64::NAN; 6]);
                assert_eq!(runaway.observe(Timestamp::from_nanos(ms * 1_000_000), &at, &nan), None, "{mode}");
            }
        }
    }
}
