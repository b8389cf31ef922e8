//! Reads and writes of a file descriptor with a deadline, without allocating: `serial` and `pty` share it.
//!
//! The serial crate's own reads return an allocated error on a time-out; on a bus time-outs are frequent.

use std::os::fd::RawFd;
use std::time::Duration;

use super::LinkError;
use visuomotor_core::time::{Clock, SystemClock, Timestamp};

/// Longest time of a write \[ms\]: a full 4 KiB buffer at 57 600 baud is sent in 0.7 s.
const WRITE_PATIENCE: Duration = Duration::from_millis(50);

fn wait(fd: RawFd, events: libc::c_short, patience: Duration) -> Result<libc::c_short, LinkError> {
    let mut poll = libc::pollfd { fd, events, revents: 0 };
    let time =
        libc::timespec { tv_sec: patience.as_secs() as libc::time_t, tv_nsec: patience.subsec_nanos() as libc::c_long };
    // SAFETY: `poll` and `time` live on this stack for the whole call, the count is 1, no signal mask is given.
    let ready = unsafe { libc::ppoll(&mut poll, 1, &time, std::ptr::null()) };
    match ready {
        0 => Ok(0),
        1 => Ok(poll.revents),
        _ => match LinkError::last_os_error() {
            // A signal: the caller checks its deadline and waits again.
            LinkError::System(libc::EINTR) => Ok(0),
            error => Err(error),
        },
    }
}

/// Reads available bytes, waiting for the first one until `until`; 0 means none in time.
pub(super) fn read(fd: RawFd, clock: &SystemClock, into: &mut [u8], until: Timestamp) -> Result<usize, LinkError> {
    if into.is_empty() {
        return Ok(0);
    }
    loop {
        let patience = until.since(clock.now());
        let ready = wait(fd, libc::POLLIN, patience)?;
        if ready & libc::POLLIN != 0 {
            // SAFETY: `into` is a writable buffer of this length for the whole call.
            let got = unsafe { libc::read(fd, into.as_mut_ptr().cast(), into.len()) };
            match got {
                // End of file on a terminal: it hung up.
                0 => return Err(LinkError::Unplugged),
                1.. => return Ok(got as usize),
                _ => match LinkError::last_os_error() {
                    LinkError::System(libc::EINTR) | LinkError::Busy => continue,
                    error => return Err(error),
                },
            }
        }
        if ready & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0 {
            return Err(LinkError::Unplugged);
        }
        if clock.now() >= until {
            return Ok(0);
        }
    }
}

/// Writes everything.
pub(super) fn write_all(fd: RawFd, clock: &SystemClock, mut bytes: &[u8]) -> Result<(), LinkError> {
    let until = clock.now() + WRITE_PATIENCE;
    while !bytes.is_empty() {
        let ready = wait(fd, libc::POLLOUT, until.since(clock.now()))?;
        if ready & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0 {
            return Err(LinkError::Unplugged);
        }
        if ready & libc::POLLOUT != 0 {
            // SAFETY: `bytes` is a readable buffer of this length for the whole call.
            let put = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
            if put >= 0 {
                bytes = bytes.get(put as usize..).unwrap_or_default();
                continue;
            }
            match LinkError::last_os_error() {
                LinkError::System(libc::EINTR) | LinkError::Busy => {}
                error => return Err(error),
            }
        }
        if clock.now() >= until {
            return Err(LinkError::Stuck);
        }
    }
    Ok(())
}

/// Discards received bytes that were not read.
pub(super) fn discard_input(fd: RawFd) -> Result<(), LinkError> {
    // SAFETY: takes no pointers.
    if unsafe { libc::tcflush(fd, libc::TCIFLUSH) } == 0 { Ok(()) } else { Err(LinkError::last_os_error()) }
}
