//! The simulated camera: renders the newest snapshot at the real camera's size.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mujoco_rs::prelude::*;
use mujoco_rs::renderer::MjRenderer;
use triple_buffer::Output;

use super::SimulationError;
use super::kitchen::Kitchen;
use super::pedestal::Pedestal;
use super::plant::Snapshot;
use visuomotor_arms::camera::{Camera, CameraError};
use visuomotor_core::observation::Image;
use visuomotor_core::time::Timestamp;

/// An offscreen renderer, kept from episode to episode: its graphics context is slow to create and bound to its thread.
#[derive(Clone)]
pub struct SharedRenderer {
    renderer: Rc<RefCell<Option<Drawing>>>,
    width: u32,
    height: u32,
}

/// A renderer and the model whose textures it has loaded.
struct Drawing {
    renderer: MjRenderer,
    model: Arc<MjModel>,
}

impl SharedRenderer {
    /// A renderer of images of this size \[pixels\]; created at first use.
    pub fn new(width: u32, height: u32) -> Self {
        Self { renderer: Rc::new(RefCell::new(None)), width, height }
    }

    /// Width and height \[pixels\].
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Concurrent software rendering in two threads ends the process inside Mesa's driver (seen with Mesa 22.3).
    fn one_at_a_time() -> MutexGuard<'static, ()> {
        static DRAWING: Mutex<()> = Mutex::new(());
        DRAWING.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renders these coordinates with a camera of the model: `height * width * 3` bytes, RGB.
    pub fn draw(&self, data: &mut MjData<Arc<MjModel>>, camera: usize) -> Result<Arc<[u8]>, SimulationError> {
        let model = data.model_clone();
        let _drawing = Self::one_at_a_time();
        let mut slot = self.renderer.borrow_mut();
        let rendering = |e: mujoco_rs::renderer::RendererError| SimulationError::NoGraphics { why: e.to_string() };
        let drawing = match slot.as_mut() {
            Some(drawing) => drawing,
            None => {
                let renderer = MjRenderer::builder()
                    .width(self.width)
                    .height(self.height)
                    .num_visual_internal_geom(100)
                    .rgb(true)
                    .depth(false)
                    .camera(MjvCamera::new_fixed(camera))
                    .build(data.model())
                    .map_err(|error| SimulationError::NoGraphics { why: error.to_string() })?;
                slot.insert(Drawing { renderer, model: Arc::clone(&model) })
            }
        };
        let renderer = &mut drawing.renderer;
        renderer.set_camera(MjvCamera::new_fixed(camera));
        renderer.sync_data(data).map_err(rendering)?;
        if !Arc::ptr_eq(&drawing.model, &model) {
            // Models of equal layout share a context in MuJoCo, even if their textures differ.
            renderer.update_textures_from(&model).map_err(rendering)?;
            drawing.model = model;
        }
        renderer.render().map_err(rendering)?;
        let pixels = renderer.rgb_flat().ok_or_else(|| SimulationError::NoGraphics { why: "no image".into() })?;
        Ok(Arc::from(pixels))
    }
}

/// MuJoCo's renderer behind [`Camera`].
pub struct SimulatedCamera {
    name: Arc<str>,
    renderer: SharedRenderer,
    data: MjData<Arc<MjModel>>,
    camera: usize,
    snapshots: Output<Snapshot>,
    newest: Option<Image>,
    sequence: u64,
}

impl SimulatedCamera {
    /// A camera of a kitchen that receives the arm's snapshots. Renders one image, so that missing graphics is found before
    /// anything moves.
    pub fn new(
        name: &str,
        kitchen: &Kitchen,
        renderer: SharedRenderer,
        snapshots: Output<Snapshot>,
    ) -> Result<Self, SimulationError> {
        Self::watching(name, &kitchen.model, kitchen.camera, renderer, snapshots)
    }

    /// A camera in front of an arm on its pedestal.
    pub fn on_pedestal(
        name: &str,
        pedestal: &Pedestal,
        renderer: SharedRenderer,
        snapshots: Output<Snapshot>,
    ) -> Result<Self, SimulationError> {
        Self::watching(name, &pedestal.model, pedestal.camera, renderer, snapshots)
    }

    fn watching(
        name: &str,
        model: &Arc<MjModel>,
        camera: usize,
        renderer: SharedRenderer,
        snapshots: Output<Snapshot>,
    ) -> Result<Self, SimulationError> {
        let mut camera = Self {
            name: name.into(),
            renderer,
            data: MjData::new(Arc::clone(model)),
            camera,
            snapshots,
            newest: None,
            sequence: 0,
        };
        camera.take_picture()?;
        Ok(camera)
    }

    /// Renders the newest snapshot.
    pub fn take_picture(&mut self) -> Result<Image, SimulationError> {
        let snapshot = self.snapshots.read();
        let at = snapshot.at;
        if let Some(image) = self.newest.as_ref().filter(|i| i.captured_at == at) {
            return Ok(image.clone());
        }
        self.data.qpos_mut().copy_from_slice(&snapshot.qpos);
        self.data.forward_kinematics();
        let pixels = self.renderer.draw(&mut self.data, self.camera)?;
        let (width, height) = self.renderer.size();
        let image =
            Image { camera: self.name.clone(), width, height, pixels, captured_at: at, sequence: self.sequence };
        self.sequence += 1;
        self.newest = Some(image.clone());
        Ok(image)
    }
}

impl Camera for SimulatedCamera {
    fn name(&self) -> &str {
        &self.name
    }

    fn newest(&mut self, _now: Timestamp) -> Result<Image, CameraError> {
        self.take_picture()
            .map_err(|error| CameraError::Silent { camera: self.name.to_string(), why: error.to_string() })
    }
}
