//! Requests of a client over TCP, and the replies.

use super::{Generator, Regulator, Version, WireError};

/// Requests over TCP. Their numbers differ between versions: [`Request::from_number`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Version and UDP port of the client.
    Connect,
    /// Starts a motion.
    Move,
    /// Ends the motion.
    StopMove,
    /// Reads a virtual wall (version 5).
    GetCartesianLimit,
    /// Contact and collision thresholds.
    SetCollisionBehavior,
    /// Stiffness of the internal joint controller.
    SetJointImpedance,
    /// Stiffness of the internal Cartesian controller.
    SetCartesianImpedance,
    /// Axes free in hand guiding.
    SetGuidingMode,
    /// Stiffness frame.
    SetEEToK,
    /// End-effector frame.
    SetNEToEE,
    /// Mass carried.
    SetLoad,
    /// Low-pass filters in the controller (version 5).
    SetFilters,
    /// Clears a reflex.
    AutomaticErrorRecovery,
    /// Downloads the controller's model library (version 5).
    LoadModelLibrary,
    /// Downloads the robot's description, a URDF (version 10).
    GetRobotModel,
}

/// Number of [`Request::Move`] in every version.
pub const MOVE: u32 = 1;

/// Version 5, in the order of their numbers.
const V5: [Request; 14] = {
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
};

/// Version 10, in the order of their numbers.
const V10: [Request; 12] = {
    use Request::*;
    [
        Connect,
        Move,
        StopMove,
        SetCollisionBehavior,
        SetJointImpedance,
        SetCartesianImpedance,
        SetGuidingMode,
        SetEEToK,
        SetNEToEE,
        SetLoad,
        AutomaticErrorRecovery,
        GetRobotModel,
    ]
};

impl Request {
    /// From its number; `None` for one that the version does not have.
    pub fn from_number(version: Version, number: u32) -> Option<Self> {
        let requests: &[Request] = match version {
            Version::V5 => &V5,
            Version::V10 => &V10,
        };
        requests.get(usize::try_from(number).ok()?).copied()
    }
}

/// Replies to [`Request::Move`]: the first is [`MoveStatus::MotionStarted`], the last reports how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveStatus {
    /// Ended as requested.
    Success,
    /// Runs.
    MotionStarted,
    /// Ended by a stop.
    Preempted,
    /// Not possible in the present mode.
    CommandNotPossible,
    /// Deviations out of range.
    InvalidArgument,
    /// Ended by a reflex.
    ReflexAborted,
    /// Ended by the user stop.
    EmergencyAborted,
    /// A command was not valid.
    InputErrorAborted,
}

impl MoveStatus {
    /// Its number. Version 10 has two statuses of safety functions before the refusals.
    pub fn number(self, version: Version) -> u8 {
        let [v5, v10] = match self {
            MoveStatus::Success => [0, 0],
            MoveStatus::MotionStarted => [1, 1],
            MoveStatus::Preempted => [2, 2],
            MoveStatus::CommandNotPossible => [3, 5],
            MoveStatus::InvalidArgument => [5, 7],
            MoveStatus::ReflexAborted => [6, 8],
            MoveStatus::EmergencyAborted => [7, 9],
            MoveStatus::InputErrorAborted => [8, 10],
        };
        match version {
            Version::V5 => v5,
            Version::V10 => v10,
        }
    }
}

/// Replies to every other request share the first two numbers, in both versions.
pub const SUCCESS: u8 = 0;
/// Not possible in the present mode; for [`Request::Connect`]: another version.
pub const NOT_POSSIBLE: u8 = 1;
/// An argument is out of range (setters).
pub const INVALID_ARGUMENT: u8 = 2;

/// Payload of [`Request::Connect`]: version and UDP port.
pub fn decode_connect(payload: &[u8]) -> Result<(u16, u16), WireError> {
    match payload {
        [a, b, c, d] => Ok((u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]))),
        _ => Err(WireError::Length { found: payload.len(), expected: 4 }),
    }
}

/// Where version 10 requests the asynchronous motion generator.
const ASYNCHRONOUS: usize = 56;

/// Payload of [`Request::Move`]: the controller and the motion generator. The deviations that follow are ignored, and so are the
/// speeds of version 10's asynchronous motion generator, which is refused.
pub fn decode_move(version: Version, payload: &[u8]) -> Result<(Regulator, Generator), WireError> {
    let expected = version.move_length();
    if payload.len() != expected {
        return Err(WireError::Length { found: payload.len(), expected });
    }
    let word = |at: usize| u32::from_le_bytes([payload[at], payload[at + 1], payload[at + 2], payload[at + 3]]);
    let regulator = match word(0) {
        0 => Regulator::JointImpedance,
        1 => Regulator::CartesianImpedance,
        2 => Regulator::External,
        found => return Err(WireError::Unknown { what: "controller mode", found }),
    };
    // Requests count from 0 where states count from 1: no request has an idle generator.
    let generator = match (word(4), version) {
        (0, _) => Generator::JointPosition,
        (1, _) => Generator::JointVelocity,
        (2, _) => Generator::CartesianPosition,
        (3, _) => Generator::CartesianVelocity,
        (4, Version::V10) => Generator::None,
        (found, _) => return Err(WireError::Unknown { what: "motion generator mode", found }),
    };
    match payload.get(ASYNCHRONOUS) {
        None | Some(0) => Ok((regulator, generator)),
        Some(found) => Err(WireError::Unknown { what: "asynchronous motion generator", found: u32::from(*found) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_other_lengths_and_numbers_are_refused() {
        assert_eq!(Request::from_number(Version::V5, 12), Some(Request::AutomaticErrorRecovery));
        assert_eq!(Request::from_number(Version::V5, 14), None);
        assert!(decode_connect(&[5, 0]).is_err());
        assert_eq!(decode_connect(&[5, 0, 1, 2]), Ok((5, 513)));
        let mut request = [0; 56];
        request[0] = 2;
        request[4] = 1;
        assert_eq!(decode_move(Version::V5, &request), Ok((Regulator::External, Generator::JointVelocity)));
        for number in [4, 9] {
            request[4] = number;
            let found = u32::from(number);
            let unknown = WireError::Unknown { what: "motion generator mode", found };
            assert_eq!(decode_move(Version::V5, &request), Err(unknown));
        }
    }

    #[test]
    fn version_10_numbers_requests_anew() {
        let number = |number| Request::from_number(Version::V10, number);
        assert_eq!(number(0), Some(Request::Connect));
        assert_eq!(number(3), Some(Request::SetCollisionBehavior));
        assert_eq!(number(9), Some(Request::SetLoad));
        assert_eq!(number(10), Some(Request::AutomaticErrorRecovery));
        assert_eq!(number(11), Some(Request::GetRobotModel));
        assert_eq!(number(12), None);
        for version in Version::ALL {
            assert_eq!(Request::from_number(version, MOVE), Some(Request::Move));
        }
    }

    #[test]
    fn version_10_asks_for_torques_alone_and_for_no_asynchronous_generator() {
        let mut request = [0; 113];
        (request[0], request[4]) = (2, 4);
        assert_eq!(decode_move(Version::V10, &request), Ok((Regulator::External, Generator::None)));
        assert_eq!(decode_move(Version::V5, &request), Err(WireError::Length { found: 113, expected: 56 }));
        assert_eq!(decode_move(Version::V10, &request[..56]), Err(WireError::Length { found: 56, expected: 113 }));
        request[56] = 1;
        let unknown = WireError::Unknown { what: "asynchronous motion generator", found: 1 };
        assert_eq!(decode_move(Version::V10, &request), Err(unknown));
    }

    #[test]
    fn each_version_has_its_own_numbers_for_how_a_motion_ends() {
        let ends = [
            (MoveStatus::Success, 0, 0),
            (MoveStatus::MotionStarted, 1, 1),
            (MoveStatus::Preempted, 2, 2),
            (MoveStatus::CommandNotPossible, 3, 5),
            (MoveStatus::InvalidArgument, 5, 7),
            (MoveStatus::ReflexAborted, 6, 8),
            (MoveStatus::EmergencyAborted, 7, 9),
            (MoveStatus::InputErrorAborted, 8, 10),
        ];
        for (status, v5, v10) in ends {
            assert_eq!((status.number(Version::V5), status.number(Version::V10)), (v5, v10), "{status:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_move_of_any_bytes_is_read_or_refused(bytes in proptest::collection::vec(0u8..6, 113)) {
            for version in Version::ALL {
                let bytes = &bytes[..version.move_length()];
                let read = decode_move(version, bytes);
                let highest = if version == Version::V10 { 4 } else { 3 };
                let known = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) <= 2
                    && u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) <= highest
                    && bytes.get(56).is_none_or(|flag| *flag == 0);
                proptest::prop_assert_eq!(read.is_ok(), known);
            }
        }
    }
}
