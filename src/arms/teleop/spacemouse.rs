//! 3Dconnexion SpaceMouse: raw HID reports, no driver.
//!
//! Report 1 carries x, y, z and on wireless models the three rotations too; other models send those as report 2. Report 3 carries
//! the buttons (layout after PySpaceMouse's device table). The device counts x to the right, y towards its user and z down; here x
//! is forward, y left, z up. The signs are taken from that table and not tried on a device.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::stream::DeviceFile;
use super::{Decoder, DeviceError, Motion, Reading, StreamDevice};
use visuomotor_core::operator::{Operator, Wish};
use visuomotor_core::time::{Clock, Timestamp};

/// Raw value of a full deflection; some devices exceed it a little.
const FULL: f64 = 350.0;

/// A deflection from which the cap counts as held \[1\].
const HELD: f64 = 0.02;

/// A gripper button counts as holding the cap for this long \[s\]: longer than a policy period.
const TOGGLED: f64 = 0.4;

/// Vendor and product ids of 6-axis caps.
const KNOWN: [(u16, &[u16]); 2] = [
    (0x256F, &[0xC635, 0xC62E, 0xC63A, 0xC652, 0xC632, 0xC638, 0xC633, 0xC641]),
    (0x046D, &[0xC626, 0xC62B, 0xC627, 0xC625]),
];

/// Decodes HID reports, one per read.
pub struct SpaceMouseDecoder {
    operator: Operator,
    along: [f64; 3],
    about: [f64; 3],
    buttons: u8,
    gripper: f64,
    /// When the gripper button was pressed.
    toggled: Option<Timestamp>,
}

impl SpaceMouseDecoder {
    /// Left button: gripper. Right button: begin, and accept while an episode runs.
    pub fn new(operator: Operator) -> Self {
        Self { operator, along: [0.0; 3], about: [0.0; 3], buttons: 0, gripper: 1.0, toggled: None }
    }

    fn press(&mut self, buttons: u8, now: Timestamp) {
        let pressed = buttons & !self.buttons;
        self.buttons = buttons;
        if pressed & 1 != 0 {
            self.gripper = 1.0 - self.gripper;
            self.toggled = Some(now);
        }
        if pressed & 2 != 0 {
            let running = self.operator.panel().phase == visuomotor_core::operator::Phase::Running;
            // A full queue holds 64 unread commands: dropping one more changes nothing.
            let _ = self.operator.wish(if running { Wish::Accept } else { Wish::Begin }, "spacemouse");
        }
    }

    fn toggled(&self, now: Timestamp) -> bool {
        self.toggled.is_some_and(|at| now.since(at).as_secs_f64() <= TOGGLED)
    }

    fn reading(&self, now: Timestamp) -> Reading {
        let pushed = self.along.iter().chain(&self.about).any(|value| value.abs() > HELD);
        let motion = Motion::Deflection { along: self.along, about: self.about };
        Reading { motion, engaged: pushed || self.toggled(now), gripper: Some(self.gripper), at: now }
    }
}

/// Three raw values as fractions.
fn three(bytes: &[u8]) -> [f64; 3] {
    let value = |i: usize| f64::from(i16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]));
    std::array::from_fn(|i| (value(i) / FULL).clamp(-1.0, 1.0))
}

/// The device's axes as its user sits: forward, left, up.
fn as_seated([x, y, z]: [f64; 3]) -> [f64; 3] {
    [-y, -x, -z]
}

impl Decoder for SpaceMouseDecoder {
    fn device(&self) -> &'static str {
        "spacemouse"
    }

    fn feed(&mut self, report: &[u8], now: Timestamp) -> Option<Reading> {
        match *report {
            [1, ref rest @ ..] if rest.len() >= 12 => {
                (self.along, self.about) = (as_seated(three(rest)), as_seated(three(&rest[6..])));
            }
            [1, ref rest @ ..] if rest.len() >= 6 => self.along = as_seated(three(rest)),
            [2, ref rest @ ..] if rest.len() >= 6 => self.about = as_seated(three(rest)),
            [3, buttons, ..] => self.press(buttons, now),
            _ => return None,
        }
        Some(self.reading(now))
    }

    fn idle(&mut self, now: Timestamp) -> Option<Reading> {
        // A cap at rest sends nothing, but the gripper change must still be reported.
        self.toggled(now).then(|| self.reading(now))
    }

    fn reset(&mut self) {
        self.gripper = 1.0;
    }
}

/// Opens a SpaceMouse; without a path the first one found under `/sys/class/hidraw`.
pub fn open_spacemouse(
    path: Option<&Path>,
    operator: Operator,
    clock: Arc<dyn Clock>,
) -> Result<StreamDevice<SpaceMouseDecoder>, DeviceError> {
    let found = path.map(Path::to_path_buf).or_else(|| find(Path::new("/sys/class/hidraw")));
    let place = found.as_ref().map_or_else(|| "/dev/hidraw*".to_string(), |path| path.display().to_string());
    let unusable = |error: io::Error| DeviceError::Unusable {
        device: "spacemouse",
        place: place.clone(),
        cause: error.to_string(),
        fix:
            "plug it in, and let this user read it: a udev rule with SUBSYSTEM==\"hidraw\", ATTRS{idVendor}==\"256f\", \
              MODE=\"0660\", GROUP=\"plugdev\""
                .into(),
    };
    let path = found.ok_or_else(|| unusable(io::Error::new(ErrorKind::NotFound, "no known device is plugged in")))?;
    let file = File::open(path).map_err(unusable)?;
    StreamDevice::start(DeviceFile(file), SpaceMouseDecoder::new(operator), clock).map_err(unusable)
}

/// The device file of the first known cap.
fn find(class: &Path) -> Option<PathBuf> {
    let mut entries: Vec<_> = std::fs::read_dir(class).ok()?.flatten().collect();
    entries.sort_by_key(|entry| entry.file_name());
    entries.into_iter().find_map(|entry| {
        let about = std::fs::read_to_string(entry.path().join("device/uevent")).ok()?;
        is_known(&about).then(|| Path::new("/dev").join(entry.file_name()))
    })
}

/// Does a `uevent` name a known cap? Its line is `HID_ID=0003:0000256F:0000C635`: bus, vendor, product.
fn is_known(uevent: &str) -> bool {
    let Some(id) = uevent.lines().find_map(|line| line.strip_prefix("HID_ID=")) else { return false };
    let mut parts = id.split(':').skip(1).map(|part| u32::from_str_radix(part, 16).unwrap_or(0));
    let (vendor, product) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    KNOWN
        .iter()
        .any(|(known, products)| u32::from(*known) == vendor && products.iter().any(|one| u32::from(*one) == product))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn report(id: u8, values: &[i16]) -> Vec<u8> {
        std::iter::once(id).chain(values.iter().flat_map(|value| value.to_le_bytes())).collect()
    }

    #[test]
    fn both_layouts_say_the_same_and_the_cap_springs_back() {
        let now = Timestamp::ZERO;
        let mut wired = SpaceMouseDecoder::new(Operator::default());
        wired.feed(&report(1, &[0, -350, 175]), now);
        let one = wired.feed(&report(2, &[0, 0, -700]), now).unwrap();
        let mut wireless = SpaceMouseDecoder::new(Operator::default());
        let other = wireless.feed(&report(1, &[0, -350, 175, 0, 0, -700]), now).unwrap();
        assert_eq!(one, other);
        let expected = Motion::Deflection { along: [1.0, 0.0, -0.5], about: [0.0, 0.0, 1.0] };
        assert!(one.engaged);
        assert_eq!(one.motion, expected);
        assert!(!wireless.feed(&report(1, &[0; 6]), now).unwrap().engaged);
    }

    #[test]
    fn the_left_button_toggles_the_gripper_and_the_right_one_begins_and_accepts() {
        let operator = Operator::default();
        let mut mouse = SpaceMouseDecoder::new(operator.clone());
        assert_eq!(mouse.feed(&[3, 1, 0], Timestamp::ZERO).unwrap().gripper, Some(0.0));
        assert_eq!(mouse.feed(&[3, 3, 0], Timestamp::ZERO).unwrap().gripper, Some(0.0));
        assert_eq!(operator.take(|_| true).unwrap().0, Wish::Begin);
        operator.show(|panel| panel.phase = visuomotor_core::operator::Phase::Running);
        mouse.feed(&[3, 0, 0], Timestamp::ZERO);
        mouse.feed(&[3, 2, 0], Timestamp::ZERO);
        assert_eq!(operator.take(|_| true).unwrap().0, Wish::Accept);
    }

    #[test]
    fn a_known_device_is_found_by_its_numbers() {
        let folder = tempfile::tempdir().unwrap();
        for (name, id) in [("hidraw0", "0003:0000046D:0000C31C"), ("hidraw1", "0003:0000256F:0000C635")] {
            let device = folder.path().join(name).join("device");
            std::fs::create_dir_all(&device).unwrap();
            std::fs::write(device.join("uevent"), format!("DRIVER=hid-generic\nHID_ID={id}\nHID_NAME=x\n")).unwrap();
        }
        assert_eq!(find(folder.path()), Some(PathBuf::from("/dev/hidraw1")));
        assert_eq!(find(&folder.path().join("nothing")), None);
        assert!(!is_known("HID_ID=nonsense"));
    }

    proptest! {
        #[test]
        fn any_report_is_within_range(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut mouse = SpaceMouseDecoder::new(Operator::default());
            if let Some(Reading { motion: Motion::Deflection { along, about }, .. }) =
                mouse.feed(&bytes, Timestamp::ZERO)
            {
                prop_assert!(along.iter().chain(&about).all(|value| value.abs() <= 1.0));
            }
        }
    }
}
