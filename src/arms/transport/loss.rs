//! Deliberate loss of messages, each direction separately, and corruption of bytes: how the fault matrix stops an emulated
//! controller from receiving or sending on its topics, corrupts its bytes, or disconnects a driving program.
//!
//! Only a build with the feature `fault-controls` has the switches; in any other build nothing is ever lost here.

#[cfg(feature = "fault-controls")]
mod switches {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    static INCOMING: AtomicBool = AtomicBool::new(false);
    static OUTGOING: AtomicBool = AtomicBool::new(false);
    /// State of the generator that selects the bytes to change; 0 while none are changed.
    static CHANGING: AtomicU64 = AtomicU64::new(0);
    /// One byte in this many is changed: a quarter of the replies of seven servos. At half this number, three reads in a row were
    /// broken in one run of five; on such a bus an arm rightly holds.
    const ONE_IN: u64 = 400;
    static NETWORK: AtomicBool = AtomicBool::new(false);

    /// Discards everything this process receives over ROS 2, FCI and the servo bus, and everything it sends, from now on.
    pub fn lose(incoming: bool, outgoing: bool) {
        INCOMING.store(incoming, Ordering::Release);
        OUTGOING.store(outgoing, Ordering::Release);
    }

    /// Changes bytes that this process sends over the servo bus, from now on.
    pub fn change_bytes() {
        CHANGING.store(1, Ordering::Release);
    }

    #[cfg(feature = "dynamixel")]
    pub(crate) fn change(bytes: &mut [u8]) {
        let mut state = CHANGING.load(Ordering::Acquire);
        if state == 0 || bytes.is_empty() {
            return;
        }
        for byte in bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if (state >> 33).is_multiple_of(ONE_IN) {
                *byte ^= (state >> 56) as u8 | 1;
            }
        }
        CHANGING.store(state | 1, Ordering::Release);
    }

    /// Discards everything of this process that would go over a network, services and a guard's beats included, from now on and
    /// forever.
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
    #[cfg(feature = "dynamixel")]
    #[inline(always)]
    pub(crate) fn change(_: &mut [u8]) {}

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

#[cfg(feature = "dynamixel")]
pub(crate) use switches::change;
#[cfg(feature = "fault-controls")]
pub use switches::{change_bytes, lose, lose_network};
pub(crate) use switches::{incoming_is_lost, network_is_lost, outgoing_is_lost};
