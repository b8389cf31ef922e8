//! Servo errors, commands that the node does not receive, and register reads that delay states.

use super::*;

/// A point that carries its weight on shoulder and elbow, as an arm does.
struct Loaded(PointPlant);

impl Plant for Loaded {
    fn joints(&self) -> usize {
        self.0.joints()
    }
    fn drive(&mut self, drive: Drive) {
        self.0.drive(drive);
    }
    fn drive_gripper(&mut self, fraction: f64) {
        self.0.drive_gripper(fraction);
    }
    fn advance_to(&mut self, now: Timestamp) {
        self.0.advance_to(now);
    }
    fn sense(&self) -> Proprioception {
        let mut sensed = self.0.sense();
        sensed.joint_efforts = JointVector::from_slice(&[0.0, 2.0, 1.0, 0.0, 0.0, 0.0]);
        sensed
    }
}

/// A servo fails: how many states later is it detected? They come at 100 Hz while the adapter's latency is 1 ms; at 16 ms, where a
/// register and a state take 17 ms each and alternate, seven of them are a quarter of a second.
#[test]
fn a_servo_error_is_known_within_a_quarter_of_a_second_at_either_latency() {
    let (fast, slow) = ((1, 25), (17, 7));
    for ((bus, most), servo, mode) in [
        (fast, 1, ControlMode::Position),
        (fast, 0, ControlMode::Velocity),
        (slow, 1, ControlMode::Velocity),
        (slow, 1, ControlMode::Position),
        // It carries no load and does not move: only its register shows it.
        (slow, 0, ControlMode::Position),
        (slow, 3, ControlMode::Velocity),
    ] {
        let mut bench = Bench::new(START);
        bench.power_off();
        bench.power_on_with(Box::new(Loaded(PointPlant::at(JointVector::from_slice(&START)))));
        let options = XsSdkOptions { health_period: 0.1, ..bench.options() };
        let mut arm = XsSdkArm::connect(&widowx(), options, bench.clock.clone()).unwrap();
        arm.activate(bench.clock.now(), mode).unwrap();
        bench.node().slow_bus(Duration::from_millis(bus));
        let mut joints =
            if mode == ControlMode::Position { JointVector::from_slice(&START) } else { JointVector::zeros(6) };
        let mut measured = arm.read(bench.clock.now()).unwrap().measured_at;
        let (mut states, mut died, mut known) = (0, None, None);
        until("the fault is known", || {
            match arm.read(bench.clock.now()) {
                Ok(state) if state.measured_at > measured => {
                    measured = state.measured_at;
                    states += 1;
                    joints[1] = if mode == ControlMode::Position { joints[1] + 0.002 } else { 0.3 };
                    arm.write(bench.clock.now(), &JointCommand::of(mode, joints, 1.0)).unwrap();
                    if states == 40 {
                        died = Some((bench.node().published(), Instant::now()));
                        bench.node().inject(Fault::Hardware(servo, 1 << 5));
                    }
                }
                Ok(_) => {}
                Err(DriverError::Fault(_)) => known = Some(bench.node().published()),
                Err(other) => panic!("{other}"),
            }
            known.is_some()
        });
        let (then, at) = died.expect("a fault before one was injected");
        let (states, ms) = (known.unwrap() - then, at.elapsed().as_millis());
        println!("{bus} ms bus, servo {servo}, {mode} mode: detected after {states} states, {ms} ms");
        assert!(states <= most, "{bus} ms bus, servo {servo}, {mode} mode: detected after {states} states, {ms} ms");
    }
}

/// Commands are lost while states arrive, and the node keeps executing the last velocity: the arm is stopped by service.
#[test]
fn an_arm_that_does_not_hear_its_topic_is_stopped_by_service() {
    let bench = Bench::new(START);
    let mut arm = bench.connect();
    arm.activate(bench.clock.now(), ControlMode::Velocity).unwrap();
    let mut turning = JointVector::zeros(6);
    turning[0] = 0.5;
    bench.send(&mut arm, &JointCommand::velocity(turning, 1.0));
    bench.node().inject(Fault::LostCommands(true));
    // It executes its last command, which is the current one: the loss cannot be seen.
    let begun = bench.node().positions()[0];
    until("it turns on", || {
        arm.write(bench.clock.now(), &JointCommand::velocity(turning, 1.0)).unwrap();
        bench.node().positions()[0] > begun + 0.2
    });
    arm.hold(bench.clock.now()).unwrap();
    let mut found = None;
    until("the loss is noticed", || {
        found = arm.read(bench.clock.now()).err();
        found.is_some()
    });
    assert_eq!(found, Some(DriverError::Runaway { joint: 0 }));
    assert!(found.unwrap().to_string().contains("hardware stop"));
    let (mut last, mut since) = (bench.node().positions()[0], Instant::now());
    until("it stands", || {
        let at = bench.node().positions()[0];
        if at != last {
            (last, since) = (at, Instant::now());
        }
        since.elapsed() > Duration::from_millis(500)
    });
    assert!(bench.node().torque(), "an arm without torque falls");
    // Once commands arrive again, it accepts them after recovery and activation.
    bench.node().inject(Fault::LostCommands(false));
    arm.recover(bench.clock.now()).unwrap_or_else(|error| panic!("{error}"));
    arm.activate(bench.clock.now(), ControlMode::Velocity).unwrap();
    bench.send(&mut arm, &JointCommand::velocity(turning, 1.0));
    until("it turns", || bench.node().positions()[0] > last + 0.05);
}

/// States delayed by a register read are no silence; states delayed by nothing are.
#[test]
fn a_register_read_is_no_silence() {
    let bench = Bench::new(START);
    // Without the read's allowance a quarter of all checks would find silence; a busy machine's delays are tolerated.
    let options = XsSdkOptions { silence: 0.03, health_period: 0.1, ..bench.options() };
    let mut arm = XsSdkArm::connect(&widowx(), options, bench.clock.clone()).unwrap();
    bench.node().slow_bus(Duration::from_millis(20));
    until("activation", || arm.activate(bench.clock.now(), ControlMode::Position).is_ok());
    // The first reads are not known to be slow.
    let reads = bench.node().register_reads() + 10;
    until("ten reads", || bench.node().register_reads() >= reads);
    let (mut silent, mut turns) = (0, 0);
    until("thirty reads", || {
        turns += 1;
        silent += u32::from(arm.read(bench.clock.now()) == Err(DriverError::Silent));
        bench.node().register_reads() >= reads + 30
    });
    assert!(silent * 20 <= turns, "{silent} of {turns} checks found silence");
}
