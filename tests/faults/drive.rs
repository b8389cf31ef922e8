//! The driving process: the runtime's two loops over a driver, a made-up camera and a policy that sways the tool back and
//! forth, which both misbehave on cue. Prints one line per event that it notices.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use visuomotor::action::{Action, ActionError, ActionSource, ControlMode, Decision};
use visuomotor::config::{ControlSetting, GripperPolicy};
use visuomotor::control::Controller;
use visuomotor::driver::ArmDriver;
use visuomotor::driver::ros2::TORQUE_SHARE;
use visuomotor::episode::{
    ControlTick, EpisodeEnd, EpisodeStart, Filtered, Judge, LimitReason, Outcome, SinkError, Step, StepSink,
};
use visuomotor::kinematics::Chain;
use visuomotor::observation::{JointVector, Observation};
use visuomotor::recording::{Recorder, WriterOptions};
use visuomotor::runtime::fake::{FakeCamera, Switches, View};
use visuomotor::runtime::{EpisodeRequest, Station, StopFlag, Timing, WallOptions, run_episode};
use visuomotor::safety::SafetyFilter;
use visuomotor::time::{SystemClock, Timestamp};

use super::link::Link;
use super::trace::monotonic;
use super::witness::Witness;

/// Time between decisions.
const POLICY_PERIOD: Duration = Duration::from_millis(200);

/// Motion of the tool per decision, at most \[m\].
const STRIDE: f64 = 0.03;

/// Name of the recording, beside the arm's port.
pub const RECORDING: &str = "episode";

/// The next decision is slow.
static SLOW: AtomicBool = AtomicBool::new(false);
/// Every decision from now on is NaN, or a quarter turn.
static NAN: AtomicBool = AtomicBool::new(false);
static JUMP: AtomicBool = AtomicBool::new(false);

/// The arm is recovered after an episode ended, and driven on.
static RECOVER: AtomicBool = AtomicBool::new(false);

/// Timestamps warnings as events.
struct Warns;

impl tracing_subscriber::fmt::time::FormatTime for Warns {
    fn format_time(&self, to: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        write!(to, "{:.6} warns", monotonic() as f64 * 1e-9)
    }
}

/// Sways the tool sideways: five decisions one way, ten back, and so on.
pub struct Sway {
    step: u64,
}

impl Sway {
    pub fn new() -> Self {
        Self { step: 0 }
    }
}

impl ActionSource for Sway {
    fn name(&self) -> &str {
        "sway"
    }

    fn reset(&mut self) {
        self.step = 0;
    }

    fn decide(&mut self, _: &Observation) -> Result<Decision, ActionError> {
        if SLOW.swap(false, Ordering::AcqRel) {
            std::thread::sleep(Duration::from_millis(1200));
        }
        let turn = (self.step + 5) / 10 % 2;
        self.step += 1;
        let along = if turn == 0 { STRIDE } else { -STRIDE };
        let along = if NAN.load(Ordering::Acquire) { f64::NAN } else { along };
        let turn = if JUMP.load(Ordering::Acquire) { std::f64::consts::FRAC_PI_2 } else { 0.0 };
        Ok(Decision::plain(Action { translation: [0.0, along, 0.0], rotation: [0.0, 0.0, turn], gripper: 1.0 }))
    }
}

/// Set while a motion against the commands is looked for.
static WATCHED: AtomicBool = AtomicBool::new(false);

/// Control ticks from which the direction of motion is measured.
const BEFORE: usize = 5;

/// Prints what the control loop did about a fault, once each time it changes.
pub struct Noticing {
    last: Option<LimitReason>,
    said: bool,
    /// Joint positions at the last ticks.
    way: std::collections::VecDeque<JointVector>,
    /// The fastest joint when commands were lost, and its direction.
    going: Option<(usize, f64)>,
    /// Torques above this count \[Nm\].
    torque: Vec<f64>,
    /// Machine's time at the start of the loops' clock \[s\].
    origin: f64,
}

impl Noticing {
    /// For an arm whose loop has this clock.
    pub fn new(link: Link, clock: &SystemClock) -> Self {
        let torque = link.robot().limits.joint_torque.iter().map(|limit| limit * TORQUE_SHARE).collect();
        let loops = visuomotor::time::Clock::now(clock).as_secs_f64();
        let origin = monotonic() as f64 * 1e-9 - loops;
        Self { last: None, said: false, way: Default::default(), going: None, torque, origin }
    }

    /// Prints once when an arm that no longer receives commands is commanded to stop or turn back.
    fn look(&mut self, tick: &ControlTick) {
        self.way.push_back(tick.measured);
        if self.way.len() > BEFORE {
            self.way.pop_front();
        }
        if !WATCHED.load(Ordering::Acquire) {
            return;
        }
        let (joint, way) = *self.going.get_or_insert_with(|| {
            let ways = tick.measured.iter().zip(self.way[0].iter()).map(|(now, then)| now - then);
            ways.enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).unwrap_or((0, 0.0))
        });
        let told = tick.sent.joints()[joint] * way.signum();
        let otherwise = match tick.sent.mode() {
            ControlMode::Velocity => told <= 0.0,
            ControlMode::Torque => told <= -self.torque[joint],
            ControlMode::Position => false,
        };
        if otherwise {
            WATCHED.store(false, Ordering::Release);
            println!("{:.6} told otherwise", self.origin + tick.at.as_secs_f64());
        }
    }
}

impl StepSink for Noticing {
    fn episode_started(&mut self, _: &EpisodeStart) -> Result<(), SinkError> {
        Ok(())
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), SinkError> {
        if !self.said && step.index >= 2 {
            self.said = true;
            event("moving");
        }
        Ok(())
    }

    fn control_tick(&mut self, tick: &ControlTick) -> Result<(), SinkError> {
        self.look(tick);
        let now = match tick.filtered {
            Filtered::Stopped(reason) => Some(reason),
            _ => None,
        };
        if now != self.last {
            self.last = now;
            let at = self.origin + tick.at.as_secs_f64();
            match now {
                Some(reason) => event_at(at, &format!("stopped {reason:?}")),
                None => event_at(at, "resumed"),
            }
        }
        Ok(())
    }

    fn episode_ended(&mut self, _: &EpisodeEnd) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Prints a line with the machine's time; a closed terminal is ignored.
pub fn event(what: &str) {
    event_at(monotonic() as f64 * 1e-9, what);
}

fn event_at(at: f64, what: &str) {
    use std::io::Write;
    let mut out = std::io::stdout();
    // The reader may have ended: that is one of the faults.
    let _ = writeln!(out, "{at:.6} {what}");
    let _ = out.flush();
}

pub struct Never;

impl Judge for Never {
    fn judge(&mut self, _: Timestamp) -> Option<Outcome> {
        None
    }

    fn time_out(&mut self, _: Timestamp) -> Outcome {
        Outcome::Failure { judge: "matrix".into(), why: "time is up".into() }
    }
}

/// A station over this arm.
pub fn station(link: Link, mode: ControlMode, arm: Box<dyn ArmDriver>) -> anyhow::Result<Station> {
    Ok(station_and_camera(link, mode, arm)?.0)
}

/// The same, with the switches of its camera.
fn station_and_camera(link: Link, mode: ControlMode, arm: Box<dyn ArmDriver>) -> anyhow::Result<(Station, Switches)> {
    let robot = link.robot();
    let chain = Chain::from_robot(&robot)?;
    let bounds = visuomotor::action::ActionBounds::BRIDGE;
    let setting = ControlSetting { law: link.law(mode), ..ControlSetting::default() };
    let controller = Controller::new(&robot, chain.clone(), bounds, GripperPolicy::Direct, POLICY_PERIOD)
        .with_law(&robot, &setting)?;
    let (camera, switches) = FakeCamera::new("camera", 64, 64);
    let station = Station {
        arm,
        cameras: vec![(Box::new(camera), 0.3)],
        safety: SafetyFilter::new(&robot, chain.clone()),
        chain,
        controller,
        control_period: Duration::from_secs_f64(1.0 / robot.identity.control_rate_hz),
        policy_period: POLICY_PERIOD,
    };
    Ok((station, switches))
}

/// The episode's data before its first step.
pub fn start(link: Link) -> EpisodeStart {
    let robot = link.robot();
    EpisodeStart {
        name: "fault".into(),
        task: "sway".into(),
        instruction: "sway".into(),
        joint_names: robot.joint_names(),
        robot: robot.identity.name,
        action_source: "sway".into(),
        policy_rate_hz: 1.0 / POLICY_PERIOD.as_secs_f64(),
        control_rate_hz: robot.identity.control_rate_hz,
        seed: 1,
        settings: String::new(),
    }
}

/// Drives until it is stopped, a fault ends it, or `seconds` are over.
pub fn run(link: Link, mode: ControlMode, port: &Path, seconds: f64) -> anyhow::Result<()> {
    // The operator's terminal shows warnings.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(visuomotor::cli::USUAL_LOG)
        .with_level(false)
        .with_ansi(false)
        .with_target(false)
        .with_timer(Warns)
        .init();
    let stop = StopFlag::on_signals()?;
    let clock = Arc::new(SystemClock::new());
    let mut arm = link.connect(mode, port, &clock)?;
    arm.activate(visuomotor::time::Clock::now(&*clock), mode)?;
    let (mut station, camera) = station_and_camera(link, mode, Box::new(Witness::new(arm)))?;
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            match line.as_str() {
                "slow disk" => slow_disk(),
                "slow" => SLOW.store(true, Ordering::Release),
                "nan" => NAN.store(true, Ordering::Release),
                "jump" => JUMP.store(true, Ordering::Release),
                "recover" => RECOVER.store(true, Ordering::Release),
                "watch" => WATCHED.store(true, Ordering::Release),
                #[cfg(feature = "fault-controls")]
                "network lost" => visuomotor::transport::loss::lose_network(),
                "camera silent" => camera.silence(true),
                "camera frozen" => camera.show(View::Still),
                other => eprintln!("the driving program does not know `{other}`"),
            }
        }
    });
    event("active");
    sway(link, &mut station, &clock, port, RECORDING, seconds, &stop)?;
    if RECOVER.load(Ordering::Acquire) {
        station.arm.recover(visuomotor::time::Clock::now(&*clock))?;
        station.arm.activate(visuomotor::time::Clock::now(&*clock), mode)?;
        event("recovered");
        sway(link, &mut station, &clock, port, "recovered", seconds, &stop)?;
    }
    drop(station);
    event("left");
    Ok(())
}

/// One episode, and how it ended.
fn sway(
    link: Link,
    station: &mut Station,
    clock: &Arc<SystemClock>,
    port: &Path,
    recording: &str,
    seconds: f64,
    stop: &StopFlag,
) -> anyhow::Result<()> {
    let options = WallOptions::default();
    let mut noticing = Noticing::new(link, clock);
    let folder = port.parent().unwrap_or(Path::new("."));
    let started_at = visuomotor::time::Clock::now(&**clock);
    let mut recorder = Recorder::create(folder, recording, WriterOptions { started_at, ..WriterOptions::default() })?;
    let request = EpisodeRequest {
        start: start(link),
        seconds,
        source: &mut Sway::new(),
        sinks: vec![&mut noticing, &mut recorder],
        judge: &mut Never,
        stop,
    };
    let report = run_episode(station, request, Timing::Wall { clock, options: &options });
    let why = match &report.outcome {
        Outcome::Success { judge } => judge,
        Outcome::Failure { why, .. } | Outcome::Aborted { why, .. } => why,
    };
    event(&format!("ended {}: {why}", report.outcome.word()));
    if let Some(fault) = &report.fault {
        event(&format!("fault {fault}"));
    }
    if let Some(hold) = report.hold {
        event(&format!("hold {hold}"));
    }
    Ok(())
}

#[cfg(feature = "fault-controls")]
fn slow_disk() {
    visuomotor::recording::slow_down(Duration::from_secs(1));
}

#[cfg(not(feature = "fault-controls"))]
fn slow_disk() {}
