//! Action sources without weights, the control rows of an evaluation: the scripted expert, random actions and no motion.
//! They need neither the simulator nor libtorch.

mod expert;
mod random;
mod space;
mod still;
mod torque_expert;

pub use expert::{Assignment, Demonstrator, Disturbance, Then};
pub use random::RandomActions;
pub use space::ActionSpace;
pub use still::Still;
pub use torque_expert::{TorqueDemonstrator, TorqueNoise};
