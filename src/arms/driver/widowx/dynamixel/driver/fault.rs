//! Fault codes of this driver: what happened, to which servo, with which error bits.

use crate::driver::FaultCode;
use crate::driver::widowx::dynamixel::wire::hardware_error_text;
use crate::driver::widowx::limits::servo_of;

/// What happened; bits 16..24 of a fault code. Bits 8..16 are the servo's id, bits 0..8 its hardware error bits (or the
/// temperature \[degC\] of [`FaultKind::TooHot`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FaultKind {
    /// A servo reports a hardware error and has switched its torque off, or is about to.
    Hardware = 1,
    /// A servo received nothing for 200 ms and stopped.
    Watchdog = 2,
    /// A servo has torque off although the arm is active.
    TorqueLost = 3,
    /// A servo no longer replies although others do.
    ServoSilent = 4,
    /// A servo is about to shut down because of its temperature.
    TooHot = 5,
    /// A servo refuses a write that every start needs.
    Refused = 6,
    /// Connected for recovery: the servos were not checked yet.
    NotSurveyed = 7,
}

/// Contents of a fault code of this driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServoFault {
    /// What went wrong.
    pub kind: FaultKind,
    /// Servo id.
    pub id: u8,
    /// Bits of its error register.
    pub bits: u8,
}

impl FaultKind {
    /// A code with servo and bits.
    pub fn code(self, id: u8, bits: u8) -> FaultCode {
        FaultCode(u32::from(self as u8) << 16 | u32::from(id) << 8 | u32::from(bits))
    }

    /// Decodes a code of this driver.
    pub fn of(code: FaultCode) -> Option<ServoFault> {
        let [kind, id, bits] = [code.0 >> 16, code.0 >> 8, code.0].map(|word| (word & 0xFF) as u8);
        let all = [
            Self::Hardware,
            Self::Watchdog,
            Self::TorqueLost,
            Self::ServoSilent,
            Self::TooHot,
            Self::Refused,
            Self::NotSurveyed,
        ];
        all.into_iter().find(|known| *known as u8 == kind).map(|kind| ServoFault { kind, id, bits })
    }
}

/// A fault code as text, with what to do.
pub fn explain(code: FaultCode) -> String {
    let Some(ServoFault { kind, id, bits }) = FaultKind::of(code) else { return format!("code {}", code.0) };
    let who = servo_of(id).map_or_else(|| "a servo".into(), |servo| format!("servo {id} ({})", servo.name));
    match kind {
        FaultKind::Hardware => format!(
            "{who} reports {}; take the load off, let it cool, support the arm, then recover: it is rebooted",
            hardware_error_text(bits)
        ),
        FaultKind::Watchdog => format!(
            "the bus watchdog of {who} expired: it heard nothing for 200 ms and stopped where it was; look for a stalled \
             computer or a loose cable, then recover"
        ),
        FaultKind::TorqueLost => format!("{who} has torque off; support the arm, then recover"),
        FaultKind::ServoSilent => format!("{who} does not reply while others do; check the cable at that servo"),
        FaultKind::TooHot => {
            format!("{who} is at {bits} degC, just below its shut-down; bring the arm to its rest pose and let it cool")
        }
        FaultKind::Refused => format!("{who} refused a setting; run `visuomotor check`"),
        FaultKind::NotSurveyed => "the servos were not looked at yet: recover".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_tells_servo_and_bits_in_words() {
        let code = FaultKind::Hardware.code(5, 32 | 4);
        assert_eq!(FaultKind::of(code), Some(ServoFault { kind: FaultKind::Hardware, id: 5, bits: 36 }));
        let text = explain(code);
        assert!(text.contains("servo 5 (elbow_shadow)") && text.contains("overheating, overload"), "{text}");
        assert_eq!(explain(FaultCode(7)), "code 7");
    }
}
