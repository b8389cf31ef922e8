//! The program's end of a guard: beats, written by the thread that sends commands, and the guard's known status.
//!
//! Only the thread that sends commands beats: beats from another thread would continue while commands had stopped. Nothing here
//! waits. Not for the control thread: it takes a lock.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::process::ChildStdin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::message::{Frame, Word};
use crate::driver::GuardFault;
use crate::transport::loss;
use visuomotor_core::observation::JointVector;
use visuomotor_core::protection::Protection;
use visuomotor_core::time::{Clock, Timestamp};

/// Time between beats.
const PERIOD: Duration = Duration::from_millis(20);

/// A guard that is silent for this long is taken for lost. It sends something every 100 ms.
const DEAF: Duration = Duration::from_secs(2);

/// Where beats are sent.
pub(super) enum Line {
    /// A guard on this machine; the pipe does not block.
    Pipe(ChildStdin),
    /// A guard on the controller's host; writing gives up within milliseconds.
    Tcp(TcpStream),
}

impl Line {
    /// All or nothing.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Line::Pipe(pipe) => pipe.write_all(bytes),
            // Beats lost by a network still count as sent.
            Line::Tcp(_) if loss::network_is_lost() => Ok(()),
            Line::Tcp(stream) => stream.write_all(bytes),
        }
    }

    /// Closes the connection, which the guard takes for the end of the program.
    fn close(self) {
        if let Line::Tcp(stream) = self {
            // Another process that still holds the connection must see the end too; a connection that is gone needs no closing.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

const NONE: u8 = 0;
const LATE: u8 = 1;
const TRIPPED: u8 = 2;
const ENDED: u8 = 3;
const SILENT: u8 = 4;

/// Value of the last beat while none is due.
const NEVER: u64 = u64::MAX;

struct Shared {
    clock: Arc<dyn Clock>,
    limit: Duration,
    joints: usize,
    line: Mutex<Option<Line>>,
    /// The first fault; stays.
    fault: AtomicU8,
    /// The last beat \[ns\]; [`NEVER`] while silence is fine.
    beaten: AtomicU64,
    /// Time of the guard's last message \[ns\].
    heard: AtomicU64,
    /// The guard was asked to stop the arm.
    called: AtomicBool,
}

/// Beats for one guard; clones share them.
#[derive(Clone)]
pub struct Heartbeat {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Heartbeat({})", self.shared.fault.load(Ordering::Relaxed))
    }
}

impl Heartbeat {
    pub(super) fn new(line: Option<Line>, limit: Duration, joints: usize, clock: Arc<dyn Clock>) -> Self {
        let heard = AtomicU64::new(clock.now().as_nanos());
        let (fault, beaten) = (AtomicU8::new(NONE), AtomicU64::new(NEVER));
        let called = AtomicBool::new(false);
        Self { shared: Arc::new(Shared { clock, limit, joints, line: Mutex::new(line), fault, beaten, heard, called }) }
    }

    /// A heartbeat over any connection, for tests of the code that feeds a guard.
    #[cfg(test)]
    pub(in crate::driver) fn over(stream: TcpStream, joints: usize, clock: Arc<dyn Clock>) -> Self {
        Self::new(Some(Line::Tcp(stream)), Duration::from_millis(100), joints, clock)
    }

    /// From now on commands are sent, and the guard stops the arm when beats stop.
    pub fn arm(&self) {
        let now = self.shared.clock.now();
        self.shared.heard.fetch_max(now.as_nanos(), Ordering::AcqRel);
        self.send(now, &Frame::Beat(JointVector::zeros(self.shared.joints)));
    }

    /// Reports to the guard that commands are sent, when a beat is due; `last` is the last command. A late beat is a fault and is
    /// not sent: a command decided before a long pause must not move the arm after it.
    pub fn beat(&self, now: Timestamp, last: &JointVector) {
        let beaten = self.shared.beaten.load(Ordering::Acquire);
        if beaten == NEVER || self.fault(now).is_some() || now.since(Timestamp::from_nanos(beaten)) < PERIOD {
            return;
        }
        self.send(now, &Frame::Beat(*last));
    }

    /// Are beats due?
    pub fn is_beating(&self) -> bool {
        self.shared.beaten.load(Ordering::Acquire) != NEVER
    }

    /// The arm was commanded to hold: silence is fine until [`Heartbeat::arm`].
    pub fn pause(&self) {
        self.shared.beaten.store(NEVER, Ordering::Release);
        self.say(&Frame::Pause);
    }

    /// Has the guard stop the arm, and feeds it no more: this program does not receive the arm's state, or the arm does not receive
    /// its commands. `last` is the last command sent. That the guard trips then is no fault.
    pub fn stop(&self, last: &JointVector) {
        self.shared.called.store(true, Ordering::Release);
        self.shared.beaten.store(NEVER, Ordering::Release);
        self.say(&Frame::Beat(*last));
        self.say(&Frame::Stop);
    }

    /// Was it asked to stop the arm? Then it guards nothing afterwards.
    pub fn stop_was_requested(&self) -> bool {
        self.shared.called.load(Ordering::Acquire)
    }

    /// The arm's state shows that it stands still: the guard may end.
    pub fn done(&self) {
        self.shared.beaten.store(NEVER, Ordering::Release);
        self.say(&Frame::Done);
        self.close();
    }

    /// What is wrong with the guard or with this program's timing; the first fault found stays.
    pub fn fault(&self, now: Timestamp) -> Option<GuardFault> {
        let since = |nanos: &AtomicU64| now.since(Timestamp::from_nanos(nanos.load(Ordering::Acquire)));
        if self.shared.beaten.load(Ordering::Acquire) != NEVER {
            // A program that was suspended finds out here, before it reads the guard's message.
            if since(&self.shared.beaten) > self.shared.limit {
                self.note(LATE);
            } else if since(&self.shared.heard) > DEAF {
                self.note(SILENT);
            }
        }
        match self.shared.fault.load(Ordering::Acquire) {
            NONE => None,
            _ if !Protection::GuardWatch.is_on() => None,
            LATE => Some(GuardFault::Late),
            TRIPPED => Some(GuardFault::Tripped),
            SILENT => Some(GuardFault::Silent),
            _ => Some(GuardFault::Ended),
        }
    }

    /// Takes the guard's messages.
    pub(super) fn receive(&self, word: &Word) {
        self.shared.heard.fetch_max(self.shared.clock.now().as_nanos(), Ordering::AcqRel);
        if matches!(word, Word::Tripped(_)) && !self.stop_was_requested() {
            self.note(TRIPPED);
        }
    }

    /// Nothing more comes from the guard.
    pub(super) fn lost(&self) {
        self.note(ENDED);
    }

    /// Closes the connection. The guard takes that for the end of the program unless a frame announced another reason.
    pub(super) fn close(&self) {
        if let Some(line) = self.line().take() {
            line.close();
        }
    }

    fn send(&self, now: Timestamp, frame: &Frame) {
        if self.say(frame) {
            self.shared.beaten.store(now.as_nanos(), Ordering::Release);
        }
    }

    fn say(&self, frame: &Frame) -> bool {
        let (bytes, count) = frame.bytes();
        let sent = match self.line().as_mut() {
            Some(line) => line.send(&bytes[..count]),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        if sent.is_err() {
            // A full pipe is as bad as a lost guard: a guard that does not read does not guard.
            self.note(ENDED);
        }
        sent.is_ok()
    }

    fn note(&self, fault: u8) {
        let _ = self.shared.fault.compare_exchange(NONE, fault, Ordering::AcqRel, Ordering::Acquire);
    }

    fn line(&self) -> MutexGuard<'_, Option<Line>> {
        self.shared.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;
    use visuomotor_core::time::ManualClock;

    const LIMIT: Duration = Duration::from_millis(100);

    /// A heartbeat on a manual clock, and its output.
    fn heartbeat() -> (Heartbeat, Arc<ManualClock>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        let clock = Arc::new(ManualClock::new());
        (Heartbeat::new(Some(Line::Tcp(ours)), LIMIT, 2, clock.clone()), clock, theirs)
    }

    fn pass(clock: &ManualClock, ms: u64) -> Timestamp {
        clock.advance(Duration::from_millis(ms));
        clock.now()
    }

    const LAST: [f64; 2] = [0.5, 0.0];

    /// Everything sent before the heartbeat was closed.
    fn said(heartbeat: &Heartbeat, mut theirs: TcpStream) -> Vec<u8> {
        heartbeat.close();
        let mut bytes = Vec::new();
        theirs.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn it_beats_once_in_twenty_milliseconds_and_only_once_armed() {
        let (heartbeat, clock, theirs) = heartbeat();
        let last = JointVector::from_slice(&LAST);
        heartbeat.beat(pass(&clock, 50), &last);
        heartbeat.arm();
        for _ in 0..40 {
            heartbeat.beat(pass(&clock, 5), &last);
            heartbeat.receive(&Word::Beat);
        }
        assert_eq!(heartbeat.fault(clock.now()), None);
        assert_eq!(said(&heartbeat, theirs).len(), (1 + 10) * 18, "zeros when armed, then ten beats in 200 ms");
    }

    #[test]
    fn a_program_that_was_suspended_knows_before_it_sends_anything() {
        let (heartbeat, clock, theirs) = heartbeat();
        heartbeat.arm();
        let now = pass(&clock, 101);
        assert_eq!(heartbeat.fault(now), Some(GuardFault::Late));
        heartbeat.beat(now, &JointVector::from_slice(&LAST));
        heartbeat.receive(&Word::Tripped("silence".into()));
        assert_eq!(heartbeat.fault(now), Some(GuardFault::Late), "the first fault stays");
        assert_eq!(said(&heartbeat, theirs).len(), 18, "no beat after the one that armed it");
    }

    #[test]
    fn silence_is_fine_in_a_pause() {
        let (heartbeat, clock, theirs) = heartbeat();
        heartbeat.arm();
        heartbeat.pause();
        assert!(!heartbeat.is_beating());
        assert_eq!(heartbeat.fault(pass(&clock, 60_000)), None);
        assert_eq!(&said(&heartbeat, theirs)[18..], b"P\x00");
    }

    /// While the arm's state is silent the guard must not receive ordinary beats.
    #[test]
    fn a_guard_that_is_told_to_stop_the_arm_is_fed_no_more_and_its_trip_is_no_fault() {
        let (heartbeat, clock, theirs) = heartbeat();
        heartbeat.arm();
        heartbeat.stop(&JointVector::zeros(2));
        assert!(heartbeat.stop_was_requested());
        heartbeat.receive(&Word::Tripped("asked".into()));
        for _ in 0..50 {
            heartbeat.beat(pass(&clock, 20), &JointVector::from_slice(&LAST));
        }
        assert_eq!(heartbeat.fault(clock.now()), None);
        assert_eq!(
            &said(&heartbeat, theirs)[2 * 18..],
            b"S\x00",
            "a last beat with what was sent last, and nothing after it"
        );
    }

    #[test]
    fn a_guard_that_trips_ends_or_says_nothing_is_a_fault() {
        let (heartbeat, clock, _theirs) = self::heartbeat();
        heartbeat.arm();
        heartbeat.receive(&Word::Tripped("silence".into()));
        assert_eq!(heartbeat.fault(clock.now()), Some(GuardFault::Tripped));
        let (heartbeat, clock, _theirs) = self::heartbeat();
        heartbeat.arm();
        heartbeat.lost();
        assert_eq!(heartbeat.fault(clock.now()), Some(GuardFault::Ended));
        let (heartbeat, clock, _theirs) = self::heartbeat();
        heartbeat.arm();
        for _ in 0..101 {
            heartbeat.beat(pass(&clock, 20), &JointVector::from_slice(&LAST));
        }
        assert_eq!(heartbeat.fault(clock.now()), Some(GuardFault::Silent));
    }

    #[test]
    fn the_orderly_end_is_said_and_closes_the_line() {
        let (heartbeat, _clock, mut theirs) = heartbeat();
        heartbeat.arm();
        heartbeat.done();
        let mut bytes = Vec::new();
        theirs.read_to_end(&mut bytes).unwrap();
        assert_eq!(&bytes[18..], b"D\x00");
    }
}
