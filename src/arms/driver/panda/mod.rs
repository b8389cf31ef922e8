//! Franka Emika Robot (FER, "Panda") and Franka Research 3 (FR3).
//!
//! Two ways to the arm: [`driver::fci`] speaks Franka's own 1 kHz interface and is the arm's honest torque path; `ros2`
//! is the maker's ros2_control stack. Start reading at [`limits`], then [`driver`].

pub mod driver;
pub mod emulator;
pub mod limits;
pub mod wire;
