//! The simulated camera as a ROS 2 publisher: a thread that renders the newest snapshot at a fixed rate.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Duration;

use super::scene::{CameraFeed, Place};
use crate::camera::ros2::stamp;
use crate::cli::link::ros_settings;
use crate::cli::station::StationSetting;
use crate::simulation::{SharedRenderer, SimulatedCamera};
use crate::time::{Clock, SystemClock};
use crate::transport::ros2::messages::sensor::Image;
use crate::transport::ros2::messages::std::Header;
use crate::transport::ros2::{Qos, RosNode, RosPublisher};

/// The thread; dropping it ends it.
pub struct Publisher {
    /// Topic and rate, as text for the user.
    pub place: String,
    quit: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Renders and publishes until dropped.
    pub fn start(
        launch: &Path,
        fps: f64,
        feed: Receiver<CameraFeed>,
        clock: &Arc<SystemClock>,
    ) -> anyhow::Result<Self> {
        let node = RosNode::start(ros_settings("camera")?)?;
        let topic = StationSetting::load(launch)?.launch.camera[0].topic.clone();
        let publisher = node.publisher::<Image>(&topic, Qos::Sensor)?;
        let quit = Arc::new(AtomicBool::new(false));
        let (launch, ended, clock) = (launch.to_path_buf(), quit.clone(), clock.clone());
        let thread = std::thread::Builder::new().name("camera".into()).spawn(move || {
            // The node lives as long as its publisher.
            let _node = node;
            if let Err(error) = publish(&launch, Duration::from_secs_f64(1.0 / fps), &feed, &publisher, &clock, &ended)
            {
                tracing::error!("camera: {error:#}");
            }
        })?;
        let place = format!("camera: {topic}, {fps} images per second");
        Ok(Self { place, quit, thread: Some(thread) })
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.quit.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A panic in the thread was already printed.
            let _ = thread.join();
        }
    }
}

fn publish(
    launch: &Path,
    period: Duration,
    feed: &Receiver<CameraFeed>,
    publisher: &RosPublisher<Image>,
    clock: &SystemClock,
    quit: &AtomicBool,
) -> anyhow::Result<()> {
    // The graphics context belongs to the thread that made it.
    let station = StationSetting::load(launch)?;
    let [width, height] = station.image_size();
    let (name, renderer) = (&station.launch.camera[0].name, SharedRenderer::new(width, height));
    let mut camera: Option<SimulatedCamera> = None;
    let mut next = clock.now();
    while !quit.load(Ordering::SeqCst) {
        if let Some(CameraFeed { place, snapshots }) = feed.try_iter().last() {
            let renderer = renderer.clone();
            camera = Some(match place {
                Place::Kitchen(kitchen) => SimulatedCamera::new(name, &kitchen, renderer, snapshots)?,
                Place::Pedestal(pedestal) => SimulatedCamera::on_pedestal(name, &pedestal, renderer, snapshots)?,
            });
        }
        if let Some(camera) = &mut camera {
            let image = camera.take_picture()?;
            publisher.publish(Image {
                // Wall-clock stamps, as from a real camera driver.
                header: Header { stamp: stamp(image.captured_at, clock.now()), frame_id: name.clone() },
                height: image.height,
                width: image.width,
                encoding: "rgb8".into(),
                is_bigendian: 0,
                step: image.width * 3,
                data: image.pixels.to_vec(),
            })?;
        }
        let now = clock.now();
        next = next + period;
        if next < now {
            next = now;
        }
        std::thread::sleep(next.since(now));
    }
    Ok(())
}
