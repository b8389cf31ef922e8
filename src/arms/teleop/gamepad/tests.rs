//! Pads of several makers, decoded; triggers above all.

use super::*;
use proptest::prelude::*;

/// Buttons, axes, and the axes that rest at -32767.
pub(super) type Start = (u8, u8, &'static [u8]);

pub(super) const XPAD_START: Start = (11, 8, &[2, 5]);
pub(super) const PLAYSTATION_START: Start = (13, 8, &[2, 5]);

/// Codes of the triggers' buttons.
const TRIGGERS: [u16; 2] = [0x138, 0x139];

fn event(kind: u8, number: u8, value: i16) -> [u8; 8] {
    let [low, high] = value.to_le_bytes();
    [1, 2, 3, 4, low, high, kind, number]
}

/// The events that report the state at opening.
pub(super) fn opened((buttons, axes, low): Start) -> Vec<u8> {
    let rest = |axis| if low.contains(&axis) { -32767 } else { 0 };
    let buttons = (0..buttons).map(|number| event(0x81, number, 0));
    buttons.chain((0..axes).map(|number| event(0x82, number, rest(number)))).flatten().collect()
}

fn decoder(start: Start, operator: &Operator) -> GamepadDecoder {
    let start = opened(start);
    let mut pad = GamepadDecoder::new(PadLayout::of_start(&start).unwrap(), operator.clone());
    pad.feed(&start, at(0.5));
    pad
}

/// Presses and releases a button; what the operator is taken to ask for.
fn wish(pad: &mut GamepadDecoder, operator: &Operator, number: u8) -> Option<Wish> {
    pad.feed(&[event(1, number, 1), event(1, number, 0)].concat(), at(1.0));
    operator.take(|_| true).map(|(wish, _)| wish)
}

fn at(seconds: f64) -> Timestamp {
    Timestamp::from_secs_f64(seconds)
}

#[test]
fn sticks_drive_while_the_shoulder_is_held_and_buttons_are_pressed_once() {
    let operator = Operator::default();
    let mut pad = decoder(XPAD_START, &operator);
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
    let mut pad = GamepadDecoder::new(PadLayout::of_start(&opened(XPAD_START)).unwrap(), Operator::default());
    assert!(pad.idle(at(1.0)).is_none());
    pad.feed(&event(1, 5, 1), at(1.0));
    assert!(pad.idle(at(2.9)).is_some());
    assert!(pad.idle(at(3.1)).is_none());
}

#[test]
fn a_trigger_neither_begins_nor_discards_on_a_playstation_pad() {
    let operator = Operator::default();
    let mut pad = decoder(PLAYSTATION_START, &operator);
    for trigger in [6, 7] {
        assert_eq!(wish(&mut pad, &operator, trigger), None, "button {trigger}");
    }
    for trigger in [2, 5] {
        for squeezed in [-20000, 0, 32767, -32767] {
            let reading = pad.feed(&event(2, trigger, squeezed), at(1.0)).unwrap();
            assert_eq!((reading.motion, reading.engaged, operator.take(|_| true)), (Motion::NONE, false, None));
        }
    }
    let asked = [(9, Wish::Begin), (2, Wish::Accept), (1, Wish::Reject), (8, Wish::Abort)];
    for (number, expected) in asked {
        assert_eq!(wish(&mut pad, &operator, number), Some(expected), "button {number}");
    }
    assert_eq!(pad.feed(&event(1, 0, 1), at(1.0)).unwrap().gripper, Some(0.0));
    assert!(pad.feed(&event(1, 5, 1), at(1.0)).unwrap().engaged);
}

#[test]
fn an_xbox_pads_buttons_keep_their_meaning_and_its_triggers_do_nothing() {
    let operator = Operator::default();
    let mut pad = decoder(XPAD_START, &operator);
    let asked = [(7, Some(Wish::Begin)), (3, Some(Wish::Accept)), (1, Some(Wish::Reject)), (6, Some(Wish::Abort))];
    for (number, expected) in asked.into_iter().chain([(2, None), (4, None), (8, None), (9, None), (10, None)]) {
        assert_eq!(wish(&mut pad, &operator, number), expected, "button {number}");
    }
    for trigger in [2, 5] {
        assert_eq!(pad.feed(&event(2, trigger, 32767), at(1.0)).unwrap().motion, Motion::NONE);
    }
}

#[test]
fn codes_decide_whatever_the_numbers_are() {
    let faces = [0x130, 0x131, 0x133, 0x134, 0x136, 0x137];
    let menu = [0x13A, 0x13B, 0x13C, 0x13D, 0x13E];
    let (axes, switch): (&[u8], &[u8]) = (&[0, 1, 2, 3, 4, 5, 16, 17], &[0, 1, 3, 4, 16, 17]);
    let all: Vec<u16> = (0x130..=0x13E).collect();
    let cross = [0x220, 0x221, 0x222, 0x223];
    // Pad, buttons, axes, words of its controls, number of the button that keeps.
    let pads: [(&[u16], &[u8], &str, u8); 5] = [
        (&[&faces[..], &menu].concat(), axes, "Y keeps", 3),
        (&[&faces[..], &TRIGGERS, &menu].concat(), axes, "triangle keeps", 2),
        (&[&faces[..], &TRIGGERS, &menu].concat(), switch, "X keeps", 2),
        (&all, &[0, 1, 2, 5, 9, 10, 16, 17], "Y keeps", 4),
        (&[&faces[..], &TRIGGERS, &menu, &cross].concat(), &axes[..6], "triangle keeps", 2),
    ];
    for (buttons, axes, words, upper) in pads {
        let layout = PadLayout::of_codes(buttons, axes).unwrap();
        assert!(layout.controls().contains(words), "{}", layout.controls());
        let operator = Operator::default();
        let mut pad = GamepadDecoder::new(layout, operator.clone());
        assert_eq!(wish(&mut pad, &operator, upper), Some(Wish::Accept), "{words}");
        let start = buttons.iter().position(|code| *code == 0x13B).unwrap();
        assert_eq!(wish(&mut pad, &operator, start as u8), Some(Wish::Begin));
    }
    // The cross of a DualShock 3 is four buttons.
    let mut pad = GamepadDecoder::new(PadLayout::of_codes(pads[4].0, pads[4].1).unwrap(), Operator::default());
    let reading = pad.feed(&event(1, 13, 1), at(1.0)).unwrap();
    assert_eq!(reading.motion, Motion::Deflection { along: [0.0; 3], about: [0.0, 1.0, 0.0] });
}

#[test]
fn an_unknown_pad_is_refused_with_what_was_found() {
    // A Logitech pad in its D mode: buttons without positions.
    let counted: Vec<u16> = (0x120..0x12C).collect();
    let refused = PadLayout::of_codes(&counted, &[0, 1, 2, 5, 16, 17]).unwrap_err().to_string();
    assert!(refused.contains("12 buttons (codes 0x120 0x121") && refused.contains("6 axes"), "{refused}");
    // A DualShock 4 without its driver: codes that count.
    let counted: Vec<u16> = (0x130..0x13E).collect();
    assert!(PadLayout::of_codes(&counted, &[0, 1, 2, 3, 4, 5, 16, 17]).is_err());
    let sizes: [Start; 6] =
        [(12, 8, &[2, 5]), (13, 8, &[]), (13, 6, &[2, 5]), (10, 8, &[2, 5]), (0, 0, &[]), (11, 6, &[])];
    for start in sizes {
        assert!(PadLayout::of_start(&opened(start)).is_err(), "{start:?}");
    }
    let clock: Arc<dyn Clock> = Arc::new(visuomotor_core::time::SystemClock::new());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), opened((10, 4, &[]))).unwrap();
    let refused = open_gamepad(Some(file.path()), Operator::default(), clock).err().unwrap().to_string();
    let place = file.path().display().to_string();
    for named in [place.as_str(), "10 buttons and 4 axes", "hid-playstation", "--device-path"] {
        assert!(refused.contains(named), "{named}: {refused}");
    }
}

#[test]
fn what_was_read_to_know_the_pad_still_counts() {
    let clock: Arc<dyn Clock> = Arc::new(visuomotor_core::time::SystemClock::new());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), [opened(PLAYSTATION_START), event(1, 9, 1).to_vec()].concat()).unwrap();
    let operator = Operator::default();
    let (_pad, controls) = open_gamepad(Some(file.path()), operator.clone(), clock).unwrap();
    assert!(controls.contains("PlayStation") && controls.contains("Options (Start) begins"), "{controls}");
    let wish = (0..500).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        operator.take(|_| true)
    });
    assert_eq!(wish, Some((Wish::Begin, "gamepad".into())));
}

/// Maps that are whole, in any order, with or without triggers and further codes.
fn maps() -> impl Strategy<Value = (Vec<u16>, Vec<u8>)> {
    let optional = proptest::sample::subsequence(
        (0x120..0x140).chain(0x220..0x224).chain(0x2C0..0x2C8).collect::<Vec<u16>>(),
        0..8,
    );
    let needed = vec![0x130, 0x131, 0x133, 0x134, 0x137, 0x13A, 0x13B];
    let triggers = prop_oneof![Just(vec![]), Just(TRIGGERS.to_vec())];
    let buttons = (optional, triggers, any::<bool>()).prop_map(move |(more, triggers, whole)| {
        let mut codes = [if whole { needed.clone() } else { Vec::new() }, triggers, more].concat();
        let mut seen = std::collections::BTreeSet::new();
        codes.retain(|code| seen.insert(*code));
        codes
    });
    let axes: Vec<Vec<u8>> = vec![
        vec![0, 1, 2, 3, 4, 5, 16, 17],
        vec![0, 1, 3, 4, 16, 17],
        vec![0, 1, 2, 5, 9, 10, 16, 17],
        vec![0, 1, 2, 5, 16, 17],
        (0..0x40).collect(),
    ];
    (buttons.prop_shuffle(), proptest::sample::select(axes).prop_shuffle())
}

proptest! {
    #[test]
    fn any_bytes_are_readings_within_range(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut pad = decoder(PLAYSTATION_START, &Operator::default());
        if let Some(Reading { motion: Motion::Deflection { along, about }, .. }) = pad.feed(&bytes, at(1.0)) {
            prop_assert!(along.iter().chain(&about).all(|value| value.abs() <= 1.0));
        }
        let _ = PadLayout::of_start(&bytes);
    }

    #[test]
    fn no_trigger_and_no_axis_of_any_map_begins_keeps_or_discards((buttons, axes) in maps()) {
        let Ok(layout) = PadLayout::of_codes(&buttons, &axes) else { return Ok(()) };
        let operator = Operator::default();
        let mut pad = GamepadDecoder::new(layout, operator.clone());
        for (number, code) in buttons.iter().enumerate() {
            let wish = wish(&mut pad, &operator, number as u8);
            prop_assert!(wish.is_none() || !TRIGGERS.contains(code), "{code:#x} asks for {wish:?}");
            let expected = match code {
                0x13B => Some(Wish::Begin),
                0x131 => Some(Wish::Reject),
                0x13A => Some(Wish::Abort),
                // The upper one of both keeps, the other does nothing.
                0x133 | 0x134 => wish.clone().filter(|wish| *wish == Wish::Accept),
                _ => None,
            };
            prop_assert_eq!(wish, expected, "{:#x}", code);
        }
        for number in 0..axes.len() as u8 {
            for value in [-32767, 0, 32767] {
                pad.feed(&event(2, number, value), at(1.0));
                prop_assert_eq!(operator.take(|_| true), None);
            }
        }
    }
}
