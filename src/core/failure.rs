//! Kinds of errors: stopped by the user, wrong request, or machine fault.
//!
//! Each error type defines its kind next to its variants; the command line maps it to an exit code.

use std::error::Error;
use std::io;

/// Kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Stopped by the user: nothing is wrong.
    Stopped,
    /// Wrong usage or configuration: nothing is wrong with the machine, change the request.
    Usage,
    /// Hardware or runtime fault: look at the arm, the camera, the link or the disk.
    Machine,
}

/// An error with a kind.
pub trait Failing: Error {
    /// Its kind.
    fn failure(&self) -> FailureKind;
}

/// A missing path or permission is a wrong request; a failing disk or connection is a machine fault.
impl Failing for io::Error {
    fn failure(&self) -> FailureKind {
        use io::ErrorKind as Kind;
        let broken = matches!(
            self.kind(),
            Kind::StorageFull
                | Kind::QuotaExceeded
                | Kind::WriteZero
                | Kind::BrokenPipe
                | Kind::ConnectionAborted
                | Kind::ConnectionReset
                | Kind::HostUnreachable
                | Kind::NetworkDown
                | Kind::NetworkUnreachable
                | Kind::StaleNetworkFileHandle
                | Kind::TimedOut
                | Kind::OutOfMemory
        );
        if broken || self.raw_os_error() == Some(libc::EIO) { FailureKind::Machine } else { FailureKind::Usage }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_a_wrong_request_and_a_failing_disk_is_not() {
        let of = |number| io::Error::from_raw_os_error(number).failure();
        for wrong in [libc::ENOENT, libc::EACCES, libc::ENOTDIR, libc::EEXIST, libc::EADDRINUSE] {
            assert_eq!(of(wrong), FailureKind::Usage, "{wrong}");
        }
        for broken in [libc::ENOSPC, libc::EIO, libc::ECONNRESET, libc::EPIPE, libc::ETIMEDOUT] {
            assert_eq!(of(broken), FailureKind::Machine, "{broken}");
        }
    }
}
