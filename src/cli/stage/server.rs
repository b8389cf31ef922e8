//! Server side of the stage's socket: one client at a time; others are refused meanwhile.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::message::{Answer, LONGEST, Question};
use crate::runtime::StopFlag;

/// Socket time-out, after which the stop flag is checked again.
const NAP: Duration = Duration::from_millis(100);

/// Handles requests.
pub trait Handler {
    /// Returns the reply to a request.
    fn answer(&mut self, question: Question) -> Answer;
}

/// A listening socket, readable by this user only; dropping it removes its file.
pub struct Server {
    path: PathBuf,
    listener: UnixListener,
}

impl Server {
    /// Listens at `path`; refuses to replace another process.
    pub fn bind(path: &Path) -> anyhow::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        if UnixStream::connect(path).is_ok() {
            bail!("{}: another process simulates this arm; stop it, or choose another --stage", path.display());
        }
        // A killed process left this socket file without a listener.
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path).with_context(|| path.display().to_string())?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { path: path.to_path_buf(), listener })
    }

    /// Serves requests until the flag is raised.
    pub fn serve(&self, handler: &mut dyn Handler, stop: &StopFlag) -> anyhow::Result<()> {
        let mut waiting = VecDeque::new();
        while !stop.is_raised() {
            self.accept_into(&mut waiting)?;
            match waiting.pop_front() {
                Some(visitor) => {
                    if let Err(error) = self.attend(visitor, &mut waiting, handler, stop) {
                        tracing::warn!("stage: {error:#}");
                    }
                }
                None => std::thread::sleep(NAP),
            }
        }
        Ok(())
    }

    fn accept_into(&self, waiting: &mut VecDeque<UnixStream>) -> anyhow::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((visitor, _)) => waiting.push_back(visitor),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).with_context(|| self.path.display().to_string()),
            }
        }
    }

    /// Serves one client until it disconnects. Others are refused meanwhile: two programs must not alternate on one arm.
    fn attend(
        &self,
        visitor: UnixStream,
        waiting: &mut VecDeque<UnixStream>,
        handler: &mut dyn Handler,
        stop: &StopFlag,
    ) -> anyhow::Result<()> {
        visitor.set_nonblocking(false)?;
        visitor.set_read_timeout(Some(NAP))?;
        visitor.set_write_timeout(Some(Duration::from_secs(5)))?;
        let mut visitor = BufReader::new(visitor);
        let mut line = Vec::new();
        while !stop.is_raised() {
            // Accepted before the read: a client that arrives after this one left is served next, not refused.
            self.accept_into(waiting)?;
            let room = (LONGEST - line.len()) as u64;
            match (&mut visitor).take(room).read_until(b'\n', &mut line) {
                Ok(0) if line.len() >= LONGEST => bail!("a line longer than {LONGEST} bytes"),
                Ok(0) => return Ok(()),
                Ok(_) if line.ends_with(b"\n") => {
                    let answer = match serde_json::from_slice(&line) {
                        Ok(question) => handler.answer(question),
                        Err(error) => Answer::Refused { why: format!("not a question: {error}") },
                    };
                    line.clear();
                    write(visitor.get_mut(), &answer)?;
                }
                Ok(_) => {}
                // The part of the line received so far is kept.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
            waiting.drain(..).for_each(refuse);
        }
        Ok(())
    }
}

fn refuse(mut other: UnixStream) {
    let why = "another program drives this arm; stop it first".into();
    // A client that has already left needs no refusal.
    let _ = other.set_nonblocking(true);
    let _ = write(&mut other, &Answer::Refused { why });
}

fn write(to: &mut UnixStream, answer: &Answer) -> anyhow::Result<()> {
    let mut text = serde_json::to_string(answer)?;
    text.push('\n');
    Ok(to.write_all(text.as_bytes())?)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::stage::{Remote, Stage};
    use crate::episode::Outcome;

    struct Third(u32);

    impl Handler for Third {
        fn answer(&mut self, question: Question) -> Answer {
            self.0 += 1;
            match question {
                Question::Judge if self.0 < 3 => Answer::Undecided,
                Question::Judge => Answer::Ended { outcome: Outcome::Success { judge: "third".into() } },
                _ => Answer::Refused { why: "nothing is laid".into() },
            }
        }
    }

    #[test]
    fn requests_get_replies_and_nonsense_and_a_second_client_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.stage");
        let server = Server::bind(&path).unwrap();
        assert!(Server::bind(&path).is_err(), "two processes must not share a stage");
        let stop = StopFlag::new();
        std::thread::scope(|scope| {
            let serving = scope.spawn(|| server.serve(&mut Third(0), &stop));
            let mut remote = Remote::connect(&path).unwrap();
            assert_eq!(remote.judge().unwrap(), None);
            assert_eq!(remote.judge().unwrap(), None);
            assert!(matches!(remote.judge().unwrap(), Some(Outcome::Success { .. })));
            let refused = remote.time_out().unwrap_err().to_string();
            assert!(refused.contains("nothing is laid"), "{refused}");
            let second = Remote::connect(&path).unwrap().judge().unwrap_err();
            assert!(format!("{second:#}").contains("another program drives this arm"), "{second:#}");
            drop(remote);
            let mut rude = UnixStream::connect(&path).unwrap();
            rude.write_all(b"hello\n").unwrap();
            let mut answer = String::new();
            BufReader::new(&rude).read_line(&mut answer).unwrap();
            assert!(answer.contains("refused"), "{answer}");
            stop.raise("test");
            serving.join().unwrap().unwrap();
        });
        drop(server);
        assert!(!path.exists());
    }
}
