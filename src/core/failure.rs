//! Of what kind an error is: whether a person stopped, the request was wrong, or the machine.
//!
//! Each typed error says it beside its variants; the command line makes an exit code of it.

use std::error::Error;
use std::io;

/// Of what kind an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// A person stopped it: nothing is wrong.
    Stopped,
    /// Wrong usage or configuration: nothing is wrong with the machine, change the request.
    Usage,
    /// Hardware or runtime fault: look at the arm, the camera, the link or the disk.
    Machine,
}

/// An error that knows its kind.
pub trait Failing: Error {
    /// Of what kind it is.
    fn failure(&self) -> FailureKind;
}

/// A path that is not there or not permitted is a wrong request; a disk or a connection that fails is not.
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
    fn a_missing_file_is_a_wrong_request_and_a_disk_that_fails_is_not() {
        let of = |number| io::Error::from_raw_os_error(number).failure();
        for wrong in [libc::ENOENT, libc::EACCES, libc::ENOTDIR, libc::EEXIST, libc::EADDRINUSE] {
            assert_eq!(of(wrong), FailureKind::Usage, "{wrong}");
        }
        for broken in [libc::ENOSPC, libc::EIO, libc::ECONNRESET, libc::EPIPE, libc::ETIMEDOUT] {
            assert_eq!(of(broken), FailureKind::Machine, "{broken}");
        }
    }
}
