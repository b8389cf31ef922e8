//! `cargo xtask dist`: one archive with the program, its libraries and all files that it reads, for a computer without Rust or
//! Python.
//!
//! ```text
//! target/dist/visuomotor-0.1.0-x86_64-linux.tar.gz
//!   bin/visuomotor                       without debug information
//!   lib/                                 libtorch's CPU half, MuJoCo
//!   launch robots calibration scenes policies
//!   share/                               udev rules, limits, completions, man pages
//!   install.sh README LICENSE-*
//! target/dist/visuomotor-0.1.0-x86_64-linux.debug   the debug information, for gdb and for backtraces
//! ```

use crate::failure::Failure;
use crate::process::line_of;
use crate::setup::remove;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that the program reads.
const READ: [&str; 5] = ["launch", "robots", "calibration", "scenes", "policies"];

/// Libraries and the folder below `.deps/site` each is fetched into.
const LIBRARIES: [(&str, &str); 6] = [
    ("torch/lib", "libtorch_cpu.so"),
    ("torch/lib", "libc10.so"),
    ("torch/lib", "libgomp.so.1"),
    ("nvidia/cu13/lib", "libcudart.so.13"),
    ("nvidia/cu13/lib", "libcupti.so.13"),
    ("mujoco", "libmujoco.so.3.17.0"),
];

/// Single files and their places in the archive.
const FILES: [(&str, &str); 6] = [
    ("xtask/dist/60-visuomotor.rules", "share/60-visuomotor.rules"),
    ("xtask/dist/visuomotor-limits.conf", "share/visuomotor-limits.conf"),
    ("xtask/dist/install.sh", "install.sh"),
    ("xtask/dist/README", "README"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
];

/// Builds the archive from a release build; returns its path.
pub fn pack(root: &Path, deps: &Path) -> Result<PathBuf, Failure> {
    let target = root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()));
    let program = target.join("release/visuomotor");
    let name = format!("visuomotor-{}-x86_64-linux", env!("CARGO_PKG_VERSION"));
    let (out, folder) = (target.join("dist"), target.join("dist").join(&name));
    remove(&folder).map_err(|error| Failure::stage(format!("{}: {error}", folder.display())))?;
    for part in ["bin", "lib", "share/man"] {
        fs::create_dir_all(folder.join(part)).map_err(failed(&folder.join(part)))?;
    }
    for part in READ {
        run(Command::new("cp").arg("-a").arg(root.join(part)).arg(folder.join(part)))?;
    }
    for (from, to) in FILES {
        copy(&root.join(from), &folder.join(to))?;
    }
    for (from, file) in LIBRARIES {
        copy(&deps.join("site").join(from).join(file), &folder.join("lib").join(file))?;
    }
    let debug = out.join(format!("{name}.debug"));
    let stripped = folder.join("bin/visuomotor");
    run(Command::new("objcopy").arg("--only-keep-debug").arg(&program).arg(&debug))?;
    run(Command::new("objcopy").arg("--strip-all").arg(&program).arg(&stripped))?;
    run(Command::new(&program).args(["generate", "--into"]).arg(folder.join("share")))?;
    let archive = out.join(format!("{name}.tar.gz"));
    // The same bytes for the same content, on any machine.
    let sorted = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "-czf"];
    run(Command::new("tar").args(sorted).arg(&archive).arg("-C").arg(&out).arg(&name))?;
    for (what, path) in [("program", &stripped), ("debug information", &debug), ("archive", &archive)] {
        let size = fs::metadata(path).map_err(failed(path))?.len();
        println!("{what}: {} MB, {}", size / 1_000_000, path.display());
    }
    Ok(archive)
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::copy(from, to).map(drop).map_err(failed(from))
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    let path = path.display().to_string();
    move |error| Failure::stage(format!("{path}: {error}"))
}

fn run(command: &mut Command) -> Result<(), Failure> {
    let line = line_of(command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::stage(format!("`{line}` ended with {status}"))),
        Err(error) => Err(Failure::stage(format!("`{line}` cannot be started: {error}"))),
    }
}
