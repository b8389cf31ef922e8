//! Keys of a terminal: motion keys drive while they repeat, the others are buttons.
//!
//! | keys | motion | keys | button |
//! |---|---|---|---|
//! | `w` `s` | forward, back | space | gripper open / closed |
//! | `a` `d` | left, right | Enter, `y` | accept |
//! | `r` `f` | up, down | Backspace, `n` | reject |
//! | `j` `l` | yaw left, right | `b` | begin |
//! | `i` `k` | pitch down, up | `x` | does not count |
//! | `u` `o` | roll left, right | Esc | stop: the arm holds |
//! | | | `c` | let an arm that failed recover |
//! | `p` | pause, resume a run | `q` | quit after this episode |
//! | `t` | take a run over, hand it back | | |

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::stream::DeviceFile;
use super::{Decoder, DeviceError, Motion, Reading, StreamDevice};
use visuomotor_core::operator::{Operator, Wish};
use visuomotor_core::time::{Clock, Timestamp};

/// A held key counts for this long after its last repetition \[s\]: terminals repeat 20 to 40 times a second.
const HELD: f64 = 0.12;

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Along (0, 1, 2) or about (3, 4, 5) x, y, z; true is backwards.
    Drive(usize, bool),
    /// Opens a closed gripper and closes an open one; also the clutch of a device without one.
    Gripper,
    /// Accept the episode.
    Accept,
    /// Reject the episode.
    Reject,
    /// Begin the episode.
    Begin,
    /// Let an arm that failed recover.
    Recover,
    /// The episode does not count.
    Abort,
    /// Stop at once.
    Stop,
    /// No more episodes.
    Quit,
    /// Pause a run, or resume it.
    Pause,
    /// Take a run over, or hand it back.
    TakeOver,
}

impl Key {
    /// Meaning of a byte; letters in either case.
    pub fn of(byte: u8) -> Option<Self> {
        Some(match byte.to_ascii_lowercase() {
            b'w' => Key::Drive(0, false),
            b's' => Key::Drive(0, true),
            b'a' => Key::Drive(1, false),
            b'd' => Key::Drive(1, true),
            b'r' => Key::Drive(2, false),
            b'f' => Key::Drive(2, true),
            b'u' => Key::Drive(3, true),
            b'o' => Key::Drive(3, false),
            b'i' => Key::Drive(4, false),
            b'k' => Key::Drive(4, true),
            b'j' => Key::Drive(5, false),
            b'l' => Key::Drive(5, true),
            b' ' => Key::Gripper,
            b'\r' | b'\n' | b'y' => Key::Accept,
            0x08 | 0x7F | b'n' => Key::Reject,
            b'b' => Key::Begin,
            b'c' => Key::Recover,
            b'x' => Key::Abort,
            0x03 => Key::Stop,
            b'q' => Key::Quit,
            b'p' => Key::Pause,
            b't' => Key::TakeOver,
            _ => return None,
        })
    }
}

/// Decodes the bytes of a terminal in raw mode.
pub struct KeyDecoder {
    operator: Operator,
    /// Do motion keys drive, or does another device drive and this terminal has only the buttons?
    drives: bool,
    /// When each axis was last pressed, and in which direction.
    pressed: [Option<(Timestamp, bool)>; 6],
    gripper: f64,
    /// An escape that may be the beginning of a cursor key.
    escape: Option<Timestamp>,
    inside: bool,
}

impl KeyDecoder {
    /// Button presses go to `operator`.
    pub fn new(operator: Operator, drives: bool) -> Self {
        Self { operator, drives, pressed: [None; 6], gripper: 1.0, escape: None, inside: false }
    }

    fn key(&mut self, key: Key, now: Timestamp) {
        let by = "terminal";
        match key {
            Key::Drive(axis, back) => self.pressed[axis] = Some((now, back)),
            Key::Gripper if self.drives => self.gripper = 1.0 - self.gripper,
            // Another device drives: space is the clutch if it has none.
            Key::Gripper => drop(self.operator.clutch().fetch_not(Ordering::AcqRel)),
            Key::Stop => self.operator.stop(by),
            Key::Accept => drop(self.operator.wish(Wish::Accept, by)),
            Key::Reject => drop(self.operator.wish(Wish::Reject, by)),
            Key::Begin => drop(self.operator.wish(Wish::Begin, by)),
            Key::Recover => drop(self.operator.wish(Wish::Recover, by)),
            Key::Abort => drop(self.operator.wish(Wish::Abort, by)),
            Key::Quit => drop(self.operator.wish(Wish::Quit, by)),
            Key::Pause => drop(self.operator.pause_or_resume(by)),
            Key::TakeOver => drop(self.operator.take_over_or_hand_back(by)),
        }
    }

    fn reading(&self, now: Timestamp) -> Reading {
        let held = |axis: usize| match self.pressed[axis] {
            Some((at, back)) if now.since(at).as_secs_f64() <= HELD => {
                if back {
                    -1.0
                } else {
                    1.0
                }
            }
            _ => 0.0,
        };
        let motion =
            Motion::Deflection { along: std::array::from_fn(held), about: std::array::from_fn(|i| held(i + 3)) };
        // A terminal does not report key releases: the keys themselves are the dead-man, and no key is no motion.
        Reading { motion, engaged: self.drives, gripper: Some(self.gripper), at: now }
    }
}

impl Decoder for KeyDecoder {
    fn device(&self) -> &'static str {
        "keyboard"
    }

    fn feed(&mut self, bytes: &[u8], now: Timestamp) -> Option<Reading> {
        for &byte in bytes {
            // Cursor and function keys are Esc [ ... letter: none of their bytes is a key here.
            match (self.escape, self.inside, byte) {
                (_, true, b'@'..=b'~') => self.inside = false,
                (_, true, _) => {}
                (Some(_), _, b'[' | b'O') => (self.escape, self.inside) = (None, true),
                (_, _, 0x1B) => self.escape = Some(now),
                _ => {
                    if self.escape.take().is_some() {
                        self.key(Key::Stop, now);
                    }
                    if let Some(key) = Key::of(byte) {
                        self.key(key, now);
                    }
                }
            }
        }
        Some(self.reading(now))
    }

    fn idle(&mut self, now: Timestamp) -> Option<Reading> {
        // An Esc with nothing after it was the key itself.
        if self.escape.take().is_some() {
            self.key(Key::Stop, now);
        }
        self.inside = false;
        Some(self.reading(now))
    }

    fn reset(&mut self) {
        self.pressed = [None; 6];
        self.gripper = 1.0;
    }
}

/// The terminal in raw mode; its previous mode is restored on drop.
pub struct Keyboard {
    terminal: DeviceFile,
    before: libc::termios,
}

impl Keyboard {
    /// Keys of this process's terminal as a device.
    pub fn open(
        operator: Operator,
        drives: bool,
        clock: Arc<dyn Clock>,
    ) -> Result<StreamDevice<KeyDecoder>, DeviceError> {
        let unusable = |error: io::Error| DeviceError::Unusable {
            device: "keyboard",
            place: "/dev/tty".into(),
            cause: error.to_string(),
            fix: "start it in a terminal, or choose another device (--device page)".into(),
        };
        let keys = Self::raw(File::open("/dev/tty").map_err(unusable)?).map_err(unusable)?;
        StreamDevice::start(keys, KeyDecoder::new(operator, drives), clock).map_err(unusable)
    }

    /// Sets a terminal to raw input: keys come at once and are not shown. Output stays as it was.
    pub fn raw(terminal: File) -> io::Result<Self> {
        let fd = terminal.as_raw_fd();
        let mut before = std::mem::MaybeUninit::<libc::termios>::uninit();
        // SAFETY: `fd` is open for the whole call and `before` has room for one termios.
        if unsafe { libc::tcgetattr(fd, before.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded and filled it in.
        let before = unsafe { before.assume_init() };
        let mut raw = before;
        // Ctrl-C stays a signal: the way out must not depend on this decoder.
        raw.c_lflag &= !(libc::ICANON | libc::ECHO);
        raw.c_cc[libc::VMIN] = 0;
        raw.c_cc[libc::VTIME] = 0;
        // SAFETY: `fd` is open, `raw` is a whole termios.
        if unsafe { libc::tcsetattr(fd, libc::TCSANOW, &raw) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { terminal: DeviceFile(terminal), before })
    }
}

impl Read for Keyboard {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.terminal.read(into)
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        // SAFETY: the file is open until after this, `before` is what tcgetattr gave. A terminal that is gone has
        // nothing to restore.
        unsafe { libc::tcsetattr(self.terminal.0.as_raw_fd(), libc::TCSANOW, &self.before) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Timestamp {
        Timestamp::from_secs_f64(seconds)
    }

    #[test]
    fn a_held_key_drives_and_stops_by_itself() {
        let mut keys = KeyDecoder::new(Operator::default(), true);
        let reading = keys.feed(b"wJ", at(1.0)).unwrap();
        let expected = Motion::Deflection { along: [1.0, 0.0, 0.0], about: [0.0, 0.0, 1.0] };
        assert_eq!((reading.motion, reading.engaged), (expected, true));
        assert_eq!(keys.idle(at(1.1)).unwrap().motion, expected);
        assert_eq!(keys.idle(at(1.13)).unwrap().motion, Motion::NONE);
    }

    #[test]
    fn two_keys_change_hands_where_a_run_can() {
        use visuomotor_core::operator::Driving;
        let operator = Operator::default();
        let mut keys = KeyDecoder::new(operator.clone(), true);
        keys.feed(b"pt", at(1.0));
        assert_eq!(operator.take(|_| true), None, "nothing can be paused here");
        for (driving, wishes) in [
            (Driving::Policy, [Wish::Pause, Wish::TakeOver]),
            (Driving::Paused, [Wish::Resume, Wish::TakeOver]),
            (Driving::Operator, [Wish::Pause, Wish::HandBack]),
        ] {
            operator.show(|panel| panel.driving = Some(driving));
            keys.feed(b"Pt", at(2.0));
            assert_eq!([(); 2].map(|()| operator.take(|_| true).unwrap().0), wishes);
        }
    }

    #[test]
    fn buttons_reach_the_operator_and_cursor_keys_mean_nothing() {
        let stops = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let counted = stops.clone();
        let operator = Operator::new(move |_| {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        });
        let mut keys = KeyDecoder::new(operator.clone(), false);
        let reading = keys.feed(b"\x1b[A\x1bOB\x1b[15~ b", at(1.0)).unwrap();
        assert!(!reading.engaged && reading.gripper == Some(1.0), "{reading:?}");
        assert!(operator.clutch().load(Ordering::Acquire));
        assert_eq!(operator.take(|_| true), Some((Wish::Begin, "terminal".into())));
        assert_eq!(operator.take(|_| true), None);
        assert_eq!(stops.load(std::sync::atomic::Ordering::SeqCst), 0);
        keys.feed(b"\x1b", at(2.0));
        keys.idle(at(2.02));
        keys.feed(b"\x03", at(3.0));
        assert_eq!(stops.load(std::sync::atomic::Ordering::SeqCst), 2);
        keys.feed(b"\r\x7fxcq", at(4.0));
        let wishes: Vec<Wish> = std::iter::from_fn(|| operator.take(|_| true)).map(|(wish, _)| wish).collect();
        assert_eq!(wishes, [Wish::Accept, Wish::Reject, Wish::Abort, Wish::Recover, Wish::Quit]);
    }
}
