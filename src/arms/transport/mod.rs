//! Bytes and messages to and from controllers: serial ports, ROS 2, and their stand-ins.
//!
//! Nothing here depends on an arm. Each link is a feature of its own. Bytes: start at [`ByteLink`]; `serial` is a real port, `pty`
//! a port without hardware, `loopback` two ends in memory; `fault` and `trace` wrap any of them.

#[cfg(feature = "dynamixel")]
mod byte_link;
#[cfg(feature = "dynamixel")]
mod descriptor;
#[cfg(feature = "dynamixel")]
mod fault;
#[cfg(feature = "dynamixel")]
mod latency_timer;
#[cfg(feature = "dynamixel")]
mod loopback;
#[cfg(any(feature = "dynamixel", feature = "ros2", feature = "fci"))]
pub mod loss;
#[cfg(feature = "dynamixel")]
mod pty;
#[cfg(feature = "ros2")]
pub mod ros2;
#[cfg(feature = "dynamixel")]
mod serial;
#[cfg(feature = "dynamixel")]
mod trace;

#[cfg(feature = "dynamixel")]
pub use byte_link::{ByteLink, LinkError};
#[cfg(feature = "dynamixel")]
pub use fault::{FaultRates, FaultyLink};
#[cfg(feature = "dynamixel")]
pub use latency_timer::{LatencyTimer, LatencyTimerError};
#[cfg(feature = "dynamixel")]
pub use loopback::{Loopback, loopback};
#[cfg(feature = "dynamixel")]
pub use pty::Pty;
#[cfg(feature = "dynamixel")]
pub use serial::{BAUD, SerialLink};
#[cfg(feature = "dynamixel")]
pub use trace::{Direction, TracedLink};
