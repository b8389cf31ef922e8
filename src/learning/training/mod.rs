//! Learning from recorded episodes and from video: the data, the loop, and one file per algorithm.
//!
//! [`learn`] is the training loop of every algorithm; [`behavior_cloning`], [`torque_cloning`], [`vip`], [`icvf`], [`cql`]
//! and [`reward_weighted`] are whole algorithms. [`Dataset`] (successes) and [`transitions`] (successes and failures) turn
//! episodes into batches; [`Clips`] does so for videos. [`Adam`] is the optimizer; its moments are saved with each checkpoint
//! ([`checkpoint`]), so that a resumed run continues as if it had not stopped. [`diagnostics`] measures an encoder before a
//! robot uses it. Training never touches hardware: the command line passes in a function for periodic trials.

mod adam;
mod augment;
mod average;
pub mod behavior_cloning;
mod caught;
pub mod checkpoint;
mod clip_augmentation;
pub mod clips;
mod color;
pub mod cql;
mod crop;
mod curves;
mod dataset;
pub mod diagnostics;
#[cfg(test)]
mod golden;
mod hindsight;
pub mod icvf;
mod image_encoder;
mod imitation;
pub mod leakage;
mod prefetch;
mod range;
mod rate;
pub mod reward_weighted;
mod session;
mod settings;
pub mod torque_cloning;
pub mod transitions;
pub mod vip;

pub use adam::Adam;
pub use augment::Augmentation;
pub use clip_augmentation::{ClipAugmentation, Crop};
pub use clips::Clips;
pub use color::{ColorChange, ColorJitter};
pub use crop::{CropBox, draw_crop, draw_shift, resized_crop, shift};
pub use curves::{Curves, curves_svg};
pub use dataset::{Batch, Dataset};
pub use hindsight::Places;
pub use image_encoder::{TrainedEncoder, soft_update, weights_bytes};
pub use range::{Decay, Fraction, NonNegative, Positive};
pub use session::{Batches, Learner, Run, Schedule, Terms, learn, step_seed};
pub use settings::under_former_names;
