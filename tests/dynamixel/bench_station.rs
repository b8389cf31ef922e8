//! An emulated arm on a bus in memory, with a manual clock.

use std::path::Path;
use std::time::Duration;

use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::config::Robot;
use visuomotor::driver::widowx::dynamixel::driver::{DynamixelArm, DynamixelOptions};
use visuomotor::driver::widowx::dynamixel::emulator::{BusEmulator, EmulatedBus, EmulatedLink};
use visuomotor::driver::{ArmDriver, ConnectError, DriverError, PointPlant};
use visuomotor::observation::{JointVector, Proprioception};
use visuomotor::time::Timestamp;

/// The control period.
pub const TICK: Duration = Duration::from_millis(20);

/// Where the emulated arm starts \[rad\]: its sleep pose.
pub const SLEEP: [f64; 6] = [0.0, -1.8, 1.55, 0.0, 0.8, 0.0];

/// Largest step of a goal in one tick \[ticks\]: pi rad/s for 20 ms, and one for rounding.
pub const LARGEST_STEP: i32 = 42;

pub fn robot() -> Robot {
    Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").unwrap()
}

pub fn emulator() -> BusEmulator {
    let plant = PointPlant::at(JointVector::from_slice(&SLEEP));
    BusEmulator::new(&robot(), Box::new(plant)).unwrap()
}

/// A bus as shipped, on a link in memory.
pub fn bus() -> EmulatedBus {
    EmulatedBus::new(emulator())
}

pub fn connect(bus: &EmulatedBus) -> Result<DynamixelArm<EmulatedLink>, ConnectError> {
    DynamixelArm::connect(bus.link(), &robot(), DynamixelOptions::default())
}

/// An arm and its bus, ticking together.
pub struct Station {
    pub bus: EmulatedBus,
    pub arm: DynamixelArm<EmulatedLink>,
    /// Time of the next tick.
    pub next: Timestamp,
}

impl Station {
    /// Connected and active.
    pub fn active(mode: ControlMode) -> Self {
        let bus = bus();
        let arm = connect(&bus).unwrap();
        let mut station = Self { next: bus.now(), bus, arm };
        station.bus.with(|bus| bus.record_goals());
        station.activate(mode).unwrap();
        station
    }

    pub fn activate(&mut self, mode: ControlMode) -> Result<(), DriverError> {
        let result = self.arm.activate(self.bus.now(), mode);
        self.next = self.bus.now();
        result
    }

    /// Waits for the next tick and reads.
    pub fn read(&mut self) -> Result<Proprioception, DriverError> {
        self.next = self.next + TICK;
        let rest = self.next.since(self.bus.now());
        self.bus.pass(rest);
        self.next = self.bus.now().max(self.next);
        self.arm.read(self.next)
    }

    /// One tick: read, then this command.
    pub fn tick(&mut self, command: JointCommand) -> Result<Proprioception, DriverError> {
        let sensed = self.read()?;
        self.arm.write(self.next, &command)?;
        Ok(sensed)
    }

    /// Moves from where it is, in straight lines at this speed \[rad/s\], then settles.
    pub fn move_to(&mut self, to: [f64; 6], gripper: f64, speed: f64) -> Proprioception {
        let mut here = self.read().unwrap().joint_positions;
        loop {
            let mut there = true;
            for (q, goal) in here.iter_mut().zip(to) {
                let step = (goal - *q).clamp(-speed * 0.02, speed * 0.02);
                *q += step;
                there &= (goal - *q).abs() < 1e-9;
            }
            self.tick(JointCommand::position(here, gripper)).unwrap();
            if there {
                break;
            }
        }
        for _ in 0..50 {
            self.tick(JointCommand::position(here, gripper)).unwrap();
        }
        self.read().unwrap()
    }

    /// Asserts that no goal jumped; returns how many sets of goals were written.
    pub fn assert_no_jump(&self) -> usize {
        self.bus.with(|bus| {
            let goals = bus.recorded_goals();
            for pair in goals.windows(2) {
                for joint in 0..6 {
                    let step = (pair[1].1[joint] - pair[0].1[joint]).abs();
                    assert!(step <= LARGEST_STEP, "joint {joint} jumped by {step} ticks: {pair:?}");
                }
            }
            goals.len()
        })
    }
}

/// Are these within a tick of each other?
pub fn assert_near(found: &[f64], wanted: &[f64]) {
    for (a, b) in found.iter().zip(wanted) {
        assert!((a - b).abs() < 0.002, "{found:?} is not {wanted:?}");
    }
}
