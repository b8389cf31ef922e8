//! Which control of a pad does what, by the kernel's codes.
//!
//! The joystick interface numbers buttons and axes in the order of their codes, so button 7 is Start on an Xbox pad and the right
//! trigger on a PlayStation pad. Codes name a position (Linux, Documentation/input/gamepad.rst), with one exception: xpad, and pads
//! in Android's layout, report X and Y with each other's position. Triggers have no function in any layout. The codes are the
//! drivers' (xpad, hid-playstation, hid-sony, hid-nintendo); `gilrs` was weighed instead: its SDL database knows more pads, but it
//! needs libudev and reads no FIFO or recorded file.

use std::collections::{BTreeMap, BTreeSet};

use super::EVENT;

// Codes of linux/input-event-codes.h.
const BTN_SOUTH: u16 = 0x130;
const BTN_EAST: u16 = 0x131;
const BTN_C: u16 = 0x132;
const BTN_NORTH: u16 = 0x133;
const BTN_WEST: u16 = 0x134;
const BTN_TL: u16 = 0x136;
const BTN_TR: u16 = 0x137;
const BTN_TL2: u16 = 0x138;
const BTN_TR2: u16 = 0x139;
const BTN_SELECT: u16 = 0x13A;
const BTN_START: u16 = 0x13B;
const BTN_MODE: u16 = 0x13C;
const BTN_THUMBL: u16 = 0x13D;
const BTN_THUMBR: u16 = 0x13E;
const BTN_DPAD_UP: u16 = 0x220;
const BTN_DPAD_DOWN: u16 = 0x221;
const BTN_DPAD_LEFT: u16 = 0x222;
const BTN_DPAD_RIGHT: u16 = 0x223;
const ABS_X: u8 = 0x00;
const ABS_Y: u8 = 0x01;
const ABS_Z: u8 = 0x02;
const ABS_RX: u8 = 0x03;
const ABS_RY: u8 = 0x04;
const ABS_RZ: u8 = 0x05;
const ABS_GAS: u8 = 0x09;
const ABS_BRAKE: u8 = 0x0A;
const ABS_HAT0X: u8 = 0x10;
const ABS_HAT0Y: u8 = 0x11;
/// The remaining hats: touch pads and triggers of a Steam controller.
const OTHER_HATS: std::ops::RangeInclusive<u8> = 0x12..=0x17;

/// Buttons of an Xbox pad as xpad numbers them.
const XPAD_BUTTONS: [u16; 11] =
    [BTN_SOUTH, BTN_EAST, BTN_NORTH, BTN_WEST, BTN_TL, BTN_TR, BTN_SELECT, BTN_START, BTN_MODE, BTN_THUMBL, BTN_THUMBR];

/// Buttons of a PlayStation pad as hid-playstation numbers them.
const PLAYSTATION_BUTTONS: [u16; 13] = [
    BTN_SOUTH, BTN_EAST, BTN_NORTH, BTN_WEST, BTN_TL, BTN_TR, BTN_TL2, BTN_TR2, BTN_SELECT, BTN_START, BTN_MODE,
    BTN_THUMBL, BTN_THUMBR,
];

/// Axes of both; 2 and 5 are the triggers.
const AXES: [u8; 8] = [ABS_X, ABS_Y, ABS_Z, ABS_RX, ABS_RY, ABS_RZ, ABS_HAT0X, ABS_HAT0Y];

/// What a button does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Button {
    /// Lower button: toggles the gripper.
    Gripper,
    /// Begins an episode.
    Begin,
    /// Upper button: keeps the episode.
    Keep,
    /// Right button: discards the episode.
    Discard,
    /// The episode does not count.
    Uncounted,
    /// Right shoulder button: held to drive.
    Drive,
    /// A button of the cross: its axis (0 to the right, 1 down) and sign.
    Cross(usize, i8),
}

/// What an axis is: 0 to the right, 1 down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    Left(usize),
    Right(usize),
    Cross(usize),
}

/// Whose words stand on the pad, and which code the upper button has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Xbox,
    PlayStation,
    Nintendo,
}

/// Its buttons and axes fit no known layout, so no function can be assigned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no known gamepad layout: {found}")]
pub struct UnknownPad {
    /// Its buttons and axes.
    pub found: String,
}

/// Functions of a pad's buttons and axes, by the kernel's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PadLayout {
    family: Family,
    pub(super) buttons: Vec<Option<Button>>,
    pub(super) axes: Vec<Option<Axis>>,
}

impl PadLayout {
    /// Layout from the kernel's codes, in the order of its numbers (`JSIOCGBTNMAP`, `JSIOCGAXMAP`); refuses a pad without the
    /// controls that driving needs, or whose codes do not tell triggers from sticks.
    pub fn of_codes(buttons: &[u16], axes: &[u8]) -> Result<Self, UnknownPad> {
        let count = |codes: [u8; 2]| codes.iter().filter(|code| axes.contains(code)).count();
        let has = |codes: &[u16]| codes.iter().all(|code| buttons.contains(code));
        let unknown = || UnknownPad {
            found: format!(
                "{} buttons (codes {}) and {} axes (codes {})",
                buttons.len(),
                listed(buttons.iter().copied()),
                axes.len(),
                listed(axes.iter().copied().map(u16::from)),
            ),
        };
        let hat = count([ABS_HAT0X, ABS_HAT0Y]) == 2;
        let cross = hat || has(&[BTN_DPAD_UP, BTN_DPAD_DOWN, BTN_DPAD_LEFT, BTN_DPAD_RIGHT]);
        let needed = [BTN_SOUTH, BTN_EAST, BTN_NORTH, BTN_WEST, BTN_TR, BTN_SELECT, BTN_START];
        let whole = has(&needed) && cross && count([ABS_X, ABS_Y]) == 2;
        if !whole || axes.iter().any(|axis| OTHER_HATS.contains(axis)) {
            return Err(unknown());
        }
        let trigger_buttons = [BTN_TL2, BTN_TR2].iter().filter(|code| buttons.contains(code)).count();
        // The driver of no known pad has a button C, but one that merely counts buttons does, and its codes mean nothing.
        let counted = buttons.contains(&BTN_C);
        let (z, r) = (count([ABS_Z, ABS_RZ]), count([ABS_RX, ABS_RY]));
        let (family, right) = match (trigger_buttons, z, r, count([ABS_GAS, ABS_BRAKE]), counted) {
            (0, 2, 2, 0, false) => (Family::Xbox, [ABS_RX, ABS_RY]),
            // Android's layout (an Xbox pad over Bluetooth): triggers are pedals, the right stick is Z and RZ.
            (_, 2, 0, 2, _) => (Family::Xbox, [ABS_Z, ABS_RZ]),
            (2, 2, 2, 0, false) => (Family::PlayStation, [ABS_RX, ABS_RY]),
            (2, 0, 2, 0, false) => (Family::Nintendo, [ABS_RX, ABS_RY]),
            _ => return Err(unknown()),
        };
        let buttons = buttons.iter().map(|code| button(family, *code, !hat)).collect();
        let axes = axes.iter().map(|code| axis(right, *code)).collect();
        Ok(Self { family, buttons, axes })
    }

    /// Layout from the events that report the state at opening, for a FIFO or file, which has no codes: 11 buttons and 8 axes are an
    /// Xbox pad's (xpad), 13 and 8 with both triggers at rest a PlayStation pad's (hid-playstation). Refuses any other.
    pub fn of_start(events: &[u8]) -> Result<Self, UnknownPad> {
        let (mut buttons, mut axes) = (BTreeSet::new(), BTreeMap::new());
        for event in events.chunks_exact(EVENT) {
            match event[6] {
                0x81 => drop(buttons.insert(usize::from(event[7]))),
                0x82 => drop(axes.insert(usize::from(event[7]), i16::from_le_bytes([event[4], event[5]]))),
                _ => {}
            }
        }
        let whole = buttons.iter().copied().eq(0..buttons.len()) && axes.keys().copied().eq(0..axes.len());
        let resting = [2, 5].iter().all(|number| axes.get(number) == Some(&-32767));
        match (whole, buttons.len(), axes.len()) {
            (true, 11, 8) => Self::of_codes(&XPAD_BUTTONS, &AXES),
            (true, 13, 8) if resting => Self::of_codes(&PLAYSTATION_BUTTONS, &AXES),
            (_, pressed, moved) => {
                let rest = if pressed == 13 && moved == 8 { ", axes 2 and 5 not at -32767" } else { "" };
                Err(UnknownPad {
                    found: format!(
                        "{pressed} buttons and {moved} axes{rest}, and the kernel has no map of their codes"
                    ),
                })
            }
        }
    }

    /// Which control does what, in the words that stand on the pad.
    pub fn controls(&self) -> String {
        let (layout, [drive, gripper, begin, keep, discard, uncounted, triggers]) = match self.family {
            Family::Xbox => ("Xbox", ["RB", "A", "Start (Menu)", "Y", "B", "Back (View)", "LT and RT"]),
            Family::PlayStation => (
                "PlayStation",
                ["R1", "cross", "Options (Start)", "triangle", "circle", "Share (Create, Select)", "L2 and R2"],
            ),
            Family::Nintendo => ("Nintendo", ["R", "B", "+", "X", "A", "-", "ZL and ZR"]),
        };
        format!(
            "{layout} layout: hold {drive} to drive; left stick forward, back, left, right; right stick up, down, yaw; direction \
             buttons pitch and roll; {gripper} opens and closes the gripper; {begin} begins; {keep} keeps; {discard} discards; \
             {uncounted} does not count; {triggers} do nothing"
        )
    }
}

fn listed(codes: impl Iterator<Item = u16>) -> String {
    codes.map(|code| format!("{code:#x}")).collect::<Vec<_>>().join(" ")
}

/// Function of a button. Its codes are listed one by one, so that no other, a trigger's above all, has one.
fn button(family: Family, code: u16, cross: bool) -> Option<Button> {
    let upper = if family == Family::Xbox { BTN_WEST } else { BTN_NORTH };
    Some(match code {
        BTN_SOUTH => Button::Gripper,
        BTN_EAST => Button::Discard,
        BTN_TR => Button::Drive,
        BTN_SELECT => Button::Uncounted,
        BTN_START => Button::Begin,
        BTN_DPAD_UP if cross => Button::Cross(1, -1),
        BTN_DPAD_DOWN if cross => Button::Cross(1, 1),
        BTN_DPAD_LEFT if cross => Button::Cross(0, -1),
        BTN_DPAD_RIGHT if cross => Button::Cross(0, 1),
        code if code == upper => Button::Keep,
        _ => return None,
    })
}

/// Meaning of an axis; `right` are the codes of the right stick.
fn axis(right: [u8; 2], code: u8) -> Option<Axis> {
    Some(match code {
        ABS_X => Axis::Left(0),
        ABS_Y => Axis::Left(1),
        ABS_HAT0X => Axis::Cross(0),
        ABS_HAT0Y => Axis::Cross(1),
        code if code == right[0] => Axis::Right(0),
        code if code == right[1] => Axis::Right(1),
        _ => return None,
    })
}
