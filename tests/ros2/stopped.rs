//! The driving process is suspended and resumed, as with Ctrl-Z and `fg`, a debugger or a paused container. The emulated
//! controllers are in this process; the driving one is this test program once more, in another role.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::config::Robot;
use visuomotor::driver::guard::Guarding;
use visuomotor::driver::ros2::LinkOptions;
use visuomotor::driver::widowx::xs_sdk::driver::{XsSdkArm, XsSdkOptions};
use visuomotor::driver::widowx::xs_sdk::emulator::XsSdk;
use visuomotor::driver::{ArmDriver, PointPlant, panda};
use visuomotor::observation::JointVector;
use visuomotor::time::{Clock, SystemClock};
use visuomotor::transport::ros2::messages::sensor::JointState;
use visuomotor::transport::ros2::{Qos, RosNode, RosSettings, repeated_waits};

use super::{LONG, domain};

/// Names the role of the other process, and its domain.
const ROLE: &str = "VISUOMOTOR_TEST_DRIVING_PROCESS";

/// Time for which it is suspended.
const STOPPED: Duration = Duration::from_millis(50);

fn robot(name: &str) -> Robot {
    let mut robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), name).unwrap();
    robot.identity.control_rate_hz = robot.identity.control_rate_hz.min(200.0);
    robot
}

/// The driving process; it ends with this.
struct Driving {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Driving {
    fn start(role: &str, domain: u16, off: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "ros2::stopped::drives_in_another_process", "--ignored", "--nocapture"])
            .env(ROLE, format!("{role} {domain}"))
            // Of effect only in a build with the feature `fault-controls`.
            .env("VISUOMOTOR_PROTECTION_OFF", off)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, input, output }
    }

    /// Its next line with this beginning.
    fn says(&mut self, beginning: &str) -> String {
        loop {
            let line = self.output.next().expect("the driving process ended").unwrap();
            if let Some(at) = line.find(beginning) {
                return line[at + beginning.len()..].to_string();
            }
        }
    }

    fn told(&mut self, word: &str) {
        writeln!(self.input, "{word}").unwrap();
        self.input.flush().unwrap();
    }

    fn signal(&self, signal: i32) {
        // SAFETY: the process is our child and was not waited for, so its number is not reused.
        assert_eq!(unsafe { libc::kill(self.process.id() as i32, signal) }, 0);
    }

    fn stop_and_continue(&self) {
        self.signal(libc::SIGSTOP);
        std::thread::sleep(STOPPED);
        self.signal(libc::SIGCONT);
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !done() {
        assert!(Instant::now() < deadline, "not within {LONG:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The driving process: turns the first joint until it is sent a hold, then prints its link's state.
#[test]
#[ignore = "child process of the other tests in this file"]
fn drives_in_another_process() {
    let role = std::env::var(ROLE).expect("only run as a child process of a test");
    let (role, domain) = role.split_once(' ').unwrap();
    let domain = domain.parse().unwrap();
    let clock = Arc::new(SystemClock::new());
    let waiting = Duration::from_secs(20);
    // No link at all: only the middleware, and its network threads when they are interrupted.
    if role == "listener" {
        let node = RosNode::start(RosSettings::loopback("listener", domain)).unwrap();
        let mut states = node.subscriber::<JointState>("numbers", Qos::State).unwrap();
        println!("\nready");
        for line in std::io::stdin().lines() {
            if line.unwrap() == "count" {
                let heard = states.wait(waiting).unwrap().is_some();
                println!("\nheard {heard} alive {} repeated {}", node.loops_alive(), repeated_waits() > 0);
            }
        }
        return;
    }
    let mut arm: Box<dyn ArmDriver> = match role {
        "widowx" => {
            let settings = RosSettings::loopback("visuomotor", domain).with_namespace("wx250s");
            // Late states are not tested here, only that they come.
            let options = XsSdkOptions {
                patience: 30.0,
                silence: 5.0,
                command_gap: 5.0,
                guarding: Guarding::Waived,
                ..XsSdkOptions::new(settings)
            };
            Box::new(XsSdkArm::connect(&robot("widowx"), options, clock.clone()).unwrap())
        }
        _ => {
            let settings = RosSettings::loopback("visuomotor", domain);
            let options = LinkOptions {
                stale: Duration::from_secs(5),
                deadline: Duration::from_secs(5),
                patience: Duration::from_secs(30),
            };
            let arm = panda::ros2::driver::connect(&robot("panda"), settings, options, clock.clone()).unwrap();
            Box::new(arm.guarded_by(Guarding::Waived))
        }
    };
    arm.activate(clock.now(), ControlMode::Velocity).unwrap();
    let (told, tells) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let _ = told.send(line);
        }
    });
    println!("\nready");
    let mut speed = JointVector::zeros(arm.capabilities().joints);
    // Ends with its parent, whose end closes the channel.
    loop {
        match tells.recv_timeout(Duration::from_millis(10)) {
            Ok(word) if word == "hold" => break,
            Ok(faster) => speed[0] = faster.parse().unwrap(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        match arm.read(clock.now()) {
            Ok(_) => {
                // The next reading shows any error.
                let _ = arm.write(clock.now(), &JointCommand::velocity(speed, 0.5));
            }
            Err(error) => println!("\nerror {error:?}"),
        }
    }
    arm.hold(clock.now()).unwrap();
    println!("\nheld");
    // Ending the driver would be a stop of its own.
    while tells.recv().is_ok() {}
}

#[test]
fn the_middleware_waits_with_our_epoll_wait_and_outlives_a_stop_and_continue() {
    let domain = domain();
    let node = RosNode::start(RosSettings::loopback("speaker", domain)).unwrap();
    let numbers = node.publisher::<JointState>("numbers", Qos::State).unwrap();
    let mut other = Driving::start("listener", domain, "");
    other.says("ready");
    numbers.wait_for_subscriber(LONG).unwrap();
    for _ in 0..3 {
        other.stop_and_continue();
    }
    other.told("count");
    // It waits for events that its event loop must bring.
    let (heard, hears) = std::sync::mpsc::channel::<()>();
    let speaking = std::thread::spawn(move || {
        // Until the other end is dropped.
        while hears.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
            numbers.publish(JointState::default()).unwrap();
        }
    });
    let answer = other.says("heard ");
    drop(heard);
    speaking.join().unwrap();
    assert_eq!(answer, "true alive true repeated true");
}

#[test]
fn commands_and_a_hold_reach_xs_sdk_after_a_stop_and_continue() {
    let (domain, clock) = (domain(), Arc::new(SystemClock::new()));
    let settings = RosSettings::loopback("xs_sdk", domain).with_namespace("wx250s");
    let node = RosNode::start(settings).unwrap();
    let start = JointVector::from_slice(&[0.0, -0.9, 0.9, 0.0, 0.3, 0.0]);
    let xs_sdk = XsSdk::start(&node, &robot("widowx"), Box::new(PointPlant::at(start)), clock).unwrap();
    let newest = || xs_sdk.commands().back().map(|command| command.values[0]);
    let mut driving = Driving::start("widowx", domain, "");
    driving.says("ready");
    driving.told("0.1");
    until("commands", || newest() == Some(0.1));
    driving.stop_and_continue();
    // A command that did not exist before.
    driving.told("0.2");
    until("commands after it went on", || newest() == Some(0.2));
    driving.told("hold");
    driving.says("held");
    until("the hold", || newest() == Some(0.0));
    let (there, states) = (xs_sdk.positions()[0], xs_sdk.published());
    until("states after the hold", || xs_sdk.published() >= states + 10);
    assert_eq!(xs_sdk.positions()[0], there, "the joint keeps turning");
}

#[test]
fn commands_and_a_hold_reach_ros2_control_after_a_stop_and_continue() {
    let (domain, clock, robot) = (domain(), Arc::new(SystemClock::new()), robot("panda"));
    let node = RosNode::start(RosSettings::loopback("stack", domain)).unwrap();
    let mut plant = PointPlant::at(JointVector::from_slice(&robot.identity.home));
    plant.speed = 1.2;
    let stack = panda::ros2::emulator::start(&node, &robot, Box::new(plant), clock).unwrap();
    let newest =
        |speed: f64| stack.log().all().last().is_some_and(|received| (received.joints[0] - speed).abs() < 1e-9);
    let mut driving = Driving::start("panda", domain, "");
    driving.says("ready");
    driving.told("0.1");
    until("commands", || newest(0.1));
    driving.stop_and_continue();
    driving.told("0.2");
    until("commands after it went on", || newest(0.2));
    driving.told("hold");
    driving.says("held");
    until("the hold", || newest(0.0));
}

/// Where waits are not repeated, the event loops end: that is a named fault, and new ones command the arm to stop.
#[test]
#[cfg_attr(
    not(feature = "fault-controls"),
    ignore = "its event loops can only be ended in a build with fault-controls"
)]
fn event_loops_that_ended_are_a_fault_and_new_ones_stop_the_arm() {
    let (domain, clock, arm) = (domain(), Arc::new(SystemClock::new()), robot("panda"));
    let node = RosNode::start(RosSettings::loopback("stack", domain)).unwrap();
    let plant = PointPlant::at(JointVector::from_slice(&arm.identity.home));
    let stack = panda::ros2::emulator::start(&node, &arm, Box::new(plant), clock.clone()).unwrap();
    let mut driving = Driving::start("panda", domain, "EpollRetry");
    driving.says("ready");
    driving.told("0.1");
    until("commands", || stack.log().all().last().is_some_and(|received| received.joints[0] > 0.05));
    driving.stop_and_continue();
    assert_eq!(driving.says("error "), "LinkDied");
    until("its controller is stopped", || stack.active().is_none());
    assert_eq!(stack.log().all().last().unwrap().joints[0], 0.0);

    let settings = RosSettings::loopback("xs_sdk", domain).with_namespace("wx250s");
    let node = RosNode::start(settings).unwrap();
    let start = JointVector::from_slice(&[0.0, -0.9, 0.9, 0.0, 0.3, 0.0]);
    let xs_sdk = XsSdk::start(&node, &robot("widowx"), Box::new(PointPlant::at(start)), clock).unwrap();
    let mut driving = Driving::start("widowx", domain, "EpollRetry");
    driving.says("ready");
    driving.told("0.1");
    until("commands", || xs_sdk.commands().back().is_some_and(|command| command.values[0] == 0.1));
    driving.stop_and_continue();
    assert_eq!(driving.says("error "), "LinkDied");
    until("zeros", || xs_sdk.commands().back().is_some_and(|command| command.values == [0.0; 6]));
}
