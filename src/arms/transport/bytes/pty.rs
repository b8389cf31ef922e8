//! A serial port without hardware: the controller's side of a pseudo-terminal, with a path that any program opens.
//!
//! [`Pty`] holds the emulator's end; the driver, or the maker's own SDK, opens [`Pty::path`] (or the symbolic link
//! asked for, `results/ttyDXL`). Raw: every byte passes unchanged. There is no wire: bytes arrive at once, whatever baud
//! rate is set.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::{ByteLink, LinkError, descriptor};
use visuomotor_core::time::{Clock, SystemClock, Timestamp};

/// The controller's end of a pseudo-terminal.
pub struct Pty {
    controller: OwnedFd,
    /// Our own handle of the user's end: without it, reading fails whenever no program has it open.
    terminal: OwnedFd,
    path: String,
    symlink: Option<PathBuf>,
    clock: SystemClock,
}

/// A new descriptor, or the operating system's error.
fn owned(fd: i32) -> Result<OwnedFd, LinkError> {
    if fd < 0 {
        return Err(LinkError::last_os_error());
    }
    // SAFETY: the descriptor was just made by a successful call and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl Pty {
    /// A new pseudo-terminal; `symlink` is made to point at it, replacing a symbolic link but nothing else.
    pub fn open(symlink: Option<&Path>) -> Result<Self, LinkError> {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        // SAFETY: takes no pointers.
        let controller = owned(unsafe { libc::posix_openpt(flags) })?;
        let fd = controller.as_raw_fd();
        let mut name = [0 as libc::c_char; 64];
        // SAFETY: `fd` is an open controller; `name` is a buffer of the length given.
        let failed = unsafe {
            libc::grantpt(fd) != 0 || libc::unlockpt(fd) != 0 || libc::ptsname_r(fd, name.as_mut_ptr(), name.len()) != 0
        };
        if failed {
            return Err(LinkError::last_os_error());
        }
        // SAFETY: `ptsname_r` succeeded, so `name` holds a string with its closing zero.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) };
        // SAFETY: `name` is a string with its closing zero.
        let terminal = owned(unsafe { libc::open(name.as_ptr(), flags) })?;
        // SAFETY: an all-zero `termios` is a value of it; the calls get a pointer to it and an open terminal.
        let failed = unsafe {
            let mut settings: libc::termios = std::mem::zeroed();
            libc::tcgetattr(terminal.as_raw_fd(), &mut settings) != 0 || {
                libc::cfmakeraw(&mut settings);
                libc::tcsetattr(terminal.as_raw_fd(), libc::TCSANOW, &settings) != 0
            }
        };
        if failed {
            return Err(LinkError::last_os_error());
        }
        let path = name.to_string_lossy().into_owned();
        let symlink = symlink.map(|link| make_symlink(&path, link)).transpose()?;
        Ok(Self { controller, terminal, path, symlink, clock: SystemClock::new() })
    }

    /// Path of the end that a program opens.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A killed program leaves the terminal exclusive, and our handle keeps that setting alive. The lock that the program took
    /// besides was released at its death, so clearing this loses nothing.
    fn lift_exclusion(&self) {
        // SAFETY: takes no pointers; a failure leaves things as they are.
        unsafe { libc::ioctl(self.terminal.as_raw_fd(), libc::TIOCNXCL) };
    }
}

fn make_symlink(path: &str, link: &Path) -> Result<PathBuf, LinkError> {
    let told = |error: std::io::Error| LinkError::from_errno(error.raw_os_error().unwrap_or(0));
    match std::fs::symlink_metadata(link) {
        Ok(found) if found.file_type().is_symlink() => std::fs::remove_file(link).map_err(told)?,
        Ok(_) => return Err(LinkError::Busy),
        Err(_) => {}
    }
    std::os::unix::fs::symlink(path, link).map_err(told)?;
    Ok(link.to_path_buf())
}

impl Drop for Pty {
    fn drop(&mut self) {
        if let Some(link) = &self.symlink {
            // Only if it is still ours.
            if std::fs::read_link(link).is_ok_and(|to| to == Path::new(&self.path)) {
                let _ = std::fs::remove_file(link);
            }
        }
    }
}

impl ByteLink for Pty {
    fn name(&self) -> &str {
        &self.path
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        descriptor::write_all(self.controller.as_raw_fd(), &self.clock, bytes)
    }

    fn read(&mut self, into: &mut [u8], until: Timestamp) -> Result<usize, LinkError> {
        let got = descriptor::read(self.controller.as_raw_fd(), &self.clock, into, until)?;
        if got == 0 {
            self.lift_exclusion();
        }
        Ok(got)
    }

    fn discard_input(&mut self) -> Result<(), LinkError> {
        descriptor::discard_input(self.controller.as_raw_fd())
    }

    /// A pseudo-terminal is never reopened: it would get another path.
    fn reopen(&mut self) -> Result<(), LinkError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_symlink_points_at_the_terminal_and_goes_with_it_but_a_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("ttyDXL");
        let pty = Pty::open(Some(&link)).unwrap();
        assert_eq!(std::fs::read_link(&link).unwrap(), Path::new(pty.path()));
        let second = Pty::open(Some(&link)).unwrap();
        drop(pty);
        assert_eq!(std::fs::read_link(&link).unwrap(), Path::new(second.path()));
        drop(second);
        assert!(!link.exists());
        std::fs::write(&link, "mine").unwrap();
        assert_eq!(Pty::open(Some(&link)).err(), Some(LinkError::Busy));
        assert_eq!(std::fs::read_to_string(&link).unwrap(), "mine");
    }
}
