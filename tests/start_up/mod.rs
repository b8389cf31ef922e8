//! From a program's start to its first command, by part: `visuomotor run` beside a minimal Python loop around the same policy,
//! camera and arm.
//!
//! `cargo xtask start-up` writes `docs/start_up.md` and `docs/start_up.json`; it passes the Python with PyTorch and Cyclone DDS in
//! `START_UP_PYTHON`. With `START_UP_PAIRS` set, that many pairs are run instead of 20, and nothing is written.

mod page;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde::Serialize;
use serde_json::Value;
use visuomotor::config::Launch;

use crate::program::{Simulated, root};

/// The station of both. Its controller takes 100 commands a second, so that two processors suffice for everything.
const STATION: &str = "launch/stations/sawyer.toml";
const ROBOT: &str = "sawyer";
/// Pairs that are measured, after an unmeasured one: it loads every file into memory.
const PAIRS: usize = 20;
/// Consecutive starts that may fail on a busy machine.
const TRIES: usize = 5;

/// Parts of a start by name \[s\].
pub type Parts = BTreeMap<String, f64>;

/// One start of each.
#[derive(Debug, Serialize)]
pub struct Pair {
    pub run: Parts,
    pub python: Parts,
}

/// All starts, and the machine.
#[derive(Debug, Serialize)]
pub struct Measured {
    pub processors: usize,
    /// Of libtorch in both programs.
    pub threads: u64,
    pub torch_of_python: String,
    pub module_bytes: u64,
    /// Starts that were repeated: a stall of the machine ended them before their first command.
    pub repeated: usize,
    pub pairs: Vec<Pair>,
}

/// Paths of the programs and files.
struct Bench<'a> {
    folder: &'a Path,
    python: &'a str,
    domain: String,
    topic: String,
}

/// Python's output for one start.
struct Said {
    parts: Parts,
    threads: u64,
    torch: String,
}

impl Bench<'_> {
    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_visuomotor"));
        command.current_dir(self.folder).env("ROS_DOMAIN_ID", &self.domain).args(arguments).stdin(Stdio::null());
        command
    }

    /// Writes the module and a policy folder `mine` around it.
    fn make_policy(&self) {
        let export = root().join("tests/start_up/export.py");
        let exported =
            Command::new(self.python).arg(export).arg("policy.pt").current_dir(self.folder).output().unwrap();
        assert!(exported.status.success(), "{exported:?}");
        let (module, out) = (self.folder.join("policy.pt"), self.folder.join("mine"));
        let (module, out) = (module.display().to_string(), out.display().to_string());
        let new = ["policy", "new", &module, "--robot", ROBOT, "--rate", "5", "--out", &out];
        let inputs = ["--input", "image:front:224", "--input", "joint-positions"];
        let output = ["--actions", "pose-change", "--normalized"];
        // The arm's description is found relative to it.
        let mut make = self.program(&[&new[..], &inputs, &output].concat());
        let made = make.current_dir(root()).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    }

    /// One start of `visuomotor run`, with the threads of its libtorch; `None` if it sent no command.
    fn run(&self) -> Option<(Parts, u64)> {
        let launch = root().join(STATION).display().to_string();
        let policy = self.folder.join("mine").display().to_string();
        let run = ["run", &launch, "--policy", &policy];
        let output = self.program(&[&run[..], &["--stage", "arm.stage", "--seconds", "3"]].concat()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let threads = said.split_once("cpu (").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        let parts = said.lines().find_map(|line| parts(line.strip_prefix("start-up ")?));
        parts.filter(|parts| parts.contains_key("first command")).zip(threads).or_else(|| complain(&output))
    }

    /// One start of the Python loop.
    fn peer(&self) -> Option<Said> {
        let peer = root().join("tests/start_up/peer.py");
        let mut command = Command::new(self.python);
        command.arg(peer).args([self.folder.join("policy.pt").to_str().unwrap(), &self.domain, &self.topic]);
        let output = command.output().unwrap();
        let Ok(said) = serde_json::from_slice::<Value>(&output.stdout) else { return complain(&output) };
        let parts = said["parts"].as_object().unwrap();
        Some(Said {
            parts: parts.iter().map(|(part, seconds)| (part.clone(), seconds.as_f64().unwrap())).collect(),
            threads: said["threads"].as_u64().unwrap(),
            torch: said["torch"].as_str().unwrap().into(),
        })
    }
}

fn complain<T>(output: &Output) -> Option<T> {
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    None
}

/// `1.500 s (program 0.500, link 1.000) to the first command` by part.
fn parts(line: &str) -> Option<Parts> {
    let (_, inside) = line.split_once('(')?;
    let (inside, _) = inside.split_once(')')?;
    let parts = inside.split(", ").map(|part| {
        let (name, seconds) = part.rsplit_once(' ')?;
        Some((name.to_string(), seconds.parse().ok()?))
    });
    parts.collect()
}

/// Starts until one sends its first command; returns how many did not.
fn start<T>(mut once: impl FnMut() -> Option<T>) -> (T, usize) {
    for failed in 0..TRIES {
        if let Some(started) = once() {
            return (started, failed);
        }
    }
    panic!("{TRIES} starts in a row made no command: what they said stands above");
}

#[test]
#[ignore = "minutes of a quiet machine; needs PyTorch in Python; writes a page of the documentation"]
fn measured() {
    let python = std::env::var("START_UP_PYTHON").expect("START_UP_PYTHON: run `cargo xtask start-up`");
    let asked = std::env::var("START_UP_PAIRS").ok().map(|pairs| pairs.parse::<usize>().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (launch, _) = Launch::load(&root().join(STATION)).unwrap();
    let bench = Bench {
        folder: folder.path(),
        python: &python,
        domain: (30 + std::process::id() % 60).to_string(),
        topic: launch.camera[0].topic.clone(),
    };
    bench.make_policy();
    let station = root().join(STATION).display().to_string();
    let simulate = ["simulate", "--robot", ROBOT, "--launch", &station, "--driver", "ros2", "--stage", "arm.stage"];
    let _arm = Simulated::start(bench.program(&simulate)).expect("the emulated arm did not start");
    let module_bytes = std::fs::metadata(folder.path().join("policy.pt")).unwrap().len();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut measured = Measured {
        processors,
        threads: 0,
        torch_of_python: String::new(),
        module_bytes,
        repeated: 0,
        pairs: Vec::new(),
    };
    for pair in 0..=asked.unwrap_or(PAIRS) {
        let ((run, threads), again) = start(|| bench.run());
        let (said, more) = start(|| bench.peer());
        assert_eq!(threads, said.threads, "the programs compute on different numbers of threads");
        println!("run {run:?}\npython {:?}", said.parts);
        // The first pair loads every file into memory.
        if pair > 0 {
            measured.pairs.push(Pair { run, python: said.parts });
            measured.repeated += again + more;
        }
        (measured.threads, measured.torch_of_python) = (threads, said.torch);
    }
    let page = page::of(&measured);
    println!("{page}");
    if asked.is_none() {
        let raw = serde_json::to_string_pretty(&measured).unwrap();
        std::fs::write(root().join("docs/start_up.json"), raw + "\n").unwrap();
        std::fs::write(root().join("docs/start_up.md"), page).unwrap();
    }
}

#[test]
fn what_a_run_says_of_its_start_is_read_by_part() {
    let parts =
        parts("  1.500 s (program 0.250, first decision 1.000, first command 0.250) to the first command").unwrap();
    assert_eq!(parts["first decision"], 1.0);
    assert_eq!(parts.values().sum::<f64>(), 1.5);
}
