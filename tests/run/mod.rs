//! `visuomotor run`: mismatches are refused before anything moves, the simulator and an emulated arm are driven, and a
//! dry run commands nothing.

use visuomotor::recording::{list_partial, read_episode};
#[cfg(all(feature = "mujoco", feature = "torch"))]
use visuomotor::{
    action::Motion,
    config::Robot,
    episode::Filtered,
    observation::JointVector,
    recording::{ReadOptions, RecordedStep, read_episode_with},
};

use crate::program::{Project, refused};

/// Emulated arms of this process.
#[cfg(all(feature = "dynamixel", feature = "ros2", feature = "fci"))]
mod bench;
#[cfg(all(feature = "dynamixel", feature = "ros2", feature = "fci"))]
mod dry_runs;
#[cfg(feature = "mujoco")]
mod full_disk;
#[cfg(all(feature = "mujoco", feature = "page"))]
mod hands;
#[cfg(feature = "mujoco")]
mod shadow;
#[cfg(all(feature = "mujoco", feature = "dynamixel", feature = "ros2", feature = "fci"))]
mod stations;
#[cfg(all(feature = "mujoco", feature = "torch", feature = "dynamixel", feature = "ros2", feature = "fci"))]
mod torque_stops;
#[cfg(all(feature = "dynamixel", feature = "ros2", feature = "fci"))]
mod two_programs;
#[cfg(all(feature = "mujoco", feature = "torch"))]
mod unfit_policies;

const LAUNCH: &str = "launch/widowx_kitchen.toml";

/// Held by tests that need a processor and by those that take one: an emulated bus that is starved falls silent, and its arm holds.
#[cfg(any(all(feature = "mujoco", feature = "torch"), all(feature = "dynamixel", feature = "ros2", feature = "fci")))]
fn processor() -> std::sync::MutexGuard<'static, ()> {
    static PROCESSOR: std::sync::Mutex<()> = std::sync::Mutex::new(());
    PROCESSOR.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Waits until the program has recorded that many steps, or has ended.
#[cfg(feature = "mujoco")]
fn await_steps(child: &mut std::process::Child, folder: &std::path::Path, steps: usize) {
    let recorded = || {
        let partial = list_partial(folder).unwrap_or_default();
        partial.last().and_then(|file| read_episode(file).ok()).map_or(0, |episode| episode.steps.len())
    };
    while child.try_wait().unwrap().is_none() && recorded() < steps {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn what_does_not_fit_is_refused_with_what_would() {
    let project = Project::new();
    let run = |more: &[&str]| project.call(&[&["run", LAUNCH], more].concat());
    let task = ["--task", "knife_in_pot"];
    refused(&run(&[]), &["--task is missing", "knife_in_pot", "cucumber_in_pot"]);
    refused(&run(&["--task", "dishes"]), &["dishes", "knife_in_pot"]);
    refused(&run(&[&task[..], &["--policy", "policies/none"]].concat()), &["policies/none"]);
    refused(&run(&[&task[..], &["--start", "ready", "--policy", "random"]].concat()), &["start", "ready", "[[start]]"]);
    for seconds in ["nan", "0", "-1", "1e9"] {
        let output = run(&[&task[..], &["--policy", "random", &format!("--seconds={seconds}")]].concat());
        refused(&output, &["--seconds", "86400"]);
    }
    std::fs::write(project.path("file"), "not a folder").unwrap();
    refused(&run(&[&task[..], &["--policy", "random", "--record", "file"]].concat()), &["file", "--record"]);
}

#[test]
fn a_station_without_a_scene_is_no_matter_of_the_simulator() {
    let project = Project::new();
    project.edit(LAUNCH, |text| text.replace("[scene]\nfile = \"scenes/kitchen.toml\"\n", ""));
    refused(&project.call(&["run", LAUNCH, "--policy", "random"]), &["scene", "[scene] table", "visuomotor run"]);
    let expert = ["run", LAUNCH, "--policy", "expert", "--driver", "ros2"];
    refused(&project.call(&expert), &["--policy expert", "kitchen"]);
    refused(&project.call(&["evaluate", LAUNCH, "--out", "out"]), &["scene", "visuomotor run"]);
}

#[cfg(feature = "torch")]
#[test]
fn a_policy_for_another_arm_rate_or_task_is_refused() {
    let project = Project::new();
    let run = |more: &[&str]| project.call(&[&["run", LAUNCH], more].concat());
    project.edit(LAUNCH, |text| text.replace("rate_hz = 5.0", "rate_hz = 10.0"));
    refused(&run(&["--task", "knife_in_pot"]), &["policy.toml", "rate_hz", "5 Hz", "10 Hz"]);
    project.edit(LAUNCH, |text| text.replace("robot = \"widowx\"", "robot = \"panda\""));
    let output = run(&["--task", "knife_in_pot"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[cfg(feature = "mujoco")]
#[test]
fn the_simulator_is_driven_recorded_and_judged_by_the_rule() {
    let project = Project::new();
    let output = project.call(&["run", LAUNCH, "--task", "cucumber_in_pot", "--policy", "expert", "--record", "runs"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for word in [
        "widowx over the simulator",
        "over_shoulder: 640x480",
        "policy   expert",
        "hardware stop",
        "decisions",
        "success_rule",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let recorded = read_episode(&project.path("runs/cucumber_in_pot-0000.mcap")).unwrap();
    assert!(recorded.steps.len() > 10 && recorded.start.task == "cucumber_in_pot", "{said}");
    // From a posture of the launch file.
    let ready = "\n[[start]]\nname = \"ready\"\njoints = [0.2, -0.8, 0.4, 0.0, 1.7, 0.0]\n";
    project.edit(LAUNCH, |text| text + ready);
    let started = ["run", LAUNCH, "--task", "cucumber_in_pot", "--policy", "random", "--start", "ready"];
    let output = project.call(&[&started[..], &["--seconds", "1", "--record", "started"]].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let recorded = read_episode(&project.path("started/cucumber_in_pot-0000.mcap")).unwrap();
    let [waist, shoulder, ..] = *recorded.steps[0].proprioception.joint_positions else { panic!("no joints") };
    assert!((waist - 0.2).abs() < 0.05 && (shoulder + 0.8).abs() < 0.1, "{waist} {shoulder}");
    // A dry run's commands are discarded: the arm stays, and the rule sees a failure.
    let dry = [
        "run",
        LAUNCH,
        "--task",
        "cucumber_in_pot",
        "--policy",
        "expert",
        "--dry-run",
        "--seconds",
        "3",
        "--record",
        "dry",
    ];
    let output = project.call(&dry);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.contains("gets no commands") && said.contains("none sent") && said.contains("15 in 3.0 s"), "{said}");
    let recorded = read_episode(&project.path("dry/cucumber_in_pot-0000.mcap")).unwrap();
    let places = recorded.steps.iter().map(|step| step.proprioception.joint_positions);
    let first = recorded.steps[0].proprioception.joint_positions;
    for place in places {
        let moved = place.iter().zip(first.iter()).map(|(now, then)| (now - then).abs()).fold(0.0, f64::max);
        assert!(moved < 2e-3, "the arm moved in a dry run: {place:?}");
    }
}

/// A TorchScript module becomes a policy folder, is inspected, and drives the simulator from its images.
#[cfg(all(feature = "mujoco", feature = "torch"))]
#[test]
fn a_policy_that_was_made_elsewhere_is_inspected_and_driven() {
    let project = Project::new();
    let module = crate::program::root().join("tests/golden/brought/policy.pt").display().to_string();
    let new = |more: &[&str]| {
        let input = ["--input", "image:over_shoulder:32", "--input", "state"];
        let output = ["--actions", "pose-change", "--normalized", "--chunk", "8", "--execute", "4"];
        project.call(
            &[&["policy", "new", &module, "--robot", "widowx", "--rate", "5"], &input[..], &output, more].concat(),
        )
    };
    // It does not return one action: found now, and nothing is left behind.
    let wrong = ["policy", "new", &module, "--robot", "widowx", "--rate", "5", "--input", "state"];
    let output = project.call(&[&wrong[..], &["--actions", "twist", "--out", "wrong"]].concat());
    refused(&output, &["policy.pt", "[[input]]"]);
    assert!(!project.path("wrong/policy.toml").exists());
    assert_eq!(new(&["--out", "mine"]).status.code(), Some(0));
    refused(&new(&["--out", "mine"]), &["mine", "--out"]);
    let said = project.call(&["policy", "inspect", "mine"]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    for word in ["made elsewhere", "widowx at 5 Hz", "over_shoulder", "8 at once of which 4", "the state"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let run = ["run", LAUNCH, "--task", "cucumber_in_pot", "--policy", "mine", "--seconds", "3"];
    let output = project.call(&[&run[..], &["--record", "runs"]].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.contains("mine (weights ") && said.contains("not lifted"), "{said}");
    let recorded = read_episode(&project.path("runs/cucumber_in_pot-0000.mcap")).unwrap();
    assert_eq!(recorded.steps.len(), 15);
    // A policy for another camera is refused by the camera's name.
    project.edit(LAUNCH, |text| text.replace("over_shoulder\"", "side\""));
    refused(&project.call(&run), &["over_shoulder", "side"]);
}

/// A TorchScript module that returns joint positions drives the simulated arm to its posture, in spite of the jump.
#[cfg(all(feature = "mujoco", feature = "torch"))]
#[test]
fn joint_positions_of_a_policy_made_elsewhere_are_reached_within_each_ticks_limit() {
    let project = Project::new();
    let module = crate::program::root().join("tests/golden/brought/joint_positions.pt").display().to_string();
    let new = ["policy", "new", &module, "--robot", "widowx", "--rate", "5", "--input", "joint-positions"];
    let output = project.call(&[&new[..], &["--actions", "joint-positions", "--out", "mine"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // As the module was trained; the gripper's number comes last.
    let scaling = "mean = [0.2, -0.8, 0.4, 0.0, 1.7, 0.0]\nstd = [0.6, 0.2, 0.2, 0.2, 0.4, 0.4]\n";
    let file = project.path("mine/policy.toml");
    let written = std::fs::read_to_string(&file).unwrap();
    let inputs = "kind = \"joint_positions\"\n";
    assert!(written.contains(inputs), "{written}");
    let scaled = written.replace(inputs, &format!("{inputs}{scaling}"));
    let behind = scaling.replace("]", ", 0.5]");
    std::fs::write(&file, format!("{scaled}\n[output.scaling]\n{behind}")).unwrap();
    let said = project.call(&["policy", "inspect", "mine"]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("joint positions and a gripper target, scaled back"), "{said}");
    let run = ["run", LAUNCH, "--task", "cucumber_in_pot", "--policy", "mine", "--seconds", "4", "--record", "runs"];
    let output = project.call(&run);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let path = project.path("runs/cucumber_in_pot-0000.mcap");
    let recorded = read_episode_with(&path, ReadOptions { images: false, control_ticks: true }).unwrap();
    assert_eq!(recorded.steps.len(), 20);
    let asked = |step: &RecordedStep| match step.motion {
        Some(Motion::JointPositions(asked)) => asked,
        other => panic!("{other:?}"),
    };
    let goal = JointVector::from_slice(&[0.5, -0.7, 0.3, 0.1, 1.5, 0.4]);
    let off = |joints: JointVector| (joints - goal).max_abs();
    let (first, last) = (&recorded.steps[0], &recorded.steps[19]);
    // Farther than the arm moves in a policy period.
    let robot = Robot::load(crate::program::root(), "widowx").unwrap();
    assert!(off(first.proprioception.joint_positions) > 0.2 * robot.limits.joint_velocity[0]);
    assert!(off(asked(first)) > 0.02 && off(asked(last)) < 0.02, "{:?}", asked(last));
    assert!(off(last.proprioception.joint_positions) < 0.05, "{:?}", last.proprioception.joint_positions);
    let limits = JointVector::from_slice(&robot.limits.joint_velocity);
    for pair in recorded.ticks.windows(2) {
        let most = limits * pair[1].at.since(pair[0].at).as_secs_f64();
        let share = (pair[1].sent.joints() - pair[0].sent.joints()).zip_map(most, |step, most| step / most);
        assert!(share.max_abs() <= 1.0 + 1e-6, "{:?} after {:?}", pair[1], pair[0]);
        assert!(!matches!(pair[1].filtered, Filtered::Stopped(_)), "{:?}", pair[1]);
    }
    let said = project.call(&["recordings", "list", "runs"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("joint positions"), "{said:?}");
    // Repeated without the policy, and refused under a law that accepts none.
    let path = path.display().to_string();
    let again = project.call(&["replay", &path, "--launch", LAUNCH]);
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(again.status.code() == Some(0) && said.contains("20 of 20 steps"), "{again:?}");
    project.edit(LAUNCH, |text| format!("{text}\n[control]\nlaw = \"torque\"\n"));
    refused(&project.call(&["replay", &path, "--launch", LAUNCH]), &["joint positions", "control.law"]);
    refused(&project.call(&run), &["output.actions", "joint positions", "control.law"]);
}

/// A network that takes an instruction's embedding moves the arm for a known instruction, and is refused for another one.
#[cfg(all(feature = "mujoco", feature = "torch"))]
#[test]
fn an_instruction_is_one_that_the_policy_knows() {
    let project = Project::new();
    let module = crate::program::root().join("tests/golden/brought/instructed.pt").display().to_string();
    let known = [("wait a moment".to_string(), vec![4], vec![0.0; 4])];
    visuomotor::encoder::weights::write(&project.path("known.safetensors"), &known, "test").unwrap();
    let new =
        ["policy", "new", &module, "--robot", "widowx", "--rate", "5", "--input", "instruction:known.safetensors"];
    let output = project.call(&[&new[..], &["--actions", "pose-change", "--out", "mine"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = project.call(&["policy", "inspect", "mine"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("the instruction, as the numbers in"), "{said:?}");
    let run = ["run", LAUNCH, "--task", "cucumber_in_pot", "--policy", "mine", "--seconds", "1"];
    refused(&project.call(&run), &["cucumber", "`wait a moment`", "--instruction"]);
    let output = project.call(&[&run[..], &["--instruction", "wait a moment"]].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.contains("wait a moment") && said.contains("not lifted"), "{said}");
}

/// Images over ROS 2 and an arm on a serial bus, both of another process.
#[cfg(all(feature = "mujoco", feature = "dynamixel", feature = "ros2"))]
mod emulated {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    use visuomotor::config::Robot;
    use visuomotor::driver::PointPlant;
    use visuomotor::driver::widowx::dynamixel::emulator::{BusEmulator, BusServer};
    use visuomotor::driver::widowx::dynamixel::wire::registers;
    use visuomotor::observation::JointVector;

    use super::*;
    use crate::program::{Simulated, root};

    /// A simulated arm with its camera in a separate process, and commands in its DDS domain.
    fn simulated(project: &Project, port: &str, base: u32) -> (Simulated, impl Fn(&[&str]) -> Command) {
        let domain = (base + std::process::id() % 20).to_string();
        let folder = project.path("");
        let command = move |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_visuomotor"));
            command.current_dir(&folder).env("ROS_DOMAIN_ID", &domain).args(arguments).stdin(Stdio::null());
            command
        };
        let mut simulate = command(&["simulate", "--robot", "widowx", "--driver", "dynamixel", "--port", port]);
        simulate.args(["--stage", &format!("{port}.stage")]);
        (Simulated::start(simulate).expect("the program ended before it was ready"), command)
    }

    /// Random actions on the arm at this port.
    fn random(port: &str) -> Vec<&str> {
        let task = ["run", LAUNCH, "--task", "cucumber_in_pot", "--policy", "random"];
        [&task[..], &["--driver", "dynamixel", "--port", port]].concat()
    }

    #[test]
    fn an_emulated_arm_is_driven_from_its_images_and_holds_when_the_terminal_closes() {
        let project = Project::new();
        let (_simulated, command) = simulated(&project, "arm", 160);
        // A machine busy with other tests stalls: a failure during the motion to the start recovers by itself.
        let run = [&random("arm")[..], &["--stage", "arm.stage", "--record", "runs", "--yes"]].concat();
        // A machine busy with other tests stalls: the run then ends holding, and is repeated.
        let mut told = String::new();
        let driven = (0..12).any(|_| {
            let mut child = command(&run).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut out = BufReader::new(child.stdout.take().unwrap());
            let mut said = String::new();
            // The run itself begins after the motion to its start.
            while out.read_line(&mut said).unwrap() > 0 && !said.ends_with("running\n") {}
            await_steps(&mut child, &project.path("runs"), 5);
            // SAFETY: sends a signal to a child that was not waited for.
            unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGHUP) };
            out.read_to_string(&mut said).unwrap();
            let ended = child.wait_with_output().unwrap();
            let held = said.contains("the arm stands and holds") && said.contains("SIGHUP");
            assert!(!held || ended.status.code() == Some(1), "{ended:?}: {said}");
            told.push_str(&format!("{said}{}\n", String::from_utf8_lossy(&ended.stderr)));
            held
        });
        assert!(driven, "no run held: {told}");
        let last = std::fs::read_dir(project.path("runs")).unwrap().flatten().map(|entry| entry.path());
        let last = last.filter(|path| path.extension().is_some_and(|kind| kind == "mcap")).max().unwrap();
        let recorded = read_episode(&last).unwrap();
        assert!(!recorded.steps.is_empty() && recorded.attachments.iter().any(|file| file.name == "consent.json"));
    }

    #[test]
    fn a_dry_run_commands_nothing_and_turns_no_torque_on() {
        let project = Project::new();
        let (_camera, command) = simulated(&project, "other", 185);
        let robot = Robot::load(root(), "widowx").unwrap();
        let plant = PointPlant::at(JointVector::from_slice(&robot.identity.home));
        let mut bus = BusEmulator::new(&robot, Box::new(plant)).unwrap();
        // Under torque: connecting to drive it would write its goals.
        for id in 1..=9 {
            bus.set(id, &registers::TORQUE_ENABLE, 1);
        }
        bus.record_goals();
        let server = BusServer::start(bus, None).unwrap();
        let port = server.path().to_string();
        // Not the simulated arm: for all the program knows, a real one.
        let run = [&random(&port)[..], &["--stage", "person", "--seconds", "2", "--dry-run"]].concat();
        let dry = (0..8).any(|_| {
            let output = command(&run).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            output.status.code() == Some(0) && said.contains("none sent") && said.contains("time is up")
        });
        let (bus, _) = server.finish().unwrap();
        assert!(dry, "no dry run reached its end");
        assert!(bus.instructions() > 100, "the arm was not read");
        assert!(bus.recorded_goals().is_empty(), "{:?}", bus.recorded_goals());
        assert!((1..=9).all(|id| bus.servo(id).unwrap().torque_on()), "torque was turned off");
    }
}
