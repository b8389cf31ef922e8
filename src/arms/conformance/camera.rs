//! The rules of [`Camera`].

use std::time::Duration;

use visuomotor_core::observation::Image;
use visuomotor_core::time::Timestamp;

use super::{Pass, Violation, require, violation};
use crate::camera::{Camera, Delivery};

/// Number of new images checked.
const IMAGES: usize = 5;
/// How long they may take together \[s\]: a camera that was opened again may be slow.
const PATIENCE: f64 = 30.0;
/// Polling period \[s\].
const LOOK: Duration = Duration::from_millis(10);

const NAMED: &str = "a camera has a name, and its images carry it";
const WHOLE: &str = "an image has three bytes for each pixel";
const STAMPS: &str = "images are stamped with times that have passed and never go back";
const NUMBERS: &str = "a newer image has a larger number, and the same image the same";
const DELIVERS: &str = "new images come at the promised rate";
const REOPENS: &str = "images come again after the camera was opened again";

/// Checks a camera against every rule of [`Camera`]; returns the first violation. The scene may be static.
pub fn check_camera(camera: &mut dyn Camera, pass: Pass<'_>) -> Result<(), Violation> {
    require(NAMED, !camera.name().is_empty(), || "the name is empty".into())?;
    new_images(camera, pass, DELIVERS)?;
    camera.reopen().map_err(|error| violation(REOPENS, error.to_string()))?;
    new_images(camera, pass, REOPENS)
}

/// Waits for some new images and checks each.
fn new_images(camera: &mut dyn Camera, pass: Pass<'_>, rule: &'static str) -> Result<(), Violation> {
    let period = match camera.liveness().delivery {
        Delivery::Stream { period } => period,
        _ => None,
    };
    let (mut newest, mut count, mut passed): (Option<Image>, usize, Duration) = (None, 0, Duration::ZERO);
    let mut first: Option<Timestamp> = None;
    let mut trouble = "no image".to_string();
    while count < IMAGES {
        require(rule, passed.as_secs_f64() < PATIENCE, || format!("{count} new images in {PATIENCE} s; {trouble}"))?;
        let now = pass(LOOK);
        passed += LOOK;
        let image = match camera.newest(now) {
            Ok(image) => image,
            // A newly opened camera may take a moment.
            Err(error) => {
                trouble = error.to_string();
                continue;
            }
        };
        look_at(camera.name(), &image, now)?;
        if let Some(before) = &newest {
            let (at, earlier) = (image.captured_at, before.captured_at);
            require(STAMPS, at >= earlier, || format!("{at:?} after {earlier:?}"))?;
            let numbered = (at > earlier) == (image.sequence > before.sequence) && image.sequence >= before.sequence;
            require(NUMBERS, numbered, || {
                format!("number {} at {at:?} after number {} at {earlier:?}", image.sequence, before.sequence)
            })?;
        }
        if newest.as_ref().is_none_or(|before| image.sequence > before.sequence) {
            count += 1;
            first.get_or_insert(image.captured_at);
        }
        newest = Some(image);
    }
    if let (Some(period), Some(first), Some(last)) = (period, first, newest.map(|image| image.captured_at)) {
        // Ten percent slower than promised counts as a rounded rate. Skipped images count too, so this only bounds the mean from
        // above.
        let most = period.mul_f64(1.1 * (IMAGES - 1) as f64 + 1.0);
        let took = last.since(first);
        require(DELIVERS, took <= most, || format!("{IMAGES} images took {took:?}, at most {most:?}"))?;
    }
    Ok(())
}

fn look_at(name: &str, image: &Image, now: Timestamp) -> Result<(), Violation> {
    require(NAMED, &*image.camera == name, || format!("camera `{name}`, image of `{}`", image.camera))?;
    let expected = image.width as usize * image.height as usize * 3;
    let whole = expected > 0 && image.pixels.len() == expected;
    require(WHOLE, whole, || format!("{} bytes for {} x {}", image.pixels.len(), image.width, image.height))?;
    let at = image.captured_at;
    require(STAMPS, at <= now, || format!("captured at {at:?}, taken at {now:?}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use visuomotor_core::time::{Clock, ManualClock};

    use super::*;
    use crate::camera::CameraError;

    #[derive(Clone, Copy, PartialEq)]
    enum Fault {
        None,
        OtherName,
        HalfAnImage,
        FromTheFuture,
        SameNumber,
        Frozen,
        ClosedForEver,
    }

    /// A gray image every 20 ms, with one defect.
    struct Gray {
        fault: Fault,
        is_open: bool,
    }

    impl Camera for Gray {
        fn name(&self) -> &str {
            "front"
        }

        fn newest(&mut self, now: Timestamp) -> Result<Image, CameraError> {
            if !self.is_open {
                return Err(CameraError::Silent { camera: "front".into(), why: "closed".into() });
            }
            let number = if self.fault == Fault::Frozen { 0 } else { now.as_nanos() / 20_000_000 };
            let late = if self.fault == Fault::FromTheFuture { 30_000_000 } else { 0 };
            Ok(Image {
                camera: Arc::from(if self.fault == Fault::OtherName { "wrist" } else { "front" }),
                width: 4,
                height: 2,
                pixels: vec![128; if self.fault == Fault::HalfAnImage { 12 } else { 24 }].into(),
                captured_at: Timestamp::from_nanos(number * 20_000_000 + late),
                sequence: if self.fault == Fault::SameNumber { 7 } else { number },
            })
        }

        fn reopen(&mut self) -> Result<(), CameraError> {
            self.is_open = self.fault != Fault::ClosedForEver;
            Ok(())
        }
    }

    #[test]
    fn each_broken_rule_is_found_and_a_good_camera_passes() {
        let outcome = |fault| {
            let clock = ManualClock::new();
            let mut pass = |duration: Duration| {
                clock.advance(duration);
                clock.now()
            };
            check_camera(&mut Gray { fault, is_open: true }, &mut pass).err().map(|violation| violation.rule)
        };
        assert_eq!(outcome(Fault::None), None);
        assert_eq!(outcome(Fault::OtherName), Some(NAMED));
        assert_eq!(outcome(Fault::HalfAnImage), Some(WHOLE));
        assert_eq!(outcome(Fault::FromTheFuture), Some(STAMPS));
        assert_eq!(outcome(Fault::SameNumber), Some(NUMBERS));
        assert_eq!(outcome(Fault::Frozen), Some(DELIVERS));
        assert_eq!(outcome(Fault::ClosedForEver), Some(REOPENS));
    }
}
