//! ROS 2 without a ROS installation: message types, names, a node, and the bridge thread between it and the control loop.
//!
//! Start reading at [`RosNode`]. A topic read by an ordinary thread:
//!
//! ```no_run
//! use std::time::Duration;
//! use visuomotor_arms::transport::ros2::messages::sensor::JointState;
//! use visuomotor_arms::transport::ros2::{Qos, RosNode, RosSettings};
//!
//! let node = RosNode::start(RosSettings::from_environment("visuomotor")?.with_namespace("wx250s"))?;
//! let mut states = node.subscriber::<JointState>("joint_states", Qos::State)?;
//! let waited = Duration::from_secs(5);
//! match states.wait(waited)? {
//!     Some(state) => println!("{:?}", state.position),
//!     None => println!("{}", states.silence(waited)),
//! }
//! # Ok::<(), visuomotor_arms::transport::ros2::RosError>(())
//! ```
//!
//! A driver puts its publishers and subscribers into a [`BridgeWorker`] and keeps the [`Bridge`]; the control thread then
//! calls only [`Bridge::state`] and [`Bridge::send`].
//!
//! Known properties of the middleware: RustDDS does not announce type hashes, so peers from Iron on log one line about it and work.
//! Its event loops end at the first signal unless `epoll_wait` is ours (`epoll.rs`), and [`RosNode::loops_alive`] reports whether
//! they are alive. Services of different `RMW_IMPLEMENTATION`s are incompatible ([`ServiceLayout`]).

mod action;
mod bridge;
mod client;
mod epoll;
mod erased;
mod error;
mod loops;
pub mod message;
pub mod messages;
mod node;
mod qos;
mod repeated;
mod server;
mod settings;
mod topic;
mod wait;

pub use action::{ActionEnd, RosActionClient};
pub use bridge::{Bridge, BridgeWorker, Pacing};
pub use client::{PendingRequest, RosClient};
pub use epoll::repeated_waits;
pub use error::RosError;
pub use message::{RosAction, RosMessage, RosService};
pub use node::{Endpoint, RosNode, count_as_own};
pub use qos::Qos;
pub use repeated::RepeatedRequest;
pub use server::RosServer;
pub use settings::{DiscoveryRange, RosSettings, ServiceLayout};
pub use topic::{RosPublisher, RosSubscriber};
