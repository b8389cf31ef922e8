//! 3Dconnexion SpaceMouse: raw HID reports, no driver.
//!
//! Report 1 carries x, y, z and on wireless models and the Enterprise the three rotations too (13 bytes); other models send those as
//! report 2. Report 3 carries the buttons (layout after PySpaceMouse's device table). Newer Enterprise models report their buttons as
//! codes (report 28): those are not read, which is said once. The device counts x to the right, y towards its user and z down; here x
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

/// Report of an Enterprise model's buttons, as codes.
const BUTTON_CODES: u8 = 0x1C;

/// 3Dconnexion, which also makes mice and keyboards.
const MAKER: u16 = 0x256F;

/// Vendor and product ids of 6-axis caps. 256F: Compact, Wireless (cable, receiver, Bluetooth), universal receiver, Pro Wireless
/// (cable, receiver, Bluetooth), Enterprise, modules. 046D: SpaceNavigator, for notebooks, SpaceMouse Pro, SpaceExplorer, SpacePilot,
/// SpacePilot Pro, SpaceTraveler.
const KNOWN: [(u16, &[u16]); 2] = [
    (MAKER, &[0xC635, 0xC62E, 0xC62F, 0xC63A, 0xC652, 0xC631, 0xC632, 0xC638, 0xC633, 0xC636, 0xC641]),
    (0x046D, &[0xC626, 0xC628, 0xC62B, 0xC627, 0xC625, 0xC629, 0xC623]),
];

/// Usage page and usage of a 6-axis controller in a report descriptor. A universal receiver is several devices, of which one has it.
const MULTI_AXIS: [u8; 4] = [0x05, 0x01, 0x09, 0x08];

/// Decodes HID reports, one per read.
pub struct SpaceMouseDecoder {
    operator: Operator,
    along: [f64; 3],
    about: [f64; 3],
    buttons: u8,
    gripper: f64,
    /// When the gripper button was pressed.
    toggled: Option<Timestamp>,
    /// Was it said that buttons are not read?
    warned: bool,
}

impl SpaceMouseDecoder {
    /// Left button: gripper. Right button: begin, and accept while an episode runs.
    pub fn new(operator: Operator) -> Self {
        Self { operator, along: [0.0; 3], about: [0.0; 3], buttons: 0, gripper: 1.0, toggled: None, warned: false }
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
            [BUTTON_CODES, ..] if !std::mem::replace(&mut self.warned, true) => {
                tracing::warn!(
                    "spacemouse: this model's buttons are not read; begin, accept and grip with the terminal's or the page's keys"
                );
                return None;
            }
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
    let (found, unknown) = match path {
        Some(path) => (Some(path.to_path_buf()), Vec::new()),
        None => find(Path::new("/sys/class/hidraw")),
    };
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
    let path = found.ok_or_else(|| {
        let others = if unknown.is_empty() {
            String::new()
        } else {
            format!("; found {}, no known 6-axis model (--device-path opens it all the same)", unknown.join(", "))
        };
        unusable(io::Error::new(ErrorKind::NotFound, format!("no known device is plugged in{others}")))
    })?;
    let file = File::open(path).map_err(unusable)?;
    StreamDevice::start(DeviceFile(file), SpaceMouseDecoder::new(operator), clock).map_err(unusable)
}

/// The device file of the first known cap, and the maker's devices that are none, by name.
fn find(class: &Path) -> (Option<PathBuf>, Vec<String>) {
    let mut entries: Vec<_> = std::fs::read_dir(class).into_iter().flatten().flatten().collect();
    entries.sort_by_key(|entry| entry.file_name());
    let (mut caps, mut unknown) = (Vec::new(), Vec::new());
    for entry in entries {
        let device = entry.path().join("device");
        let Ok(about) = std::fs::read_to_string(device.join("uevent")) else { continue };
        let Some((vendor, product)) = ids(&about) else { continue };
        if KNOWN.iter().any(|(known, products)| *known == vendor && products.contains(&product)) {
            let descriptor = std::fs::read(device.join("report_descriptor")).unwrap_or_default();
            let multi_axis = descriptor.windows(MULTI_AXIS.len()).any(|bytes| bytes == MULTI_AXIS);
            caps.push((!multi_axis, Path::new("/dev").join(entry.file_name())));
        } else if vendor == MAKER {
            let name = about.lines().find_map(|line| line.strip_prefix("HID_NAME=")).unwrap_or("a device");
            unknown.push(format!("{name} ({vendor:04x}:{product:04x})"));
        }
    }
    // Stable: of several equals, the first.
    caps.sort_by_key(|(other_interface, _)| *other_interface);
    (caps.into_iter().next().map(|(_, path)| path), unknown)
}

/// Vendor and product of a `uevent`. Its line is `HID_ID=0003:0000256F:0000C635`: bus, vendor, product.
fn ids(uevent: &str) -> Option<(u16, u16)> {
    let id = uevent.lines().find_map(|line| line.strip_prefix("HID_ID="))?;
    let mut parts =
        id.split(':').skip(1).map(|part| u32::from_str_radix(part, 16).ok().and_then(|id| id.try_into().ok()));
    Some((parts.next()??, parts.next()??))
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
    fn coded_buttons_press_nothing_and_motion_goes_on() {
        let operator = Operator::default();
        let mut mouse = SpaceMouseDecoder::new(operator.clone());
        assert!(mouse.feed(&report(0x1C, &[1, 2]), Timestamp::ZERO).is_none());
        assert!(mouse.feed(&report(0x1C, &[0, 0]), Timestamp::ZERO).is_none());
        assert_eq!(operator.take(|_| true), None);
        let reading = mouse.feed(&report(1, &[0, -350, 0, 0, 0, 0]), Timestamp::ZERO).unwrap();
        assert!(reading.engaged && reading.gripper == Some(1.0));
    }

    /// A folder like `/sys/class/hidraw`: name, id and report descriptor of each device.
    fn class(devices: &[(&str, &str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, id, descriptor) in devices {
            let device = folder.path().join(name).join("device");
            std::fs::create_dir_all(&device).unwrap();
            std::fs::write(device.join("uevent"), format!("DRIVER=hid-generic\nHID_ID={id}\nHID_NAME=x\n")).unwrap();
            std::fs::write(device.join("report_descriptor"), descriptor).unwrap();
        }
        folder
    }

    #[test]
    fn a_known_device_is_found_by_its_numbers() {
        let folder = class(&[("hidraw0", "0003:0000046D:0000C31C", &[]), ("hidraw1", "0003:0000256F:0000C635", &[])]);
        assert_eq!(find(folder.path()), (Some(PathBuf::from("/dev/hidraw1")), vec![]));
        assert_eq!(find(&folder.path().join("nothing")), (None, vec![]));
        assert_eq!(ids("HID_ID=nonsense"), None);
        assert_eq!(ids("HID_ID=0003:FFFF256F:0000C635"), None);
    }

    #[test]
    fn a_receivers_six_axes_are_chosen_and_an_unknown_model_is_named() {
        let receiver = "0003:0000256F:0000C652";
        let folder = class(&[
            ("hidraw0", "0003:0000256F:0000C650", &[0x05, 0x01, 0x09, 0x02]),
            ("hidraw1", receiver, &[0x05, 0x01, 0x09, 0x06]),
            ("hidraw2", receiver, &[0x05, 0x01, 0x09, 0x08, 0xA1, 0x01]),
        ]);
        let (found, unknown) = find(folder.path());
        assert_eq!((found, unknown), (Some(PathBuf::from("/dev/hidraw2")), vec!["x (256f:c650)".to_string()]));
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
