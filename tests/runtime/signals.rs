//! Ctrl-C, in a process of its own: the handler is process-wide.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use visuomotor::runtime::{HoldGuard, StopFlag, fake::FakeArm};
use visuomotor::time::Timestamp;

const ROLE: &str = "VISUOMOTOR_TEST_CHILD";

fn raise(signal: libc::c_int) {
    // SAFETY: raise takes no pointers; the handler under test is installed or the process is meant to end.
    unsafe { libc::raise(signal) };
}

/// Not a test of its own: what the child process of the tests below does.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let flag = StopFlag::on_signals().unwrap();
    let other = StopFlag::new();
    assert!(!flag.is_raised());
    let (mut arm, switches) = FakeArm::new(6);
    let mut guard = HoldGuard::new(&mut arm, Timestamp::ZERO);
    let still = guard.read(Timestamp::ZERO).unwrap();
    let command = visuomotor::action::JointCommand::position(still.joint_positions, still.gripper);
    guard.write(Timestamp::ZERO, &command).unwrap();
    raise(if role == "terminated" { libc::SIGTERM } else { libc::SIGINT });
    assert!(flag.is_raised() && !other.is_raised(), "only the flag that asked for it listens to signals");
    assert_eq!(flag.reason().as_deref(), Some(if role == "terminated" { "SIGTERM" } else { "Ctrl-C" }));
    // A second one while the arm still moves does not end the process before the arm holds.
    if role == "held" {
        guard.hold(Timestamp::ZERO).unwrap();
        assert!(switches.holds());
    }
    raise(libc::SIGINT);
    assert_ne!(role, "held", "the second signal should have ended the process");
    if role == "impatient" {
        raise(libc::SIGINT);
        unreachable!("the third signal ends the process in any case");
    }
    std::process::exit(42);
}

fn exit_code(role: &str) -> Option<i32> {
    let exe = std::env::current_exe().unwrap();
    let output = Command::new(exe).args(["--exact", "signals::child", "--nocapture"]).env(ROLE, role).output().unwrap();
    assert_eq!(output.status.signal(), None, "{}", String::from_utf8_lossy(&output.stderr));
    output.status.code()
}

#[test]
fn the_first_signal_raises_the_flag_and_the_second_waits_for_the_arm_to_hold() {
    assert_eq!(exit_code("moving"), Some(42));
    assert_eq!(exit_code("terminated"), Some(42));
}

#[test]
fn the_second_signal_ends_the_process_once_the_arm_holds() {
    assert_eq!(exit_code("held"), Some(130));
}

#[test]
fn the_third_signal_ends_the_process_in_any_case() {
    assert_eq!(exit_code("impatient"), Some(130));
}
