//! MuJoCo stand-ins for the arm and the camera, and the toy kitchen.
//!
//! Any arm of `robots/` can stand alone ([`Pedestal`]); [`MujocoPlant`] is the mechanics behind an emulated controller. The
//! stand-ins implement the same traits as hardware and return only what hardware returns. Object poses are read in two
//! places: when the scene is set up ([`Kitchen::placed_pose`], before an episode starts) and by the success check
//! ([`SuccessRule`]). Start reading at [`Kitchen`].

mod appearance;
mod arm;
mod arm_model;
mod camera;
mod camera_mjcf;
mod hand;
mod judge;
mod kitchen;
mod pedestal;
mod plant;

use std::path::PathBuf;

use visuomotor_core::failure::{Failing, FailureKind};

pub use mujoco_rs;

pub use appearance::Appearance;
pub use arm::SimulatedArm;
pub use arm_model::arm_mjcf;
pub use camera::{SharedRenderer, SimulatedCamera};
pub use hand::{FRAMES as HAND_FRAMES, HandClip, HandVocabulary};
pub use judge::SuccessRule;
pub use kitchen::{Kitchen, KitchenParts, Layout, Placed};
pub use pedestal::Pedestal;
pub use plant::{MujocoPlant, Snapshot};

/// The simulation cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// A scene file is missing or MuJoCo refuses it.
    #[error("{}: {why}", file.display())]
    Scene {
        /// The file.
        file: PathBuf,
        /// MuJoCo's or the file system's error.
        why: String,
    },
    /// No offscreen rendering.
    #[error(
        "no offscreen rendering ({why}); install libegl1, libegl-mesa0 and libgl1-mesa-dri (`cargo xtask setup` does)"
    )]
    NoGraphics {
        /// The graphics library's error.
        why: String,
    },
}

impl Failing for SimulationError {
    fn failure(&self) -> FailureKind {
        match self {
            Self::Scene { .. } => FailureKind::Usage,
            Self::NoGraphics { .. } => FailureKind::Machine,
        }
    }
}

/// Sends MuJoCo's messages to the log and keeps software rendering on the calling thread; call once, before anything else in
/// a program.
///
/// Mesa's llvmpipe starts a thread per core for each graphics context; on two cores that makes the small images here several
/// times slower when anything else runs. An LP_NUM_THREADS set by the caller takes precedence.
pub fn prepare_process() {
    if std::env::var_os("LP_NUM_THREADS").is_none() {
        // SAFETY: called before any other thread exists.
        unsafe { std::env::set_var("LP_NUM_THREADS", "0") };
    }
    // SAFETY: called before any other MuJoCo call, from the main thread.
    unsafe { mujoco_rs::logging::install_logging_hook() };
}
