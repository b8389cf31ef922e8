//! The list of files that a finished set-up left in `.deps`, by which the next one detects at once that nothing is to be done.
//!
//! Written last: a set-up that was interrupted has no stamp and starts again. It holds the request (one line per wheel) and every
//! file with its size, so that a truncated or removed file is detected.

use crate::wheels::WHEELS;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

/// Raised when the folders below change without a change of versions.
const LAYOUT: u32 = 1;
const FILE: &str = "stamp";
/// The folders that the set-up fills.
pub const FOLDERS: [&str; 3] = ["site", "libtorch", "mujoco"];

/// Whether `deps` holds everything required. A set-up with CUDA also serves those without.
pub fn is_complete(deps: &Path, cuda: bool) -> bool {
    let Ok(stamp) = fs::read_to_string(deps.join(FILE)) else {
        return false;
    };
    let heads = if cuda { vec![head(true)] } else { vec![head(false), head(true)] };
    heads
        .iter()
        .any(|head| content(&stamp, head).is_some_and(|mut files| files.all(|(path, size)| is_there(deps, path, size))))
}

/// Lists the folders of a finished set-up.
pub fn write(deps: &Path, cuda: bool) -> io::Result<()> {
    let mut stamp = head(cuda);
    for folder in FOLDERS {
        list(deps, folder, &mut stamp)?;
    }
    fs::write(deps.join(FILE), stamp)
}

/// Removes the stamp before anything under it changes.
pub fn remove(deps: &Path) -> io::Result<()> {
    match fs::remove_file(deps.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn head(cuda: bool) -> String {
    let mut head = format!("layout {LAYOUT}\ncuda {cuda}\n");
    for wheel in &WHEELS {
        // Writing to a string cannot fail.
        let _ = writeln!(head, "wheel {} {}", wheel.name, wheel.version);
    }
    head
}

/// The files of a stamp with that head, or nothing if the head differs.
fn content<'a>(stamp: &'a str, head: &str) -> Option<impl Iterator<Item = (&'a str, u64)>> {
    let files = stamp.strip_prefix(head)?;
    // A line that cannot be parsed is a missing file.
    Some(files.lines().map(|line| {
        let (size, path) = line.split_once(' ').unwrap_or(("", ""));
        (path, size.parse().unwrap_or(u64::MAX))
    }))
}

/// Follows links, so that one without its target counts as missing; the empty path stands for an invalid line.
fn is_there(deps: &Path, path: &str, size: u64) -> bool {
    !path.is_empty() && fs::metadata(deps.join(path)).is_ok_and(|found| found.is_dir() || found.len() == size)
}

fn list(deps: &Path, folder: &str, stamp: &mut String) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(deps.join(folder))?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        // Of the entry itself: a link to a folder is listed and not entered.
        if entry.file_type()?.is_dir() {
            list(deps, &path, stamp)?;
        } else {
            let _ = writeln!(stamp, "{} {path}", fs::metadata(entry.path())?.len());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    /// A folder that looks like a finished set-up.
    struct Deps(PathBuf);

    impl Deps {
        fn new(name: &str) -> Self {
            let deps = std::env::temp_dir().join(format!("xtask-{}-{name}", std::process::id()));
            for folder in FOLDERS {
                fs::create_dir_all(deps.join(folder).join("lib")).unwrap();
                fs::write(deps.join(folder).join("lib/one.so"), "content").unwrap();
            }
            symlink("../site/lib", deps.join("libtorch/include")).unwrap();
            symlink("../site/lib/one.so", deps.join("mujoco/link.so")).unwrap();
            Self(deps)
        }
    }

    impl Drop for Deps {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_finished_set_up_is_complete_and_an_unstamped_one_is_not() {
        let Deps(ref deps) = Deps::new("finished");
        assert!(!is_complete(deps, false));
        write(deps, false).unwrap();
        assert!(is_complete(deps, false));
        remove(deps).unwrap();
        remove(deps).unwrap();
        assert!(!is_complete(deps, false));
    }

    #[test]
    fn a_set_up_with_cuda_serves_those_without_but_not_the_other_way() {
        let Deps(ref deps) = Deps::new("cuda");
        write(deps, true).unwrap();
        assert!(is_complete(deps, false) && is_complete(deps, true));
        write(deps, false).unwrap();
        assert!(!is_complete(deps, true));
    }

    #[test]
    fn a_lost_a_cut_and_a_dangling_file_are_noticed() {
        let Deps(ref deps) = Deps::new("damaged");
        let file = deps.join("site/lib/one.so");
        write(deps, false).unwrap();
        fs::write(&file, "cont").unwrap();
        assert!(!is_complete(deps, false), "cut short");
        fs::remove_file(&file).unwrap();
        assert!(!is_complete(deps, false), "removed, and a link to it left");
    }

    #[test]
    fn another_version_is_another_head() {
        let stamp = format!("{}7 site/lib/one.so\n", head(false)).replace("2.11.0", "2.10.0");
        assert!(content(&stamp, &head(false)).is_none());
    }

    #[test]
    fn a_broken_line_is_a_missing_file() {
        let stamp = format!("{}nonsense\n", head(false));
        let files: Vec<_> = content(&stamp, &head(false)).unwrap().collect();
        assert_eq!(files, [("", u64::MAX)]);
        let Deps(ref deps) = Deps::new("broken");
        fs::write(deps.join(FILE), stamp).unwrap();
        assert!(!is_complete(deps, false));
    }
}
