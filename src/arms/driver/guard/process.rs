//! Starting and supervising a guard: a process of this program on this machine, or one that listens on the controller's host.

use std::io::{BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::heartbeat::{Heartbeat, Line};
use super::message::{Hello, Word, read_line};
use super::token::Token;
use crate::driver::GuardFault;
use visuomotor_core::action::ControlMode;
use visuomotor_core::failure::{Failing, FailureKind};
use visuomotor_core::time::Clock;

/// Default of the longest silence of a program before its guard stops the arm.
pub const LIMIT: Duration = Duration::from_millis(100);

/// How an arm is guarded whose controller executes its last command forever.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Guarding {
    /// Not at all: such commands are refused.
    #[default]
    None,
    /// Not at all, and the operator accepted that the arm moves on when this program dies.
    Waived,
    /// By a process of a program on this machine; it covers the end of this program, not of this machine.
    Process {
        /// The program, called with the argument `guard`.
        program: PathBuf,
        /// Longest silence before it stops the arm.
        limit: Duration,
    },
    /// By one that listens on the controller's host; it covers the loss of this machine and of the network too.
    Remote {
        /// Host and port.
        address: String,
        /// What it was started with.
        token: Token,
        /// Longest silence before it stops the arm.
        limit: Duration,
    },
}

impl Guarding {
    /// A process of this very program.
    pub fn local(limit: Duration) -> Self {
        // Not the name it was started by: that file may have been replaced since.
        Guarding::Process { program: "/proc/self/exe".into(), limit }
    }

    fn limit(&self) -> Duration {
        match self {
            Guarding::None | Guarding::Waived => LIMIT,
            Guarding::Process { limit, .. } | Guarding::Remote { limit, .. } => *limit,
        }
    }
}

/// Why there is no guard.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// None was requested, and none was waived.
    #[error("{arm}: {mode} commands over this link need a guard, and none was asked for")]
    Missing {
        /// Arm name.
        arm: String,
        /// What the commands are.
        mode: ControlMode,
    },
    /// It could not be started, or reached.
    #[error("the guard at {place} cannot be used ({cause}); {fix}")]
    Unusable {
        /// Program or address.
        place: String,
        /// The operating system's error.
        cause: String,
        /// What to do.
        fix: String,
    },
    /// It does not guard this arm.
    #[error("the guard at {place} refused: {why}")]
    Refused {
        /// Program or address.
        place: String,
        /// The guard's message.
        why: String,
    },
    /// It runs but does not find the arm.
    #[error(
        "the guard at {place} was not ready within {seconds} s; does it see the arm's controller (`ros2 node list`)?"
    )]
    NotReady {
        /// Program or address.
        place: String,
        /// Time waited \[s\].
        seconds: f64,
    },
}

impl Failing for GuardError {
    fn failure(&self) -> FailureKind {
        if matches!(self, Self::Missing { .. }) { FailureKind::Usage } else { FailureKind::Machine }
    }
}

/// A guard at work. Dropping it without [`Heartbeat::done`] makes it stop the arm.
pub struct Guard {
    heartbeat: Heartbeat,
    mode: ControlMode,
    process: Option<u32>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.heartbeat.close();
    }
}

impl Guard {
    /// Starts one, sends it the first message, and waits until its endpoints are matched. `known` receives its participant on the
    /// graph before it has any endpoints. The limit of `hello` is set here. Blocks.
    pub fn start(
        guarding: &Guarding,
        mut hello: Hello,
        patience: Duration,
        clock: Arc<dyn Clock>,
        known: impl Fn(&str),
    ) -> Result<Self, GuardError> {
        hello.limit = guarding.limit().as_secs_f64();
        let connected = match guarding {
            Guarding::None | Guarding::Waived => {
                return Err(GuardError::Missing { arm: hello.arm, mode: hello.mode });
            }
            Guarding::Process { program, .. } => spawn(program, &hello),
            Guarding::Remote { address, token, .. } => dial(address, token, &hello, patience),
        };
        let Connected { place, line, from, child } = connected?;
        let process = child.as_ref().map(Child::id);
        let heartbeat = Heartbeat::new(Some(line), guarding.limit(), hello.joints.len(), clock);
        let guard = Guard { heartbeat: heartbeat.clone(), mode: hello.mode, process };
        let (to_us, words) = channel();
        let (arm, reading) = (hello.arm.clone(), heartbeat.clone());
        // Ends with the guard.
        let started = std::thread::Builder::new()
            .name("guard-words".into())
            .spawn(move || listen(&arm, from, &reading, &to_us, child));
        if let Err(error) = started {
            return Err(unusable(&place, &error, "too many threads: end other programs"));
        }
        guard.settle(&place, &words, patience, known)?;
        Ok(guard)
    }

    fn settle(
        &self,
        place: &str,
        words: &Receiver<Word>,
        patience: Duration,
        known: impl Fn(&str),
    ) -> Result<(), GuardError> {
        let deadline = Instant::now() + patience;
        loop {
            match words.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Word::Here(participant)) => {
                    known(&participant);
                    self.heartbeat.pause();
                }
                Ok(Word::Ready) => return Ok(()),
                Ok(Word::Refused(why)) => return Err(GuardError::Refused { place: place.into(), why }),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(GuardError::NotReady { place: place.into(), seconds: patience.as_secs_f64() });
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let fix = "its own message says why; `visuomotor guard --help` is what it is called with";
                    return Err(unusable(place, "it ended", fix));
                }
            }
        }
    }

    /// The sender of beats.
    pub fn heartbeat(&self) -> &Heartbeat {
        &self.heartbeat
    }

    /// Mode it guards.
    pub fn mode(&self) -> ControlMode {
        self.mode
    }

    /// Its process, where it is one of this machine.
    pub fn process(&self) -> Option<u32> {
        self.process
    }
}

/// A missing guard as an error for the control thread; the text goes to the log.
pub fn fault_of(error: &GuardError) -> GuardFault {
    tracing::error!("{error}");
    match error {
        GuardError::Missing { .. } => GuardFault::Missing,
        _ => GuardFault::Ended,
    }
}

struct Connected {
    place: String,
    line: Line,
    from: Box<dyn Read + Send>,
    child: Option<Child>,
}

fn unusable(place: &str, cause: impl std::fmt::Display, fix: &str) -> GuardError {
    GuardError::Unusable { place: place.into(), cause: cause.to_string(), fix: fix.into() }
}

fn spawn(program: &PathBuf, hello: &Hello) -> Result<Connected, GuardError> {
    let place = program.display().to_string();
    let failed = |error: std::io::Error| unusable(&place, error, "is that file a program, and is there memory left?");
    let mut child = Command::new(program)
        .arg0("visuomotor")
        .arg("guard")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Ctrl-C and Ctrl-Z are for this program.
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let (Some(mut to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(unusable(&place, "it has no pipes", "start again"));
    };
    to.write_all(hello.line().map_err(failed)?.as_bytes()).map_err(failed)?;
    // SAFETY: fcntl on a descriptor that `to` owns; O_NONBLOCK belongs to our end of the pipe alone.
    let set = unsafe { libc::fcntl(to.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    if set != 0 {
        return Err(failed(std::io::Error::last_os_error()));
    }
    Ok(Connected { place, line: Line::Pipe(to), from: Box::new(from), child: Some(child) })
}

/// A beat that does not leave within this time is lost; the buffers of a connection hold thousands of them.
const WRITING: Duration = Duration::from_millis(5);

fn dial(address: &str, token: &Token, hello: &Hello, patience: Duration) -> Result<Connected, GuardError> {
    let fix =
        "start `visuomotor guard --listen` on the controller's host with the same token, and correct guard.address";
    let failed = |error: std::io::Error| unusable(address, error, fix);
    let mut last = None;
    for place in address.to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&place, patience) {
            Ok(mut stream) => {
                stream.set_nodelay(true).map_err(failed)?;
                stream.set_write_timeout(Some(patience)).map_err(failed)?;
                let first = format!("{}\n{}", token.text(), hello.line().map_err(failed)?);
                stream.write_all(first.as_bytes()).map_err(failed)?;
                stream.set_write_timeout(Some(WRITING)).map_err(failed)?;
                let from = stream.try_clone().map_err(failed)?;
                let place = address.to_string();
                return Ok(Connected { place, line: Line::Tcp(stream), from: Box::new(from), child: None });
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| unusable(address, "no such host", fix), failed))
}

/// Reads the guard's messages, until it ends.
fn listen(arm: &str, from: Box<dyn Read + Send>, heartbeat: &Heartbeat, to: &Sender<Word>, child: Option<Child>) {
    let mut from = BufReader::new(from);
    while let Ok(line) = read_line(&mut from) {
        let Some(word) = Word::of(&line) else { continue };
        heartbeat.receive(&word);
        match &word {
            Word::Tripped(why) => tracing::error!("{arm}: its guard stops the arm: {why}"),
            Word::Stands => tracing::warn!("{arm}: its guard sees that the arm stands"),
            Word::Unconfirmed(why) => tracing::error!("{arm}: its guard could not see that the arm stands: {why}"),
            _ => {}
        }
        // The starter of the guard may have given up.
        let _ = to.send(word);
    }
    heartbeat.lost();
    if let Some(mut child) = child {
        // It closed its end, so it ends; how does not matter.
        let _ = child.wait();
    }
}
