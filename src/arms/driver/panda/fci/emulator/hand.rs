//! The Franka Hand's own port: gripper protocol version 3 over TCP, a state by UDP.
//!
//! Header = command u16, command id u32, total size u32; statuses are u16. Commands: Connect 0, Homing 1, Grasp 2, Move 3,
//! Stop 4. State: message id u32, width f64, largest width f64, grasped u8, temperature u16 (23 bytes).

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::driver::{Order, Orders};

/// Protocol version.
const VERSION: u16 = 3;
/// Length of a header \[bytes\].
const HEADER: usize = 10;
/// Longest request \[bytes\].
const LONGEST: usize = 128;
/// Time between states.
const PERIOD: Duration = Duration::from_millis(20);
/// Longest time for the fingers before a command is replied to.
const LONGEST_MOVE: Duration = Duration::from_secs(3);
/// Opening from which a command counts as reached \[m\].
const REACHED: f64 = 0.001;
/// Reported temperature \[degC\].
const TEMPERATURE: u16 = 30;

/// The fingers, shared with the arm's thread, which moves them.
pub struct Fingers {
    wanted: AtomicU64,
    measured: AtomicU64,
    open: f64,
}

impl Fingers {
    /// Open, `open` apart \[m\].
    pub fn new(open: f64) -> Self {
        Self { wanted: AtomicU64::new(1f64.to_bits()), measured: AtomicU64::new(1f64.to_bits()), open }
    }

    /// Target opening: 0 closed .. 1 open.
    pub fn target(&self) -> f64 {
        f64::from_bits(self.wanted.load(Ordering::Acquire))
    }

    /// Present opening: 0 closed .. 1 open.
    pub fn moved_to(&self, fraction: f64) {
        self.measured.store(fraction.to_bits(), Ordering::Release);
    }

    fn set_target(&self, width: f64) {
        self.wanted.store((width / self.open).clamp(0.0, 1.0).to_bits(), Ordering::Release);
    }

    fn width(&self) -> f64 {
        f64::from_bits(self.measured.load(Ordering::Acquire)) * self.open
    }
}

/// Serves one client at a time until it is stopped.
pub fn serve(listener: &TcpListener, fingers: &Fingers, leave: &AtomicBool, orders: &Orders) {
    let Ok(udp) = UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)) else { return };
    while !leave.load(Ordering::Acquire) {
        if let Ok((tcp, _)) = listener.accept() {
            serve_client(tcp, &udp, fingers, leave, orders);
        }
        std::thread::sleep(PERIOD);
    }
}

/// A command in execution: its header's number and id, and the target width.
struct Pending {
    command: u16,
    id: u32,
    width: f64,
    left: Duration,
}

fn serve_client(mut tcp: TcpStream, udp: &UdpSocket, fingers: &Fingers, leave: &AtomicBool, orders: &Orders) {
    if tcp.set_nonblocking(true).and_then(|()| tcp.set_nodelay(true)).is_err() {
        return;
    }
    let (mut bytes, mut states_to, mut pending, mut count) = (Vec::new(), None, None::<Pending>, 0u32);
    let mut buffer = [0; LONGEST];
    while !leave.load(Ordering::Acquire) {
        match tcp.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
        while let Some((command, id, size)) = header(&bytes) {
            if !(HEADER..=LONGEST).contains(&size) {
                return;
            }
            if bytes.len() < size {
                break;
            }
            let message: Vec<u8> = bytes.drain(..size).collect();
            let number = |i: usize| {
                message.get(HEADER + 8 * i..HEADER + 8 * i + 8).and_then(|b| b.try_into().ok()).map(f64::from_le_bytes)
            };
            if command != 0 {
                orders.note(Order::Gripper);
            }
            match (command, &message[HEADER..]) {
                (0, [a, b, c, d]) => {
                    let fits = u16::from_le_bytes([*a, *b]) == VERSION;
                    let port = u16::from_le_bytes([*c, *d]);
                    states_to = tcp.peer_addr().ok().map(|peer| SocketAddr::new(peer.ip(), port));
                    let [low, high] = VERSION.to_le_bytes();
                    if !answer(&mut tcp, command, id, &[u8::from(!fits), 0, low, high]) {
                        return;
                    }
                }
                (1, _) => pending = Some(Pending { command, id, width: fingers.open, left: LONGEST_MOVE }),
                (2 | 3, _) => match number(0) {
                    Some(width) if width.is_finite() => {
                        pending =
                            Some(Pending { command, id, width: width.clamp(0.0, fingers.open), left: LONGEST_MOVE });
                    }
                    _ => return,
                },
                (4, _) => {
                    fingers.set_target(fingers.width());
                    if !answer(&mut tcp, command, id, &[0, 0]) {
                        return;
                    }
                }
                _ => return,
            }
            if let Some(pending) = &pending {
                fingers.set_target(pending.width);
            }
        }
        if let Some(going) = pending.take() {
            let there = (fingers.width() - going.width).abs() < REACHED;
            if there || going.left.is_zero() {
                // A grasp that stopped on an object is a success; the fingers' force is the plant's.
                if !answer(&mut tcp, going.command, going.id, &[0, 0]) {
                    return;
                }
            } else {
                pending = Some(Pending { left: going.left.saturating_sub(PERIOD), ..going });
            }
        }
        if let Some(to) = states_to {
            count += 1;
            let mut state = Vec::with_capacity(23);
            state.extend_from_slice(&count.to_le_bytes());
            state.extend_from_slice(&fingers.width().to_le_bytes());
            state.extend_from_slice(&fingers.open.to_le_bytes());
            state.push(0);
            state.extend_from_slice(&TEMPERATURE.to_le_bytes());
            // A state that cannot be sent counts as lost.
            let _ = udp.send_to(&state, to);
        }
        std::thread::sleep(PERIOD);
    }
}

fn header(bytes: &[u8]) -> Option<(u16, u32, usize)> {
    let command = u16::from_le_bytes(bytes.get(0..2)?.try_into().ok()?);
    let id = u32::from_le_bytes(bytes.get(2..6)?.try_into().ok()?);
    let size = u32::from_le_bytes(bytes.get(6..10)?.try_into().ok()?);
    Some((command, id, size as usize))
}

fn answer(tcp: &mut TcpStream, command: u16, id: u32, payload: &[u8]) -> bool {
    let mut message = Vec::with_capacity(HEADER + payload.len());
    message.extend_from_slice(&command.to_le_bytes());
    message.extend_from_slice(&id.to_le_bytes());
    message.extend_from_slice(&((HEADER + payload.len()) as u32).to_le_bytes());
    message.extend_from_slice(payload);
    matches!(tcp.write(&message), Ok(n) if n == message.len())
}
