//! Episodes to and from the formats of others: independent programs read what we write and write what we read.

mod bridge;
pub mod fixture;
mod hostile;
mod lerobot;
mod program;
mod robomimic;
