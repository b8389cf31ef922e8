//! A twist from another node drives.

use std::time::Instant;

use visuomotor::config::TeleopSetting;
use visuomotor::teleop::{Motion, Reading, RosTwist, TeleopDevice};
use visuomotor::time::Timestamp;
use visuomotor::transport::ros2::messages::geometry::{Twist, TwistStamped, Vector3};
use visuomotor::transport::ros2::messages::std::Float64;
use visuomotor::transport::ros2::{Qos, RosSettings};

use super::{LONG, domain, node};

#[test]
fn a_twist_is_a_deflection_and_its_silence_is_kept_old() {
    let domain = domain();
    let sender = node("joystick", domain);
    let twist = sender.publisher::<TwistStamped>("/teleop/twist", Qos::Command).unwrap();
    let gripper = sender.publisher::<Float64>("/teleop/twist/gripper", Qos::State).unwrap();
    let setting = TeleopSetting::default();
    let mut device = RosTwist::open(RosSettings::loopback("visuomotor", domain), &setting).unwrap();
    twist.wait_for_subscriber(LONG).unwrap();
    gripper.wait_for_subscriber(LONG).unwrap();
    let (mut n, began) = (0, Instant::now());
    let mut hear = |linear: Vector3, closed: f64, wanted: &dyn Fn(&Reading) -> bool| {
        while began.elapsed() < LONG {
            n += 1;
            let angular = Vector3 { x: 0.0, y: 0.0, z: -9.0 };
            twist.publish(TwistStamped { twist: Twist { linear, angular }, ..Default::default() }).unwrap();
            gripper.publish(Float64 { data: closed }).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(5));
            let now = Timestamp::from_nanos(n);
            if let Some(reading) = device.newest(now).unwrap().filter(wanted) {
                return reading;
            }
        }
        panic!("no twist was received");
    };
    // Half the full speed forward; a turn that is too fast is clipped.
    let reading = hear(Vector3 { x: 0.5 * setting.speed, y: 0.0, z: 0.0 }, 0.25, &|reading| reading.gripper.is_some());
    assert_eq!(reading.motion, Motion::Deflection { along: [0.5, 0.0, 0.0], about: [0.0, 0.0, -1.0] });
    assert!(reading.engaged && reading.gripper == Some(0.25));
    // A non-finite number is passed on: the guard refuses it.
    let garbage = hear(
        Vector3 { x: f64::NAN, y: 0.0, z: 0.0 },
        0.25,
        &|reading| matches!(reading.motion, Motion::Deflection { along: [x, ..], .. } if x.is_nan()),
    );
    assert!(garbage.engaged);
    // Nothing new: the reading keeps its time, and ages.
    let mut last = None;
    for second in 50.. {
        assert!(began.elapsed() < LONG, "the last twist never ages");
        let reading = device.newest(Timestamp::from_secs_f64(f64::from(second))).unwrap();
        // Messages that were on their way may still come.
        let again = last.replace(reading).flatten();
        if again.zip(reading).is_some_and(|(before, now): (Reading, Reading)| before.at == now.at) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
