//! States lost, commands lost, both: for each arm and mode, over a link of numbers and on a manual clock. The tests check what was
//! sent and how far the arm moved.

mod help;
mod losses;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::link::{ArmLink, Off, OwnHold};
use super::stream::Stream;
use super::worker::Worker;
use super::{ArmState, Condition, LinkOptions, found_within};
use crate::driver::guard::Heartbeat;
use crate::driver::{
    ConnectError, Drive, DriverError, FaultCode, Finding, Plant, PointPlant, Reply, Request, Setpoint,
};
use crate::transport::ros2::BridgeWorker;
use visuomotor_core::action::{ControlMode, JointCommand};
use visuomotor_core::config::Robot;
use visuomotor_core::observation::JointVector;
use visuomotor_core::time::{Clock, ManualClock, Timestamp};

/// The wire and the arm behind it.
struct Wire {
    clock: Arc<ManualClock>,
    plant: PointPlant,
    muted: bool,
    /// Commands are lost; services are not.
    deaf: bool,
    endless: bool,
    dead: bool,
    rebuilt: u32,
    /// The controller's response to a request to switch off.
    off: Off,
    /// The controller executes what is sent.
    on: bool,
    fault: Option<FaultCode>,
    /// A hold is handed over to the arm's own hold, and the way back takes this long.
    hands_over: Option<Duration>,
    own_hold: OwnHold,
    /// Without commands the arm stands still by itself after this time.
    stands_after: Option<Duration>,
    sent: Vec<JointVector>,
}

#[derive(Clone)]
struct FakeLink(Arc<Mutex<Wire>>);

impl FakeLink {
    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap()
    }

    fn send_last(&self, stream: &Stream) {
        let mut wire = self.wire();
        if wire.dead {
            return;
        }
        let last = *stream.last();
        wire.sent.push(last);
        if wire.on && !wire.deaf {
            wire.plant.drive(match stream.mode() {
                ControlMode::Position => Drive::Position(last),
                ControlMode::Velocity => Drive::Velocity(last),
                ControlMode::Torque => Drive::Floating(last),
            });
        }
    }
}

impl ArmLink for FakeLink {
    fn poll(&mut self, _: Timestamp) -> Option<ArmState> {
        let wire = self.wire();
        // Waiting takes time.
        wire.clock.advance(Duration::from_nanos(1));
        let sensed = wire.plant.sense();
        (!wire.muted && !wire.dead).then_some(ArmState {
            positions: sensed.joint_positions,
            velocities: sensed.joint_velocities,
            efforts: sensed.joint_efforts,
            finger: 0.0,
            condition: wire.fault.map_or(Condition::Ready, Condition::Fault),
        })
    }
    fn silence(&self, _: Duration) -> ConnectError {
        unreachable!("nothing here waits for a first state")
    }
    fn verify(&mut self, _: Duration) -> Result<(), ConnectError> {
        Ok(())
    }
    fn other_publishers(&self) -> usize {
        0
    }
    fn endless(&self, mode: ControlMode) -> bool {
        self.wire().endless && mode != ControlMode::Position
    }
    fn paused(&mut self, pause: Duration) -> bool {
        self.wire().stands_after.is_some_and(|most| pause > most)
    }
    fn own_hold(&self) -> OwnHold {
        self.wire().own_hold
    }
    fn activate(&mut self, _: ControlMode, _: &JointVector) -> Result<(), DriverError> {
        self.wire().on = true;
        Ok(())
    }
    fn send(&mut self, stream: &Stream, _: &ArmState) {
        {
            let mut wire = self.wire();
            assert_ne!(wire.own_hold, OwnHold::Requested, "it is commanded while its own hold is about to take it");
            if wire.own_hold == OwnHold::Yes {
                wire.clock.advance(wire.hands_over.unwrap_or_default());
            }
            wire.own_hold = OwnHold::No;
        }
        self.send_last(stream);
    }
    fn rest(&mut self, stream: &Stream, _: &ArmState, _: bool) -> bool {
        self.send_last(stream);
        let mut wire = self.wire();
        if wire.hands_over.is_some() {
            wire.own_hold = if wire.own_hold == OwnHold::No { OwnHold::Requested } else { OwnHold::Yes };
        }
        wire.own_hold == OwnHold::Yes
    }
    fn blind(&mut self, stream: &Stream, at_rest: bool) -> bool {
        self.send_last(stream);
        at_rest
    }
    fn switch_off(&mut self, _: ControlMode) -> Off {
        let mut wire = self.wire();
        if let Off::Done(_) = wire.off {
            wire.on = false;
            let at = wire.plant.sense().joint_positions;
            wire.plant.drive(Drive::Position(at));
        }
        wire.off
    }
    fn alive(&self) -> bool {
        !self.wire().dead
    }
    fn rebuild(&mut self, _: Duration) -> Result<(), ConnectError> {
        let mut wire = self.wire();
        wire.rebuilt += 1;
        wire.dead = false;
        Ok(())
    }
    fn gripper(&mut self, _: f64) {}
    fn recover(&mut self, _: Duration) -> Result<(), ConnectError> {
        Ok(())
    }
    fn release(&mut self, _: &ArmState) {}
    fn findings(&mut self) -> (Vec<Finding>, Vec<f64>) {
        (Vec::new(), Vec::new())
    }
    fn fault_text(_: FaultCode) -> String {
        String::new()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Loss {
    States,
    Commands,
    Both,
}

const LOSSES: [Loss; 3] = [Loss::States, Loss::Commands, Loss::Both];
const MODES: [ControlMode; 3] = [ControlMode::Position, ControlMode::Velocity, ControlMode::Torque];
/// Speed of the first joint at the loss \[rad/s\].
const SPEED: f64 = 0.4;
/// Torque of the first joint at the loss \[Nm\].
const PUSH: f64 = 2.0;

struct Bench {
    worker: Worker<FakeLink>,
    link: FakeLink,
    clock: Arc<ManualClock>,
    robot: Robot,
    options: LinkOptions,
    period: Duration,
    mode: ControlMode,
    target: JointVector,
    /// It is commanded to stand still, or pushed back.
    back: bool,
    /// The control thread's last order.
    left: Setpoint,
}

impl Bench {
    /// An arm activated in this mode; its states come with this period.
    fn new(robot: &str, states: Duration, mode: ControlMode) -> Self {
        let mut robot = Robot::load(std::path::Path::new(crate::CHECKOUT), robot).unwrap();
        // A tenth of Panda's turns shows the same.
        robot.identity.control_rate_hz = robot.identity.control_rate_hz.min(100.0);
        let clock = Arc::new(ManualClock::new());
        let home = JointVector::from_slice(&robot.identity.home);
        let mut plant = PointPlant::at(home);
        plant.drive(Drive::Position(home));
        plant.inertia = 5.0;
        let wire = Wire {
            clock: clock.clone(),
            plant,
            muted: false,
            deaf: false,
            endless: false,
            dead: false,
            rebuilt: 0,
            off: Off::Done("it is off"),
            on: false,
            fault: None,
            hands_over: None,
            own_hold: OwnHold::No,
            stands_after: None,
            sent: Vec::new(),
        };
        let link = FakeLink(Arc::new(Mutex::new(wire)));
        let options = LinkOptions::for_period(states);
        let rate = robot.identity.control_rate_hz;
        let mut worker = Worker::new(link.clone(), &robot, options, rate, clock.clone());
        let answer = worker.request(clock.now(), Request::Activate(mode, None));
        assert!(matches!(answer, Reply::Activated(Ok(()))));
        let period = Duration::from_secs_f64(1.0 / rate);
        Self { worker, link, clock, robot, options, period, mode, target: home, back: false, left: Setpoint::Hold }
    }

    /// The command of a motion of the first joint.
    fn motion(&mut self) -> JointCommand {
        let mut joints = JointVector::zeros(self.target.len());
        match self.mode {
            ControlMode::Position => {
                self.target[0] += SPEED * self.period.as_secs_f64();
                joints = self.target;
            }
            ControlMode::Velocity => joints[0] = if self.back { 0.0 } else { SPEED },
            ControlMode::Torque => joints[0] = if self.back { -12.0 } else { PUSH },
        }
        JointCommand::of(self.mode, joints, f64::NAN)
    }

    /// One turn of the bridge thread, with the next command of the motion or, from a silent control thread, with the old one.
    fn turn(&mut self, commanded: bool) -> Option<ArmState> {
        if commanded {
            self.left = Setpoint::Follow(self.motion());
        }
        self.clock.advance(self.period);
        let now = self.clock.now();
        self.link.wire().plant.advance_to(now);
        let seen = self.worker.poll(now);
        self.worker.command(now, &self.left, commanded);
        seen
    }

    fn go(&mut self, turns: u32) {
        for _ in 0..turns {
            self.turn(true);
        }
    }

    fn at(&self) -> f64 {
        self.link.wire().plant.sense().joint_positions[0]
    }

    fn speed(&self) -> f64 {
        self.link.wire().plant.sense().joint_velocities[0].abs()
    }

    /// Applies the loss for two seconds; returns what was sent meanwhile.
    fn lose(&mut self, loss: Loss) -> Vec<f64> {
        self.link.wire().sent.clear();
        self.link.wire().muted = loss != Loss::Commands;
        let end = self.clock.now() + Duration::from_secs(2);
        while self.clock.now() < end {
            self.turn(loss == Loss::States);
        }
        self.link.wire().sent.iter().map(|joints| joints[0]).collect()
    }

    /// Longest motion after a loss \[rad\]: at the present speed until it is detected, and braking.
    fn longest_way(&self, loss: Loss) -> f64 {
        let noticed = if loss == Loss::Commands { self.options.deadline } else { self.options.stale };
        let turns = 2.0 * self.period.as_secs_f64();
        SPEED * (noticed.as_secs_f64() + turns) + SPEED * SPEED / (2.0 * self.robot.limits.joint_acceleration[0])
    }
}

/// Arms, and the period of their states.
fn arms() -> [(&'static str, Duration); 3] {
    [
        ("panda", Duration::from_millis(1)),
        ("sawyer", Duration::from_millis(10)),
        ("jaco_j2s7s300", Duration::from_millis(100)),
    ]
}
