//! The WidowX on its servo bus: driver against emulated servos in memory, and the manufacturer's own SDK against them on a
//! pseudo-terminal.

mod bad_input;
mod bench_station;
#[cfg(feature = "mujoco")]
mod consent;
mod leader;
mod noise;
mod official_sdk;
mod story;
mod terminal;
