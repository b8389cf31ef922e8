//! Every end of a program that can be caught holds the arm first. No guard runs here: the program does it itself.

use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::ptr::null_mut;

use super::*;

/// Output and reaction of a driving program that gets this signal.
fn holds(bench: &Bench, signal: libc::c_int, said: &str) {
    let mut driver = bench.drive(ControlMode::Velocity, "waived");
    let from = bench.at();
    driver.signal(signal);
    let reason = driver.expect("stopped: ");
    assert!(reason.contains(said), "{reason}");
    driver.expect("ended");
    assert_eq!(driver.ends().code(), Some(7), "the driving program chose its own exit code");
    let far = bench.comes_to_rest(from);
    assert!(far < FAR, "{said}: the joint moved on by {far} rad");
}

#[test]
fn signals_of_a_terminal_hold_the_arm_first() {
    let bench = Bench::new(Arm::WidowX);
    holds(&bench, libc::SIGHUP, "SIGHUP");
    holds(&bench, libc::SIGQUIT, "SIGQUIT");
    holds(&bench, libc::SIGTSTP, "Ctrl-Z");
}

#[test]
fn signals_of_other_programs_hold_the_arm_first() {
    let bench = Bench::new(Arm::WidowX);
    for (signal, said) in [(libc::SIGTERM, "SIGTERM"), (libc::SIGUSR1, "SIGUSR1"), (libc::SIGXCPU, "SIGXCPU")] {
        holds(&bench, signal, said);
    }
    holds(&bench, libc::SIGRTMIN() + 3, "real-time signal");
}

/// A terminal: the operator's end, and the one a program runs on.
fn terminal() -> (std::fs::File, OwnedFd) {
    let (mut ours, mut theirs) = (0, 0);
    // SAFETY: the two numbers outlive the call; names and settings are not requested; both descriptors are ours alone.
    unsafe {
        assert_eq!(libc::openpty(&mut ours, &mut theirs, null_mut(), null_mut(), null_mut()), 0);
        libc::fcntl(ours, libc::F_SETFD, libc::FD_CLOEXEC);
        (std::fs::File::from(OwnedFd::from_raw_fd(ours)), OwnedFd::from_raw_fd(theirs))
    }
}

#[cfg(feature = "mujoco")]
#[test]
fn an_evaluation_whose_terminal_is_closed_ends_in_order_and_panics_nowhere() {
    let project = crate::program::Project::new();
    let (mut ours, theirs) = terminal();
    let mut command =
        project.command(&["evaluate", "launch/widowx_kitchen.toml", "--policy", "expert", "--out", "out"]);
    command
        .args(["--task", "knife_in_pot", "--seed", "7"])
        .env("RUST_LOG", "trace")
        .stdin(theirs.try_clone().unwrap())
        .stdout(theirs.try_clone().unwrap())
        .stderr(theirs.try_clone().unwrap());
    let on = theirs.as_raw_fd();
    // SAFETY: setsid and ioctl are async-signal-safe and take no pointers here.
    unsafe {
        command.pre_exec(move || {
            libc::setsid();
            libc::ioctl(on, libc::TIOCSCTTY, 0);
            Ok(())
        });
    }
    let mut child = command.spawn().unwrap();
    drop((command, theirs));
    // The first trial is done; the second one runs.
    let mut said = Vec::new();
    let mut bytes = [0; 4096];
    while !said.windows(3).any(|three| three == b"[ 1") {
        let count = ours.read(&mut bytes).unwrap();
        assert!(count > 0, "it ended: {}", String::from_utf8_lossy(&said));
        said.extend(&bytes[..count]);
    }
    // From here on every write to the terminal fails, and there are many.
    drop(ours);
    let mut status = None;
    until("the evaluation ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(1), "stopped by the operator, with no other error");
    let journal = std::fs::read_dir(project.path("out")).unwrap().count();
    assert!(journal > 0, "finished trials are kept");
}
