//! The emulated FR3 driven by the manufacturer's own client: PyPI's pylibfranka, which is libfranka 0.21 itself.
//!
//! It is in franka-sim's environment (`franka_sim.rs`), and skipped where that is.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use visuomotor::driver::PointPlant;
use visuomotor::driver::panda::fci::emulator::{Emulator, EmulatorOptions};
use visuomotor::driver::panda::fci::wire::{Generator, PORT, Version};
use visuomotor::observation::JointVector;

use super::emulated::LONG;
use super::fr3::model;
use super::franka_sim::{alone, python};
use super::laws::HOME;

/// libfranka knows one port only: waits until no other test has it.
fn emulator() -> Emulator {
    let until = Instant::now() + LONG;
    loop {
        let options = EmulatorOptions {
            port: PORT,
            version: Version::V10,
            robot_model: Some(model()),
            patience: Duration::from_secs(1),
            ..EmulatorOptions::default()
        };
        match Emulator::start(Box::new(PointPlant::at(JointVector::from_slice(&HOME))), options) {
            Ok(emulator) => return emulator,
            Err(error) => assert!(Instant::now() < until, "127.0.0.1:{PORT}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn the_maker_s_client_moves_the_emulated_fr3_in_each_mode_meets_a_reflex_and_recovers() {
    let python = match python() {
        Ok(python) => python,
        Err(reason) => {
            eprintln!("LEFT OUT, no pylibfranka: {reason}");
            return;
        }
    };
    let _alone = alone();
    let emulator = emulator();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fci/drive_by_libfranka.py");
    let output = Command::new(python).arg(script).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = "connected Idle\nmoved Idle\nrefused True\nthen Reflex\nrecovered Idle\n";
    assert_eq!(printed, expected, "{}: {complained}", output.status);
    let taken = emulator.taken();
    for generator in [Generator::JointPosition, Generator::JointVelocity, Generator::None] {
        let count = taken.iter().filter(|taken| taken.generator == generator).count();
        assert!(count >= 400, "{count} commands of {generator:?}");
    }
}
