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
//! Modules are listed in reading order; each uses only modules above it (ARCHITECTURE.md has the table, a test checks it).

// 0: plain values
pub mod failure;
pub mod time;
pub mod protection;
pub mod untrusted;
pub mod geometry;
pub mod embedding;
pub mod observation;
pub mod action;
pub mod episode;
pub mod operator;
pub mod pickle;
pub mod onnx;
// 1: description of the set-up
pub mod config;
pub mod kinematics;
// 2: edges to the world
pub mod transport;
pub mod camera;
pub mod driver;
// 3: perception, decision, correction
#[cfg(feature = "torch")]
pub mod network;
#[cfg(feature = "torch")]
pub mod encoder;
#[cfg(feature = "torch")]
pub mod policy;
pub mod scripted;
pub mod teleop;
pub mod control;
pub mod safety;
// 4: stand-ins and records
#[cfg(feature = "mujoco")]
pub mod simulation;
pub mod recording;
// 5: exchange with other programs, the loops
#[cfg(feature = "exchange")]
pub mod exchange;
pub mod runtime;
// 6: uses of the loops
pub mod evaluation;
#[cfg(feature = "torch")]
pub mod training;
#[cfg(feature = "page")]
pub mod page;
// 7: command line
pub mod cli;
