//! A WidowX behind [`crate::driver::ArmDriver`]: over its own servo bus.

#[cfg(feature = "dynamixel")]
mod dynamixel;

#[cfg(feature = "dynamixel")]
pub use dynamixel::{
    BusCounters, BusError, DynamixelArm, DynamixelOptions, FaultKind, Grip, PositionServo, ServoBus, ServoHealth,
    check_bus, explain,
};
