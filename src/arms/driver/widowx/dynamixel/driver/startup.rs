//! Conditions for turning torque on, and the steps: `prepare` (connect) and `start` (activate).

use std::time::Duration;

use super::bus::BusError;
use super::fault::FaultKind;
use super::survey::{Facts, absence, judge, judge_pairs, judge_timer, refusal, survey};
use super::{DynamixelArm, Grip, Misses, N, PositionServo, WATCHDOG};
use crate::driver::widowx::dynamixel::wire::Instruction;
use crate::driver::widowx::dynamixel::wire::registers::{self, Register};
use crate::driver::widowx::limits::{GRIPPER_ID, JOINT_IDS, Role, SERVOS, Servo, ServoModel};
use crate::driver::{ConnectError, DriverError, Grade};
use crate::transport::ByteLink;
use visuomotor_core::time::Timestamp;

/// Operating modes.
const POSITION_MODE: u8 = 3;
const CURRENT_BASED_MODE: u8 = 5;
const PWM_MODE: u8 = 16;

/// Drive mode bit: profiles by time.
const TIME_PROFILE: u8 = 4;

/// Current limit of the XM430 as shipped \[2.69 mA\]: 3.2 A.
const FULL_CURRENT: f64 = 1193.0;

/// Number of attempts for a complete measurement at a start.
const START_TRIES: u32 = 50;

impl<L: ByteLink> DynamixelArm<L> {
    fn mode_of(&self, servo: &Servo) -> u8 {
        match (servo.role, servo.model, self.options.servo) {
            (Role::Gripper, ..) => PWM_MODE,
            (_, ServoModel::Xm430, PositionServo::Limited(_)) => CURRENT_BASED_MODE,
            _ => POSITION_MODE,
        }
    }

    /// Checks everything and sets operating modes where torque is off.
    pub(super) fn prepare(&mut self) -> Result<(), ConnectError> {
        for facts in self.look()? {
            self.prepare_mode(&facts)?;
            self.prove_watchdog(&facts)?;
        }
        self.spoken_at = self.bus.now();
        Ok(())
    }

    /// Every servo as it is; refuses another arm or an unfit one. Writes nothing.
    pub(super) fn look(&mut self) -> Result<Vec<Facts>, ConnectError> {
        let link = self.bus.name().to_owned();
        let timer = judge_timer(&self.bus.link().latency_timer());
        if timer.grade == Grade::Bad {
            return Err(refusal(&self.robot, &link, timer));
        }
        let mut all = Vec::new();
        for (servo, found) in survey(&mut self.bus) {
            all.push(found.map_err(|error| absence(&self.robot, &link, servo, error))?);
        }
        let pairs = judge_pairs(&mut self.bus, &all);
        for finding in all.iter().flat_map(|facts| judge(facts, &self.robot)).chain(pairs) {
            if finding.grade == Grade::Bad {
                return Err(refusal(&self.robot, &link, finding));
            }
        }
        self.fast = self.probe_fast();
        self.spoken_at = self.bus.now();
        Ok(all)
    }

    fn unfit(&self, servo: &Servo, what: &str, found: String, expected: String, fix: &str) -> ConnectError {
        ConnectError::Unfit {
            arm: self.robot.identity.name.clone(),
            link: self.bus.name().into(),
            what: format!("servo {} ({}) {what}", servo.id, servo.name),
            found,
            expected,
            fix: fix.into(),
        }
    }

    fn told(&self, servo: &Servo, error: BusError) -> ConnectError {
        absence(&self.robot, self.bus.name(), servo, error)
    }

    /// Operating mode and profile kind. Both can only be changed without torque, and without torque the arm falls: a
    /// servo that holds in another mode is refused.
    fn prepare_mode(&mut self, facts: &Facts) -> Result<(), ConnectError> {
        let servo = facts.servo;
        let drive = u8::from(servo.reversed) | TIME_PROFILE;
        for (register, wanted) in [(registers::DRIVE_MODE, drive), (registers::OPERATING_MODE, self.mode_of(servo))] {
            let found = facts.byte(&register);
            if found == wanted {
                continue;
            }
            if facts.torque_on() {
                let fix = "bring the arm to its rest pose, support it, switch its power off and on, then start again";
                let (found, expected) = (format!("{found} under torque"), wanted.to_string());
                return Err(self.unfit(servo, register.name, found, expected, fix));
            }
            self.set_checked(servo, &register, i32::from(wanted))?;
        }
        Ok(())
    }

    fn set_checked(&mut self, servo: &Servo, register: &Register, wanted: i32) -> Result<(), ConnectError> {
        let written = self.bus.set(servo.id, register, wanted);
        let found = written.and_then(|_| self.bus.get(servo.id, register));
        match found {
            Ok(found) if found == wanted => Ok(()),
            Ok(found) => Err(self.unfit(
                servo,
                register.name,
                found.to_string(),
                wanted.to_string(),
                "the servo does not take the value: run `visuomotor check`",
            )),
            Err(error) => Err(self.told(servo, error)),
        }
    }

    /// Can the watchdog be armed? It is disarmed again: until the arm is activated nothing feeds it.
    fn prove_watchdog(&mut self, facts: &Facts) -> Result<(), ConnectError> {
        let servo = facts.servo;
        self.set_checked(servo, &registers::BUS_WATCHDOG, 0)?;
        if facts.torque_on() && matches!(servo.role, Role::Joint(_)) {
            // Goals are accepted again from here on; one from before the silence must not become active.
            let here = self.bus.get(servo.id, &registers::PRESENT_POSITION).map_err(|error| self.told(servo, error))?;
            let goal = here.clamp(servo.min_position, servo.max_position);
            self.set_checked(servo, &registers::GOAL_POSITION, goal)?;
        }
        self.set_checked(servo, &registers::BUS_WATCHDOG, WATCHDOG)?;
        self.set_checked(servo, &registers::BUS_WATCHDOG, 0)
    }

    /// Firmware without fast sync read does not reply.
    fn probe_fast(&mut self) -> bool {
        let ids = [1, 2, 4, 6, 7, 8, GRIPPER_ID];
        let mut out = [[0; 10]; N + 1];
        let address = registers::PRESENT_CURRENT.address;
        (0..2).any(|_| {
            let got = self.bus.sync_read(true, address, &ids, &mut out);
            matches!(got, Ok((got, _)) if got.count_ones() as usize == ids.len())
        })
    }

    /// Torque on at the measured position, watchdogs armed. Takes about 50 ms.
    pub(super) fn start(&mut self, now: Timestamp) -> Result<(), DriverError> {
        if self.lost {
            return Err(DriverError::Silent);
        }
        // Expired watchdogs refuse goals.
        for servo in &SERVOS {
            self.set_or_fail(servo.id, &registers::BUS_WATCHDOG, 0)?;
        }
        self.mode = None;
        self.measured = None;
        let sensed = self.measure_whole(now)?;
        for joint in 0..N {
            self.aim(joint, sensed.joint_positions[joint]);
        }
        self.remembered = [self.goals; super::REMEMBERED];
        self.grip = Grip::at(sensed.gripper.clamp(0.0, 1.0));
        if let PositionServo::Limited(share) = self.options.servo {
            let limit = (share * FULL_CURRENT).round() as i32;
            for servo in SERVOS.iter().filter(|servo| servo.model == ServoModel::Xm430) {
                self.set_or_fail(servo.id, &registers::GOAL_CURRENT, limit)?;
            }
        }
        self.send_goals([100, 50], 0).map_err(|_| DriverError::Silent)?;
        // Acknowledged: a servo whose goal is not where it stands would jump when torque goes on.
        for (joint, id) in JOINT_IDS.into_iter().enumerate() {
            self.set_or_fail(id, &registers::GOAL_POSITION, self.goals[joint])?;
        }
        for servo in &SERVOS {
            // Shadows follow their first servo's torque too; each one is read by its own id.
            self.set_or_fail(servo.id, &registers::TORQUE_ENABLE, 1)?;
        }
        for servo in &SERVOS {
            if self.get_or_fail(servo.id, &registers::TORQUE_ENABLE)? != 1 {
                return self.fail(FaultKind::TorqueLost, servo.id, 0);
            }
        }
        // `prepare` proved that they can be armed; polls find out whether they are. From here on each servo must receive something
        // in time: if that was too late, the next read arms them again.
        let armed_from = self.bus.now();
        for servo in &SERVOS {
            self.set_or_fail(servo.id, &registers::BUS_WATCHDOG, WATCHDOG)?;
        }
        (self.holding, self.fed, self.written_at) = (true, false, None);
        (self.misses, self.foreign_goals) = (Misses::default(), 0);
        self.spoken_at = armed_from;
        Ok(())
    }

    /// A whole measurement, with more time than in a cycle.
    fn measure_whole(&mut self, now: Timestamp) -> Result<visuomotor_core::observation::Proprioception, DriverError> {
        for _ in 0..START_TRIES {
            self.misses = Misses::default();
            match self.read_cycle(now) {
                Err(DriverError::Silent) if !self.lost => {}
                settled => return settled,
            }
        }
        Err(DriverError::Silent)
    }

    fn set_or_fail(&mut self, id: u8, register: &Register, value: i32) -> Result<(), DriverError> {
        match self.bus.set(id, register, value) {
            Ok(_) => Ok(()),
            Err(error) => self.refuse(id, error),
        }
    }

    fn get_or_fail(&mut self, id: u8, register: &Register) -> Result<i32, DriverError> {
        match self.bus.get(id, register) {
            Ok(value) => Ok(value),
            Err(error) => self.refuse(id, error),
        }
    }

    fn refuse<T>(&mut self, id: u8, error: BusError) -> Result<T, DriverError> {
        match error {
            BusError::Link(_) => {
                self.lost = true;
                Err(DriverError::Silent)
            }
            BusError::Refused(_) => self.fail(FaultKind::Refused, id, 0),
            _ => self.fail(FaultKind::ServoSilent, id, 0),
        }
    }

    /// Waits, feeding the watchdogs of a holding arm meanwhile.
    pub(super) fn wait(&mut self, time: Duration) {
        let until = self.bus.now() + time;
        while self.bus.now() < until {
            if self.mode.is_some() {
                let _ = self.send_goals([100, 50], self.grip.pwm);
            }
            let mut out = [0; 3];
            // An id that does not exist: this waits a transaction's time on the link's own clock.
            let _ = self.bus.transact_with_retries(1, 252, Instruction::Ping { id: 252 }, &mut out);
        }
    }
}
