//! A bad cable: corrupted packets are repeated or dropped, never misread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::driver::widowx::dynamixel::driver::{DynamixelArm, FaultKind};
use visuomotor::driver::widowx::dynamixel::emulator::EmulatedLink;
use visuomotor::driver::{ArmDriver, DriverError};
use visuomotor::observation::JointVector;
use visuomotor::time::Timestamp;
use visuomotor::transport::{ByteLink, FaultRates, FaultyLink, LinkError};

use super::bench_station::*;

/// 400 ticks with these faults: how many got a fresh measurement, how many did not, and the number of repetitions.
fn run(rates: FaultRates, seed: u64) -> (u32, u32, u64) {
    let bus = bus();
    let link = FaultyLink::new(bus.link(), rates, seed);
    let switch = link.switch();
    // A start requires a good cable.
    switch.store(false, Ordering::Relaxed);
    let mut arm = DynamixelArm::connect(link, &robot(), Default::default()).unwrap();
    arm.activate(bus.now(), ControlMode::Position).unwrap();
    switch.store(true, Ordering::Relaxed);
    let before = arm.counters().retries;
    let (mut fresh, mut stale) = (0, 0);
    let mut goal = JointVector::from_slice(&SLEEP);
    let mut next = bus.now();
    for tick in 0..400 {
        next = next + TICK;
        bus.pass(next.since(bus.now()));
        let truth = bus.with(|bus| bus.plant().sense().joint_positions);
        let started = bus.now();
        match arm.read(next) {
            Ok(sensed) if sensed.measured_at == next => {
                fresh += 1;
                for (a, b) in sensed.joint_positions.iter().zip(truth.iter()) {
                    assert!((a - b).abs() < 0.02, "a corrupted position was accepted: {a} instead of {b}");
                }
            }
            Ok(_) | Err(DriverError::Silent) => stale += 1,
            // So much is lost that servos received nothing for 200 ms.
            Err(DriverError::Fault(code))
                if FaultKind::of(code).is_some_and(|fault| fault.kind == FaultKind::Watchdog) =>
            {
                break;
            }
            Err(error) => panic!("{error}"),
        }
        // The budget, and the stop that follows once the bus is silent.
        let took = bus.now().since(started);
        assert!(took < TICK, "a read took {took:?}");
        goal[0] = 0.5 * (f64::from(tick) * 0.02).sin();
        arm.write(next, &JointCommand::position(goal, 1.0)).unwrap();
    }
    (fresh, stale, arm.counters().retries - before)
}

#[test]
fn a_good_cable_needs_no_repetition() {
    assert_eq!(run(FaultRates::default(), 1), (400, 0, 0));
}

#[test]
fn corrupted_lost_and_cut_bytes_are_repeated_within_the_budget_and_never_believed() {
    let faults = [
        FaultRates { corrupt: 0.001, ..Default::default() },
        FaultRates { drop: 0.001, ..Default::default() },
        FaultRates { cut: 0.05, ..Default::default() },
        FaultRates { delay: 0.05, ..Default::default() },
    ];
    for (seed, rates) in faults.into_iter().enumerate() {
        let (fresh, stale, retries) = run(rates, seed as u64);
        assert_eq!(fresh + stale, 400);
        assert!(fresh >= 360 && retries > 10, "{rates:?}: {fresh} fresh, {stale} stale, {retries} repeated");
    }
    // One byte in a hundred: most whole cycles fail, yet every accepted value is correct.
    let (fresh, _, retries) = run(FaultRates { corrupt: 0.01, ..Default::default() }, 9);
    assert!(fresh > 20 && retries > 20, "{fresh} fresh, {retries} repeated");
}

/// The other end is starved of processor time: some writes arrive only together with the next one.
struct StarvedLink {
    inner: EmulatedLink,
    held: Vec<u8>,
    /// Calls left until one is held back again, and how many calls lie between two.
    left: u32,
    every: u32,
    late: Arc<AtomicU32>,
}

impl ByteLink for StarvedLink {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.left -= 1;
        if self.left == 0 {
            self.left = self.every;
            self.late.fetch_add(1, Ordering::Relaxed);
            self.held.extend_from_slice(bytes);
            return Ok(());
        }
        let held = std::mem::take(&mut self.held);
        self.inner.write_all(&held)?;
        self.inner.write_all(bytes)
    }

    fn read(&mut self, into: &mut [u8], until: Timestamp) -> Result<usize, LinkError> {
        self.inner.read(into, until)
    }

    fn discard_input(&mut self) -> Result<(), LinkError> {
        self.inner.discard_input()
    }

    fn reopen(&mut self) -> Result<(), LinkError> {
        self.inner.reopen()
    }
}

/// A test run on a loaded computer once ended with "wrist_rotate has torque off": the reply had come after its request
/// was repeated, and two replies to one request were discarded. Every position within a start is tried.
#[test]
fn late_answers_at_a_start_are_not_taken_for_a_fault_nor_for_the_next_answer() {
    for paced in [true, false] {
        // Up to the length of a whole start.
        for every in 12.. {
            let bus = bus();
            bus.with(|bus| bus.set_paced(paced));
            let late = Arc::new(AtomicU32::new(0));
            let link = StarvedLink { inner: bus.link(), held: Vec::new(), left: every, every, late: late.clone() };
            let mut arm = DynamixelArm::connect(link, &robot(), Default::default())
                .unwrap_or_else(|error| panic!("every {every}: {error}"));
            if let Err(error) = arm.activate(bus.now(), ControlMode::Position) {
                panic!("every {every}, paced {paced}: {error}, {error:?}");
            }
            if late.load(Ordering::Relaxed) == 0 {
                assert!(every > 100, "a start has {every} requests");
                break;
            }
            // Every servo's health is read.
            for _ in 0..20 {
                bus.pass(TICK);
                let read = arm.read(bus.now());
                assert!(read.is_ok(), "every {every}: {read:?}");
            }
        }
    }
}
