//! The Franka control interface (FCI) as the control boxes of the FER (version 5, libfranka 0.9) and the FR3 (version 10,
//! libfranka 0.21) speak it: bytes only.
//!
//! Little endian, packed. TCP (port 1337) carries requests and replies: header = command u32, command id u32, total size
//! u32, then the payload. UDP carries a state each millisecond and the answering command, which repeats the state's message
//! id. Units: rad, rad/s, Nm, m, s; poses are column-major 4x4 matrices.
//!
//! | | version 5 | version 10 |
//! |---|---|---|
//! | state | 2373 bytes, numbers of 8 | 1377 bytes, numbers of 4, accelerometers before the modes |
//! | command | 370 bytes | 371 bytes: the end of a torque-only motion comes last |
//! | move | 56 bytes | 113 bytes: an asynchronous motion generator; torques need no generator |
//! | model | a library | a URDF |
//!
//! The client's side is the crate `franka-rs`; this is the controller's side, for our emulator, written from the layout and not
//! from that crate, so that each checks the other. Start reading at [`State::encode`] and [`Command::decode`]. It refuses messages
//! of another length ([`WireError`]). Numbers that are not finite are passed on, because the controller must be able to refuse them
//! itself.

mod command;
mod requests;
mod state;

pub use command::Command;
pub use requests::{INVALID_ARGUMENT, MOVE, MoveStatus, NOT_POSSIBLE, Request, SUCCESS, decode_connect, decode_move};
pub use state::{IDENTITY, State};

/// TCP port of the arm.
pub const PORT: u16 = 1337;
/// Length of a TCP header \[bytes\].
pub const HEADER: usize = 12;
/// Longest request read \[bytes\]: the largest real one is SetCollisionBehavior with 416 and the header.
pub const LONGEST_REQUEST: usize = 1024;
/// Error flags in a state.
pub const ERRORS: usize = 41;
/// Longest command datagram of any version \[bytes\].
pub const LONGEST_COMMAND: usize = 371;

/// Version of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Franka Emika Robot (FER, "Panda").
    V5,
    /// Franka Research 3 (FR3).
    V10,
}

impl Version {
    /// Both.
    pub const ALL: [Version; 2] = [Version::V5, Version::V10];

    /// Its number, as both sides exchange it.
    pub fn number(self) -> u16 {
        match self {
            Version::V5 => 5,
            Version::V10 => 10,
        }
    }

    /// Length of a state datagram \[bytes\].
    pub fn state_length(self) -> usize {
        match self {
            Version::V5 => 2373,
            Version::V10 => 1377,
        }
    }

    /// Length of a number in a state \[bytes\]; in commands and requests all have 8.
    pub fn number_length(self) -> usize {
        match self {
            Version::V5 => 8,
            Version::V10 => 4,
        }
    }

    /// Length of a command datagram \[bytes\].
    pub fn command_length(self) -> usize {
        match self {
            Version::V5 => 370,
            Version::V10 => LONGEST_COMMAND,
        }
    }

    /// Length of the payload of [`Request::Move`] \[bytes\].
    pub fn move_length(self) -> usize {
        match self {
            Version::V5 => 56,
            Version::V10 => 113,
        }
    }
}

/// Robot modes, as reported in states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum RobotMode {
    /// Locked, or an unnamed mode.
    Other = 0,
    /// Ready.
    #[default]
    Idle = 1,
    /// In motion.
    Move = 2,
    /// Guided by hand.
    Guiding = 3,
    /// Stopped by a reflex.
    Reflex = 4,
    /// User stop pressed.
    UserStopped = 5,
    /// Recovering.
    AutomaticErrorRecovery = 6,
}

/// Motion generators, as reported in states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Generator {
    /// None.
    #[default]
    Idle = 0,
    /// Joint positions.
    JointPosition = 1,
    /// Joint velocities.
    JointVelocity = 2,
    /// Cartesian poses.
    CartesianPosition = 3,
    /// Cartesian velocities.
    CartesianVelocity = 4,
    /// No motion: torques alone (version 10).
    None = 5,
}

/// Controllers of the motors, as reported in states. Requests use the first three numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Regulator {
    /// The robot's joint impedance controller.
    JointImpedance = 0,
    /// The robot's Cartesian impedance controller.
    CartesianImpedance = 1,
    /// Torques from outside.
    External = 2,
    /// The robot's own, no motion running.
    #[default]
    Other = 3,
}

/// Why bytes were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Another length than the message has.
    #[error("a message of {found} bytes, expected {expected}")]
    Length {
        /// Bytes received.
        found: usize,
        /// Bytes required.
        expected: usize,
    },
    /// A number without a meaning.
    #[error("{what} {found} is not known")]
    Unknown {
        /// The field it belongs to.
        what: &'static str,
        /// The number.
        found: u32,
    },
}

/// Header of a TCP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Number of the request.
    pub command: u32,
    /// Repeated in the reply.
    pub id: u32,
    /// Length with this header \[bytes\].
    pub size: u32,
}

impl Header {
    /// From the first bytes of a message; none yet when fewer than [`HEADER`] came.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| -> Option<u32> { bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes) };
        Some(Self { command: word(0)?, id: word(4)?, size: word(8)? })
    }

    /// A whole message: this header, sized for the payload, and the payload.
    pub fn message(command: u32, id: u32, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + payload.len());
        out.extend_from_slice(&command.to_le_bytes());
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&((HEADER + payload.len()) as u32).to_le_bytes());
        out.extend_from_slice(payload);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_back_and_one_cut_short_is_not_read() {
        assert!(Header::decode(&[0; 11]).is_none());
        let message = Header::message(12, 3, &[1]);
        assert_eq!(Header::decode(&message), Some(Header { command: 12, id: 3, size: 13 }));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..500)) {
            let _ = Header::decode(&bytes);
            let _ = decode_connect(&bytes);
            for version in Version::ALL {
                let _ = Command::decode(version, &bytes);
                let _ = decode_move(version, &bytes);
            }
        }
    }
}
