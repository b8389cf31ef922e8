//! A person at the terminal as a stage: lays the scene when asked, and ends a trial with a letter and Enter.

use std::io::BufRead;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use anyhow::Context;

use super::Stage;
use crate::cli::setting::SetUp;
use crate::episode::Outcome;
use crate::simulation::Assignment;

const JUDGE: &str = "operator";

/// Lines typed at the terminal.
pub struct Person {
    lines: Receiver<String>,
}

impl Person {
    /// Listens to standard input from now on.
    pub fn at_the_terminal() -> Self {
        Self::reading(std::io::BufReader::new(std::io::stdin()))
    }

    fn reading(input: impl BufRead + Send + 'static) -> Self {
        let (to_us, lines) = channel();
        // Ends with the input or with the program: a blocked read cannot be called back.
        std::thread::spawn(move || {
            for line in input.lines().map_while(Result::ok) {
                if to_us.send(line.trim().to_lowercase()).is_err() {
                    break;
                }
            }
        });
        Self { lines }
    }

    fn verdict(line: &str) -> Option<Outcome> {
        let judge = JUDGE.to_string();
        match line {
            "s" => Some(Outcome::Success { judge }),
            "f" => Some(Outcome::Failure { judge, why: "said so".into() }),
            "a" => Some(Outcome::Aborted { judge, why: "said so".into() }),
            _ => None,
        }
    }
}

impl Stage for Person {
    fn set_up(&mut self, set_up: &SetUp) -> anyhow::Result<Option<Assignment>> {
        while self.lines.try_recv().is_ok() {}
        let ([x, y], [cx, cy]) = (set_up.object_at, set_up.container_at);
        say!(
            "lay out: {} at ({x:.2}, {y:.2}) m from the base, {} at ({cx:.2}, {cy:.2})",
            set_up.object,
            set_up.task.container
        );
        for (name, [x, y], _) in &set_up.others {
            say!("         {name} at ({x:.2}, {y:.2})");
        }
        say!("Enter to begin; then s, f or a and Enter: success, failure, aborted");
        self.lines.recv().context("the terminal is closed: nobody can lay the scene")?;
        Ok(None)
    }

    fn judge(&mut self) -> anyhow::Result<Option<Outcome>> {
        match self.lines.try_recv() {
            Ok(line) => Ok(Self::verdict(&line)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => anyhow::bail!("the terminal is closed: nobody judges"),
        }
    }

    fn time_out(&mut self) -> anyhow::Result<Outcome> {
        say!("time is up: s, f or a and Enter");
        loop {
            let line = self.lines.recv().context("the terminal is closed: nobody judges")?;
            if let Some(outcome) = Self::verdict(&line) {
                return Ok(outcome);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_ends_a_trial_and_a_closed_terminal_is_an_error() {
        let mut person = Person::reading(std::io::Cursor::new("maybe\nf\n"));
        assert!(matches!(person.time_out().unwrap(), Outcome::Failure { .. }));
        assert!(person.time_out().is_err());
        assert!(person.judge().is_err());
    }
}
