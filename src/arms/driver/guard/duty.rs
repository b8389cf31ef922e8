//! The guard process, from its first line to the end of its work.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::brake::{Brake, open};
use super::message::{Frames, Hello, Word};
use super::watch::{Duty, Stopping, Trip, Watch};
use crate::driver::Standstill;
use crate::transport::ros2::{RosNode, RosSettings};
use visuomotor_core::time::{Clock, SystemClock, Timestamp};

/// Longest wait for the arm's controller, and for a connected program's next message.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest sleep between two polls.
const NAP: Duration = Duration::from_millis(5);
/// Period of the guard's own beats.
const BEAT: Duration = Duration::from_millis(100);

/// How the guard ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// The program ended properly, or never moved the arm.
    Left,
    /// The arm was stopped, and its state shows that it stands still.
    Stopped,
    /// The arm was commanded to stop; its state did not confirm that it stands still.
    Unconfirmed,
}

/// Guards one program. `place` may change the guard's settings on the ROS 2 graph; `input` must not be read by others. Returns when
/// the program is gone and the arm was commanded to stop, or when the program reports that it stands.
pub fn watch(
    mut input: impl Read + AsRawFd,
    mut output: impl Write,
    place: impl FnOnce(RosSettings) -> RosSettings,
) -> io::Result<Watched> {
    // One byte at a time: bytes after the line belong to the frames.
    let hello = match Hello::read(&mut BufReader::with_capacity(1, &mut input)) {
        Ok(hello) => hello,
        Err(error) => {
            say(&mut output, &Word::Refused(error.to_string()));
            return Err(error);
        }
    };
    let refuse = |output: &mut dyn Write, error: crate::transport::ros2::RosError| {
        say(output, &Word::Refused(error.to_string()));
        io::Error::other(error.to_string())
    };
    let settings = RosSettings { node: format!("visuomotor_guard_{}", std::process::id()), ..hello.place.clone() };
    let node = RosNode::start(place(settings)).map_err(|error| refuse(&mut output, error))?;
    say(&mut output, &Word::Here(node.participant()));
    let mut ears = Ears::new(input, &hello);
    let clock = SystemClock::new();
    // The program must know whose endpoints these are before they exist: otherwise it would take them for a second commander's.
    let deadline = clock.now() + PATIENCE;
    while ears.frames == 0 && !ears.watch.gone() && clock.now() < deadline {
        ears.listen(&clock, NAP)?;
    }
    if ears.frames == 0 {
        return Ok(Watched::Left);
    }
    let brake = open(&node, &hello, PATIENCE).map_err(|error| refuse(&mut output, error))?;
    say(&mut output, &Word::Ready);
    Ok(Work { hello, ears, brake, output, clock }.run())
}

/// Sends a message; a program that no longer reads changes nothing.
fn say(output: &mut (impl Write + ?Sized), word: &Word) {
    let _ = output.write_all(word.line().as_bytes()).and_then(|()| output.flush());
}

/// Receives from the program.
struct Ears<R> {
    input: R,
    assembly: Frames,
    watch: Watch,
    /// Frames received.
    frames: u64,
    deaf: bool,
}

impl<R: Read + AsRawFd> Ears<R> {
    fn new(input: R, hello: &Hello) -> Self {
        let limit = Duration::from_secs_f64(hello.limit);
        let joints = hello.joints.len();
        Self { input, assembly: Frames::new(joints), watch: Watch::new(limit, joints), frames: 0, deaf: false }
    }

    /// Takes everything that has arrived, after waiting at most `nap` for something to arrive.
    fn listen(&mut self, clock: &SystemClock, nap: Duration) -> io::Result<()> {
        let mut wait = nap;
        let mut bytes = [0; 4096];
        while !self.deaf {
            if !readable(&self.input, wait)? {
                return Ok(());
            }
            match self.input.read(&mut bytes) {
                Ok(0) => self.connection_closed(),
                Ok(count) => self.take(&bytes[..count], clock.now()),
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                // A connection that was reset, or whose other end no longer responds to the kernel.
                Err(_) => self.connection_closed(),
            }
            wait = Duration::ZERO;
        }
        std::thread::sleep(wait);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], now: Timestamp) {
        for byte in bytes {
            match self.assembly.push(*byte) {
                Ok(None) => {}
                Ok(Some(frame)) => {
                    self.frames += 1;
                    self.watch.receive(now, frame);
                }
                Err(_) => {
                    self.watch.malformed_frame();
                    self.connection_closed();
                    return;
                }
            }
        }
    }

    fn connection_closed(&mut self) {
        self.deaf = true;
        self.watch.connection_closed();
    }
}

/// Is there something to read now or within `wait`?
fn readable(input: &impl AsRawFd, wait: Duration) -> io::Result<bool> {
    let mut of = libc::pollfd { fd: input.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd that outlives the call, on a descriptor that the caller owns.
    let ready = unsafe { libc::poll(&mut of, 1, wait.as_millis() as libc::c_int) };
    match ready {
        0 => Ok(false),
        1.. => Ok(true),
        _ => match io::Error::last_os_error() {
            error if error.kind() == ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
    }
}

/// A guard that is ready.
struct Work<R, W> {
    hello: Hello,
    ears: Ears<R>,
    brake: Box<dyn Brake>,
    output: W,
    clock: SystemClock,
}

impl<R: Read + AsRawFd, W: Write> Work<R, W> {
    fn run(mut self) -> Watched {
        let mut said = self.clock.now();
        loop {
            if self.ears.listen(&self.clock, NAP).is_err() {
                // A descriptor that cannot be polled: the program is gone.
                self.ears.connection_closed();
            }
            let now = self.clock.now();
            // States are read all the time: the first one after a trip must not be an old one.
            self.brake.positions();
            match self.ears.watch.check(now) {
                Duty::Watch if now.since(said) >= BEAT => {
                    said = now;
                    say(&mut self.output, &Word::Beat);
                }
                Duty::Watch => {}
                Duty::End => return Watched::Left,
                Duty::Stop(trip) => return self.stop(trip),
            }
        }
    }

    /// Stops the arm, and keeps sending the stop while the program may still send.
    fn stop(mut self, trip: Trip) -> Watched {
        let arm = self.hello.arm.clone();
        let began = self.clock.now();
        let mut stopping = Stopping::new(began, self.ears.watch.last(), &self.hello.ramp);
        let mut still = Standstill::default();
        let (mut confirmed, mut told) = (false, false);
        // The first command before the first message: messages can wait.
        loop {
            let now = self.clock.now();
            if let Some(command) = stopping.command(now) {
                self.brake.send(&command);
            }
            if stopping.at_zero() {
                self.brake.switch_off();
            }
            if !told {
                told = true;
                tracing::error!("{arm}: the guard stops the arm: {}", trip.text());
                say(&mut self.output, &Word::Tripped(trip.text()));
            }
            if let Some(positions) = self.brake.positions() {
                still.observe(now, &positions);
            }
            if !confirmed && stopping.at_zero() && still.stands(now) {
                confirmed = true;
                stopping.confirm();
                tracing::warn!("{arm}: the arm stands");
                say(&mut self.output, &Word::Stands);
            }
            let ordered = self.ears.watch.check(now) == Duty::End;
            if ordered || stopping.over(now, self.ears.watch.gone()) {
                break;
            }
            if self.ears.listen(&self.clock, NAP).is_err() {
                self.ears.connection_closed();
            }
        }
        if confirmed {
            return Watched::Stopped;
        }
        let why = "its state does not show that it stands: switch its power off";
        tracing::error!("{arm}: the arm was commanded to stop, and {why}");
        say(&mut self.output, &Word::Unconfirmed(why.into()));
        Watched::Unconfirmed
    }
}
