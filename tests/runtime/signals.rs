//! Signals, in a separate process: handlers are process-wide.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

use visuomotor::runtime::{HoldGuard, StopFlag, fake::FakeArm};
use visuomotor::time::Timestamp;

const ROLE: &str = "VISUOMOTOR_TEST_CHILD";

fn raise(signal: libc::c_int) {
    // SAFETY: raise takes no pointers; the handler under test is installed or the process is meant to end.
    unsafe { libc::raise(signal) };
}

/// Not a test of its own: the body of the child process of the tests below.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let flag = StopFlag::on_signals().unwrap();
    let other = StopFlag::new();
    assert!(!flag.is_raised());
    let (mut arm, switches) = FakeArm::new(6);
    let mut guard = HoldGuard::new(&mut arm, Timestamp::ZERO);
    if role == "suspended" {
        // Nothing moves: suspended like any program, and unchanged afterwards.
        raise(libc::SIGTSTP);
        assert!(!flag.is_raised());
        raise(libc::SIGTSTP);
        std::process::exit(if flag.is_raised() { 1 } else { 42 });
    }
    let still = guard.read(Timestamp::ZERO).unwrap();
    let command = visuomotor::action::JointCommand::position(still.joint_positions, still.gripper);
    guard.write(Timestamp::ZERO, &command).unwrap();
    if let Ok(signal) = role.parse::<libc::c_int>() {
        // Closing a terminal sends several; none of them is an impatient operator.
        for _ in 0..4 {
            raise(signal);
        }
        println!("reason {}", flag.reason().unwrap());
        assert!(flag.is_raised() && !switches.holds());
        std::process::exit(42);
    }
    if role == "full" {
        too_large_a_file();
        assert!(!flag.is_raised());
        std::process::exit(42);
    }
    raise(if role == "terminated" { libc::SIGTERM } else { libc::SIGINT });
    assert!(flag.is_raised() && !other.is_raised(), "only the flag that registered listens to signals");
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

/// Writes more than a file may have.
fn too_large_a_file() {
    use std::io::Write;
    let limit = libc::rlimit { rlim_cur: 4096, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the struct outlives the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) }, 0);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[0; 4096]).unwrap();
    assert_eq!(file.write_all(&[0; 4096]).unwrap_err().raw_os_error(), Some(libc::EFBIG));
}

fn output(role: &str) -> std::process::Output {
    let exe = std::env::current_exe().unwrap();
    Command::new(exe).args(["--exact", "signals::child", "--nocapture"]).env(ROLE, role).output().unwrap()
}

#[test]
fn every_signal_that_would_end_the_program_raises_the_flag_by_name_however_often_it_comes() {
    let cases = [
        (libc::SIGHUP, "SIGHUP: the terminal"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGVTALRM, "SIGVTALRM"),
        (libc::SIGPROF, "SIGPROF"),
        (libc::SIGXCPU, "SIGXCPU: the limit"),
        (libc::SIGIO, "SIGIO"),
        (libc::SIGPWR, "SIGPWR: the power"),
        (libc::SIGSTKFLT, "SIGSTKFLT"),
        (libc::SIGRTMIN(), "a real-time signal"),
        (libc::SIGRTMAX(), "a real-time signal"),
        (libc::SIGTSTP, "Ctrl-Z (SIGTSTP) while the arm moved"),
    ];
    for (signal, reason) in cases {
        let output = output(&signal.to_string());
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(42), "{reason}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains(&format!("reason {reason}")), "{said}");
    }
}

#[test]
fn quit_ends_the_program_only_after_the_third_time_while_an_arm_moves() {
    assert_eq!(exit_code(&libc::SIGQUIT.to_string()), Some(128 + libc::SIGQUIT));
}

#[test]
fn a_file_that_may_not_grow_is_an_error_of_the_writer_and_not_the_end() {
    assert_eq!(exit_code("full"), Some(42));
}

#[test]
fn ctrl_z_suspends_as_usual_while_no_arm_moves() {
    let exe = std::env::current_exe().unwrap();
    let mut child = Command::new(exe)
        .args(["--exact", "signals::child", "--nocapture"])
        .env(ROLE, "suspended")
        // A group whose parent is in another one of the same session: others are not suspended by a terminal's signals.
        .process_group(0)
        .spawn()
        .unwrap();
    let process = child.id() as libc::pid_t;
    for _ in 0..2 {
        let mut status = 0;
        // SAFETY: the status outlives the call; the process is this test's child.
        assert_eq!(unsafe { libc::waitpid(process, &mut status, libc::WUNTRACED) }, process);
        assert!(libc::WIFSTOPPED(status), "the process should have been suspended, status {status:#x}");
        // SAFETY: kill takes no pointers.
        unsafe { libc::kill(process, libc::SIGCONT) };
    }
    assert_eq!(child.wait().unwrap().code(), Some(42));
}

fn exit_code(role: &str) -> Option<i32> {
    let output = output(role);
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
