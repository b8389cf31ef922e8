//! Bad invocations: each has its exit code, one line `error: ...`, its reason once, and leaves no folder behind.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use crate::program::Project;

const LAUNCH: &str = "launch/widowx_kitchen.toml";
/// Wrong usage or configuration.
const USAGE: i32 = 2;
/// Hardware or runtime fault.
const MACHINE: i32 = 3;

/// A command line, and words that its message must contain.
type Case<'a> = (&'a [&'a str], &'a [&'a str]);

/// Everything in a folder; links are not followed.
fn listed(folder: &Path) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            all.extend(listed(&path));
        }
        all.insert(path.display().to_string());
    }
    all
}

/// Runs the program in an empty DDS domain.
fn fails(project: &Project, code: i32, (arguments, words): Case<'_>) {
    let before = listed(&project.path(""));
    let mut command = project.command(arguments);
    let output = command.env("ROS_DOMAIN_ID", "231").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let told = format!("{arguments:?}: {said}");
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{told}");
    assert!(!said.contains("panicked"), "{told}");
    for word in words {
        assert!(said.contains(word), "`{word}` is missing: {told}");
    }
    for reason in ["os error", "No such file", "Not a directory", "no such device", "refused"] {
        assert!(said.matches(reason).count() <= 1, "`{reason}` twice: {told}");
    }
    assert_eq!(listed(&project.path("")), before, "{told}");
}

#[test]
fn wrong_arguments_are_refused_with_what_would_do() {
    let project = Project::new();
    let scripted =
        ["teleoperate", LAUNCH, "--out", "out", "--device", "scripted", "--task", "knife_in_pot", "--lockstep"];
    let demonstrate = ["demonstrate", LAUNCH, "--out", "out", "--task", "knife_in_pot"];
    for (begun, option, value, word) in [
        (&scripted[..], "--seconds", "nan", "86400"),
        (&scripted[..], "--seconds", "0", "86400"),
        (&scripted[..], "--episodes", "0", "at least 1"),
        (&demonstrate[..], "--episodes", "0", "at least 1"),
        (&demonstrate[..], "--noise", "nan", "at least 0"),
        (&demonstrate[..], "--noise", "inf", "at least 0"),
        (&demonstrate[..], "--success-share", "nan", "0 to 1"),
    ] {
        fails(&project, USAGE, (&[begun, &[option, value]].concat(), &[option, word]));
    }
    let cases: &[Case<'_>] = &[
        (&["check", "--robot", "pandda"], &["pandda", "panda", "widowx", "sawyer"]),
        (&["check", "--robot", "widowx"], &["--driver is missing", "dynamixel"]),
        (&["check", "--robot", "widowx", "--driver", "mujoco"], &["mujoco", "no link"]),
        (&["check", "--robot", "widowx", "--driver", "fci"], &["widowx", "panda or fr3"]),
        (&["check", "--robot", "panda", "--driver", "dynamixel"], &["panda", "widowx"]),
        (&["recover", "--robot", "pandda", "--driver", "fci", "--yes"], &["pandda", "panda"]),
        (&["simulate", "--robot", "pandda", "--driver", "fci"], &["pandda", "panda"]),
        (&["evaluate", LAUNCH, "--out", "out", "--trials", "0"], &["--trials", "1.."]),
        (&["evaluate", LAUNCH, "--out", "out", "--policy", ""], &["--policy", "`expert`"]),
        (&["evaluate", LAUNCH, "--out", "out", "--policy", "expert", "--task", "dishes"], &["dishes", "knife_in_pot"]),
        (&["evaluate", LAUNCH, "--out", "out", "--policy", "expert", "--scenario", "4"], &["--scenario"]),
        (&["compare", LAUNCH, "--out", "out", "--policy", "expert"], &["--policy", "two or more"]),
        (&["teleoperate", LAUNCH, "--out", "out", "--device", "joystick"], &["joystick", "gamepad"]),
        (&["teleoperate", LAUNCH, "--out", "out", "--device", "scripted"], &["--task is missing", "knife_in_pot"]),
        (&["run", LAUNCH, "--policy", "random", "--record", "out"], &["--task is missing", "knife_in_pot"]),
        (&["embed", "--encoder", "vgg", "--weights", "none", "a.png"], &["vgg", "vip"]),
    ];
    for &case in cases {
        fails(&project, USAGE, case);
    }
}

#[test]
fn a_file_that_is_not_there_is_named_with_its_reason_once() {
    let project = Project::new();
    let missing = "No such file";
    let task = ["--task", "knife_in_pot"];
    let goal = [&["run", LAUNCH, "--goal", "none.png", "--record", "out"][..], &task].concat();
    let control = [&["evaluate", LAUNCH, "--out", "out", "--control", "none.json"][..], &task].concat();
    let cases: &[Case<'_>] = &[
        (&["evaluate", "launch/none.toml", "--out", "out"], &["launch/none.toml", missing]),
        (&["run", "launch/none.toml", "--record", "out"], &["launch/none.toml", missing]),
        (&["teleoperate", "launch/none.toml", "--out", "out"], &["launch/none.toml", missing]),
        (&["demonstrate", "launch/none.toml", "--out", "out"], &["launch/none.toml", missing]),
        (&["compare", "launch/none.toml", "--out", "out", "--policy", "a", "--policy", "b"], &["none.toml", missing]),
        (&["pipeline", "launch/none.toml", "--out", "out"], &["none.toml", missing]),
        (&["evaluate", LAUNCH, "--out", "out", "--policy", "none"], &["none/policy.toml", missing]),
        (
            &["run", LAUNCH, "--policy", "none", "--task", "knife_in_pot", "--record", "out"],
            &["none/policy.toml", missing],
        ),
        (&["policy", "inspect", "none"], &["none/policy.toml", missing]),
        (&goal, &["none.png", missing]),
        (&control, &["none.json", missing]),
        (&["replay", "none.mcap"], &["none.mcap", missing]),
        (&["recordings", "list", "none"], &["none", missing]),
        (&["train", "behavior-cloning", "none.toml", "--data", "none", "--out", "out"], &["none.toml", missing]),
        (&["embed", "--encoder", "small", "--weights", "none", "a.png"], &["none", missing]),
        (&["convert", "none.pt", "out.safetensors"], &["none.pt", missing]),
    ];
    for &case in cases {
        fails(&project, USAGE, case);
    }
    for (from, to) in [
        ("scenes/kitchen.toml", "scenes/none.toml"),
        ("calibration/kitchen/over_shoulder.toml", "calibration/none.toml"),
    ] {
        let project = Project::new();
        project.edit(LAUNCH, |text| text.replace(from, to));
        fails(&project, USAGE, (&["evaluate", LAUNCH, "--out", "out", "--policy", "expert"], &[to, missing]));
    }
    project.edit(LAUNCH, |text| text.replace("robot = \"widowx\"", "robot = \"pandda\""));
    fails(&project, USAGE, (&["evaluate", LAUNCH, "--out", "out"], &["pandda", "panda", "widowx"]));
}

#[test]
fn a_file_that_cannot_be_read_or_a_folder_that_cannot_be_made_is_named() {
    let project = Project::new();
    std::fs::write(project.path("file"), "no episode, no launch file and no folder").unwrap();
    let task = ["--task", "knife_in_pot"];
    let run = [&["run", LAUNCH, "--policy", "random", "--record", "file/runs"][..], &task].concat();
    let teleoperate = [&["teleoperate", LAUNCH, "--device", "scripted", "--out", "file"][..], &task].concat();
    let cases: &[Case<'_>] = &[
        (&["replay", "file"], &["file", "not a recorded episode"]),
        (&["evaluate", "file", "--out", "out"], &["file:1"]),
        (&["evaluate", LAUNCH, "--policy", "expert", "--out", "file"], &["file", "choose another --out"]),
        (&run, &["file/runs", "choose another --record"]),
        (&teleoperate, &["file", "--out"]),
    ];
    for &case in cases {
        fails(&project, USAGE, case);
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let address = address.as_str();
    let page = [&["run", LAUNCH, "--policy", "random", "--record", "out", "--page", address][..], &task].concat();
    fails(&project, USAGE, (&page, &[address, "in use"]));
}

#[test]
fn an_arm_a_device_or_a_node_that_is_not_there_is_a_fault_of_the_machine_in_every_command() {
    let project = Project::new();
    let bus = ["--driver", "dynamixel", "--port", "none"];
    let person = [&["--task", "knife_in_pot", "--stage", "person"][..], &bus].concat();
    let with = |words: &[&'static str], more: &[&'static str]| [words, more].concat();
    let evaluate = with(&["evaluate", LAUNCH, "--policy", "random", "--out", "out"], &person);
    let compare = with(&["compare", LAUNCH, "--policy", "random", "--policy", "still", "--out", "out"], &person);
    let run = with(&["run", LAUNCH, "--policy", "random", "--record", "out"], &person);
    let dry_run = with(&run, &["--dry-run"]);
    let teleoperate = with(&["teleoperate", LAUNCH, "--device", "scripted", "--out", "out"], &person);
    let check = with(&["check", "--robot", "widowx", "--out", "out/check.json"], &bus);
    let recover = with(&["recover", "--robot", "widowx", "--yes"], &bus);
    for arguments in [evaluate, compare, run, dry_run, teleoperate, check, recover] {
        fails(&project, MACHINE, (&arguments, &["widowx", "none", "no such device"]));
    }
    let device = ["--task", "knife_in_pot", "--device", "gamepad", "--device-path", "none", "--out", "out"];
    let cases: &[Case<'_>] = &[
        (&with(&["teleoperate", LAUNCH], &device), &["gamepad at none", "No such file"]),
        (&["check", "--robot", "panda", "--driver", "fci", "--address", "127.0.0.9"], &["panda on 127.0.0.9"]),
        (&["check", "--robot", "widowx", "--driver", "ros2"], &["widowx on"]),
        (&["check", "--robot", "sawyer", "--driver", "ros2"], &["sawyer on"]),
    ];
    for &case in cases {
        fails(&project, MACHINE, case);
    }
}
