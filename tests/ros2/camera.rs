//! A camera behind a topic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use visuomotor::camera::ros2::{PictureError, RosCamera};
use visuomotor::camera::{Camera, CameraError};
use visuomotor::time::{Clock, SystemClock};
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
    let mut camera = RosCamera::open(&receiver, "front", topic, Some((640, 480)), clock.clone()).unwrap();
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
