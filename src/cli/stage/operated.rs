//! A person with buttons, on the page or in the terminal, as a stage.

use std::time::Duration;

use super::Stage;
use crate::cli::setting::SetUp;
use crate::episode::{Judge, Outcome};
use crate::operator::{Operator, OperatorJudge, Phase, Wish, verdict};
use crate::runtime::StopFlag;
use crate::simulation::Assignment;
use crate::time::Timestamp;

/// How often a waiting stage looks up.
const NAP: Duration = Duration::from_millis(20);

/// The person.
pub struct Operated {
    operator: Operator,
    stop: StopFlag,
}

impl Operated {
    /// Ends its waiting when the flag is raised.
    pub fn new(operator: Operator, stop: StopFlag) -> Self {
        Self { operator, stop }
    }
}

/// What is to be laid where, for a person.
pub fn layout_text(set_up: &SetUp) -> String {
    let ([x, y], [cx, cy]) = (set_up.object_at, set_up.container_at);
    let mut text = format!(
        "{} at ({x:.2}, {y:.2}) m from the base, {} at ({cx:.2}, {cy:.2})",
        set_up.object, set_up.task.container
    );
    for (name, [x, y], _) in &set_up.others {
        text.push_str(&format!(", {name} at ({x:.2}, {y:.2})"));
    }
    text
}

/// Waits for [`Wish::Begin`]; false when the person wants no more.
pub fn await_begin(operator: &Operator, stop: &StopFlag) -> anyhow::Result<bool> {
    operator.forget();
    operator.show(|panel| panel.phase = Phase::Waiting);
    loop {
        if let Some(reason) = stop.reason() {
            anyhow::bail!("stopped: {reason}");
        }
        if let Some((wish, _)) = operator.take(|wish| matches!(wish, Wish::Begin | Wish::Quit)) {
            return Ok(wish == Wish::Begin);
        }
        std::thread::sleep(NAP);
    }
}

impl Stage for Operated {
    fn set_up(&mut self, set_up: &SetUp) -> anyhow::Result<Option<Assignment>> {
        let prompt = format!("lay out: {}; then begin", layout_text(set_up));
        self.operator.show(|panel| panel.prompt = prompt);
        if !await_begin(&self.operator, &self.stop)? {
            self.stop.raise("quit");
            anyhow::bail!("quit at the buttons");
        }
        self.operator.show(|panel| panel.prompt = "accept: success; reject: failure; abort: does not count".into());
        Ok(None)
    }

    fn judge(&mut self) -> anyhow::Result<Option<Outcome>> {
        Ok(OperatorJudge(self.operator.clone()).judge(Timestamp::ZERO))
    }

    fn time_out(&mut self) -> anyhow::Result<Outcome> {
        self.operator.show(|panel| {
            panel.phase = Phase::Judging;
            panel.prompt = "time is up; accept: success; reject: failure; abort: does not count".into();
        });
        loop {
            if let Some(outcome) = self.stop.outcome() {
                return Ok(outcome);
            }
            if let Some((wish, by)) = self.operator.take(|wish| verdict(wish, "").is_some())
                && let Some(outcome) = verdict(&wish, &by)
            {
                return Ok(outcome);
            }
            std::thread::sleep(NAP);
        }
    }
}
