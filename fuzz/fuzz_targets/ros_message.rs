//! Any bytes as each message that an arm's driver or a camera accepts: nothing panics, the decoded value is no larger than the
//! bytes allow, and whatever passes the drivers' own checks is finite.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use rustdds::no_key::DeserializerAdapter;
use rustdds::{CDRDeserializerAdapter, RepresentationIdentifier};
use visuomotor::camera::ros2::rgb;
use visuomotor::camera::stamps::Stamps;
use visuomotor::config::ImageClock;
use visuomotor::driver::widowx::xs_sdk::wire::Order;
use visuomotor::driver::{panda, sawyer};
use visuomotor::time::Timestamp;
use visuomotor::transport::ros2::RosMessage;
use visuomotor::transport::ros2::messages::sensor::{Image, JointState};
use visuomotor::transport::ros2::messages::{franka, interbotix, intera, kinova};

fn read<T: RosMessage>(bytes: &[u8]) -> Option<T> {
    CDRDeserializerAdapter::<T>::from_bytes(bytes, RepresentationIdentifier::CDR_LE).ok()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 8 {
        0 | 1 => {
            let Some(state) = read::<JointState>(bytes) else { return };
            assert!(state.name.len() + state.position.len() <= bytes.len());
            let Ok(order) = Order::of(&state.name) else { return };
            if let Ok(arm) = order.read(&state, &[(-3.2, 3.2); 6]) {
                assert!(arm.positions.is_finite() && arm.velocities.is_finite() && arm.torques.is_finite());
            }
        }
        2 | 3 => {
            let Some(picture) = read::<Image>(bytes) else { return };
            let (stamp, now) = (picture.header.stamp, Timestamp::from_secs_f64(100.0));
            let nanos = i128::from(stamp.sec) * 1_000_000_000 + i128::from(stamp.nanosec);
            let mut stamps = Stamps::new(ImageClock::Auto, Duration::ZERO);
            if let Ok(captured) = stamps.captured(Some(nanos), now, 1_700_000_000_000_000_000) {
                assert!(captured <= now);
            }
            if let Ok(pixels) = rgb(&picture, None) {
                assert_eq!(pixels.len(), picture.width as usize * picture.height as usize * 3);
            }
        }
        4 => {
            if let Some(state) = read::<franka::FrankaRobotState>(bytes) {
                let _ = panda::ros2::wire::fault(&state).map(panda::ros2::wire::fault_text);
            }
        }
        5 => {
            if let Some(state) = read::<intera::RobotAssemblyState>(bytes) {
                let _ = sawyer::wire::assembly_fault(&state, true).map(sawyer::wire::fault_text);
            }
            if let Some(status) = read::<intera::IODeviceStatus>(bytes) {
                let _ = sawyer::wire::gripper_opening(&status);
            }
        }
        6 => drop(read::<kinova::FingerPosition>(bytes)),
        _ => drop(read::<interbotix::JointGroupCommand>(bytes)),
    }
});
