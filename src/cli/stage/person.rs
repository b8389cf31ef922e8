//! The operator at the terminal as a stage: sets up the scene, and ends a trial with a letter and Enter.

use std::io::BufRead;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::Duration;

use anyhow::Context;

use super::{Laid, Stage, layout_text};
use crate::cli::approach::Approach;
use crate::cli::consent::Said;
use crate::cli::set_up::SetUp;
use crate::episode::Outcome;
use crate::operator::Operator;
use crate::runtime::{RuntimeError, StopFlag};

const JUDGE: &str = "operator";
const TERMINAL: &str = "terminal";

/// Polling interval of the stop flag while waiting for a line.
const NAP: Duration = Duration::from_millis(20);

/// Lines typed at the terminal.
pub struct Person {
    lines: Receiver<String>,
    stop: StopFlag,
    /// Gets a run's `p`: pause, resume.
    operator: Option<Operator>,
}

impl Person {
    /// Starts to read standard input; waiting for a line ends when `stop` is raised.
    pub fn at_the_terminal(stop: StopFlag) -> Self {
        Self::reading(std::io::BufReader::new(std::io::stdin()), stop)
    }

    fn reading(input: impl BufRead + Send + 'static, stop: StopFlag) -> Self {
        let (to_us, lines) = channel();
        // Ends with the input or with the program: a blocked read cannot be cancelled.
        std::thread::spawn(move || {
            for line in input.lines().map_while(Result::ok) {
                if to_us.send(line.trim().to_lowercase()).is_err() {
                    break;
                }
            }
        });
        Self { lines, stop, operator: None }
    }

    /// `p` and Enter pauses a run, and resumes it.
    pub fn pausing(self, operator: Operator) -> Self {
        Self { operator: Some(operator), ..self }
    }

    /// The next line; a stop ends the wait without Enter.
    fn line(&self, closed: &'static str) -> anyhow::Result<String> {
        self.typed()?.context(closed)
    }

    /// The next line; `None` when the input is closed.
    fn typed(&self) -> anyhow::Result<Option<String>> {
        loop {
            if let Some(reason) = self.stop.reason() {
                return Err(RuntimeError::Interrupted(reason).into());
            }
            match self.lines.recv_timeout(NAP) {
                Ok(line) => return Ok(Some(line)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }

    /// Yes or no to a question.
    fn said(&self) -> anyhow::Result<Said> {
        Ok(match self.typed()?.as_deref() {
            Some("y" | "yes") => Said::Yes(TERMINAL.into()),
            Some(_) => Said::No(TERMINAL.into()),
            None => Said::Nobody,
        })
    }

    fn verdict(line: &str) -> Option<Outcome> {
        let judge = JUDGE.to_string();
        match line {
            "s" => Some(Outcome::Success { judge }),
            "f" => Some(Outcome::Failure { judge, why: "scored by the operator".into() }),
            "a" => Some(Outcome::Aborted { judge, why: "scored by the operator".into() }),
            _ => None,
        }
    }
}

impl Stage for Person {
    fn set_up(&mut self, set_up: &SetUp, motion: Option<&Approach>) -> anyhow::Result<Laid> {
        while self.lines.try_recv().is_ok() {}
        say!("lay out: {}", layout_text(set_up));
        if let Some(motion) = motion {
            say!("{motion}");
        }
        let clear =
            if motion.is_some() { "the scene is set and clear of the arm, which moves then" } else { "to begin" };
        say!("Enter: {clear}; in the trial s, f or a and Enter: success, failure, aborted");
        self.line("the terminal is closed: the operator cannot set up the scene")?;
        Ok(Laid { assignment: None, by: TERMINAL.into() })
    }

    fn may_move(&mut self, motion: &Approach) -> anyhow::Result<Said> {
        while self.lines.try_recv().is_ok() {}
        say!("{motion}\ny and Enter: the way is clear, it may move; anything else: end here");
        self.said()
    }

    fn may_recover(&mut self, trouble: &str, does: &str) -> anyhow::Result<Said> {
        while self.lines.try_recv().is_ok() {}
        say!("the arm failed: {trouble}\nto recover: {does}\ny and Enter: recover; anything else: end here");
        self.said()
    }

    fn judge(&mut self) -> anyhow::Result<Option<Outcome>> {
        match self.lines.try_recv() {
            Ok(line) => {
                if let Some(operator) = self.operator.as_ref().filter(|_| line == "p") {
                    operator.pause_or_resume(TERMINAL);
                }
                Ok(Self::verdict(&line))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => {
                anyhow::bail!("the terminal is closed: the operator cannot score the trial")
            }
        }
    }

    fn time_out(&mut self) -> anyhow::Result<Outcome> {
        say!("time is up: s, f or a and Enter");
        loop {
            if let Some(outcome) = self.stop.outcome() {
                return Ok(outcome);
            }
            let line = self.line("the terminal is closed: the operator cannot score the trial")?;
            if let Some(outcome) = Self::verdict(&line) {
                return Ok(outcome);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::{Driving, Wish};

    #[test]
    fn only_a_yes_recovers_and_a_closed_terminal_is_no_operator() {
        // Lines typed before the question are discarded: a pipe that stays open, fed line by line.
        let answer = |typed: &'static str| {
            let (reader, mut writer) = std::io::pipe().unwrap();
            let mut person = Person::reading(std::io::BufReader::new(reader), StopFlag::new());
            std::io::Write::write_all(&mut writer, typed.as_bytes()).unwrap();
            drop(writer);
            // All lines are read before the question.
            std::iter::repeat_with(|| person.lines.try_recv()).find(|got| *got == Err(TryRecvError::Disconnected));
            person.may_recover("it fell", "it is reset").unwrap()
        };
        assert_eq!(answer("y\n"), Said::Nobody);
        for (line, said) in [("y", Said::Yes("terminal".into())), ("Yes", Said::Yes("terminal".into()))] {
            assert_eq!(asked_then(line), said, "{line}");
        }
        for line in ["", "n", "yy", "s"] {
            assert_eq!(asked_then(line), Said::No("terminal".into()), "{line}");
        }
    }

    /// The reply to a line that is typed after the question.
    fn asked_then(line: &str) -> Said {
        let (sender, lines) = channel();
        let mut person = Person { lines, stop: StopFlag::new(), operator: None };
        std::thread::scope(|scope| {
            let asking = scope.spawn(move || person.may_recover("it fell", "it is reset").unwrap());
            // The question discards earlier lines, so the line is repeated until it is taken.
            while !asking.is_finished() {
                let _ = sender.send(line.to_lowercase());
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            asking.join().unwrap()
        })
    }

    #[test]
    fn a_letter_ends_a_trial_and_a_closed_terminal_is_an_error() {
        let mut person = Person::reading(std::io::Cursor::new("maybe\nf\n"), StopFlag::new());
        assert!(matches!(person.time_out().unwrap(), Outcome::Failure { .. }));
        assert!(person.time_out().is_err());
        assert!(person.judge().is_err());
    }

    #[test]
    fn p_pauses_and_resumes_a_run_and_is_ignored_elsewhere() {
        let operator = Operator::default();
        let (sender, lines) = channel();
        let mut person = Person { lines, stop: StopFlag::new(), operator: None }.pausing(operator.clone());
        for (driving, wish) in [
            (None, None),
            (Some(Driving::Policy), Some(Wish::Pause)),
            (Some(Driving::Operator), Some(Wish::Pause)),
            (Some(Driving::Paused), Some(Wish::Resume)),
        ] {
            operator.show(|panel| panel.driving = driving);
            sender.send("p".to_string()).unwrap();
            assert_eq!(person.judge().unwrap(), None);
            assert_eq!(operator.take(|_| true).map(|(wish, _)| wish), wish);
        }
    }

    #[test]
    fn a_stop_ends_waiting_for_a_line() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let stop = StopFlag::new();
        let mut person = Person::reading(std::io::BufReader::new(theirs), stop.clone());
        stop.raise("SIGTERM");
        assert_eq!(person.line("closed").unwrap_err().to_string(), "stopped: SIGTERM");
        assert!(matches!(person.time_out().unwrap(), Outcome::Aborted { why, .. } if why == "SIGTERM"));
        drop(ours);
    }
}
