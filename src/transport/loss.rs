//! Messages lost on purpose, each direction apart: how the fault matrix makes an emulated controller deaf or mute on its topics, or
//! cuts a driving program off.
//!
//! Only a build with the feature `fault-controls` has the switches; in every other nothing is ever lost here.

#[cfg(feature = "fault-controls")]
mod switches {
    use std::sync::atomic::{AtomicBool, Ordering};

    static INCOMING: AtomicBool = AtomicBool::new(false);
    static OUTGOING: AtomicBool = AtomicBool::new(false);
    static NETWORK: AtomicBool = AtomicBool::new(false);

    /// Throws away what this process receives over ROS 2, FCI and the servo bus, and what it sends, from now on.
    pub fn lose(incoming: bool, outgoing: bool) {
        INCOMING.store(incoming, Ordering::Release);
        OUTGOING.store(outgoing, Ordering::Release);
    }

    /// Throws away everything of this process that would go over a network, services and a guard's beats included, from now on
    /// and for ever.
    pub fn lose_network() {
        NETWORK.store(true, Ordering::Release);
    }

    pub(crate) fn incoming_is_lost() -> bool {
        INCOMING.load(Ordering::Acquire) || network_is_lost()
    }

    pub(crate) fn outgoing_is_lost() -> bool {
        OUTGOING.load(Ordering::Acquire) || network_is_lost()
    }

    pub(crate) fn network_is_lost() -> bool {
        NETWORK.load(Ordering::Acquire)
    }
}

#[cfg(not(feature = "fault-controls"))]
mod switches {
    #[inline(always)]
    pub(crate) const fn incoming_is_lost() -> bool {
        false
    }

    #[inline(always)]
    pub(crate) const fn outgoing_is_lost() -> bool {
        false
    }

    #[inline(always)]
    pub(crate) const fn network_is_lost() -> bool {
        false
    }
}

pub(crate) use switches::{incoming_is_lost, network_is_lost, outgoing_is_lost};
#[cfg(feature = "fault-controls")]
pub use switches::{lose, lose_network};
