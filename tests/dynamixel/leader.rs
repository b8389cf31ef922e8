//! A leader arm on an emulated bus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use visuomotor::driver::widowx::dynamixel::wire::registers;
use visuomotor::teleop::{DeviceError, Leader, Motion, Reading, TeleopDevice};
use visuomotor::time::{Clock, SystemClock, Timestamp};

use super::bench_station::*;

fn open(
    bus: &visuomotor::driver::widowx::dynamixel::emulator::EmulatedBus,
    clutch: Arc<AtomicBool>,
) -> Result<Leader, DeviceError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    Leader::open(bus.link(), robot().gripper, clutch, clock)
}

/// Waits for a reading that matches; long, so that a busy machine fails nothing.
fn await_reading(leader: &mut Leader, wanted: impl Fn(&Reading) -> bool) -> Reading {
    for _ in 0..2000 {
        if let Some(reading) = leader.newest(Timestamp::ZERO).unwrap().filter(&wanted) {
            return reading;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no such reading came");
}

#[test]
fn a_leader_tells_its_joints_and_its_clutch_until_it_is_unplugged() {
    let bus = bus();
    let clutch = Arc::new(AtomicBool::new(true));
    let mut leader = open(&bus, clutch.clone()).unwrap();
    // Whatever the clutch's state was, a leader starts disengaged.
    let reading = await_reading(&mut leader, |_| true);
    let Motion::Leader(joints) = reading.motion else { panic!("{reading:?}") };
    assert_near(&joints, &SLEEP);
    assert!(!reading.engaged && reading.gripper.is_some_and(f64::is_finite));
    clutch.store(true, Ordering::Release);
    await_reading(&mut leader, |reading| reading.engaged);
    bus.plug(false);
    let gone = (0..2000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(5));
        leader.newest(Timestamp::ZERO).err()
    });
    assert!(matches!(gone, Some(DeviceError::Gone { device: "leader", .. })), "{gone:?}");
}

#[test]
fn a_leader_that_holds_or_lacks_a_servo_is_refused_with_its_ids() {
    let holding = bus();
    holding.with(|bus| bus.set(4, &registers::TORQUE_ENABLE, 1));
    let error = open(&holding, Default::default()).err().unwrap().to_string();
    assert!(error.contains("[4") && error.contains("torque on"), "{error}");
    let lacking = bus();
    lacking.with(|bus| bus.unplug_servo(7, true));
    let error = open(&lacking, Default::default()).err().unwrap().to_string();
    assert!(error.contains("no reply from the servos [7]"), "{error}");
}
