//! A program that drives an arm in another process is ended, suspended, or loses its guard: judged by the arm's motion.
//!
//! The emulated arm is in this process; the driving process is this test program again, as a child ([`driver`]); its guard is the
//! `visuomotor` that was built beside it.

mod signals;
mod stops;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::config::Robot;
use visuomotor::driver::guard::{Guarding, Token};
use visuomotor::driver::jaco;
use visuomotor::driver::jaco::emulator::JacoEmulator;
use visuomotor::driver::panda::ros2::driver::{Panda, connect as connect_panda};
use visuomotor::driver::panda::ros2::emulator::{PandaEmulator, start as start_panda};
use visuomotor::driver::ros2::LinkOptions;
use visuomotor::driver::widowx::xs_sdk::driver::{XsSdkArm, XsSdkOptions};
use visuomotor::driver::widowx::xs_sdk::emulator::XsSdk;
use visuomotor::driver::{ArmDriver, Drive, Plant, PointPlant};
use visuomotor::observation::{JointVector, Proprioception};
use visuomotor::runtime::{HoldGuard, StopFlag};
use visuomotor::time::{Clock, SystemClock, Timestamp};
use visuomotor::transport::ros2::{RosNode, RosSettings};

use crate::ros2::{LONG, domain};

/// Speed of the turning joint \[rad/s\].
const SPEED: f64 = 0.3;
/// Torque on the turning joint of a point of 1 kg m2 \[Nm\].
const PUSH: f64 = 0.2;
/// Longest silence the guard allows: longer than as shipped, for a busy machine.
const LIMIT: Duration = Duration::from_millis(400);
/// Farthest an arm may move after its program died \[rad\]: more than a second of turning. Without a guard it would keep moving
/// for as long as it is watched, which is several times as far.
const FAR: f64 = 0.5;

const PROGRAM: &str = env!("CARGO_BIN_EXE_visuomotor");
const ROLE: &str = "VISUOMOTOR_TEST_DRIVER";

fn robot(name: &str) -> Robot {
    let mut robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), name).unwrap();
    // The stack's 1000 commands a second are too many for a busy machine.
    robot.identity.control_rate_hz = robot.identity.control_rate_hz.min(200.0);
    robot
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !done() {
        assert!(Instant::now() < deadline, "not within {LONG:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Mechanics that a test can read while a controller drives them.
#[derive(Clone)]
struct Watched(Arc<Mutex<PointPlant>>);

impl Plant for Watched {
    fn joints(&self) -> usize {
        self.0.lock().unwrap().joints()
    }
    fn drive(&mut self, drive: Drive) {
        self.0.lock().unwrap().drive(drive);
    }
    fn drive_gripper(&mut self, fraction: f64) {
        self.0.lock().unwrap().drive_gripper(fraction);
    }
    fn advance_to(&mut self, now: Timestamp) {
        self.0.lock().unwrap().advance_to(now);
    }
    fn sense(&self) -> Proprioception {
        self.0.lock().unwrap().sense()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Arm {
    WidowX,
    Panda,
    Jaco,
}

impl Arm {
    fn name(self) -> &'static str {
        match self {
            Arm::WidowX => "widowx",
            Arm::Panda => "panda",
            Arm::Jaco => "jaco_j2s7s300",
        }
    }
}

enum Emulator {
    WidowX(XsSdk),
    Panda(PandaEmulator),
    Jaco(JacoEmulator),
}

/// An emulated arm in this process.
struct Bench {
    arm: Arm,
    domain: u16,
    plant: Watched,
    emulator: Emulator,
    _node: RosNode,
}

impl Bench {
    fn new(arm: Arm) -> Self {
        let (domain, robot) = (domain(), robot(arm.name()));
        let node = RosNode::start(place("emulated_controller", domain, arm)).unwrap();
        let plant = Watched(Arc::new(Mutex::new(PointPlant::at(JointVector::from_slice(&robot.identity.home)))));
        let (clock, mechanics) = (Arc::new(SystemClock::new()), Box::new(plant.clone()));
        let emulator = match arm {
            Arm::WidowX => Emulator::WidowX(XsSdk::start(&node, &robot, mechanics, clock).unwrap()),
            Arm::Panda => Emulator::Panda(start_panda(&node, &robot, mechanics, clock).unwrap()),
            Arm::Jaco => Emulator::Jaco(jaco::emulator::start(&node, &robot, mechanics, clock).unwrap()),
        };
        Self { arm, domain, plant, emulator, _node: node }
    }

    /// Position of the turning joint \[rad\].
    fn at(&self) -> f64 {
        self.plant.sense().joint_positions[0]
    }

    /// Which of the Panda's forward controllers runs, and whether a Jaco is in torque mode; a WidowX has none, and must not fall.
    fn controller(&self) -> Option<ControlMode> {
        match &self.emulator {
            Emulator::Panda(panda) => panda.active(),
            Emulator::Jaco(node) => node.torque_mode().then_some(ControlMode::Torque),
            Emulator::WidowX(node) => {
                assert!(node.torque(), "an arm without torque falls");
                None
            }
        }
    }

    /// Starts a program that turns the first joint, and waits until it turns.
    fn drive(&self, mode: ControlMode, guarding: &str) -> Driver {
        let driver = self.start(mode, guarding);
        driver.expect("turning");
        let began = self.at();
        until("the joint turns", || (self.at() - began).abs() > 0.05);
        driver
    }

    fn start(&self, mode: ControlMode, guarding: &str) -> Driver {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "guard::driver", "--nocapture", "--test-threads=1"])
            .env(ROLE, format!("{} {mode} {} {guarding}", self.arm.name(), self.domain))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to_us, lines) = channel();
        let from = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in from.lines().map_while(Result::ok) {
                let _ = to_us.send(line);
            }
        });
        Driver { child, lines }
    }

    /// The joint comes to a stop; returns how far it moved from `from` until then.
    fn comes_to_rest(&self, from: f64) -> f64 {
        let (mut last, mut since) = (self.at(), Instant::now());
        until("the arm stands", || {
            let now = self.at();
            if (now - last).abs() > 1e-4 {
                (last, since) = (now, Instant::now());
            }
            // Long enough that a controller that was only delayed for a while would have moved on.
            since.elapsed() > Duration::from_millis(1500)
        });
        (self.at() - from).abs()
    }
}

/// A program that drives the arm of a bench.
struct Driver {
    child: Child,
    lines: Receiver<String>,
}

impl Driver {
    /// Waits for a line that contains this, and returns it.
    fn expect(&self, word: &str) -> String {
        let deadline = Instant::now() + 2 * LONG;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(word) => return line,
                Ok(line) => assert!(!line.contains("panicked"), "{line}"),
                Err(error) => panic!("the driving program never said `{word}`: {error}"),
            }
        }
    }

    fn signal(&self, signal: libc::c_int) {
        send(self.child.id(), signal);
    }

    /// The guard of this program.
    fn guard(&self) -> u32 {
        let ours = self.expect("guard ").rsplit(' ').next().unwrap().parse();
        ours.unwrap()
    }

    fn ends(&mut self) -> std::process::ExitStatus {
        let mut status = None;
        until("the driving program ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(process: u32, signal: libc::c_int) {
    // SAFETY: kill takes no pointers; the process is one that this test started.
    assert_eq!(unsafe { libc::kill(process as libc::pid_t, signal) }, 0, "signal {signal} to {process}");
}

/// Does a process of this number exist?
fn exists(process: u32) -> bool {
    // A zombie has ended, but its parent has not waited for it.
    std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn place(node: &str, domain: u16, arm: Arm) -> RosSettings {
    let settings = RosSettings::loopback(node, domain);
    match arm {
        Arm::WidowX => settings.with_namespace("wx250s"),
        Arm::Panda => settings,
        Arm::Jaco => jaco::driver::in_namespace(&robot(arm.name()), settings),
    }
}

fn connect_widowx(domain: u16, guarding: Guarding, clock: &Arc<SystemClock>) -> XsSdkArm {
    let options = XsSdkOptions {
        patience: 30.0,
        silence: 2.0,
        command_gap: 5.0,
        guarding,
        ..XsSdkOptions::new(place("visuomotor", domain, Arm::WidowX))
    };
    XsSdkArm::connect(&robot("widowx"), options, clock.clone()).unwrap_or_else(|error| panic!("{error}"))
}

fn connect_stack(domain: u16, guarding: Guarding, clock: &Arc<SystemClock>) -> Panda {
    let options = LinkOptions { stale: Duration::from_secs(3), deadline: Duration::from_secs(5), patience: LONG };
    let connected = connect_panda(&robot("panda"), place("visuomotor", domain, Arm::Panda), options, clock.clone());
    connected.unwrap_or_else(|error| panic!("{error}")).guarded_by(guarding)
}

fn connect_jaco(domain: u16, guarding: Guarding, clock: &Arc<SystemClock>) -> jaco::driver::Jaco {
    let options = LinkOptions { stale: Duration::from_secs(3), deadline: Duration::from_secs(5), patience: LONG };
    let (robot, place) = (robot(Arm::Jaco.name()), place("visuomotor", domain, Arm::Jaco));
    let connected = jaco::driver::connect(&robot, place, options, clock.clone());
    connected.unwrap_or_else(|error| panic!("{error}")).guarded_by(guarding)
}

/// Not a test of its own: the driving child process of the tests.
#[test]
fn driver() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words: Vec<&str> = role.split(' ').collect();
    let [arm, mode, domain, guarding] = words[..] else { panic!("{role}") };
    let (domain, clock) = (domain.parse().unwrap(), Arc::new(SystemClock::new()));
    let mode = match mode {
        "velocity" => ControlMode::Velocity,
        "torque" => ControlMode::Torque,
        _ => ControlMode::Position,
    };
    let guarding = match guarding {
        "process" => Guarding::Process { program: PROGRAM.into(), limit: LIMIT },
        "waived" => Guarding::Waived,
        address => {
            let token = Token::new(stops::TOKEN).unwrap();
            Guarding::Remote { address: address.into(), token, limit: LIMIT }
        }
    };
    let stop = StopFlag::on_signals().unwrap();
    let (mut arm, guard): (Box<dyn ArmDriver>, Option<u32>) = if arm == "widowx" {
        let mut arm = connect_widowx(domain, guarding, &clock);
        arm.activate(clock.now(), mode).unwrap_or_else(|error| panic!("{error}"));
        let guard = arm.guard_process();
        (Box::new(arm), guard)
    } else if arm == Arm::Jaco.name() {
        let mut arm = connect_jaco(domain, guarding, &clock);
        arm.activate(clock.now(), mode).unwrap_or_else(|error| panic!("{error}"));
        let guard = arm.guard_process();
        (Box::new(arm), guard)
    } else {
        let mut arm = connect_stack(domain, guarding, &clock);
        arm.activate(clock.now(), mode).unwrap_or_else(|error| panic!("{error}"));
        let guard = arm.guard_process();
        (Box::new(arm), guard)
    };
    println!("turning");
    if let Some(guard) = guard {
        println!("guard {guard}");
    }
    turn(&mut *arm, mode, &clock, &stop);
    drop(arm);
    println!("ended");
    std::process::exit(7);
}

/// Turns the first joint until it is stopped, or until the arm reports a fault.
fn turn(arm: &mut (dyn ArmDriver + 'static), mode: ControlMode, clock: &SystemClock, stop: &StopFlag) {
    let joints = arm.capabilities().joints;
    let mut hand = HoldGuard::new(arm, clock.now());
    let mut position = hand.read(clock.now()).unwrap().joint_positions;
    let mut moving = JointVector::zeros(joints);
    while !stop.is_raised() {
        moving[0] = match mode {
            // Up to the speed within the limits of a tick, and away from the nearer limit of the joint.
            ControlMode::Velocity => moving[0] + (SPEED - moving[0]).clamp(-0.03, 0.03),
            _ => PUSH,
        };
        position[0] += SPEED * 0.01;
        let joints = if mode == ControlMode::Position { position } else { moving };
        let command = JointCommand::of(mode, joints, 1.0);
        let sensed = hand.read(clock.now()).map(drop).and_then(|()| hand.write(clock.now(), &command));
        if let Err(error) = sensed {
            println!("error: {error}");
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(hand);
    if let Some(reason) = stop.reason() {
        println!("stopped: {reason}");
    }
    // After an error it waits, so that the test sees the arm's reaction under a program that still lives.
    while !stop.is_raised() {
        std::thread::sleep(Duration::from_millis(10));
    }
}
