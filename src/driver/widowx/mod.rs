//! WidowX 250 6-DoF (Interbotix wx250s): nine Dynamixel servos, six joints and a gripper.

pub mod crank;
pub mod driver;
pub mod emulator;
pub mod limits;
pub mod wire;
