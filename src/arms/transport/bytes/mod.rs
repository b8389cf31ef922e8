//! Links of bytes: start at [`ByteLink`]; `serial` is a real port, `pty` a port without hardware, `loopback` two ends in memory;
//! `fault` and `trace` wrap any of them.

mod byte_link;
mod descriptor;
mod fault;
mod latency_timer;
mod loopback;
mod pty;
mod serial;
mod trace;

pub use byte_link::{ByteLink, LinkError};
pub use fault::{FaultRates, FaultyLink};
pub use latency_timer::{LatencyTimer, LatencyTimerError};
pub use loopback::{Loopback, loopback};
pub use pty::Pty;
pub use serial::{BAUD, SerialLink};
pub use trace::{Direction, TracedLink};
