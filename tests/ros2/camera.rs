//! A camera behind a topic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use visuomotor::camera::ros2::{PictureError, RosCamera, RosCameraOptions, stamp};
use visuomotor::camera::stamps::StampError;
use visuomotor::camera::{Camera, CameraError};
use visuomotor::time::{Clock, SystemClock, Timestamp};
use visuomotor::transport::ros2::Qos;
use visuomotor::transport::ros2::messages::sensor::Image;

use super::{LONG, domain, node};

#[test]
fn the_newest_picture_comes_with_its_time_and_bad_ones_are_counted() {
    let domain = domain();
    let (sender, receiver) = (node("realsense", domain), node("visuomotor", domain));
    let clock = Arc::new(SystemClock::new());
    let topic = "/camera/camera/color/image_raw";
    let publisher = sender.publisher::<Image>(topic, Qos::Sensor).unwrap();
    let options = RosCameraOptions { size: Some((640, 480)), latency: Duration::ZERO, ..Default::default() };
    let mut camera = RosCamera::open(&receiver, "front", topic, options, clock.clone()).unwrap();
    let error = camera.newest(clock.now()).unwrap_err();
    assert!(matches!(error, CameraError::Silent { .. }), "{error}");
    publisher.wait_for_subscriber(LONG).unwrap();
    let good = Image {
        height: 480,
        width: 640,
        encoding: "bgr8".into(),
        step: 1920,
        data: [10, 20, 30].repeat(640 * 480),
        ..Image::default()
    };
    let send = |picture: &Image, done: &mut dyn FnMut() -> bool| {
        let deadline = Instant::now() + LONG;
        while !done() {
            assert!(Instant::now() < deadline, "not within {LONG:?}");
            publisher.publish(picture.clone()).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    for (bad, why) in [
        (Image { encoding: "16UC1".into(), ..good.clone() }, PictureError::Encoding("16UC1".into())),
        (Image { step: 640, ..good.clone() }, PictureError::Step { step: 640, expected: 1920 }),
        (
            Image { data: vec![0; 1000], ..good.clone() },
            PictureError::Truncated { bytes: 1000, expected: 640 * 480 * 3 },
        ),
        (Image { width: 320, ..good.clone() }, PictureError::Size { width: 320, height: 480, expected: (640, 480) }),
    ] {
        send(&bad, &mut || camera.refused().1.as_ref() == Some(&why));
        let text = camera.newest(clock.now()).unwrap_err().to_string();
        assert!(text.contains("front") && text.contains(&why.to_string()), "{text}");
    }
    let before = clock.now();
    send(&good, &mut || camera.newest(clock.now()).is_ok());
    let first = camera.newest(clock.now()).unwrap();
    assert_eq!((first.width, first.height, &*first.camera), (640, 480, "front"));
    assert_eq!(first.pixels[..3], [30, 20, 10]);
    assert!(first.captured_at >= before && first.captured_at <= clock.now());
    send(&good, &mut || camera.newest(clock.now()).unwrap().sequence > first.sequence);
}

#[test]
fn an_image_sent_again_is_a_fault_a_delay_is_age_and_an_opened_camera_hears_again() {
    let domain = domain();
    let (sender, receiver) = (node("realsense", domain), node("visuomotor", domain));
    let clock = Arc::new(SystemClock::new());
    let topic = "/camera/camera/color/image_raw";
    let publisher = sender.publisher::<Image>(topic, Qos::Sensor).unwrap();
    let options = RosCameraOptions { size: Some((64, 48)), ..Default::default() };
    let mut camera = RosCamera::open(&receiver, "front", topic, options, clock.clone()).unwrap();
    publisher.wait_for_subscriber(LONG).unwrap();
    let plain = Image {
        height: 48,
        width: 64,
        encoding: "rgb8".into(),
        step: 192,
        data: vec![77; 64 * 48 * 3],
        ..Image::default()
    };
    // Stamped like a driver on this computer; everything is 400 ms late.
    let late = Duration::from_millis(400);
    // Nothing is older than our clock.
    while clock.now() < Timestamp::ZERO + late {
        std::thread::sleep(Duration::from_millis(1));
    }
    let send = |make: &dyn Fn() -> Image, done: &mut dyn FnMut() -> bool| {
        let deadline = Instant::now() + LONG;
        while !done() {
            assert!(Instant::now() < deadline, "not within {LONG:?}");
            publisher.publish(make()).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let delayed = || {
        let mut image = plain.clone();
        image.header.stamp = stamp(clock.now(), clock.now() + late);
        image
    };
    send(&delayed, &mut || camera.newest(clock.now()).is_ok());
    let first = camera.newest(clock.now()).unwrap();
    assert!(clock.now().since(first.captured_at) >= late, "a constant delay is age");
    send(&delayed, &mut || camera.newest(clock.now()).unwrap().sequence > first.sequence + 3);

    let old = delayed();
    send(&|| old.clone(), &mut || camera.newest(clock.now()).is_err());
    let error = camera.newest(clock.now()).unwrap_err();
    assert!(matches!(error, CameraError::Refused { count: 3.., .. }), "{error}");
    let (_, why) = camera.refused();
    assert!(matches!(why, Some(PictureError::Stamp(StampError::NotNew { .. }))), "{why:?}");

    // Opened again, as another participant: an old image stays old, a new one is received.
    camera.reopen().unwrap();
    assert!(matches!(camera.newest(clock.now()), Err(CameraError::Silent { .. })));
    send(&|| old.clone(), &mut || camera.refused().0 >= 3);
    assert!(camera.newest(clock.now()).is_err());
    send(&delayed, &mut || camera.newest(clock.now()).is_ok());
}

#[test]
fn it_conforms() {
    let domain = domain();
    let (sender, receiver) = (node("realsense", domain), node("visuomotor", domain));
    let clock = Arc::new(SystemClock::new());
    let publisher = sender.publisher::<Image>("/image_raw", Qos::Sensor).unwrap();
    let options = RosCameraOptions { size: Some((64, 48)), ..Default::default() };
    let mut camera = RosCamera::open(&receiver, "front", "/image_raw", options, clock.clone()).unwrap();
    publisher.wait_for_subscriber(LONG).unwrap();
    let mut shade = 0_u8;
    let mut pass = |duration| {
        shade = shade.wrapping_add(1);
        let (encoding, data) = ("rgb8".into(), vec![shade; 64 * 48 * 3]);
        let image = Image { height: 48, width: 64, encoding, step: 192, data, ..Image::default() };
        publisher.publish(image).unwrap();
        std::thread::sleep(duration);
        clock.now()
    };
    visuomotor::conformance::check_camera(&mut camera, &mut pass).unwrap_or_else(|violation| panic!("{violation}"));
}
