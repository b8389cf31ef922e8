//! The control table, as far as the arm needs it: where a register is, how long it is and who may write it.

/// Who may write a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    Read,
    /// Writable, kept without power, locked while torque is on.
    Eeprom,
    /// Writable.
    Ram,
}

/// A register of the control table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// Name in the e-manual.
    pub name: &'static str,
    /// Address of its first byte.
    pub address: u16,
    /// Length \[bytes\]: 1, 2 or 4, low byte first.
    pub size: u8,
    /// Who may write it.
    pub access: Access,
}

const fn register(name: &'static str, address: u16, size: u8, access: Access) -> Register {
    Register { name, address, size, access }
}

macro_rules! registers {
    ($($(#[$doc:meta])* $ident:ident = $name:literal, $address:literal, $size:literal, $access:ident;)*) => {
        $($(#[$doc])* pub const $ident: Register = register($name, $address, $size, Access::$access);)*
        /// Every register named here, by address.
        pub const ALL: &[Register] = &[$($ident),*];
    };
}

registers! {
    /// Model, see [`crate::driver::widowx::limits::ServoModel`].
    MODEL_NUMBER = "Model Number", 0, 2, Read;
    /// Firmware version.
    FIRMWARE = "Firmware Version", 6, 1, Read;
    /// Own id.
    ID = "ID", 7, 1, Eeprom;
    /// Baud rate, 3 is 1 Mbaud.
    BAUD_RATE = "Baud Rate", 8, 1, Eeprom;
    /// Delay before a reply \[2 us\].
    RETURN_DELAY = "Return Delay Time", 9, 1, Eeprom;
    /// Bit 0 reverse, bit 2 profiles by time (firmware 42), bit 3 torque on by goal.
    DRIVE_MODE = "Drive Mode", 10, 1, Eeprom;
    /// 0 current, 1 velocity, 3 position, 4 extended position, 5 current-based position, 16 PWM.
    OPERATING_MODE = "Operating Mode", 11, 1, Eeprom;
    /// Second id that is obeyed without a reply; 255 none.
    SECONDARY_ID = "Secondary(Shadow) ID", 12, 1, Eeprom;
    /// Protocol, 2.
    PROTOCOL = "Protocol Type", 13, 1, Eeprom;
    /// Added to the position \[ticks\].
    HOMING_OFFSET = "Homing Offset", 20, 4, Eeprom;
    /// Speed above which it counts as moving \[0.229 rpm\].
    MOVING_THRESHOLD = "Moving Threshold", 24, 4, Eeprom;
    /// Shut-down temperature \[degC\].
    TEMPERATURE_LIMIT = "Temperature Limit", 31, 1, Eeprom;
    /// Highest voltage \[0.1 V\].
    MAX_VOLTAGE = "Max Voltage Limit", 32, 2, Eeprom;
    /// Lowest voltage \[0.1 V\].
    MIN_VOLTAGE = "Min Voltage Limit", 34, 2, Eeprom;
    /// Largest PWM \[1/885\].
    PWM_LIMIT = "PWM Limit", 36, 2, Eeprom;
    /// Largest current \[2.69 mA\]; XM430 only.
    CURRENT_LIMIT = "Current Limit", 38, 2, Eeprom;
    /// Largest velocity \[0.229 rpm\].
    VELOCITY_LIMIT = "Velocity Limit", 44, 4, Eeprom;
    /// Largest position \[ticks\].
    MAX_POSITION = "Max Position Limit", 48, 4, Eeprom;
    /// Least position \[ticks\].
    MIN_POSITION = "Min Position Limit", 52, 4, Eeprom;
    /// Which hardware errors shut torque down.
    SHUTDOWN = "Shutdown", 63, 1, Eeprom;
    /// 1: torque on.
    TORQUE_ENABLE = "Torque Enable", 64, 1, Ram;
    /// 1: light on.
    LED = "LED", 65, 1, Ram;
    /// 0 replies to ping only, 1 to ping and reads, 2 to everything.
    STATUS_RETURN_LEVEL = "Status Return Level", 68, 1, Ram;
    /// A write is registered.
    REGISTERED = "Registered Instruction", 69, 1, Read;
    /// Bits, see [`super::hardware_error_text`].
    HARDWARE_ERROR = "Hardware Error Status", 70, 1, Read;
    /// Velocity loop, integral gain.
    VELOCITY_I = "Velocity I Gain", 76, 2, Ram;
    /// Velocity loop, proportional gain.
    VELOCITY_P = "Velocity P Gain", 78, 2, Ram;
    /// Position loop, derivative gain \[1/16\].
    POSITION_D = "Position D Gain", 80, 2, Ram;
    /// Position loop, integral gain \[1/65536\].
    POSITION_I = "Position I Gain", 82, 2, Ram;
    /// Position loop, proportional gain \[1/128\].
    POSITION_P = "Position P Gain", 84, 2, Ram;
    /// Second feed-forward gain \[1/4\].
    FEEDFORWARD_2 = "Feedforward 2nd Gain", 88, 2, Ram;
    /// First feed-forward gain \[1/4\].
    FEEDFORWARD_1 = "Feedforward 1st Gain", 90, 2, Ram;
    /// Longest silence on the bus \[20 ms\]; 0 off, 255 (-1) expired.
    BUS_WATCHDOG = "Bus Watchdog", 98, 1, Ram;
    /// Goal PWM \[1/885\].
    GOAL_PWM = "Goal PWM", 100, 2, Ram;
    /// Goal current, or its limit \[2.69 mA\]; XM430 only.
    GOAL_CURRENT = "Goal Current", 102, 2, Ram;
    /// Goal velocity \[0.229 rpm\].
    GOAL_VELOCITY = "Goal Velocity", 104, 4, Ram;
    /// Profile: acceleration time \[ms\] (drive mode bit 2).
    PROFILE_ACCELERATION = "Profile Acceleration", 108, 4, Ram;
    /// Profile: time span \[ms\] (drive mode bit 2).
    PROFILE_VELOCITY = "Profile Velocity", 112, 4, Ram;
    /// Goal position \[ticks\].
    GOAL_POSITION = "Goal Position", 116, 4, Ram;
    /// Its clock \[ms\], 0..32767.
    REALTIME_TICK = "Realtime Tick", 120, 2, Read;
    /// 1 while it moves.
    MOVING = "Moving", 122, 1, Read;
    /// Profile status bits.
    MOVING_STATUS = "Moving Status", 123, 1, Read;
    /// PWM in force \[1/885\].
    PRESENT_PWM = "Present PWM", 124, 2, Read;
    /// XM430: current \[2.69 mA\]. XL430: load \[0.1 %\], which is not a current.
    PRESENT_CURRENT = "Present Current/Load", 126, 2, Read;
    /// Velocity \[0.229 rpm\].
    PRESENT_VELOCITY = "Present Velocity", 128, 4, Read;
    /// Position \[ticks\].
    PRESENT_POSITION = "Present Position", 132, 4, Read;
    /// Velocity set by the profile.
    VELOCITY_TRAJECTORY = "Velocity Trajectory", 136, 4, Read;
    /// Position set by the profile \[ticks\].
    POSITION_TRAJECTORY = "Position Trajectory", 140, 4, Read;
    /// Input voltage \[0.1 V\].
    PRESENT_VOLTAGE = "Present Input Voltage", 144, 2, Read;
    /// Temperature \[degC\].
    PRESENT_TEMPERATURE = "Present Temperature", 146, 1, Read;
}

/// Length of the table from address 0 through the temperature \[bytes\].
pub const TABLE_LENGTH: usize = 147;

/// Start of the RAM area.
pub const RAM_START: u16 = 64;

impl Register {
    /// Its value in a piece of the table that starts at `start`, sign extended to its size.
    pub fn within(&self, start: u16, bytes: &[u8]) -> Option<i32> {
        let from = usize::from(self.address.checked_sub(start)?);
        let bytes = bytes.get(from..from + usize::from(self.size))?;
        Some(match *bytes {
            [a] => i32::from(a),
            [a, b] => i32::from(i16::from_le_bytes([a, b])),
            [a, b, c, d] => i32::from_le_bytes([a, b, c, d]),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_do_not_overlap_and_fit_the_table() {
        for pair in ALL.windows(2) {
            assert!(pair[0].address + u16::from(pair[0].size) <= pair[1].address, "{pair:?}");
        }
        let last = ALL.last().unwrap();
        assert_eq!(usize::from(last.address) + usize::from(last.size), TABLE_LENGTH);
    }

    #[test]
    fn a_register_is_read_out_of_a_piece_of_the_table() {
        let piece = [0xFE, 0xFF, 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF];
        assert_eq!(PRESENT_CURRENT.within(126, &piece), Some(-2));
        assert_eq!(PRESENT_VELOCITY.within(126, &piece), Some(1));
        assert_eq!(PRESENT_POSITION.within(126, &piece), Some(-1));
        assert_eq!(PRESENT_VOLTAGE.within(126, &piece), None);
        assert_eq!(TORQUE_ENABLE.within(126, &piece), None);
    }
}
