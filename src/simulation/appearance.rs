//! Colors, light and camera pose of one episode: as calibrated, or varied from a seed.

use mujoco_rs::prelude::*;
use mujoco_rs::wrappers::mj_model::MjtObjBase;
use nalgebra::{UnitQuaternion, Vector3};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use visuomotor_core::config::Variation;
use visuomotor_core::geometry::Pose;

/// Materials whose color is drawn at random, not only varied.
const CLUTTER_MATERIALS: [&str; 3] = ["clutter_block", "clutter_ball", "clutter_can"];

/// Appearance of one episode.
#[derive(Clone, Debug)]
pub struct Appearance {
    /// Displacement of the camera in its own frame.
    pub(super) camera_shift: Pose,
    paint: Option<(u64, Variation)>,
}

impl Appearance {
    /// The appearance in the files.
    pub fn plain() -> Self {
        Self { camera_shift: Pose::identity(), paint: None }
    }

    /// Random variation within `variation`, from `seed`.
    pub fn varied(variation: Variation, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xca3e_7a00);
        let mut uniform = |limit: f64| if limit > 0.0 { rng.random_range(-limit..=limit) } else { 0.0 };
        let p = variation.camera_position;
        let r = variation.camera_rotation;
        let translation = Vector3::new(uniform(p), uniform(p), uniform(p));
        let rotation = UnitQuaternion::from_euler_angles(uniform(r), uniform(r), uniform(r));
        Self { camera_shift: Pose::from_parts(translation.into(), rotation), paint: Some((seed, variation)) }
    }

    /// Changes materials, loose colors and lights of a compiled model.
    pub(super) fn paint(&self, model: &mut MjModel) {
        let Some((seed, variation)) = self.paint else { return };
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x0c01_0450);
        let mut tint = |rgba: &mut [f32; 4]| {
            for channel in &mut rgba[..3] {
                let factor = 1.0 + rng.random_range(-1.0..=1.0) * variation.color;
                *channel = (f64::from(*channel) * factor).clamp(0.0, 1.0) as f32;
            }
        };
        for rgba in model.mat_rgba_mut() {
            tint(rgba);
        }
        // Clutter may have any color.
        for name in CLUTTER_MATERIALS {
            if let Some(id) = model.name_to_id(MjtObjBase::mjOBJ_MATERIAL, name) {
                let mut rng = ChaCha8Rng::seed_from_u64(seed ^ ((id as u64 + 1) * 0x9e37));
                for channel in &mut model.mat_rgba_mut()[id][..3] {
                    *channel = rng.random_range(0.05..0.95);
                }
            }
        }
        // In MuJoCo a geom's own color overrides its material: setting it would turn everything gray.
        let bare: Vec<bool> = model.geom_matid().iter().map(|material| *material < 0).collect();
        for (rgba, _) in model.geom_rgba_mut().iter_mut().zip(bare).filter(|(_, bare)| *bare) {
            tint(rgba);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x0011_9470);
        let common = 1.0 + rng.random_range(-1.0..=1.0) * variation.light;
        for diffuse in model.light_diffuse_mut() {
            for channel in diffuse {
                *channel = (f64::from(*channel) * common).clamp(0.0, 1.0) as f32;
            }
        }
    }
}
