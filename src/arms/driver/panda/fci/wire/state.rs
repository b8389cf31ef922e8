//! The controller's state, sent each millisecond.

use super::{ERRORS, Generator, Regulator, RobotMode, Version};
use crate::driver::panda::limits::JOINTS;

/// The controller's state, sent each millisecond. Fields of the datagram that are not here are zero.
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
    /// Motion generator.
    pub generator: Generator,
    /// Controller of the motors.
    pub regulator: Regulator,
    /// Active errors, by number.
    pub errors: u64,
    /// Errors that ended the last motion, by number.
    pub last_errors: u64,
    /// Robot mode.
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

/// Appends numbers, each in the version's width.
struct Writer {
    out: Vec<u8>,
    version: Version,
}

impl Writer {
    fn numbers(&mut self, values: &[f64]) {
        for value in values {
            match self.version {
                Version::V5 => self.out.extend_from_slice(&value.to_le_bytes()),
                Version::V10 => self.out.extend_from_slice(&(*value as f32).to_le_bytes()),
            }
        }
    }

    fn skip(&mut self, numbers: usize) {
        self.out.resize(self.out.len() + self.version.number_length() * numbers, 0);
    }

    fn flags(&mut self, bits: u64) {
        self.out.extend((0..ERRORS).map(|flag| ((bits >> flag) & 1) as u8));
    }
}

impl State {
    /// The datagram. Version 10 rounds every number to 4 bytes.
    pub fn encode(&self, version: Version) -> Vec<u8> {
        let mut w = Writer { out: Vec::with_capacity(version.state_length()), version };
        w.out.extend_from_slice(&self.message_id.to_le_bytes());
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
        if version == Version::V10 {
            w.skip(18 + 18); // accelerometers, top and bottom: six of each, three axes
        }
        w.out.extend_from_slice(&[self.generator as u8, self.regulator as u8]);
        w.flags(self.errors);
        w.flags(self.last_errors);
        w.out.push(self.mode as u8);
        w.numbers(&[self.success_rate]);
        debug_assert_eq!(w.out.len(), version.state_length());
        w.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const Q: [f64; JOINTS] = [0.1, -0.2, 0.3, -2.0, 0.5, 1.6, 0.7];

    #[test]
    fn a_state_fills_its_length_exactly_and_carries_what_it_was_given() {
        let state = State { message_id: 7, q: Q, errors: 1 << 25, success_rate: 0.5, ..State::default() };
        let bytes = state.encode(Version::V5);
        assert_eq!(bytes.len(), 2373);
        assert_eq!(&bytes[..8], &7u64.to_le_bytes());
        // 8 + 96 poses + 26 inertias + 4 elbow + 21 torques, each of 8 bytes.
        let at = 8 * (1 + 96 + 26 + 4 + 21);
        assert_eq!(&bytes[at..at + 8], &0.1f64.to_le_bytes());
        assert_eq!(&bytes[2373 - 8..], &0.5f64.to_le_bytes());
        assert_eq!(bytes[2373 - 9], RobotMode::Idle as u8);
        assert_eq!(bytes[2373 - 9 - 2 * ERRORS + 25], 1);
    }

    #[test]
    fn a_state_of_version_10_has_numbers_of_4_bytes_and_accelerometers() {
        let state = State {
            message_id: 7,
            tau_j_d: Q,
            q: Q,
            dq: Q.map(|v| 2.0 * v),
            errors: 1 << 25,
            last_errors: 1 << 3,
            generator: Generator::None,
            regulator: Regulator::External,
            mode: RobotMode::Move,
            success_rate: 0.5,
            ..State::default()
        };
        let bytes = state.encode(Version::V10);
        assert_eq!(bytes.len(), 1377);
        assert_eq!(&bytes[..8], &7u64.to_le_bytes());
        let number = |count: usize| f32::from_le_bytes(std::array::from_fn(|i| bytes[8 + 4 * count + i]));
        // 96 poses, 26 inertias, 4 elbow; then tau_J, tau_J_d, dtau_J, q, q_d, dq.
        let torques = 96 + 26 + 4;
        for i in 0..JOINTS {
            assert_eq!(number(torques + 7 + i), Q[i] as f32);
            assert_eq!(number(torques + 21 + i), Q[i] as f32);
            assert_eq!(number(torques + 35 + i), (2.0 * Q[i]) as f32);
        }
        // The modes stand behind 320 numbers: dtheta, then 36 of accelerometers.
        let modes = 8 + 4 * 320;
        assert_eq!(number(320 - 36 - 1), (2.0 * Q[6]) as f32);
        assert!(bytes[modes - 4 * 36..modes].iter().all(|byte| *byte == 0));
        assert_eq!(&bytes[modes..modes + 2], &[5, 2]);
        assert_eq!((bytes[modes + 2 + 25], bytes[modes + 2 + ERRORS + 3]), (1, 1));
        assert_eq!(bytes[modes + 2 + 2 * ERRORS], RobotMode::Move as u8);
        assert_eq!(&bytes[1373..], &0.5f32.to_le_bytes());
    }
}
