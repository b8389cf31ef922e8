//! Malformed packets: random bytes, truncated messages, and headers with wrong lengths, to every port the driving
//! program listens on; on a servo bus, bytes changed on the way.

use std::collections::HashSet;
use std::net::UdpSocket;
use std::time::Duration;

use super::processes::Process;
use super::wall::now;

/// Packets per port, and the time between two of them: they shall be malformed, not too many.
const PACKETS: u64 = 200;
const APART: Duration = Duration::from_millis(3);

/// Sends them; returns when it began \[s, monotonic\].
pub fn send(arm: &mut Process, drive: &Process) -> anyhow::Result<f64> {
    let ports = ports(drive.id())?;
    let begun = arm.tell("bytes changed")?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let mut chance = Chance(1);
    for number in 0..PACKETS {
        for port in &ports {
            // A full buffer of the receiver loses it, which is as good.
            let _ = socket.send_to(&packet(number, &mut chance), ("127.0.0.1", *port));
        }
        std::thread::sleep(APART);
    }
    Ok(begun.min(now()))
}

/// UDP ports of a process, by `/proc`.
fn ports(process: u32) -> anyhow::Result<Vec<u16>> {
    let mut sockets = HashSet::new();
    for file in std::fs::read_dir(format!("/proc/{process}/fd"))?.flatten() {
        let Ok(target) = std::fs::read_link(file.path()) else { continue };
        let inode = target.to_string_lossy().strip_prefix("socket:[").map(|rest| rest.trim_end_matches(']').to_owned());
        sockets.extend(inode);
    }
    let mut ports = Vec::new();
    for table in ["udp", "udp6"] {
        let text = std::fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(inode)) = (words.get(1), words.get(9)) else { continue };
            if let (true, Some((_, port))) = (sockets.contains(*inode), local.rsplit_once(':')) {
                ports.push(u16::from_str_radix(port, 16)?);
            }
        }
    }
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

/// Random bits, the same each time (SplitMix64).
struct Chance(u64);

impl Chance {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// One packet: a third random bytes, a third an RTPS header and submessages with wrong lengths, a third truncated anywhere.
fn packet(number: u64, chance: &mut Chance) -> Vec<u8> {
    let length = (chance.bits() % 1400) as usize;
    let mut bytes: Vec<u8> = (0..length).map(|_| chance.bits() as u8).collect();
    if number.is_multiple_of(3) {
        return bytes;
    }
    // DATA, HEARTBEAT, ACKNACK, GAP, INFO_TS, DATA_FRAG (RTPS 2.3, 8.3.3): flags, a length, and whatever follows.
    let kinds = [0x15, 0x07, 0x06, 0x08, 0x09, 0x16];
    let mut message = b"RTPS\x02\x03\x01\x0f".to_vec();
    message.extend((0..12).map(|_| chance.bits() as u8));
    message.extend([kinds[(chance.bits() % 6) as usize], chance.bits() as u8]);
    message.extend((chance.bits() as u16).to_le_bytes());
    message.append(&mut bytes);
    if number % 3 == 2 {
        message.truncate((chance.bits() % message.len() as u64) as usize);
    }
    message
}
