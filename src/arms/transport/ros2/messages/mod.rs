//! ROS 2 message types, one file per package, each field as in the package's `.msg` file and in its order.
//!
//! Serde writes them as the maker's nodes do (XCDR1). They were checked byte by byte against another implementation:
//! `tests/golden/make_ros_messages.py` made the bytes that `tests/ros2_arms/golden.rs` compares with. Where a package's
//! messages changed between ROS 2 distributions, the folder of the chosen one is compiled ([`control_state`],
//! [`controller_manager`]).

pub mod action;
pub mod array;
pub mod builtin;
pub mod control;
#[cfg_attr(feature = "humble", path = "humble/mod.rs")]
#[cfg_attr(not(feature = "humble"), path = "jazzy/mod.rs")]
mod distribution;
pub mod franka;
pub mod geometry;
pub mod interbotix;
pub mod intera;
pub mod kinova;
pub mod sensor;
pub mod std;
pub mod std_srvs;
pub mod trajectory;

pub use distribution::{control_state, controller_manager};

/// Names the package, type and parts of services.
macro_rules! ros_services {
    ($package:literal: $($(#[$doc:meta])* $service:ident($request:ty, $response:ty)),+ $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $service;
            impl $crate::transport::ros2::RosService for $service {
                const PACKAGE: &'static str = $package;
                const NAME: &'static str = stringify!($service);
                type Request = $request;
                type Response = $response;
            }
        )+
    };
}
use ros_services;
