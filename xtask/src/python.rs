//! The host's Python. It downloads and unpacks the wheels. In separate environments (`.deps/python`, `.deps/franka`) it reads our
//! files and speaks the controllers' protocols, so that tests compare with independent implementations.
//!
//! Any `python3` from 3.8 on will do; the Python version of the wheels themselves does not matter, because they are never imported.

use crate::failure::Failure;
use crate::process::{answer, run_in_view};
use crate::system_packages;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Independent programs that the tests communicate with: a folder of `.deps` and its packages.
struct Peers {
    folder: &'static str,
    packages: &'static [&'static str],
    /// Packages of which only the files are needed, not their dependencies.
    files: &'static [&'static str],
}

/// Readers of recordings and of exported data sets, a DDS implementation, the servo maker's kit; and, apart because it pins an
/// older MuJoCo and numpy, a simulated Franka controller with the maker's client.
const PEERS: [Peers; 2] = [
    Peers {
        folder: "python",
        packages: &[
            "mcap==1.6.0",
            "mcap-ros2-support==0.6.0",
            "numpy",
            "cyclonedds==11.0.1",
            "dynamixel-sdk==4.1.0",
            "pyserial==3.5",
            "lerobot-doctor==0.2.0",
            "datasets==4.8.5",
            "h5py==3.16.0",
            "av==18.1.0",
            "pillow==13.0.0",
            "pandas==3.1.1",
            "imageio-ffmpeg==0.8.1",
        ],
        files: &[],
    },
    // The last one contains the arm's meshes; its dependencies would include a second simulator.
    Peers { folder: "franka", packages: &["franka-sim==1.1.7", "pylibfranka==0.21.3"], files: &["franky-sim==1.0.4"] },
];

/// The runtime whose behavior under the same faults is compared with ours. About 8 GB, so only `faults-lerobot` installs it.
const LEROBOT: Peers = Peers { folder: "lerobot", packages: &["lerobot[dynamixel]==0.4.4"], files: &[] };

/// The loop whose start is compared with ours: PyTorch of the libtorch that we link. About 5 GB, so only `start-up` installs it.
const START_UP: Peers =
    Peers { folder: "start-up", packages: &["torch==2.11.0", "numpy", "cyclonedds==11.0.1"], files: &[] };

/// The lowest Python whose pip accepts several `--platform` at once.
const LOWEST: (u32, u32) = (3, 8);

/// Refuses a machine without a usable `python3`.
pub fn require() -> Result<(), Failure> {
    let version = answer("python3", &["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).ok_or_else(|| {
        Failure::setup("missing: python3, which fetches the wheels. Debian: apt-get install python3 python3-venv")
    })?;
    match version.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?))) {
        Some(found) if found >= LOWEST => Ok(()),
        _ => Err(Failure::setup(format!(
            "python3 is {version}, the set-up needs {}.{} or newer: put a newer one first in PATH.",
            LOWEST.0, LOWEST.1
        ))),
    }
}

/// A Python that has pip: the host's own, else the one of our environment, which is then created.
pub fn with_pip(deps: &Path) -> Result<PathBuf, Failure> {
    let host = PathBuf::from("python3");
    if has_pip(&host) {
        return Ok(host);
    }
    println!("    python3 has no pip: making an environment that has");
    environment(&deps.join(PEERS[0].folder))
}

/// Makes sure that the environments of the tests exist.
pub fn require_test_peers(deps: &Path) -> Result<(), Failure> {
    PEERS.iter().try_for_each(|peers| require_peers(deps, peers))?;
    link_ffmpeg(deps)
}

/// Makes sure that LeRobot is installed.
pub fn require_lerobot(deps: &Path) -> Result<(), Failure> {
    require_peers(deps, &LEROBOT)
}

/// Makes sure that the loop for the start-up comparison can run; returns its Python.
pub fn require_start_up(deps: &Path) -> Result<PathBuf, Failure> {
    require_peers(deps, &START_UP)?;
    Ok(deps.join(START_UP.folder).join("bin/python"))
}

/// The Python that has LeRobot.
pub fn lerobot(deps: &Path) -> PathBuf {
    deps.join(LEROBOT.folder).join("bin/python")
}

/// Links the ffmpeg of a package to where `visuomotor recordings export` looks for one: `.deps/ffmpeg/ffmpeg`.
fn link_ffmpeg(deps: &Path) -> Result<(), Failure> {
    let folder = deps.join("ffmpeg");
    let link = folder.join("ffmpeg");
    if link.exists() {
        println!("ffmpeg in {}: already there", folder.display());
        return Ok(());
    }
    let python = deps.join(PEERS[0].folder).join("bin/python");
    let question = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())";
    let program = answer(&python.to_string_lossy(), &["-c", question]).ok_or_else(|| {
        Failure::setup(format!("imageio-ffmpeg has no program in {}: remove the folder and repeat", python.display()))
    })?;
    // Relative, so that `.deps` may be moved or be a link itself.
    let program = PathBuf::from(program);
    let target = match program.strip_prefix(deps) {
        Ok(inside) => Path::new("..").join(inside),
        Err(_) => program,
    };
    let made = fs::create_dir_all(&folder)
        .and_then(|()| crate::setup::remove(&link))
        .and_then(|()| std::os::unix::fs::symlink(target, &link));
    made.map_err(|error| Failure::setup(format!("{} cannot be made: {error}", link.display())))
}

fn require_peers(deps: &Path, peers: &Peers) -> Result<(), Failure> {
    let folder = deps.join(peers.folder);
    let stamp = folder.join("peers");
    let wanted = [peers.packages, peers.files].concat().join("\n");
    let python = environment(&folder)?;
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        println!("Python peers in {}: already there", folder.display());
        return Ok(());
    }
    println!("Python peers in {}: installing {}", folder.display(), wanted.replace('\n', ", "));
    for (packages, more) in [(peers.packages, None), (peers.files, Some("--no-deps"))] {
        if packages.is_empty() {
            continue;
        }
        let mut install = pip(&python);
        install.args(["install", "--quiet", "--only-binary=:all:"]).args(more).args(packages);
        run_in_view(&mut install).map_err(|complaint| {
            Failure::setup(format!(
                "the Python programs that tests compare with could not be installed: {complaint}\nIs the network there? Then repeat."
            ))
        })?;
    }
    fs::write(&stamp, wanted).map_err(|error| Failure::setup(format!("{} cannot be written: {error}", stamp.display())))
}

/// `python -m pip` with the options common to all our calls.
pub fn pip(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "--disable-pip-version-check", "--no-input"]);
    command
}

/// The Python of an environment, created if it is missing or its host Python is gone.
fn environment(folder: &Path) -> Result<PathBuf, Failure> {
    let python = folder.join("bin/python");
    if has_pip(&python) {
        return Ok(python);
    }
    if make_environment(folder) {
        return Ok(python);
    }
    // Debian keeps the part of `venv` that brings pip in a package of its own.
    println!("    python3 cannot make an environment: python3-venv is missing");
    system_packages::install(&["python3-venv"])?;
    if make_environment(folder) {
        return Ok(python);
    }
    Err(Failure::setup(format!(
        "python3 has neither pip nor a working venv. Try `python3 -m venv {}` by hand and mend what it says \
         (Debian: apt-get install python3-venv), then repeat.",
        folder.display()
    )))
}

fn make_environment(folder: &Path) -> bool {
    let folder = folder.to_string_lossy();
    answer("python3", &["-m", "venv", "--clear", &folder]).is_some()
}

fn has_pip(python: &Path) -> bool {
    answer(&python.to_string_lossy(), &["-m", "pip", "--version"]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_link_to_ffmpeg_is_relative_and_made_once() {
        let deps = std::env::temp_dir().join(format!("xtask-ffmpeg-{}", std::process::id()));
        let program = deps.join("python/site/ffmpeg-v1");
        fs::create_dir_all(deps.join("python/bin")).unwrap();
        fs::create_dir_all(deps.join("python/site")).unwrap();
        fs::write(&program, "").unwrap();
        // A stand-in that prints the program's path whatever its arguments.
        let python = deps.join("python/bin/python");
        fs::write(&python, format!("#!/bin/sh\necho {}\n", program.display())).unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
        link_ffmpeg(&deps).unwrap();
        let link = deps.join("ffmpeg/ffmpeg");
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("../python/site/ffmpeg-v1"));
        fs::remove_file(&python).unwrap();
        link_ffmpeg(&deps).unwrap();
        // A broken link is created again.
        fs::remove_file(&program).unwrap();
        assert!(link_ffmpeg(&deps).unwrap_err().message.contains("imageio-ffmpeg"));
        fs::remove_dir_all(&deps).unwrap();
    }
}
