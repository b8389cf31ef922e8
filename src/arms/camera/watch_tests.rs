use std::sync::Arc;

use super::super::{Delivery, ImageFault};
use super::*;

/// A camera that returns scripted images.
struct Told {
    image: Option<Image>,
    settings: LivenessSettings,
    reopened: Vec<Timestamp>,
    now: Timestamp,
}

impl Told {
    fn new() -> Self {
        let delivery = Delivery::Stream { period: Some(Duration::from_millis(33)) };
        let settings = LivenessSettings { delivery, ..LivenessSettings::default() };
        Self { image: None, settings, reopened: Vec::new(), now: Timestamp::ZERO }
    }

    fn take(&mut self, ms: u64) {
        let sequence = self.image.as_ref().map_or(1, |image| image.sequence + 1);
        let pixels: Arc<[u8]> = (0..144).map(|i| 20 + ((i * 37 + sequence * 5) % 200) as u8).collect();
        self.image = Some(Image { camera: "front".into(), width: 8, height: 6, pixels, captured_at: at(ms), sequence });
    }
}

impl Camera for Told {
    fn name(&self) -> &str {
        "front"
    }
    fn newest(&mut self, now: Timestamp) -> Result<Image, CameraError> {
        self.now = now;
        let silent = || CameraError::Silent { camera: "front".into(), why: "none came".into() };
        self.image.clone().ok_or_else(silent)
    }
    fn liveness(&self) -> LivenessSettings {
        self.settings
    }
    fn reopen(&mut self) -> Result<(), CameraError> {
        self.reopened.push(self.now);
        Ok(())
    }
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_nanos(ms * 1_000_000)
}

/// Result of a check at `ms`: may the arm move?
fn moves(watch: &mut CameraWatch, camera: &mut Told, ms: u64) -> bool {
    matches!(watch.check(camera, at(ms), &JointVector::zeros(6)).unwrap(), CameraStatus::Image(_))
}

#[test]
fn a_silent_stream_holds_within_three_periods_and_moves_again_after_three_good_images() {
    let mut camera = Told::new();
    let mut watch = CameraWatch::new(&camera, 0.3);
    for ms in (0..330).step_by(33) {
        camera.take(ms);
        assert!(moves(&mut watch, &mut camera, ms));
    }
    // The last image came at 297 ms. Checked every 20 ms, as in real time.
    let held_at = (300..).step_by(20).find(|&ms| !moves(&mut watch, &mut camera, ms)).unwrap();
    assert!(held_at - 297 <= 99 + 20, "{held_at}");
    for (image, moving) in [(500, false), (533, false), (566, true), (599, true)] {
        camera.take(image);
        assert_eq!(moves(&mut watch, &mut camera, image), moving, "at {image}");
        assert_eq!(moves(&mut watch, &mut camera, image + 10), moving, "looked at twice, an image counts once");
    }
    assert_eq!(watch.faults().len(), 1);
    assert!(
        watch.faults()[0].contains("front") && watch.faults()[0].contains("the arm held for"),
        "{:?}",
        watch.faults()
    );
    assert!(!watch.holds());
}

#[test]
fn a_fault_between_good_images_begins_the_count_anew() {
    let mut camera = Told::new();
    let mut watch = CameraWatch::new(&camera, 0.3);
    assert!(!moves(&mut watch, &mut camera, 0), "nothing came yet");
    for image in [33, 66] {
        camera.take(image);
        assert!(!moves(&mut watch, &mut camera, image));
    }
    let good = camera.image.take();
    assert!(!moves(&mut watch, &mut camera, 99));
    camera.image = good;
    for (image, moving) in [(120, false), (153, false), (186, true)] {
        camera.take(image);
        assert_eq!(moves(&mut watch, &mut camera, image), moving);
    }
}

#[test]
fn a_camera_at_fault_is_opened_again_with_growing_pauses_and_lost_when_patience_ends() {
    let mut camera = Told::new();
    let mut watch = CameraWatch::new(&camera, 0.3);
    camera.take(0);
    assert!(moves(&mut watch, &mut camera, 0));
    let lost = (20..).step_by(20).find_map(|ms| {
        let error = watch.check(&mut camera, at(ms), &JointVector::zeros(6)).err()?;
        Some((ms, error))
    });
    let (ms, error) = lost.unwrap();
    // Held at 100 ms; lost at the first check more than 5 s later.
    assert_eq!(ms, 100 + 5000 + 20);
    assert_eq!(camera.reopened, [at(1100), at(3100)]);
    assert!(matches!(error, CameraError::Lost { .. }));
    let text = error.to_string();
    for word in ["front", "no new image", "5.0 s", "patience"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn an_image_that_is_too_old_holds_although_it_is_new() {
    let mut camera = Told::new();
    let mut watch = CameraWatch::new(&camera, 0.3);
    camera.take(0);
    assert!(moves(&mut watch, &mut camera, 300));
    // A constant delay of 310 ms.
    camera.take(30);
    assert!(!moves(&mut watch, &mut camera, 340));
    let error = watch.inspect(&mut camera, at(340), &JointVector::zeros(6)).unwrap_err();
    assert!(matches!(error, CameraError::Stale { .. }), "{error}");
}

#[test]
fn a_black_image_names_the_camera_and_its_share() {
    let mut camera = Told::new();
    let mut watch = CameraWatch::new(&camera, 0.3);
    camera.take(0);
    camera.image.as_mut().unwrap().pixels = vec![0; 144].into();
    let error = watch.inspect(&mut camera, at(0), &JointVector::zeros(6)).unwrap_err();
    assert!(matches!(error, CameraError::Unusable { fault: ImageFault::Black { .. }, .. }));
    assert!(error.to_string().contains("camera `front`: 100 % of the image is black, the limit is 98 %"), "{error}");
}
