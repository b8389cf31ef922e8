//! State shared by browsers, sinks and the program.

use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::controls::{BrowserId, Controls};
use super::gamepad::GamepadSlot;
use super::guard::Guard;
use super::pictures::PictureDesk;
use super::playback::Playback;
use super::state::Live;
use crate::operator::Operator;
use crate::time::{Clock, Timestamp};

/// A state younger than this is reused, so that many browsers cost as much as one.
const FRESH: Duration = Duration::from_millis(50);

/// Shared by browsers, sinks and the program.
pub(super) struct Shared {
    pub operator: Operator,
    pub guard: Guard,
    pub pictures: PictureDesk,
    pub playback: Option<Playback>,
    pub gamepad: GamepadSlot,
    pub browsers: AtomicUsize,
    pub next_browser: AtomicU64,
    clock: Arc<dyn Clock>,
    live: Mutex<Live>,
    controls: Mutex<Controls>,
    snapshot: Mutex<Option<(Timestamp, Arc<str>)>>,
}

impl Shared {
    pub fn new(
        operator: Operator,
        guard: Guard,
        playback: Option<Playback>,
        silent_after: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            operator,
            guard,
            pictures: PictureDesk::default(),
            playback,
            gamepad: GamepadSlot::new(clock.clone()),
            browsers: AtomicUsize::new(0),
            next_browser: AtomicU64::new(1),
            clock,
            live: Mutex::default(),
            controls: Mutex::new(Controls::new(silent_after)),
            snapshot: Mutex::default(),
        }
    }

    /// The time on the page's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Data from the sink.
    pub fn live(&self) -> MutexGuard<'_, Live> {
        // Newest values are replaced as a whole, so a panic leaves no partial update.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads or changes the holder of the controls; on a change, the previous holder's gamepad is cleared.
    pub fn controls<T>(&self, change: impl FnOnce(&mut Controls, Timestamp) -> T) -> (T, Option<BrowserId>) {
        let mut controls = self.controls.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        let before = controls.last_holder();
        let answer = change(&mut controls, now);
        let holder = controls.holder(now);
        if holder != before {
            self.gamepad.clear();
        }
        (answer, holder)
    }

    /// The state as JSON.
    pub fn snapshot(&self) -> Arc<str> {
        let mut kept = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        if let Some((at, text)) = &*kept
            && now.since(*at) < FRESH
        {
            return text.clone();
        }
        // Copied out, so that no thread that updates the page waits for the JSON.
        let live = self.live().clone();
        let snapshot = live.snapshot(self.operator.panel(), self.pictures.cameras(now), self.playback.is_some(), now);
        // Plain structures with text keys always serialize to JSON.
        let text: Arc<str> = serde_json::to_string(&snapshot).unwrap_or_else(|_| "{}".into()).into();
        *kept = Some((now, text.clone()));
        text
    }
}
