//! A camera behind a `sensor_msgs/Image` topic: the newest picture as RGB, with the time it was taken on our clock.
//!
//! Takes `rgb8`, `bgr8` and `mono8`; anything else, a wrong size or step, or truncated data is a [`PictureError`], counted,
//! and never a picture. A thread of its own receives; [`RosCamera::newest`] only looks.
//!
//! The sender's stamps are on the sender's clock. Their offset to ours is taken from the picture that came quickest, so a
//! picture's age lacks only the shortest way from camera to us. Stamps that are zero (as Bridge's own streamer sends) or
//! that jump are replaced by the time of receipt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Camera, CameraError};
use crate::observation::Image;
use crate::time::{Clock, Timestamp};
use crate::transport::ros2::messages::builtin::Time;
use crate::transport::ros2::messages::sensor::Image as Picture;
use crate::transport::ros2::{Qos, RosError, RosNode, RosSubscriber};

/// Most pixels along one side; larger pictures are refused.
const LARGEST_SIDE: u32 = 8192;
/// How long the thread waits before it says why nothing comes.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why a message is not a picture.
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

/// Maps the sender's stamps to our clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct StampOffset {
    /// Smallest difference of receipt and stamp in this window and the one before \[ns\].
    windows: [Option<i128>; 2],
    /// When this window began.
    since: Timestamp,
}

/// How long a window is: two clocks drift apart by less than a millisecond in it.
const WINDOW: Duration = Duration::from_secs(10);
/// A stamp further than this from what was expected was made by a clock that was set \[ns\].
const JUMP: i128 = 10_000_000_000;

impl StampOffset {
    /// When the sender's `stamp` was on our clock, for a message received at `now`.
    pub fn captured(&mut self, stamp: Time, now: Timestamp) -> Timestamp {
        if stamp == Time::default() || stamp.nanosec >= 1_000_000_000 {
            return now;
        }
        let sent = i128::from(stamp.sec) * 1_000_000_000 + i128::from(stamp.nanosec);
        let received = i128::from(now.as_nanos());
        let difference = received - sent;
        if self.smallest().is_some_and(|smallest| (difference - smallest).abs() > JUMP) {
            *self = Self { windows: [Some(difference), None], since: now };
            return now;
        }
        if now.since(self.since) > WINDOW {
            self.windows = [None, self.windows[0]];
            self.since = now;
        }
        let window = self.windows[0].get_or_insert(difference);
        *window = difference.min(*window);
        let offset = self.smallest().unwrap_or(difference);
        // Not later than its receipt, because no difference is smaller than the smallest.
        Timestamp::from_nanos(u64::try_from(sent + offset).unwrap_or(now.as_nanos()).min(now.as_nanos()))
    }

    fn smallest(&self) -> Option<i128> {
        self.windows.iter().flatten().min().copied()
    }
}

#[derive(Default)]
struct Latest {
    image: Option<Image>,
    refused: u64,
    last_refusal: Option<PictureError>,
    silence: String,
}

/// A camera behind a topic.
pub struct RosCamera {
    name: Arc<str>,
    latest: Arc<Mutex<Latest>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl RosCamera {
    /// Subscribes to a topic; `size` is what pictures must have (columns, rows) \[pixels\], from the calibration.
    pub fn open(
        node: &RosNode,
        name: &str,
        topic: &str,
        size: Option<(u32, u32)>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RosError> {
        let subscriber = node.subscriber::<Picture>(topic, Qos::Sensor)?;
        let name: Arc<str> = name.into();
        let latest = Arc::new(Mutex::new(Latest { silence: "none came yet".into(), ..Latest::default() }));
        let stop = Arc::new(AtomicBool::new(false));
        let receiver = Receiver {
            subscriber,
            name: Arc::clone(&name),
            size,
            clock,
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
        Ok(Self { name, latest, stop, thread: Some(thread) })
    }

    /// Messages refused so far, and why the last one was.
    pub fn refused(&self) -> (u64, Option<PictureError>) {
        let latest = lock(&self.latest);
        (latest.refused, latest.last_refusal.clone())
    }
}

impl Camera for RosCamera {
    fn name(&self) -> &str {
        &self.name
    }

    fn newest(&mut self, _now: Timestamp) -> Result<Image, CameraError> {
        let latest = lock(&self.latest);
        if let Some(image) = &latest.image {
            return Ok(image.clone());
        }
        let why = match &latest.last_refusal {
            Some(error) => format!("{} refused; {error}", latest.refused),
            None => latest.silence.clone(),
        };
        Err(CameraError::Silent { camera: self.name.to_string(), why })
    }
}

impl Drop for RosCamera {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn lock(latest: &Mutex<Latest>) -> MutexGuard<'_, Latest> {
    latest.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The camera's thread.
struct Receiver {
    subscriber: RosSubscriber<Picture>,
    name: Arc<str>,
    size: Option<(u32, u32)>,
    clock: Arc<dyn Clock>,
    latest: Arc<Mutex<Latest>>,
    stop: Arc<AtomicBool>,
}

impl Receiver {
    fn run(mut self) {
        let mut offset = StampOffset::default();
        let mut sequence = 0;
        while !self.stop.load(Ordering::Acquire) {
            match self.subscriber.newest() {
                Ok(Some(picture)) => {
                    let now = self.clock.now();
                    let captured_at = offset.captured(picture.header.stamp, now);
                    match rgb(&picture, self.size) {
                        Ok(pixels) => {
                            sequence += 1;
                            let image = Image {
                                camera: Arc::clone(&self.name),
                                width: picture.width,
                                height: picture.height,
                                pixels: pixels.into(),
                                captured_at,
                                sequence,
                            };
                            lock(&self.latest).image = Some(image);
                        }
                        Err(error) => {
                            let mut latest = lock(&self.latest);
                            latest.refused += 1;
                            latest.last_refusal = Some(error);
                        }
                    }
                }
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
    fn stamps_follow_the_quickest_picture_and_jumps_are_receipts() {
        let at = |ms: u64| Timestamp::from_nanos(ms * 1_000_000);
        let stamp = |ms: i64| Time { sec: (ms / 1000) as i32, nanosec: (ms % 1000) as u32 * 1_000_000 };
        let mut offset = StampOffset::default();
        // Our clock is 1,000,000 s behind the sender's; the pictures take 30, 10 and 50 ms.
        let base = 1_000_000_000;
        assert_eq!(offset.captured(stamp(base + 100), at(130)), at(130));
        assert_eq!(offset.captured(stamp(base + 200), at(210)), at(210));
        assert_eq!(offset.captured(stamp(base + 300), at(350)), at(310));
        // No stamp, an impossible one, and a clock that was set.
        assert_eq!(offset.captured(Time::default(), at(400)), at(400));
        assert_eq!(offset.captured(Time { sec: 5, nanosec: u32::MAX }, at(400)), at(400));
        assert_eq!(offset.captured(stamp(base + 60_000), at(500)), at(500));
        assert_eq!(offset.captured(stamp(base + 60_100), at(620)), at(600));
        // After two windows the quickest of long ago is forgotten: slow drift is followed.
        assert_eq!(offset.captured(stamp(base + 71_100), at(11_650)), at(11_600));
        assert_eq!(offset.captured(stamp(base + 82_100), at(22_650)), at(22_650));
    }
}
