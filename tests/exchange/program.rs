//! The commands as run by a user.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::fixture::*;

fn program(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_visuomotor"));
    command.current_dir(folder).arg("recordings").args(arguments);
    command
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A folder with `episodes/` in it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("episodes")).unwrap();
    demonstrations(&folder.path().join("episodes"));
    folder
}

#[test]
fn exports_and_imports_say_what_they_did_and_left_out() {
    let folder = folder();
    let run = |arguments: &[&str]| {
        let output = program(arguments, folder.path()).output().unwrap();
        (output.status.code().unwrap(), words(&output))
    };
    let (code, said) = run(&["export", "--format", "lerobot", "--images", "episodes", "set"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("left out: episodes/aa.mcap (outcome failure)"), "{said}");
    assert!(said.contains("left out: episodes/c.mcap.partial (cut off; `visuomotor recordings recover`"), "{said}");
    assert!(said.contains("set: 2 episodes, 15 steps; 2 left out"), "{said}");
    let (code, said) = run(&["export", "--format", "lerobot", "--images", "episodes", "set"]);
    assert!(code == 2 && said.contains("set: is there already and is not written over"), "{said}");
    let (code, said) = run(&["export", "--format", "bridge", "--all", "episodes", "bridge"]);
    assert!(code == 0 && said.contains("3 episodes, 18 steps; 1 left out"), "{said}");
    let (code, said) = run(&["export", "--format", "robomimic", "episodes", "demos.hdf5"]);
    assert!(code == 0 && said.contains("demos.hdf5: 2 episodes"), "{said}");
    let (code, said) = run(&["import", "--format", "lerobot", "set", "back"]);
    assert!(code == 0 && said.contains("back: 2 episodes, 15 steps"), "{said}");
    assert!(said.contains("filled in: joint velocities and efforts: 0"), "{said}");
    let (code, said) = run(&["list", "back"]);
    assert!(code == 0 && said.contains("back/a.mcap  croissant_out_of_bowl  9 steps  success"), "{said}");
    let (code, said) = run(&["import", "--format", "bridge", "bridge", "back2"]);
    assert!(code == 0 && said.contains("back2: 3 episodes, 18 steps"), "{said}");
    for command in ["export", "import"] {
        let (code, said) = run(&[command, "--help"]);
        assert!(code == 0 && said.contains("Examples:"), "{said}");
    }
}

#[test]
fn a_foreign_file_is_left_out_of_an_export_and_a_list_and_named_once() {
    let folder = folder();
    std::fs::write(folder.path().join("episodes/a_foreign.mcap"), b"no MCAP at all").unwrap();
    for (arguments, code) in [
        (&["list", "episodes"][..], 1),
        (&["export", "--format", "lerobot", "--images", "episodes", "set"], 1),
        (&["export", "--format", "lerobot", "--images", "--strict", "episodes", "other"], 2),
    ] {
        let output = program(arguments, folder.path()).output().unwrap();
        let said = words(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("not a recorded episode") && said.matches("a_foreign.mcap").count() == 1, "{said}");
    }
    assert!(folder.path().join("set").exists() && !folder.path().join("other").exists());
}

#[test]
fn without_ffmpeg_the_fix_is_named() {
    let folder = folder();
    let output =
        program(&["export", "--format", "lerobot", "episodes", "set"], folder.path()).env("PATH", "").output().unwrap();
    let said = words(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("ffmpeg") && said.contains("--ffmpeg PATH") && said.contains("--images"), "{said}");
    assert!(!folder.path().join("set").exists() && !folder.path().join("set.partial").exists());
}

#[test]
fn an_ffmpeg_that_is_too_old_is_refused_by_its_version() {
    let folder = folder();
    let path = folder.path().join("old");
    let arguments = ["export", "--format", "lerobot", "--ffmpeg", "old", "episodes", "set"];
    for (version, refused) in
        [("4.4.2-0ubuntu0.22.04.1", true), ("5.0.3", true), ("n4.2", true), ("5.1.9-0+deb12u1", false)]
    {
        std::fs::write(
            &path,
            format!("#!/bin/sh\n[ \"$1\" = -version ] && echo ffmpeg version {version} && exit\nexit 1\n"),
        )
        .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let said = words(&program(&arguments, folder.path()).output().unwrap());
        assert_eq!(said.contains("5.1 or newer is needed") && said.contains(version), refused, "{said}");
        assert!(!said.contains("damaged"), "{said}");
    }
}

/// A stand-in for ffmpeg.
fn stand_in(folder: &Path, script: &str) {
    let path = folder.join("stand-in");
    let version = "[ \"$1\" = -version ] && echo ffmpeg version 7.1 && exit";
    std::fs::write(&path, format!("#!/bin/sh\n{version}\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_encoder_that_loses_pictures_or_stops_is_found_out() {
    let folder = folder();
    let arguments = ["export", "--format", "lerobot", "--ffmpeg", "stand-in", "episodes", "set"];
    for (script, expected) in [
        ("cat > /dev/null; echo frame=14", "wrote 14 of 15 images"),
        ("cat > /dev/null; echo no such codec >&2; exit 3", "no such codec"),
        ("echo no such codec >&2; exit 1", "no such codec"),
    ] {
        stand_in(folder.path(), script);
        let output = program(&arguments, folder.path()).output().unwrap();
        let said = words(&output);
        assert!(output.status.code() == Some(2) && said.contains(expected), "{said}");
        assert!(!folder.path().join("set").exists() && !folder.path().join("set.partial").exists());
    }
}

#[test]
fn a_killed_export_leaves_nothing_that_looks_whole() {
    let folder = folder();
    stand_in(folder.path(), "exec sleep 5");
    let arguments = ["export", "--format", "lerobot", "--ffmpeg", "stand-in", "episodes", "set"];
    let mut child = program(&arguments, folder.path()).stdout(std::process::Stdio::null()).spawn().unwrap();
    let videos = folder.path().join("set.partial/videos");
    let started = Instant::now();
    while !videos.exists() {
        assert!(started.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.path().join("set").exists());
    let output =
        program(&["export", "--format", "lerobot", "--images", "episodes", "set"], folder.path()).output().unwrap();
    let said = words(&output);
    assert!(said.contains("set.partial") && said.contains("if none is at work, move it away"), "{said}");
}
