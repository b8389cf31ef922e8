//! Any bytes on the emulated bus: nothing panics, goals stay within the servos' limits, locked registers stay locked.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use visuomotor::config::Robot;
use visuomotor::driver::PointPlant;
use visuomotor::driver::widowx::dynamixel::emulator::BusEmulator;
use visuomotor::driver::widowx::limits::SERVOS;
use visuomotor::driver::widowx::dynamixel::wire::{Instruction, Packet, registers};
use visuomotor::observation::JointVector;
use visuomotor::time::Timestamp;

fn robot() -> &'static Robot {
    static ROBOT: OnceLock<Robot> = OnceLock::new();
    ROBOT.get_or_init(|| Robot::load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")), "widowx").expect("it is there"))
}

fuzz_target!(|input: (Vec<(u8, u16, Vec<u8>)>, Vec<u8>)| {
    let (writes, noise) = input;
    let plant = PointPlant::at(JointVector::from_slice(&[0.0, -1.8, 1.55, 0.0, 0.8, 0.0]));
    let mut bus = BusEmulator::new(robot(), Box::new(plant)).expect("the shipped description fits");
    let (mut packet, mut out, mut at) = (Packet::default(), Vec::new(), 0u64);
    let mut say = |bus: &mut BusEmulator, bytes: &[u8]| {
        at += 5_000_000;
        bus.receive(Timestamp::from_nanos(at), bytes);
        bus.take_due(Timestamp::from_nanos(u64::MAX), &mut out);
        out.clear();
    };
    for (id, address, data) in writes.iter().take(64) {
        let write = Instruction::Write { id: id % 16, address: address % 160, data };
        if let Ok(bytes) = write.encode(&mut packet) {
            say(&mut bus, bytes);
        }
    }
    say(&mut bus, &noise);
    for servo in &SERVOS {
        // Its id may have been changed.
        let Some(found) = bus.servo(servo.id) else { continue };
        assert_eq!(found.get(&registers::MODEL_NUMBER), i32::from(found.servo().model.number()));
    }
});
