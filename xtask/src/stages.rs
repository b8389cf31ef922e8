//! The chains of commands behind `demo`, `check`, `test` and `clean`.
//!
//! All of them build in the release profile, also the lints and the documentation: the simulation and the networks are
//! too slow without optimization, and one profile means that the large dependencies are built once.

use crate::cuda_graphs;
use crate::dist;
use crate::failure::Failure;
use crate::onnx;
use crate::process::line_of;
use crate::python;
use crate::setup::{Setup, remove};
use crate::system_packages;
use crate::test_times::TestTimes;
use std::env;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Where the demonstration leaves its report, below the root.
const DEMO: &str = "results/demo";

/// Set up, build, and evaluate the simulated kitchen; `more` goes to the evaluation.
pub fn demo(root: &Path, more: &[String]) -> Result<(), Failure> {
    let mut stages = Stages::new(root);
    stages.run("set-up", || Setup::usual(root).run())?;
    stages.cargo("build", "build --release --package visuomotor")?;
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let mut evaluate = Command::new(root.join(target).join("release/visuomotor"));
    evaluate.args(["evaluate", "launch/widowx_kitchen.toml", "--scenario", "1"]);
    evaluate.args(["--clock", "lockstep", "--seed", "7", "--out", DEMO]).args(more);
    stages.command("evaluation", evaluate)?;
    stages.summary();
    let report = root.join(DEMO).join("report.html");
    if report.exists() {
        println!("report: {}", report.display());
    }
    Ok(())
}

/// Set up, and compile the library of CUDA graphs.
pub fn cuda_graphs(root: &Path) -> Result<(), Failure> {
    let setup = Setup::usual(root);
    setup.run()?;
    cuda_graphs::compile(root, &setup.deps)
}

/// Format, lints, documentation.
pub fn check(root: &Path) -> Result<(), Failure> {
    let mut stages = Stages::new(root);
    stages.run("set-up", || Setup::usual(root).run())?;
    read_over(&mut stages)?;
    stages.summary();
    Ok(())
}

/// Every check required before a change is merged.
pub fn test(root: &Path) -> Result<(), Failure> {
    let mut stages = Stages::new(root);
    stages.run("set-up", || {
        Setup::usual(root).run()?;
        system_packages::require_browser()?;
        python::require_test_peers(&root.join(".deps"))?;
        onnx::fetch(&root.join(".deps"))?;
        // It must compile also on machines that cannot run it.
        cuda_graphs::compile(root, &root.join(".deps"))
    })?;
    read_over(&mut stages)?;
    let all = "test --workspace --release --features visuomotor/onnx";
    let programs = format!("{all} --lib --bins --tests --examples");
    stages.cargo("test build", &format!("{programs} --no-run"))?;
    let mut times = TestTimes::default();
    stages.timed_tests(&programs, &mut times)?;
    stages.cargo("documentation's tests", &format!("{all} --doc"))?;
    // Loops, drivers, safety and recording must not need libtorch.
    let layers = ["", "-core", "-arms", "-records", "-station"].map(|layer| format!(" -p visuomotor{layer}")).concat();
    stages
        .cargo("tests without libtorch and MuJoCo", &format!("test --release --no-default-features --lib{layers}"))?;
    stages.summary();
    println!("\n{}", times.slowest());
    Ok(())
}

/// The whole fault matrix with its controls; with arguments, only the rows whose names contain all of them.
pub fn faults(root: &Path, words: &[String]) -> Result<(), Failure> {
    let mut stages = Stages::new(root);
    stages.run("set-up", || Setup::usual(root).run())?;
    let out = if words.is_empty() { "docs" } else { "results/faults" };
    let run = format!("test --release --test faults --features fault-controls -- matrix --controls --out {out}");
    let run = words.iter().fold(run, |line, word| format!("{line} {word}"));
    stages.cargo("fault matrix", &run)?;
    stages.summary();
    Ok(())
}

/// Every station of `launch/stations`, driven by a build without MuJoCo; and torque policies whose program is stopped.
pub fn stations(root: &Path) -> Result<(), Failure> {
    let mut stages = Stages::new(root);
    stages.run("set-up", || Setup::usual(root).run())?;
    let features = "torch,dynamixel,ros2,jazzy,fci,page";
    stages.cargo("build without MuJoCo", &format!("build --release --no-default-features --features {features}"))?;
    let target = root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into())).join("release");
    // The tests build the other program in its place.
    let program = target.join("visuomotor-without-mujoco");
    std::fs::copy(target.join("visuomotor"), &program)
        .map_err(|error| Failure::stage(format!("{} cannot be written: {error}", program.display())))?;
    let mut test = cargo();
    test.args([
        "test",
        "--release",
        "--test",
        "tests",
        "--",
        "--ignored",
        "--exact",
        "--nocapture",
        "--test-threads=1",
    ]);
    test.args(["run::stations::every_station", "run::torque_stops::every_signal"]).env("VISUOMOTOR", program);
    stages.command("stations", test)?;
    stages.summary();
    Ok(())
}

/// Start-up times by part, compared with a minimal Python loop.
pub fn start_up(root: &Path) -> Result<(), Failure> {
    let mut stages = Stages::new(root);
    let setup = Setup::usual(root);
    let mut python = None;
    stages.run("set-up", || {
        setup.run()?;
        python = Some(python::require_start_up(&setup.deps)?);
        Ok(())
    })?;
    let mut test = cargo();
    test.args(["test", "--release", "--test", "tests", "--", "--ignored", "--exact", "--nocapture"]);
    test.arg("start_up::measured").envs(python.map(|python| ("START_UP_PYTHON", python)));
    stages.command("start-up", test)?;
    stages.summary();
    Ok(())
}

/// The policies of `launch/button` on their trials.
pub fn button(root: &Path) -> Result<(), Failure> {
    let mut stages = Stages::new(root);
    stages.run("set-up", || Setup::usual(root).run())?;
    let test = "test --release --test tests -- --ignored --exact --nocapture button::measured::every_arm";
    stages.cargo("button", test)?;
    stages.summary();
    Ok(())
}

/// The rows of the fault matrix that LeRobot's loop supports, beside this program's.
pub fn faults_lerobot(root: &Path) -> Result<(), Failure> {
    let mut stages = Stages::new(root);
    let setup = Setup::usual(root);
    stages.run("set-up", || {
        setup.run()?;
        python::require_lerobot(&setup.deps)
    })?;
    let python = python::lerobot(&setup.deps);
    let run = format!("test --release --test faults --features fault-controls -- lerobot {} docs", python.display());
    stages.cargo("rows with LeRobot", &run)?;
    stages.summary();
    Ok(())
}

/// The cargo that runs this program.
fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Licenses, bans and sources of what is depended on.
pub fn deny(root: &Path) -> Result<(), Failure> {
    const VERSION: &str = "0.20.2";
    let tools = root.join(".deps/tools");
    let program = tools.join("bin/cargo-deny");
    let mut stages = Stages::new(root);
    if !program.exists() {
        let install = format!("install --locked --root {} cargo-deny@{VERSION}", tools.display());
        stages.cargo("install cargo-deny", &install)?;
    }
    let mut check = Command::new(program);
    check.args(["--offline", "check", "licenses", "bans", "sources"]);
    stages.command("licenses, bans, sources", check)?;
    stages.summary();
    Ok(())
}

/// One archive to copy to another computer.
pub fn dist(root: &Path) -> Result<(), Failure> {
    let mut stages = Stages::new(root);
    let setup = Setup::usual(root);
    stages.run("set-up", || setup.run())?;
    stages.cargo("build", "build --release --package visuomotor")?;
    stages.run("archive", || dist::pack(root, &setup.deps).map(drop))?;
    stages.summary();
    Ok(())
}

/// Removes everything that can be fetched and built again. Results are kept, because they cannot.
pub fn clean(root: &Path) -> Result<(), Failure> {
    for folder in [".deps", "target"] {
        println!("removing {folder}");
        remove(&root.join(folder)).map_err(|error| Failure::setup(format!("{folder} cannot be removed: {error}")))?;
    }
    Ok(())
}

fn read_over(stages: &mut Stages) -> Result<(), Failure> {
    stages.cargo("format", "fmt --all --check")?;
    stages.cargo("lints", "clippy --workspace --all-targets --release --features visuomotor/onnx -- -D warnings")?;
    // The usual build.
    stages.cargo("documentation", "doc --workspace --no-deps --release")
}

/// Stages that ran, with their times; the first that fails ends the chain.
struct Stages<'a> {
    root: &'a Path,
    done: Vec<(&'static str, Duration)>,
}

impl<'a> Stages<'a> {
    fn new(root: &'a Path) -> Self {
        Self { root, done: Vec::new() }
    }

    fn cargo(&mut self, name: &'static str, arguments: &str) -> Result<(), Failure> {
        let mut cargo = cargo();
        cargo.args(arguments.split(' '));
        if arguments.starts_with("doc ") {
            cargo.env("RUSTDOCFLAGS", "-D warnings");
        }
        self.command(name, cargo)
    }

    /// Runs tests and records each one's duration.
    fn timed_tests(&mut self, arguments: &str, times: &mut TestTimes) -> Result<(), Failure> {
        let mut cargo = cargo();
        cargo.args(arguments.split(' ')).args(["--", "-Zunstable-options", "--report-time"]);
        // For the test programs only: to Cargo this variable would mean another compiler.
        cargo.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", "env RUSTC_BOOTSTRAP=1").current_dir(self.root);
        self.run("tests", || times.run(cargo))
    }

    fn command(&mut self, name: &'static str, mut command: Command) -> Result<(), Failure> {
        let line = line_of(&command);
        command.current_dir(self.root);
        self.run(name, || {
            println!("$ {line}");
            let status =
                command.status().map_err(|error| Failure::stage(format!("`{line}` cannot be started: {error}")))?;
            if status.success() {
                return Ok(());
            }
            Err(Failure::stage(format!("`{line}` ended with {status}")))
        })
    }

    fn run(&mut self, name: &'static str, stage: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        println!("== {name}");
        let started = Instant::now();
        let outcome = stage();
        let elapsed = started.elapsed();
        if let Err(failure) = outcome {
            self.summary();
            println!("{}", row(name, elapsed, "FAILED"));
            return Err(failure);
        }
        println!("{}", row(name, elapsed, "ok"));
        self.done.push((name, elapsed));
        Ok(())
    }

    fn summary(&self) {
        println!("\n== summary");
        for (name, elapsed) in &self.done {
            println!("{}", row(name, *elapsed, "ok"));
        }
    }
}

fn row(name: &str, elapsed: Duration, outcome: &str) -> String {
    format!("{name:<34} {:>8.1} s  {outcome}", elapsed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_ends_the_chain_with_its_own_exit_code() {
        let root = env::temp_dir();
        let mut stages = Stages::new(&root);
        stages.command("fine", Command::new("true")).unwrap();
        let failure = stages.command("bad", Command::new("false")).unwrap_err();
        assert_eq!(failure.exit_code, 1);
        assert!(failure.message.contains("`false`"), "{}", failure.message);
        let missing = stages.run("none", || Err(Failure::setup("nothing there"))).unwrap_err();
        assert_eq!(missing.exit_code, 2);
        assert_eq!(stages.done.len(), 1);
    }
}
