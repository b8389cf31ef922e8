//! onnxruntime, which runs policies in ONNX: a library out of its wheel, opened by the program when one is loaded.
//!
//! ```text
//! .deps/onnx/libonnxruntime.so.*   looked for here, beside the program and in ORT_DYLIB_PATH
//! .deps/onnx/stamp                 the version, written last
//! ```

use crate::failure::Failure;
use crate::python;
use crate::setup::remove;
use crate::wheels::{Fetcher, ONNX_RUNTIME};
use std::fs;
use std::io;
use std::path::Path;

/// The folder of the library within the wheel.
const IN_WHEEL: &str = "onnxruntime/capi";
/// Prefix of the library's name.
const LIBRARY: &str = "libonnxruntime.so";
/// Files that the library's licence requires to be distributed with it.
const NOTICES: [&str; 2] = ["LICENSE", "ThirdPartyNotices.txt"];

/// Fetches the library into `deps`; quick if it is already there.
pub fn fetch(deps: &Path) -> Result<(), Failure> {
    let folder = deps.join("onnx");
    if is_complete(&folder) {
        println!("onnxruntime: already there in {}", folder.display());
        return Ok(());
    }
    println!("onnxruntime into {}", folder.display());
    let (site, downloads) = (folder.join("site"), folder.join("tmp"));
    let attempt = |outcome: io::Result<()>| {
        outcome.map_err(|error| {
            Failure::setup(format!("{}: {error}; free it, or remove the folder, and repeat", folder.display()))
        })
    };
    attempt(fs::create_dir_all(&folder))?;
    attempt(clear(&folder))?;
    Fetcher { python: python::with_pip(deps)?, downloads: downloads.clone() }.fetch_pinned(&[ONNX_RUNTIME], &site)?;
    attempt(keep(&site, &folder))?;
    attempt(remove(&site).and_then(|()| remove(&downloads)))?;
    attempt(fs::write(folder.join("stamp"), stamp()))
}

fn stamp() -> String {
    format!("{} {}\n", ONNX_RUNTIME.name, ONNX_RUNTIME.version)
}

/// Is the required version in `folder`?
fn is_complete(folder: &Path) -> bool {
    fs::read_to_string(folder.join("stamp")).is_ok_and(|found| found == stamp())
        && names(folder).is_ok_and(|names| names.iter().any(|name| name.starts_with(LIBRARY)))
}

/// Removes an older version, its stamp first.
fn clear(folder: &Path) -> io::Result<()> {
    remove(&folder.join("stamp"))?;
    let old = names(folder)?.into_iter().filter(|name| name.starts_with(LIBRARY));
    old.map(|name| folder.join(name)).try_for_each(|path| remove(&path))
}

/// Moves the required files of the unpacked wheel into `folder`.
fn keep(site: &Path, folder: &Path) -> io::Result<()> {
    let capi = site.join(IN_WHEEL);
    for name in names(&capi)?.into_iter().filter(|name| name.starts_with(LIBRARY)) {
        fs::rename(capi.join(&name), folder.join(name))?;
    }
    NOTICES.iter().try_for_each(|name| fs::rename(site.join("onnxruntime").join(name), folder.join(name)))
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_and_its_notices_are_kept_and_another_version_is_not_complete() {
        let folder = std::env::temp_dir().join(format!("xtask-onnx-{}", std::process::id()));
        let site = folder.join("site");
        fs::create_dir_all(site.join(IN_WHEEL)).unwrap();
        fs::write(site.join(IN_WHEEL).join("libonnxruntime.so.1.0.0"), "library").unwrap();
        NOTICES.iter().for_each(|name| fs::write(site.join("onnxruntime").join(name), "words").unwrap());
        keep(&site, &folder).unwrap();
        assert!(folder.join("libonnxruntime.so.1.0.0").is_file() && folder.join("LICENSE").is_file());
        assert!(!is_complete(&folder), "no stamp");
        fs::write(folder.join("stamp"), stamp()).unwrap();
        assert!(is_complete(&folder));
        fs::write(folder.join("stamp"), "onnxruntime 0.1.0\n").unwrap();
        assert!(!is_complete(&folder));
        clear(&folder).unwrap();
        assert!(!folder.join("libonnxruntime.so.1.0.0").exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
