//! The simulating process as a stage, over its local socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::message::{Answer, LONGEST, Question};
use super::{Laid, Stage};
use crate::cli::approach::Approach;
use crate::cli::consent::Said;
use crate::cli::exit::Failure;
use crate::cli::link::LinkAddress;
use crate::cli::set_up::SetUp;
use crate::episode::Outcome;

/// Setting up a scene compiles a kitchen and lets it settle.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to `visuomotor simulate`.
pub struct Remote {
    path: PathBuf,
    socket: BufReader<UnixStream>,
}

impl Remote {
    /// Connects.
    pub fn connect(path: &Path) -> anyhow::Result<Self> {
        let socket = UnixStream::connect(path)
            .with_context(|| format!(
                "{}: no stage there; start `visuomotor simulate`, or pass `--stage person` to lay and judge the scene yourself (a \
                 killed simulation leaves its socket behind: remove it)",
                path.display()
            ))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { path: path.to_path_buf(), socket: BufReader::new(socket) })
    }

    fn ask(&mut self, question: &Question) -> anyhow::Result<Answer> {
        let path = self.path.clone();
        let at = || format!("stage {}", path.display());
        let mut line = serde_json::to_string(question)?;
        line.push('\n');
        // A stage that refuses replies and closes, perhaps before the request is sent.
        let sent = self.socket.get_mut().write_all(line.as_bytes());
        line.clear();
        let mut limited = (&mut self.socket).take(LONGEST as u64);
        let read = limited.read_line(&mut line);
        if line.is_empty() {
            sent.with_context(at)?;
            read.with_context(at)?;
            return Err(
                Failure::machine(format!("stage {}: the simulating process is gone", self.path.display())).into()
            );
        }
        match serde_json::from_str(&line).with_context(at)? {
            Answer::Refused { why } => bail!("stage {}: {why}", self.path.display()),
            answer => Ok(answer),
        }
    }

    /// Which controller the other process emulates.
    pub fn plays(&mut self) -> anyhow::Result<LinkAddress> {
        match self.ask(&Question::Plays)? {
            Answer::Plays { whereabouts } => Ok(whereabouts),
            other => self.unexpected(&other),
        }
    }

    fn unexpected<T>(&self, answer: &Answer) -> anyhow::Result<T> {
        bail!("stage {}: unexpected reply {answer:?}", self.path.display())
    }
}

impl Stage for Remote {
    fn set_up(&mut self, set_up: &SetUp, _motion: Option<&Approach>) -> anyhow::Result<Laid> {
        match self.ask(&Question::SetUp { set_up: Box::new(set_up.clone()) })? {
            Answer::Ready { assignment } => Ok(Laid { assignment: Some(assignment), by: "stage".into() }),
            other => self.unexpected(&other),
        }
    }

    fn may_move(&mut self, _motion: &Approach) -> anyhow::Result<Said> {
        Ok(Said::Nobody)
    }

    fn may_recover(&mut self, _trouble: &str, _does: &str) -> anyhow::Result<Said> {
        Ok(Said::Nobody)
    }

    fn judge(&mut self) -> anyhow::Result<Option<Outcome>> {
        match self.ask(&Question::Judge)? {
            Answer::Undecided => Ok(None),
            Answer::Ended { outcome } => Ok(Some(outcome)),
            other => self.unexpected(&other),
        }
    }

    fn time_out(&mut self) -> anyhow::Result<Outcome> {
        match self.ask(&Question::TimeOut)? {
            Answer::Ended { outcome } => Ok(outcome),
            other => self.unexpected(&other),
        }
    }
}
