//! States lost, commands lost, both, in every mode of every arm, as measured at the emulated controllers. The timing on a
//! manual clock is in the driver's own tests; here it is the real links, topics and switches.

use visuomotor::driver::Grade;
use visuomotor::driver::guard::Guarding;
use visuomotor::driver::jaco;
use visuomotor::driver::panda;
use visuomotor::driver::ros2::Received;
use visuomotor::driver::sawyer::{self, driver::SawyerOptions};
use visuomotor::transport::ros2::{RosNode, RosSettings};

use super::*;

/// A time-out that a busy machine does not exhaust, and a test has.
fn options() -> LinkOptions {
    LinkOptions { stale: Duration::from_millis(500), deadline: Duration::from_millis(400), patience: LONG }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Loss {
    States,
    Commands,
    Both,
}

/// What an emulated controller lets a test read and break.
trait Emulated {
    fn mute(&self, muted: bool);
    fn log(&self) -> &CommandLog;
    /// Does it execute commands of this mode forever when no more come?
    fn follows(&self, mode: ControlMode) -> bool;
}

/// Drives the first joint on; position, rad/s or Nm by mode.
fn motion(mode: ControlMode, target: &mut JointVector) -> JointCommand {
    let mut joints = JointVector::zeros(target.len());
    match mode {
        ControlMode::Position => {
            target[0] += 0.001;
            joints = *target;
        }
        ControlMode::Velocity => joints[0] = 0.2,
        ControlMode::Torque => joints[0] = 0.2,
    }
    JointCommand::of(mode, joints, 0.5)
}

/// Moves, loses, and waits until the commands are at rest. Judged by what arrived.
fn lose(arm: &mut dyn ArmDriver, clock: &dyn Clock, emulator: &dyn Emulated, mode: ControlMode, loss: Loss) {
    let what = format!("{mode}, {loss:?} lost");
    arm.activate(clock.now(), mode).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut target = read(arm, clock).joint_positions;
    emulator.log().clear();
    let mut turns = 0;
    until("motion", || {
        turns += 1;
        let command = motion(mode, &mut target);
        arm.write(clock.now(), &command).unwrap();
        turns > 40 && emulator.log().all().iter().filter(|received| received.joints[0] != 0.0).count() > 10
    });
    emulator.mute(loss != Loss::Commands);
    let mut told = loss == Loss::Commands;
    let mut last_changed = Instant::now();
    let mut last = None;
    until(&what, || {
        if loss == Loss::States {
            let command = motion(mode, &mut target);
            // Refused once the driver knows.
            let _ = arm.write(clock.now(), &command);
        }
        if loss != Loss::Commands {
            told |= arm.read(clock.now()) == Err(DriverError::Silent);
        }
        let Some(newest) = emulator.log().all().last().map(|received| (received.mode, received.joints)) else {
            return false;
        };
        // A hold with a known position keeps pulling, ever more gently; one without is at rest.
        let still = if loss == Loss::Commands { 0.02 } else { 0.0 };
        let same = |last: &(ControlMode, JointVector)| {
            last.0 == newest.0 && last.1.iter().zip(newest.1.iter()).all(|(a, b)| (a - b).abs() <= 0.1 * still)
        };
        if !last.as_ref().is_some_and(same) {
            (last, last_changed) = (Some(newest), Instant::now());
        }
        let rest = newest.0 == ControlMode::Position || newest.1.iter().all(|value| value.abs() <= still);
        // Longer than any of the times after which something is done.
        told && rest && last_changed.elapsed() > Duration::from_millis(900)
    });
    emulator.mute(false);
    if loss != Loss::Commands {
        assert!(!emulator.follows(mode), "{what}: its controller keeps executing its last command");
    }
    // In every case it is over: the arm stands, is recovered and moves again.
    until("a recovery", || arm.recover(clock.now()).is_ok());
    until("standstill", || read(arm, clock).joint_velocities.iter().all(|v| v.abs() < 1e-3));
}

fn all(arm: &mut dyn ArmDriver, clock: &dyn Clock, robot: &Robot, emulator: &dyn Emulated) {
    for mode in arm.capabilities().modes.clone() {
        for loss in [Loss::States, Loss::Commands, Loss::Both] {
            lose(arm, clock, emulator, mode, loss);
            no_jump(robot, emulator.log());
        }
    }
}

impl Emulated for panda::ros2::emulator::PandaEmulator {
    fn mute(&self, muted: bool) {
        self.mute(muted);
    }
    fn log(&self) -> &CommandLog {
        self.log()
    }
    fn follows(&self, _: ControlMode) -> bool {
        self.active().is_some()
    }
}

impl Emulated for sawyer::emulator::SawyerEmulator {
    fn mute(&self, muted: bool) {
        self.mute(muted);
    }
    fn log(&self) -> &CommandLog {
        self.log()
    }
    fn follows(&self, _: ControlMode) -> bool {
        // Its velocities and torques expire; a position is held.
        false
    }
}

impl Emulated for jaco::emulator::JacoEmulator {
    fn mute(&self, muted: bool) {
        self.mute(muted);
    }
    fn log(&self) -> &CommandLog {
        self.log()
    }
    fn follows(&self, _: ControlMode) -> bool {
        self.torque_mode()
    }
}

/// Under torque, loses the arm's states: the command is sent until the driver knows, and then no torque at all.
/// Torques that fade let an arm coast twice as far as it may.
fn no_torque_fades(arm: &mut dyn ArmDriver, clock: &dyn Clock, emulator: &dyn Emulated, left: impl Fn() -> bool) {
    arm.activate(clock.now(), ControlMode::Torque).unwrap_or_else(|error| panic!("{error}"));
    let command = motion(ControlMode::Torque, &mut JointVector::zeros(7));
    let torque = f64::from(command.joints()[0] as f32);
    let pushes =
        |received: &&Received| received.mode == ControlMode::Torque && (received.joints[0] - torque).abs() < 1e-6;
    until("motion", || {
        arm.write(clock.now(), &command).unwrap();
        emulator.log().all().iter().filter(pushes).count() > 10
    });
    emulator.mute(true);
    emulator.log().clear();
    let mut told = false;
    until("silence and another mode", || {
        let _ = arm.write(clock.now(), &command);
        told |= arm.read(clock.now()) == Err(DriverError::Silent);
        told && left()
    });
    let torques: Vec<_> =
        emulator.log().all().into_iter().filter(|received| received.mode == ControlMode::Torque).collect();
    assert!(torques.iter().all(|received| pushes(&received)), "{torques:?}");
}

#[test]
fn sawyer_under_torque_is_held_in_position_mode_when_its_states_are_lost() {
    let (domain, clock, robot) = (domain(), clock(), robot("sawyer"));
    let intera = sawyer::emulator::start(&node("intera", domain), &robot, plant(&robot, 0.0), clock.clone()).unwrap();
    let settings = RosSettings::loopback("visuomotor", domain);
    let options = SawyerOptions { link: options(), ..Default::default() };
    let mut arm = sawyer::driver::connect(&robot, settings, options, clock.clone()).unwrap();
    let last = || intera.log().all().last().copied().filter(|received| received.mode == ControlMode::Position);
    no_torque_fades(&mut arm, &*clock, &intera, || last().is_some());
    // Its predicted position, not the last measured one.
    intera.mute(false);
    until("a state", || arm.observed(clock.now()).is_some_and(|state| state.joint_velocities[0].abs() < 1e-3));
    let stands = arm.observed(clock.now()).unwrap().joint_positions[0];
    let went = stands - near_home(&robot, 0.0)[0];
    assert!(went > 0.0 && (last().unwrap().joints[0] - stands).abs() < 0.2 * went, "{went} rad, {:?}", last());
}

#[test]
fn jaco_under_torque_is_told_to_leave_torque_mode_when_its_states_are_lost() {
    let (domain, clock, robot) = (domain(), clock(), robot("jaco_j2s7s300"));
    let namespace = jaco::wire::namespace(jaco::limits::kind(&robot));
    let settings = RosSettings::loopback("kinova", domain).with_namespace(&namespace);
    let kinova = RosNode::start(settings).unwrap();
    let kinova = jaco::emulator::start(&kinova, &robot, plant(&robot, 0.0), clock.clone()).unwrap();
    let settings = RosSettings::loopback("visuomotor", domain);
    let arm = jaco::driver::connect(&robot, settings, options(), clock.clone()).unwrap();
    let mut arm = arm.guarded_by(Guarding::Waived);
    no_torque_fades(&mut arm, &*clock, &kinova, || !kinova.torque_mode());
}

#[test]
fn panda_comes_to_rest_whatever_is_lost_and_its_controller_is_stopped() {
    let (domain, clock, mut robot) = (domain(), clock(), robot("panda"));
    robot.identity.control_rate_hz = 200.0;
    let stack = panda::ros2::emulator::start(&node("stack", domain), &robot, plant(&robot, 0.0), clock.clone());
    let settings = RosSettings::loopback("visuomotor", domain);
    let arm = panda::ros2::driver::connect(&robot, settings, options(), clock.clone()).unwrap();
    let mut arm = arm.guarded_by(Guarding::Waived);
    all(&mut arm, &*clock, &robot, &stack.unwrap());
}

#[test]
fn sawyer_comes_to_rest_whatever_is_lost() {
    let (domain, clock, robot) = (domain(), clock(), robot("sawyer"));
    let intera = sawyer::emulator::start(&node("intera", domain), &robot, plant(&robot, 0.0), clock.clone());
    let settings = RosSettings::loopback("visuomotor", domain);
    let options = SawyerOptions { link: options(), ..Default::default() };
    let mut arm = sawyer::driver::connect(&robot, settings, options, clock.clone()).unwrap();
    all(&mut arm, &*clock, &robot, &intera.unwrap());
}

#[test]
fn jaco_comes_to_rest_whatever_is_lost_and_leaves_torque_mode() {
    let (domain, clock, robot) = (domain(), clock(), robot("jaco_j2s7s300"));
    let namespace = jaco::wire::namespace(jaco::limits::kind(&robot));
    let settings = RosSettings::loopback("kinova", domain).with_namespace(&namespace);
    let kinova = RosNode::start(settings).unwrap();
    let kinova = jaco::emulator::start(&kinova, &robot, plant(&robot, 0.0), clock.clone());
    let settings = RosSettings::loopback("visuomotor", domain);
    let arm = jaco::driver::connect(&robot, settings, options(), clock.clone()).unwrap();
    let mut arm = arm.guarded_by(Guarding::Waived);
    all(&mut arm, &*clock, &robot, &kinova.unwrap());
}

#[test]
fn jaco_is_fit_at_its_own_ten_states_a_second() {
    let (domain, clock, robot) = (domain(), clock(), robot("jaco_j2s7s300"));
    let namespace = jaco::wire::namespace(jaco::limits::kind(&robot));
    let settings = RosSettings::loopback("kinova", domain).with_namespace(&namespace);
    let kinova = RosNode::start(settings).unwrap();
    let _kinova = jaco::emulator::start(&kinova, &robot, plant(&robot, 0.0), clock.clone()).unwrap();
    let options = LinkOptions { patience: LONG, ..jaco::driver::default_options() };
    let report =
        jaco::driver::check(&robot, RosSettings::loopback("visuomotor", domain), options, clock.clone()).unwrap();
    let rate = report.findings.iter().find(|finding| finding.what == "state messages").expect("it was not observed");
    assert_eq!(rate.grade, Grade::Good, "{} instead of the requested {}", rate.found, rate.expected);
}
