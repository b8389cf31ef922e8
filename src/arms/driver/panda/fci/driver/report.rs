//! Values exchanged between the FCI thread and the control thread: newest values, no queues, no locks.

use franka::{ERROR_NAMES, RobotMode, RobotState};

use crate::driver::panda::limits::{JOINTS, SUCCESS_DOUBTFUL, SUCCESS_UNFIT};
use crate::driver::{FaultCode, Grade, Setpoint};
use visuomotor_core::action::ControlMode;
use visuomotor_core::realtime::{Granted, Realtime, lock_present_memory, present_priority};
use visuomotor_core::time::Timestamp;

/// The newest setpoint of the control thread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberedSetpoint {
    /// Its number, from 1; 0 is none yet.
    pub count: u64,
    /// When it was given.
    pub at: Timestamp,
    /// What the arm shall do.
    pub setpoint: Setpoint,
}

impl NumberedSetpoint {
    /// Before the first setpoint.
    pub const NONE: NumberedSetpoint = NumberedSetpoint { count: 0, at: Timestamp::ZERO, setpoint: Setpoint::Hold };
}

/// Real-time scheduling of the FCI thread: attempted and reported, not required.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduling {
    /// Priority under `SCHED_FIFO`; none when the thread is scheduled like any other.
    pub priority: Option<i32>,
    /// What was requested, with the system's error where it refused.
    pub granted: Vec<Granted>,
}

impl Scheduling {
    /// Requests a priority for the calling thread and, where wanted, a lock of the memory in use.
    pub(super) fn request(priority: i32, lock_memory: bool) -> Self {
        // franka-rs has asked for the highest priority while connecting; 99 starves the kernel's own threads.
        let mut granted = Realtime { priority: Some(priority), ..Realtime::default() }.apply_to_thread();
        granted.extend(lock_memory.then(lock_present_memory));
        Self { priority: present_priority(), granted }
    }
}

/// What the FCI thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reads states; the robot holds by itself.
    Idle,
    /// Replies to each state with a command of this mode.
    Moving(ControlMode),
    /// A fault ended the motion; the robot holds by itself.
    Faulted,
    /// The connection is gone.
    Lost,
}

/// The newest state of robot and link.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// States received since connecting.
    pub count: u64,
    /// Time of receipt.
    pub received_at: Timestamp,
    /// The robot's own time \[ms\].
    pub robot_ms: u64,
    /// Measured joint positions \[rad\].
    pub q: [f64; JOINTS],
    /// Measured joint velocities \[rad/s\].
    pub dq: [f64; JOINTS],
    /// Measured joint torques \[Nm\].
    pub tau: [f64; JOINTS],
    /// Robot mode.
    pub mode: RobotMode,
    /// Active errors, by number in `franka::ERROR_NAMES`.
    pub errors: u64,
    /// Errors that ended the last motion.
    pub last_errors: u64,
    /// Share of the last 100 commands that came in time; 0 outside motions.
    pub success_rate: f64,
    /// States lost since connecting.
    pub lost: u64,
    /// What the thread is doing.
    pub phase: Phase,
    /// The fault that ended the last motion, or that keeps the arm from moving.
    pub fault: Option<FaultCode>,
    /// The arm is held because commands are too old or a hold was requested.
    pub held: bool,
}

impl Report {
    pub(super) fn at_start(state: &RobotState, received_at: Timestamp) -> Self {
        let mut report = Self {
            count: 0,
            received_at,
            robot_ms: 0,
            q: [0.0; JOINTS],
            dq: [0.0; JOINTS],
            tau: [0.0; JOINTS],
            mode: RobotMode::Other,
            errors: 0,
            last_errors: 0,
            success_rate: 0.0,
            lost: 0,
            phase: Phase::Idle,
            fault: None,
            held: false,
        };
        report.take(state, received_at);
        report
    }

    /// Takes over a state.
    pub(super) fn take(&mut self, state: &RobotState, received_at: Timestamp) {
        let ms = state.time.as_millis();
        if self.count > 0 {
            self.lost += ms.saturating_sub(self.robot_ms).saturating_sub(1);
        }
        self.count += 1;
        self.received_at = received_at;
        self.robot_ms = ms;
        self.q = state.q;
        self.dq = state.dq;
        self.tau = state.tau_J;
        self.mode = state.robot_mode;
        self.errors = bits(&state.current_errors.0);
        self.last_errors = bits(&state.last_motion_errors.0);
        self.success_rate = state.control_command_success_rate;
    }

    /// Quality of the link during a motion; the thresholds are those of libfranka's communication test.
    pub fn grade(&self) -> Grade {
        match self.phase {
            Phase::Lost => Grade::Bad,
            Phase::Moving(_) if !(self.success_rate >= SUCCESS_UNFIT) => Grade::Bad,
            Phase::Moving(_) if !(self.success_rate >= SUCCESS_DOUBTFUL) => Grade::Doubtful,
            _ => Grade::Good,
        }
    }
}

fn bits(flags: &[bool]) -> u64 {
    flags.iter().enumerate().fold(0, |bits, (i, set)| bits | (u64::from(*set) << i))
}

/// One cycle, for the recorder, benches and tests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cycle {
    /// Robot time of the state \[ms\].
    pub robot_ms: u64,
    /// Meaning of `sent`.
    pub mode: ControlMode,
    /// Command sent: rad, rad/s or Nm.
    pub sent: [f64; JOINTS],
    /// The robot's report of the previous command, same unit.
    pub reported: [f64; JOINTS],
    /// Measured joint positions \[rad\].
    pub q: [f64; JOINTS],
    /// The arm was held by the driver itself.
    pub held: bool,
    /// From the state being read to the command being written \[ns\].
    pub turnaround: u32,
    /// From the state before being read to this one \[ns\].
    pub interval: u32,
    /// The robot's success rate.
    pub success_rate: f64,
}

/// Fault codes beyond the robot's own errors, which are 1 to 41 in the order of `franka::ERROR_NAMES`.
pub const USER_STOPPED: FaultCode = FaultCode(100);
/// The arm is being guided by hand.
pub const GUIDED: FaultCode = FaultCode(101);
/// The joints are locked, or FCI is not active.
pub const LOCKED: FaultCode = FaultCode(102);
/// The robot would not start the motion.
pub const REFUSED: FaultCode = FaultCode(103);
/// The motion ended without a named error.
pub const ABORTED: FaultCode = FaultCode(104);
/// The robot is in a reflex without a named error.
pub const REFLEX: FaultCode = FaultCode(105);
/// The connection is gone.
pub const LOST: FaultCode = FaultCode(106);

/// The code of `communication_constraints_violation`: 20 commands in a row came too late.
pub const COMMUNICATION: FaultCode = FaultCode(26);

/// The code of the first of these errors.
pub fn code_of(errors: u64) -> Option<FaultCode> {
    (errors != 0).then(|| FaultCode(errors.trailing_zeros() + 1))
}

/// Why an arm in this state cannot move; `None` when it can.
pub fn obstacle(mode: RobotMode, errors: u64) -> Option<FaultCode> {
    match mode {
        RobotMode::Idle | RobotMode::Move => None,
        RobotMode::UserStopped => Some(USER_STOPPED),
        RobotMode::Guiding => Some(GUIDED),
        RobotMode::Reflex | RobotMode::AutomaticErrorRecovery => Some(code_of(errors).unwrap_or(REFLEX)),
        RobotMode::Other => Some(LOCKED),
    }
}

/// Text and code of each error.
pub fn names(errors: u64) -> String {
    let set: Vec<String> = ERROR_NAMES
        .iter()
        .enumerate()
        .filter(|(i, _)| errors >> i & 1 == 1)
        .map(|(_, name)| name.replace('_', " "))
        .collect();
    if set.is_empty() { "no error that has a name".into() } else { set.join(", ") }
}

/// A fault as text, with what to do.
pub fn text(fault: FaultCode) -> String {
    match fault {
        USER_STOPPED => "the user stop is pressed: release it, then recover".into(),
        GUIDED => "the arm is being guided by hand: release the guiding buttons, then recover".into(),
        LOCKED => "the joints are locked or FCI is off: open the brakes and activate FCI in Desk".into(),
        REFUSED => "the robot would not start the motion".into(),
        ABORTED => "the robot ended the motion without naming an error".into(),
        REFLEX => "the robot is in a reflex without naming an error: recover".into(),
        LOST => "the connection to the robot is gone: check cable and power, then recover".into(),
        COMMUNICATION => format!(
            "{}: 20 commands in a row came too late; run `visuomotor check`, keep cameras off this network card, then \
             recover",
            names(1 << 25)
        ),
        FaultCode(code @ 1..=41) => format!("{}: clear its cause, then recover", names(1 << (code - 1))),
        FaultCode(code) => format!("code {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_codes_and_words() {
        assert_eq!(code_of(0), None);
        assert_eq!(code_of(1 << 25 | 1 << 34), Some(COMMUNICATION));
        assert_eq!(ERROR_NAMES[25], "communication_constraints_violation");
        assert!(text(COMMUNICATION).starts_with("communication constraints violation"));
        assert_eq!(names(1 << 34 | 1), "joint position limits violation, tau J range violation");
        assert!(text(FaultCode(35)).contains("tau J range violation"));
    }

    #[test]
    fn only_an_idle_or_moving_robot_can_move() {
        assert_eq!(obstacle(RobotMode::Idle, 0), None);
        assert_eq!(obstacle(RobotMode::UserStopped, 0), Some(USER_STOPPED));
        assert_eq!(obstacle(RobotMode::Reflex, 1 << 6), Some(FaultCode(7)));
        assert_eq!(obstacle(RobotMode::Reflex, 0), Some(REFLEX));
        assert_eq!(obstacle(RobotMode::Other, 0), Some(LOCKED));
    }
}
