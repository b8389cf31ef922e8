//! A bidirectional byte link: the part of a serial port that a servo bus driver needs.
//!
//! A link owns a clock, because it is the part that waits: [`ByteLink::now`] is its time and deadlines are given on it, so that
//! links in memory can run on a manual clock. Reading and writing never allocate.

use super::LatencyTimer;
use visuomotor_core::failure::{Failing, FailureKind};
use visuomotor_core::time::Timestamp;

/// Why a link could not be used. `Copy`, because the control thread passes it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The device is gone: cable unplugged, adapter without power, the other end of a pty closed.
    #[error("the device is gone: unplugged or without power")]
    Unplugged,
    /// No device has this path.
    #[error("there is no such device")]
    Missing,
    /// The operating system forbids it.
    #[error("permission denied: add the user to the group that owns the device (usually dialout)")]
    Forbidden,
    /// Another program holds the port.
    #[error("another program holds the port")]
    Busy,
    /// The path is no serial port.
    #[error("it is not a serial port")]
    NotSerial,
    /// A write did not complete in time.
    #[error("bytes cannot be sent: the device takes no more")]
    Stuck,
    /// Any other error of the operating system.
    #[error("operating system error {0}")]
    System(i32),
}

impl Failing for LinkError {
    fn failure(&self) -> FailureKind {
        FailureKind::Machine
    }
}

impl LinkError {
    /// From `errno`.
    pub fn from_errno(errno: i32) -> Self {
        match errno {
            libc::ENODEV | libc::ENXIO | libc::EIO | libc::EPIPE => Self::Unplugged,
            libc::ENOENT | libc::ENOTDIR => Self::Missing,
            libc::EACCES | libc::EPERM => Self::Forbidden,
            libc::EBUSY | libc::EWOULDBLOCK => Self::Busy,
            libc::ENOTTY => Self::NotSerial,
            other => Self::System(other),
        }
    }

    /// From the newest `errno` of this thread.
    pub fn last_os_error() -> Self {
        Self::from_errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }

    /// What the operator should do.
    pub fn fix(self) -> &'static str {
        match self {
            Self::Unplugged | Self::Stuck => "check the USB cable and the adapter, then start again",
            Self::Missing | Self::NotSerial => "plug the adapter in, or name its port in the launch file (link.port)",
            Self::Forbidden => "log in again after adding the user to the group dialout",
            Self::Busy => "stop the other program",
            Self::System(_) => "see the system's log (dmesg)",
        }
    }
}

/// A two-way stream of bytes with a clock.
pub trait ByteLink: Send {
    /// Path or name, for messages.
    fn name(&self) -> &str;
    /// The link's own time.
    fn now(&self) -> Timestamp;
    /// Sends all bytes; a partly sent packet is an error.
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), LinkError>;
    /// Reads available bytes, waiting for the first one until the link's clock shows `until`; 0 means none in time.
    fn read(&mut self, into: &mut [u8], until: Timestamp) -> Result<usize, LinkError>;
    /// Discards received bytes that were not read.
    fn discard_input(&mut self) -> Result<(), LinkError>;
    /// Closes and reopens it, for a device that was gone and came back. May block and allocate.
    fn reopen(&mut self) -> Result<(), LinkError>;
    /// How long the adapter delays received bytes; most links have no such timer.
    fn latency_timer(&self) -> LatencyTimer {
        LatencyTimer::Absent
    }
}

impl<L: ByteLink + ?Sized> ByteLink for Box<L> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        (**self).write_all(bytes)
    }

    fn read(&mut self, into: &mut [u8], until: Timestamp) -> Result<usize, LinkError> {
        (**self).read(into, until)
    }

    fn discard_input(&mut self) -> Result<(), LinkError> {
        (**self).discard_input()
    }

    fn reopen(&mut self) -> Result<(), LinkError> {
        (**self).reopen()
    }

    fn latency_timer(&self) -> LatencyTimer {
        (**self).latency_timer()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulled_cable_is_told_from_a_missing_device_and_a_held_one() {
        assert_eq!(LinkError::from_errno(libc::EIO), LinkError::Unplugged);
        assert_eq!(LinkError::from_errno(libc::ENODEV), LinkError::Unplugged);
        assert_eq!(LinkError::from_errno(libc::ENOENT), LinkError::Missing);
        assert_eq!(LinkError::from_errno(libc::EBUSY), LinkError::Busy);
        assert_eq!(LinkError::from_errno(libc::EACCES), LinkError::Forbidden);
        assert_eq!(LinkError::from_errno(libc::EINVAL), LinkError::System(libc::EINVAL));
    }
}
