//! The protocol between a program and its guard. Bytes to the guard, lines back; the same over a pipe and over TCP.
//!
//! ```text
//! program                         guard
//! {"version":2,...}\n   ------->               what to guard, see Hello
//!                       <-------  here 0f3a..  its participant on the ROS 2 graph
//! P 0                   ------->               known; endpoints may be made
//!                       <-------  ready        they are matched
//! B n v1 .. vn          ------->               alive, and this was the last command; every 20 ms
//!                       <-------  beat         alive too; every 100 ms
//! P 0                   ------->               silence is fine from now on: the arm was commanded to hold
//! S 0                   ------->               stop the arm, and stay with it: it is not heard of, or does not hear
//! D 0                   ------->               done: the arm stands, the guard ends
//!                       <-------  tripped ...  it stops the arm
//!                       <-------  stands / unconfirmed ...
//! ```

use std::io::{self, BufRead, Read};

use serde::{Deserialize, Serialize};

use crate::transport::ros2::RosSettings;
use visuomotor_core::action::ControlMode;
use visuomotor_core::observation::{JointVector, MAX_JOINTS};

/// Version of this protocol; both ends are the same program, so a different version is an error.
pub const VERSION: u32 = 2;

/// Longest line either end accepts \[bytes\].
pub const LONGEST_LINE: u64 = 64 * 1024;

/// Controllers that do not stop the arm when commands stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Controller {
    /// Interbotix's node `xs_sdk`.
    XsSdk,
    /// A forward controller of ros2_control.
    Ros2Control,
    /// Kinova's node in torque mode: with inactivity type 1 the arm floats and coasts.
    Kinova,
}

/// What to guard: the first line to a guard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// [`VERSION`].
    pub version: u32,
    /// Arm name, for messages to the operator.
    pub arm: String,
    /// What executes commands.
    pub controller: Controller,
    /// What the commands are.
    pub mode: ControlMode,
    /// Joint names, chain order.
    pub joints: Vec<String>,
    /// Largest change of a command in one second when the arm is stopped \[rad/s2 or Nm/s\], chain order.
    pub ramp: Vec<f64>,
    /// Longest silence of the program \[s\].
    pub limit: f64,
    /// The arm's settings on the ROS 2 graph.
    pub place: RosSettings,
}

/// Longest silence a guard allows, whatever is requested \[s\].
const LONGEST_LIMIT: f64 = 10.0;

impl Hello {
    /// Reads and checks the first line.
    pub fn read(from: &mut impl BufRead) -> io::Result<Self> {
        let line = read_line(from)?;
        let hello: Hello = serde_json::from_str(&line).map_err(|error| refuse(format!("what to guard: {error}")))?;
        hello.check().map_err(refuse)?;
        Ok(hello)
    }

    fn check(&self) -> Result<(), String> {
        let joints = self.joints.len();
        if self.version != VERSION {
            return Err(format!(
                "version is {}, expected {VERSION}; start the same program on both ends",
                self.version
            ));
        }
        if !(1..=MAX_JOINTS).contains(&joints) || self.ramp.len() != joints {
            return Err(format!("{joints} joints and {} ramps, expected 1 to {MAX_JOINTS} of each", self.ramp.len()));
        }
        if !self.ramp.iter().all(|ramp| *ramp > 0.0 && ramp.is_finite()) {
            return Err(format!("ramp is {:?}, expected more than 0 for each joint", self.ramp));
        }
        if !(self.limit >= 0.01 && self.limit <= LONGEST_LIMIT) {
            return Err(format!("limit is {} s, expected 0.01 to {LONGEST_LIMIT} s", self.limit));
        }
        Ok(())
    }

    /// Encodes it as one line.
    pub fn line(&self) -> io::Result<String> {
        Ok(serde_json::to_string(self).map_err(io::Error::other)? + "\n")
    }
}

fn refuse(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// One line without its end; refuses a longer one than [`LONGEST_LINE`], and one that was cut off.
pub fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.take(LONGEST_LINE).read_line(&mut line)?;
    if line.pop() != Some('\n') {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the line was cut off, or is too long"));
    }
    Ok(line)
}

/// Frames from a program to its guard, after the first line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Frame {
    /// It is alive; this was the last command sent.
    Beat(JointVector),
    /// It holds, and may be silent.
    Pause,
    /// It cannot stop the arm, or cannot see that it did: the guard must stop it too.
    Stop,
    /// The arm stands still; the guard is not needed any more.
    Done,
}

/// Most bytes of a frame; below the size a pipe writes atomically (PIPE_BUF).
pub const LONGEST_FRAME: usize = 2 + 8 * MAX_JOINTS;

impl Frame {
    /// Its bytes, and their number.
    pub fn bytes(&self) -> ([u8; LONGEST_FRAME], usize) {
        let mut out = [0; LONGEST_FRAME];
        let (kind, values) = match self {
            Frame::Beat(values) => (b'B', *values),
            Frame::Pause => (b'P', JointVector::zeros(0)),
            Frame::Stop => (b'S', JointVector::zeros(0)),
            Frame::Done => (b'D', JointVector::zeros(0)),
        };
        // A vector has at most MAX_JOINTS numbers.
        (out[0], out[1]) = (kind, values.len() as u8);
        for (place, value) in out[2..].chunks_exact_mut(8).zip(values.iter()) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        (out, 2 + 8 * values.len())
    }
}

/// Bytes that our programs never send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Assembles frames from bytes.
#[derive(Debug)]
pub struct Frames {
    joints: usize,
    waiting: [u8; LONGEST_FRAME],
    count: usize,
}

impl Frames {
    /// For commands of this many joints.
    pub fn new(joints: usize) -> Self {
        Self { joints, waiting: [0; LONGEST_FRAME], count: 0 }
    }

    /// Takes one byte; returns the frame it completes.
    pub fn push(&mut self, byte: u8) -> Result<Option<Frame>, Malformed> {
        self.waiting[self.count] = byte;
        self.count += 1;
        let values = match (self.waiting[0], self.count) {
            (b'B' | b'P' | b'S' | b'D', 1) => return Ok(None),
            (b'B', _) if usize::from(self.waiting[1]) == self.joints => self.joints,
            (b'P' | b'S' | b'D', _) if self.waiting[1] == 0 => 0,
            _ => return Err(Malformed),
        };
        if self.count < 2 + 8 * values {
            return Ok(None);
        }
        self.count = 0;
        match self.waiting[0] {
            b'P' => Ok(Some(Frame::Pause)),
            b'S' => Ok(Some(Frame::Stop)),
            b'D' => Ok(Some(Frame::Done)),
            _ => {
                let mut last = JointVector::zeros(values);
                for (value, bytes) in last.iter_mut().zip(self.waiting[2..].chunks_exact(8)) {
                    *value = f64::from_le_bytes(bytes.try_into().map_err(|_| Malformed)?);
                }
                if last.is_finite() { Ok(Some(Frame::Beat(last))) } else { Err(Malformed) }
            }
        }
    }
}

/// Messages from a guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Its participant on the graph, in hexadecimal digits.
    Here(String),
    /// Its endpoints are matched.
    Ready,
    /// It cannot guard this arm.
    Refused(String),
    /// It is alive.
    Beat,
    /// It stops the arm.
    Tripped(String),
    /// The arm's state shows that it stands still.
    Stands,
    /// The arm's state did not confirm that it stands still.
    Unconfirmed(String),
}

impl Word {
    /// Encodes it as a line.
    pub fn line(&self) -> String {
        let (word, rest) = match self {
            Word::Here(participant) => ("here", participant.as_str()),
            Word::Ready => ("ready", ""),
            Word::Refused(why) => ("refused", why.as_str()),
            Word::Beat => ("beat", ""),
            Word::Tripped(why) => ("tripped", why.as_str()),
            Word::Stands => ("stands", ""),
            Word::Unconfirmed(why) => ("unconfirmed", why.as_str()),
        };
        format!("{word} {}\n", rest.replace('\n', " "))
    }

    /// Decodes a line; `None` for one that our guards never send.
    pub fn of(line: &str) -> Option<Self> {
        let (word, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        Some(match word {
            "here" => Word::Here(rest.into()),
            "ready" => Word::Ready,
            "refused" => Word::Refused(rest.into()),
            "beat" => Word::Beat,
            "tripped" => Word::Tripped(rest.into()),
            "stands" => Word::Stands,
            "unconfirmed" => Word::Unconfirmed(rest.into()),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            version: VERSION,
            arm: "widowx".into(),
            controller: Controller::XsSdk,
            mode: ControlMode::Velocity,
            joints: vec!["waist".into(), "shoulder".into()],
            ramp: vec![24.0, 24.0],
            limit: 0.1,
            place: RosSettings::loopback("visuomotor_guard", 3).with_namespace("wx250s"),
        }
    }

    #[test]
    fn the_first_line_comes_back_as_it_was_and_a_wrong_one_is_refused_by_name() {
        let line = hello().line().unwrap();
        assert_eq!(Hello::read(&mut line.as_bytes()).unwrap(), hello());
        let refused = |change: fn(&mut Hello), word: &str| {
            let mut wrong = hello();
            change(&mut wrong);
            let error = Hello::read(&mut wrong.line().unwrap().as_bytes()).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        refused(|hello| hello.version = 1, "version");
        refused(|hello| hello.joints.clear(), "joints");
        refused(|hello| hello.joints = vec!["j".into(); 9], "joints");
        refused(|hello| hello.ramp[1] = 0.0, "ramp");
        refused(|hello| hello.limit = 60.0, "limit");
        refused(|hello| hello.limit = 0.0, "limit");
        assert!(Hello::read(&mut "{\"version\":2}\n".as_bytes()).is_err());
        assert!(Hello::read(&mut line.trim_end().as_bytes()).is_err(), "a cut-off line is none");
        let endless = std::io::BufReader::new(std::io::repeat(b'x'));
        assert!(read_line(&mut { endless }).is_err(), "a line has an end");
    }

    #[test]
    fn frames_are_put_together_from_single_bytes() {
        let beat = Frame::Beat(JointVector::from_slice(&[0.5, -1.0]));
        let mut frames = Frames::new(2);
        let mut seen = Vec::new();
        for frame in [Frame::Pause, beat, beat, Frame::Stop, Frame::Done] {
            let (bytes, count) = frame.bytes();
            seen.extend(bytes[..count].iter().filter_map(|byte| frames.push(*byte).unwrap()));
        }
        assert_eq!(seen, [Frame::Pause, beat, beat, Frame::Stop, Frame::Done]);
    }

    #[test]
    fn bytes_that_no_program_of_ours_sends_are_found() {
        let malformed = |bytes: &[u8]| {
            let mut frames = Frames::new(2);
            bytes.iter().any(|byte| frames.push(*byte) == Err(Malformed))
        };
        assert!(malformed(b"x"));
        assert!(malformed(b"B\x03"), "another number of joints");
        assert!(malformed(b"P\x01"));
        let (nan, count) = Frame::Beat(JointVector::from_slice(&[f64::NAN, 0.0])).bytes();
        assert!(malformed(&nan[..count]));
        assert!(!malformed(b"P\x00D\x00"));
    }

    #[test]
    fn words_come_back_as_they_were() {
        let all = [
            Word::Here("0f3a".into()),
            Word::Ready,
            Word::Refused("no such controller".into()),
            Word::Beat,
            Word::Tripped("the program is gone".into()),
            Word::Stands,
            Word::Unconfirmed("no state".into()),
        ];
        for word in all {
            assert_eq!(Word::of(&word.line()), Some(word));
        }
        assert_eq!(Word::of("hello"), None);
    }
}
