//! The set-up: libtorch and MuJoCo into `.deps`, from nothing or from the remains of an earlier run.
//!
//! ```text
//! .deps/site/{torch,nvidia,mujoco}   unpacked wheels, laid out as pip would
//! .deps/libtorch/{include,lib}       what torch-sys links against (LIBTORCH in .cargo/config.toml)
//! .deps/mujoco                       what mujoco-rs links against
//! .deps/python                       Python environment of the tests (`cargo xtask test` only)
//! .deps/ffmpeg/ffmpeg                link to the ffmpeg in it
//! .deps/onnx                         onnxruntime's library (`setup --onnx` and `test` only)
//! .deps/stamp                        written last: what is there
//! .deps/tmp                          work in progress
//! ```
//!
//! Everything is made in `.deps/tmp` and renamed when complete, so that an interrupted set-up never looks finished.

use crate::failure::Failure;
use crate::wheels::Fetcher;
use crate::{host, links, python, stamp, system_packages};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Disk space for the downloads, pip's own copy of them and the unpacked files: 0.57 + 0.57 + 0.57 GB.
const NEEDED: u64 = 2_000_000_000;
/// The same with CUDA: about 2.5 GB of wheels, twice, and 4.5 GB unpacked.
const NEEDED_WITH_CUDA: u64 = 10_000_000_000;

/// Options of the set-up.
pub struct Setup {
    /// Target folder.
    pub deps: PathBuf,
    /// The CUDA half of libtorch too.
    pub cuda: bool,
    /// Do not call apt-get.
    pub skip_system_packages: bool,
}

impl Setup {
    /// The set-up that `demo`, `check` and `test` begin with.
    pub fn usual(root: &Path) -> Self {
        Self { deps: root.join(".deps"), cuda: false, skip_system_packages: false }
    }

    /// Brings `deps` into the requested state; quick if it already is.
    pub fn run(&self) -> Result<(), Failure> {
        let started = Instant::now();
        host::require_platform()?;
        println!("[1/4] system packages");
        if self.skip_system_packages {
            println!("    skipped");
        } else {
            system_packages::require_renderer_and_compiler()?;
        }
        self.attempt(fs::create_dir_all(&self.deps), "made")?;
        // Relative paths would be read from another folder by the programs called below.
        let deps = self.attempt(self.deps.canonicalize(), "found")?;
        let _lock = self.lock(&deps)?;
        if stamp::is_complete(&deps, self.cuda) {
            println!("[2/4] libtorch and MuJoCo: already there in {}", self.deps.display());
            return Ok(());
        }
        self.fill(&deps)?;
        println!("set up in {:.0} s", started.elapsed().as_secs_f64());
        Ok(())
    }

    fn fill(&self, deps: &Path) -> Result<(), Failure> {
        python::require()?;
        host::require_room(deps, if self.cuda { NEEDED_WITH_CUDA } else { NEEDED })?;
        let work = deps.join("tmp");
        let new = work.join("new");
        self.attempt(remove(&new), "removed")?;
        let fetcher = Fetcher { python: python::with_pip(deps)?, downloads: work.join("wheels") };
        println!("[2/4] wheels into {}", self.deps.display());
        fetcher.fetch(&new.join("site"), self.cuda)?;
        println!("[3/4] links for the linker: {0}/libtorch, {0}/mujoco", self.deps.display());
        links::make(&new)?;
        println!("[4/4] moving into place");
        self.attempt(stamp::remove(deps), "removed")?;
        for folder in stamp::FOLDERS {
            self.attempt(remove(&deps.join(folder)), "removed")?;
            self.attempt(fs::rename(new.join(folder), deps.join(folder)), "moved")?;
        }
        self.attempt(stamp::write(deps, self.cuda), "stamped")?;
        self.attempt(remove(&work), "removed")
    }

    /// Two set-ups of one checkout at a time would remove each other's files; the second waits.
    fn lock(&self, deps: &Path) -> Result<File, Failure> {
        let file = self.attempt(File::create(deps.join("lock")), "locked")?;
        if file.try_lock().is_err() {
            println!("    another set-up is at work in {}: waiting for it", self.deps.display());
            self.attempt(file.lock(), "locked")?;
        }
        Ok(file)
    }

    fn attempt<T>(&self, outcome: io::Result<T>, verb: &str) -> Result<T, Failure> {
        outcome.map_err(|error| {
            Failure::setup(format!(
                "something in {} could not be {verb}: {error}. Free it, or remove the folder, and repeat.",
                self.deps.display()
            ))
        })
    }
}

/// Removes a folder with its contents, or a link in its place; succeeds if there is nothing.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
