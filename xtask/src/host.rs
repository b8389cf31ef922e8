//! Requirements on the machine before anything is downloaded: platform, C library, disk space.

use crate::failure::Failure;
use crate::process::answer;
use std::path::Path;

/// The C library the wheels were built for (their `manylinux_2_28` tag).
const GLIBC: (u32, u32) = (2, 28);

/// Refuses platforms without wheels.
pub fn require_platform() -> Result<(), Failure> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        return Err(Failure::setup(format!(
            "the set-up knows x86_64 Linux with glibc only, this is {} {}. Elsewhere: put libtorch 2.11 and MuJoCo \
             3.17.0 on the machine by hand, point LIBTORCH and MUJOCO_DYNAMIC_LINK_DIR at them and call cargo directly.",
            std::env::consts::ARCH,
            std::env::consts::OS
        )));
    }
    // Without `getconf` there is nothing to compare; the loader would report it later.
    let Some(found) = answer("getconf", &["GNU_LIBC_VERSION"]) else {
        return Ok(());
    };
    match glibc_version(&found) {
        Some(version) if version < GLIBC => Err(Failure::setup(format!(
            "{found} is too old for libtorch, which wants glibc {}.{}: use a newer distribution (Debian 10 or later).",
            GLIBC.0, GLIBC.1
        ))),
        _ => Ok(()),
    }
}

/// Refuses to start when the file system of `folder` has less than `needed` bytes left.
pub fn require_room(folder: &Path, needed: u64) -> Result<(), Failure> {
    let free = answer("df", &["-Pk", &folder.to_string_lossy()]).and_then(|table| free_bytes(&table));
    match free {
        Some(free) if free < needed => Err(Failure::setup(format!(
            "{} has {} free, the set-up needs {}: make room, or put a link named .deps to a larger disk in its place.",
            folder.display(),
            size(free),
            size(needed)
        ))),
        _ => Ok(()),
    }
}

/// `glibc 2.36` as numbers.
fn glibc_version(words: &str) -> Option<(u32, u32)> {
    let (major, rest) = words.strip_prefix("glibc ")?.split_once('.')?;
    let minor = rest.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The fourth column of `df -Pk` (POSIX: one line per file system, KiB).
fn free_bytes(table: &str) -> Option<u64> {
    let free = table.lines().nth(1)?.split_whitespace().nth(3)?;
    Some(free.parse::<u64>().ok()? * 1024)
}

/// Bytes in readable units.
pub fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    if bytes >= 1e9 {
        format!("{:.1} GB", bytes / 1e9)
    } else if bytes >= 1e6 {
        format!("{:.0} MB", bytes / 1e6)
    } else {
        format!("{:.0} kB", (bytes / 1e3).ceil())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_c_library_version() {
        assert_eq!(glibc_version("glibc 2.36"), Some((2, 36)));
        assert_eq!(glibc_version("glibc 2.17"), Some((2, 17)));
        assert!(glibc_version("glibc 2.17").unwrap() < GLIBC);
        assert_eq!(glibc_version("musl 1.2"), None);
    }

    #[test]
    fn reads_the_free_room() {
        let table = "Filesystem 1024-blocks     Used Available Capacity Mounted on\n\
                     /dev/vda     263174212 13318904  82000000      14% /";
        assert_eq!(free_bytes(table), Some(82_000_000 * 1024));
        assert_eq!(free_bytes(""), None);
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(size(530_604_548), "531 MB");
        assert_eq!(size(2_300_000_000), "2.3 GB");
        assert_eq!(size(2_400), "3 kB");
    }
}
