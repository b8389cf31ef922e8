//! The guard: its reaction when the program is dead, suspended or well, and when the guard itself dies.

use visuomotor::driver::jaco::emulator::Inactivity;
use visuomotor::driver::widowx::xs_sdk::emulator::Fault;
use visuomotor::driver::{DriverError, GuardFault};

use super::*;

/// Token and address for a guard on another host.
pub const TOKEN: &str = "0123456789abcdef";

/// The arm stops soon after the program was killed, and the guard then ends.
fn killed(arm: Arm, mode: ControlMode) {
    let bench = Bench::new(arm);
    let mut driver = bench.drive(mode, "process");
    let guard = driver.guard();
    assert!(exists(guard));
    let from = bench.at();
    driver.signal(libc::SIGKILL);
    let far = bench.comes_to_rest(from);
    assert!(far < FAR, "{arm:?} in {mode} mode moved on by {far} rad");
    assert_eq!(bench.controller(), None, "the controller is switched off");
    driver.ends();
    until("the guard ends", || !exists(guard));
}

#[test]
fn kill_9_of_a_program_that_turns_a_widowx_leaves_it_standing() {
    killed(Arm::WidowX, ControlMode::Velocity);
}

#[test]
fn kill_9_of_a_program_that_turns_a_panda_leaves_it_standing() {
    killed(Arm::Panda, ControlMode::Velocity);
}

#[test]
fn kill_9_of_a_program_that_pushes_a_panda_leaves_it_standing() {
    killed(Arm::Panda, ControlMode::Torque);
}

/// Its controller would let it float and coast: it never stops by itself.
#[test]
fn kill_9_in_torque_mode_leaves_a_jaco_of_inactivity_type_1_standing() {
    killed(Arm::Jaco, ControlMode::Torque);
}

/// Why the guard is needed: the same without it, and with an arm set to stop by itself.
#[test]
fn a_jaco_whose_guard_was_waived_coasts_when_its_program_is_killed_unless_its_inactivity_type_is_0() {
    for inactivity in [Inactivity::Float, Inactivity::Hold] {
        let bench = Bench::new(Arm::Jaco);
        let Emulator::Jaco(node) = &bench.emulator else { unreachable!("a Jaco") };
        node.set_inactivity(inactivity);
        let driver = bench.drive(ControlMode::Torque, "waived");
        let from = bench.at();
        driver.signal(libc::SIGKILL);
        if inactivity == Inactivity::Float {
            until("it goes farther than any guarded one", || (bench.at() - from).abs() > 2.0 * FAR);
            assert_eq!(bench.controller(), Some(ControlMode::Torque));
        } else {
            let far = bench.comes_to_rest(from);
            assert!(far < FAR, "it moved on by {far} rad");
            assert_eq!(bench.controller(), None);
        }
    }
}

/// The guard's zeros are lost like the program's commands: it stops the servos by service.
#[test]
fn kill_9_while_commands_are_lost_leaves_a_widowx_standing() {
    let bench = Bench::new(Arm::WidowX);
    let driver = bench.drive(ControlMode::Velocity, "process");
    let Emulator::WidowX(node) = &bench.emulator else { unreachable!("a WidowX") };
    node.inject(Fault::LostCommands(true));
    let from = bench.at();
    driver.signal(libc::SIGKILL);
    let far = bench.comes_to_rest(from);
    assert!(far < FAR, "it moved on by {far} rad");
}

/// Why the guard is needed: the same without it.
#[test]
fn an_arm_whose_guard_was_waived_moves_on_when_its_program_is_killed() {
    for arm in [Arm::WidowX, Arm::Panda] {
        let bench = Bench::new(arm);
        let driver = bench.drive(ControlMode::Velocity, "waived");
        let from = bench.at();
        driver.signal(libc::SIGKILL);
        until("it goes farther than any guarded one", || (bench.at() - from).abs() > 2.0 * FAR);
    }
}

#[test]
fn a_suspended_program_finds_its_arm_standing_and_does_not_move_it_again() {
    for (arm, mode) in
        [(Arm::WidowX, ControlMode::Velocity), (Arm::Panda, ControlMode::Velocity), (Arm::Jaco, ControlMode::Torque)]
    {
        let bench = Bench::new(arm);
        let mut driver = bench.drive(mode, "process");
        let guard = driver.guard();
        let from = bench.at();
        driver.signal(libc::SIGSTOP);
        let far = bench.comes_to_rest(from);
        assert!(far < FAR, "{arm:?} moved on by {far} rad");
        let stood = bench.at();
        driver.signal(libc::SIGCONT);
        let said = driver.expect("error: ");
        assert!(said.contains("guard"), "{said}");
        let after = bench.comes_to_rest(stood);
        assert!(after < 0.01, "{arm:?} moved by {after} rad after its program came back");
        driver.signal(libc::SIGTERM);
        driver.expect("ended");
        assert_eq!(driver.ends().code(), Some(7));
        until("the guard ends", || !exists(guard));
    }
}

#[test]
fn a_killed_guard_is_a_fault_and_the_program_holds_the_arm() {
    for (arm, mode) in [
        (Arm::WidowX, ControlMode::Velocity),
        (Arm::Panda, ControlMode::Velocity),
        (Arm::Panda, ControlMode::Torque),
        (Arm::Jaco, ControlMode::Torque),
    ] {
        let bench = Bench::new(arm);
        let mut driver = bench.drive(mode, "process");
        let guard = driver.guard();
        let from = bench.at();
        send(guard, libc::SIGKILL);
        let said = driver.expect("error: ");
        assert!(said.contains("the guard is gone"), "{said}");
        let far = bench.comes_to_rest(from);
        assert!(far < FAR, "{arm:?} in {mode} mode moved on by {far} rad");
        driver.signal(libc::SIGINT);
        assert_eq!(driver.ends().code(), Some(7));
    }
}

#[test]
fn ctrl_c_and_hang_up_spare_the_guard_and_an_orderly_end_takes_it_along() {
    let bench = Bench::new(Arm::WidowX);
    let mut driver = bench.drive(ControlMode::Velocity, "process");
    let guard = driver.guard();
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGTSTP, libc::SIGUSR1] {
        send(guard, signal);
    }
    let from = bench.at();
    until("it turns on", || (bench.at() - from).abs() > 0.1);
    assert!(exists(guard), "only its program may end a guard");
    driver.signal(libc::SIGTERM);
    driver.expect("ended");
    let far = bench.comes_to_rest(bench.at());
    assert!(far < 0.01, "{far}");
    assert_eq!(driver.ends().code(), Some(7));
    until("the guard ends", || !exists(guard));
}

#[test]
fn without_a_guard_endless_modes_are_refused_in_words_and_position_mode_is_not() {
    let clock = Arc::new(SystemClock::new());
    let bench = Bench::new(Arm::WidowX);
    let mut arm = connect_widowx(bench.domain, Guarding::None, &clock);
    let refused = arm.activate(clock.now(), ControlMode::Velocity).unwrap_err();
    assert_eq!(refused, DriverError::Guard(GuardFault::Missing));
    let words = refused.to_string();
    assert!(words.contains("--unguarded-arm-moves-on-if-this-program-dies") && words.contains("for ever"), "{words}");
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    drop(arm);
    let bench = Bench::new(Arm::Panda);
    let mut arm = connect_stack(bench.domain, Guarding::None, &clock);
    for mode in [ControlMode::Velocity, ControlMode::Torque] {
        assert_eq!(arm.activate(clock.now(), mode), Err(DriverError::Guard(GuardFault::Missing)));
        assert_eq!(bench.controller(), None, "nothing is switched on before it is guarded");
    }
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    let jaco = Bench::new(Arm::Jaco);
    let mut floating = connect_jaco(jaco.domain, Guarding::None, &clock);
    let refused = floating.activate(clock.now(), ControlMode::Torque);
    assert_eq!(refused, Err(DriverError::Guard(GuardFault::Missing)));
    assert_eq!(jaco.controller(), None, "nothing is switched on before it is guarded");
    floating.activate(clock.now(), ControlMode::Velocity).unwrap();
    // A guard that cannot be started does not count as one.
    let nothing = Guarding::Process { program: "/no/such/program".into(), limit: LIMIT };
    let mut arm = arm.guarded_by(nothing);
    assert_eq!(arm.activate(clock.now(), ControlMode::Velocity), Err(DriverError::Guard(GuardFault::Ended)));
}

#[test]
fn a_second_program_is_refused_although_the_first_one_has_a_guard() {
    let bench = Bench::new(Arm::WidowX);
    let mut driver = bench.drive(ControlMode::Velocity, "process");
    let options = XsSdkOptions { patience: 30.0, ..XsSdkOptions::new(place("other", bench.domain, Arm::WidowX)) };
    let refused = XsSdkArm::connect(&robot("widowx"), options, Arc::new(SystemClock::new()));
    let words = refused.err().expect("a second commander was let in").to_string();
    assert!(words.contains("other programs that publish commands"), "{words}");
    driver.signal(libc::SIGTERM);
    assert_eq!(driver.ends().code(), Some(7));
}

#[test]
fn an_arm_that_was_stopped_by_its_guard_is_activated_again_with_another() {
    let (bench, clock) = (Bench::new(Arm::Panda), Arc::new(SystemClock::new()));
    let guarding = Guarding::Process { program: PROGRAM.into(), limit: LIMIT };
    let mut arm = connect_stack(bench.domain, guarding, &clock);
    arm.activate(clock.now(), ControlMode::Velocity).unwrap_or_else(|error| panic!("{error}"));
    let first = arm.guard_process().unwrap();
    send(first, libc::SIGKILL);
    until("the loss is noticed", || arm.read(clock.now()) == Err(DriverError::Guard(GuardFault::Ended)));
    arm.recover(clock.now()).unwrap_or_else(|error| panic!("{error}"));
    arm.activate(clock.now(), ControlMode::Velocity).unwrap_or_else(|error| panic!("{error}"));
    let second = arm.guard_process().unwrap();
    assert!(second != first && exists(second));
    assert!(arm.read(clock.now()).is_ok());
    // Another mode needs another guard, and position mode none.
    arm.activate(clock.now(), ControlMode::Torque).unwrap_or_else(|error| panic!("{error}"));
    until("the guard of the other mode ends", || !exists(second));
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    assert_eq!(arm.guard_process(), None);
}

/// A hold returns a Jaco to its own position mode, and re-entering torque mode takes longer than a heartbeat.
#[test]
fn a_jaco_that_holds_for_long_and_is_commanded_on_keeps_its_guard() {
    let (bench, clock) = (Bench::new(Arm::Jaco), Arc::new(SystemClock::new()));
    let guarding = Guarding::Process { program: PROGRAM.into(), limit: LIMIT };
    let mut arm = connect_jaco(bench.domain, guarding, &clock);
    arm.activate(clock.now(), ControlMode::Torque).unwrap_or_else(|error| panic!("{error}"));
    let guard = arm.guard_process().unwrap();
    let mut push = JointVector::zeros(7);
    push[0] = PUSH;
    for _ in 0..3 {
        let from = bench.at();
        until("the joint turns", || {
            arm.write(clock.now(), &JointCommand::torque(push, 1.0)).unwrap();
            arm.read(clock.now()).unwrap_or_else(|error| panic!("{error}"));
            (bench.at() - from).abs() > 0.05
        });
        arm.hold(clock.now()).unwrap();
        until("position mode", || bench.controller().is_none());
        bench.comes_to_rest(bench.at());
        arm.read(clock.now()).unwrap_or_else(|error| panic!("{error}"));
    }
    assert_eq!(arm.guard_process(), Some(guard));
    drop(arm);
    until("the guard ends", || !exists(guard));
}

#[test]
fn a_guard_that_listens_stops_the_arm_of_a_program_that_shows_its_token() {
    let bench = Bench::new(Arm::WidowX);
    let mut guard = Command::new(PROGRAM)
        .args(["guard", "--listen", "127.0.0.1:0"])
        .env("VISUOMOTOR_GUARD_TOKEN", TOKEN)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(guard.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let address = said.split(';').next().unwrap().trim_start_matches("guard at ").to_string();
    let mut driver = bench.drive(ControlMode::Velocity, &address);
    let from = bench.at();
    driver.signal(libc::SIGKILL);
    let far = bench.comes_to_rest(from);
    assert!(far < FAR, "it moved on by {far} rad");
    driver.ends();
    assert!(guard.try_wait().unwrap().is_none(), "the guard waits for the next program");
    send(guard.id(), libc::SIGTERM);
    until("the listening guard ends", || guard.try_wait().unwrap().is_some());
}

#[test]
fn a_guard_is_not_typed_by_hand() {
    let output = Command::new(PROGRAM).args(["guard", "--listen", "127.0.0.1:0"]).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("VISUOMOTOR_GUARD_TOKEN"), "{words}");
    let output = Command::new(PROGRAM).arg("guard").stdin(Stdio::null()).output().unwrap();
    assert_ne!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("refused"));
}
