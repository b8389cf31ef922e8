//! Our driver against PyPI's franka-sim: an independent FR3 on FCI version 10, with the FCI's own rules for lost
//! packets and discontinuities switched on.
//!
//! The environment is `.deps/franka` (`cargo xtask setup`; manually: see `serve_franka_sim.py`). On a machine that cannot
//! have it, set `VISUOMOTOR_WITHOUT_FRANKA_SIM` to the reason: these tests then print that they were skipped, and why.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::driver::panda::fci::driver::report::COMMUNICATION;
use visuomotor::driver::panda::fci::driver::{Cycle, FciArm, FciSettings, Model};
use visuomotor::driver::panda::limits::{FR3, JOINTS};
use visuomotor::driver::{ArmDriver, DriverError, FaultCode};
use visuomotor::observation::JointVector;
use visuomotor::time::{Clock, SystemClock};

use super::laws::{distance, shares_of_positions, towards};

/// Longest wait for anything; only a failing test takes it.
const LONG: Duration = Duration::from_secs(90);

/// The simulator and its client need a processor each: one such test at a time.
static ALONE: Mutex<()> = Mutex::new(());

pub fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Python with franka-sim, or the reason why there is none.
pub fn python() -> Result<PathBuf, String> {
    if let Ok(reason) = std::env::var("VISUOMOTOR_WITHOUT_FRANKA_SIM") {
        return Err(reason);
    }
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".deps/franka/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run `cargo xtask setup`, or make it as described in tests/fci/serve_franka_sim.py, or set \
         VISUOMOTOR_WITHOUT_FRANKA_SIM to the reason why it is not available",
        python.display()
    );
    Ok(python)
}

macro_rules! python_or_leave {
    () => {
        match python() {
            Ok(python) => python,
            Err(reason) => {
                eprintln!("LEFT OUT, no franka-sim: {reason}");
                return;
            }
        }
    };
}

struct Simulator {
    process: Child,
    port: u16,
}

impl Simulator {
    fn start(python: &Path, port: Option<u16>, rules: bool) -> Self {
        let port = port.unwrap_or_else(|| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fci/serve_franka_sim.py");
        let mut command = Command::new(python);
        command.arg(script).args(["--no-gripper", "--port", &port.to_string()]);
        if rules {
            command.args(["--enforce-comm-constraints", "--enforce-motion-limits"]);
        }
        // It ends when its standard input closes, also when this test is killed.
        let process = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { process, port }
    }

    fn signal(&self, signal: i32) {
        // SAFETY: kill takes no pointers; the process is our own child, not yet waited for.
        unsafe { libc::kill(self.process.id() as i32, signal) };
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // It may be stopped or dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The robot's own errors: velocities, or accelerations, of consecutive positions that jump.
const JUMPS: [FaultCode; 2] = [FaultCode(15), FaultCode(16)];

/// A computer that runs many tests at once may be silent for long.
fn patient() -> FciSettings {
    FciSettings { silence: 5.0, command_age: 5.0, ..FciSettings::of(Model::Fr3) }
}

/// Tries until the simulator is up.
fn connect(simulator: &Simulator, settings: &FciSettings, clock: &Arc<SystemClock>) -> FciArm {
    let address = format!("127.0.0.1:{}", simulator.port);
    let until = clock.now() + LONG;
    loop {
        match FciArm::connect(&address, Model::Fr3, settings.clone(), Arc::clone(clock) as Arc<dyn Clock>) {
            Ok(arm) => return arm,
            Err(error) => assert!(clock.now() < until, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A busy computer may spoil a run by stopping both sides for 20 ms; the robot then reports it, and the motion is resumed.
/// Anything else is our error.
fn go(arm: &mut FciArm, clock: &SystemClock, mode: ControlMode, pose: &[f64; JOINTS]) -> Vec<Cycle> {
    let until = clock.now() + LONG;
    let mut cycles = Vec::new();
    loop {
        let now = clock.now();
        let health = arm.health();
        assert!(
            now < until,
            "{mode}: not there after {LONG:?}: at {:?} rad with {:?} rad/s instead of {pose:?}; last sent {:?}; {}",
            health.q,
            health.dq,
            cycles.last(),
            arm.last_error_text()
        );
        while let Some(cycle) = arm.next_cycle() {
            cycles.push(cycle);
        }
        let state = match arm.read(now) {
            Ok(state) => state,
            Err(DriverError::Fault(COMMUNICATION)) => {
                eprintln!("the computer stalled for 20 ms: recovering");
                arm.recover(now).unwrap();
                arm.activate(clock.now(), mode).unwrap();
                cycles.clear();
                continue;
            }
            Err(DriverError::Fault(fault))
                if JUMPS.contains(&fault) && arm.last_error_text().contains("success rate 0.") =>
            {
                eprintln!("packets were lost, and what the robot made up in their place jumped: recovering");
                arm.recover(now).unwrap();
                arm.activate(clock.now(), mode).unwrap();
                cycles.clear();
                continue;
            }
            Err(error) => panic!("{mode}: {error}: {}", arm.last_error_text()),
        };
        // franka-sim's velocity servo lets joint 7 swing by some 0.08 rad/s while 0.02 are commanded.
        let slow = state.joint_velocities.iter().all(|v| v.abs() < 0.15);
        if slow && distance(pose, &state.joint_positions) < 0.02 {
            return cycles;
        }
        let command = towards(mode, pose, &state.joint_positions, &state.joint_velocities);
        match arm.write(now, &command) {
            Ok(()) | Err(DriverError::Fault(COMMUNICATION)) => {}
            Err(DriverError::Fault(fault)) if JUMPS.contains(&fault) => {}
            Err(error) => panic!("{mode}: {error}: {}", arm.last_error_text()),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn around(home: &[f64; JOINTS]) -> [[f64; JOINTS]; 3] {
    let steps = [[0.15, 0.1, -0.1, 0.1, 0.1, 0.1, -0.15], [-0.1, -0.1, 0.1, -0.1, 0.1, -0.1, 0.2], [0.0; JOINTS]];
    steps.map(|step| std::array::from_fn(|i| home[i] + step[i]))
}

/// Positions sent one after another within one undisturbed run of milliseconds, as shares of the manufacturer's limits.
fn assert_no_jumps(cycles: &[Cycle]) {
    for run in cycles.chunk_by(|a, b| b.robot_ms == a.robot_ms + 1 && b.mode == a.mode) {
        // After a lost packet planning continues from the robot's reported state; runs start there.
        let undisturbed = run.windows(2).all(|w| distance(&w[0].sent, &w[1].reported) < 1e-5);
        if run.len() < 5 || !undisturbed {
            continue;
        }
        let lines: Vec<_> = run.iter().map(|cycle| cycle.sent).collect();
        let [v, a, j] = shares_of_positions(&lines, &FR3);
        assert!(v <= 1.0 && a <= 1.0 && j <= 1.0, "{v} {a} {j} of the manufacturer's limits");
    }
}

#[test]
fn three_poses_by_position_and_velocity_under_the_robot_s_own_rules() {
    let python = python_or_leave!();
    let _alone = alone();
    let simulator = Simulator::start(&python, None, true);
    let clock = Arc::new(SystemClock::new());
    let mut arm = connect(&simulator, &patient(), &clock);
    let home: [f64; JOINTS] = arm.health().q;
    // Three poses by torque need a servo at 1 kHz here: at 50 Hz its light wrist swings or sticks. The emulated FER has that
    // test, and this robot the torque step below.
    for mode in [ControlMode::Position, ControlMode::Velocity] {
        arm.activate(clock.now(), mode).unwrap();
        for pose in around(&home) {
            let cycles = go(&mut arm, &clock, mode, &pose);
            if mode == ControlMode::Position {
                assert_no_jumps(&cycles);
            }
        }
    }
    arm.hold(clock.now()).unwrap();
}

#[test]
fn two_hundred_newton_meters_at_once_are_ramped_and_the_robot_does_not_object() {
    let python = python_or_leave!();
    let _alone = alone();
    let simulator = Simulator::start(&python, None, true);
    let clock = Arc::new(SystemClock::new());
    let mut arm = connect(&simulator, &patient(), &clock);
    arm.activate(clock.now(), ControlMode::Torque).unwrap();
    let mut torque = [0.0; JOINTS];
    torque[6] = 200.0;
    let step = JointCommand::torque(JointVector::from_slice(&torque), 1.0);
    arm.write(clock.now(), &step).unwrap();
    let until = clock.now() + LONG;
    // Cycles until there are `count`, or a fault ends the motion.
    let collect = |arm: &mut FciArm, cycles: &mut Vec<Cycle>, count: usize| {
        while cycles.len() < count && arm.health().fault.is_none() {
            assert!(clock.now() < until, "only {} cycles: {}", cycles.len(), arm.last_error_text());
            cycles.extend(std::iter::from_fn(|| arm.next_cycle()));
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let mut cycles = Vec::new();
    while cycles.iter().filter(|cycle: &&Cycle| cycle.sent[6] > 0.0).count() < 20 && arm.health().fault.is_none() {
        let count = cycles.len() + 1;
        collect(&mut arm, &mut cycles, count);
    }
    arm.hold(clock.now()).unwrap();
    let count = cycles.len() + 300;
    collect(&mut arm, &mut cycles, count);
    let most = cycles.iter().map(|cycle| cycle.sent[6]).fold(0.0, f64::max);
    assert!(most > 1.0 && most <= 12.0, "{most} Nm");
    for pair in cycles.windows(2).filter(|pair| pair[1].robot_ms == pair[0].robot_ms + 1) {
        let rate = (pair[1].sent[6] - pair[1].reported[6]) / 1e-3;
        assert!(rate.abs() <= 1000.0, "{rate} Nm/s");
    }
    let fault = arm.health().fault;
    assert!(fault.is_none() || fault == Some(COMMUNICATION), "{}", arm.last_error_text());
}

#[test]
fn a_killed_simulator_is_found_again_without_a_jump() {
    let python = python_or_leave!();
    let _alone = alone();
    let first = Simulator::start(&python, None, true);
    let port = first.port;
    let clock = Arc::new(SystemClock::new());
    let settings = FciSettings { recovery: 60.0, ..patient() };
    let mut arm = connect(&first, &settings, &clock);
    let home = arm.health().q;
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    go(&mut arm, &clock, ControlMode::Position, &around(&home)[0]);
    drop(first);
    let until = clock.now() + LONG;
    while arm.read(clock.now()).is_ok() {
        assert!(clock.now() < until, "a killed robot is noticed");
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = Simulator::start(&python, Some(port), true);
    arm.recover(clock.now()).unwrap();
    while arm.next_cycle().is_some() {}
    let fresh = arm.health().q;
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    let (mut cycles, until) = (Vec::new(), clock.now() + LONG);
    while cycles.len() < 50 {
        assert!(clock.now() < until, "no cycles after the recovery");
        cycles.extend(std::iter::from_fn(|| arm.next_cycle()));
        std::thread::sleep(Duration::from_millis(1));
    }
    // The new simulator starts at its own home; the previous command must not pull the arm.
    assert!(!cycles.is_empty() && cycles.iter().all(|cycle| distance(&fresh, &cycle.sent) < 0.01));
    let cycles = go(&mut arm, &clock, ControlMode::Position, &around(&home)[1]);
    assert_no_jumps(&cycles);
    drop(second);
}

#[test]
fn a_robot_that_stops_for_long_is_silent_and_the_arm_is_recovered() {
    let python = python_or_leave!();
    let _alone = alone();
    let simulator = Simulator::start(&python, None, true);
    let clock = Arc::new(SystemClock::new());
    let settings = FciSettings { silence: 0.3, recovery: 60.0, ..patient() };
    let mut arm = connect(&simulator, &settings, &clock);
    let home = arm.health().q;
    arm.activate(clock.now(), ControlMode::Torque).unwrap();
    simulator.signal(libc::SIGSTOP);
    let until = clock.now() + LONG;
    let trouble = loop {
        match arm.read(clock.now()) {
            Err(trouble) => break trouble,
            Ok(_) => assert!(clock.now() < until),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let known = matches!(trouble, DriverError::Silent | DriverError::Fault(FaultCode(_)));
    assert!(known, "{trouble:?}");
    simulator.signal(libc::SIGCONT);
    arm.recover(clock.now()).unwrap();
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    go(&mut arm, &clock, ControlMode::Position, &around(&home)[1]);
}
