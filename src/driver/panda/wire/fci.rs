//! The Franka control interface as the FER's control box speaks it (FCI version 5, libfranka 0.9): bytes only.
//!
//! Little endian, packed. TCP (port 1337) carries requests and answers: header = command u32, command id u32, total size
//! u32, then the payload. UDP carries a state of 2373 bytes each millisecond and the answering command of 370 bytes, which
//! repeats the state's message id. Units: rad, rad/s, Nm, m, s; poses are column-major 4x4 matrices.
//!
//! The client's side is the crate `franka-rs`; this is the controller's side, for our emulator, written from the layout
//! and not from that crate, so that each checks the other. Start reading at [`State::encode`] and [`Command::decode`].
//! What it refuses: messages of another length ([`WireError`]); numbers that are not finite are handed on, because the
//! controller must be able to refuse them itself.
//!
//! One file because both ends of the layout are checked against each other.

use crate::driver::panda::limits::JOINTS;

/// Protocol version of the FER.
pub const VERSION: u16 = 5;
/// TCP port of the arm.
pub const PORT: u16 = 1337;
/// Length of a TCP header \[bytes\].
pub const HEADER: usize = 12;
/// Longest request read \[bytes\]: the largest real one is SetCollisionBehavior with 416 and the header.
pub const LONGEST_REQUEST: usize = 1024;
/// Length of a state datagram \[bytes\].
pub const STATE: usize = 2373;
/// Length of a command datagram \[bytes\].
pub const COMMAND: usize = 370;
/// Error flags in a state.
pub const ERRORS: usize = 41;

/// Requests over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Request {
    /// Version and UDP port of the client.
    Connect = 0,
    /// Starts a motion.
    Move = 1,
    /// Ends the motion.
    StopMove = 2,
    /// Reads a virtual wall.
    GetCartesianLimit = 3,
    /// Contact and collision thresholds.
    SetCollisionBehavior = 4,
    /// Stiffness of the internal joint controller.
    SetJointImpedance = 5,
    /// Stiffness of the internal Cartesian controller.
    SetCartesianImpedance = 6,
    /// Axes free in hand guiding.
    SetGuidingMode = 7,
    /// Stiffness frame.
    SetEEToK = 8,
    /// End-effector frame.
    SetNEToEE = 9,
    /// Mass carried.
    SetLoad = 10,
    /// Low-pass filters in the controller.
    SetFilters = 11,
    /// Clears a reflex.
    AutomaticErrorRecovery = 12,
    /// Downloads the controller's model library.
    LoadModelLibrary = 13,
}

impl Request {
    /// From its number.
    pub fn from_number(number: u32) -> Option<Self> {
        use Request::*;
        [
            Connect,
            Move,
            StopMove,
            GetCartesianLimit,
            SetCollisionBehavior,
            SetJointImpedance,
            SetCartesianImpedance,
            SetGuidingMode,
            SetEEToK,
            SetNEToEE,
            SetLoad,
            SetFilters,
            AutomaticErrorRecovery,
            LoadModelLibrary,
        ]
        .into_iter()
        .find(|request| *request as u32 == number)
    }
}

/// Answers to [`Request::Move`], the first of which is [`MoveStatus::MotionStarted`] and the last how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MoveStatus {
    /// Ended as asked.
    Success = 0,
    /// Runs.
    MotionStarted = 1,
    /// Ended by a stop.
    Preempted = 2,
    /// Not possible in the present mode.
    CommandNotPossible = 3,
    /// Deviations out of range.
    InvalidArgument = 5,
    /// Ended by a reflex.
    ReflexAborted = 6,
    /// Ended by the user stop.
    EmergencyAborted = 7,
    /// A command was not valid.
    InputErrorAborted = 8,
}

/// Answers to every other request share the first two numbers.
pub const SUCCESS: u8 = 0;
/// Not possible in the present mode; for [`Request::Connect`]: another version.
pub const NOT_POSSIBLE: u8 = 1;
/// An argument is out of range (setters).
pub const INVALID_ARGUMENT: u8 = 2;

/// What the robot does, as states tell it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum RobotMode {
    /// Locked, or something without a name.
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

/// What makes the motion, as states tell it.
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
}

/// What controls the motors, as states tell it. Requests use the first three numbers.
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
        /// Bytes that came.
        found: usize,
        /// Bytes it must have.
        expected: usize,
    },
    /// A number without a meaning.
    #[error("{what} {found} is not known")]
    Unknown {
        /// What the number stands for.
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
    /// Repeated in the answer.
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

/// Payload of [`Request::Connect`]: version and UDP port.
pub fn decode_connect(payload: &[u8]) -> Result<(u16, u16), WireError> {
    match payload {
        [a, b, c, d] => Ok((u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]))),
        _ => Err(WireError::Length { found: payload.len(), expected: 4 }),
    }
}

/// Payload of [`Request::Move`]: who controls, what makes the motion. The deviations that follow are read over.
pub fn decode_move(payload: &[u8]) -> Result<(Regulator, Generator), WireError> {
    const LENGTH: usize = 56;
    if payload.len() != LENGTH {
        return Err(WireError::Length { found: payload.len(), expected: LENGTH });
    }
    let word = |at: usize| u32::from_le_bytes([payload[at], payload[at + 1], payload[at + 2], payload[at + 3]]);
    let regulator = match word(0) {
        0 => Regulator::JointImpedance,
        1 => Regulator::CartesianImpedance,
        2 => Regulator::External,
        found => return Err(WireError::Unknown { what: "controller mode", found }),
    };
    // Requests count from 0 where states count from 1, because version 5 cannot ask for no generator.
    let generator = match word(4) {
        0 => Generator::JointPosition,
        1 => Generator::JointVelocity,
        2 => Generator::CartesianPosition,
        3 => Generator::CartesianVelocity,
        found => return Err(WireError::Unknown { what: "motion generator mode", found }),
    };
    Ok((regulator, generator))
}

/// What the controller tells each millisecond. Fields of the datagram that are not here are zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// Counts milliseconds.
    pub message_id: u64,
    /// Measured end-effector pose in the base \[m\].
    pub pose: [f64; 16],
    /// Measured joint torques \[Nm\].
    pub tau_j: [f64; JOINTS],
    /// Commanded joint torques \[Nm\].
    pub tau_j_d: [f64; JOINTS],
    /// Measured joint positions \[rad\].
    pub q: [f64; JOINTS],
    /// Commanded joint positions \[rad\].
    pub q_d: [f64; JOINTS],
    /// Measured joint velocities \[rad/s\].
    pub dq: [f64; JOINTS],
    /// Commanded joint velocities \[rad/s\].
    pub dq_d: [f64; JOINTS],
    /// Commanded joint accelerations \[rad/s2\].
    pub ddq_d: [f64; JOINTS],
    /// What makes the motion.
    pub generator: Generator,
    /// What controls the motors.
    pub regulator: Regulator,
    /// Errors that hold now, by number.
    pub errors: u64,
    /// Errors that ended the last motion, by number.
    pub last_errors: u64,
    /// What the robot does.
    pub mode: RobotMode,
    /// Share of the last 100 commands that came in time, 0 outside motions.
    pub success_rate: f64,
}

impl Default for State {
    fn default() -> Self {
        let still = [0.0; JOINTS];
        Self {
            message_id: 0,
            pose: IDENTITY,
            tau_j: still,
            tau_j_d: still,
            q: still,
            q_d: still,
            dq: still,
            dq_d: still,
            ddq_d: still,
            generator: Generator::Idle,
            regulator: Regulator::Other,
            errors: 0,
            last_errors: 0,
            mode: RobotMode::Idle,
            success_rate: 0.0,
        }
    }
}

/// No displacement, no rotation.
pub const IDENTITY: [f64; 16] = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0];

/// Puts numbers behind one another.
struct Writer<'a> {
    out: &'a mut [u8; STATE],
    at: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn numbers(&mut self, values: &[f64]) {
        for value in values {
            self.bytes(&value.to_le_bytes());
        }
    }

    fn skip(&mut self, numbers: usize) {
        self.at += 8 * numbers;
    }

    fn flags(&mut self, bits: u64) {
        for flag in 0..ERRORS {
            self.bytes(&[((bits >> flag) & 1) as u8]);
        }
    }
}

impl State {
    /// The datagram.
    pub fn encode(&self) -> [u8; STATE] {
        let mut out = [0; STATE];
        let mut w = Writer { out: &mut out, at: 0 };
        w.bytes(&self.message_id.to_le_bytes());
        w.numbers(&self.pose); // O_T_EE
        w.numbers(&self.pose); // O_T_EE_d
        for _ in 0..4 {
            w.numbers(&IDENTITY); // F_T_EE, EE_T_K, F_T_NE, NE_T_EE
        }
        w.skip(13 + 13); // mass, inertia, center of mass of end effector and load
        w.skip(4); // elbow, elbow_d
        w.numbers(&self.tau_j);
        w.numbers(&self.tau_j_d);
        w.skip(JOINTS); // dtau_J
        w.numbers(&self.q);
        w.numbers(&self.q_d);
        w.numbers(&self.dq);
        w.numbers(&self.dq_d);
        w.numbers(&self.ddq_d);
        w.skip(7 + 6 + 7 + 6); // contacts, collisions
        w.skip(7 + 6 + 6); // external torques and wrenches
        w.skip(6 + 3); // O_dP_EE_d, O_ddP_O
        w.skip(6); // elbow_c and its derivatives
        w.numbers(&self.pose); // O_T_EE_c
        w.skip(12); // O_dP_EE_c, O_ddP_EE_c
        w.numbers(&self.q); // theta: motor positions; the emulated joints are stiff
        w.numbers(&self.dq); // dtheta
        w.bytes(&[self.generator as u8, self.regulator as u8]);
        w.flags(self.errors);
        w.flags(self.last_errors);
        w.bytes(&[self.mode as u8]);
        w.numbers(&[self.success_rate]);
        debug_assert_eq!(w.at, STATE);
        out
    }
}

/// What a client answers each millisecond.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Command {
    /// The state it answers.
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
}

impl Command {
    /// From a datagram.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() != COMMAND {
            return Err(WireError::Length { found: bytes.len(), expected: COMMAND });
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
            finished: bytes[313] != 0,
            tau_j_d: std::array::from_fn(|i| number(314, i)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_fills_its_length_exactly_and_carries_what_it_was_given() {
        let q = [0.1, -0.2, 0.3, -2.0, 0.5, 1.6, 0.7];
        let state = State { message_id: 7, q, errors: 1 << 25, success_rate: 0.5, ..State::default() };
        let bytes = state.encode();
        assert_eq!(&bytes[..8], &7u64.to_le_bytes());
        // 8 + 96 poses + 26 inertias + 4 elbow + 21 torques, each of 8 bytes.
        let at = 8 * (1 + 96 + 26 + 4 + 21);
        assert_eq!(&bytes[at..at + 8], &0.1f64.to_le_bytes());
        assert_eq!(&bytes[STATE - 8..], &0.5f64.to_le_bytes());
        assert_eq!(bytes[STATE - 9], RobotMode::Idle as u8);
        assert_eq!(bytes[STATE - 9 - 2 * ERRORS + 25], 1);
    }

    #[test]
    fn a_command_is_read_where_the_layout_has_it() {
        let mut bytes = [0; COMMAND];
        bytes[..8].copy_from_slice(&9u64.to_le_bytes());
        bytes[8..16].copy_from_slice(&0.25f64.to_le_bytes());
        bytes[112..120].copy_from_slice(&0.5f64.to_le_bytes());
        bytes[313] = 1;
        bytes[362..370].copy_from_slice(&f64::NAN.to_le_bytes());
        let command = Command::decode(&bytes).unwrap();
        assert_eq!((command.message_id, command.q_c[0], command.dq_c[6]), (9, 0.25, 0.5));
        assert!(command.finished && command.tau_j_d[6].is_nan());
        assert_eq!(Command::decode(&bytes[1..]), Err(WireError::Length { found: 369, expected: 370 }));
    }

    #[test]
    fn requests_of_other_lengths_and_numbers_are_refused() {
        assert!(Header::decode(&[0; 11]).is_none());
        let message = Header::message(12, 3, &[1]);
        assert_eq!(Header::decode(&message), Some(Header { command: 12, id: 3, size: 13 }));
        assert_eq!(Request::from_number(12), Some(Request::AutomaticErrorRecovery));
        assert_eq!(Request::from_number(14), None);
        assert!(decode_connect(&[5, 0]).is_err());
        assert_eq!(decode_connect(&[5, 0, 1, 2]), Ok((5, 513)));
        let mut request = [0; 56];
        request[0] = 2;
        request[4] = 1;
        assert_eq!(decode_move(&request), Ok((Regulator::External, Generator::JointVelocity)));
        request[4] = 9;
        assert_eq!(decode_move(&request), Err(WireError::Unknown { what: "motion generator mode", found: 9 }));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..500)) {
            let _ = Command::decode(&bytes);
            let _ = Header::decode(&bytes);
            let _ = decode_connect(&bytes);
            let _ = decode_move(&bytes);
        }
    }
}
