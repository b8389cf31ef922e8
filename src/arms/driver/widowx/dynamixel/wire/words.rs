//! Error bits in words.

/// Bits of the register Hardware Error Status, by value.
const HARDWARE: [(u8, &str); 5] = [
    (1, "input voltage out of limits"),
    (4, "overheating"),
    (8, "motor encoder"),
    (16, "electrical shock or too little power"),
    (32, "overload"),
];

/// The bits of the register Hardware Error Status in words.
pub fn hardware_error_text(bits: u8) -> String {
    let mut words: Vec<String> =
        HARDWARE.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, word)| (*word).to_owned()).collect();
    let known = HARDWARE.iter().fold(0, |all, (bit, _)| all | bit);
    if bits & !known != 0 {
        words.push(format!("unknown bits {:#04x}", bits & !known));
    }
    if words.is_empty() { "none".into() } else { words.join(", ") }
}

/// The low bits of a status packet's error byte in words.
pub fn status_error_text(error: u8) -> &'static str {
    match error & 0x7F {
        0 => "no error",
        1 => "it could not be done",
        2 => "unknown instruction",
        3 => "wrong CRC",
        4 => "value out of range",
        5 => "too few bytes",
        6 => "value beyond the servo's limits",
        7 => "read only, or locked while torque is on",
        _ => "unknown error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_become_words() {
        assert_eq!(hardware_error_text(0), "none");
        assert_eq!(hardware_error_text(4 | 32), "overheating, overload");
        assert_eq!(hardware_error_text(64), "unknown bits 0x40");
        assert_eq!(status_error_text(0x87), "read only, or locked while torque is on");
    }
}
