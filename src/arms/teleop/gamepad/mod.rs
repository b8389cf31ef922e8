//! Gamepads: the kernel's joystick events, and one mapping for them and for the browser's.
//!
//! Left stick: forward, back, left, right. Right stick: up, down, yaw. Cross: pitch and roll. Right shoulder button: held
//! to drive. Lower button: gripper. Start: begin. Upper button: accept. Right button: reject. Back: does not count. Triggers:
//! nothing. Controls are found by the kernel's codes ([`PadLayout`]); a pad whose layout is not known is refused.

mod joystick;
mod layout;

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::stream::DeviceFile;
use super::{Decoder, DeviceError, Motion, Reading, StreamDevice};
use layout::{Axis, Button};
pub use layout::{PadLayout, UnknownPad};
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

/// Decodes `/dev/input/js*`.
pub struct GamepadDecoder {
    layout: PadLayout,
    pad: Pad,
    state: PadState,
    /// Bytes of an incomplete event.
    rest: Vec<u8>,
    changed: Option<Timestamp>,
}

impl GamepadDecoder {
    /// Button presses go to `operator`.
    pub fn new(layout: PadLayout, operator: Operator) -> Self {
        let pad = Pad::new(operator, "gamepad");
        Self { layout, pad, state: PadState::default(), rest: Vec::new(), changed: None }
    }

    fn event(&mut self, event: &[u8]) {
        let value = i16::from_le_bytes([event[4], event[5]]);
        let number = usize::from(event[7]);
        // Bit 7 marks the state at opening; it counts as any other.
        match event[6] & 0x7F {
            1 => self.press(number, value != 0),
            2 => self.deflect(number, (f64::from(value) / 32767.0).clamp(-1.0, 1.0)),
            _ => {}
        }
    }

    fn press(&mut self, number: usize, pressed: bool) {
        let Some(button) = self.layout.buttons.get(number).copied().flatten() else { return };
        let state = &mut self.state;
        match button {
            Button::Gripper => state.a = pressed,
            Button::Begin => state.start = pressed,
            Button::Keep => state.y = pressed,
            Button::Discard => state.b = pressed,
            Button::Uncounted => state.back = pressed,
            Button::Drive => state.shoulder = pressed,
            Button::Cross(axis, sign) => state.cross[axis] = if pressed { f64::from(sign) } else { 0.0 },
        }
    }

    fn deflect(&mut self, number: usize, deflection: f64) {
        let Some(axis) = self.layout.axes.get(number).copied().flatten() else { return };
        let (stick, axis) = match axis {
            Axis::Left(axis) => (&mut self.state.left, axis),
            Axis::Right(axis) => (&mut self.state.right, axis),
            Axis::Cross(axis) => (&mut self.state.cross, axis),
        };
        stick[axis] = deflection;
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

/// Opens a pad, and returns it with a line that says which control does what; without a path the first of `/dev/input/js0` to `js3`.
///
/// Fails where nothing can be read, and where buttons and axes fit no known layout.
pub fn open_gamepad(
    path: Option<&Path>,
    operator: Operator,
    clock: Arc<dyn Clock>,
) -> Result<(StreamDevice<GamepadDecoder>, String), DeviceError> {
    let known = || (0..4).map(|n| PathBuf::from(format!("/dev/input/js{n}"))).find(|path| path.exists());
    let path = path.map(Path::to_path_buf).or_else(known).unwrap_or_else(|| "/dev/input/js0".into());
    let refused = |cause: String, fix: &str| DeviceError::Unusable {
        device: "gamepad",
        place: path.display().to_string(),
        cause,
        fix: fix.into(),
    };
    let unusable = |error: io::Error| {
        let fix = "plug it in, load the module joydev, and see that this user may read it (group input)";
        refused(error.to_string(), fix)
    };
    let mut file = DeviceFile(File::open(&path).map_err(unusable)?);
    let joystick = joystick::identify(&mut file).map_err(unusable)?;
    let named = if joystick.name.is_empty() { String::new() } else { format!("{}: ", joystick.name) };
    let layout = joystick.layout.map_err(|unknown| {
        let fix = "switch the pad to its Xbox mode (X, XInput), load its own driver (xpad, hid-playstation, hid-nintendo), name \
                   another one with --device-path, or drive with it in a browser (--device page --page)";
        refused(format!("{named}{unknown}"), fix)
    })?;
    let controls = format!("gamepad {}: {named}{}", path.display(), layout.controls());
    let source = Cursor::new(joystick.read).chain(file);
    let device = StreamDevice::start(source, GamepadDecoder::new(layout, operator), clock).map_err(unusable)?;
    Ok((device, controls))
}

#[cfg(test)]
mod tests;
