//! From an embedding and proprioception to an action.
//!
//! A policy is a folder: `policy.toml` (what it was made for), `encoder.safetensors`, `head.safetensors`, and the record of
//! its training. [`VisualPolicy`] runs it as an [`ActionSource`](visuomotor_core::action::ActionSource); [`Checkpoint`]
//! refuses it before anything moves when arm, camera image size, rate, bounds or encoder do not fit. A policy trained by CQL
//! includes its critic (`critic.safetensors`); [`StateValue`] evaluates the states of a rollout with it.

mod actor;
mod brought;
mod checkpoint;
mod critic;
mod head;
mod locator;
mod to_onnx;
mod torque_head;
mod value;
mod visual_policy;

pub use actor::{Actor, TanhGaussian};
pub use brought::{
    ActionKind, BroughtPolicy, Channels, Condition, Data, Description, Input, Module, Output as BroughtOutput,
    OutputScaling, Pixels, Scaling, Units, embeddings_digest, try_out,
};
pub use checkpoint::{Checkpoint, CriticRecord, HeadKind, Offer, PolicyError, StateScale};
pub use critic::{Critic, CriticShape, Reappended};
pub use head::{ActionHead, LOG_STD_RANGE, Output};
pub use locator::PLACES;
pub use to_onnx::{ConvertError, Converted};
pub use torque_head::{JointScale, TorqueHead, TorqueOutput};
pub use value::StateValue;
pub use visual_policy::VisualPolicy;
