//! A servo bus at 1 Mbaud: cycles per second of one sync read of all joints and one sync write, with and without
//! corrupted bytes, beside the manufacturer's own SDK (Python) on the same emulated bus in the same run.
//!
//! `cargo bench --no-default-features --features dynamixel --bench dynamixel -- [--seconds S] [--rounds N] [--out FILE]`
//!
//! The bus is on a real pseudo-terminal, in a thread of this process; it sends replies no earlier than 10 us per byte of
//! request and reply allow ("paced"), and once without that wire time. Corruption affects every byte both ways, on the
//! bus's side, so that all three clients get the same. Three clients take turns, `rounds` times:
//! `bus` (read and write, as the SDK does it), `arm` (the driver at work: as `bus`, plus one health poll per cycle and
//! at most 6 ms for repetitions) and `sdk` (dynamixel-sdk, GroupSyncRead and GroupSyncWrite, at most 2 repetitions).
//! Writes every cycle time to FILE (default `results/dynamixel.json`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::config::Robot;
use visuomotor::driver::widowx::dynamixel::driver::{DynamixelArm, ServoBus};
use visuomotor::driver::widowx::dynamixel::emulator::{BusEmulator, BusServer};
use visuomotor::driver::widowx::dynamixel::wire::Instruction;
use visuomotor::driver::{ArmDriver, PointPlant};
use visuomotor::observation::JointVector;
use visuomotor::time::{Clock, SystemClock};
use visuomotor::transport::{BAUD, FaultRates, FaultyLink, Pty, SerialLink};

const SLEEP: [f64; 6] = [0.0, -1.8, 1.55, 0.0, 0.8, 0.0];
const IDS: [u8; 7] = [1, 2, 4, 6, 7, 8, 9];

/// Most requests per cycle.
const TRIES: u32 = 3;

/// Results of one client in one round.
#[derive(Default)]
struct Round {
    cycle_seconds: Vec<f64>,
    repeated: u64,
    incomplete: u64,
}

impl Round {
    fn to_json(&self) -> Value {
        json!({ "cycle_seconds": self.cycle_seconds, "repeated": self.repeated, "incomplete": self.incomplete })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let cycle_seconds = value["cycle_seconds"].as_array()?.iter().filter_map(Value::as_f64).collect();
        Some(Self { cycle_seconds, repeated: value["repeated"].as_u64()?, incomplete: value["incomplete"].as_u64()? })
    }
}

fn open(path: &str) -> SerialLink {
    SerialLink::open(path, BAUD).expect("the emulated bus's terminal opens")
}

/// Goals as the driver packs them: registers 108..120 of six servos.
fn goals() -> Vec<u8> {
    let ticks = SLEEP.map(|q| 2048 + (q * 4096.0 / std::f64::consts::TAU).round() as i32);
    let block = |(id, goal): (u8, i32)| [&[id][..], &[0; 4], &[25, 0, 0, 0], &goal.to_le_bytes()].concat();
    [1, 2, 4, 6, 7, 8].into_iter().zip(ticks).flat_map(block).collect()
}

fn bus_round(path: &str, seconds: f64) -> Round {
    let mut bus = ServoBus::new(open(path));
    let (mut round, clock, blocks) = (Round::default(), SystemClock::new(), goals());
    while clock.now().as_secs_f64() < seconds {
        let started = clock.now();
        let mut missing: Vec<u8> = IDS.to_vec();
        for attempt in 0..TRIES {
            round.repeated += u64::from(attempt > 0);
            let mut out = [[0; 10]; IDS.len()];
            let (got, _) =
                bus.sync_read(false, 126, &missing, &mut out[..missing.len()]).expect("the terminal is there");
            missing = missing.iter().enumerate().filter(|(k, _)| got & (1 << k) == 0).map(|(_, id)| *id).collect();
            if missing.is_empty() {
                break;
            }
        }
        round.incomplete += u64::from(!missing.is_empty());
        let write = Instruction::SyncWrite { address: 108, length: 12, blocks: &blocks };
        bus.send(write).expect("the terminal is there");
        round.cycle_seconds.push(clock.now().since(started).as_secs_f64());
    }
    round
}

fn arm_round(path: &str, robot: &Robot, seconds: f64, faults: &std::sync::atomic::AtomicBool) -> Round {
    // A start requires a good cable.
    faults.store(false, Ordering::Relaxed);
    let clock = SystemClock::new();
    let mut arm = DynamixelArm::connect(open(path), robot, Default::default()).expect("the emulated arm is fit");
    arm.activate(clock.now(), ControlMode::Position).expect("the emulated arm starts");
    faults.store(true, Ordering::Relaxed);
    let mut round = Round::default();
    let (before, begin) = (arm.counters().retries, clock.now());
    let command = JointCommand::position(JointVector::from_slice(&SLEEP), 1.0);
    while clock.now().since(begin).as_secs_f64() < seconds {
        let started = clock.now();
        let fresh = matches!(arm.read(started), Ok(sensed) if sensed.measured_at == started);
        round.incomplete += u64::from(!fresh);
        if arm.write(started, &command).is_err() {
            // Lost bytes let a watchdog expire: handled as a run would, outside the measured time.
            faults.store(false, Ordering::Relaxed);
            arm.recover(clock.now()).expect("the emulated arm recovers");
            arm.activate(clock.now(), ControlMode::Position).expect("the emulated arm starts");
            faults.store(true, Ordering::Relaxed);
            continue;
        }
        round.cycle_seconds.push(clock.now().since(started).as_secs_f64());
    }
    round.repeated = arm.counters().retries - before;
    round
}

fn sdk_round(path: &str, seconds: f64) -> Option<Round> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join(".deps/python/bin/python");
    let script = root.join("benches/dynamixel_peer.py");
    let output = Command::new(python).arg(script).args([path, &seconds.to_string()]).output().ok()?;
    if !output.status.success() {
        eprintln!("the SDK's turn failed: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Round::from_json(&serde_json::from_slice(&output.stdout).ok()?)
}

fn quantile(sorted: &[f64], q: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((q * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (mut seconds, mut rounds, mut out) = (5.0, 3u32, PathBuf::from("results/dynamixel.json"));
    while let (Some(name), Some(value)) = (arguments.next(), arguments.next()) {
        match name.as_str() {
            "--seconds" => seconds = value.parse().expect("--seconds takes a number"),
            "--rounds" => rounds = value.parse().expect("--rounds takes a whole number"),
            "--out" => out = value.into(),
            other => panic!("unknown option {other}: --seconds S, --rounds N, --out FILE"),
        }
    }
    let robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").expect("robots/widowx is there");
    let mut rows = Vec::new();
    println!(
        "{:<8} {:>6} {:<5} {:>9} {:>10} {:>10} {:>8} {:>8} {:>8}",
        "wire", "faults", "who", "cycles/s", "repeated %", "incompl. %", "p50 ms", "p99 ms", "max ms"
    );
    for (paced, corrupt) in [(true, 0.0), (true, 0.001), (true, 0.01), (false, 0.0)] {
        let plant = PointPlant::at(JointVector::from_slice(&SLEEP));
        let mut bus = BusEmulator::new(&robot, Box::new(plant)).expect("the description fits");
        bus.set_paced(paced);
        let pty = Pty::open(None).expect("pseudo-terminals are there");
        let path = pty.path().to_owned();
        let link = FaultyLink::new(pty, FaultRates { corrupt, ..Default::default() }, 1);
        let faults = link.switch();
        let server = BusServer::start_on(bus, link, path.clone()).expect("a thread can be started");
        let mut all: [Vec<Round>; 3] = Default::default();
        for _ in 0..rounds {
            all[0].push(bus_round(&path, seconds));
            std::thread::sleep(Duration::from_millis(50));
            all[1].push(arm_round(&path, &robot, seconds, &faults));
            std::thread::sleep(Duration::from_millis(50));
            all[2].extend(sdk_round(&path, seconds));
        }
        drop(server);
        for (who, rounds) in ["bus", "arm", "sdk"].into_iter().zip(&all) {
            let mut cycles: Vec<f64> = rounds.iter().flat_map(|round| round.cycle_seconds.iter().copied()).collect();
            cycles.sort_by(f64::total_cmp);
            let (count, total) = (cycles.len() as f64, cycles.iter().sum::<f64>());
            let repeated = rounds.iter().map(|round| round.repeated).sum::<u64>() as f64;
            let incomplete = rounds.iter().map(|round| round.incomplete).sum::<u64>() as f64;
            let wire = if paced { "1 Mbaud" } else { "none" };
            println!(
                "{wire:<8} {:>5.1}% {who:<5} {:>9.0} {:>10.2} {:>10.2} {:>8.3} {:>8.3} {:>8.3}",
                100.0 * corrupt,
                count / total,
                100.0 * repeated / count,
                100.0 * incomplete / count,
                1e3 * quantile(&cycles, 0.5),
                1e3 * quantile(&cycles, 0.99),
                1e3 * quantile(&cycles, 1.0),
            );
            let raw: Vec<Value> = rounds.iter().map(Round::to_json).collect();
            rows.push(json!({ "paced": paced, "corrupt": corrupt, "who": who, "rounds": raw }));
        }
    }
    let report = json!({ "seconds": seconds, "rounds": rounds, "sdk": "dynamixel-sdk 4.1.0 (Python)", "rows": rows });
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder).expect("the folder of --out can be made");
    }
    std::fs::write(&out, report.to_string()).expect("--out can be written");
    println!("every cycle time: {}", out.display());
}
