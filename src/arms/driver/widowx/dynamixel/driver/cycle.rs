//! The work of each control tick: `read_cycle`, `write_cycle`, and `stay`, the stop.

use std::time::Duration;

use super::bus::BusError;
use super::fault::FaultKind;
use super::{DynamixelArm, Misses, N, READ_BUDGET, REMEMBERED, WATCHDOG, WATCHDOG_TIME};
use crate::driver::DriverError;
use crate::driver::widowx::crank;
use crate::driver::widowx::dynamixel::wire::{Instruction, registers, units};
use crate::driver::widowx::limits::{GRIPPER_ID, JOINT_IDS, SERVOS, TOP_SPEED, servo_of_joint};
use crate::transport::ByteLink;
use visuomotor_core::action::{ControlMode, JointCommand};
use visuomotor_core::observation::{JointVector, Proprioception};
use visuomotor_core::protection::Protection;
use visuomotor_core::time::Timestamp;

/// Current or load, velocity and position: registers 126..136.
const STATE: usize = 10;

/// The joints' servos and the gripper's.
const READ_IDS: [u8; N + 1] = [1, 2, 4, 6, 7, 8, GRIPPER_ID];

/// Profile and goal of one servo: registers 108..120.
const GOAL: usize = 12;

/// How far outside its limits a joint may stand before that counts as impossible \[rad\]: a push against the stop.
const OUTSIDE: f64 = 0.1;

/// A holding goal is at most this far from where the joint is \[rad\]: the distance at the maker's top speed in one profile. Not
/// zero: a servo without integral gain stands off its goal by its load, and re-reading that as the new goal at every hold would let
/// the arm sink.
const HOLD_WITHIN: f64 = 0.08;

/// A velocity goal runs at most this far ahead of where the joint is \[rad\], so that a blocked joint does not accumulate a jump.
const LEAD: f64 = 0.15;

/// Longest time of a hold, its verification included.
const HOLD_BUDGET: Duration = Duration::from_millis(8);

/// Profile of a hold \[ms\]: whole time and acceleration.
const HOLD_PROFILE: [u32; 2] = [100, 50];

impl<L: ByteLink> DynamixelArm<L> {
    pub(super) fn read_cycle(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        let until = self.bus.now() + READ_BUDGET;
        if let Some(fault) = self.fault {
            // It still holds; only its watchdogs need feeding.
            self.feed(now);
            return Err(DriverError::Fault(fault));
        }
        if self.lost {
            return Err(DriverError::Silent);
        }
        self.watch_own_silence()?;
        self.feed(now);
        self.fed = false;
        self.bus.limit(Some(until));
        let sensed = self.read_within(now, until);
        self.bus.limit(None);
        sensed
    }

    /// The servos' reported positions, also while one of them reports an error or after the bus failed.
    pub(super) fn observe(&mut self, now: Timestamp) -> Option<Proprioception> {
        if self.fault.is_none() && !self.lost {
            return self.read_cycle(now).ok();
        }
        let until = self.bus.now() + READ_BUDGET;
        self.feed(now);
        self.bus.limit(Some(until));
        let mut states = [[0; STATE]; N + 1];
        let missing = self.ask_states(&mut states, until);
        self.bus.limit(None);
        if missing.ok()? == 0 { self.sense(now, &states).ok() } else { None }
    }

    fn read_within(&mut self, now: Timestamp, until: Timestamp) -> Result<Proprioception, DriverError> {
        let mut states = [[0; STATE]; N + 1];
        let garbled = self.bus.unreadable();
        let missing = self.ask_states(&mut states, until)?;
        self.spoken_at = self.bus.now();
        if missing != 0 {
            let quiet = self.bus.unreadable() == garbled;
            return self.miss(if quiet { missing } else { 0 });
        }
        let sensed = self.sense(now, &states)?;
        (self.misses, self.measured) = (Misses::default(), Some(sensed));
        self.poll_health(now, until)?;
        Ok(sensed)
    }

    /// Have we been silent for so long that the watchdogs have expired? Then the arm stands still, and earlier commands are void.
    /// If it was to hold, the watchdogs are armed again; otherwise that is a fault.
    fn watch_own_silence(&mut self) -> Result<(), DriverError> {
        if self.mode.is_none() || self.bus.now().since(self.spoken_at) < WATCHDOG_TIME {
            return Ok(());
        }
        if !self.holding {
            return self.fail(FaultKind::Watchdog, 1, 0);
        }
        self.rearm().map_err(|error| self.bus_failure(error))
    }

    /// Clears and arms every watchdog without waiting for replies; polls find out whether it worked.
    fn rearm(&mut self) -> Result<(), BusError> {
        let block =
            |value: u8| -> [u8; 18] { std::array::from_fn(|i| if i % 2 == 0 { SERVOS[i / 2].id } else { value }) };
        let address = registers::BUS_WATCHDOG.address;
        self.bus.send(Instruction::SyncWrite { address, length: 1, blocks: &block(0) })?;
        self.send_goals(HOLD_PROFILE, 0)?;
        self.bus.send(Instruction::SyncWrite { address, length: 1, blocks: &block(WATCHDOG as u8) })
    }

    /// Sends the goals in force again when none were written since the last read: a holding arm's watchdogs need traffic, and the
    /// gripper's loop runs here.
    fn feed(&mut self, now: Timestamp) {
        if self.mode.is_some() && !self.fed {
            let pwm = self.grip_step(now);
            let profile = if self.holding { HOLD_PROFILE } else { self.profile() };
            // A write that fails shows in the next read.
            let _ = self.send_goals(profile, pwm);
        }
    }

    /// One read of all servos, repeated for those that did not reply while the budget lasts; returns a bit for each servo that
    /// still did not reply, by its place in [`READ_IDS`].
    fn ask_states(&mut self, states: &mut [[u8; STATE]; N + 1], until: Timestamp) -> Result<u8, DriverError> {
        let address = registers::PRESENT_CURRENT.address;
        let mut fast = self.fast;
        let mut missing = READ_IDS;
        let mut silent_servos: u8 = (1 << (N + 1)) - 1;
        let mut count = missing.len();
        let mut first = true;
        while count > 0 {
            // A broken reply is repeated as long as there is time for a whole one.
            if !first && until.since(self.bus.now()) < self.bus.exchange_time(STATE) {
                return Ok(silent_servos);
            }
            self.bus.counters.retries += u64::from(!first);
            let mut part = [[0; STATE]; N + 1];
            let asked = &missing[..count];
            let got = self.bus.sync_read(fast, address, asked, &mut part[..count]);
            let (got, alerts) = got.map_err(|error| self.bus_failure(error))?;
            // One broken byte loses a whole fast reply; single replies lose less.
            (first, fast) = (false, false);
            let mut left = 0;
            for k in 0..count {
                let id = missing[k];
                if got & (1 << k) != 0 {
                    let place = READ_IDS.iter().position(|all| *all == id).unwrap_or(0);
                    states[place] = part[k];
                    silent_servos &= !(1 << place);
                    if alerts & (1 << k) != 0 {
                        self.poll_next(id);
                    }
                } else {
                    missing[left] = id;
                    left += 1;
                }
            }
            count = left;
        }
        Ok(silent_servos)
    }

    /// Not every joint is known this time; `silent_servos` is the set of those that sent nothing, where no noise could have hidden it.
    fn miss(&mut self, silent_servos: u8) -> Result<Proprioception, DriverError> {
        let found = self.misses.count(silent_servos);
        match self.measured {
            // The last whole measurement, with its own time stamp.
            Some(last) if !self.misses.silent || !Protection::StateCheck.is_on() => Ok(last),
            _ => {
                if found {
                    // From here on the goals in force are repeated with every read.
                    let _ = self.stay();
                }
                Err(DriverError::Silent)
            }
        }
    }

    fn bus_failure(&mut self, error: BusError) -> DriverError {
        if let BusError::Link(_) = error {
            self.lost = true;
        }
        DriverError::Silent
    }

    /// Converts registers to the arm's proprioception; refuses impossible values.
    fn sense(&mut self, now: Timestamp, states: &[[u8; STATE]; N + 1]) -> Result<Proprioception, DriverError> {
        let start = registers::PRESENT_CURRENT.address;
        let get = |k: usize, register: &registers::Register| register.within(start, &states[k]).unwrap_or(0);
        let (mut positions, mut velocities, mut efforts) =
            (JointVector::zeros(N), JointVector::zeros(N), JointVector::zeros(N));
        for joint in 0..N {
            let position = units::angle_from_ticks(get(joint, &registers::PRESENT_POSITION));
            let (mut low, mut high) =
                (self.robot.joint[joint].lower - OUTSIDE, self.robot.joint[joint].upper + OUTSIDE);
            if let Some(before) = &self.measured {
                // Twice the top speed, and a shove.
                let reach = 2.0 * TOP_SPEED * now.since(before.measured_at).as_secs_f64() + OUTSIDE;
                low = low.max(before.joint_positions[joint] - reach);
                high = high.min(before.joint_positions[joint] + reach);
            }
            if !(position >= low && position <= high) && Protection::StateCheck.is_on() {
                let _ = self.stay();
                return Err(DriverError::Implausible { joint, value: position, low, high });
            }
            let servo = servo_of_joint(joint);
            // Of two servos on a shaft only the first one replies; the other does the same work.
            let servos = if SERVOS.iter().any(|other| other.secondary == servo.id) { 2.0 } else { 1.0 };
            positions[joint] = position;
            velocities[joint] = units::velocity_from_raw(get(joint, &registers::PRESENT_VELOCITY));
            efforts[joint] = servos * units::torque_from_raw(servo.model, get(joint, &registers::PRESENT_CURRENT));
        }
        let angle = units::angle_from_ticks(get(N, &registers::PRESENT_POSITION));
        self.crank = (angle, units::velocity_from_raw(get(N, &registers::PRESENT_VELOCITY)));
        let finger = crank::finger_from_angle(angle);
        Ok(Proprioception {
            joint_positions: positions,
            joint_velocities: velocities,
            joint_efforts: efforts,
            finger_position: finger,
            gripper: self.gripper.fraction_from_finger(finger),
            measured_at: now,
        })
    }

    pub(super) fn write_cycle(&mut self, now: Timestamp, command: &JointCommand) -> Result<(), DriverError> {
        let mode = self.mode.ok_or(DriverError::Inactive)?;
        if let Some(fault) = self.fault {
            return Err(DriverError::Fault(fault));
        }
        if command.mode() != mode || command.joints().len() != N {
            return Err(DriverError::Mode(command.mode()));
        }
        if !(command.joints().is_finite() && command.gripper().is_finite()) {
            let _ = self.stay();
            return Err(DriverError::NotFinite);
        }
        let measured = self.measured.ok_or(DriverError::Silent)?;
        let elapsed = self.written_at.map_or(self.period(), |at| now.since(at)).min(2 * self.period());
        // The maker's top speed: a goal farther away would be a jump that no joint can follow.
        let reach = TOP_SPEED * self.period().as_secs_f64();
        for joint in 0..N {
            let goal = self.goal_angles[joint];
            let wanted = match mode {
                ControlMode::Velocity => {
                    let here = measured.joint_positions[joint];
                    let ahead = goal + command.joints()[joint] * elapsed.as_secs_f64();
                    // Only a goal that leads farther ahead is clipped, so that a joint that was pushed away may come back.
                    if (ahead - here).abs() > (goal - here).abs().max(LEAD) { goal } else { ahead }
                }
                _ => command.joints()[joint],
            };
            self.aim(joint, wanted.clamp(goal - reach, goal + reach));
        }
        self.grip.target = command.gripper().clamp(0.0, 1.0);
        let pwm = self.grip_step(now);
        (self.written_at, self.holding, self.fed) = (Some(now), false, true);
        let sent = self.send_goals(self.profile(), pwm);
        sent.map_err(|error| self.bus_failure(error))
    }

    /// Sets a joint's goal \[rad\], clipped to its limits.
    pub(super) fn aim(&mut self, joint: usize, angle: f64) {
        let (low, high) = (self.lowest[joint], self.highest[joint]);
        self.goals[joint] = units::ticks_from_angle(angle).clamp(low, high);
        self.goal_angles[joint] = angle.clamp(units::angle_from_ticks(low), units::angle_from_ticks(high));
    }

    /// The next PWM of the gripper.
    fn grip_step(&mut self, now: Timestamp) -> i16 {
        let elapsed = self.written_at.map_or(Duration::ZERO, |at| now.since(at)).min(self.period());
        let (angle, speed) = self.crank;
        if self.holding {
            self.written_at = Some(now);
        }
        self.grip.step(&self.gripper, angle, speed, elapsed)
    }

    /// Profile of a stream of goals \[ms\]: straight from goal to goal in a period and a quarter, as Bridge's ratio of profile to
    /// move duration. Acceleration is zero, because easing in and out of every goal would make the speed ripple.
    fn profile(&self) -> [u32; 2] {
        [(1.25e3 / self.capabilities.control_rate_hz).ceil() as u32, 0]
    }

    /// Profile and goal of every joint in one packet, and the gripper's PWM behind it.
    pub(super) fn send_goals(&mut self, [time, ramp]: [u32; 2], pwm: i16) -> Result<(), BusError> {
        let mut blocks = [0; N * (1 + GOAL)];
        for (joint, block) in blocks.chunks_exact_mut(1 + GOAL).enumerate() {
            block[0] = JOINT_IDS[joint];
            block[1..5].copy_from_slice(&ramp.to_le_bytes());
            block[5..9].copy_from_slice(&time.to_le_bytes());
            block[9..].copy_from_slice(&self.goals[joint].to_le_bytes());
        }
        self.remembered[self.remembered_at] = self.goals;
        self.remembered_at = (self.remembered_at + 1) % REMEMBERED;
        self.spoken_at = self.bus.now();
        let [low, high] = pwm.to_le_bytes();
        self.bus.send_both(
            Instruction::SyncWrite {
                address: registers::PROFILE_ACCELERATION.address,
                length: GOAL as u16,
                blocks: &blocks,
            },
            Instruction::SyncWrite {
                address: registers::GOAL_PWM.address,
                length: 2,
                blocks: &[GRIPPER_ID, low, high],
            },
        )
    }

    /// Stops where it is and stays there. Does nothing for an arm that was not activated.
    pub(super) fn stay(&mut self) -> Result<(), DriverError> {
        if self.mode.is_none() {
            return Ok(());
        }
        if !self.holding
            && let Some(measured) = self.measured
        {
            for joint in 0..N {
                let here = measured.joint_positions[joint];
                let goal = self.goal_angles[joint];
                self.aim(joint, goal.clamp(here - HOLD_WITHIN, here + HOLD_WITHIN));
            }
        }
        self.holding = true;
        if self.lost {
            return Err(DriverError::Silent);
        }
        let pwm = self.grip.pwm;
        self.bus.limit(Some(self.bus.now() + HOLD_BUDGET));
        let held = self.say_stay(pwm);
        self.bus.limit(None);
        held
    }

    /// A sync write is not acknowledged, but a hold must be confirmed.
    fn say_stay(&mut self, pwm: i16) -> Result<(), DriverError> {
        for _ in 0..3 {
            self.send_goals(HOLD_PROFILE, pwm).map_err(|error| self.bus_failure(error))?;
            let mut goals = [[0; 4]; N];
            let read = self.bus.sync_read(false, registers::GOAL_POSITION.address, &JOINT_IDS, &mut goals);
            let (got, _) = read.map_err(|error| self.bus_failure(error))?;
            if got == (1 << N) - 1 && goals.iter().zip(&self.goals).all(|(a, b)| i32::from_le_bytes(*a) == *b) {
                return Ok(());
            }
        }
        Err(DriverError::Silent)
    }
}
