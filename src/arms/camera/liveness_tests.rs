use proptest::prelude::*;

use super::*;

const MAX_AGE: f64 = 0.3;

/// A 30 Hz camera with hand-made images.
struct Bench {
    liveness: Liveness,
    joints: JointVector,
    sequence: u64,
}

impl Bench {
    fn new(noise: SensorNoise, delivery: Delivery) -> Self {
        let settings = LivenessSettings { noise, delivery, ..LivenessSettings::default() };
        Self { liveness: Liveness::new(&settings, MAX_AGE), joints: JointVector::zeros(6), sequence: 0 }
    }

    fn asked() -> Self {
        Self::new(SensorNoise::Unknown, Delivery::OnDemand)
    }

    fn streaming() -> Self {
        Self::new(SensorNoise::Unknown, Delivery::Stream { period: Some(Duration::from_millis(33)) })
    }

    /// Checks, at `ms`, a new image captured then.
    fn take(&mut self, ms: u64, pixels: &[u8]) -> Result<Freshness, ImageFault> {
        self.sequence += 1;
        self.look(ms, &image(ms, self.sequence, pixels))
    }

    fn look(&mut self, ms: u64, image: &Image) -> Result<Freshness, ImageFault> {
        self.liveness.check(image, at(ms), &self.joints)
    }
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_nanos(ms * 1_000_000)
}

fn image(ms: u64, sequence: u64, pixels: &[u8]) -> Image {
    Image { camera: "front".into(), width: 8, height: 6, pixels: pixels.into(), captured_at: at(ms), sequence }
}

/// A gradient; each number gives another one.
fn scene(number: u64) -> Vec<u8> {
    (0..8 * 6 * 3).map(|i| 20 + ((i * 37 + number * 5) % 200) as u8).collect()
}

#[test]
fn a_frozen_image_under_new_stamps_is_a_fault_once_the_arm_has_moved() {
    let mut bench = Bench::asked();
    bench.take(0, &scene(1)).unwrap();
    bench.take(200, &scene(1)).unwrap();
    bench.joints[2] += 0.06;
    let fault = bench.take(400, &scene(1)).unwrap_err();
    assert_eq!(fault, ImageFault::Frozen { images: 3, moved: 0.06 });
    // The fault lasts while the arm holds, and ends with the first different image.
    assert!(matches!(bench.take(600, &scene(1)), Err(ImageFault::Frozen { images: 4, .. })));
    assert_eq!(bench.take(800, &scene(2)), Ok(Freshness::New));
}

#[test]
fn a_still_scene_before_an_arm_at_rest_is_none() {
    let mut bench = Bench::asked();
    for number in 0..100 {
        assert_eq!(bench.take(200 * number, &scene(1)), Ok(Freshness::New));
    }
    // No fault either if the image changed before the arm had moved far.
    bench.joints[0] = 0.049;
    assert_eq!(bench.take(20_000, &scene(1)), Ok(Freshness::New));
}

#[test]
fn a_sensor_that_promises_noise_is_frozen_at_rest_too() {
    let mut bench = Bench::new(SensorNoise::Promised, Delivery::OnDemand);
    bench.take(0, &scene(1)).unwrap();
    bench.take(33, &scene(1)).unwrap();
    assert_eq!(bench.take(66, &scene(1)), Err(ImageFault::Frozen { images: 3, moved: 0.0 }));
}

#[test]
fn one_changed_pixel_is_another_image() {
    let mut bench = Bench::new(SensorNoise::Promised, Delivery::OnDemand);
    for number in 0..50_u64 {
        let mut pixels = scene(1);
        pixels[17] = 100 + (number % 2) as u8;
        assert_eq!(bench.take(33 * number, &pixels), Ok(Freshness::New));
    }
}

#[test]
fn a_frozen_camera_that_was_opened_again_is_found_again() {
    let mut bench = Bench::asked();
    bench.take(0, &scene(1)).unwrap();
    bench.joints[0] = 0.2;
    bench.take(200, &scene(1)).unwrap();
    bench.take(400, &scene(1)).unwrap_err();
    bench.liveness.reopened();
    bench.sequence = 0;
    assert!(matches!(bench.take(600, &scene(1)), Err(ImageFault::Frozen { .. })));
}

#[test]
fn the_same_image_after_an_opening_is_not_another_equal_one() {
    let mut bench = Bench::new(SensorNoise::Promised, Delivery::OnDemand);
    let newest = image(0, 7, &scene(1));
    bench.look(0, &newest).unwrap();
    for opening in 1..6 {
        bench.liveness.reopened();
        assert_eq!(bench.look(200 * opening, &Image { sequence: 1, ..newest.clone() }), Ok(Freshness::Same));
    }
}

#[test]
fn images_that_show_nothing_are_faults() {
    let noise: Vec<u8> = (0..8 * 6 * 3).map(|i| (i % 9) as u8).collect();
    let overexposed: Vec<u8> = (0..8 * 6 * 3).map(|i| 250 + (i % 6) as u8).collect();
    let gray: Vec<u8> = (0..8 * 6 * 3).map(|i| 100 + (i % 2) as u8).collect();
    let mut bench = Bench::asked();
    assert_eq!(bench.take(0, &noise), Err(ImageFault::Black { share: 1.0 }));
    assert_eq!(bench.take(200, &overexposed), Err(ImageFault::Saturated { share: 1.0 }));
    assert!(matches!(bench.take(400, &gray), Err(ImageFault::Flat { .. })));
    assert_eq!(bench.take(600, &scene(1)), Ok(Freshness::New));
    // A dark scene with something bright in it is not black.
    let mut night = noise.clone();
    night[..9].fill(200);
    assert_eq!(bench.take(800, &night), Ok(Freshness::New));
}

#[test]
fn a_fault_is_said_again_until_another_image_comes() {
    let mut bench = Bench::asked();
    let black = image(0, 1, &[0; 8 * 6 * 3]);
    assert!(bench.look(0, &black).is_err());
    assert!(bench.look(20, &black).is_err());
}

#[test]
fn another_size_and_missing_pixels_are_faults() {
    let mut bench = Bench::asked();
    bench.take(0, &scene(1)).unwrap();
    let larger = Image { width: 16, height: 3, ..image(200, 2, &scene(2)) };
    let expected = ImageFault::Size { width: 16, height: 3, bytes: 144, expected: (8, 6) };
    assert_eq!(bench.look(200, &larger), Err(expected));
    assert!(matches!(bench.look(400, &image(400, 3, &scene(2)[1..])), Err(ImageFault::Size { bytes: 143, .. })));
    let empty = Image { width: 0, height: 0, ..image(0, 1, &[]) };
    assert!(matches!(Bench::asked().look(0, &empty), Err(ImageFault::Size { .. })));
}

#[test]
fn stamps_that_go_back_stand_still_or_lie_ahead_are_faults() {
    let mut bench = Bench::asked();
    bench.look(1000, &image(1000, 1, &scene(1))).unwrap();
    assert_eq!(bench.look(1200, &image(900, 2, &scene(2))), Err(ImageFault::Back { seconds: 0.1 }));
    bench.look(1400, &image(1400, 3, &scene(3))).unwrap();
    assert_eq!(bench.look(1600, &image(1400, 4, &scene(4))), Err(ImageFault::Back { seconds: 0.0 }));
    assert_eq!(bench.look(1800, &image(1950, 5, &scene(5))), Err(ImageFault::Future { seconds: 0.15 }));
    // Another thread's stamp may be slightly later than the start of the decision.
    let mut bench = Bench::asked();
    assert_eq!(bench.look(1000, &image(1020, 1, &scene(1))), Ok(Freshness::New));
}

#[test]
fn a_stream_is_silent_after_three_periods_and_a_camera_that_is_asked_never_is() {
    let mut bench = Bench::streaming();
    assert_eq!(bench.liveness.silence_limit(), Some(Duration::from_millis(99)));
    let newest = image(0, 1, &scene(1));
    bench.look(0, &newest).unwrap();
    assert_eq!(bench.look(99, &newest), Ok(Freshness::Same));
    assert_eq!(bench.look(100, &newest), Err(ImageFault::Silent { seconds: 0.1, limit: 0.099 }));
    bench.sequence = 1;
    assert_eq!(bench.take(120, &scene(2)), Ok(Freshness::New), "the next image ends it");

    let mut asked = Bench::asked();
    asked.look(0, &newest).unwrap();
    assert_eq!(asked.look(5000, &newest), Ok(Freshness::Same), "its age is asked elsewhere");
}

#[test]
fn the_period_is_learned_from_the_images_that_come_and_never_longer_than_the_oldest_usable_one() {
    let mut bench = Bench::new(SensorNoise::Unknown, Delivery::Stream { period: None });
    for number in 0..LEARN as u64 {
        assert_eq!(bench.liveness.silence_limit(), None, "after {number} images");
        // Only every other image is checked; the period counts the skipped ones too.
        bench.sequence += 1;
        bench.take(66 * number, &scene(number)).unwrap();
    }
    bench.sequence += 1;
    bench.take(66 * u64::from(LEARN), &scene(90)).unwrap();
    let limit = bench.liveness.silence_limit().unwrap();
    assert!((limit.as_secs_f64() - 0.099).abs() < 1e-6, "{limit:?}");
    // A pause does not lengthen the learned period.
    bench.take(10_000, &scene(91)).unwrap();
    assert_eq!(bench.liveness.silence_limit(), Some(limit));

    let slow = Delivery::Stream { period: Some(Duration::from_millis(500)) };
    assert_eq!(Bench::new(SensorNoise::Unknown, slow).liveness.silence_limit(), Some(Duration::from_millis(300)));
    let fast = Delivery::Stream { period: Some(Duration::from_millis(4)) };
    assert_eq!(Bench::new(SensorNoise::Unknown, fast).liveness.silence_limit(), Some(SILENT_SOONEST));
}

proptest! {
    /// For any input: good images that change pass; equal ones pass only while the arm has not moved.
    #[test]
    fn frozen_means_equal_and_moved(steps in proptest::collection::vec((0u64..3, 0.0f64..0.04), 1..80)) {
        let mut bench = Bench::asked();
        let (mut equal, mut first) = (0_u32, (u64::MAX, bench.joints));
        for (number, (content, moved)) in steps.into_iter().enumerate() {
            bench.joints[1] += moved;
            if first.0 == content {
                equal += 1;
            } else {
                (equal, first) = (1, (content, bench.joints));
            }
            let looked = bench.take(200 * number as u64, &scene(content));
            let frozen = equal >= 3 && bench.joints[1] - first.1[1] >= MOVED;
            prop_assert_eq!(looked.is_err(), frozen);
        }
    }

    #[test]
    fn nothing_panics_whatever_the_image_says(
        width in 0u32..20, height in 0u32..20, pixels in proptest::collection::vec(any::<u8>(), 0..300),
        captured in any::<u64>(), now in any::<u64>(), sequence in any::<u64>(),
    ) {
        let mut bench = Bench::streaming();
        let joints = JointVector::zeros(0);
        let odd = Image {
            width, height, captured_at: Timestamp::from_nanos(captured), ..image(0, sequence, &pixels)
        };
        let full = width * height > 0 && pixels.len() as u32 == width * height * 3;
        let first = bench.liveness.check(&odd, Timestamp::from_nanos(now), &joints);
        prop_assert!(full || first.is_err());
        let _ = bench.liveness.check(&image(0, sequence, &scene(1)), Timestamp::ZERO, &joints);
    }
}
