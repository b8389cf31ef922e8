//! Orders that an emulated controller received, counted by kind: they prove that a dry run sent none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Kinds of orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Joint positions, velocities or torques, or the start of a motion.
    Motion,
    /// Torque or motors on or off.
    Torque,
    /// Another control mode or controller.
    Mode,
    /// Fingers.
    Gripper,
    /// A reset, a recovery or a reboot.
    Recovery,
    /// Any other write: limits, time-outs, gains, clearing a queue.
    Setting,
}

/// Orders received since the controller was started, whether obeyed or not; clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    counts: Arc<Mutex<BTreeMap<Order, u64>>>,
}

impl Orders {
    /// Counts one order.
    pub fn note(&self, order: Order) {
        *self.lock().entry(order).or_default() += 1;
    }

    /// The number of orders of this kind.
    pub fn count(&self, order: Order) -> u64 {
        self.lock().get(&order).copied().unwrap_or(0)
    }

    /// Kinds that were received.
    pub fn all(&self) -> BTreeMap<Order, u64> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Order, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_count_together_by_kind() {
        let orders = Orders::default();
        let other = orders.clone();
        other.note(Order::Motion);
        orders.note(Order::Motion);
        other.note(Order::Torque);
        assert_eq!((orders.count(Order::Motion), orders.count(Order::Torque), orders.count(Order::Mode)), (2, 1, 0));
        assert_eq!(orders.all().len(), 2);
    }
}
