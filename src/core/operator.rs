//! The operator's requests (wishes), from any button, and the panel shown to them: the interface between teleoperation
//! devices, the page, the terminal and the loops.
//!
//! A wish is queued until the runner of the episode takes it; a stop is not queued: it calls a hook at once.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::episode::{Judge, Outcome};
use crate::time::Timestamp;

/// Maximum number of queued wishes; later ones are refused.
const MOST_WISHES: usize = 64;

/// Longest note \[characters\].
pub const LONGEST_NOTE: usize = 1000;

/// A request of the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "wish", rename_all = "snake_case", deny_unknown_fields)]
pub enum Wish {
    /// Begin: the scene is set up, or the next demonstration should be recorded.
    Begin,
    /// Consent to recover the failed arm: faults are cleared and it holds where it is.
    Recover,
    /// The demonstration is good: end it and keep it. In an evaluation: the trial succeeded.
    Accept,
    /// The demonstration is bad: end it and mark it. In an evaluation: the trial failed.
    Reject,
    /// Does not count: a spoiled scene, a wrong set-up.
    Abort,
    /// Pause the run: the arm holds until it is resumed.
    Pause,
    /// Resume the paused run: the policy decides again.
    Resume,
    /// Take the arm over with the run's device.
    TakeOver,
    /// Hand back to the policy.
    HandBack,
    /// Add this note to the episode.
    Note {
        /// Text, at most [`LONGEST_NOTE`] characters.
        text: String,
    },
    /// No more episodes; the arm holds.
    Quit,
}

/// Text and state shown to the operator, in addition to images and numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    /// What is going on.
    pub phase: Phase,
    /// Task name.
    pub task: String,
    /// Instruction for the robot, or for the operator at the device.
    pub instruction: String,
    /// What the operator should do now ("lay the croissant ...; then begin").
    pub prompt: String,
    /// Displayed name of the decision source: blinded when policies are compared.
    pub action_source: String,
    /// Episodes kept so far, and their target number.
    pub episodes: (usize, usize),
    /// State of the teleoperation device as text; empty without one.
    pub device: String,
    /// Warning for the operator; empty otherwise.
    pub warning: String,
    /// Who drives a run that can be paused; `None` if it cannot be paused.
    pub driving: Option<Driving>,
    /// Is there a device to take over with?
    pub may_take_over: bool,
}

/// Who drives a run that can be paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Driving {
    /// The policy decides.
    Policy,
    /// Paused: the arm holds.
    Paused,
    /// The operator decides, at a device.
    Operator,
}

/// What is going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not started, or over.
    #[default]
    Idle,
    /// The arm moves to its start by itself.
    Approaching,
    /// The arm failed and waits for [`Wish::Recover`].
    Failed,
    /// Waits for [`Wish::Begin`].
    Waiting,
    /// An episode runs and is recorded.
    Running,
    /// Waits for a verdict on the episode that ended.
    Judging,
}

type Hook = Box<dyn Fn(&str) + Send>;

#[derive(Default)]
struct Shared {
    wishes: VecDeque<(Wish, String)>,
    panel: Panel,
    on_stop: Option<Hook>,
}

/// A handle; clones share everything.
#[derive(Clone, Default)]
pub struct Operator {
    shared: Arc<Mutex<Shared>>,
    clutch: Arc<AtomicBool>,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").field("panel", &self.panel()).finish_non_exhaustive()
    }
}

impl Operator {
    /// An empty queue; a stop calls `on_stop` with its source.
    pub fn new(on_stop: impl Fn(&str) + Send + 'static) -> Self {
        let operator = Self::default();
        operator.lock().on_stop = Some(Box::new(on_stop));
        operator
    }

    /// The clutch for a device without its own: true while the arm should follow it.
    pub fn clutch(&self) -> Arc<AtomicBool> {
        self.clutch.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Wishes and panel stay consistent after a panic: there are no partial updates.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a wish; `by` is its source (`page`, `terminal`, `quest`). False if it was refused: too many are queued, or a
    /// note is too long.
    pub fn wish(&self, wish: Wish, by: &str) -> bool {
        if matches!(&wish, Wish::Note { text } if text.chars().count() > LONGEST_NOTE) {
            return false;
        }
        let mut shared = self.lock();
        if shared.wishes.len() >= MOST_WISHES {
            return false;
        }
        shared.wishes.push_back((wish, by.to_string()));
        true
    }

    /// Stops at once; the arm holds. `by` is the source.
    pub fn stop(&self, by: &str) {
        if let Some(stop) = &self.lock().on_stop {
            stop(by);
        }
    }

    /// Takes the oldest wish that `wanted` accepts, with its source; others stay queued.
    pub fn take(&self, wanted: impl Fn(&Wish) -> bool) -> Option<(Wish, String)> {
        let mut shared = self.lock();
        let at = shared.wishes.iter().position(|(wish, _)| wanted(wish))?;
        shared.wishes.remove(at)
    }

    /// Pauses or resumes the run, for a toggle button. False if the run cannot be paused.
    pub fn pause_or_resume(&self, by: &str) -> bool {
        match self.panel().driving {
            Some(Driving::Paused) => self.wish(Wish::Resume, by),
            Some(_) => self.wish(Wish::Pause, by),
            None => false,
        }
    }

    /// Takes the run over or hands it back, for a toggle button. False if it cannot be taken over.
    pub fn take_over_or_hand_back(&self, by: &str) -> bool {
        match self.panel().driving {
            Some(Driving::Operator) => self.wish(Wish::HandBack, by),
            Some(_) => self.wish(Wish::TakeOver, by),
            None => false,
        }
    }

    /// Discards queued wishes except notes: a button pressed for the last episode does not apply to the next.
    pub fn forget(&self) {
        self.lock().wishes.retain(|(wish, _)| matches!(wish, Wish::Note { .. }));
    }

    /// The panel.
    pub fn panel(&self) -> Panel {
        self.lock().panel.clone()
    }

    /// Updates the panel.
    pub fn show(&self, change: impl FnOnce(&mut Panel)) {
        change(&mut self.lock().panel);
    }
}

/// The verdict of a wish; `None` if it is not a verdict.
pub fn verdict(wish: &Wish, by: &str) -> Option<Outcome> {
    let judge = format!("operator ({by})");
    match wish {
        Wish::Accept => Some(Outcome::Success { judge }),
        Wish::Reject => Some(Outcome::Failure { judge, why: "rejected".into() }),
        Wish::Abort => Some(Outcome::Aborted { judge, why: "does not count".into() }),
        Wish::Begin
        | Wish::Recover
        | Wish::Pause
        | Wish::Resume
        | Wish::TakeOver
        | Wish::HandBack
        | Wish::Note { .. }
        | Wish::Quit => None,
    }
}

/// The operator judges: the buttons end the episode. A time-out is a failure.
pub struct OperatorJudge(pub Operator);

impl Judge for OperatorJudge {
    fn judge(&mut self, _now: Timestamp) -> Option<Outcome> {
        let (wish, by) = self.0.take(|wish| verdict(wish, "").is_some())?;
        verdict(&wish, &by)
    }

    fn time_out(&mut self, now: Timestamp) -> Outcome {
        let late = Outcome::Failure { judge: "clock".into(), why: "time ran out".into() };
        self.judge(now).unwrap_or(late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn the_first_verdict_counts_and_notes_wait() {
        let operator = Operator::default();
        assert!(operator.wish(Wish::Note { text: "the cloth slipped".into() }, "page"));
        assert!(operator.wish(Wish::Reject, "terminal"));
        assert!(operator.wish(Wish::Accept, "page"));
        let outcome = OperatorJudge(operator.clone()).judge(Timestamp::ZERO).unwrap();
        assert_eq!(outcome, Outcome::Failure { judge: "operator (terminal)".into(), why: "rejected".into() });
        operator.forget();
        assert!(OperatorJudge(operator.clone()).judge(Timestamp::ZERO).is_none());
        assert!(operator.take(|wish| matches!(wish, Wish::Note { .. })).is_some());
        assert_eq!(OperatorJudge(operator).time_out(Timestamp::ZERO).word(), "failure");
    }

    #[test]
    fn too_many_wishes_and_too_long_notes_are_refused() {
        let operator = Operator::default();
        assert!(!operator.wish(Wish::Note { text: "x".repeat(LONGEST_NOTE + 1) }, "page"));
        assert!((0..MOST_WISHES).all(|_| operator.wish(Wish::Begin, "page")));
        assert!(!operator.wish(Wish::Begin, "page"));
    }

    #[test]
    fn a_stop_waits_for_nobody() {
        let stops = Arc::new(AtomicU32::new(0));
        let counted = stops.clone();
        let operator = Operator::new(move |by| {
            assert_eq!(by, "page");
            counted.fetch_add(1, Ordering::SeqCst);
        });
        operator.clone().stop("page");
        assert_eq!(stops.load(Ordering::SeqCst), 1);
    }
}
