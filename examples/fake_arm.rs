//! A fake arm driven by both loops, through control and safety, and recorded: no robot, camera, GPU or simulator.
//!
//!     cargo run --release --example fake_arm            # then: cargo run --release --example read_episode results/fake/wave.mcap

use std::path::Path;
use std::time::Duration;

use visuomotor::action::{Action, ActionBounds, ActionError, ActionSource, Decision};
use visuomotor::config::{GripperPolicy, Robot};
use visuomotor::control::Controller;
use visuomotor::episode::{EpisodeStart, Judge, Outcome};
use visuomotor::kinematics::Chain;
use visuomotor::observation::Observation;
use visuomotor::recording::{Recorder, WriterOptions};
use visuomotor::runtime::fake::{FakeArm, FakeCamera};
use visuomotor::runtime::{EpisodeRequest, Station, StopFlag, Timing, run_episode};
use visuomotor::safety::SafetyFilter;
use visuomotor::time::{ManualClock, Timestamp};

/// Decides five times a second; a policy would look at `observation.images`.
struct Wave;

impl ActionSource for Wave {
    fn name(&self) -> &str {
        "wave"
    }
    fn reset(&mut self) {}
    fn decide(&mut self, observation: &Observation) -> Result<Decision, ActionError> {
        let up = observation.observed_at.as_secs_f64().rem_euclid(2.0) < 1.0;
        let translation = [0.0, 0.0, if up { 0.01 } else { -0.01 }];
        Ok(Decision::plain(Action { translation, ..Action::stay(1.0) }))
    }
}

/// A task would be judged here.
struct UntilTimeIsUp;

impl Judge for UntilTimeIsUp {
    fn judge(&mut self, _: Timestamp) -> Option<Outcome> {
        None
    }
    fn time_out(&mut self, _: Timestamp) -> Outcome {
        Outcome::Success { judge: "clock".into() }
    }
}

fn main() -> anyhow::Result<()> {
    let robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx")?;
    let chain = Chain::from_robot(&robot)?;
    let (control_period, policy_period) = (Duration::from_millis(20), Duration::from_millis(200));
    let mut station = Station {
        arm: Box::new(FakeArm::at(*chain.home(), 1.0).0),
        cameras: vec![(Box::new(FakeCamera::new("front", 64, 48).0), 0.3)],
        controller: Controller::new(&robot, chain.clone(), ActionBounds::BRIDGE, GripperPolicy::Direct, policy_period),
        safety: SafetyFilter::new(&robot, chain.clone()),
        chain,
        control_period,
        policy_period,
    };
    let start = EpisodeStart {
        name: "wave".into(),
        task: "wave".into(),
        instruction: "wave up and down".into(),
        robot: "widowx".into(),
        action_source: "wave".into(),
        policy_rate_hz: 5.0,
        control_rate_hz: 50.0,
        joint_names: robot.joint_names(),
        seed: 0,
        settings: String::new(),
    };
    let folder = Path::new("results/fake");
    std::fs::create_dir_all(folder)?;
    // A recording is never written over; this one is the last call's.
    if folder.join("wave.mcap").exists() {
        std::fs::remove_file(folder.join("wave.mcap"))?;
    }
    let mut recorder = Recorder::create(folder, "wave", WriterOptions::default())?;
    let request = EpisodeRequest {
        start,
        seconds: 4.0,
        source: &mut Wave,
        sinks: vec![&mut recorder],
        judge: &mut UntilTimeIsUp,
        stop: &StopFlag::new(),
    };
    let clock = ManualClock::new();
    let report = run_episode(&mut station, request, Timing::Lockstep { clock: &clock, stopwatch: &clock });
    println!("{:?} after {} s, recorded in {}", report.outcome, report.seconds, recorder.path().display());
    Ok(())
}
