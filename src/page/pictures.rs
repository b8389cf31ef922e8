//! Encodes camera images as small JPEGs, on a separate thread and only while a browser watches.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use serde::Serialize;

use crate::observation::Image;
use crate::recording::JpegMaker;
use crate::time::Timestamp;

/// Largest width shown \[pixels\].
const LARGEST_WIDTH: u32 = 640;
/// JPEG quality, 1..=100.
const QUALITY: u8 = 75;
/// Shortest time between two images of a camera.
const PERIOD: Duration = Duration::from_millis(100);
/// Maximum number of cameras; their index is one byte on the wire.
const MOST_CAMERAS: usize = 16;

/// One camera in the page's list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct CameraView {
    name: String,
    width: u32,
    height: u32,
    /// Images replaced by newer ones before they were shown.
    dropped: u64,
    /// Time since the last image came \[s\].
    age_seconds: f64,
}

/// An encoded image: index of the camera and JPEG.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    /// Increments with every image of its camera.
    pub version: u64,
    /// Camera index and JPEG, as sent.
    pub message: Bytes,
}

#[derive(Debug)]
struct Camera {
    name: Arc<str>,
    size: (u32, u32),
    newest: Option<Image>,
    heard_at: Timestamp,
    dropped: u64,
    picture: Option<Picture>,
}

#[derive(Debug, Default)]
struct Inner {
    cameras: Mutex<Vec<Camera>>,
    wake: Condvar,
    watchers: AtomicUsize,
    ended: AtomicBool,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Vec<Camera>> {
        // Fields are replaced as a whole, so a panic leaves no partial update.
        self.cameras.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Newest image of each camera in, newest JPEG out; clones share everything.
#[derive(Clone, Debug, Default)]
pub(super) struct PictureDesk {
    inner: Arc<Inner>,
}

impl PictureDesk {
    /// Stores an image; an older one that was not shown counts as dropped. Pixels are shared, not copied.
    pub fn put(&self, image: &Image, now: Timestamp) {
        let watched = self.inner.watchers.load(Ordering::Relaxed) > 0;
        let mut cameras = self.inner.lock();
        let at = match cameras.iter().position(|camera| camera.name == image.camera) {
            Some(at) => at,
            None if cameras.len() >= MOST_CAMERAS => return,
            None => {
                let (name, size) = (image.camera.clone(), (image.width, image.height));
                cameras.push(Camera { name, size, newest: None, heard_at: now, dropped: 0, picture: None });
                cameras.len() - 1
            }
        };
        let camera = &mut cameras[at];
        camera.size = (image.width, image.height);
        camera.heard_at = now;
        let replaced = camera.newest.replace(image.clone()).is_some();
        camera.dropped += u64::from(replaced && watched);
        drop(cameras);
        self.inner.wake.notify_one();
    }

    /// The page's camera list.
    pub fn cameras(&self, now: Timestamp) -> Vec<CameraView> {
        let view = |camera: &Camera| CameraView {
            name: camera.name.to_string(),
            width: camera.size.0,
            height: camera.size.1,
            dropped: camera.dropped,
            age_seconds: now.since(camera.heard_at).as_secs_f64(),
        };
        self.inner.lock().iter().map(view).collect()
    }

    /// The newest image of each camera.
    pub fn pictures(&self) -> Vec<Option<Picture>> {
        self.inner.lock().iter().map(|camera| camera.picture.clone()).collect()
    }

    /// One more browser watches.
    pub fn watch(&self) {
        self.inner.watchers.fetch_add(1, Ordering::Relaxed);
        self.inner.wake.notify_one();
    }

    /// One browser fewer watches.
    pub fn unwatch(&self) {
        self.inner.watchers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Starts the thread that makes JPEGs; it ends after [`PictureDesk::end`].
    pub fn start(&self) -> io::Result<JoinHandle<()>> {
        let inner = self.inner.clone();
        std::thread::Builder::new().name("page-pictures".into()).spawn(move || work(&inner))
    }

    /// Ends the thread.
    pub fn end(&self) {
        self.inner.ended.store(true, Ordering::Release);
        self.inner.wake.notify_all();
    }
}

fn work(inner: &Inner) {
    let mut makers: Vec<((u32, u32), JpegMaker)> = Vec::new();
    while let Some(images) = next(inner) {
        let began = Instant::now();
        for (at, image) in images {
            let size = fit((image.width, image.height));
            while makers.len() <= at {
                makers.push((size, JpegMaker::new(QUALITY, Some(size))));
            }
            if makers[at].0 != size {
                makers[at] = (size, JpegMaker::new(QUALITY, Some(size)));
            }
            match makers[at].1.encode(&image) {
                Ok(jpeg) => show(inner, at, &jpeg),
                Err(error) => tracing::warn!(%error, "an image cannot be shown"),
            }
        }
        std::thread::sleep(PERIOD.saturating_sub(began.elapsed()));
    }
}

/// Waits for images that a browser needs; `None` at the end.
fn next(inner: &Inner) -> Option<Vec<(usize, Image)>> {
    let mut cameras = inner.lock();
    loop {
        if inner.ended.load(Ordering::Acquire) {
            return None;
        }
        if inner.watchers.load(Ordering::Relaxed) > 0 {
            let images: Vec<_> =
                cameras.iter_mut().enumerate().filter_map(|(at, camera)| Some((at, camera.newest.take()?))).collect();
            if !images.is_empty() {
                return Some(images);
            }
        }
        // The time-out covers a wake-up between the check above and the wait.
        let (guard, _) =
            inner.wake.wait_timeout(cameras, Duration::from_millis(200)).unwrap_or_else(PoisonError::into_inner);
        cameras = guard;
    }
}

fn show(inner: &Inner, at: usize, jpeg: &[u8]) {
    let mut message = Vec::with_capacity(jpeg.len() + 1);
    message.push(at as u8);
    message.extend_from_slice(jpeg);
    if let Some(camera) = inner.lock().get_mut(at) {
        let version = camera.picture.as_ref().map_or(0, |picture| picture.version) + 1;
        camera.picture = Some(Picture { version, message: message.into() });
    }
}

/// Not wider than [`LARGEST_WIDTH`], with the same aspect ratio.
fn fit((width, height): (u32, u32)) -> (u32, u32) {
    if width <= LARGEST_WIDTH {
        return (width, height);
    }
    let scaled = (u64::from(height) * u64::from(LARGEST_WIDTH)).div_ceil(u64::from(width));
    (LARGEST_WIDTH, scaled as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(sequence: u64) -> Image {
        let pixels = vec![90; 800 * 60 * 3].into();
        Image { camera: "front".into(), width: 800, height: 60, pixels, captured_at: Timestamp::ZERO, sequence }
    }

    #[test]
    fn images_are_encoded_only_for_watchers_and_missed_ones_are_counted() {
        let (desk, now) = (PictureDesk::default(), Timestamp::ZERO);
        desk.put(&image(0), now);
        desk.put(&image(1), now);
        assert_eq!(desk.cameras(now)[0].dropped, 0, "nobody watched");
        desk.watch();
        desk.put(&image(2), now);
        assert_eq!(desk.cameras(now)[0].dropped, 1);
        let thread = desk.start().unwrap();
        let made = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            desk.pictures()[0].is_some()
        });
        assert!(made, "no image was made");
        assert_eq!(desk.pictures()[0].as_ref().unwrap().message[..3], [0, 0xff, 0xd8]);
        desk.end();
        thread.join().unwrap();
    }

    #[test]
    fn wide_pictures_are_fitted() {
        assert_eq!(fit((1280, 720)), (640, 360));
        assert_eq!(fit((320, 240)), (320, 240));
        assert_eq!(fit((10_000, 1)), (640, 1));
    }
}
