//! End of a run: by a rule, the operator, or its time.

use crate::cli::stage::Stage;
use crate::episode::{Judge, Outcome};
use crate::operator::{Operator, OperatorJudge};
use crate::time::Timestamp;

/// The first verdict ends it.
pub struct Until<'a> {
    rule: Option<Box<dyn Judge + 'a>>,
    person: Option<&'a mut dyn Stage>,
    buttons: OperatorJudge,
    /// Reason for the end when its time is up.
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

    /// The same, and lines typed at the terminal, if there is one.
    pub fn heard(self, person: Option<&'a mut dyn Stage>) -> Self {
        Self { person, ..self }
    }

    /// Does a rule judge the task?
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
            // Standard input is closed: the run lasts its time, and a signal stops it.
            Err(error) => {
                tracing::warn!("{error:#}; Ctrl-C still stops the arm");
                self.person = None;
                None
            }
        }
    }

    /// A time-out is a failure with a rule, and the usual end without one.
    fn time_out(&mut self, now: Timestamp) -> Outcome {
        match &mut self.rule {
            Some(rule) => rule.time_out(now),
            None => Outcome::Failure { judge: super::ending::CLOCK.into(), why: self.over.into() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::approach::Approach;
    use crate::cli::consent::Said;
    use crate::cli::set_up::SetUp;
    use crate::cli::stage::Laid;

    /// A rule that is never met.
    struct Never;

    impl Judge for Never {
        fn judge(&mut self, _: Timestamp) -> Option<Outcome> {
            None
        }

        fn time_out(&mut self, _: Timestamp) -> Outcome {
            Outcome::Failure { judge: "success_rule".into(), why: "time out".into() }
        }
    }

    /// A terminal at which success was typed.
    struct Typed;

    impl Stage for Typed {
        fn set_up(&mut self, _: &SetUp, _: Option<&Approach>) -> anyhow::Result<Laid> {
            anyhow::bail!("not asked for")
        }

        fn may_move(&mut self, _: &Approach) -> anyhow::Result<Said> {
            anyhow::bail!("not asked for")
        }

        fn may_recover(&mut self, _: &str, _: &str) -> anyhow::Result<Said> {
            anyhow::bail!("not asked for")
        }

        fn judge(&mut self) -> anyhow::Result<Option<Outcome>> {
            Ok(Some(Outcome::Success { judge: "operator".into() }))
        }

        fn time_out(&mut self) -> anyhow::Result<Outcome> {
            anyhow::bail!("not asked for")
        }
    }

    /// Regression: an emulated arm has a rule or only buttons, and `p` at its terminal was ignored.
    #[test]
    fn typed_lines_count_with_a_rule_and_with_buttons() {
        let operator = Operator::default();
        let success = Some(Outcome::Success { judge: "operator".into() });
        let (mut beside_rule, mut beside_buttons, mut beside_recording) = (Typed, Typed, Typed);
        for mut until in [
            Until::ruled(Never, &operator).heard(Some(&mut beside_rule)),
            Until::buttons(&operator).heard(Some(&mut beside_buttons)),
            Until::recording(&operator).heard(Some(&mut beside_recording)),
        ] {
            assert_eq!(until.judge(Timestamp::ZERO), success);
        }
        assert_eq!(Until::ruled(Never, &operator).heard(None).judge(Timestamp::ZERO), None);
    }
}
