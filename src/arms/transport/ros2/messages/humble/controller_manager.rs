//! `controller_manager_msgs` as in Humble.

use serde::{Deserialize, Serialize};

use crate::transport::ros2::message::ros_messages;
use crate::transport::ros2::messages::builtin::Duration;
use crate::transport::ros2::messages::ros_services;
use crate::transport::ros2::messages::std::Empty;

/// `controller_manager_msgs/msg/ChainConnection`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainConnection {
    /// Controller that takes references.
    pub name: String,
    /// Which.
    pub reference_interfaces: Vec<String>,
}

/// `controller_manager_msgs/msg/ControllerState`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerState {
    /// Name.
    pub name: String,
    /// `unconfigured`, `inactive`, `active` or `finalized`.
    pub state: String,
    /// Class.
    #[serde(rename = "type")]
    pub kind: String,
    /// Command interfaces it holds (`panda_joint1/position`).
    pub claimed_interfaces: Vec<String>,
    /// Command interfaces it wants.
    pub required_command_interfaces: Vec<String>,
    /// State interfaces it wants.
    pub required_state_interfaces: Vec<String>,
    /// Can others feed it?
    pub is_chainable: bool,
    /// Does another feed it?
    pub is_chained: bool,
    /// References it gives.
    pub reference_interfaces: Vec<String>,
    /// Controllers it feeds.
    pub chain_connections: Vec<ChainConnection>,
}

ros_messages!("controller_manager_msgs": ChainConnection, ControllerState);

/// Response of [`ListControllers`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListControllersResponse {
    /// The controllers loaded.
    pub controller: Vec<ControllerState>,
}

/// Request of [`SwitchController`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchControllerRequest {
    /// Controllers to start.
    pub activate_controllers: Vec<String>,
    /// Controllers to stop.
    pub deactivate_controllers: Vec<String>,
    /// `activate_controllers` under its old name.
    pub start_controllers: Vec<String>,
    /// `deactivate_controllers` under its old name.
    pub stop_controllers: Vec<String>,
    /// 1 best effort, 2 strict, code.
    pub strictness: i32,
    /// `activate_asap` under its old name.
    pub start_asap: bool,
    /// Without waiting for all interfaces?
    pub activate_asap: bool,
    /// Longest wait; zero is forever.
    pub timeout: Duration,
}

impl SwitchControllerRequest {
    /// All or nothing.
    pub const STRICT: i32 = 2;

    /// Starts these and stops those, all or nothing.
    pub fn strict(start: Vec<String>, stop: Vec<String>, timeout: Duration) -> Self {
        Self {
            activate_controllers: start,
            deactivate_controllers: stop,
            strictness: Self::STRICT,
            timeout,
            ..Default::default()
        }
    }
}

/// Response of [`SwitchController`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchControllerResponse {
    /// Were they switched?
    pub ok: bool,
}

impl SwitchControllerResponse {
    /// Answer of a controller manager; Humble has no words for it.
    pub fn new(ok: bool, message: String) -> Self {
        drop(message);
        Self { ok }
    }
}

ros_services!(
    "controller_manager_msgs":
    /// `controller_manager_msgs/srv/ListControllers`.
    ListControllers(Empty, ListControllersResponse),
    /// `controller_manager_msgs/srv/SwitchController`.
    SwitchController(SwitchControllerRequest, SwitchControllerResponse),
);
