//! States, commands or the node itself lost, and a node that comes back in another mode.

use super::*;

/// States lost, commands lost, both, in both modes: the arm stops, and later commands wait for an activation.
#[test]
fn whatever_is_lost_the_arm_comes_to_rest() {
    for mode in [ControlMode::Position, ControlMode::Velocity] {
        for (states_lost, commands_lost) in [(true, false), (false, true), (true, true)] {
            let what = format!("{mode}, states lost {states_lost}, commands lost {commands_lost}");
            let bench = Bench::new(START);
            let options = XsSdkOptions { silence: 0.4, command_gap: 0.3, ..bench.options() };
            let mut arm = XsSdkArm::connect(&widowx(), options, bench.clock.clone()).unwrap();
            arm.activate(bench.clock.now(), mode).unwrap();
            let mut joints = JointVector::from_slice(&START);
            let mut motion = |turn: u32| {
                match mode {
                    ControlMode::Position => joints[0] = 0.002 * f64::from(turn),
                    _ => {
                        joints.fill(0.0);
                        joints[0] = 0.2;
                    }
                }
                JointCommand::of(mode, joints, 1.0)
            };
            for turn in 0..40 {
                bench.send(&mut arm, &motion(turn));
            }
            bench.node().inject(Fault::Silence(states_lost));
            let mut turn = 40;
            let (mut last, mut since) = (None, Instant::now());
            until(&what, || {
                turn += 1;
                if !commands_lost {
                    // Refused once the driver knows, and then a hold, as the loops do.
                    let command = motion(turn);
                    if arm.write(bench.clock.now(), &command).is_err() {
                        let _ = arm.hold(bench.clock.now());
                    }
                }
                std::thread::sleep(Duration::from_millis(5));
                let at = bench.node().positions();
                if last.as_ref() != Some(&at) {
                    (last, since) = (Some(at), Instant::now());
                }
                since.elapsed() > Duration::from_millis(700)
            });
            let commands = bench.node().commands();
            let newest = commands.back().unwrap();
            if mode == ControlMode::Velocity {
                assert_eq!(newest.values, [0.0; 6], "{what}");
            } else {
                assert!((f64::from(newest.values[0]) - bench.node().positions()[0]).abs() < 1e-3, "{what}");
            }
            no_jump(&commands);
            if states_lost {
                assert_eq!(arm.read(bench.clock.now()), Err(DriverError::Silent), "{what}");
                // Nothing more is sent, whatever is commanded, until it is activated again.
                bench.node().inject(Fault::Silence(false));
                let said = bench.node().commands().len();
                until("states come again", || arm.read(bench.clock.now()).is_ok());
                arm.write(bench.clock.now(), &motion(turn + 1)).unwrap();
                arm.hold(bench.clock.now()).unwrap();
                // The thread ends after its last messages.
                drop(arm);
                let after: Vec<_> = bench.node().commands().into_iter().skip(said).collect();
                assert!(after.iter().all(|command| command.values == [0.0; 6]), "{what}: {after:?}");
                assert!(mode == ControlMode::Velocity || after.is_empty(), "{what}: {after:?}");
            }
        }
    }
}

/// The node is in position mode after a restart: zero velocities would be read as positions.
#[test]
fn a_node_that_was_started_again_in_another_mode_is_told_nothing() {
    let mut bench = Bench::new(START);
    let mut arm = bench.connect();
    arm.activate(bench.clock.now(), ControlMode::Velocity).unwrap();
    let mut turning = JointVector::zeros(6);
    turning[0] = 0.2;
    bench.send(&mut arm, &JointCommand::velocity(turning, 1.0));
    bench.power_off();
    until("silence is noticed", || arm.read(bench.clock.now()) == Err(DriverError::Silent));
    arm.hold(bench.clock.now()).unwrap();
    // All blind stops were sent before a node could start again.
    std::thread::sleep(Duration::from_secs(1));
    bench.power_on(POSES[0]);
    until("states come again", || arm.read(bench.clock.now()).is_ok());
    arm.hold(bench.clock.now()).unwrap();
    arm.recover(bench.clock.now()).unwrap_or_else(|error| panic!("{error}"));
    drop(arm);
    let commands = bench.node().commands();
    assert!(commands.is_empty(), "in position mode it received {commands:?}");
}

/// Another mode means other numbers: the last command of the old mode must not be sent in the new one.
#[test]
fn changing_the_mode_says_nothing_of_the_old_one_in_the_new_one() {
    let bench = Bench::new(START);
    let options = XsSdkOptions { command_gap: 0.1, ..bench.options() };
    let mut arm = XsSdkArm::connect(&widowx(), options, bench.clock.clone()).unwrap();
    for mode in [ControlMode::Velocity, ControlMode::Position, ControlMode::Velocity, ControlMode::Position] {
        arm.activate(bench.clock.now(), mode).unwrap();
        bench.node().slow_bus(Duration::from_millis(20));
        let still = if mode == ControlMode::Velocity { JointVector::zeros(6) } else { JointVector::from_slice(&START) };
        bench.send(&mut arm, &JointCommand::of(mode, still, 1.0));
    }
    for command in bench.node().commands() {
        let wanted = if command.mode == "velocity" { [0.0; 6] } else { START };
        for (value, wanted) in command.values.iter().zip(wanted) {
            assert!((f64::from(*value) - wanted).abs() < 1e-3, "{command:?}");
        }
    }
}
