//! Action sources without weights: the scripted expert and random actions, the control rows of an evaluation. They need
//! neither the simulator nor libtorch.

mod expert;
mod random;

pub use expert::{Assignment, Demonstrator, Disturbance};
pub use random::RandomActions;
