//! Nothing recovers or moves without consent: the driver against servos in error, and the program's commands.

use std::io::Write;
use std::process::{Output, Stdio};

use visuomotor::action::ControlMode;
use visuomotor::driver::widowx::dynamixel::driver::{DynamixelArm, DynamixelOptions, FaultKind};
use visuomotor::driver::widowx::dynamixel::emulator::{BusEmulator, BusServer};
use visuomotor::driver::widowx::dynamixel::wire::registers;
use visuomotor::driver::{ArmDriver, DriverError};

use super::bench_station::*;
use crate::program::Project;

/// Hardware error bit of an overload.
const OVERLOAD: u8 = 32;

#[test]
fn an_arm_with_servos_in_error_can_be_connected_for_its_recovery_and_nothing_else() {
    let bus = bus();
    bus.with(|bus| bus.inject_fault(4, OVERLOAD, false));
    assert!(connect(&bus).is_err());
    let mut arm = DynamixelArm::connect_faulted(bus.link(), &robot(), DynamixelOptions::default()).unwrap();
    let unseen = DriverError::Fault(FaultKind::NotSurveyed.code(0, 0));
    assert_eq!(arm.activate(bus.now(), ControlMode::Position), Err(unseen));
    assert_eq!(bus.with(|bus| bus.servo(4).unwrap().get(&registers::HARDWARE_ERROR)), i32::from(OVERLOAD));
    arm.recover(bus.now()).unwrap();
    assert_eq!(bus.with(|bus| bus.servo(4).unwrap().get(&registers::HARDWARE_ERROR)), 0);
    arm.activate(bus.now(), ControlMode::Position).unwrap();
    assert_near(&arm.read(bus.now()).unwrap().joint_positions, &SLEEP);
}

/// `visuomotor recover` of the arm at `port`, with `typed` as input.
fn recover(project: &Project, port: &str, more: &[&str], typed: &str) -> Output {
    let mut child = project
        .command(&["recover", "--robot", "widowx", "--driver", "dynamixel", "--port", port])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that needs no input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Error bits of servo 4, and is it under torque?
fn elbow(bus: &BusEmulator) -> (i32, bool) {
    let servo = bus.servo(4).unwrap();
    (servo.get(&registers::HARDWARE_ERROR), servo.torque_on())
}

#[test]
fn the_program_says_what_recovering_does_and_does_it_only_when_told() {
    let project = Project::new();
    let mut bus = emulator();
    bus.inject_fault(4, OVERLOAD, false);
    for typed in ["n\n", "\n", ""] {
        let server = BusServer::start(bus, None).unwrap();
        let port = server.path().to_string();
        let output = recover(&project, &port, &[], typed);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        for word in ["about to recover", &port, "rebooted", "goes nowhere", "hardware stop", "nothing was done"] {
            assert!(said(&output).contains(word), "{word}: {output:?}");
        }
        bus = server.finish().unwrap().0;
        assert_eq!(elbow(&bus), (i32::from(OVERLOAD), false), "{typed:?}");
    }
    // On a machine busy with other tests replies are missed: then the command reports it, and is repeated.
    let server = BusServer::start(bus, None).unwrap();
    let port = server.path().to_string();
    let mut tries = (0..8).map(|_| recover(&project, &port, &[], "y\n"));
    let output = tries.find(|output| output.status.code() != Some(3)).expect("the arm never recovered");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(said(&output).contains("the arm holds: its state shows"), "{output:?}");
    let (mut bus, _) = server.finish().unwrap();
    assert_eq!(elbow(&bus), (0, true));
    // A persistent error: recovery is tried without asking, but announced, and never reported as holding.
    bus.inject_fault(2, 4, true);
    let server = BusServer::start(bus, None).unwrap();
    let named = (0..8).any(|_| {
        let output = recover(&project, server.path(), &["--yes"], "");
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(said(&output).contains("about to recover") && !said(&output).contains("the arm holds:"), "{output:?}");
        String::from_utf8_lossy(&output.stderr).contains("servo 2 (shoulder)")
    });
    assert!(named, "servo 2 was not named");
}

#[cfg(feature = "ros2")]
#[test]
fn a_real_arm_is_told_apart_from_an_emulated_one_and_moves_only_after_the_scene_is_set() {
    use std::io::{BufRead, BufReader};

    use crate::program::Simulated;

    let project = Project::new();
    project.edit("launch/widowx_kitchen.toml", |text| text.replace("trial_seconds = 60.0", "trial_seconds = 2.0"));
    // A DDS domain that no other test of this run uses: the images go over ROS 2.
    let domain = (140 + std::process::id() % 30).to_string();
    let command = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.env("ROS_DOMAIN_ID", &domain);
        command
    };
    let mut simulate = command(&["simulate", "--robot", "widowx", "--driver", "dynamixel", "--port", "arm"]);
    simulate.args(["--stage", "arm.stage"]);
    let _simulated = Simulated::start(simulate).expect("the program ended before it was ready");
    let evaluate = |port: &str, more: &[&str]| {
        let mut command = command(&["evaluate", "launch/widowx_kitchen.toml", "--out", "out", "--policy", "random"]);
        command
            .args(["--task", "cucumber_in_pot", "--trials", "1", "--driver", "dynamixel", "--port", port])
            .args(more);
        command
    };

    // A stage beside another arm than the one it emulates does not make that arm count as emulated.
    let other = BusServer::start(emulator(), None).unwrap();
    let output = evaluate(other.path(), &["--stage", "arm.stage"]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("it emulates dynamixel at"), "{error}");
    assert!(error.contains(other.path()) && error.contains("--stage person"), "{error}");
    drop(other);
    // If nothing shows that the arm is emulated, `--yes` is refused and a closed terminal gives no consent.
    let output = evaluate("arm", &["--stage", "person", "--yes"]).stdin(Stdio::null()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("--yes: nothing shows"), "{output:?}");
    let output = evaluate("arm", &["--stage", "person"]).stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    assert!(
        said(&output).contains("the arm will move to its start") && !said(&output).contains("allowed:"),
        "{output:?}"
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("the terminal is closed"), "{output:?}");

    // Enter allows the announced motion, and the recording names who consented. Two processes share two cores with
    // other tests: a stall ends a trial, or the motion to its start, and it is run again.
    let kept = || std::fs::read_dir(project.path("out/episodes")).into_iter().flatten().flatten().next().is_some();
    for _ in 0..7 {
        let mut child = evaluate("arm", &["--stage", "person"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut typed = child.stdin.take().unwrap();
        let (mut allowed, mut asked) = (false, false);
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            assert!(!line.contains("(allowed: terminal)") || asked, "no consent was requested: {line}");
            allowed |= line.contains("no joint faster than 0.25 rad/s") && line.contains("(allowed: terminal)");
            if line.starts_with("Enter: the scene is set and clear of the arm") {
                asked = true;
                typed.write_all(b"\n").unwrap();
            }
            // A stall during the motion to the start is an arm fault, and needs consent.
            if line.starts_with("y and Enter: recover") {
                typed.write_all(b"y\n").unwrap();
            }
            if line.starts_with("time is up") {
                // A trial that has ended already is not waited for.
                let _ = typed.write_all(b"f\n");
            }
        }
        drop(typed);
        child.wait().unwrap();
        if allowed && kept() {
            break;
        }
    }
    let episode = std::fs::read_dir(project.path("out/episodes")).unwrap().flatten().next().expect("no trial was run");
    let episode = visuomotor::recording::read_episode(&episode.path()).unwrap();
    let consent = episode.attachments.iter().find(|file| file.name == "consent.json").expect("no consent.json");
    let consent = String::from_utf8_lossy(&consent.data).into_owned();
    assert!(consent.contains("\"terminal\"") && consent.contains("0.25 rad/s"), "{consent}");
    let granted = episode.attachments.iter().find(|file| file.name == "realtime.json").expect("no realtime.json");
    assert!(String::from_utf8_lossy(&granted.data).contains("SCHED_FIFO priority 60"));
}
