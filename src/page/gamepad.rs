//! The gamepad in front of the browser that has the controls, as a newest value.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Most axes and most buttons taken of a gamepad.
const MOST: (usize, usize) = (16, 64);

/// A gamepad as the browser reports it ("standard" mapping), or keys that stand for one.
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
    /// Counts up with every message of one browser.
    pub sequence: u64,
}

/// Where the newest gamepad message lies; clones share it. Empty without a browser that has the controls and drives.
#[derive(Clone, Debug, Default)]
pub struct GamepadSlot {
    newest: Arc<Mutex<Option<(PageGamepad, Instant)>>>,
}

impl GamepadSlot {
    fn lock(&self) -> MutexGuard<'_, Option<(PageGamepad, Instant)>> {
        // A whole value is replaced by a whole value: nothing is half changed after a panic.
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest message and when it was received; the reader judges its age.
    pub fn newest(&self) -> Option<(PageGamepad, Instant)> {
        self.lock().clone()
    }

    /// Puts a message down; false for one that is no gamepad's or older than the newest.
    pub(super) fn put(&self, mut gamepad: PageGamepad, now: Instant) -> bool {
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

    /// Forgets the gamepad: whoever held it has the controls no more.
    pub(super) fn clear(&self) {
        *self.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gamepad(sequence: u64, axis: f64) -> PageGamepad {
        PageGamepad { axes: vec![axis], buttons: vec![true], sequence }
    }

    #[test]
    fn only_newer_and_sound_messages_are_taken() {
        let (slot, now) = (GamepadSlot::default(), Instant::now());
        assert!(slot.put(gamepad(2, 7.0), now));
        assert_eq!(slot.newest().unwrap().0.axes, [1.0]);
        assert!(!slot.put(gamepad(2, 0.0), now));
        assert!(!slot.put(gamepad(3, f64::NAN), now));
        assert!(!slot.put(PageGamepad { axes: vec![0.0; 17], ..gamepad(4, 0.0) }, now));
        assert_eq!(slot.newest().unwrap().0.sequence, 2);
        slot.clear();
        assert!(slot.newest().is_none());
        assert!(slot.put(gamepad(1, 0.0), now), "another browser counts from its own start");
    }
}
