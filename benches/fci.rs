//! Receive-to-send time of our FCI thread beside libfranka (PyPI `pylibfranka`), both holding PyPI's `franka-sim` (an FR3,
//! FCI version 10) in torque control, in alternating cells with the simulator restarted for each.
//!
//! ```text
//! cargo bench --no-default-features --features fci --bench fci -- --pairs 5 --seconds 20 --load './encode-forever' --out DIR
//! ```
//!
//! Measured the same way on both sides, with the same monotonic clock: from the state having been read to the command
//! having been written, and from one state to the next; and, where the system permits packet capture (CAP_NET_RAW), from
//! the state passing on the wire to its reply passing (kernel timestamps of both, `tests/fci/wire_times.py`).
//! `--load` is a shell command that runs beside every cell (for example the encoder and the policy); without it a loop keeps one
//! processor busy. The port is 1337, because libfranka supports no other: nothing else may listen there.
//! The environment is `.deps/franka`, see `tests/fci/serve_franka_sim.py`.
//! Valid for every number: one computer shared by robot, client and load, without a real-time kernel.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::driver::ArmDriver;
use visuomotor::driver::panda::fci::driver::{FciArm, FciSettings, Model, Phase};
use visuomotor::driver::panda::limits::JOINTS;
use visuomotor::observation::JointVector;
use visuomotor::time::{Clock, SystemClock};

/// libfranka's port.
const ADDRESS: &str = "127.0.0.1:1337";

/// First part of each cell that is left out \[s\]: the success rate looks back 0.1 s, caches and clocks settle.
const WARM_UP: f64 = 1.0;

struct Options {
    pairs: usize,
    seconds: f64,
    load: Option<String>,
    idle: bool,
    out: PathBuf,
}

impl Options {
    fn from_arguments() -> Result<Self, String> {
        let mut options = Self { pairs: 3, seconds: 10.0, load: None, idle: false, out: PathBuf::from("results/fci") };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--pairs" => options.pairs = value()?.parse().map_err(|error| format!("--pairs: {error}"))?,
                "--seconds" => options.seconds = value()?.parse().map_err(|error| format!("--seconds: {error}"))?,
                "--load" => options.load = Some(value()?),
                "--idle" => options.idle = true,
                "--out" => options.out = value()?.into(),
                // Cargo adds it.
                "--bench" => {}
                other => {
                    return Err(format!("{other} is not known: --pairs N --seconds S --load CMD | --idle, --out DIR"));
                }
            }
        }
        if !(options.seconds > WARM_UP) {
            return Err(format!("--seconds must be more than the {WARM_UP} s that are left out"));
        }
        Ok(options)
    }
}

/// A process that ends with this value.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        // Its own group, so that what it started ends with it.
        // SAFETY: kill takes no pointers; the group is our own child's, not yet waited for.
        unsafe { libc::kill(-(self.0.id() as i32), libc::SIGKILL) };
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn beside(command: &mut Command) -> Result<Beside, String> {
    use std::os::unix::process::CommandExt;
    let child = command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    child.map(Beside).map_err(|error| format!("{:?}: {error}", command.get_program()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn script(name: &str) -> PathBuf {
    root().join("tests/fci").join(name)
}

fn python() -> PathBuf {
    root().join(".deps/franka/bin/python")
}

fn simulator() -> Result<Beside, String> {
    let mut command = Command::new(python());
    command.arg(script("serve_franka_sim.py")).args(["--no-gripper", "--port", "1337"]);
    // Its output is not read: a full pipe would stop it, a closed one end it.
    use std::os::unix::process::CommandExt;
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let simulator = command.spawn().map(Beside).map_err(|error| format!("franka-sim: {error}"))?;
    // It is up once it accepts a client; losing the first one at once does not disturb it.
    for _ in 0..300 {
        if std::net::TcpStream::connect(ADDRESS).is_ok() {
            std::thread::sleep(Duration::from_secs(3));
            return Ok(simulator);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err("franka-sim did not come up within 30 s".into())
}

fn load(options: &Options) -> Result<Option<Beside>, String> {
    if options.idle {
        return Ok(None);
    }
    let line = options.load.clone().unwrap_or_else(|| "while :; do :; done".into());
    let mut load = beside(Command::new("sh").args(["-c", &line]))?;
    load.0.stdout.take();
    Ok(Some(load))
}

/// A process's output, as JSON, once it ended.
fn answer_of(mut process: Beside) -> Result<Value, String> {
    use std::io::Read;
    let mut text = String::new();
    process.0.stdout.take().ok_or("no output")?.read_to_string(&mut text).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| format!("{error}: {text:.200}"))
}

fn ours(options: &Options) -> Result<Value, String> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let settings = FciSettings { silence: 1.0, ..FciSettings::of(Model::Fr3) };
    let mut arm =
        FciArm::connect(ADDRESS, Model::Fr3, settings, Arc::clone(&clock)).map_err(|error| error.to_string())?;
    let said = |error: visuomotor::driver::DriverError, arm: &FciArm| format!("{error} ({})", arm.last_error_text());
    arm.activate(clock.now(), ControlMode::Torque).map_err(|error| said(error, &arm))?;
    let still = JointCommand::torque(JointVector::zeros(JOINTS), 1.0);
    let (mut turnarounds, mut intervals, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    let end = clock.now() + Duration::from_secs_f64(options.seconds);
    while clock.now() < end {
        let now = clock.now();
        arm.read(now).map_err(|error| said(error, &arm))?;
        arm.write(now, &still).map_err(|error| said(error, &arm))?;
        // The control loop's own rate does not matter to the FCI thread.
        std::thread::sleep(Duration::from_millis(5));
        while let Some(cycle) = arm.next_cycle() {
            turnarounds.push(cycle.turnaround);
            intervals.push(cycle.interval);
            rates.push(cycle.success_rate);
        }
    }
    let health = arm.health();
    if !matches!(health.phase, Phase::Moving(_)) {
        return Err(arm.last_error_text());
    }
    let scheduling = arm.scheduling();
    let memory_locked = scheduling.granted.iter().any(|one| one.request == "memory lock" && one.granted);
    Ok(json!({
        "client": "visuomotor", "turnaround_ns": turnarounds, "interval_ns": &intervals[1..], "success_rate": rates,
        "lost_states": health.lost, "priority": scheduling.priority, "memory_locked": memory_locked,
        "realtime_kernel": franka::realtime::has_realtime_kernel(),
    }))
}

fn theirs(options: &Options) -> Result<Value, String> {
    let mut command = Command::new(python());
    command.arg(script("pylibfranka_cell.py")).args(["127.0.0.1", &options.seconds.to_string()]);
    answer_of(beside(&mut command)?)
}

/// One client against a fresh simulator.
fn cell(options: &Options, run: fn(&Options) -> Result<Value, String>) -> Result<Value, String> {
    let _simulator = simulator()?;
    let _load = load(options)?;
    let mut sniff = Command::new("python3");
    sniff.arg(script("wire_times.py")).arg(options.seconds.to_string());
    let sniffer = beside(&mut sniff)?;
    let mut result = run(options)?;
    result["wire"] = answer_of(sniffer).unwrap_or_else(|reason| json!({ "left_out": reason }));
    Ok(result)
}

fn numbers(cell: &Value, key: &str) -> Vec<f64> {
    let skip = (WARM_UP * 1000.0) as usize;
    let all = cell.pointer(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_f64);
    all.skip(skip).collect()
}

fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = (share * values.len() as f64) as usize;
    values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

fn row(name: &str, cells: &[Value]) {
    let all = |key: &str| -> Vec<f64> { cells.iter().flat_map(|cell| numbers(cell, key)).collect() };
    let (mut turnaround, mut interval) = (all("/turnaround_ns"), all("/interval_ns"));
    let (mut wire, mut rate) = (all("/wire/answer_ns"), all("/success_rate"));
    let us = |values: &mut [f64], share: f64| percentile(values, share) / 1000.0;
    println!(
        "{name:<12} {:>8} | {:>7.1} {:>7.1} {:>7.1} {:>8.1} | {:>8.1} {:>8.1} | {:>7.1} {:>7.1} | {:>6.3} {:>6.3}",
        turnaround.len(),
        us(&mut turnaround, 0.5),
        us(&mut turnaround, 0.99),
        us(&mut turnaround, 0.999),
        us(&mut turnaround, 1.0),
        us(&mut interval, 0.5),
        us(&mut interval, 0.99),
        us(&mut wire, 0.5),
        us(&mut wire, 0.99),
        percentile(&mut rate, 0.0),
        percentile(&mut rate, 0.01),
    );
}

fn run() -> Result<(), String> {
    let options = Options::from_arguments()?;
    if !python().exists() {
        return Err(format!("{} is missing: see tests/fci/serve_franka_sim.py", python().display()));
    }
    let (mut our_cells, mut their_cells) = (Vec::new(), Vec::new());
    for pair in 0..options.pairs {
        // The order changes from pair to pair, so that neither always comes first.
        for ours_now in if pair % 2 == 0 { [true, false] } else { [false, true] } {
            match ours_now {
                true => our_cells.push(cell(&options, ours)?),
                false => their_cells.push(cell(&options, theirs)?),
            }
            eprintln!("pair {} of {}: {} done", pair + 1, options.pairs, if ours_now { "ours" } else { "libfranka" });
        }
    }
    println!(
        "client        samples | read to write us: p50 p99 p99.9 max | interval us: p50 p99 | wire us: p50 p99 | success: min p1"
    );
    row("visuomotor", &our_cells);
    row("pylibfranka", &their_cells);
    std::fs::create_dir_all(&options.out).map_err(|error| format!("{}: {error}", options.out.display()))?;
    let load =
        if options.idle { "none".into() } else { options.load.clone().unwrap_or_else(|| "one busy loop".into()) };
    let raw = json!({
        "load": load, "seconds": options.seconds, "warm_up_seconds": WARM_UP,
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "processors": std::thread::available_parallelism().map(usize::from).unwrap_or(0),
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
        "visuomotor": our_cells, "pylibfranka": their_cells,
    });
    let path = options.out.join("fci.json");
    std::fs::write(&path, raw.to_string()).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("raw samples: {}", path.display());
    Ok(())
}

fn main() {
    if let Err(reason) = run() {
        eprintln!("{reason}");
        std::process::exit(1);
    }
}
