//! One servo: its control table and the rules of reading and writing it.
//!
//! One file because a servo is its registers and their rules.

use std::time::Duration;

use crate::driver::widowx::dynamixel::wire::registers::{self, ALL, RAM_START, Register, TABLE_LENGTH};
use crate::driver::widowx::dynamixel::wire::{Access, StatusError, units};
use crate::driver::widowx::limits::{Role, Servo, ServoModel};
use visuomotor_core::time::Timestamp;

/// Silence of a servo that reboots.
const REBOOT: Duration = Duration::from_millis(100);

/// Largest PWM.
const FULL_PWM: i32 = units::FULL_PWM as i32;

/// Modes that keep a position.
const POSITION_MODES: [i32; 3] = [3, 4, 5];

/// A servo.
#[derive(Clone, Debug)]
pub struct EmulatedServo {
    servo: Servo,
    table: [u8; TABLE_LENGTH],
    registered: Option<(u16, Vec<u8>)>,
    /// When it last received something addressed to it.
    pub(super) packet_received_at: Timestamp,
    away_until: Option<Timestamp>,
    /// Off the bus: its cable is unplugged.
    pub(super) unplugged: bool,
    /// Errors that return after a reboot.
    pub(super) persistent_error: u8,
    /// Was the goal position written since motion last checked?
    pub(super) new_goal: bool,
    /// Did the watchdog expire since motion last checked?
    pub(super) stopped: bool,
}

impl EmulatedServo {
    /// As the arm's maker ships it, torque off.
    pub(super) fn factory_new(servo: Servo) -> Self {
        let mut this = Self {
            servo,
            table: [0; TABLE_LENGTH],
            registered: None,
            packet_received_at: Timestamp::ZERO,
            away_until: None,
            unplugged: false,
            persistent_error: 0,
            new_goal: false,
            stopped: false,
        };
        let xm = servo.model == ServoModel::Xm430;
        for (register, value) in [
            (registers::MODEL_NUMBER, i32::from(servo.model.number())),
            (registers::FIRMWARE, 45),
            (registers::ID, i32::from(servo.id)),
            (registers::BAUD_RATE, 3),
            (registers::RETURN_DELAY, 0),
            (registers::DRIVE_MODE, i32::from(servo.reversed)),
            (registers::OPERATING_MODE, 3),
            (registers::SECONDARY_ID, i32::from(servo.secondary)),
            (registers::PROTOCOL, 2),
            (registers::MOVING_THRESHOLD, 10),
            (registers::TEMPERATURE_LIMIT, i32::from(servo.model.max_temperature())),
            (registers::MAX_VOLTAGE, if xm { 160 } else { 140 }),
            (registers::MIN_VOLTAGE, if xm { 95 } else { 60 }),
            (registers::PWM_LIMIT, FULL_PWM),
            (registers::CURRENT_LIMIT, if xm { 1193 } else { 0 }),
            (registers::VELOCITY_LIMIT, 131),
            (registers::MAX_POSITION, servo.max_position),
            (registers::MIN_POSITION, servo.min_position),
            (registers::SHUTDOWN, 52),
            (registers::PRESENT_VOLTAGE, 120),
            (registers::PRESENT_TEMPERATURE, 35),
            (registers::PRESENT_POSITION, units::CENTER),
        ] {
            this.set(&register, value);
        }
        this.ram_defaults();
        this
    }

    /// Resets the RAM area as a power-up does; sensors keep their values.
    fn ram_defaults(&mut self) {
        let xm = self.servo.model == ServoModel::Xm430;
        for (register, value) in [
            (registers::TORQUE_ENABLE, 0),
            (registers::LED, 0),
            (registers::STATUS_RETURN_LEVEL, 2),
            (registers::REGISTERED, 0),
            (registers::HARDWARE_ERROR, i32::from(self.persistent_error)),
            (registers::BUS_WATCHDOG, 0),
        ] {
            self.set(&register, value);
        }
        self.mode_defaults();
        for (register, value) in [
            (registers::VELOCITY_I, if xm { 1920 } else { 1000 }),
            (registers::VELOCITY_P, 100),
            (registers::POSITION_D, if xm { 0 } else { 4000 }),
            (registers::POSITION_P, if xm { 800 } else { 640 }),
        ] {
            self.set(&register, value);
        }
        self.registered = None;
    }

    /// Effects of a mode change on profiles and goals.
    fn mode_defaults(&mut self) {
        let pwm = if self.get(&registers::OPERATING_MODE) == 16 { 0 } else { FULL_PWM };
        let current = self.get(&registers::CURRENT_LIMIT);
        let here = self.get(&registers::PRESENT_POSITION);
        for (register, value) in [
            (registers::GOAL_PWM, pwm),
            (registers::GOAL_CURRENT, current),
            (registers::GOAL_VELOCITY, 0),
            (registers::PROFILE_ACCELERATION, 0),
            (registers::PROFILE_VELOCITY, 0),
            (registers::GOAL_POSITION, here),
        ] {
            self.set(&register, value);
        }
        self.new_goal = true;
    }

    /// As the maker's table has it.
    pub fn servo(&self) -> &Servo {
        &self.servo
    }

    /// Value of a register.
    pub fn get(&self, register: &Register) -> i32 {
        register.within(0, &self.table).unwrap_or(0)
    }

    /// Sets a register without any checks, as a sensor or a test does.
    pub fn set(&mut self, register: &Register, value: i32) {
        let bytes = value.to_le_bytes();
        let at = usize::from(register.address);
        let size = usize::from(register.size);
        self.table[at..at + size].copy_from_slice(&bytes[..size]);
    }

    /// Own id.
    pub fn id(&self) -> u8 {
        self.get(&registers::ID) as u8
    }

    /// The second id it obeys.
    pub(super) fn secondary(&self) -> Option<u8> {
        Some(self.get(&registers::SECONDARY_ID) as u8).filter(|id| *id < 253 && *id != self.id())
    }

    /// Is torque on?
    pub fn torque_on(&self) -> bool {
        self.get(&registers::TORQUE_ENABLE) == 1
    }

    /// Does it keep a position now?
    pub(super) fn keeps_position(&self) -> bool {
        POSITION_MODES.contains(&self.get(&registers::OPERATING_MODE))
    }

    /// Is it connected and awake?
    pub(super) fn listens(&mut self, now: Timestamp) -> bool {
        if self.away_until.is_some_and(|until| now >= until) {
            self.away_until = None;
        }
        self.away_until.is_none() && !self.unplugged
    }

    /// The alert bit of its replies.
    pub(super) fn alert(&self) -> u8 {
        if self.get(&registers::HARDWARE_ERROR) != 0 { 0x80 } else { 0 }
    }

    /// Time between a packet and its reply.
    pub(super) fn return_delay(&self) -> Duration {
        Duration::from_micros(2 * u64::from(self.get(&registers::RETURN_DELAY) as u8))
    }

    /// A hardware error occurs; those enabled in the register Shutdown switch torque off.
    pub(super) fn inject_fault(&mut self, bits: u8) {
        let all = self.get(&registers::HARDWARE_ERROR) | i32::from(bits);
        self.set(&registers::HARDWARE_ERROR, all);
        if all & self.get(&registers::SHUTDOWN) != 0 {
            self.set(&registers::TORQUE_ENABLE, 0);
        }
    }

    /// Restarts; does not reply for a while.
    pub(super) fn reboot(&mut self, now: Timestamp) {
        self.ram_defaults();
        self.away_until = Some(now + REBOOT);
    }

    /// Off and on again, at once.
    pub(super) fn power_cycle(&mut self) {
        self.ram_defaults();
        self.away_until = None;
    }

    /// It receives a packet addressed to it.
    pub(super) fn packet_received(&mut self, now: Timestamp) {
        self.packet_received_at = now;
    }

    /// Expires its watchdog when its time is up: it stops, and takes no goals until 0 is written.
    pub(super) fn watch(&mut self, now: Timestamp) {
        let units = self.get(&registers::BUS_WATCHDOG);
        let limit = Duration::from_millis(20 * units.clamp(0, 127) as u64);
        if (1..=127).contains(&units) && now.since(self.packet_received_at) > limit {
            self.set(&registers::BUS_WATCHDOG, 255);
            self.stopped = true;
        }
    }

    fn watchdog_expired(&self) -> bool {
        self.get(&registers::BUS_WATCHDOG) == 255
    }

    /// Reads bytes of the table.
    pub(super) fn read(&self, address: u16, length: u16) -> Result<&[u8], StatusError> {
        let from = usize::from(address);
        self.table.get(from..from + usize::from(length)).filter(|bytes| !bytes.is_empty()).ok_or(StatusError::Access)
    }

    fn has(&self, register: &Register) -> bool {
        let current = [registers::CURRENT_LIMIT.address, registers::GOAL_CURRENT.address];
        self.servo.model == ServoModel::Xm430 || !current.contains(&register.address)
    }

    /// Registers that a write of this many bytes covers; each of them whole.
    fn covered(&self, address: u16, length: usize) -> Result<Vec<Register>, StatusError> {
        let end = u32::from(address) + length as u32;
        if end > TABLE_LENGTH as u32 {
            return Err(StatusError::Access);
        }
        let overlaps = |register: &&Register| {
            let from = u32::from(register.address);
            from < end && from + u32::from(register.size) > u32::from(address) && self.has(register)
        };
        let covered: Vec<Register> = ALL.iter().filter(overlaps).copied().collect();
        let whole = |register: &Register| {
            register.address >= address && u32::from(register.address) + u32::from(register.size) <= end
        };
        match covered.iter().all(whole) {
            true if covered.is_empty() => Err(StatusError::Access),
            true => Ok(covered),
            false => Err(StatusError::DataLength),
        }
    }

    /// May this register have this value now?
    fn refuses(&self, register: &Register, value: i32) -> Option<StatusError> {
        use registers as r;
        let mode = self.get(&r::OPERATING_MODE);
        match register.access {
            Access::Read => return Some(StatusError::Access),
            Access::Eeprom if self.torque_on() => return Some(StatusError::Access),
            Access::Eeprom | Access::Ram => {}
        }
        let goals = [r::GOAL_PWM, r::GOAL_CURRENT, r::GOAL_VELOCITY, r::GOAL_POSITION];
        if self.watchdog_expired() && goals.contains(register) {
            return Some(StatusError::DataRange);
        }
        let byte = value & 0xFF;
        let range = |good: bool| (!good).then_some(StatusError::DataRange);
        let limit = |good: bool| (!good).then_some(StatusError::DataLimit);
        match *register {
            r::ID => range(byte <= 252),
            r::OPERATING_MODE => range(self.servo.model.has_mode(byte as u8)),
            r::TORQUE_ENABLE if byte == 1 && self.alert() != 0 => Some(StatusError::ResultFail),
            r::TORQUE_ENABLE | r::LED => range(byte <= 1),
            r::STATUS_RETURN_LEVEL => range(byte <= 2),
            r::BUS_WATCHDOG => range(byte <= 127),
            r::GOAL_PWM => limit(value.abs() <= self.get(&r::PWM_LIMIT)),
            r::GOAL_CURRENT => limit(value.abs() <= self.get(&r::CURRENT_LIMIT)),
            r::GOAL_VELOCITY => limit(value.abs() <= self.get(&r::VELOCITY_LIMIT)),
            r::PROFILE_ACCELERATION | r::PROFILE_VELOCITY => range((0..=32_767).contains(&value)),
            r::GOAL_POSITION if mode == 3 => {
                limit((self.get(&r::MIN_POSITION)..=self.get(&r::MAX_POSITION)).contains(&value))
            }
            r::MIN_POSITION | r::MAX_POSITION => range((0..=4095).contains(&value)),
            _ => None,
        }
    }

    /// Writes bytes of the table: all of them or none.
    pub(super) fn write(&mut self, address: u16, data: &[u8]) -> Result<(), StatusError> {
        let covered = self.covered(address, data.len())?;
        for register in &covered {
            // Covered whole: the bytes are there.
            let value = register.within(address, data).ok_or(StatusError::DataLength)?;
            if let Some(error) = self.refuses(register, value) {
                return Err(error);
            }
        }
        for register in &covered {
            if let Some(value) = register.within(address, data) {
                self.take(register, value);
            }
        }
        Ok(())
    }

    fn take(&mut self, register: &Register, value: i32) {
        let before = self.get(register);
        self.set(register, value);
        match *register {
            registers::OPERATING_MODE if before != value => self.mode_defaults(),
            registers::TORQUE_ENABLE if before != value => self.new_goal = true,
            registers::GOAL_POSITION => self.new_goal = true,
            _ => {}
        }
    }

    /// Stores a registered write.
    pub(super) fn register_write(&mut self, address: u16, data: &[u8]) -> Result<(), StatusError> {
        self.covered(address, data.len())?;
        self.registered = Some((address, data.to_vec()));
        self.set(&registers::REGISTERED, 1);
        Ok(())
    }

    /// Executes the stored write.
    pub(super) fn action(&mut self) -> Result<(), StatusError> {
        self.set(&registers::REGISTERED, 0);
        match self.registered.take() {
            Some((address, data)) => self.write(address, &data),
            None => Err(StatusError::ResultFail),
        }
    }

    /// A write through the secondary id: RAM only, and without a reply.
    pub(super) fn apply_write(&mut self, address: u16, data: &[u8]) {
        if address >= RAM_START {
            let _ = self.write(address, data);
        }
    }

    /// Its role.
    pub(super) fn role(&self) -> Role {
        self.servo.role
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::widowx::limits::SERVOS;

    fn servo(id: u8) -> EmulatedServo {
        EmulatedServo::factory_new(SERVOS[usize::from(id) - 1])
    }

    #[test]
    fn eeprom_is_locked_under_torque() {
        let mut servo = servo(1);
        assert_eq!(servo.write(11, &[5]), Ok(()));
        assert_eq!(servo.write(64, &[1]), Ok(()));
        assert_eq!(servo.write(11, &[3]), Err(StatusError::Access));
        assert_eq!(servo.get(&registers::OPERATING_MODE), 5);
        assert_eq!(servo.write(132, &[0; 4]), Err(StatusError::Access));
    }

    #[test]
    fn ranges_limits_and_halves_of_registers_are_refused_and_change_nothing() {
        let mut shoulder = servo(2);
        assert_eq!(shoulder.write(116, &800i32.to_le_bytes()), Err(StatusError::DataLimit));
        assert_eq!(shoulder.write(116, &[0, 8]), Err(StatusError::DataLength));
        assert_eq!(shoulder.write(98, &[200]), Err(StatusError::DataRange));
        // Profile and goal at once: an invalid goal refuses the profile too.
        let both = [[9u8, 0, 0, 0], [9, 0, 0, 0], 4000i32.to_le_bytes()].concat();
        assert_eq!(shoulder.write(108, &both), Err(StatusError::DataLimit));
        assert_eq!(shoulder.get(&registers::PROFILE_VELOCITY), 0);
        // An XL430 has no current modes and no goal current.
        assert_eq!(servo(8).write(11, &[5]), Err(StatusError::DataRange));
        assert_eq!(servo(8).write(102, &[1, 0]), Err(StatusError::Access));
        assert_eq!(servo(8).write(140, &[0; 20]), Err(StatusError::Access));
    }

    #[test]
    fn an_expired_watchdog_refuses_goals_until_zero_is_written() {
        let mut servo = servo(1);
        let at = |ms: u64| Timestamp::from_nanos(ms * 1_000_000);
        servo.packet_received(at(0));
        servo.write(98, &[10]).unwrap();
        servo.watch(at(200));
        assert_eq!(servo.get(&registers::BUS_WATCHDOG), 10);
        servo.watch(at(201));
        assert_eq!(servo.read(98, 1), Ok(&[255][..]));
        assert_eq!(servo.write(116, &2048i32.to_le_bytes()), Err(StatusError::DataRange));
        assert_eq!(servo.write(98, &[10]), Ok(()));
        servo.watch(at(402));
        assert_eq!(servo.write(98, &[0]), Ok(()));
        assert_eq!(servo.write(116, &2048i32.to_le_bytes()), Ok(()));
    }

    #[test]
    fn a_hardware_error_switches_torque_off_until_a_reboot() {
        let mut servo = servo(4);
        servo.write(64, &[1]).unwrap();
        servo.write(112, &[50, 0, 0, 0]).unwrap();
        servo.inject_fault(32);
        assert!(!servo.torque_on());
        assert_eq!((servo.alert(), servo.write(64, &[1])), (0x80, Err(StatusError::ResultFail)));
        let now = Timestamp::from_secs_f64(1.0);
        servo.reboot(now);
        assert!(!servo.listens(now) && servo.listens(now + REBOOT));
        assert_eq!((servo.alert(), servo.get(&registers::PROFILE_VELOCITY)), (0, 0));
        assert_eq!(servo.write(64, &[1]), Ok(()));
    }
}
