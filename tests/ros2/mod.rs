//! ROS 2 between two nodes on loopback: topics, services, actions, names, quality of service.
//!
//! Every test has its own DDS domain, on loopback only.

mod camera;
mod cyclone;
mod node;
pub mod peer;
/// The driving process is suspended and resumed.
mod stopped;
mod twist;
mod xs_sdk;

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use visuomotor::transport::ros2::{RosNode, RosSettings};

/// Longest wait for anything that must happen: long, so that a busy machine fails nothing.
pub(super) const LONG: Duration = Duration::from_secs(30);

/// A domain no other test of this process uses. Which processes run tests at the same time is not known, so the
/// first domain follows the process id.
pub(super) fn domain() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 7) as u16 * 14;
    1 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 100
}

pub(super) fn node(name: &str, domain: u16) -> RosNode {
    RosNode::start(RosSettings::loopback(name, domain)).unwrap()
}
