//! Fake arms and fake operators: nothing recovers or moves without consent.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::*;
use crate::action::{ActionBounds, JointCommand};
use crate::config::{GripperPolicy, Robot};
use crate::control::Controller;
use crate::driver::{Capabilities, ConnectError, FaultCode};
use crate::episode::{Outcome, SinkError};
use crate::kinematics::Chain;
use crate::observation::Proprioception;
use crate::runtime::fake::{FakeArm, FakeCamera, Switches};
use crate::safety::SafetyFilter;
use crate::time::Timestamp;

/// What happened, in order.
type Log = Arc<Mutex<Vec<String>>>;

fn told(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap_or_else(PoisonError::into_inner))
}

fn tell(log: &Log, what: impl Into<String>) {
    log.lock().unwrap_or_else(PoisonError::into_inner).push(what.into());
}

/// A fake arm that logs the calls to it, and whose faults end when it recovers.
struct Told {
    arm: FakeArm,
    switches: Switches,
    log: Log,
    /// Drift per read after a recovery \[rad\].
    drifts: f64,
    off: f64,
    sent: usize,
}

impl ArmDriver for Told {
    fn capabilities(&self) -> &Capabilities {
        self.arm.capabilities()
    }
    fn activate(&mut self, now: Timestamp, mode: ControlMode) -> Result<(), DriverError> {
        tell(&self.log, if mode == ControlMode::Torque { "activate torque" } else { "activate" });
        // The fake arm has one mode; which one was requested is in the log.
        self.arm.activate(now, ControlMode::Position)
    }
    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        let mut sensed = self.arm.read(now)?;
        self.off += self.drifts;
        sensed.joint_positions[1] += self.off;
        Ok(sensed)
    }
    fn write(&mut self, now: Timestamp, command: &JointCommand) -> Result<(), DriverError> {
        self.sent += 1;
        if self.sent == 1 {
            tell(&self.log, "moves");
        }
        self.arm.write(now, command)
    }
    fn hold(&mut self, now: Timestamp) -> Result<(), DriverError> {
        self.arm.hold(now)
    }
    fn recover(&mut self, now: Timestamp) -> Result<(), ConnectError> {
        tell(&self.log, "recover");
        self.switches.fault(false);
        self.arm.recover(now)
    }
    fn fault_text(&self, fault: FaultCode) -> String {
        self.arm.fault_text(fault)
    }
}

/// An operator with scripted replies; after the last one there is no operator.
struct Answers {
    log: Log,
    recover: VecDeque<Said>,
    scenes: VecDeque<Result<(), String>>,
    /// Is it the operator, or a process?
    person: bool,
}

impl Stage for Answers {
    fn set_up(&mut self, _: &SetUp, motion: Option<&Approach>) -> anyhow::Result<Laid> {
        tell(&self.log, if motion.is_some() { "asked to move" } else { "scene laid" });
        if let Some(motion) = motion {
            assert!(motion.to_string().contains("rad/s"), "{motion}");
        }
        self.scenes.pop_front().unwrap_or(Ok(())).map_err(anyhow::Error::msg)?;
        let by = if self.person { "terminal" } else { "stage" };
        Ok(Laid { assignment: None, by: by.into() })
    }
    fn may_move(&mut self, motion: &Approach) -> anyhow::Result<Said> {
        assert!(motion.to_string().contains("rad/s"), "{motion}");
        tell(&self.log, "asked to move");
        Ok(self.recover.pop_front().unwrap_or(Said::Nobody))
    }
    fn may_recover(&mut self, trouble: &str, does: &str) -> anyhow::Result<Said> {
        assert!(trouble.contains("7 cups") || trouble.contains("could not be confirmed"), "{trouble}");
        assert!(does.contains("goes nowhere"), "{does}");
        tell(&self.log, "asked to recover");
        Ok(self.recover.pop_front().unwrap_or(Said::Nobody))
    }
    fn judge(&mut self) -> anyhow::Result<Option<Outcome>> {
        Ok(None)
    }
    fn time_out(&mut self) -> anyhow::Result<Outcome> {
        Ok(Outcome::Failure { judge: "nobody".into(), why: "time".into() })
    }
}

struct Bench {
    rig: Rig,
    switches: Switches,
    log: Log,
}

impl Bench {
    fn new(simulated: bool, drifts: f64, recover: impl IntoIterator<Item = Said>) -> Self {
        let robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").unwrap();
        let chain = Chain::from_robot(&robot).unwrap();
        let (arm, switches) = FakeArm::at(*chain.home(), 1.0);
        let (camera, _) = FakeCamera::new("over_shoulder", 8, 8);
        let log = Log::default();
        let period = Duration::from_millis(200);
        let arm = Told { arm, switches: switches.clone(), log: log.clone(), drifts, off: 0.0, sent: 0 };
        let station = Station {
            arm: Box::new(arm),
            cameras: vec![(Box::new(camera), 0.3)],
            controller: Controller::new(&robot, chain.clone(), ActionBounds::BRIDGE, GripperPolicy::Direct, period),
            safety: SafetyFilter::new(&robot, chain.clone()),
            chain,
            control_period: Duration::from_millis(20),
            policy_period: period,
        };
        let answers = Answers {
            log: log.clone(),
            recover: recover.into_iter().collect(),
            scenes: VecDeque::new(),
            person: !simulated,
        };
        let mut options = WallOptions::default();
        // Other tests may load the machine, so that deadlines are missed for a long time.
        (options.budget.hold, options.budget.stop) = (Duration::from_secs(200), Duration::from_secs(400));
        let rig = Rig {
            station,
            stage: Box::new(answers),
            clock: Arc::new(SystemClock::new()),
            options,
            granted: Vec::new(),
            mode: ControlMode::Position,
            way: None,
            active: ControlMode::Position,
            person: None,
            simulated,
            yes: false,
            joint_names: robot.joint_names(),
            approach_speed: 2.0,
            does: what_recovery_does("dynamixel", "widowx"),
            failed: None,
            consents: Vec::new(),
        };
        Self { rig, switches, log }
    }

    fn trouble(&mut self) -> RuntimeError {
        let error = self.rig.ready().unwrap_err();
        error.downcast::<RuntimeError>().unwrap()
    }
}

fn yes() -> Said {
    Said::Yes("page".into())
}

#[test]
fn without_consent_nothing_recovers_and_the_error_names_the_next_step() {
    for simulated in [false, true] {
        let mut bench = Bench::new(simulated, 0.0, []);
        bench.switches.fault(true);
        let error = bench.trouble();
        assert!(matches!(error, RuntimeError::NobodyToRecover(_)), "{error:?}");
        for word in ["7 cups", "visuomotor recover", "same --out"] {
            assert!(error.to_string().contains(word), "{word}: {error}");
        }
        assert_eq!(told(&bench.log), ["asked to recover"]);
    }
    let mut bench = Bench::new(false, 0.0, [Said::No("terminal".into())]);
    bench.switches.fault(true);
    assert!(matches!(bench.trouble(), RuntimeError::NotRecovered(_)));
    assert_eq!(told(&bench.log), ["asked to recover"]);
}

#[test]
fn an_arm_whose_fault_has_gone_still_waits_for_consent() {
    let mut bench = Bench::new(false, 0.0, []);
    bench.rig.note(Some(&RuntimeError::Driver(DriverError::Silent)));
    bench.rig.failed.as_mut().unwrap().push_str(" (7 cups)");
    assert!(matches!(bench.trouble(), RuntimeError::NobodyToRecover(_)));
    // A failure that is not the arm's does not need a recovery.
    bench.rig.note(Some(&RuntimeError::Sink(SinkError::new("the disk is full"))));
    bench.rig.note(None);
    bench.rig.ready().unwrap();
    assert_eq!(told(&bench.log), ["asked to recover"]);
}

#[test]
fn with_consent_it_recovers_holds_and_the_consent_is_kept() {
    let mut bench = Bench::new(false, 0.0, [yes()]);
    bench.switches.fault(true);
    bench.rig.ready().unwrap();
    assert_eq!(told(&bench.log), ["asked to recover", "recover", "activate"]);
    assert!(bench.switches.holds());
    assert_eq!(bench.switches.write_count(), 0, "recovering moves nothing");
    let files = bench.rig.attachments().unwrap();
    let text = String::from_utf8(files[0].data.clone()).unwrap();
    assert!(files[0].name == "consent.json" && text.contains("7 cups") && text.contains("\"page\""), "{text}");
    // The consent was recorded with that episode, and is not recorded with the next.
    assert_eq!(String::from_utf8(bench.rig.attachments().unwrap()[0].data.clone()).unwrap(), "[]");
    // There is no fault any more, so nothing is asked.
    bench.rig.ready().unwrap();
    assert!(told(&bench.log).is_empty());
}

#[test]
fn an_arm_that_moves_after_its_recovery_is_not_reported_as_holding() {
    let mut bench = Bench::new(false, 0.002, [yes()]);
    bench.switches.fault(true);
    // Asked again, with the current fault; no scripted reply is left.
    let error = bench.trouble();
    assert!(
        matches!(&error, RuntimeError::NobodyToRecover(why) if why.contains("joint 1") && why.contains("hardware stop"))
    );
    assert_eq!(told(&bench.log), ["asked to recover", "recover", "activate", "asked to recover"]);
}

#[test]
fn yes_recovers_a_simulated_arm_only() {
    let mut bench = Bench::new(true, 0.0, []);
    bench.rig.yes = true;
    bench.switches.fault(true);
    bench.rig.ready().unwrap();
    assert_eq!(told(&bench.log), ["recover", "activate"]);
    assert_eq!(bench.rig.consents[0].by, "--yes, simulated");
    // A real arm asks anyway, even with the flag set.
    let mut bench = Bench::new(false, 0.0, []);
    bench.rig.yes = true;
    bench.switches.fault(true);
    assert!(matches!(bench.trouble(), RuntimeError::NobodyToRecover(_)));
}

fn scene() -> SetUp {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root.join("scenes/kitchen.toml");
    let (scene, _) = crate::config::Scene::load(&file).unwrap();
    let task = scene.task(&file, "knife_in_pot").unwrap().clone();
    let start = [0.2, 0.0, 0.2, 0.0, 0.0, 0.0];
    let (object, others) = ("knife".into(), Vec::new());
    SetUp {
        task,
        object,
        object_at: [0.3, 0.0],
        object_yaw: 0.0,
        container_at: Some([0.3, 0.1]),
        others,
        start,
        seed: 1,
    }
}

/// A start posture near the arm's current one.
fn aside(rig: &Rig) -> JointVector {
    let mut to = *rig.station.chain.home();
    to[0] += 0.2;
    to
}

#[test]
fn a_real_arm_moves_after_the_scene_is_set_up_and_an_emulated_one_before() {
    let stop = StopFlag::new();
    let mut real = Bench::new(false, 0.0, []);
    let joints = aside(&real.rig);
    real.rig.bring(joints, &scene(), &stop).unwrap();
    assert_eq!(told(&real.log), ["asked to move", "moves"]);
    assert_eq!(real.rig.consents.len(), 1);
    assert!(real.rig.consents[0].to.contains("waist by +0.20 rad") && real.rig.consents[0].by == "terminal");

    let mut emulated = Bench::new(true, 0.0, []);
    emulated.rig.bring(joints, &scene(), &stop).unwrap();
    assert_eq!(told(&emulated.log), ["moves", "scene laid"]);
    assert_eq!(emulated.rig.consents[0].by, "simulated");
}

#[test]
fn a_scene_that_is_not_set_moves_nothing() {
    let mut bench = Bench::new(false, 0.0, []);
    let log = bench.log.clone();
    let scenes = VecDeque::from([Err("quit at the buttons".to_string())]);
    bench.rig.stage = Box::new(Answers { log, recover: VecDeque::new(), scenes, person: true });
    let joints = aside(&bench.rig);
    assert!(bench.rig.bring(joints, &scene(), &StopFlag::new()).is_err());
    assert_eq!((told(&bench.log), bench.switches.write_count()), (vec!["asked to move".to_string()], 0));
    assert!(bench.rig.consents.is_empty());
}

#[test]
fn an_arm_pushed_after_consent_needs_a_new_consent() {
    // It drifts with each read beyond the tolerance, so the motion differs from the one that was allowed.
    let mut bench = Bench::new(false, 0.03, []);
    let log = bench.log.clone();
    let scenes = VecDeque::from([Ok(()), Ok(()), Err("no more".to_string())]);
    bench.rig.stage = Box::new(Answers { log, recover: VecDeque::new(), scenes, person: true });
    let joints = aside(&bench.rig);
    assert!(bench.rig.bring(joints, &scene(), &StopFlag::new()).is_err());
    assert_eq!((told(&bench.log).len(), bench.switches.write_count()), (3, 0));
}

#[test]
fn a_real_arm_goes_to_a_posture_only_when_it_is_allowed() {
    let stop = StopFlag::new();
    for (said, moves) in [(None, false), (Some(Said::No("terminal".into())), false), (Some(yes()), true)] {
        let mut bench = Bench::new(false, 0.0, said.clone());
        let joints = aside(&bench.rig);
        assert_eq!(bench.rig.go_to_start(joints, &stop).is_ok(), moves, "{said:?}");
        assert_eq!(told(&bench.log), if moves { vec!["asked to move", "moves"] } else { vec!["asked to move"] });
        assert_eq!(bench.rig.consents.len(), usize::from(moves));
    }
    let mut emulated = Bench::new(true, 0.0, []);
    let joints = aside(&emulated.rig);
    emulated.rig.go_to_start(joints, &stop).unwrap();
    assert_eq!(told(&emulated.log), ["moves"]);
}

#[test]
fn a_torque_mode_arm_approaches_in_position_mode_and_switches_when_the_episode_begins() {
    let mut bench = Bench::new(true, 0.0, []);
    (bench.rig.mode, bench.rig.way) = (ControlMode::Torque, Some(bench.rig.station.controller.clone()));
    let (stop, joints) = (StopFlag::new(), aside(&bench.rig));
    bench.rig.bring(joints, &scene(), &stop).unwrap();
    assert_eq!(told(&bench.log), ["moves", "scene laid"]);
    bench.rig.begin().unwrap();
    assert_eq!(told(&bench.log), ["activate torque"]);
    // The next start, from wherever the episode left the arm.
    bench.rig.bring(*bench.rig.station.chain.home(), &scene(), &stop).unwrap();
    assert_eq!(told(&bench.log), ["activate", "scene laid"]);
    // A fault: it recovers in position mode.
    bench.rig.begin().unwrap();
    bench.rig.yes = true;
    bench.switches.fault(true);
    bench.rig.ready().unwrap();
    bench.rig.begin().unwrap();
    assert_eq!(told(&bench.log), ["activate torque", "recover", "activate", "activate torque"]);
}
