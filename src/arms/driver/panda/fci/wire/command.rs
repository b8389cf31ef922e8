//! What a client sends each millisecond.

use super::{Version, WireError};
use crate::driver::panda::limits::JOINTS;

/// Offset of the end-of-motion flag in a command.
const FINISHED: usize = 313;
/// Offset of the flag that ends a torque-only motion, version 10.
const TORQUE_FINISHED: usize = 370;

/// A client's command for each state. Both versions have the same fields, all of 8 bytes, except the last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Command {
    /// Message id of the state it is for.
    pub message_id: u64,
    /// Joint positions \[rad\].
    pub q_c: [f64; JOINTS],
    /// Joint velocities \[rad/s\].
    pub dq_c: [f64; JOINTS],
    /// End-effector twist in the base \[m/s, rad/s\].
    pub twist: [f64; 6],
    /// The motion ends here.
    pub finished: bool,
    /// Joint torques on top of gravity and friction \[Nm\].
    pub tau_j_d: [f64; JOINTS],
    /// A torque-only motion ends here; never set in version 5, which has no such motion.
    pub torque_finished: bool,
}

impl Command {
    /// From a datagram.
    pub fn decode(version: Version, bytes: &[u8]) -> Result<Self, WireError> {
        let expected = version.command_length();
        if bytes.len() != expected {
            return Err(WireError::Length { found: bytes.len(), expected });
        }
        let eight = |at: usize| -> [u8; 8] { std::array::from_fn(|i| bytes[at + i]) };
        let number = |at: usize, i: usize| f64::from_le_bytes(eight(at + 8 * i));
        Ok(Self {
            message_id: u64::from_le_bytes(eight(0)),
            q_c: std::array::from_fn(|i| number(8, i)),
            dq_c: std::array::from_fn(|i| number(64, i)),
            // 120: O_T_EE_c, 16 numbers
            twist: std::array::from_fn(|i| number(248, i)),
            // 296: elbow, 2 numbers; 312: elbow given
            finished: bytes[FINISHED] != 0,
            tau_j_d: std::array::from_fn(|i| number(314, i)),
            torque_finished: bytes.get(TORQUE_FINISHED).is_some_and(|flag| *flag != 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(version: Version) -> Vec<u8> {
        let mut bytes = vec![0; version.command_length()];
        bytes[..8].copy_from_slice(&9u64.to_le_bytes());
        bytes[8..16].copy_from_slice(&0.25f64.to_le_bytes());
        bytes[112..120].copy_from_slice(&0.5f64.to_le_bytes());
        bytes[313] = 1;
        bytes[362..370].copy_from_slice(&f64::NAN.to_le_bytes());
        bytes
    }

    #[test]
    fn a_command_is_read_where_the_layout_has_it() {
        for (version, length) in [(Version::V5, 370), (Version::V10, 371)] {
            let bytes = datagram(version);
            let command = Command::decode(version, &bytes).unwrap();
            assert_eq!((command.message_id, command.q_c[0], command.dq_c[6]), (9, 0.25, 0.5));
            assert!(command.finished && !command.torque_finished && command.tau_j_d[6].is_nan());
            let short = Command::decode(version, &bytes[1..]);
            assert_eq!(short, Err(WireError::Length { found: length - 1, expected: length }));
        }
    }

    #[test]
    fn the_end_of_torques_is_the_last_byte_of_version_10_and_versions_are_told_apart_by_length() {
        let mut bytes = datagram(Version::V10);
        (bytes[313], bytes[370]) = (0, 1);
        let command = Command::decode(Version::V10, &bytes).unwrap();
        assert!(command.torque_finished && !command.finished);
        assert_eq!(Command::decode(Version::V5, &bytes), Err(WireError::Length { found: 371, expected: 370 }));
        assert_eq!(Command::decode(Version::V10, &bytes[..370]), Err(WireError::Length { found: 370, expected: 371 }));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 360..380)) {
            for version in Version::ALL {
                assert_eq!(Command::decode(version, &bytes).is_ok(), bytes.len() == version.command_length());
            }
        }
    }
}
