//! What a person wants, from whatever button, and what is shown to them: the one meeting point of teleoperation devices, the
//! page, the terminal and the loops.
//!
//! A wish is kept until whoever runs the episode takes it; "stop" does not wait for that: it calls a hook at once.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::episode::{Judge, Outcome};
use crate::time::Timestamp;

/// Wishes kept at most; later ones are refused, because none are taken.
const MOST_WISHES: usize = 64;

/// Longest note \[characters\].
pub const LONGEST_NOTE: usize = 1000;

/// What a person wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "wish", rename_all = "snake_case", deny_unknown_fields)]
pub enum Wish {
    /// Begin: the scene is laid, or the next demonstration shall be recorded.
    Begin,
    /// The arm that failed may recover: faults are cleared and it holds where it is.
    Recover,
    /// The demonstration is good: end it and keep it. In an evaluation: the trial succeeded.
    Accept,
    /// The demonstration is bad: end it and mark it. In an evaluation: the trial failed.
    Reject,
    /// Does not count: a spoiled scene, a wrong set-up.
    Abort,
    /// Pause the run: the arm holds until it is resumed.
    Pause,
    /// The paused run goes on: the policy decides again.
    Resume,
    /// The operator takes the arm over with the run's device.
    TakeOver,
    /// The policy decides again.
    HandBack,
    /// Write this about the episode.
    Note {
        /// In words, at most [`LONGEST_NOTE`] characters.
        text: String,
    },
    /// No more episodes; the arm holds.
    Quit,
}

/// What a person is shown, beside images and numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    /// What is going on.
    pub phase: Phase,
    /// Task name.
    pub task: String,
    /// What the robot, or the person at the device, is to do, in words.
    pub instruction: String,
    /// What the person is to do now ("lay the croissant ...; then begin").
    pub prompt: String,
    /// Who decides, as the person may know it: blinded when policies are compared.
    pub action_source: String,
    /// Episodes kept so far, and how many there shall be.
    pub episodes: (usize, usize),
    /// State of the teleoperation device in words; empty without one.
    pub device: String,
    /// Something that went wrong and that the person should read; empty otherwise.
    pub warning: String,
    /// Who drives a run that can be paused; `None` where nothing can.
    pub driving: Option<Driving>,
    /// Is there a device to take the run over with?
    pub may_take_over: bool,
}

/// Who drives a run that can be paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Driving {
    /// The policy decides.
    Policy,
    /// No source: the arm holds.
    Paused,
    /// The operator decides, at a device.
    Operator,
}

/// What is going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing yet, or everything is over.
    #[default]
    Idle,
    /// The arm goes to its start by itself.
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
    /// No wishes; a stop calls `on_stop` with its source.
    pub fn new(on_stop: impl Fn(&str) + Send + 'static) -> Self {
        let operator = Self::default();
        operator.lock().on_stop = Some(Box::new(on_stop));
        operator
    }

    /// The clutch of a device that has none of its own: true while it is to be followed.
    pub fn clutch(&self) -> Arc<AtomicBool> {
        self.clutch.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Wishes and panel are whole after any panic: nothing here is half changed.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts down a wish; `by` says whose (`page`, `terminal`, `quest`). False when it was refused: too many wait, or a note
    /// is too long.
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

    /// Stops at once; the arm holds. `by` says who.
    pub fn stop(&self, by: &str) {
        if let Some(stop) = &self.lock().on_stop {
            stop(by);
        }
    }

    /// The oldest wish that `wanted` asks for, and whose it is; others wait on.
    pub fn take(&self, wanted: impl Fn(&Wish) -> bool) -> Option<(Wish, String)> {
        let mut shared = self.lock();
        let at = shared.wishes.iter().position(|(wish, _)| wanted(wish))?;
        shared.wishes.remove(at)
    }

    /// Pauses the run, or resumes it when it is paused: for a button that does both. False where nothing can be paused.
    pub fn pause_or_resume(&self, by: &str) -> bool {
        match self.panel().driving {
            Some(Driving::Paused) => self.wish(Wish::Resume, by),
            Some(_) => self.wish(Wish::Pause, by),
            None => false,
        }
    }

    /// Takes the run over, or hands it back: for a button that does both. False where nothing can be taken over.
    pub fn take_over_or_hand_back(&self, by: &str) -> bool {
        match self.panel().driving {
            Some(Driving::Operator) => self.wish(Wish::HandBack, by),
            Some(_) => self.wish(Wish::TakeOver, by),
            None => false,
        }
    }

    /// Forgets what was wished before now, except notes: a button pressed for the last episode says nothing of the next.
    pub fn forget(&self) {
        self.lock().wishes.retain(|(wish, _)| matches!(wish, Wish::Note { .. }));
    }

    /// What is shown.
    pub fn panel(&self) -> Panel {
        self.lock().panel.clone()
    }

    /// Changes what is shown.
    pub fn show(&self, change: impl FnOnce(&mut Panel)) {
        change(&mut self.lock().panel);
    }
}

/// The verdict of a wish; `None` for one that is no verdict.
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

/// A person judges: the buttons end the episode. Time that runs out is a failure.
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
    fn wishes_that_nobody_takes_and_endless_notes_are_refused() {
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
