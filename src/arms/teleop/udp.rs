//! A twist from anything that can send a datagram.
//!
//! One JSON object per datagram, at most [`LONGEST`] bytes:
//!
//! ```json
//! {"version":1,"sequence":17,"along":[0.5,0,0],"about":[0,0,0],"engaged":true,"gripper":1.0,"press":"accept"}
//! ```
//!
//! `along` and `about`: -1..1 along and about forward, left, up. `engaged`: the dead-man is held. `gripper`: 0 closed .. 1 open.
//! `press` (may be left out): `begin`, `accept`, `reject` or `abort`, once per press. `sequence` counts up; older datagrams are
//! dropped. Send 20 or more a second; on silence the arm stops. The first sender is used until it has been silent for a second;
//! others are ignored.

use std::io::{self, Read};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{Decoder, DeviceError, Motion, NAP, Reading, StreamDevice};
use visuomotor_core::operator::{Operator, Wish};
use visuomotor_core::time::{Clock, Timestamp};

/// Longest datagram \[bytes\].
pub const LONGEST: usize = 512;

/// The only version there is.
const VERSION: u32 = 1;

/// After this silence another sender is accepted.
const SILENCE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Packet {
    version: u32,
    sequence: u64,
    along: [f64; 3],
    about: [f64; 3],
    engaged: bool,
    gripper: f64,
    #[serde(default)]
    press: Option<Press>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Press {
    Begin,
    Accept,
    Reject,
    Abort,
}

/// Decodes datagrams, one per read.
pub struct UdpDecoder {
    operator: Operator,
    sequence: Option<u64>,
    refused: u64,
}

impl UdpDecoder {
    /// Button presses go to `operator`.
    pub fn new(operator: Operator) -> Self {
        Self { operator, sequence: None, refused: 0 }
    }

    fn warn(&mut self, why: &str) -> Option<Reading> {
        self.refused += 1;
        if self.refused.is_power_of_two() {
            tracing::warn!(refused = self.refused, "udp: a datagram was refused: {why}");
        }
        None
    }
}

impl Decoder for UdpDecoder {
    fn device(&self) -> &'static str {
        "udp"
    }

    fn feed(&mut self, bytes: &[u8], now: Timestamp) -> Option<Reading> {
        let packet: Packet = match serde_json::from_slice(bytes) {
            Ok(packet) => packet,
            Err(error) => return self.warn(&error.to_string()),
        };
        if packet.version != VERSION {
            return self.warn(&format!("version {}, expected {VERSION}", packet.version));
        }
        if self.sequence.is_some_and(|before| packet.sequence <= before) {
            return self.warn("its sequence number is not newer than the one before");
        }
        self.sequence = Some(packet.sequence);
        let wish = packet.press.map(|press| match press {
            Press::Begin => Wish::Begin,
            Press::Accept => Wish::Accept,
            Press::Reject => Wish::Reject,
            Press::Abort => Wish::Abort,
        });
        if let Some(wish) = wish {
            // A full queue holds 64 unread commands: dropping one more changes nothing.
            let _ = self.operator.wish(wish, "udp");
        }
        let motion = Motion::Deflection { along: packet.along, about: packet.about };
        Some(Reading { motion, engaged: packet.engaged, gripper: Some(packet.gripper), at: now })
    }
}

/// The socket, which receives from one sender at a time.
pub struct UdpTwist {
    socket: UdpSocket,
    sender: Option<(SocketAddr, Instant)>,
}

impl UdpTwist {
    /// Opens the socket; without an address on 127.0.0.1:47800. Other than loopback is only used when given explicitly.
    pub fn open(
        address: Option<&str>,
        operator: Operator,
        clock: Arc<dyn Clock>,
    ) -> Result<StreamDevice<UdpDecoder>, DeviceError> {
        let address = address.unwrap_or("127.0.0.1:47800");
        let unusable = |error: io::Error| DeviceError::Unusable {
            device: "udp",
            place: address.into(),
            cause: error.to_string(),
            fix: "choose a free port of this computer: teleop.address".into(),
        };
        let socket = UdpSocket::bind(address).map_err(unusable)?;
        socket.set_read_timeout(Some(NAP)).map_err(unusable)?;
        StreamDevice::start(Self { socket, sender: None }, UdpDecoder::new(operator), clock).map_err(unusable)
    }
}

impl Read for UdpTwist {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut datagram = [0; LONGEST + 1];
        let (count, from) = self.socket.recv_from(&mut datagram)?;
        let taken = match self.sender {
            Some((sender, heard)) => sender == from || heard.elapsed() > SILENCE,
            None => true,
        };
        if !taken || count == 0 || count > LONGEST {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.sender = Some((from, Instant::now()));
        let count = count.min(into.len());
        into[..count].copy_from_slice(&datagram[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::TeleopDevice;
    use super::*;
    use visuomotor_core::time::SystemClock;

    fn packet(sequence: u64, more: &str) -> String {
        format!(
            r#"{{"version":1,"sequence":{sequence},"along":[0.5,0,0],"about":[0,0,-1],"engaged":true,"gripper":0.25{more}}}"#
        )
    }

    #[test]
    fn a_twist_is_read_and_an_older_one_is_not() {
        let operator = Operator::default();
        let mut udp = UdpDecoder::new(operator.clone());
        let reading = udp.feed(packet(5, r#","press":"begin""#).as_bytes(), Timestamp::ZERO).unwrap();
        assert_eq!(reading.motion, Motion::Deflection { along: [0.5, 0.0, 0.0], about: [0.0, 0.0, -1.0] });
        assert!(reading.engaged && reading.gripper == Some(0.25));
        assert_eq!(operator.take(|_| true).unwrap().0, Wish::Begin);
        assert!(udp.feed(packet(5, "").as_bytes(), Timestamp::ZERO).is_none());
        for bad in
            ["{}", "", "nonsense", &packet(9, r#","more":1"#), &packet(9, "").replace("\"version\":1", "\"version\":2")]
        {
            assert!(udp.feed(bad.as_bytes(), Timestamp::ZERO).is_none(), "{bad}");
        }
        assert!(udp.feed(packet(9, "").as_bytes(), Timestamp::ZERO).is_some());
    }

    #[test]
    fn one_sender_at_a_time_is_listened_to() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(NAP)).unwrap();
        let place = socket.local_addr().unwrap();
        let twist = UdpTwist { socket, sender: None };
        let mut device = StreamDevice::start(twist, UdpDecoder::new(Operator::default()), clock).unwrap();
        let [one, two] = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        one.send_to(packet(1, "").as_bytes(), place).unwrap();
        let mut newest = || {
            (0..500).find_map(|_| {
                std::thread::sleep(Duration::from_millis(5));
                device.newest(Timestamp::ZERO).unwrap()
            })
        };
        let first = newest().unwrap();
        two.send_to(packet(2, "").replace("0.25", "0.5").as_bytes(), place).unwrap();
        one.send_to(packet(3, "").replace("0.25", "0.75").as_bytes(), place).unwrap();
        let last = (0..500).find_map(|_| newest().filter(|reading| reading.gripper != first.gripper)).unwrap();
        assert_eq!(last.gripper, Some(0.75));
    }
}
