//! A Meta Quest controller, as logged by oculus_reader's headset program and forwarded by adb's server.
//!
//! A line is `wE9ryARX: l:16 numbers|r:16 numbers&buttons`: row-major 4x4 poses in the headset's world (x right, y up, z
//! towards the user), a comma list of what is pressed, and `rightTrig 0.3`, `rightGrip 1.0`. Lines carry no time; they
//! are stamped on receipt (72 or 90 a second).
//!
//! With several devices the headset is chosen by its serial number, as `adb devices` lists it.
//!
//! Right hand: grip button is the clutch, trigger closes the gripper (1 - trigger), A accepts, B begins, the stick's
//! button rejects. The two places where the operator may stand are Bridge's: facing the arm (x = z', y = x', z = y') or behind it.

use std::io;
use std::sync::Arc;

use nalgebra::{Matrix3, Rotation3, UnitQuaternion, Vector3};

use super::adb::{self, AdbError};
use super::{Decoder, DeviceError, Motion, NAP, Reading, StreamDevice};
use visuomotor_core::config::Stand;
use visuomotor_core::geometry::Pose;
use visuomotor_core::operator::{Operator, Wish};
use visuomotor_core::time::{Clock, Timestamp};

/// Tag of the program's log lines.
const TAG: &str = "wE9ryARX:";

/// Longest line kept \[bytes\].
const LONGEST: usize = 4096;

/// A rotation's rows and columns must be this close to orthonormal; otherwise tracking is lost.
const ORTHONORMAL: f64 = 0.02;

/// Decodes log lines.
pub struct QuestDecoder {
    operator: Operator,
    base_from_world: UnitQuaternion<f64>,
    line: Vec<u8>,
    /// Skips the rest of a line that is too long.
    skipping: bool,
    pressed: [bool; 3],
}

impl QuestDecoder {
    /// Button presses go to `operator`.
    pub fn new(operator: Operator, stand: Stand) -> Self {
        let matrix = match stand {
            Stand::Facing => Matrix3::new(0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
            Stand::Behind => Matrix3::new(0.0, 0.0, -1.0, -1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        };
        let rotation = Rotation3::from_matrix_unchecked(matrix);
        let base_from_world = UnitQuaternion::from_rotation_matrix(&rotation);
        Self { operator, base_from_world, line: Vec::new(), skipping: false, pressed: [false; 3] }
    }

    fn read_line(&mut self, now: Timestamp) -> Option<Reading> {
        let line = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&line).ok()?;
        let (_, said) = line.split_once(TAG)?;
        let (poses, buttons) = said.trim().split_once('&')?;
        let right = poses.split('|').find_map(|part| part.trim().strip_prefix("r:"))?;
        let hand = pose(right)?;
        let mut reading = Reading { motion: Motion::NONE, engaged: false, gripper: None, at: now };
        let mut pressed = [false; 3];
        for word in buttons.split(',').map(str::trim) {
            match word.split_once(' ') {
                None => match word {
                    "RG" => reading.engaged = true,
                    "A" => pressed[0] = true,
                    "B" => pressed[1] = true,
                    "RJ" => pressed[2] = true,
                    _ => {}
                },
                Some(("rightTrig", value)) => {
                    reading.gripper = Some(value.trim().parse::<f64>().map_or(f64::NAN, |pulled| 1.0 - pulled));
                }
                Some(_) => {}
            }
        }
        for (i, wish) in [Wish::Accept, Wish::Begin, Wish::Reject].into_iter().enumerate() {
            if pressed[i] && !self.pressed[i] {
                // A full queue holds 64 unread commands: dropping one more changes nothing.
                let _ = self.operator.wish(wish, "quest");
            }
        }
        self.pressed = pressed;
        let to_base = self.base_from_world;
        let rotation = to_base * hand.rotation * to_base.inverse();
        let place = to_base * hand.translation.vector;
        reading.motion = Motion::Hand(Pose::from_parts(place.into(), rotation));
        Some(reading)
    }
}

/// 16 numbers, row by row; `None` for an invalid pose.
fn pose(text: &str) -> Option<Pose> {
    let mut m = [0.0; 16];
    let mut words = text.split_whitespace();
    for value in &mut m {
        *value = words.next()?.parse::<f64>().ok()?;
    }
    if words.next().is_some() {
        return None;
    }
    let matrix = Matrix3::new(m[0], m[1], m[2], m[4], m[5], m[6], m[8], m[9], m[10]);
    let off = (matrix * matrix.transpose() - Matrix3::identity()).abs().max();
    // Written so that NaN is no rotation; a reflection is none either.
    if !(off <= ORTHONORMAL && matrix.determinant() > 0.0) {
        return None;
    }
    let rotation = UnitQuaternion::from_matrix(&matrix);
    Some(Pose::from_parts(Vector3::new(m[3], m[7], m[11]).into(), rotation))
}

impl Decoder for QuestDecoder {
    fn device(&self) -> &'static str {
        "quest"
    }

    fn feed(&mut self, bytes: &[u8], now: Timestamp) -> Option<Reading> {
        let mut newest = None;
        for &byte in bytes {
            if byte == b'\n' {
                if !std::mem::take(&mut self.skipping) {
                    newest = self.read_line(now).or(newest);
                }
                self.line.clear();
            } else if self.line.len() >= LONGEST {
                self.skipping = true;
            } else {
                self.line.push(byte);
            }
        }
        newest
    }
}

/// Connects to adb's server and requests the log of the headset with this serial number; without one, of its only device.
///
/// Fails without a server, headset or permission, and when several devices are connected and none is chosen.
pub fn connect_quest(
    address: Option<&str>,
    serial: Option<&str>,
    operator: Operator,
    stand: Stand,
    clock: Arc<dyn Clock>,
) -> Result<StreamDevice<QuestDecoder>, DeviceError> {
    let address = address.unwrap_or("127.0.0.1:5037");
    let unusable = |(cause, fix): (String, String)| DeviceError::Unusable {
        device: "quest",
        place: serial.map_or_else(|| address.into(), |serial| format!("{address} ({serial})")),
        cause,
        fix,
    };
    let transport = serial.map_or_else(|| "host:transport-any".into(), |serial| format!("host:transport:{serial}"));
    let log =
        adb::request(address, &[&transport, "shell:logcat -T 0"]).map_err(|error| unusable(error.explain(address)))?;
    let unread = |error: io::Error| unusable(AdbError::from(error).explain(address));
    log.set_read_timeout(Some(NAP)).map_err(unread)?;
    StreamDevice::start(log, QuestDecoder::new(operator, stand), clock).map_err(unread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    const STILL: &str = "1 0 0 0.1 0 1 0 0.2 0 0 1 0.3 0 0 0 1";

    fn line(right: &str, buttons: &str) -> String {
        format!("11-21 10:00:00.000 1 1 I wE9ryARX: l:{STILL}|r:{right}&{buttons}\n")
    }

    fn decoder(operator: &Operator) -> QuestDecoder {
        QuestDecoder::new(operator.clone(), Stand::Facing)
    }

    #[test]
    fn a_line_is_a_hand_in_the_arms_directions_with_clutch_and_trigger() {
        let operator = Operator::default();
        let mut quest = decoder(&operator);
        let text = line(STILL, "R,RG,RTr,A,rightJS 0.0 0.0,rightGrip 1.0,rightTrig 0.75");
        // In two reads that split the line.
        assert!(quest.feed(&text.as_bytes()[..50], Timestamp::ZERO).is_none());
        let reading = quest.feed(&text.as_bytes()[50..], Timestamp::ZERO).unwrap();
        let Motion::Hand(hand) = reading.motion else { panic!("{reading:?}") };
        assert!((hand.translation.vector - Vector3::new(0.3, 0.1, 0.2)).norm() < 1e-12);
        assert!(reading.engaged && reading.gripper == Some(0.25));
        // While held, A counts as pressed once.
        quest.feed(text.as_bytes(), Timestamp::ZERO);
        assert_eq!(operator.take(|_| true), Some((Wish::Accept, "quest".into())));
        assert_eq!(operator.take(|_| true), None);
        // Turning about the headset's y (up) is yaw here.
        let yaw = "0 0 1 0 0 1 0 0 -1 0 0 0 0 0 0 1";
        let Motion::Hand(turned) = quest.feed(line(yaw, "R").as_bytes(), Timestamp::ZERO).unwrap().motion else {
            panic!()
        };
        assert!((turned.rotation.scaled_axis() - Vector3::new(0.0, 0.0, std::f64::consts::FRAC_PI_2)).norm() < 1e-9);
    }

    #[test]
    fn behind_the_arm_forward_is_away_from_the_person() {
        let mut quest = QuestDecoder::new(Operator::default(), Stand::Behind);
        let reading = quest.feed(line(STILL, "R,RG").as_bytes(), Timestamp::ZERO).unwrap();
        let Motion::Hand(hand) = reading.motion else { panic!() };
        assert!((hand.translation.vector - Vector3::new(-0.3, -0.1, 0.2)).norm() < 1e-12);
    }

    #[test]
    fn a_missing_hand_a_lost_rotation_and_foreign_lines_say_nothing() {
        let mut quest = decoder(&Operator::default());
        for text in [
            "something else entirely\n".to_string(),
            format!("wE9ryARX: l:{STILL}&L\n"),
            line("1 0 0 0 0 1 0 0 0 0 0 0 0 0 0 1", "R"),
            line("1 0 0 0 0 1 0 0 0 0 -1 0 0 0 0 1", "R"),
            line("nan 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1", "R"),
            line("1 0 0", "R"),
            format!("wE9ryARX: r:{}&R\n", "1 ".repeat(9000)),
        ] {
            assert!(quest.feed(text.as_bytes(), Timestamp::ZERO).is_none(), "{text}");
        }
        assert!(quest.feed(line(STILL, "R,RG").as_bytes(), Timestamp::ZERO).is_some(), "it goes on after a long line");
    }

    /// Reads one request of adb's host protocol.
    fn hear(stream: &mut TcpStream) -> String {
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&length).unwrap(), 16).unwrap();
        let mut request = vec![0; length];
        stream.read_exact(&mut request).unwrap();
        String::from_utf8(request).unwrap()
    }

    fn clock() -> Arc<dyn Clock> {
        Arc::new(visuomotor_core::time::SystemClock::new())
    }

    fn fail(why: &str) -> Vec<u8> {
        format!("FAIL{:04x}{why}", why.len()).into_bytes()
    }

    #[test]
    fn adbs_server_is_spoken_to_as_it_expects_and_its_refusal_is_told() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().to_string();
        let thread = std::thread::spawn(move || {
            let (mut first, _) = server.accept().unwrap();
            assert_eq!(hear(&mut first), "host:transport-any");
            first.write_all(b"FAIL0017no devices/emulators found").unwrap();
            drop(first);
            let (mut second, _) = server.accept().unwrap();
            assert_eq!(hear(&mut second), "host:transport-any");
            second.write_all(b"OKAY").unwrap();
            assert_eq!(hear(&mut second), "shell:logcat -T 0");
            second.write_all(b"OKAY").unwrap();
            second.write_all(line(STILL, "R,RG").as_bytes()).unwrap();
            second
        });
        let connect = || connect_quest(Some(&address), None, Operator::default(), Stand::Facing, clock());
        let refused = connect().err().unwrap();
        assert!(refused.to_string().contains("no devices/emulators found"), "{refused}");
        let mut quest = connect().unwrap();
        let _headset = thread.join().unwrap();
        use super::super::TeleopDevice;
        let heard = (0..500).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            quest.newest(Timestamp::ZERO).unwrap()
        });
        assert!(heard.unwrap().engaged);
    }

    #[test]
    fn one_of_several_headsets_is_chosen_by_its_serial_and_a_refusal_lists_them() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().to_string();
        let list = "1WMHH8\tdevice\n2G0YC1\tunauthorized\n";
        let listed = format!("OKAY{:04x}{list}", list.len()).into_bytes();
        // What is requested, and the reply.
        let script = [
            ("host:transport-any", fail("more than one device/emulator")),
            ("host:devices", listed.clone()),
            ("host:transport:3ABC", fail("device '3ABC' not found")),
            ("host:devices", listed),
            ("host:transport:2G0YC1", fail("device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set")),
            ("host:transport:1WMHH8", b"OKAY".to_vec()),
        ];
        let thread = std::thread::spawn(move || {
            for (expected, reply) in script {
                let (mut stream, _) = server.accept().unwrap();
                assert_eq!(hear(&mut stream), expected);
                stream.write_all(&reply).unwrap();
                if reply == b"OKAY" {
                    assert_eq!(hear(&mut stream), "shell:logcat -T 0");
                    stream.write_all(b"OKAY").unwrap();
                    return Some(stream);
                }
            }
            None
        });
        let connect = |serial| connect_quest(Some(&address), serial, Operator::default(), Stand::Facing, clock());
        let cases: [(Option<&str>, &[&str]); 3] = [
            (None, &["several devices", "1WMHH8 (device), 2G0YC1 (unauthorized)", "--device-serial"]),
            (Some("3ABC"), &["3ABC", "1WMHH8 (device)", "--device-serial"]),
            (Some("2G0YC1"), &["has not allowed this computer", "2G0YC1", "allow USB debugging"]),
        ];
        for (serial, named) in cases {
            let refused = connect(serial).err().unwrap().to_string();
            for words in named {
                assert!(refused.contains(words) && !refused.contains('\n'), "{words}: {refused}");
            }
        }
        assert!(connect(Some("1WMHH8")).is_ok());
        assert!(thread.join().unwrap().is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_are_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            decoder(&Operator::default()).feed(&bytes, Timestamp::ZERO);
        }
    }
}
