//! `visuomotor` runs real robot arms from camera images with value-pretrained visual encoders (VIP, V-PTR) and the
//! policies fine-tuned on them, and collects the demonstrations, trains, and scores those policies.
//!
//! ```text
//! camera image -> encoder -> policy -> action slot -> control -> safety -> driver -> arm
//!   (camera/)    (encoder/)  (policy/)   (runtime/)   (control/) (safety/)  (driver/)
//! `-------- decision loop, policy rate (5 Hz) -------'`--- control loop, control rate (50 Hz) ---'
//!       ^                                                   |
//!       `-- simulation/ stands in for camera and arm        `-> every tick -> recording/
//! ```
//!
//! One package per layer, in `src/`; each may use only what its manifest names, so Cargo keeps the layers apart. This one has the
//! command line and the page, and offers the modules of all.

pub use visuomotor_core::{
    action, chart, config, embedding, episode, failure, geometry, kinematics, observation, onnx, operator, pickle,
    protection, realtime, time, untrusted,
};

pub use visuomotor_arms::{camera, conformance, driver, teleop, transport};

#[cfg(feature = "exchange")]
pub use visuomotor_records::exchange;
pub use visuomotor_records::recording;

#[cfg(feature = "torch")]
pub use visuomotor_learning::{encoder, network, policy, training};

pub use visuomotor_station::{control, evaluation, runtime, safety, scripted};

#[cfg(feature = "mujoco")]
pub use visuomotor_simulation as simulation;

#[cfg(feature = "page")]
pub mod page;

pub mod cli;
