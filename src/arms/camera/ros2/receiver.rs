//! The camera's thread: receives messages and keeps the newest image.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::pixels::{PictureError, rgb};
use super::stamp::{nanos, wall_nanos};
use crate::camera::stamps::Stamps;
use crate::transport::ros2::messages::sensor::Image as Picture;
use crate::transport::ros2::{Qos, RosError, RosNode, RosSubscriber};
use visuomotor_core::observation::Image;
use visuomotor_core::protection::Protection;
use visuomotor_core::time::Clock;

/// How long the thread waits before it reports why nothing comes.
const PATIENCE: Duration = Duration::from_millis(500);

/// Result of the messages so far.
#[derive(Default)]
pub(super) struct Latest {
    pub(super) image: Option<Image>,
    pub(super) refused: u64,
    pub(super) refused_in_a_row: u64,
    pub(super) last_refusal: Option<PictureError>,
    pub(super) silence: String,
}

/// The camera's thread and its result.
pub(super) struct Receiving {
    pub(super) latest: Arc<Mutex<Latest>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiving {
    /// Subscribes and starts the thread.
    pub(super) fn start(
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

impl Drop for Receiving {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A thread that panicked has reported it.
            let _ = thread.join();
        }
    }
}

pub(super) fn lock<T>(latest: &Mutex<T>) -> MutexGuard<'_, T> {
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
                    // Woken by the next image.
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
        // Read one after the other: the wall clock is only used for the difference to the stamp.
        let (now, wall) = (self.clock.now(), wall_nanos());
        let captured_at = if !Protection::ImageLiveness.is_on() {
            now
        } else {
            let mut stamps = lock(&self.stamps);
            let before = stamps.come_from_another_clock();
            let captured = stamps.captured(nanos(picture.header.stamp), now, wall)?;
            if stamps.come_from_another_clock() && !before {
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
