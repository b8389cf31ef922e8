//! How messages travel. A reliable publisher serves every subscriber, a best-effort one only best-effort subscribers.

use std::time::Duration;

use ros2_client::QosProfile;
use ros2_client::qos::{Durability, History, WhenFull};

/// Delivery of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// Commands: reliable both ways; publishing never waits.
    Command,
    /// States: a subscriber takes best effort and only the newest; a publisher is reliable, so that it serves every subscriber.
    State,
    /// Images: best effort, only the newest, both ways.
    Sensor,
    /// Reliable both ways.
    Reliable,
    /// Reliable, and late subscribers get the last message (`robot_description`).
    Latched,
}

/// Samples a reliable publisher keeps for a subscriber that has not acknowledged them. RustDDS stops accepting samples at this
/// limit, where ROS 2's own middlewares drop the oldest. So one dead subscriber (`ros2 topic echo` killed) could stop our commands
/// after ten. At up to 100 Hz this many outlast the time after which a dead subscriber is removed (10 to 60 s).
const UNACKNOWLEDGED: usize = 8192;

impl Qos {
    pub(super) fn publisher(self) -> QosProfile {
        let base = QosProfile::publisher_default().history(History::KeepLast { depth: UNACKNOWLEDGED });
        match self {
            Qos::Command | Qos::State => base.reliability_reliable(WhenFull::Fail),
            Qos::Sensor => base.reliability_best_effort().history(History::KeepLast { depth: 1 }),
            Qos::Reliable => base.reliability_reliable(WhenFull::Wait(Duration::from_millis(100))),
            Qos::Latched => base.durability(Durability::TransientLocal).history(History::KeepLast { depth: 1 }),
        }
    }

    pub(super) fn subscriber(self) -> QosProfile {
        let reliable = QosProfile::subscription_default()
            .reliability_reliable(WhenFull::DEFAULT)
            .history(History::KeepLast { depth: 10 });
        match self {
            Qos::State | Qos::Sensor => QosProfile::subscription_default(),
            Qos::Command | Qos::Reliable => reliable,
            Qos::Latched => reliable.durability(Durability::TransientLocal),
        }
    }
}
