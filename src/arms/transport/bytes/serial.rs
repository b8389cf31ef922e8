//! A serial port: 1 Mbaud, 8 data bits, no parity, 1 stop bit, held exclusively.
//!
//! The crate `serialport` opens and sets the port (exclusive: `TIOCEXCL` and a lock); bytes go through `descriptor`.
//! The port is named by its path and reopened by it: a stable one (`/dev/ttyDXL`, `/dev/serial/by-id/...`) survives a
//! pulled cable, `/dev/ttyUSB0` may not.

use std::os::fd::AsRawFd;
use std::time::Duration;

use serialport::TTYPort;

use super::{ByteLink, LatencyTimer, LinkError, descriptor};
use visuomotor_core::time::{Clock, SystemClock, Timestamp};

/// Baud rate of Interbotix's Dynamixel buses \[bit/s\].
pub const BAUD: u32 = 1_000_000;

/// Latency timer that is set on an FTDI adapter \[ms\].
const LATENCY_MS: u8 = 1;

/// A serial port, open.
pub struct SerialLink {
    path: String,
    baud: u32,
    port: Option<TTYPort>,
    latency: LatencyTimer,
    clock: SystemClock,
}

impl SerialLink {
    /// Opens the port at this rate \[bit/s\].
    pub fn open(path: &str, baud: u32) -> Result<Self, LinkError> {
        let mut link =
            Self { path: path.into(), baud, port: None, latency: LatencyTimer::Absent, clock: SystemClock::new() };
        link.reopen()?;
        Ok(link)
    }

    fn descriptor(&self) -> Result<i32, LinkError> {
        self.port.as_ref().map(AsRawFd::as_raw_fd).ok_or(LinkError::Unplugged)
    }
}

/// Converts `serialport`'s open error to ours; it keeps no `errno`.
fn cause(path: &str, error: &serialport::Error) -> LinkError {
    use serialport::ErrorKind;
    use std::io::ErrorKind as Io;
    if !std::path::Path::new(path).exists() {
        return LinkError::Missing;
    }
    match error.kind() {
        ErrorKind::Io(Io::PermissionDenied) => LinkError::Forbidden,
        ErrorKind::Io(Io::NotFound) => LinkError::Missing,
        ErrorKind::Io(Io::ResourceBusy | Io::WouldBlock) => LinkError::Busy,
        // The lock of another program is reported as a missing device (`EWOULDBLOCK` of `flock`).
        ErrorKind::NoDevice => LinkError::Busy,
        _ => LinkError::last_os_error(),
    }
}

impl ByteLink for SerialLink {
    fn name(&self) -> &str {
        &self.path
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        descriptor::write_all(self.descriptor()?, &self.clock, bytes)
    }

    fn read(&mut self, into: &mut [u8], until: Timestamp) -> Result<usize, LinkError> {
        descriptor::read(self.descriptor()?, &self.clock, into, until)
    }

    fn discard_input(&mut self) -> Result<(), LinkError> {
        descriptor::discard_input(self.descriptor()?)
    }

    fn reopen(&mut self) -> Result<(), LinkError> {
        // Closed first: our own lock would prevent reopening.
        self.port = None;
        let settings = serialport::new(&self.path, self.baud).timeout(Duration::from_millis(100));
        self.port = Some(settings.open_native().map_err(|error| cause(&self.path, &error))?);
        // A newly connected adapter starts at the kernel's 16 ms. Whether setting it worked shows when it is read.
        let path = std::path::Path::new(&self.path);
        let _ = LatencyTimer::set(path, LATENCY_MS);
        self.latency = LatencyTimer::read(path);
        self.discard_input()
    }

    fn latency_timer(&self) -> LatencyTimer {
        self.latency.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Pty;
    use super::*;

    #[test]
    fn a_missing_port_and_a_held_one_are_told_apart() {
        assert_eq!(SerialLink::open("/dev/ttyNoSuchPort", BAUD).err(), Some(LinkError::Missing));
        assert_eq!(SerialLink::open("/dev/null", BAUD).err(), Some(LinkError::NotSerial));
        let pty = Pty::open(None).unwrap();
        let _first = SerialLink::open(pty.path(), BAUD).unwrap();
        assert_eq!(SerialLink::open(pty.path(), BAUD).err(), Some(LinkError::Busy));
    }

    #[test]
    fn bytes_go_both_ways_unchanged_and_a_gone_peer_is_unplugged() {
        let mut pty = Pty::open(None).unwrap();
        let mut port = SerialLink::open(pty.path(), BAUD).unwrap();
        let all: Vec<u8> = (0..=255).collect();
        let mut buffer = [0u8; 512];
        for _ in 0..2 {
            port.write_all(&all).unwrap();
            let mut got = Vec::new();
            while got.len() < 256 {
                let until = pty.now() + Duration::from_secs(5);
                let n = pty.read(&mut buffer, until).unwrap();
                assert!(n > 0, "{} of 256 bytes came", got.len());
                got.extend_from_slice(&buffer[..n]);
            }
            assert_eq!(got, all);
        }
        pty.write_all(&[1, 2, 3]).unwrap();
        let until = port.now() + Duration::from_secs(5);
        assert_eq!(port.read(&mut buffer, until), Ok(3));
        assert_eq!(port.read(&mut buffer, port.now()), Ok(0));
        drop(pty);
        assert_eq!(port.read(&mut buffer, until), Err(LinkError::Unplugged));
        assert_eq!(port.reopen(), Err(LinkError::Missing));
    }
}
