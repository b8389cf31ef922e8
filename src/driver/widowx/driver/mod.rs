//! A WidowX behind [`crate::driver::ArmDriver`]: over its own servo bus.

#[cfg(feature = "dynamixel")]
mod dynamixel;

#[cfg(feature = "dynamixel")]
pub use dynamixel::{
    BusCounters, DynamixelArm, DynamixelOptions, FaultKind, Grip, PositionServo, ServoHealth, check_bus, explain,
};
