//! A set-up without hardware, an episode request and listeners.

use std::path::Path;
use std::time::Duration;

use visuomotor::action::{Action, ActionBounds, ActionError, ActionSource, Decision};
use visuomotor::config::{GripperPolicy, Robot};
use visuomotor::control::Controller;
use visuomotor::driver::ArmDriver;
use visuomotor::episode::{ControlTick, EpisodeEnd, EpisodeStart, Judge, Outcome, SinkError, Step, StepSink};
use visuomotor::kinematics::Chain;
use visuomotor::observation::Observation;
use visuomotor::runtime::fake::{FakeArm, FakeCamera, Switches};
use visuomotor::runtime::{EpisodeRequest, Station, StopFlag};
use visuomotor::safety::SafetyFilter;
use visuomotor::time::Timestamp;

/// A WidowX at home; switches of the arm and of the camera.
pub fn station() -> (Station, Switches, Switches) {
    let robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").unwrap();
    let chain = Chain::from_robot(&robot).unwrap();
    let (arm, arm_switches) = FakeArm::at(*chain.home(), 1.0);
    let (camera, camera_switches) = FakeCamera::new("over_shoulder", 8, 6);
    let (control_period, policy_period) = (Duration::from_millis(20), Duration::from_millis(200));
    let bounds = ActionBounds::BRIDGE;
    let station = Station {
        arm: Box::new(arm),
        cameras: vec![(Box::new(camera), 0.3)],
        controller: Controller::new(&robot, chain.clone(), bounds, GripperPolicy::Direct, policy_period),
        safety: SafetyFilter::new(&robot, chain.clone()),
        chain,
        control_period,
        policy_period,
    };
    (station, arm_switches, camera_switches)
}

/// Puts another arm around the station's.
pub fn wrap(station: &mut Station, wrapper: impl FnOnce(Box<dyn ArmDriver>) -> Box<dyn ArmDriver>) {
    let (placeholder, _) = FakeArm::new(6);
    let arm = std::mem::replace(&mut station.arm, Box::new(placeholder));
    station.arm = wrapper(arm);
}

pub fn start() -> EpisodeStart {
    EpisodeStart {
        name: "one".into(),
        task: "nothing".into(),
        instruction: "do nothing in particular".into(),
        robot: "widowx".into(),
        action_source: "script".into(),
        policy_rate_hz: 5.0,
        control_rate_hz: 50.0,
        joint_names: Vec::new(),
        seed: 0,
        settings: String::new(),
    }
}

pub fn request<'a>(
    seconds: f64,
    source: &'a mut dyn ActionSource,
    listener: &'a mut Listener,
    judge: &'a mut Clockwatcher,
    stop: &'a StopFlag,
) -> EpisodeRequest<'a> {
    EpisodeRequest { start: start(), seconds, source, sinks: vec![listener], judge, stop }
}

/// Decides by a function of the step.
pub struct Script<F>(pub F, pub u64);

impl<F: FnMut(u64) -> Result<Action, ActionError>> Script<F> {
    pub fn new(decide: F) -> Self {
        Self(decide, 0)
    }
}

impl<F: FnMut(u64) -> Result<Action, ActionError>> ActionSource for Script<F> {
    fn name(&self) -> &str {
        "script"
    }
    fn reset(&mut self) {
        self.1 = 0;
    }
    fn decide(&mut self, _: &Observation) -> Result<Decision, ActionError> {
        let action = (self.0)(self.1)?;
        self.1 += 1;
        Ok(Decision { encoder_seconds: 0.004, policy_seconds: 0.001, ..Decision::plain(action) })
    }
}

/// A small motion of the tool back and forth.
pub fn wave(step: u64) -> Result<Action, ActionError> {
    let z = if step.is_multiple_of(2) { 0.01 } else { -0.01 };
    Ok(Action { translation: [0.0, 0.005, z], rotation: [0.0, 0.0, 0.02], gripper: 1.0 })
}

/// Records its calls, and can fail or act at a step.
#[derive(Default)]
pub struct Listener {
    pub events: String,
    pub ticks: Vec<ControlTick>,
    pub steps: u64,
    pub end: Option<EpisodeEnd>,
    pub at_step: Option<Box<dyn FnMut(u64) -> anyhow::Result<()>>>,
}

impl Listener {
    pub fn at_step(act: impl FnMut(u64) -> anyhow::Result<()> + 'static) -> Self {
        Self { at_step: Some(Box::new(act)), ..Self::default() }
    }
}

impl StepSink for Listener {
    fn episode_started(&mut self, _: &EpisodeStart) -> Result<(), SinkError> {
        self.events.push('<');
        Ok(())
    }
    fn step(&mut self, step: &Step<'_>) -> Result<(), SinkError> {
        assert_eq!(step.index, self.steps);
        self.events.push('S');
        self.steps += 1;
        self.at_step.as_mut().map_or(Ok(()), |act| act(step.index).map_err(SinkError::new))
    }
    fn control_tick(&mut self, tick: &ControlTick) -> Result<(), SinkError> {
        self.events.push('t');
        self.ticks.push(*tick);
        Ok(())
    }
    fn episode_ended(&mut self, end: &EpisodeEnd) -> Result<(), SinkError> {
        self.events.push('>');
        self.end = Some(end.clone());
        Ok(())
    }
}

/// Returns a success after this number of calls, a failure when time runs out.
#[derive(Default)]
pub struct Clockwatcher {
    pub success_after: Option<u64>,
    pub asked: u64,
}

impl Judge for Clockwatcher {
    fn judge(&mut self, _: Timestamp) -> Option<Outcome> {
        self.asked += 1;
        (self.success_after == Some(self.asked)).then(|| Outcome::Success { judge: "test".into() })
    }
    fn time_out(&mut self, _: Timestamp) -> Outcome {
        Outcome::Failure { judge: "test".into(), why: "time ran out".into() }
    }
}
