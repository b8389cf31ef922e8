//! Exchange of episodes with other formats: independent programs read our exports and write our imports.

mod bridge;
mod conventions;
pub mod fixture;
mod hostile;
mod lerobot;
mod program;
mod robomimic;
mod variants;
