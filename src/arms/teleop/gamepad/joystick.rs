//! The kernel's joystick interface: its map of codes, and the state that it reports at opening.

use std::ffi::c_int;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsRawFd;

use super::super::stream::DeviceFile;
use super::{EVENT, PadLayout, UnknownPad};

/// Entries of a button map: codes from 0x100 to 0x2FF.
const BUTTONS: usize = 0x200;

/// Entries of an axis map.
const AXES: usize = 0x40;

/// Longest name \[bytes\].
const NAME: usize = 128;

/// Number of waits of [`DeviceFile`] without an event after which the state at opening is complete (0.5 s).
const SETTLED: usize = 25;

/// Number of waits without a first event after which none is expected (3 s).
const PATIENCE: usize = 150;

/// Most bytes of a state at opening: every number once for buttons and axes.
const LONGEST: usize = 512 * EVENT;

/// A device and its layout.
pub(super) struct Joystick {
    /// Its name, by the kernel; empty for a FIFO or file.
    pub name: String,
    /// Its layout, or why it has none.
    pub layout: Result<PadLayout, UnknownPad>,
    /// What was read to learn it.
    pub read: Vec<u8>,
}

/// Reads the layout from the kernel's map, or, where there is none, from the state at opening.
pub(super) fn identify(device: &mut DeviceFile) -> io::Result<Joystick> {
    if let Ok((name, layout)) = mapped(&device.0) {
        return Ok(Joystick { name, layout, read: Vec::new() });
    }
    let read = start(device)?;
    Ok(Joystick { name: String::new(), layout: PadLayout::of_start(&read), read })
}

/// Name and layout by the kernel's map; an error for what is no joystick device.
fn mapped(file: &File) -> io::Result<(String, Result<PadLayout, UnknownPad>)> {
    let (mut axis_count, mut button_count) = ([0u8; 1], [0u8; 1]);
    request(file, 0x11, &mut axis_count)?;
    request(file, 0x12, &mut button_count)?;
    let (mut axes, mut buttons, mut name) = ([0u8; AXES], [0u16; BUTTONS], [0u8; NAME]);
    request(file, 0x32, &mut axes)?;
    request(file, 0x34, &mut buttons)?;
    // A pad without a name is still a pad.
    let _ = request(file, 0x13, &mut name);
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(NAME);
    let name = String::from_utf8_lossy(&name[..end]).into_owned();
    let axes = &axes[..usize::from(axis_count[0]).min(AXES)];
    let buttons = &buttons[..usize::from(button_count[0]).min(BUTTONS)];
    Ok((name, PadLayout::of_codes(buttons, axes)))
}

/// One of linux/joystick.h: JSIOCGAXES 0x11, JSIOCGBUTTONS 0x12, JSIOCGNAME 0x13, JSIOCGAXMAP 0x32, JSIOCGBTNMAP 0x34.
fn request<T: Copy, const N: usize>(file: &File, number: u32, into: &mut [T; N]) -> io::Result<c_int> {
    // SAFETY: the kernel writes at most the size that the request names, which is the array's; integers take any bytes.
    let result =
        unsafe { libc::ioctl(file.as_raw_fd(), libc::_IOR::<[T; N]>(u32::from(b'j'), number), into.as_mut_ptr()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The events up to the first that is not of the state at opening, or until they cease.
fn start(device: &mut impl Read) -> io::Result<Vec<u8>> {
    let (mut read, mut waits) = (Vec::new(), 0);
    let mut bytes = [0; EVENT * 64];
    while read.len() < LONGEST {
        match device.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => {
                read.extend_from_slice(&bytes[..count]);
                waits = 0;
                if read.chunks_exact(EVENT).any(|event| event[6] & 0x80 == 0) {
                    break;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                waits += 1;
                if waits >= if read.is_empty() { PATIENCE } else { SETTLED } {
                    break;
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PLAYSTATION_START, XPAD_START, opened};
    use super::*;
    use std::io::Write;

    fn identified(bytes: &[u8]) -> Joystick {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        identify(&mut DeviceFile(file)).unwrap()
    }

    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn requests_are_the_kernels() {
        // Values of a C program with linux/joystick.h.
        assert_eq!(libc::_IOR::<[u8; 1]>(u32::from(b'j'), 0x11), 0x8001_6A11);
        assert_eq!(libc::_IOR::<[u8; NAME]>(u32::from(b'j'), 0x13), 0x8080_6A13);
        assert_eq!(libc::_IOR::<[u8; AXES]>(u32::from(b'j'), 0x32), 0x8040_6A32);
        assert_eq!(libc::_IOR::<[u16; BUTTONS]>(u32::from(b'j'), 0x34), 0x8400_6A34);
    }

    #[test]
    fn a_file_is_read_up_to_its_first_press_and_nothing_is_lost() {
        for start in [PLAYSTATION_START, XPAD_START] {
            let bytes = [opened(start), vec![1, 2, 3, 4, 1, 0, 1, 5]].concat();
            let joystick = identified(&bytes);
            assert_eq!(joystick.read, bytes);
            assert_eq!(joystick.layout, PadLayout::of_start(&opened(start)));
            assert!(joystick.layout.is_ok());
        }
        assert!(identified(&[]).layout.is_err());
        assert!(identified(b"no joystick at all, but a text").layout.is_err());
    }

    #[test]
    fn a_state_that_pauses_is_waited_for() {
        struct Slow(Vec<Result<Vec<u8>, ErrorKind>>);
        impl Read for Slow {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let bytes = self.0.remove(0)?;
                into[..bytes.len()].copy_from_slice(&bytes);
                Ok(bytes.len())
            }
        }
        let whole = opened(XPAD_START);
        let pause = || (1..SETTLED).map(|_| Err(ErrorKind::WouldBlock));
        let parts = pause().chain([Ok(whole[..44].to_vec())]).chain(pause()).chain([Ok(whole[44..].to_vec())]);
        let parts = parts.chain(pause()).chain([Err(ErrorKind::WouldBlock)]).collect();
        assert_eq!(start(&mut Slow(parts)).unwrap(), whole);
    }
}
