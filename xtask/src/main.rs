//! `cargo xtask`: sets up a checkout, runs the demonstration, runs the checks.
//!
//! A plain `cargo build` cannot start from nothing, because libtorch and MuJoCo come from Python wheels and headless
//! rendering from system packages. This program fetches them into `.deps` and is built without them. Start reading at
//! [`setup`]; the chains of commands behind `demo`, `check` and `test` are in [`stages`].
//!
//! Exit codes: 0 done, 1 a stage failed (a test, a lint, the demonstration), 2 wrong usage or no set-up.

mod cuda_graphs;
mod dist;
mod failure;
mod host;
mod links;
mod onnx;
mod process;
mod python;
mod requirement;
mod setup;
mod stages;
mod stamp;
mod system_packages;
mod test_times;
mod wheels;

use failure::Failure;
use setup::Setup;
use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK [OPTIONS]

  setup   fetch libtorch and MuJoCo into .deps and install the system packages they need; does nothing where all is there
            --cuda                   the CUDA half of libtorch and the library of CUDA graphs too (several GB; the
                                     program stays the same)
            --onnx                   the library that runs policies in ONNX too (28 MB; for builds with `--features onnx`)
            --skip-system-packages   leave the system packages alone (other distributions, no rights)
            --deps-dir DIR           land it in DIR instead of .deps (to try the set-up itself)
  cuda-graphs   set up, then compile the library of CUDA graphs alone (.deps/cuda): for a host that has libtorch's CUDA half
  demo    set up, build, evaluate the simulated WidowX kitchen for one scenario into results/demo
            -- ARGS                  more arguments for `visuomotor evaluate`
  check   set up, then format, lints and documentation
  test    everything `check` does, then all tests, with and without libtorch, those of ONNX too
  faults  set up, build with switches for single protections, and run the whole fault matrix with its controls (about an hour
          of a quiet machine): writes docs/faults.md and docs/faults.json
            -- WORDS                 only the rows whose names contain all words, into results/faults (`-- sawyer torque`)
  stations
          set up, build without MuJoCo, and drive every station of launch/stations from its images, each arm emulated in a process of
          its own and each way out, and stop, suspend and kill two under a policy's torques (12 minutes of a quiet machine): writes
          docs/stations.md and docs/torque_stops.md
  start-up
          set up (with PyTorch in Python, about 5 GB), and time the start of `visuomotor run` beside a minimal Python loop, by part (5
          minutes of a quiet machine): writes docs/start_up.md and .json
  button  set up, and run the policies of launch/button on 12 trials each, in the simulator and through their emulated controllers (half
          an hour of a quiet machine): writes docs/button.md
  faults-lerobot
          set up (with LeRobot 0.4.4, about 8 GB), and put LeRobot's loop and this program through the same faults over the
          same emulated servo bus (4 minutes of a quiet machine): writes docs/faults-lerobot.md and .json
  deny    install cargo-deny into .deps/tools where it is missing (some minutes), and check licenses, bans and sources (deny.toml)
  dist    set up, build, and pack one archive with the program, its libraries and all that it reads (target/dist): for a
          computer with neither Rust nor Python
  clean   remove .deps and target (results stay)

example: cargo xtask demo";

/// The requested command.
#[derive(Debug, PartialEq)]
enum Task {
    Setup { cuda: bool, onnx: bool, skip_system_packages: bool, deps_dir: Option<PathBuf> },
    CudaGraphs,
    Demo { more: Vec<String> },
    Check,
    Test,
    Faults { words: Vec<String> },
    FaultsLerobot,
    Stations,
    StartUp,
    Button,
    Deny,
    Dist,
    Clean,
    Help,
}

fn main() -> ExitCode {
    let outcome = parse(env::args().skip(1)).and_then(run);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nerror: {}", failure.message);
            ExitCode::from(failure.exit_code)
        }
    }
}

fn run(task: Task) -> Result<(), Failure> {
    let root = root();
    match task {
        Task::Help => {
            println!("{USAGE}");
            Ok(())
        }
        Task::Setup { cuda, onnx, skip_system_packages, deps_dir } => {
            let deps = deps_dir.unwrap_or_else(|| root.join(".deps"));
            Setup { deps: deps.clone(), cuda, skip_system_packages }.run()?;
            if onnx {
                onnx::fetch(&deps)?;
            }
            if cuda { cuda_graphs::compile(&root, &deps) } else { Ok(()) }
        }
        Task::CudaGraphs => stages::cuda_graphs(&root),
        Task::Demo { more } => stages::demo(&root, &more),
        Task::Check => stages::check(&root),
        Task::Test => stages::test(&root),
        Task::Faults { words } => stages::faults(&root, &words),
        Task::FaultsLerobot => stages::faults_lerobot(&root),
        Task::Stations => stages::stations(&root),
        Task::StartUp => stages::start_up(&root),
        Task::Button => stages::button(&root),
        Task::Deny => stages::deny(&root),
        Task::Dist => stages::dist(&root),
        Task::Clean => stages::clean(&root),
    }
}

/// The root of the checkout. Cargo names the package's folder when it runs a program; the folder known at compile time
/// is for a direct call of the executable.
fn root() -> PathBuf {
    let package =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or(package.clone(), PathBuf::from)
}

fn parse(words: impl Iterator<Item = String>) -> Result<Task, Failure> {
    let mut words = words;
    let name = words.next().unwrap_or_else(|| "--help".to_owned());
    let task = match name.as_str() {
        "setup" => parse_setup(&mut words)?,
        "demo" => Task::Demo { more: passed_on(&mut words)? },
        "faults" => Task::Faults { words: passed_on(&mut words)? },
        "faults-lerobot" => Task::FaultsLerobot,
        "stations" => Task::Stations,
        "start-up" => Task::StartUp,
        "button" => Task::Button,
        "deny" => Task::Deny,
        "dist" => Task::Dist,
        "cuda-graphs" => Task::CudaGraphs,
        "check" => Task::Check,
        "test" => Task::Test,
        "clean" => Task::Clean,
        "help" | "--help" | "-h" => Task::Help,
        other => return Err(unknown(other)),
    };
    match words.next() {
        None => Ok(task),
        Some(extra) => Err(unknown(&extra)),
    }
}

/// The arguments after two dashes.
fn passed_on(words: &mut impl Iterator<Item = String>) -> Result<Vec<String>, Failure> {
    match words.next().as_deref() {
        None => Ok(Vec::new()),
        Some("--") => Ok(words.collect()),
        Some(other) => Err(unknown(other)),
    }
}

fn parse_setup(words: &mut impl Iterator<Item = String>) -> Result<Task, Failure> {
    let (mut cuda, mut onnx, mut skip_system_packages, mut deps_dir) = (false, false, false, None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--cuda" => cuda = true,
            "--onnx" => onnx = true,
            "--skip-system-packages" => skip_system_packages = true,
            "--deps-dir" => {
                let dir = words.next().ok_or_else(|| Failure::setup("--deps-dir wants a folder after it"))?;
                deps_dir = Some(PathBuf::from(dir));
            }
            other => return Err(unknown(other)),
        }
    }
    Ok(Task::Setup { cuda, onnx, skip_system_packages, deps_dir })
}

fn unknown(word: &str) -> Failure {
    Failure::setup(format!("`{word}` means nothing here\n\n{USAGE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task, Failure> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn reads_every_task() {
        assert_eq!(parsed("").unwrap(), Task::Help);
        assert_eq!(parsed("check").unwrap(), Task::Check);
        assert_eq!(parsed("cuda-graphs").unwrap(), Task::CudaGraphs);
        assert_eq!(parsed("test").unwrap(), Task::Test);
        assert_eq!(parsed("clean").unwrap(), Task::Clean);
        assert_eq!(parsed("start-up").unwrap(), Task::StartUp);
        let setup = parsed("setup --cuda --deps-dir elsewhere").unwrap();
        let deps_dir = Some(PathBuf::from("elsewhere"));
        assert_eq!(setup, Task::Setup { cuda: true, onnx: false, skip_system_packages: false, deps_dir });
        let setup = parsed("setup --onnx").unwrap();
        assert_eq!(setup, Task::Setup { cuda: false, onnx: true, skip_system_packages: false, deps_dir: None });
    }

    #[test]
    fn demo_passes_on_what_follows_two_dashes() {
        let Task::Demo { more } = parsed("demo -- --seed 8").unwrap() else { panic!("not a demonstration") };
        assert_eq!(more, ["--seed", "8"]);
        let faults = Task::Faults { words: vec!["sawyer".into(), "torque".into()] };
        assert_eq!(parsed("faults -- sawyer torque").unwrap(), faults);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for line in ["sing", "setup --gpu", "setup --deps-dir", "demo --seed 8", "test now"] {
            assert_eq!(parsed(line).unwrap_err().exit_code, 2, "{line}");
        }
    }
}
