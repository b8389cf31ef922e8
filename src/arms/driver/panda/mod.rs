//! Franka Emika Robot (FER, "Panda") and Franka Research 3 (FR3).
//!
//! A folder per link, each with `wire` (bytes or messages, pure), `driver` and `emulator`: [`fci`] speaks Franka's own 1 kHz interface
//! and is the direct torque path; [`ros2`] is the maker's ros2_control stack. Start reading at [`limits`], then a driver.

#[cfg(feature = "fci")]
pub mod fci;
pub mod limits;
#[cfg(feature = "ros2")]
pub mod ros2;
