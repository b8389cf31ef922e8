//! Terminal view of an episode: one status line, rewritten in place.

use std::io::{IsTerminal, Write};

use crate::episode::{ControlTick, EpisodeEnd, EpisodeStart, Filtered, SinkError, Step, StepSink};
use crate::observation::Observation;
use crate::operator::Operator;

/// Writes the line.
pub struct TerminalView {
    operator: Operator,
    shown: bool,
    /// The safety filter's last intervention since the last step.
    filtered: Filtered,
    began: Option<f64>,
}

impl TerminalView {
    /// Shows the operator's panel; nothing if the output is not a terminal.
    pub fn new(operator: Operator) -> Self {
        let shown = std::io::stdout().is_terminal();
        Self { operator, shown, filtered: Filtered::Passed, began: None }
    }

    fn line(&self, text: &str) {
        if self.shown {
            let mut out = std::io::stdout();
            // The terminal is gone: there is nowhere to report it.
            let _ = write!(out, "\r\x1b[K{text}").and_then(|()| out.flush());
        }
    }
}

/// The safety filter's intervention as text.
fn words(filtered: Filtered) -> String {
    match filtered {
        Filtered::Passed => "free".into(),
        Filtered::Limited(reason) => format!("limited ({reason:?})"),
        Filtered::Stopped(reason) => format!("STOPPED ({reason:?})"),
    }
}

impl StepSink for TerminalView {
    fn episode_started(&mut self, _start: &EpisodeStart) -> Result<(), SinkError> {
        self.began = None;
        Ok(())
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), SinkError> {
        let seen = step.observation;
        let now = seen.observed_at.as_secs_f64();
        let began = *self.began.get_or_insert(now);
        let [x, y, z, ..] = seen.bridge_state;
        let wish = match &step.decision.motion {
            Some(motion) => motion.kind().to_string(),
            None => {
                let [dx, dy, dz] = step.decision.action.translation.map(|meters| 1e3 * meters);
                format!("{dx:+.0} {dy:+.0} {dz:+.0} mm")
            }
        };
        let panel = self.operator.panel();
        self.line(&format!(
            "{:5.1} s  tool {x:.2} {y:.2} {z:.2} m  gripper {:.1}  wish {wish}  {}  {}{}",
            now - began,
            seen.proprioception.gripper,
            words(self.filtered),
            panel.device,
            if panel.warning.is_empty() { String::new() } else { format!("  ! {}", panel.warning) },
        ));
        self.filtered = Filtered::Passed;
        Ok(())
    }

    fn paused(&mut self, _observation: &Observation) -> Result<(), SinkError> {
        let warning = self.operator.panel().warning;
        self.line(&format!(
            "paused, the arm holds{}",
            if warning.is_empty() { String::new() } else { format!("  ! {warning}") }
        ));
        Ok(())
    }

    fn control_tick(&mut self, tick: &ControlTick) -> Result<(), SinkError> {
        if tick.filtered != Filtered::Passed {
            self.filtered = tick.filtered;
        }
        Ok(())
    }

    fn episode_ended(&mut self, _end: &EpisodeEnd) -> Result<(), SinkError> {
        self.line("");
        Ok(())
    }
}
