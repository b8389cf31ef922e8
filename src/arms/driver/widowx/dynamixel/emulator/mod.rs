//! The arm's nine servos on one bus, emulated: [`BusEmulator`] takes bytes and returns bytes, over a [`Plant`].
//!
//! Start at `bus.rs` (which servo replies, and when), then `servo.rs` (one servo's control table and its rules) and `motion.rs`
//! (profiles, setpoints, the plant). [`EmulatedBus`] and [`EmulatedLink`] put it behind a link in memory on its own clock, which
//! advances by waiting; [`BusServer`] serves a pseudo-terminal in real time.
//!
//! Emulated: stuffing and CRC, status return level and return delay, wire time, shadows through Secondary ID (obeying
//! without an answer, RAM only), registers locked under torque, ranges and limits, the bus watchdog, hardware errors
//! with shut-down, reboot and power cycle, profiles by time, modes position, extended, current-based, velocity, PWM;
//! two servos with one id (their answers collide). Not emulated: current control mode (the joint stays), gains, the sag
//! of a servo under load beyond what the plant does, torque off of single joints (they stay; only all together fall),
//! indirect addresses, bulk instructions, factory reset. The firmware's treatment of a read that spans unused addresses
//! (zeros) is assumed.

mod bus;
mod link;
mod motion;
mod serve;
mod servo;

pub use bus::BusEmulator;
pub use link::{EmulatedBus, EmulatedLink};
pub use serve::{BusServer, serve};
pub use servo::EmulatedServo;

#[cfg(doc)]
use crate::driver::Plant;
