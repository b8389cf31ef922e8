//! Tracks which browser has the controls. Time is an argument.

use std::time::Duration;

use crate::time::Timestamp;

/// One connected browser.
pub(super) type BrowserId = u64;

/// Reason why a browser lost the controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// Another browser took them over.
    TakenOver,
    /// It was silent.
    Silent,
}

/// At most one browser holds the controls.
#[derive(Debug)]
pub(super) struct Controls {
    silent_after: Duration,
    holder: Option<(BrowserId, Timestamp)>,
    /// The last browser to lose them, and the reason.
    lost: Option<(BrowserId, Lost)>,
}

impl Controls {
    /// They are free.
    pub fn new(silent_after: Duration) -> Self {
        Self { silent_after, holder: None, lost: None }
    }

    /// Who has them at `now`.
    pub fn holder(&mut self, now: Timestamp) -> Option<BrowserId> {
        let (id, heard) = self.holder?;
        if now.since(heard) > self.silent_after {
            self.holder = None;
            self.lost = Some((id, Lost::Silent));
            return None;
        }
        Some(id)
    }

    /// Who had them at the last query or change.
    pub fn last_holder(&self) -> Option<BrowserId> {
        self.holder.map(|(id, _)| id)
    }

    /// Takes them if they are free; false otherwise.
    pub fn take(&mut self, id: BrowserId, now: Timestamp) -> bool {
        match self.holder(now) {
            Some(other) if other != id => false,
            _ => {
                self.holder = Some((id, now));
                true
            }
        }
    }

    /// Takes them from any holder.
    pub fn take_over(&mut self, id: BrowserId, now: Timestamp) {
        if let Some(other) = self.holder(now).filter(|other| *other != id) {
            self.lost = Some((other, Lost::TakenOver));
        }
        self.holder = Some((id, now));
    }

    /// A heartbeat of a browser arrived.
    pub fn heard(&mut self, id: BrowserId, now: Timestamp) {
        if self.holder(now) == Some(id) {
            self.holder = Some((id, now));
        }
    }

    /// A browser gives them back, or has disconnected.
    pub fn give_back(&mut self, id: BrowserId) {
        if self.holder.is_some_and(|(holder, _)| holder == id) {
            self.holder = None;
        }
    }

    /// Why `id` lost them, if it was the last to lose them.
    pub fn lost(&self, id: BrowserId) -> Option<Lost> {
        self.lost.filter(|(loser, _)| *loser == id).map(|(_, why)| why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_browser_keeps_them_until_another_takes_over() {
        let (mut controls, now) = (Controls::new(Duration::from_secs(3)), Timestamp::ZERO);
        assert_eq!(controls.holder(now), None);
        assert!(controls.take(1, now) && controls.take(1, now));
        assert!(!controls.take(2, now));
        controls.take_over(2, now);
        assert_eq!((controls.holder(now), controls.lost(1), controls.lost(2)), (Some(2), Some(Lost::TakenOver), None));
        controls.give_back(1);
        assert_eq!(controls.holder(now), Some(2));
        controls.give_back(2);
        assert!(controls.take(1, now));
    }

    #[test]
    fn a_silent_holder_loses_them_and_a_heartbeat_too_late_does_not_bring_them_back() {
        let (mut controls, start) = (Controls::new(Duration::from_secs(3)), Timestamp::ZERO);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(controls.take(1, start));
        controls.heard(1, at(2));
        assert_eq!(controls.holder(at(5)), Some(1));
        controls.heard(1, at(6));
        assert_eq!((controls.holder(at(6)), controls.lost(1)), (None, Some(Lost::Silent)));
        assert!(controls.take(2, at(6)));
    }
}
