//! A camera behind a `sensor_msgs/Image` topic: the newest picture as RGB, with the time it was taken on our clock.
//!
//! Takes `rgb8`, `bgr8` and `mono8`; anything else, a wrong size or step, or truncated data is a [`PictureError`], counted,
//! and never a picture. A thread of its own receives; [`RosCamera::newest`] only looks.
//!
//! When a picture was taken is told by its stamp ([`super::stamps`]); one whose stamp does not go forward is refused as well.
//! A picture of another size, a wrong encoding or an old stamp three times in a row is a fault, however young the last good one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use super::stamps::{StampError, Stamps};
use super::{Camera, CameraError, Delivery, LivenessSettings};
use crate::config::{CameraSetting, ImageClock};
use crate::observation::Image;
use crate::protection::Protection;
use crate::time::{Clock, Timestamp};
use crate::transport::ros2::messages::builtin::Time;
use crate::transport::ros2::messages::sensor::Image as Picture;
use crate::transport::ros2::{Qos, RosError, RosNode, RosSubscriber};

/// Most pixels along one side; larger pictures are refused.
const LARGEST_SIDE: u32 = 8192;
/// How long the thread waits before it says why nothing comes.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why a message is not a picture, or not a new one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// An encoding that is not a color or gray picture of 8 bits.
    #[error("the encoding is `{0}`, expected rgb8, bgr8 or mono8; publish color images on this topic")]
    Encoding(String),
    /// Not the size of the calibration.
    #[error("the size is {width} x {height}, expected {} x {}; set the camera's profile", .expected.0, .expected.1)]
    Size {
        /// Columns \[pixels\].
        width: u32,
        /// Rows \[pixels\].
        height: u32,
        /// Columns and rows that were expected \[pixels\].
        expected: (u32, u32),
    },
    /// No pixels, or more than 8192 along a side.
    #[error("the size is {width} x {height}, which no camera has; expected 1 to 8192 along each side")]
    Absurd {
        /// Columns \[pixels\].
        width: u32,
        /// Rows \[pixels\].
        height: u32,
    },
    /// A row is said to have fewer bytes than its pixels.
    #[error("a row has {step} bytes, expected at least {expected}; the camera's driver is wrong")]
    Step {
        /// What the message says \[bytes\].
        step: u32,
        /// What its pixels need \[bytes\].
        expected: u32,
    },
    /// Fewer bytes than rows times step.
    #[error("the picture has {bytes} bytes, expected {expected}; it was cut off on its way")]
    Truncated {
        /// Bytes there are.
        bytes: usize,
        /// Bytes there must be.
        expected: usize,
    },
    /// A stamp that cannot be believed.
    #[error(transparent)]
    Stamp(#[from] StampError),
}

/// The picture's pixels as RGB, row-major from the top left; `size` is what it must have (columns, rows).
pub fn rgb(picture: &Picture, size: Option<(u32, u32)>) -> Result<Vec<u8>, PictureError> {
    let (width, height) = (picture.width, picture.height);
    let channels = match picture.encoding.as_str() {
        "rgb8" | "bgr8" => 3,
        "mono8" => 1,
        other => return Err(PictureError::Encoding(other.chars().take(32).collect())),
    };
    if !(1..=LARGEST_SIDE).contains(&width) || !(1..=LARGEST_SIDE).contains(&height) {
        return Err(PictureError::Absurd { width, height });
    }
    if let Some(expected) = size.filter(|size| *size != (width, height)) {
        return Err(PictureError::Size { width, height, expected });
    }
    let expected = width * channels;
    if picture.step < expected {
        return Err(PictureError::Step { step: picture.step, expected });
    }
    let (row, step) = (expected as usize, picture.step as usize);
    // The last row may lack its padding.
    let needed = step * (height as usize - 1) + row;
    if picture.data.len() < needed {
        return Err(PictureError::Truncated { bytes: picture.data.len(), expected: step * height as usize });
    }
    let mut out = Vec::with_capacity(width as usize * height as usize * 3);
    for start in (0..height as usize).map(|y| y * step) {
        let row = &picture.data[start..start + row];
        match picture.encoding.as_str() {
            "rgb8" => out.extend_from_slice(row),
            "bgr8" => out.extend(row.chunks_exact(3).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]])),
            _ => out.extend(row.iter().flat_map(|gray| [*gray; 3])),
        }
    }
    Ok(out)
}

/// How a camera's images are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RosCameraOptions {
    /// What pictures must have (columns, rows) \[pixels\], from the calibration; `None` takes any.
    pub size: Option<(u32, u32)>,
    /// Whose clock the stamps are of.
    pub clock: ImageClock,
    /// How old a picture is when it comes, where its stamp cannot tell.
    pub latency: Duration,
    /// What may be expected of the images.
    pub liveness: LivenessSettings,
}

impl Default for RosCameraOptions {
    fn default() -> Self {
        Self {
            size: None,
            clock: ImageClock::Auto,
            latency: Duration::from_millis(50),
            liveness: LivenessSettings { delivery: Delivery::Stream { period: None }, ..LivenessSettings::default() },
        }
    }
}

impl RosCameraOptions {
    /// As the launch file says, for pictures of the calibration's size \[pixels\].
    pub fn of(setting: &CameraSetting, size: (u32, u32)) -> Self {
        Self {
            size: Some(size),
            clock: setting.clock,
            latency: Duration::from_secs_f64(setting.latency),
            liveness: LivenessSettings::streaming(setting),
        }
    }
}

/// Messages refused in a row after which the last good picture is not believed any more.
const REFUSED_IN_A_ROW: u64 = 3;

#[derive(Default)]
struct Latest {
    image: Option<Image>,
    refused: u64,
    refused_in_a_row: u64,
    last_refusal: Option<PictureError>,
    silence: String,
}

/// A camera behind a topic.
pub struct RosCamera {
    node: RosNode,
    name: Arc<str>,
    topic: String,
    options: RosCameraOptions,
    clock: Arc<dyn Clock>,
    /// Kept when the camera is opened again: an image that is old stays old.
    stamps: Arc<Mutex<Stamps>>,
    receiving: Receiving,
}

/// The camera's thread and what it leaves behind.
struct Receiving {
    latest: Arc<Mutex<Latest>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl RosCamera {
    /// Subscribes to a topic.
    pub fn open(
        node: &RosNode,
        name: &str,
        topic: &str,
        options: RosCameraOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RosError> {
        let name: Arc<str> = name.into();
        let stamps = Arc::new(Mutex::new(Stamps::new(options.clock, options.latency)));
        let receiving = Receiving::start(node, &name, topic, options.size, &clock, &stamps)?;
        Ok(Self { node: node.clone(), name, topic: topic.into(), options, clock, stamps, receiving })
    }

    /// Messages refused so far, and why the last one was.
    pub fn refused(&self) -> (u64, Option<PictureError>) {
        let latest = lock(&self.receiving.latest);
        (latest.refused, latest.last_refusal.clone())
    }
}

impl Receiving {
    fn start(
        node: &RosNode,
        name: &Arc<str>,
        topic: &str,
        size: Option<(u32, u32)>,
        clock: &Arc<dyn Clock>,
        stamps: &Arc<Mutex<Stamps>>,
    ) -> Result<Self, RosError> {
        let subscriber = node.subscriber::<Picture>(topic, Qos::Sensor)?;
        let latest = Arc::new(Mutex::new(Latest { silence: "none came yet".into(), ..Latest::default() }));
        let stop = Arc::new(AtomicBool::new(false));
        let receiver = Receiver {
            subscriber,
            name: Arc::clone(name),
            size,
            clock: Arc::clone(clock),
            stamps: Arc::clone(stamps),
            latest: Arc::clone(&latest),
            stop: Arc::clone(&stop),
        };
        let thread =
            std::thread::Builder::new().name("ros-camera".into()).spawn(move || receiver.run()).map_err(|error| {
                RosError::Create {
                    what: format!("camera {name}"),
                    cause: error.to_string(),
                    fix: "too many threads: end other programs".into(),
                }
            })?;
        Ok(Self { latest, stop, thread: Some(thread) })
    }
}

impl Camera for RosCamera {
    fn name(&self) -> &str {
        &self.name
    }

    fn newest(&mut self, _now: Timestamp) -> Result<Image, CameraError> {
        let latest = lock(&self.receiving.latest);
        let count = latest.refused_in_a_row;
        if let Some(error) = latest.last_refusal.as_ref().filter(|_| count >= REFUSED_IN_A_ROW) {
            return Err(CameraError::Refused { camera: self.name.to_string(), count, why: error.to_string() });
        }
        if let Some(image) = &latest.image {
            return Ok(image.clone());
        }
        let why = match &latest.last_refusal {
            Some(error) => format!("{} refused; {error}", latest.refused),
            None => latest.silence.clone(),
        };
        Err(CameraError::Silent { camera: self.name.to_string(), why })
    }

    fn liveness(&self) -> LivenessSettings {
        self.options.liveness
    }

    /// As another participant: what the old one was deaf to, the new one may hear.
    fn reopen(&mut self) -> Result<(), CameraError> {
        let failed = |error: RosError| CameraError::Silent {
            camera: self.name.to_string(),
            why: format!("it cannot be opened again: {error}"),
        };
        let node = RosNode::start(self.node.settings().clone()).map_err(failed)?;
        let receiving = Receiving::start(&node, &self.name, &self.topic, self.options.size, &self.clock, &self.stamps)
            .map_err(failed)?;
        let old = (std::mem::replace(&mut self.receiving, receiving), std::mem::replace(&mut self.node, node));
        // Not waited for: a participant that does not answer any more may take long to end.
        let ended = std::thread::Builder::new().name("ros-camera-end".into()).spawn(move || drop(old));
        if let Err(error) = ended {
            tracing::warn!("the old participant of camera `{}` was ended at once: {error}", self.name);
        }
        Ok(())
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn lock<T>(latest: &Mutex<T>) -> MutexGuard<'_, T> {
    latest.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The camera's thread.
struct Receiver {
    subscriber: RosSubscriber<Picture>,
    name: Arc<str>,
    size: Option<(u32, u32)>,
    clock: Arc<dyn Clock>,
    stamps: Arc<Mutex<Stamps>>,
    latest: Arc<Mutex<Latest>>,
    stop: Arc<AtomicBool>,
}

impl Receiver {
    fn run(mut self) {
        let mut sequence = 0;
        while !self.stop.load(Ordering::Acquire) {
            match self.subscriber.newest() {
                Ok(Some(picture)) => match self.image(&picture, sequence + 1) {
                    Ok(image) => {
                        sequence += 1;
                        let mut latest = lock(&self.latest);
                        latest.refused_in_a_row = 0;
                        latest.image = Some(image);
                    }
                    Err(error) => {
                        let mut latest = lock(&self.latest);
                        latest.refused += 1;
                        latest.refused_in_a_row += 1;
                        latest.last_refusal = Some(error);
                    }
                },
                Ok(None) => {
                    // Woken by the next picture.
                    std::thread::park_timeout(PATIENCE);
                    if lock(&self.latest).image.is_none() {
                        let silence = self.subscriber.silence(PATIENCE).to_string();
                        lock(&self.latest).silence = silence;
                    }
                }
                Err(error) => {
                    lock(&self.latest).silence = error.to_string();
                    std::thread::park_timeout(PATIENCE);
                }
            }
        }
    }

    fn image(&self, picture: &Picture, sequence: u64) -> Result<Image, PictureError> {
        // One after the other: the wall clock is only for the difference to the stamp.
        let (now, wall) = (self.clock.now(), wall_nanos());
        let captured_at = if !Protection::ImageLiveness.is_on() {
            now
        } else {
            let mut stamps = lock(&self.stamps);
            let before = stamps.are_of_another_clock();
            let captured = stamps.captured(nanos(picture.header.stamp), now, wall)?;
            if stamps.are_of_another_clock() && !before {
                tracing::warn!(
                    "camera `{}`: its stamps are of another clock than ours, so a constant delay cannot be seen; the \
                     launch file's `latency` is used",
                    self.name
                );
            }
            captured
        };
        Ok(Image {
            camera: Arc::clone(&self.name),
            width: picture.width,
            height: picture.height,
            pixels: rgb(picture, self.size)?.into(),
            captured_at,
            sequence,
        })
    }
}

/// The wall clock \[ns since 1970\].
fn wall_nanos() -> i128 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(0))
}

/// A stamp \[ns since 1970\]; `None` for the zero stamp and for one that cannot be.
fn nanos(stamp: Time) -> Option<i128> {
    let usable = stamp != Time::default() && stamp.nanosec < 1_000_000_000;
    usable.then(|| i128::from(stamp.sec) * 1_000_000_000 + i128::from(stamp.nanosec))
}

/// The stamp of an image that was taken at `captured_at` on a clock that shows `now`: on the wall clock, as cameras send it.
pub fn stamp(captured_at: Timestamp, now: Timestamp) -> Time {
    let taken = wall_nanos() - i128::try_from(now.since(captured_at).as_nanos()).unwrap_or(0);
    Time {
        sec: i32::try_from(taken.div_euclid(1_000_000_000)).unwrap_or(i32::MAX),
        nanosec: taken.rem_euclid(1_000_000_000) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(encoding: &str, step: u32, data: &[u8]) -> Picture {
        Picture { width: 2, height: 2, encoding: encoding.into(), step, data: data.to_vec(), ..Picture::default() }
    }

    #[test]
    fn colors_and_padding_become_plain_rgb() {
        let padded = [1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 10, 11, 12];
        assert_eq!(rgb(&picture("rgb8", 7, &padded), None).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(rgb(&picture("bgr8", 7, &padded), None).unwrap(), [3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10]);
        assert_eq!(rgb(&picture("mono8", 2, &[1, 2, 3, 4]), None).unwrap(), [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
    }

    #[test]
    fn what_is_no_picture_says_why() {
        let full = [0; 12];
        assert_eq!(rgb(&picture("16UC1", 6, &full), None), Err(PictureError::Encoding("16UC1".into())));
        assert_eq!(rgb(&picture("rgb8", 5, &full), None), Err(PictureError::Step { step: 5, expected: 6 }));
        assert_eq!(
            rgb(&picture("rgb8", 6, &full[..11]), None),
            Err(PictureError::Truncated { bytes: 11, expected: 12 })
        );
        let size = PictureError::Size { width: 2, height: 2, expected: (640, 480) };
        assert_eq!(rgb(&picture("rgb8", 6, &full), Some((640, 480))), Err(size));
        let huge = Picture { width: u32::MAX, height: 1, ..picture("rgb8", u32::MAX, &full) };
        assert_eq!(rgb(&huge, None), Err(PictureError::Absurd { width: u32::MAX, height: 1 }));
        let far = Picture { height: 8192, step: u32::MAX, ..picture("mono8", 2, &full) };
        assert!(matches!(rgb(&far, None), Err(PictureError::Truncated { .. })));
        assert!(matches!(
            rgb(&Picture { height: 0, ..picture("mono8", 2, &full) }, None),
            Err(PictureError::Absurd { .. })
        ));
    }

    #[test]
    fn a_zero_or_impossible_stamp_is_none() {
        assert_eq!(nanos(Time::default()), None);
        assert_eq!(nanos(Time { sec: 5, nanosec: u32::MAX }), None);
        assert_eq!(nanos(Time { sec: 5, nanosec: 7 }), Some(5_000_000_007));
    }

    #[test]
    fn a_stamp_we_send_is_read_back_as_the_capture_time() {
        let (captured, now) = (Timestamp::from_nanos(3_000_000_000), Timestamp::from_nanos(3_250_000_000));
        let mut stamps = Stamps::new(ImageClock::Auto, Duration::ZERO);
        let wall = wall_nanos();
        let sent = nanos(stamp(captured, now)).unwrap();
        // The wall clock went on between the two calls: at most that much younger.
        let read = stamps.captured(Some(sent.min(wall - 250_000_000)), now, wall).unwrap();
        assert_eq!(read, captured);
    }
}
