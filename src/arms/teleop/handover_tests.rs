//! Who decides after which button, on a manual clock.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::teleop::{Motion, Reading};
use visuomotor_core::action::ActionBounds;
use visuomotor_core::config::{Robot, TeleopSetting};
use visuomotor_core::kinematics::Chain;
use visuomotor_core::observation::{JointVector, Proprioception};

/// Moves up with a closed gripper, and counts its resets.
#[derive(Default)]
struct Policy {
    looks: u32,
}

impl ActionSource for Policy {
    fn name(&self) -> &str {
        "policy"
    }
    fn reset(&mut self) {}
    fn decide(&mut self, _: &Observation) -> Result<Decision, ActionError> {
        Ok(Decision::plain(Action { translation: [0.0, 0.0, 0.01], ..Action::stay(0.2) }))
    }
    fn look_anew(&mut self) {
        self.looks += 1;
    }
}

/// Pushes forward with this gripper value, while connected.
#[derive(Clone, Copy)]
struct Push {
    along: f64,
    gripper: f64,
    there: bool,
}

struct Stick(Arc<Mutex<Push>>);

impl TeleopDevice for Stick {
    fn name(&self) -> &'static str {
        "stick"
    }
    fn newest(&mut self, now: Timestamp) -> Result<Option<Reading>, DeviceError> {
        let push = *self.0.lock().unwrap();
        if !push.there {
            return Err(DeviceError::Gone { device: "stick", cause: "unplugged".into() });
        }
        let motion = Motion::Deflection { along: [push.along, 0.0, 0.0], about: [0.0; 3] };
        Ok(Some(Reading { motion, engaged: true, gripper: Some(push.gripper), at: now }))
    }
}

struct Bench {
    policy: Policy,
    operator: Operator,
    push: Arc<Mutex<Push>>,
}

impl Bench {
    fn new() -> Self {
        let push = Push { along: 1.0, gripper: 1.0, there: true };
        Self { policy: Policy::default(), operator: Operator::default(), push: Arc::new(Mutex::new(push)) }
    }

    fn handover(&mut self, device: bool) -> Handover<'_> {
        let robot = Robot::load(Path::new(crate::CHECKOUT), "widowx").unwrap();
        let chain = Chain::from_robot(&robot).unwrap();
        let device = device.then(|| {
            let stick: Box<dyn TeleopDevice> = Box::new(Stick(self.push.clone()));
            let (setting, period) = (TeleopSetting::default(), Duration::from_millis(200));
            TeleopSource::new(stick, &setting, ActionBounds::BRIDGE, chain, period, self.operator.clone())
        });
        let mut handover = Handover::new(&mut self.policy, device, self.operator.clone());
        handover.reset();
        handover
    }
}

fn at(seconds: f64) -> Timestamp {
    Timestamp::from_secs_f64(seconds)
}

fn seen(seconds: f64) -> Observation {
    let robot = Robot::load(Path::new(crate::CHECKOUT), "widowx").unwrap();
    let chain = Chain::from_robot(&robot).unwrap();
    let still = JointVector::zeros(6);
    let body = Proprioception {
        joint_positions: *chain.home(),
        joint_velocities: still,
        joint_efforts: still,
        finger_position: 0.0,
        gripper: 0.4,
        measured_at: at(seconds),
    };
    chain.observation(Vec::new(), body, at(seconds))
}

#[test]
fn a_pause_lasts_until_it_is_resumed_and_the_policy_then_looks_anew() {
    let mut bench = Bench::new();
    let operator = bench.operator.clone();
    let mut run = bench.handover(false);
    assert!(!run.is_paused(at(0.0)));
    assert_eq!(run.decide(&seen(0.0)).unwrap().decided_by, Some(Decider::Policy));
    assert_eq!(operator.panel().driving, Some(Driving::Policy));
    operator.wish(Wish::Pause, "page");
    for tick in 0..50 {
        assert!(run.is_paused(at(0.2 * f64::from(tick))));
    }
    assert_eq!(operator.panel().driving, Some(Driving::Paused));
    // There is no device to take over with, and a paused run is not paused again.
    operator.wish(Wish::TakeOver, "page");
    operator.wish(Wish::Pause, "terminal");
    assert!(run.is_paused(at(11.0)));
    operator.wish(Wish::Resume, "page");
    // The change itself holds once.
    assert!(run.is_paused(at(11.2)) && !run.is_paused(at(11.4)));
    assert_eq!(run.finish(), Handovers { pauses: 1, interventions: 0, operator_steps: 0 });
    assert_eq!((operator.panel().driving, bench.policy.looks), (None, 1));
}

#[test]
fn the_operator_decides_between_take_over_and_hand_back_and_the_hand_stays_closed() {
    let mut bench = Bench::new();
    let (operator, push) = (bench.operator.clone(), bench.push.clone());
    let mut run = bench.handover(true);
    run.decide(&seen(0.0)).unwrap();
    operator.wish(Wish::TakeOver, "page");
    // The change holds the arm; then the operator decides.
    assert!(run.is_paused(at(0.1)) && !run.is_paused(at(0.2)));
    assert!(!run.looks_at_images());
    for step in 1..4 {
        let decision = run.decide(&seen(0.2 * f64::from(step))).unwrap();
        assert_eq!(decision.decided_by, Some(Decider::Operator));
        assert!(decision.action.translation[0] > 0.0 && decision.action.translation[2] == 0.0, "{decision:?}");
        // The policy had closed the gripper; the untouched device would open it.
        assert_eq!(decision.action.gripper, 0.2);
    }
    push.lock().unwrap().gripper = 0.0;
    assert_eq!(run.decide(&seen(0.8)).unwrap().action.gripper, 0.0);
    push.lock().unwrap().gripper = 1.0;
    assert_eq!(run.decide(&seen(1.0)).unwrap().action.gripper, 1.0);
    // The device's own button hands back.
    operator.wish(Wish::Begin, "stick");
    assert!(run.is_paused(at(1.1)) && !run.is_paused(at(1.2)));
    let decision = run.decide(&seen(1.2)).unwrap();
    assert!(decision.decided_by == Some(Decider::Policy) && run.looks_at_images());
    let handovers = run.finish();
    assert_eq!(handovers.to_string(), "5 steps by the operator, 1 intervention, 0 pauses");
    assert_eq!(bench.policy.looks, 1);
}

#[test]
fn numbers_that_cannot_be_move_nothing() {
    let mut bench = Bench::new();
    let (operator, push) = (bench.operator.clone(), bench.push.clone());
    let mut run = bench.handover(true);
    operator.wish(Wish::TakeOver, "page");
    assert!(run.is_paused(at(0.1)) && !run.is_paused(at(0.2)));
    for along in [f64::NAN, f64::INFINITY, 1e9] {
        push.lock().unwrap().along = along;
        let action = run.decide(&seen(0.2)).unwrap().action;
        assert_eq!((action.translation, action.rotation), ([0.0; 3], [0.0; 3]), "{along}");
        assert!(action.is_finite());
    }
    push.lock().unwrap().gripper = f64::NAN;
    assert!(run.decide(&seen(0.4)).unwrap().action.is_finite());
}

#[test]
fn a_device_that_is_lost_pauses_the_run_and_is_no_matter_while_the_policy_decides() {
    let mut bench = Bench::new();
    let (operator, push) = (bench.operator.clone(), bench.push.clone());
    let mut run = bench.handover(true);
    push.lock().unwrap().there = false;
    assert!(!run.is_paused(at(0.0)), "the policy needs no device");
    push.lock().unwrap().there = true;
    operator.wish(Wish::TakeOver, "page");
    assert!(run.is_paused(at(0.1)) && !run.is_paused(at(0.2)));
    run.decide(&seen(0.2)).unwrap();
    push.lock().unwrap().there = false;
    // Detected between two decisions; a decision before that requests no motion.
    let decision = run.decide(&seen(0.4)).unwrap();
    assert_eq!(decision.action.translation, [0.0; 3]);
    assert!(run.is_paused(at(0.41)) && run.is_paused(at(5.0)));
    let panel = operator.panel();
    assert!(panel.warning.contains("unplugged") && panel.warning.contains("paused"), "{}", panel.warning);
    operator.wish(Wish::Resume, "page");
    assert!(run.is_paused(at(5.1)) && !run.is_paused(at(5.2)));
    assert_eq!(run.finish(), Handovers { pauses: 1, interventions: 1, operator_steps: 2 });
}
