//! The arm's guard as the bridge thread has to do with it: beats, pauses, calls for help, and letting it go.

use std::time::{Duration, Instant};

use super::link::{ArmLink, OwnHold};
use super::worker::Worker;
use crate::driver::{GuardFault, Standstill};
use visuomotor_core::time::Timestamp;

/// How long it is looked, at the end, whether the arm came to rest.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// Without a state for this long nothing is seen: the guard, which has threads and a link of its own, takes over at once.
const NO_NEWS: Duration = Duration::from_millis(250);

impl<L: ArmLink> Worker<L> {
    /// What is wrong with the guard, or with this thread's own pace.
    pub(super) fn guard_fault(&self, now: Timestamp) -> Option<GuardFault> {
        self.heart.as_ref().and_then(|heart| heart.fault(now))
    }

    /// Tells the guard that this thread is alive and what it sent last.
    pub(super) fn beat(&self, now: Timestamp) {
        if let Some(heart) = &self.heart {
            heart.beat(now, self.stream.last());
        }
    }

    /// Has the guard stop the arm too, over a link of its own, once the last command is one of rest, so that both say the same.
    /// It is no longer fed. Answers whether there is one.
    pub(super) fn call_the_guard(&mut self) -> bool {
        let heart = self.heart.take();
        heart.inspect(|heart| heart.stop(self.stream.last())).is_some()
    }

    /// Before a slow call this thread will not beat. An arm at rest needs none; one that is not is the guard's to stop.
    pub(super) fn pause(&self) {
        if let Some(heart) = &self.heart
            && self.stream.last().iter().all(|value| *value == 0.0)
        {
            heart.pause();
        }
    }

    /// The guard may go once the arm's state shows that it stands; otherwise it takes over when this program is gone.
    pub(super) fn let_guard_go(&mut self) {
        let Some(heart) = self.heart.take() else { return };
        let (mut still, deadline) = (Standstill::default(), Instant::now() + LAST_LOOK);
        let mut news = Instant::now();
        while Instant::now() < deadline && news.elapsed() <= NO_NEWS {
            if let Some(state) = self.link.poll(self.clock.now()) {
                still.see(self.clock.now(), &state.positions);
                news = Instant::now();
            }
            if still.stands(self.clock.now()) {
                heart.done();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Silence of ours is fine while the arm's own hold has it.
    pub(super) fn spare_guard(&self) {
        if let Some(heart) = &self.heart
            && self.link.own_hold() == OwnHold::Yes
            && heart.is_beating()
        {
            heart.pause();
        }
    }

    /// Beats again once commands have the arm again.
    pub(super) fn wake_guard(&self) {
        if let Some(heart) = &self.heart
            && self.link.own_hold() == OwnHold::No
            && !heart.is_beating()
        {
            heart.arm();
        }
    }
}
