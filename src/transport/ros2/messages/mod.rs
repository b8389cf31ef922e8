//! ROS 2 message types, one file per package, each field as in the package's `.msg` file.

pub mod builtin;
pub mod sensor;
pub mod std;
