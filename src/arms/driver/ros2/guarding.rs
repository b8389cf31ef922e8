//! The bridge thread's side of the arm's guard: beats, pauses, calls for help, and release.

use std::time::{Duration, Instant};

use super::link::{ArmLink, OwnHold};
use super::worker::Worker;
use crate::driver::{GuardFault, Standstill};
use visuomotor_core::time::Timestamp;

/// How long the positions are watched, at the end, for the arm to come to rest.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// Without a state for this long the guard, which has threads and a link of its own, takes over at once.
const NO_NEWS: Duration = Duration::from_millis(250);

impl<L: ArmLink> Worker<L> {
    /// What is wrong with the guard, or with this thread's timing.
    pub(super) fn guard_fault(&self, now: Timestamp) -> Option<GuardFault> {
        self.heartbeat.as_ref().and_then(|heartbeat| heartbeat.fault(now))
    }

    /// Reports to the guard that this thread is alive, and the last command sent.
    pub(super) fn beat(&self, now: Timestamp) {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.beat(now, self.stream.last());
        }
    }

    /// Has the guard stop the arm too, over a link of its own, once the last command is one of rest, so that both send the same. It
    /// is no longer fed. Returns whether there is one.
    pub(super) fn request_guard_stop(&mut self) -> bool {
        let heartbeat = self.heartbeat.take();
        heartbeat.inspect(|heartbeat| heartbeat.stop(self.stream.last())).is_some()
    }

    /// Before a slow call, during which this thread does not beat. An arm at rest needs no beats; one that moves is left to the
    /// guard to stop.
    pub(super) fn pause(&self) {
        if let Some(heartbeat) = &self.heartbeat
            && self.stream.last().iter().all(|value| *value == 0.0)
        {
            heartbeat.pause();
        }
    }

    /// Releases the guard once the arm's state shows that it stands still; otherwise it takes over when this program is gone.
    pub(super) fn release_guard(&mut self) {
        let Some(heartbeat) = self.heartbeat.take() else { return };
        let (mut still, deadline) = (Standstill::default(), Instant::now() + LAST_LOOK);
        let mut news = Instant::now();
        while Instant::now() < deadline && news.elapsed() <= NO_NEWS {
            if let Some(state) = self.link.poll(self.clock.now()) {
                still.observe(self.clock.now(), &state.positions);
                news = Instant::now();
            }
            if still.stands(self.clock.now()) {
                heartbeat.done();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Pauses the beats while the arm holds by itself.
    pub(super) fn pause_guard(&self) {
        if let Some(heartbeat) = &self.heartbeat
            && self.link.own_hold() == OwnHold::Yes
            && heartbeat.is_beating()
        {
            heartbeat.pause();
        }
    }

    /// Beats again once the arm follows commands again.
    pub(super) fn resume_guard(&self) {
        if let Some(heartbeat) = &self.heartbeat
            && self.link.own_hold() == OwnHold::No
            && !heartbeat.is_beating()
        {
            heartbeat.arm();
        }
    }
}
