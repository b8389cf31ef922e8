//! The operator at the buttons, on the page or in the terminal, as a stage.

use std::time::Duration;

use super::{Laid, Stage};
use crate::cli::approach::Approach;
use crate::cli::consent::Said;
use crate::cli::set_up::{LyingThing, SetUp};
use crate::episode::{Judge, Outcome};
use crate::operator::{Operator, OperatorJudge, Phase, Wish, verdict};
use crate::runtime::{RuntimeError, StopFlag};
use crate::time::Timestamp;

/// Polling interval of a waiting stage.
const NAP: Duration = Duration::from_millis(20);

/// The operator.
pub struct Operated {
    operator: Operator,
    stop: StopFlag,
}

impl Operated {
    /// Raising it ends any waiting.
    pub fn new(operator: Operator, stop: StopFlag) -> Self {
        Self { operator, stop }
    }
}

/// The set-up as instructions for the operator.
pub fn layout_text(set_up: &SetUp) -> String {
    let [x, y] = set_up.object_at;
    let mut text = format!("{} at ({x:.2}, {y:.2}) m from the base", set_up.object);
    if let (Some(container), Some([x, y])) = (&set_up.task.container, set_up.container_at) {
        text.push_str(&format!(", {container} at ({x:.2}, {y:.2})"));
    }
    for LyingThing { object: name, at: [x, y], .. } in &set_up.others {
        text.push_str(&format!(", {name} at ({x:.2}, {y:.2})"));
    }
    text
}

/// Waits for [`Wish::Begin`] and returns its source; `None` when the operator quits.
pub fn await_begin(operator: &Operator, stop: &StopFlag) -> anyhow::Result<Option<String>> {
    let (wish, by) = await_wish(operator, stop, Phase::Waiting, |wish| matches!(wish, Wish::Begin | Wish::Quit))?;
    Ok((wish == Wish::Begin).then_some(by))
}

/// Waits for one of the wanted wishes; earlier ones are discarded.
fn await_wish(
    operator: &Operator,
    stop: &StopFlag,
    phase: Phase,
    wanted: impl Fn(&Wish) -> bool,
) -> anyhow::Result<(Wish, String)> {
    operator.forget();
    operator.show(|panel| panel.phase = phase);
    loop {
        if let Some(reason) = stop.reason() {
            return Err(RuntimeError::Interrupted(reason).into());
        }
        if let Some(wish) = operator.take(&wanted) {
            return Ok(wish);
        }
        std::thread::sleep(NAP);
    }
}

impl Stage for Operated {
    fn set_up(&mut self, set_up: &SetUp, motion: Option<&Approach>) -> anyhow::Result<Laid> {
        let layout = layout_text(set_up);
        let prompt = match motion {
            Some(motion) => {
                format!("lay out: {layout}; then {motion}: begin when the scene is set and clear of the arm")
            }
            None => format!("lay out: {layout}; then begin"),
        };
        self.operator.show(|panel| panel.prompt = prompt);
        let Some(by) = await_begin(&self.operator, &self.stop)? else {
            self.stop.raise("quit");
            return Err(RuntimeError::Interrupted("quit at the buttons".into()).into());
        };
        self.operator.show(|panel| {
            panel.phase = Phase::Approaching;
            panel.prompt = "accept: success; reject: failure; abort: does not count".into();
        });
        Ok(Laid { assignment: None, by })
    }

    fn may_move(&mut self, motion: &Approach) -> anyhow::Result<Said> {
        say!("{motion}\nbegin (b, or the page's button) when the way is clear, or quit (q)");
        self.operator.show(|panel| panel.prompt = format!("{motion}: begin when the way is clear"));
        let asked = |wish: &Wish| matches!(wish, Wish::Begin | Wish::Quit);
        let (wish, by) = await_wish(&self.operator, &self.stop, Phase::Waiting, asked)?;
        self.operator.show(|panel| {
            panel.phase = Phase::Approaching;
            panel.prompt.clear();
        });
        Ok(if wish == Wish::Begin { Said::Yes(by) } else { Said::No(by) })
    }

    fn may_recover(&mut self, trouble: &str, does: &str) -> anyhow::Result<Said> {
        say!("the arm failed: {trouble}\nto recover: {does}\nrecover (c, or the page's button) or quit (q)");
        self.operator.show(|panel| {
            panel.warning = format!("the arm failed: {trouble}");
            panel.prompt = format!("look at the arm; then recover or quit. {does}");
        });
        let asked = |wish: &Wish| matches!(wish, Wish::Recover | Wish::Quit);
        let (wish, by) = await_wish(&self.operator, &self.stop, Phase::Failed, asked)?;
        self.operator.show(|panel| {
            panel.phase = Phase::Approaching;
            panel.warning.clear();
            panel.prompt.clear();
        });
        Ok(if wish == Wish::Recover { Said::Yes(by) } else { Said::No(by) })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_recover_wish_after_the_question_recovers() {
        let (operator, stop) = (Operator::default(), StopFlag::new());
        // A button pressed before the question, and one with another meaning.
        operator.wish(Wish::Recover, "page");
        let (board, button) = (operator.clone(), operator.clone());
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                Operated::new(operator.clone(), stop.clone())
                    .may_recover("the elbow hit 7 cups", "it is reset")
                    .unwrap()
            });
            while board.panel().phase != Phase::Failed {
                std::thread::yield_now();
            }
            assert!(board.panel().warning.contains("7 cups") && board.panel().prompt.contains("it is reset"));
            button.wish(Wish::Begin, "page");
            button.wish(Wish::Accept, "page");
            button.wish(Wish::Recover, "terminal");
            assert_eq!(asking.join().unwrap(), Said::Yes("terminal".into()));
        });
        assert!(board.panel().warning.is_empty());
        std::thread::scope(|scope| {
            let asking = scope
                .spawn(|| Operated::new(operator.clone(), stop.clone()).may_recover("again", "it is reset").unwrap());
            while board.panel().phase != Phase::Failed {
                std::thread::yield_now();
            }
            button.wish(Wish::Quit, "page");
            assert_eq!(asking.join().unwrap(), Said::No("page".into()));
        });
        stop.raise("red button");
        assert!(Operated::new(operator, stop).may_recover("again", "it is reset").is_err());
    }
}
