//! States lost, commands lost, both: for each arm and mode, over a link of numbers and on a clock moved by hand. What counts is
//! what was sent and how far the arm went.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::stream::Stream;
use super::worker::{Answer, ArmLink, Ask, Off, Order, OwnHold, Worker};
use super::{ArmState, Condition, LinkOptions};
use crate::action::{ControlMode, JointCommand};
use crate::config::Robot;
use crate::driver::guard::Heart;
use crate::driver::{ConnectError, Drive, DriverError, FaultCode, Finding, Plant, PointPlant};
use crate::observation::JointVector;
use crate::time::{Clock, ManualClock, Timestamp};
use crate::transport::ros2::BridgeWorker;

/// The wire and the arm behind it.
struct Wire {
    clock: Arc<ManualClock>,
    plant: PointPlant,
    muted: bool,
    /// What is sent is lost; services are not.
    deaf: bool,
    endless: bool,
    dead: bool,
    rebuilt: u32,
    /// What the controller says when it is asked to switch off.
    off: Off,
    /// The controller follows what is sent.
    on: bool,
    fault: Option<FaultCode>,
    /// A hold is handed over to the arm's own, and what leads back from there takes so long.
    hands_over: Option<Duration>,
    own_hold: OwnHold,
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
    fn rivals(&self) -> usize {
        0
    }
    fn endless(&self, mode: ControlMode) -> bool {
        self.wire().endless && mode != ControlMode::Position
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
            assert_ne!(wire.own_hold, OwnHold::Asked, "it is commanded while its own hold is about to take it");
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
            wire.own_hold = if wire.own_hold == OwnHold::No { OwnHold::Asked } else { OwnHold::Yes };
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
/// Speed of the first joint when something is lost \[rad/s\].
const SPEED: f64 = 0.4;
/// Torque of the first joint then \[Nm\].
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
    /// It is told to stand, or pushed back.
    back: bool,
    /// What the control thread left last.
    left: Order,
}

impl Bench {
    /// An arm that was activated in this mode; its states come with this period.
    fn new(robot: &str, states: Duration, mode: ControlMode) -> Self {
        let mut robot = Robot::load(std::path::Path::new(env!("CARGO_MANIFEST_DIR")), robot).unwrap();
        // A tenth of Panda's turns shows the same.
        robot.robot.control_rate_hz = robot.robot.control_rate_hz.min(100.0);
        let clock = Arc::new(ManualClock::new());
        let home = JointVector::from_slice(&robot.robot.home);
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
            sent: Vec::new(),
        };
        let link = FakeLink(Arc::new(Mutex::new(wire)));
        let options = LinkOptions::for_period(states);
        let rate = robot.robot.control_rate_hz;
        let mut worker = Worker::new(link.clone(), &robot, options, rate, clock.clone());
        let answer = worker.request(clock.now(), Ask::Activate(mode, None));
        assert!(matches!(answer, Answer::Activated(Ok(()))));
        let period = Duration::from_secs_f64(1.0 / rate);
        Self { worker, link, clock, robot, options, period, mode, target: home, back: false, left: Order::Hold }
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
        JointCommand { mode: self.mode, joints, gripper: f64::NAN }
    }

    /// One turn of the bridge thread, with the next command of the motion or, from a silent control thread, with the old one.
    fn turn(&mut self, commanded: bool) -> Option<ArmState> {
        if commanded {
            self.left = Order::Follow(self.motion());
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

    /// Loses what is to be lost for two seconds; what was sent meanwhile.
    fn lose(&mut self, loss: Loss) -> Vec<f64> {
        self.link.wire().sent.clear();
        self.link.wire().muted = loss != Loss::Commands;
        let end = self.clock.now() + Duration::from_secs(2);
        while self.clock.now() < end {
            self.turn(loss == Loss::States);
        }
        self.link.wire().sent.iter().map(|joints| joints[0]).collect()
    }

    /// Longest way after a loss \[rad\]: at the speed of then for as long as it takes to be noticed, and braking.
    fn longest_way(&self, loss: Loss) -> f64 {
        let noticed = if loss == Loss::Commands { self.options.deadline } else { self.options.stale };
        let turns = 2.0 * self.period.as_secs_f64();
        SPEED * (noticed.as_secs_f64() + turns) + SPEED * SPEED / (2.0 * self.robot.limits.joint_acceleration[0])
    }
}

/// Arms, and the time between their states.
fn arms() -> [(&'static str, Duration); 3] {
    [
        ("panda", Duration::from_millis(1)),
        ("sawyer", Duration::from_millis(10)),
        ("jaco_j2s7s300", Duration::from_millis(100)),
    ]
}

#[test]
fn whatever_is_lost_the_arm_comes_to_rest_within_its_braking_distance() {
    for (robot, states) in arms() {
        for mode in [ControlMode::Position, ControlMode::Velocity] {
            for loss in LOSSES {
                let mut bench = Bench::new(robot, states, mode);
                bench.go(60);
                assert!((bench.speed() - SPEED).abs() < 1e-6, "{robot} {mode}: it does not move");
                let before = bench.at();
                let sent = bench.lose(loss);
                let way = bench.at() - before;
                let most = bench.longest_way(loss);
                assert!(way > -1e-9 && way <= most, "{robot} {mode} {loss:?}: {way} rad, at most {most}");
                assert!(bench.speed() < 1e-9, "{robot} {mode} {loss:?}: it still moves");
                let last = *sent.last().unwrap();
                match mode {
                    ControlMode::Velocity => assert_eq!(last, 0.0),
                    _ => assert!((last - bench.at()).abs() < 1e-9),
                }
            }
        }
    }
}

#[test]
fn whatever_is_lost_torques_go_to_rest_within_their_rate() {
    for (robot, states) in arms() {
        for loss in LOSSES {
            let mut bench = Bench::new(robot, states, ControlMode::Torque);
            bench.go(20);
            let sent = bench.lose(loss);
            let first = sent.iter().position(|torque| *torque < PUSH).expect("it was never let go");
            let noticed = if loss == Loss::Commands { bench.options.deadline } else { bench.options.stale };
            let turns = noticed.as_secs_f64() / bench.period.as_secs_f64() + 2.0;
            assert!(first as f64 <= turns, "{robot} {loss:?}: let go after {first} turns");
            let most = 1.25 * bench.robot.limits.joint_torque_rate[0] * bench.period.as_secs_f64() + 1e-9;
            assert!(sent.windows(2).all(|pair| (pair[1] - pair[0]).abs() <= most), "{robot} {loss:?}: a jump");
            if loss != Loss::Commands {
                // Without states there is nothing to pull back to: nothing but the weight is carried until it is off.
                let zeros = sent.iter().rev().take_while(|torque| **torque == 0.0).count();
                assert!(zeros >= 5, "{robot} {loss:?}: {zeros} zeros");
                assert!(!bench.link.wire().on, "{robot} {loss:?}: its controller runs");
            }
            assert!(bench.speed() < 0.05, "{robot} {loss:?}: {} rad/s", bench.speed());
        }
    }
}

#[test]
fn the_controller_is_switched_off_and_nothing_is_sent_to_it_afterwards() {
    for mode in MODES {
        let mut bench = Bench::new("panda", Duration::from_millis(1), mode);
        bench.go(60);
        bench.lose(Loss::Both);
        assert!(!bench.link.wire().on, "{mode}");
        bench.link.wire().sent.clear();
        bench.go(50);
        assert!(bench.link.wire().sent.is_empty(), "{mode}: a controller that is off was commanded");
    }
}

#[test]
fn a_controller_that_does_not_answer_gets_zeros_for_ever_and_no_old_place() {
    for (mode, off) in [
        (ControlMode::Velocity, Off::Pending),
        (ControlMode::Torque, Off::Pending),
        (ControlMode::Velocity, Off::None),
        (ControlMode::Position, Off::None),
        (ControlMode::Position, Off::Pending),
    ] {
        let mut bench = Bench::new("panda", Duration::from_millis(1), mode);
        bench.link.wire().off = off;
        bench.go(60);
        bench.lose(Loss::States);
        bench.link.wire().sent.clear();
        // It comes back, somewhere else.
        bench.link.wire().muted = false;
        bench.go(300);
        let sent = bench.link.wire().sent.clone();
        if mode == ControlMode::Position {
            assert!(sent.is_empty(), "{off:?}: it would go to where it was");
        } else {
            assert!(sent.len() == 300 && sent.iter().all(|joints| joints.iter().all(|value| *value == 0.0)));
        }
    }
}

#[test]
fn states_that_come_back_in_time_change_nothing_and_too_late_wait_for_an_activation() {
    let mut bench = Bench::new("panda", Duration::from_millis(1), ControlMode::Velocity);
    bench.go(60);
    bench.link.wire().muted = true;
    bench.go(4);
    bench.link.wire().muted = false;
    bench.go(10);
    let newest = bench.link.wire().sent.last().unwrap()[0];
    assert!((newest - SPEED).abs() < 1e-9, "40 ms are no silence");
    bench.link.wire().muted = true;
    bench.go(7);
    bench.link.wire().muted = false;
    let state = bench.turn(true).unwrap();
    assert_eq!(state.condition, Condition::Lost(DriverError::Silent), "the control thread learns why");
    bench.go(100);
    assert!(bench.link.wire().sent.last().unwrap()[0] == 0.0 && bench.speed() < 1e-9);
    let now = bench.clock.now();
    assert!(matches!(bench.worker.request(now, Ask::Activate(bench.mode, None)), Answer::Activated(Ok(()))));
    bench.go(60);
    assert!((bench.speed() - SPEED).abs() < 1e-6, "it is commanded again");
}

#[test]
fn a_fault_ramps_to_rest_too() {
    let mut bench = Bench::new("panda", Duration::from_millis(1), ControlMode::Velocity);
    bench.go(60);
    bench.link.wire().fault = Some(FaultCode(7));
    bench.go(60);
    let sent = bench.link.wire().sent.clone();
    assert_eq!(sent.last().unwrap()[0], 0.0, "a controller would go on with the last velocity");
    let most = 1.25 * bench.robot.limits.joint_acceleration[0] * bench.period.as_secs_f64() + 1e-9;
    assert!(sent.windows(2).all(|pair| (pair[1][0] - pair[0][0]).abs() <= most));
}

/// States arrive and commands do not: an arm that goes on with the last one although it is told otherwise is switched off by its
/// controller's service, which goes another way.
#[test]
fn an_arm_that_does_not_hear_is_switched_off_by_its_service() {
    for mode in [ControlMode::Velocity, ControlMode::Torque] {
        let mut bench = Bench::new("panda", Duration::from_millis(1), mode);
        bench.link.wire().endless = true;
        bench.go(60);
        bench.link.wire().deaf = true;
        bench.go(60);
        assert!(bench.link.wire().on, "{mode}: it does what it is told, and nothing can be seen of the loss");
        let (before, speed) = (bench.at(), bench.speed());
        bench.back = true;
        let mut condition = None;
        for _ in 0..100 {
            condition = bench.turn(true).map(|state| state.condition);
        }
        assert_eq!(condition, Some(Condition::Lost(DriverError::Runaway { joint: 0 })), "{mode}");
        assert!(!bench.link.wire().on, "{mode}: its controller runs");
        let found = super::found_within(&bench.robot, mode, speed) + 2.0 * bench.period.as_secs_f64();
        // Under torque it gets faster on the way.
        let faster = if mode == ControlMode::Torque { 0.5 * PUSH / 5.0 * found * found } else { 0.0 };
        let (way, most) = (bench.at() - before, speed * found + faster);
        assert!(way <= most, "{mode}: {way} rad, at most {most}");
    }
}

/// The same arm hears: nothing is noticed, whatever it is told.
#[test]
fn an_arm_that_hears_is_commanded_on() {
    for mode in [ControlMode::Velocity, ControlMode::Torque] {
        let mut bench = Bench::new("panda", Duration::from_millis(1), mode);
        bench.link.wire().endless = true;
        for turn in 0..12 {
            bench.back = turn % 2 == 1;
            bench.go(10);
        }
        assert!(bench.link.wire().on, "{mode}");
    }
}

/// A guard that is fed while nothing is heard of the arm would let it be.
#[test]
fn a_guard_is_told_to_stop_an_arm_of_which_nothing_is_heard_and_is_fed_no_more() {
    use std::io::Read;
    for mode in [ControlMode::Velocity, ControlMode::Torque] {
        let mut bench = Bench::new("panda", Duration::from_millis(1), mode);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        let heart = Heart::beating_into(ours, 7, bench.clock.clone());
        let now = bench.clock.now();
        let answer = bench.worker.request(now, Ask::Activate(mode, Some(heart.clone())));
        assert!(matches!(answer, Answer::Activated(Ok(()))));
        bench.go(60);
        assert!(!heart.was_called());
        bench.link.wire().muted = true;
        bench.go(100);
        assert!(heart.was_called(), "{mode}");
        heart.done();
        let mut bytes = Vec::new();
        theirs.read_to_end(&mut bytes).unwrap();
        let frames: Vec<&[u8]> = bytes[..bytes.len() - 4].chunks(2 + 7 * 8).collect();
        assert!(frames.iter().all(|frame| frame[0] == b'B'), "{mode}: beats until then");
        assert!(frames[frames.len() - 1][2..].iter().all(|byte| *byte == 0), "{mode}: the last command was rest");
        assert_eq!(&bytes[bytes.len() - 4..], b"S\x00D\x00", "{mode}: and nothing afterwards");
    }
}

/// The way back from an arm's own hold may take longer than its guard lets pass; until that hold has the arm the guard counts.
#[test]
fn a_guard_is_fed_until_the_arms_own_hold_has_it_and_again_once_it_is_commanded() {
    let mut bench = Bench::new("jaco_j2s7s300", Duration::from_millis(100), ControlMode::Torque);
    bench.link.wire().hands_over = Some(Duration::from_secs(1));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let heart = Heart::beating_into(ours, 7, bench.clock.clone());
    let now = bench.clock.now();
    let answer = bench.worker.request(now, Ask::Activate(ControlMode::Torque, Some(heart.clone())));
    assert!(matches!(answer, Answer::Activated(Ok(()))));
    for _ in 0..3 {
        bench.go(20);
        bench.left = Order::Hold;
        bench.turn(false);
        assert_eq!(bench.link.own_hold(), OwnHold::Asked);
        assert!(heart.is_beating(), "it may still move");
        // A command that comes too early waits.
        bench.turn(true);
        assert_eq!(bench.link.own_hold(), OwnHold::Yes);
        assert!(!heart.is_beating(), "it stands by itself");
        bench.turn(true);
        assert_eq!(bench.link.own_hold(), OwnHold::No);
        assert!(heart.is_beating(), "it is commanded");
        assert_eq!(heart.fault(bench.clock.now()), None);
    }
}

#[test]
fn a_link_that_died_is_said_made_anew_and_used_to_ramp_to_rest() {
    for mode in MODES {
        let mut bench = Bench::new("panda", Duration::from_millis(1), mode);
        bench.go(60);
        bench.link.wire().sent.clear();
        bench.link.wire().dead = true;
        let mut told = None;
        for turn in 0..40 {
            if let Some(state) = bench.turn(true)
                && state.condition == Condition::Lost(DriverError::LinkDied)
            {
                told.get_or_insert(turn);
            }
        }
        let told = told.expect("the fault was never reported");
        assert!(told <= 6, "{mode}: told after {told} turns of 10 ms");
        assert_eq!(bench.link.wire().rebuilt, 1, "{mode}");
        bench.go(100);
        assert!(!bench.link.wire().on, "{mode}: its controller runs");
        if mode == ControlMode::Velocity {
            let sent = bench.link.wire().sent.clone();
            let most = 1.25 * bench.robot.limits.joint_acceleration[0] * bench.period.as_secs_f64() + 1e-9;
            assert!(SPEED - sent[0][0] <= most, "the ramp begins where the last command was: {}", sent[0][0]);
            assert_eq!(sent.last().unwrap()[0], 0.0);
        }
    }
}

#[test]
fn a_program_that_ends_while_nothing_is_known_ramps_to_rest_first() {
    for mode in MODES {
        let mut bench = Bench::new("sawyer", Duration::from_millis(10), mode);
        bench.go(60);
        bench.link.wire().muted = true;
        bench.clock.advance(Duration::from_millis(60));
        let now = bench.clock.now();
        bench.worker.ended(now);
        let sent = bench.link.wire().sent.clone();
        let (last, before) = (sent[sent.len() - 1][0], sent[sent.len() - 2][0]);
        match mode {
            ControlMode::Position => assert_eq!(last, before),
            _ => assert_eq!(last, 0.0),
        }
        assert!(!bench.link.wire().on, "{mode}");
    }
}
