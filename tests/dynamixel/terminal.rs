//! Driver and emulated bus on a real pseudo-terminal, in real time.

use std::path::Path;
use std::time::Duration;

use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::driver::widowx::dynamixel::driver::{DynamixelArm, check_bus};
use visuomotor::driver::widowx::dynamixel::emulator::BusServer;
use visuomotor::driver::{ArmDriver, DriverError, Grade};
use visuomotor::time::{Clock, SystemClock};
use visuomotor::transport::{BAUD, SerialLink};

use super::bench_station::*;

/// Calls at 50 Hz until it replies; a loaded machine may miss cycles.
fn patiently<T>(mut call: impl FnMut() -> Result<T, DriverError>) -> T {
    for _ in 0..500 {
        match call() {
            Ok(value) => return value,
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    panic!("no reply in ten seconds");
}

#[test]
fn it_connects_moves_loses_its_peer_and_finds_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let port = folder.path().join("ttyDXL");
    let server = BusServer::start(emulator(), Some(&port)).unwrap();
    let name = port.to_str().unwrap();
    let link = SerialLink::open(name, BAUD).unwrap();
    let mut arm = DynamixelArm::connect(link, &robot(), Default::default()).unwrap();
    let clock = SystemClock::new();
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    let start = patiently(|| arm.read(clock.now())).joint_positions;
    assert_near(&start, &SLEEP);
    let mut goal = start;
    for _ in 0..25 {
        std::thread::sleep(TICK);
        goal[0] += 0.01;
        let now = clock.now();
        let _ = arm.read(now);
        let _ = arm.write(now, &JointCommand::position(goal, 1.0));
    }
    let _ = arm.hold(clock.now());
    // A stalled machine lets the watchdogs expire during the motion; the arm then stopped earlier, which is right.
    let here = match arm.read(clock.now()) {
        Ok(sensed) => sensed.joint_positions[0],
        Err(_) => 0.1,
    };
    assert!((-0.01..=0.26).contains(&here), "{here}");
    // The peer dies, and another one takes the same name.
    drop(server);
    let lost = (0..4).map(|_| arm.read(clock.now())).find(|r| r == &Err(DriverError::Silent));
    assert!(lost.is_some());
    assert!(arm.recover(clock.now()).is_err());
    let _server = BusServer::start(emulator(), Some(&port)).unwrap();
    arm.recover(clock.now()).unwrap();
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    assert_near(&patiently(|| arm.read(clock.now())).joint_positions, &SLEEP);
}

#[test]
fn a_check_over_a_terminal_finds_every_servo() {
    let server = BusServer::start(emulator(), None).unwrap();
    let report = check_bus(SerialLink::open(server.path(), BAUD).unwrap(), &robot());
    assert!(Path::new(&report.link).is_absolute());
    let told = |what: &str| report.findings.iter().find(|f| f.what == what).unwrap_or_else(|| panic!("{what}"));
    assert_eq!(told("latency timer").found, "none (not an FTDI adapter)");
    for id in 1..=9 {
        assert!(report.findings.iter().any(|f| f.what.starts_with(&format!("servo {id} ("))), "servo {id}");
    }
    assert_eq!(told("servo 1 (waist) model").grade, Grade::Good);
    assert!(report.rate_hz.unwrap() > 1.0);
}
