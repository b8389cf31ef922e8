//! Until when a run lasts: a rule's verdict, the operator's, or its time.

use crate::cli::stage::Stage;
use crate::episode::{Judge, Outcome};
use crate::operator::{Operator, OperatorJudge};
use crate::time::Timestamp;

/// The first verdict ends it.
pub struct Until<'a> {
    rule: Option<Box<dyn Judge + 'a>>,
    person: Option<&'a mut dyn Stage>,
    buttons: OperatorJudge,
    /// Why it ends when its time is up.
    over: &'static str,
}

const TIME: &str = "time is up";

impl<'a> Until<'a> {
    /// A task's success rule, and the operator's buttons.
    pub fn ruled(rule: impl Judge + 'a, operator: &Operator) -> Self {
        Self { rule: Some(Box::new(rule)), person: None, buttons: OperatorJudge(operator.clone()), over: TIME }
    }

    /// The operator's buttons.
    pub fn buttons(operator: &Operator) -> Self {
        Self { rule: None, person: None, buttons: OperatorJudge(operator.clone()), over: TIME }
    }

    /// The operator's buttons, and the end of a recording.
    pub fn recording(operator: &Operator) -> Self {
        Self { over: "the recording is over", ..Self::buttons(operator) }
    }

    /// The operator, at the terminal or by buttons.
    pub fn person(person: &'a mut dyn Stage, operator: &Operator) -> Self {
        Self { rule: None, person: Some(person), buttons: OperatorJudge(operator.clone()), over: TIME }
    }

    /// Does a rule say whether the task was done?
    pub fn is_ruled(&self) -> bool {
        self.rule.is_some()
    }
}

impl Judge for Until<'_> {
    fn judge(&mut self, now: Timestamp) -> Option<Outcome> {
        if let Some(outcome) = self.buttons.judge(now) {
            return Some(outcome);
        }
        if let Some(outcome) = self.rule.as_mut().and_then(|rule| rule.judge(now)) {
            return Some(outcome);
        }
        match self.person.as_mut()?.judge() {
            Ok(outcome) => outcome,
            // A terminal without input: the run lasts its time, and a signal stops it.
            Err(error) => {
                tracing::warn!("{error:#}; Ctrl-C still stops the arm");
                self.person = None;
                None
            }
        }
    }

    /// Time that runs out is a rule's failure, and without one the usual end.
    fn time_out(&mut self, now: Timestamp) -> Outcome {
        match &mut self.rule {
            Some(rule) => rule.time_out(now),
            None => Outcome::Failure { judge: super::ending::CLOCK.into(), why: self.over.into() },
        }
    }
}
