//! Gamepads: the kernel's joystick events, and one mapping for them and for the browser's.
//!
//! Left stick: forward, back, left, right. Right stick: up, down, yaw. Cross: pitch and roll. Right shoulder button: held
//! to drive. A: gripper. Start: begin. Y: accept. B: reject. Back: does not count.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::stream::DeviceFile;
use super::{Decoder, DeviceError, Motion, Reading, StreamDevice};
use visuomotor_core::operator::{Operator, Wish};
use visuomotor_core::time::{Clock, Timestamp};

/// Length of a joystick event \[bytes\]: time u32 \[ms\], value i16, type u8, number u8 (Linux, input/joydev/joystick-api).
const EVENT: usize = 8;

/// A thumb trembles: a pad that drives and reports no change for this long has lost its radio.
const TREMBLE: Duration = Duration::from_secs(2);

/// Gamepad state, from either source: sticks -1..1, x to the right and y down, as pads count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PadState {
    /// Left stick.
    pub left: [f64; 2],
    /// Right stick.
    pub right: [f64; 2],
    /// Cross, -1, 0 or 1.
    pub cross: [f64; 2],
    /// The lower button.
    pub a: bool,
    /// The right button.
    pub b: bool,
    /// The upper button.
    pub y: bool,
    /// The right shoulder button.
    pub shoulder: bool,
    /// Back, select.
    pub back: bool,
    /// Start, menu.
    pub start: bool,
}

/// Button presses and the toggled gripper: what a single state does not show.
#[derive(Clone, Debug)]
pub struct Pad {
    operator: Operator,
    by: &'static str,
    before: PadState,
    gripper: f64,
}

impl Pad {
    /// Button presses go to `operator`, attributed to `by`.
    pub fn new(operator: Operator, by: &'static str) -> Self {
        Self { operator, by, before: PadState::default(), gripper: 1.0 }
    }

    /// The gripper opens.
    pub fn reset(&mut self) {
        self.gripper = 1.0;
    }

    /// Reading for the new state.
    pub fn reading(&mut self, state: PadState, now: Timestamp) -> Reading {
        let before = std::mem::replace(&mut self.before, state);
        if state.a && !before.a {
            self.gripper = 1.0 - self.gripper;
        }
        let buttons = [
            (state.start, before.start, Wish::Begin),
            (state.y, before.y, Wish::Accept),
            (state.b, before.b, Wish::Reject),
            (state.back, before.back, Wish::Abort),
        ];
        for (now_pressed, was_pressed, wish) in buttons {
            if now_pressed && !was_pressed {
                // A full queue holds 64 unread commands: dropping one more changes nothing.
                let _ = self.operator.wish(wish, self.by);
            }
        }
        let motion = Motion::Deflection {
            along: [-state.left[1], -state.left[0], -state.right[1]],
            about: [state.cross[0], -state.cross[1], -state.right[0]],
        };
        Reading { motion, engaged: state.shoulder, gripper: Some(self.gripper), at: now }
    }
}

/// Decodes `/dev/input/js*`, axes and buttons as the kernel's xpad driver numbers them.
pub struct GamepadDecoder {
    pad: Pad,
    state: PadState,
    /// Bytes of an incomplete event.
    rest: Vec<u8>,
    changed: Option<Timestamp>,
}

impl GamepadDecoder {
    /// Button presses go to `operator`.
    pub fn new(operator: Operator) -> Self {
        let pad = Pad::new(operator, "gamepad");
        Self { pad, state: PadState::default(), rest: Vec::new(), changed: None }
    }

    fn event(&mut self, event: &[u8]) {
        let value = f64::from(i16::from_le_bytes([event[4], event[5]]));
        let stick = (value / 32767.0).clamp(-1.0, 1.0);
        let state = &mut self.state;
        // Bit 7 marks the state at opening; it counts as any other.
        match (event[6] & 0x7F, event[7]) {
            (2, 0) => state.left[0] = stick,
            (2, 1) => state.left[1] = stick,
            (2, 3) => state.right[0] = stick,
            (2, 4) => state.right[1] = stick,
            (2, 6) => state.cross[0] = stick,
            (2, 7) => state.cross[1] = stick,
            (1, 0) => state.a = value != 0.0,
            (1, 1) => state.b = value != 0.0,
            (1, 3) => state.y = value != 0.0,
            (1, 5) => state.shoulder = value != 0.0,
            (1, 6) => state.back = value != 0.0,
            (1, 7) => state.start = value != 0.0,
            _ => {}
        }
    }
}

impl Decoder for GamepadDecoder {
    fn device(&self) -> &'static str {
        "gamepad"
    }

    fn feed(&mut self, bytes: &[u8], now: Timestamp) -> Option<Reading> {
        self.rest.extend_from_slice(bytes);
        let whole = self.rest.len() / EVENT * EVENT;
        let events: Vec<u8> = self.rest.drain(..whole).collect();
        let mut reading = None;
        for event in events.chunks_exact(EVENT) {
            self.event(event);
            // Each event by itself: a button pressed and released within one read counts as pressed.
            reading = Some(self.pad.reading(self.state, now));
            self.changed = Some(now);
        }
        reading
    }

    fn idle(&mut self, now: Timestamp) -> Option<Reading> {
        let changed = self.changed?;
        // The kernel reports changes only, so a silent pad is one held still.
        (now.since(changed) < TREMBLE).then(|| self.pad.reading(self.state, now))
    }

    fn reset(&mut self) {
        self.pad.reset();
    }
}

/// Opens a pad; without a path the first of `/dev/input/js0` to `js3`.
pub fn open_gamepad(
    path: Option<&Path>,
    operator: Operator,
    clock: Arc<dyn Clock>,
) -> Result<StreamDevice<GamepadDecoder>, DeviceError> {
    let known = || (0..4).map(|n| PathBuf::from(format!("/dev/input/js{n}"))).find(|path| path.exists());
    let path = path.map(Path::to_path_buf).or_else(known).unwrap_or_else(|| "/dev/input/js0".into());
    let unusable = |error: io::Error| DeviceError::Unusable {
        device: "gamepad",
        place: path.display().to_string(),
        cause: error.to_string(),
        fix: "plug it in, load the module joydev, and see that this user may read it (group input)".into(),
    };
    let file = File::open(&path).map_err(unusable)?;
    StreamDevice::start(DeviceFile(file), GamepadDecoder::new(operator), clock).map_err(unusable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(kind: u8, number: u8, value: i16) -> [u8; 8] {
        let [low, high] = value.to_le_bytes();
        [1, 2, 3, 4, low, high, kind, number]
    }

    fn at(seconds: f64) -> Timestamp {
        Timestamp::from_secs_f64(seconds)
    }

    #[test]
    fn sticks_drive_while_the_shoulder_is_held_and_buttons_are_pressed_once() {
        let operator = Operator::default();
        let mut pad = GamepadDecoder::new(operator.clone());
        let stream =
            [event(0x81, 0, 0), event(1, 5, 1), event(2, 1, -32767), event(1, 0, 1), event(1, 0, 0), event(1, 3, 1)];
        let bytes = stream.concat();
        // In two pieces that split an event.
        pad.feed(&bytes[..21], at(1.0));
        let reading = pad.feed(&bytes[21..], at(1.0)).unwrap();
        assert!(reading.engaged && reading.gripper == Some(0.0), "{reading:?}");
        assert_eq!(reading.motion, Motion::Deflection { along: [1.0, 0.0, 0.0], about: [0.0; 3] });
        assert_eq!(pad.idle(at(1.5)).unwrap().at, at(1.5));
        assert_eq!(operator.take(|_| true), Some((Wish::Accept, "gamepad".into())));
        assert_eq!(operator.take(|_| true), None);
    }

    #[test]
    fn a_pad_without_a_tremble_is_lost() {
        let mut pad = GamepadDecoder::new(Operator::default());
        assert!(pad.idle(at(1.0)).is_none());
        pad.feed(&event(1, 5, 1), at(1.0));
        assert!(pad.idle(at(2.9)).is_some());
        assert!(pad.idle(at(3.1)).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_readings_within_range(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut pad = GamepadDecoder::new(Operator::default());
            if let Some(Reading { motion: Motion::Deflection { along, about }, .. }) = pad.feed(&bytes, at(1.0)) {
                prop_assert!(along.iter().chain(&about).all(|value| value.abs() <= 1.0));
            }
        }
    }
}
