//! A dry run of each arm, by its emulated controller's log: nothing is commanded from the connection to its end.

use visuomotor::driver::{Undriven, jaco, panda, sawyer};
use visuomotor::transport::ros2::{RosNode, RosSettings};

use super::*;

/// Everything that a run does with an arm, until its end.
fn commands_nothing(arm: impl ArmDriver + 'static, clock: &dyn Clock, log: &CommandLog) {
    let mut arm = Undriven::new(Box::new(arm));
    let mode = arm.capabilities().modes[0];
    arm.activate(clock.now(), mode).unwrap();
    for _ in 0..100 {
        let here = read(&mut arm, clock).joint_positions;
        arm.write(clock.now(), &JointCommand::of(mode, here, 0.0)).unwrap();
        std::thread::sleep(Duration::from_millis(3));
    }
    arm.hold(clock.now()).unwrap();
    drop(arm);
    assert!(log.all().is_empty(), "{:?}", log.all());
}

#[test]
fn a_dry_run_of_panda_commands_nothing() {
    let (domain, clock, robot) = (domain(), clock(), robot("panda"));
    let stack =
        panda::ros2::emulator::start(&node("stack", domain), &robot, plant(&robot, 0.0), clock.clone()).unwrap();
    let settings = RosSettings::loopback("visuomotor", domain);
    let arm = panda::ros2::driver::connect(&robot, settings, patient(), clock.clone()).unwrap();
    commands_nothing(arm, &*clock, stack.log());
    assert!(stack.active().is_none(), "a controller was activated");
}

#[test]
fn a_dry_run_of_sawyer_commands_nothing() {
    let (domain, clock, robot) = (domain(), clock(), robot("sawyer"));
    let intera = sawyer::emulator::start(&node("intera", domain), &robot, plant(&robot, 0.0), clock.clone()).unwrap();
    let settings = RosSettings::loopback("visuomotor", domain);
    let options = sawyer::driver::SawyerOptions { link: patient(), ..Default::default() };
    let arm = sawyer::driver::connect(&robot, settings, options, clock.clone()).unwrap();
    commands_nothing(arm, &*clock, intera.log());
}

#[test]
fn a_dry_run_of_jaco_commands_nothing() {
    let (domain, clock, robot) = (domain(), clock(), robot("jaco_j2s7s300"));
    let namespace = jaco::wire::namespace(jaco::limits::kind(&robot));
    let kinova = RosNode::start(RosSettings::loopback("kinova", domain).with_namespace(&namespace)).unwrap();
    let kinova = jaco::emulator::start(&kinova, &robot, plant(&robot, 0.0), clock.clone()).unwrap();
    let settings = RosSettings::loopback("visuomotor", domain);
    let arm = jaco::driver::connect(&robot, settings, patient(), clock.clone()).unwrap();
    commands_nothing(arm, &*clock, kinova.log());
    assert!(!kinova.torque_mode());
}
