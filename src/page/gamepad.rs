//! The newest gamepad state of the browser that has the controls.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{Clock, Timestamp};

/// Maximum numbers of axes and buttons.
const MOST: (usize, usize) = (16, 64);

/// A gamepad as reported by the browser ("standard" mapping), or keys that emulate one.
///
/// Axes: 0 left stick to the right, 1 left stick down, 2 right stick to the right, 3 right stick down, each -1..=1.
/// Buttons: 0 A, 1 B, 2 X, 3 Y, 4 left bumper, 5 right bumper, 6 left trigger, 7 right trigger.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageGamepad {
    /// Position of each axis, -1..=1.
    pub axes: Vec<f64>,
    /// Is each button pressed?
    pub buttons: Vec<bool>,
    /// Increments with every message of one browser.
    pub sequence: u64,
}

/// Slot for the newest gamepad message; clones share it. Empty unless a browser has the controls and drives.
#[derive(Clone)]
pub struct GamepadSlot {
    newest: Arc<Mutex<Option<(PageGamepad, Timestamp)>>>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for GamepadSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GamepadSlot").field("newest", &self.newest).finish_non_exhaustive()
    }
}

impl GamepadSlot {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { newest: Arc::default(), clock }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(PageGamepad, Timestamp)>> {
        // Values are replaced as a whole, so a panic leaves no partial update.
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest message and the time since it was received; the reader judges that.
    pub fn newest(&self) -> Option<(PageGamepad, Duration)> {
        let (gamepad, received) = self.lock().clone()?;
        Some((gamepad, self.clock.now().since(received)))
    }

    /// Stores a message; false if it is invalid or older than the newest.
    pub(super) fn put(&self, mut gamepad: PageGamepad, now: Timestamp) -> bool {
        let sound = gamepad.axes.len() <= MOST.0
            && gamepad.buttons.len() <= MOST.1
            && gamepad.axes.iter().all(|axis| axis.is_finite());
        let mut newest = self.lock();
        if !sound || newest.as_ref().is_some_and(|(old, _)| old.sequence >= gamepad.sequence) {
            return false;
        }
        for axis in &mut gamepad.axes {
            *axis = axis.clamp(-1.0, 1.0);
        }
        *newest = Some((gamepad, now));
        true
    }

    /// Clears the gamepad: its browser has lost the controls.
    pub(super) fn clear(&self) {
        *self.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::ManualClock;

    fn gamepad(sequence: u64, axis: f64) -> PageGamepad {
        PageGamepad { axes: vec![axis], buttons: vec![true], sequence }
    }

    #[test]
    fn only_newer_and_valid_messages_are_taken() {
        let clock = Arc::new(ManualClock::new());
        let (slot, now) = (GamepadSlot::new(clock.clone()), clock.now());
        assert!(slot.put(gamepad(2, 7.0), now));
        clock.advance(Duration::from_millis(40));
        let (newest, age) = slot.newest().unwrap();
        assert_eq!((newest.axes.as_slice(), age), ([1.0].as_slice(), Duration::from_millis(40)));
        assert!(!slot.put(gamepad(2, 0.0), now));
        assert!(!slot.put(gamepad(3, f64::NAN), now));
        assert!(!slot.put(PageGamepad { axes: vec![0.0; 17], ..gamepad(4, 0.0) }, now));
        assert_eq!(slot.newest().unwrap().0.sequence, 2);
        slot.clear();
        assert!(slot.newest().is_none());
        assert!(slot.put(gamepad(1, 0.0), now), "another browser counts from its own start");
    }
}
