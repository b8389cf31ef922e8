//! Reads untrusted files: opened without touching a device or waiting for a pipe, read at most to their length, within a
//! budget.
//!
//! Start reading at [`read`], [`read_inside`] and [`Budget`]. Refused with an [`io::Error`] of one sentence that never quotes
//! file contents: a folder, a device, a pipe or a socket instead of a file, a file longer than the limit for its kind, a
//! link that leads out of its folder. "Too large" is not "damaged": see [`io::ErrorKind::FileTooLarge`].
//!
//! Links: if the user names a file, a link to one is followed. Files named by, or found in, a data set are opened by
//! [`open_inside`]: a link may only lead to another file of the same folder.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Largest text read \[bytes\]: descriptions, settings, training records. The project's own largest has 200 kB.
pub const LARGEST_TEXT: u64 = 16 << 20;

/// Largest image file read \[bytes\].
pub const LARGEST_PICTURE: u64 = 64 << 20;

/// Largest file of weights read \[bytes\]; ViT-H in 32-bit floats has 2.5 GB.
pub const LARGEST_WEIGHTS: u64 = 8 << 30;

/// Opens a file; a link to one is followed.
pub fn open(path: &Path) -> io::Result<File> {
    opened(path).map(|(file, _)| file)
}

/// Opens a file in `folder` or below. A link may only lead to another file in there.
pub fn open_inside(folder: &Path, path: &Path) -> io::Result<File> {
    let (file, place) = opened(path)?;
    if place.starts_with(folder.canonicalize()?) {
        return Ok(file);
    }
    let found = "it is a link that leads out of its folder; put the file itself there (cp -L)";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, found))
}

/// The file and its path, with links resolved.
fn opened(path: &Path) -> io::Result<(File, PathBuf)> {
    // Located without opening: opening a device may trigger it, opening a pipe waits for its other end.
    let found = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path)?;
    let kind = found.metadata()?.file_type();
    if !kind.is_file() {
        let error = if kind.is_dir() { io::ErrorKind::IsADirectory } else { io::ErrorKind::InvalidInput };
        return Err(io::Error::new(error, format!("it is {}, not a file", name_of(kind))));
    }
    // Opens exactly the file that was checked, even if the path has changed since.
    let itself = PathBuf::from(format!("/proc/self/fd/{}", found.as_raw_fd()));
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(&itself)?;
    Ok((file, std::fs::read_link(itself)?))
}

fn name_of(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// A path for a message: control characters, which could fake lines or move the cursor, are escaped.
pub fn shown(path: &Path) -> String {
    printable(&path.display().to_string(), |letter| letter.is_control())
}

/// A message for a terminal: line breaks are kept, other control characters escaped.
pub fn printable_lines(text: &str) -> String {
    printable(text, |letter| letter.is_control() && letter != '\n')
}

fn printable(text: &str, odd: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match odd(letter) {
            true => out.extend(letter.escape_default()),
            false => out.push(letter),
        }
    }
    out
}

/// The bytes of a file of at most `largest` bytes; a link to one is followed.
pub fn read(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    bytes_of(open(path)?, largest)
}

/// The bytes of a file of at most `largest` bytes in `folder` or below; see [`open_inside`].
pub fn read_inside(folder: &Path, path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    bytes_of(open_inside(folder, path)?, largest)
}

/// The text of a file of at most `largest` bytes; a link to one is followed.
pub fn read_text(path: &Path, largest: u64) -> io::Result<String> {
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text");
    String::from_utf8(read(path, largest)?).map_err(not_text)
}

/// Reads as many bytes as the file has now; later growth is ignored.
fn bytes_of(file: File, largest: u64) -> io::Result<Vec<u8>> {
    let length = length_of(&file, largest)?;
    let mut bytes = Vec::new();
    let room = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    bytes.try_reserve_exact(room).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The length of an open file, if it is at most `largest` \[bytes\].
pub fn length_of(file: &File, largest: u64) -> io::Result<u64> {
    let length = file.metadata()?.len();
    if length > largest {
        let found = format!("it has {length} bytes, at most {largest} are read of such a file");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, found));
    }
    Ok(length)
}

/// Remaining memory budget, for one file or for a run.
#[derive(Clone, Debug)]
pub struct Budget {
    what: &'static str,
    limit: u64,
    left: u64,
}

/// A [`Budget`] is exceeded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {} MiB for {what}", limit.div_ceil(1 << 20))]
pub struct TooLarge {
    /// What is too large.
    pub what: &'static str,
    /// The budget \[bytes\].
    pub limit: u64,
}

impl Budget {
    /// `limit` bytes for `what`.
    pub const fn new(what: &'static str, limit: u64) -> Self {
        Self { what, limit, left: limit }
    }

    /// Takes `bytes` from the budget, or returns an error and takes nothing.
    pub fn take(&mut self, bytes: u64) -> Result<(), TooLarge> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(TooLarge { what: self.what, limit: self.limit }),
        }
    }

    /// Remaining budget \[bytes\].
    pub fn left(&self) -> u64 {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn said<T>(outcome: io::Result<T>) -> String {
        outcome.err().expect("was opened").to_string()
    }

    #[test]
    fn non_files_are_named_and_neither_opened_nor_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let pipe = std::ffi::CString::new(at("pipe").to_str().unwrap()).unwrap();
        // SAFETY: a NUL-terminated path that lives through the call.
        assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        symlink("/dev/zero", at("zeros")).unwrap();
        symlink("pipe", at("to a pipe")).unwrap();
        for (name, words) in [
            ("pipe", "it is a pipe, not a file"),
            ("to a pipe", "it is a pipe"),
            ("socket", "it is a socket"),
            ("zeros", "it is a device"),
            (".", "it is a folder"),
        ] {
            assert!(said(read(&at(name), 100)).contains(words), "{name}");
        }
        assert_eq!(read(&at("none"), 100).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_is_read_up_to_its_limit_and_no_link_leads_out_of_a_data_set() {
        let outside = tempfile::tempdir().unwrap();
        let set = outside.path().join("set");
        std::fs::create_dir(&set).unwrap();
        std::fs::write(outside.path().join("secret"), b"secret").unwrap();
        std::fs::write(set.join("a\nb"), b"12345").unwrap();
        symlink("a\nb", set.join("inside")).unwrap();
        symlink("../secret", set.join("outside")).unwrap();
        symlink("..", set.join("up")).unwrap();
        symlink(&set, outside.path().join("another name")).unwrap();
        assert_eq!(read_inside(&set, &set.join("inside"), 5).unwrap(), b"12345");
        assert_eq!(read_inside(&outside.path().join("another name"), &set.join("inside"), 5).unwrap(), b"12345");
        for name in ["outside", "up/secret"] {
            let said = said(read_inside(&set, &set.join(name), 100));
            assert!(said.contains("leads out of its folder") && !said.contains("secret"), "{said}");
        }
        assert_eq!(read(&set.join("outside"), 100).unwrap(), b"secret");
        let error = read(&set.join("a\nb"), 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(error.to_string().contains("5 bytes, at most 4"), "{error}");
        // A sparse file, longer than the memory.
        File::create(set.join("hole")).unwrap().set_len(1 << 40).unwrap();
        assert!(said(read(&set.join("hole"), LARGEST_WEIGHTS)).contains("1099511627776 bytes"));
    }

    #[test]
    fn names_keep_to_their_line() {
        assert_eq!(shown(Path::new("a\nerror: none\x1b[2J/ü.mcap")), "a\\nerror: none\\u{1b}[2J/ü.mcap");
        assert_eq!(printable_lines("one\ntwo\r\x07"), "one\ntwo\\r\\u{7}");
    }

    #[test]
    fn a_budget_refuses_what_is_beyond_it_and_keeps_the_rest() {
        let mut budget = Budget::new("an image", 3 << 20);
        budget.take(2 << 20).unwrap();
        assert_eq!(budget.take(u64::MAX).unwrap_err().to_string(), "more than 3 MiB for an image");
        budget.take(1 << 20).unwrap();
        assert_eq!((budget.left(), budget.take(1).is_err()), (0, true));
    }
}
