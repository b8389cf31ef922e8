//! From an embedding and proprioception to an action.
//!
//! A policy is a folder: `policy.toml` (what it was made for), `encoder.safetensors`, `head.safetensors`, and the record
//! of its training. [`VisualPolicy`] runs it as an [`ActionSource`](crate::action::ActionSource); [`Checkpoint`] refuses
//! it when arm, camera image size, rate, bounds or encoder do not fit, before anything moves.

mod checkpoint;
mod head;
mod visual_policy;

pub use checkpoint::{Checkpoint, PolicyError, StateScale};
pub use head::{ActionHead, LOG_STD_RANGE, Output, PLACES};
pub use visual_policy::VisualPolicy;
