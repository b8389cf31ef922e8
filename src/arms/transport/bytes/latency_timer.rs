//! FTDI's latency timer: how long the adapter keeps received bytes before it sends a short packet to the computer.
//!
//! The kernel's default of 16 ms caps a read-write cycle at about 60 Hz; 1 ms is what Interbotix's udev rule sets. Read
//! and set through `/sys/bus/usb-serial/devices/<tty>/latency_timer`; adapters that are not FTDI's, and pseudo-
//! terminals, have none.

use std::path::{Path, PathBuf};

/// State of a port's latency timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LatencyTimer {
    /// It delays bytes by this long \[ms\].
    Milliseconds(u8),
    /// The port has none: not an FTDI adapter.
    Absent,
}

/// The timer could not be set.
#[derive(Debug, thiserror::Error)]
#[error(
    "{path}: the latency timer cannot be set to {wanted} ms ({cause}); write it as root or install the arm's udev rule"
)]
pub struct LatencyTimerError {
    /// File of the timer.
    pub path: String,
    /// Value to be written \[ms\].
    pub wanted: u8,
    /// The operating system's error.
    pub cause: String,
}

/// The file that holds the timer of this port; follows symbolic links such as `/dev/ttyDXL`.
fn file(sys: &Path, port: &Path) -> Option<PathBuf> {
    let device = std::fs::canonicalize(port).ok()?;
    // `/dev/pts/3` would become `3`; only names of terminals are looked up.
    let name = device.file_name()?.to_str().filter(|name| name.starts_with("tty"))?.to_owned();
    let file = sys.join("bus/usb-serial/devices").join(name).join("latency_timer");
    file.exists().then_some(file)
}

impl LatencyTimer {
    /// Reads the timer of this port.
    pub fn read(port: &Path) -> Self {
        Self::read_under(Path::new("/sys"), port)
    }

    /// Sets the timer of this port \[ms\] and reads it back.
    pub fn set(port: &Path, milliseconds: u8) -> Result<Self, LatencyTimerError> {
        Self::set_under(Path::new("/sys"), port, milliseconds)
    }

    fn read_under(sys: &Path, port: &Path) -> Self {
        file(sys, port)
            .and_then(|file| std::fs::read_to_string(file).ok())
            .and_then(|text| text.trim().parse().ok())
            .map_or(Self::Absent, Self::Milliseconds)
    }

    fn set_under(sys: &Path, port: &Path, wanted: u8) -> Result<Self, LatencyTimerError> {
        let Some(file) = file(sys, port) else { return Ok(Self::Absent) };
        let failed = |cause: String| LatencyTimerError { path: file.display().to_string(), wanted, cause };
        std::fs::write(&file, format!("{wanted}\n")).map_err(|error| failed(error.to_string()))?;
        match Self::read_under(sys, port) {
            Self::Milliseconds(now) if now == wanted => Ok(Self::Milliseconds(now)),
            Self::Milliseconds(now) => Err(failed(format!("it still is {now} ms"))),
            Self::Absent => Err(failed("it cannot be read back".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Pty;
    use super::*;

    #[test]
    fn a_symlinked_port_is_followed_and_the_timer_read_and_set() {
        let folder = tempfile::tempdir().unwrap();
        let (sys, dev) = (folder.path().join("sys"), folder.path().join("dev"));
        let timer = sys.join("bus/usb-serial/devices/ttyUSB3");
        std::fs::create_dir_all(&timer).unwrap();
        std::fs::create_dir_all(&dev).unwrap();
        std::fs::write(timer.join("latency_timer"), "16\n").unwrap();
        std::fs::write(dev.join("ttyUSB3"), "").unwrap();
        std::os::unix::fs::symlink(dev.join("ttyUSB3"), dev.join("ttyDXL")).unwrap();
        assert_eq!(LatencyTimer::read_under(&sys, &dev.join("ttyDXL")), LatencyTimer::Milliseconds(16));
        let set = LatencyTimer::set_under(&sys, &dev.join("ttyDXL"), 1).unwrap();
        assert_eq!(set, LatencyTimer::Milliseconds(1));
        assert_eq!(std::fs::read_to_string(timer.join("latency_timer")).unwrap(), "1\n");
    }

    #[test]
    fn a_pty_has_none() {
        let pty = Pty::open(None).unwrap();
        assert_eq!(LatencyTimer::read(Path::new(pty.path())), LatencyTimer::Absent);
        assert_eq!(LatencyTimer::set(Path::new(pty.path()), 1).unwrap(), LatencyTimer::Absent);
    }
}
