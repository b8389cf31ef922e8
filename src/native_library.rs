//! Shared by the build scripts of the packages that link a native library: where programs find it when they start.
//!
//! `cargo xtask setup` lands the libraries in `.deps`; without a run path every call would need `LD_LIBRARY_PATH`. The paths go
//! in as RUNPATH (`--enable-new-dtags`), which the loader reads after `LD_LIBRARY_PATH`: a release binary carried to a
//! host with its own torch uses that one by setting `LD_LIBRARY_PATH`. RUNPATH does not reach the libraries of a
//! library, and need not: libtorch's carry their own, written for the wheel's layout. That is why the run path is
//! the wheel's folder (`.deps/site/torch/lib`) and not the folder of links that the linker sees
//! (`.deps/libtorch/lib`): the loader takes `$ORIGIN` from the path it opened.

use std::env;
use std::path::{Path, PathBuf};

/// From the folder of an executable to the root of the checkout: `target/release`, then `target/release/deps` and
/// `target/release/examples`. Relative, so that a moved checkout still runs.
const ROOT_FROM_PROGRAM: [&str; 2] = ["$ORIGIN/../..", "$ORIGIN/../../.."];

/// A library that `cargo xtask setup` fetches.
pub struct NativeLibrary {
    /// Variable that names the folder which the dependency's build script links against.
    pub variable: &'static str,
    /// That folder unless the environment says otherwise, relative to the root.
    pub fetched: &'static str,
    /// The file to look for in it.
    pub file: &'static str,
    /// The folder that the loader shall open when the folder is ours, relative to the root.
    pub run_path: &'static str,
}

impl NativeLibrary {
    /// The root of the checkout, seen from a package in `src/<package>`.
    pub fn root() -> PathBuf {
        let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
        package.ancestors().nth(2).map_or_else(PathBuf::new, Path::to_path_buf)
    }

    /// The folder of the library: what the caller's environment says, else the fetched one.
    pub fn folder(&self) -> PathBuf {
        println!("cargo::rerun-if-env-changed={}", self.variable);
        env::var_os(self.variable).map_or_else(|| Self::root().join(self.fetched), PathBuf::from)
    }

    /// Gives this package's tests their run paths, and the package that depends on it the same as metadata; or says that the
    /// library is missing.
    pub fn link(&self) {
        let (root, folder) = (Self::root(), self.folder());
        let library = folder.join(self.file);
        println!("cargo::rerun-if-changed={}", library.display());
        if !library.exists() {
            println!("cargo::error={} is missing: run `cargo xtask setup` first", library.display());
            return;
        }
        let run_paths = if folder == root.join(self.fetched) {
            let relative = ROOT_FROM_PROGRAM.map(|to_root| format!("{to_root}/{}", self.run_path));
            [relative.to_vec(), vec![root.join(self.run_path).display().to_string()]].concat()
        } else {
            vec![library.parent().unwrap_or(&folder).display().to_string()]
        };
        println!("cargo::metadata=run_paths={}", run_paths.join(":"));
        println!("cargo::rustc-link-arg=-Wl,--enable-new-dtags");
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", run_paths.join(":"));
    }
}
