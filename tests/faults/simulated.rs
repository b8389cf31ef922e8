//! Rows in simulated time: cameras, policies, clocks and disks that misbehave, over the real loops and a point-mass arm, with
//! the clock moved by hand. The same every time, and fast enough for every test run.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use visuomotor::action::{ActionError, ActionSource, ControlMode, Decision, JointCommand};
use visuomotor::camera::{Camera, CameraError, Delivery, LivenessSettings, SensorNoise};
use visuomotor::config::Robot;
use visuomotor::driver::{ArmDriver, Capabilities, ConnectError, Drive, DriverError, Plant, PointPlant};
use visuomotor::episode::{ControlTick, EpisodeEnd, EpisodeStart, Step, StepSink};
use visuomotor::observation::{Image, JointVector, Observation, Proprioception};
use visuomotor::protection::Protection;
use visuomotor::runtime::{EpisodeRequest, StopFlag, Timing, run_episode};
use visuomotor::time::{Clock, ManualClock, Timestamp};

use super::drive::{Never, Sway, start, station};
use super::link::Link;
use super::wall::{FLOOR, Finding, STANDING, names};

/// The fault begins in the middle of a sway \[s\]...
const BEGIN: f64 = 1.9;
/// ... and lasts so long \[s\].
const LASTS: f64 = 1.2;
/// Length of a row \[s\].
const LENGTH: f64 = 6.0;
/// Time between two images of the made-up camera \[s\].
const IMAGE_PERIOD: f64 = 1.0 / 15.0;
/// Time between two decisions \[s\].
const POLICY_PERIOD: f64 = 0.2;
/// What the camera promises about its images' age, and one policy period \[s\].
const ACTION_LIFE: f64 = 0.3 + POLICY_PERIOD;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    CameraSilent,
    CameraFrozen,
    CameraRepeats,
    CameraBlack,
    CameraSaturated,
    CameraFlat,
    CameraWrongSize,
    CameraStampsBack,
    CameraStampsAhead,
    CameraLate,
    PolicyNan,
    PolicyInfinite,
    PolicyHuge,
    PolicyWrongKind,
    PolicyFails,
    PolicyPanics,
    ClockJumps,
    StateNan,
    StateSilent,
    ArmBlocked,
    DiskFull,
}

impl Fault {
    pub const ALL: [Fault; 21] = [
        Fault::CameraSilent,
        Fault::CameraFrozen,
        Fault::CameraRepeats,
        Fault::CameraBlack,
        Fault::CameraSaturated,
        Fault::CameraFlat,
        Fault::CameraWrongSize,
        Fault::CameraStampsBack,
        Fault::CameraStampsAhead,
        Fault::CameraLate,
        Fault::PolicyNan,
        Fault::PolicyInfinite,
        Fault::PolicyHuge,
        Fault::PolicyWrongKind,
        Fault::PolicyFails,
        Fault::PolicyPanics,
        Fault::ClockJumps,
        Fault::StateNan,
        Fault::StateSilent,
        Fault::ArmBlocked,
        Fault::DiskFull,
    ];

    pub fn words(self) -> &'static str {
        match self {
            Fault::CameraSilent => "camera silent",
            Fault::CameraFrozen => "camera frozen: one image under new stamps and numbers",
            Fault::CameraRepeats => "camera repeats an image under its old stamp",
            Fault::CameraBlack => "camera black",
            Fault::CameraSaturated => "camera saturated",
            Fault::CameraFlat => "camera shows one gray",
            Fault::CameraWrongSize => "camera changes its size",
            Fault::CameraStampsBack => "camera's stamps go back",
            Fault::CameraStampsAhead => "camera's stamps lie in the future",
            Fault::CameraLate => "every image comes 0.6 s late",
            Fault::PolicyNan => "policy returns NaN",
            Fault::PolicyInfinite => "policy returns infinity",
            Fault::PolicyHuge => "policy asks for a kilometre",
            Fault::PolicyWrongKind => "policy returns actions of another kind",
            Fault::PolicyFails => "policy returns an error",
            Fault::PolicyPanics => "policy panics",
            Fault::ClockJumps => "the loops stand still for 2 s",
            Fault::StateNan => "a joint position is NaN",
            Fault::StateSilent => "the driver reports silence",
            Fault::ArmBlocked => "the arm is blocked",
            Fault::DiskFull => "the disk is full",
        }
    }

    /// What protects against it, for the control row: several where one stands in for another.
    fn protections(self) -> &'static [Protection] {
        use Protection::*;
        match self {
            Fault::CameraSilent | Fault::CameraRepeats | Fault::CameraLate | Fault::CameraStampsBack => {
                &[ImageLiveness, ActionAge]
            }
            Fault::CameraFrozen
            | Fault::CameraBlack
            | Fault::CameraSaturated
            | Fault::CameraFlat
            | Fault::CameraWrongSize
            | Fault::CameraStampsAhead => &[ImageLiveness],
            Fault::PolicyNan | Fault::PolicyInfinite | Fault::StateNan => &[Finite, StateCheck],
            Fault::PolicyHuge => &[JointPosition, JointVelocity, Torque, Workspace],
            Fault::PolicyWrongKind => &[Finite],
            Fault::PolicyFails | Fault::PolicyPanics | Fault::StateSilent => &[HoldAtTheEnd],
            Fault::ClockJumps => &[ActionAge, DeadlineBudget],
            Fault::ArmBlocked => &[Residual],
            Fault::DiskFull => &[Recording],
        }
    }

    /// Longest time from the fault until the arm must begin to stop \[s\].
    fn detection(self) -> f64 {
        match self {
            // Three periods without an image, or three equal images.
            Fault::CameraSilent | Fault::CameraFrozen | Fault::CameraRepeats => 3.0 * IMAGE_PERIOD + 0.02,
            // The next image shows it.
            Fault::CameraBlack
            | Fault::CameraSaturated
            | Fault::CameraFlat
            | Fault::CameraWrongSize
            | Fault::CameraStampsBack
            | Fault::CameraStampsAhead => IMAGE_PERIOD + POLICY_PERIOD,
            // The image in force grows old.
            Fault::CameraLate => ACTION_LIFE,
            // The next decision is refused; the one before is followed until then.
            Fault::PolicyNan
            | Fault::PolicyInfinite
            | Fault::PolicyHuge
            | Fault::PolicyWrongKind
            | Fault::PolicyFails
            | Fault::PolicyPanics => POLICY_PERIOD,
            Fault::ClockJumps | Fault::StateNan | Fault::StateSilent => 0.02,
            Fault::ArmBlocked | Fault::DiskFull => f64::INFINITY,
        }
    }

    /// Does the arm go on in spite of it, within its limits?
    fn goes_on(self) -> bool {
        matches!(self, Fault::PolicyHuge | Fault::DiskFull | Fault::ClockJumps | Fault::ArmBlocked)
    }
}

impl Fault {
    /// How long it lasts \[s\].
    fn lasts(self) -> f64 {
        match self {
            // A command has to run ahead of the arm before it is noticed.
            Fault::ArmBlocked => 2.5,
            _ => LASTS,
        }
    }

    /// Is it on at this moment?
    fn on(self, now: Timestamp) -> bool {
        (BEGIN..BEGIN + self.lasts()).contains(&now.as_secs_f64())
    }
}

/// One turn of the arm as it happened.
#[derive(Clone, Copy)]
struct Moment {
    at: Timestamp,
    positions: JointVector,
    velocities: JointVector,
    /// What the motors were told, by mode.
    told: Option<JointCommand>,
}

/// An arm over a point per joint, which is held by its drive when it is told to hold.
struct PlantArm {
    capabilities: Capabilities,
    plant: PointPlant,
    fault: Fault,
    told: Option<JointCommand>,
    /// Where a torque drive's hold pulls to.
    resting: Option<JointVector>,
    damping: f64,
    moments: Arc<Mutex<Vec<Moment>>>,
}

impl PlantArm {
    fn step(&mut self, now: Timestamp) {
        let blocked = self.fault == Fault::ArmBlocked && self.fault.on(now);
        if let Some(told) = self.told {
            let still = JointVector::zeros(told.joints.len());
            let state = self.plant.sense();
            self.plant.drive(match told.mode {
                _ if blocked => Drive::Velocity(still),
                ControlMode::Position => Drive::Position(told.joints),
                ControlMode::Velocity => Drive::Velocity(told.joints),
                ControlMode::Torque => {
                    // Friction of a gear, so that zero torque comes to rest as a real arm does.
                    let mut torque = told.joints;
                    for joint in 0..torque.len() {
                        torque[joint] -= self.damping * state.joint_velocities[joint];
                        if let Some(resting) = &self.resting {
                            torque[joint] += 100.0 * (resting[joint] - state.joint_positions[joint])
                                - 20.0 * state.joint_velocities[joint];
                        }
                    }
                    Drive::Floating(torque)
                }
            });
        }
        self.plant.advance_to(now);
        let state = self.plant.sense();
        self.moments.lock().expect("nothing panics with it").push(Moment {
            at: now,
            positions: state.joint_positions,
            velocities: state.joint_velocities,
            told: self.told,
        });
    }
}

impl ArmDriver for PlantArm {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn activate(&mut self, now: Timestamp, _: ControlMode) -> Result<(), DriverError> {
        self.hold(now)
    }

    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        self.step(now);
        let mut state = self.plant.sense();
        match self.fault {
            Fault::StateNan if self.fault.on(now) => state.joint_positions[0] = f64::NAN,
            Fault::StateSilent if self.fault.on(now) => return Err(DriverError::Silent),
            _ => {}
        }
        Ok(state)
    }

    fn write(&mut self, _: Timestamp, command: &JointCommand) -> Result<(), DriverError> {
        (self.told, self.resting) = (Some(*command), None);
        Ok(())
    }

    fn hold(&mut self, _: Timestamp) -> Result<(), DriverError> {
        let here = self.plant.sense().joint_positions;
        let mode = self.told.map_or(ControlMode::Position, |told| told.mode);
        let joints = if mode == ControlMode::Position { here } else { JointVector::zeros(here.len()) };
        self.told = Some(JointCommand { mode, joints, gripper: 1.0 });
        self.resting = Some(here);
        Ok(())
    }

    fn recover(&mut self, _: Timestamp) -> Result<(), ConnectError> {
        Ok(())
    }
}

/// A camera at 15 images a second with the noise of a sensor.
struct Camera15 {
    fault: Fault,
    newest: Option<Image>,
}

impl Camera for Camera15 {
    fn name(&self) -> &str {
        "camera"
    }

    fn newest(&mut self, now: Timestamp) -> Result<Image, CameraError> {
        let frame = (now.as_secs_f64() / IMAGE_PERIOD).floor();
        let mut taken = Timestamp::from_secs_f64(frame * IMAGE_PERIOD);
        let faulty = self.fault.on(taken);
        let mut sequence = frame as u64 + 1;
        let (width, height) = if self.fault == Fault::CameraWrongSize && faulty { (32, 16) } else { (32, 24) };
        let mut noise = sequence;
        let mut pixels: Vec<u8> = (0..width * height * 3)
            .map(|i| {
                // A gradient, and a little of a generator's noise.
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                60 + (i % 97) as u8 + (noise >> 61) as u8
            })
            .collect();
        match self.fault {
            Fault::CameraSilent | Fault::CameraRepeats if faulty => {
                return self
                    .newest
                    .clone()
                    .ok_or(CameraError::Silent { camera: "camera".into(), why: "none yet".into() });
            }
            Fault::CameraFrozen if faulty => {
                if let Some(newest) = &self.newest {
                    pixels = newest.pixels.to_vec();
                }
            }
            Fault::CameraBlack if faulty => pixels.fill(0),
            Fault::CameraSaturated if faulty => pixels.fill(255),
            Fault::CameraFlat if faulty => pixels.fill(128),
            Fault::CameraStampsBack if faulty => {
                taken = Timestamp::from_secs_f64(BEGIN - 0.3 - 0.01 * (frame - BEGIN / IMAGE_PERIOD));
            }
            Fault::CameraStampsAhead if faulty => taken = now + Duration::from_secs(3),
            Fault::CameraLate if faulty => {
                let late = (now.as_secs_f64() - 0.6) / IMAGE_PERIOD;
                taken = Timestamp::from_secs_f64(late.floor() * IMAGE_PERIOD);
                sequence = late.floor() as u64 + 1;
            }
            _ => {}
        }
        let image =
            Image { camera: "camera".into(), width, height, pixels: pixels.into(), captured_at: taken, sequence };
        if !(faulty && self.fault == Fault::CameraFrozen) {
            self.newest = Some(image.clone());
        }
        Ok(image)
    }

    fn liveness(&self) -> LivenessSettings {
        LivenessSettings {
            noise: SensorNoise::Promised,
            delivery: Delivery::Stream { period: Some(Duration::from_secs_f64(IMAGE_PERIOD)) },
            ..LivenessSettings::default()
        }
    }
}

/// The sway, until the fault.
struct Policy<'a> {
    fault: Fault,
    sway: Sway,
    clock: &'a ManualClock,
    jumped: bool,
}

impl ActionSource for Policy<'_> {
    fn name(&self) -> &str {
        "sway"
    }

    fn reset(&mut self) {
        self.sway.reset();
    }

    fn decide(&mut self, observation: &Observation) -> Result<Decision, ActionError> {
        let mut decision = self.sway.decide(observation)?;
        if !self.fault.on(observation.observed_at) {
            return Ok(decision);
        }
        match self.fault {
            // One way only: against what blocks it.
            Fault::ArmBlocked => decision.action.translation[1] = -decision.action.translation[1].abs(),
            Fault::PolicyNan => decision.action.translation[1] = f64::NAN,
            Fault::PolicyInfinite => decision.action.rotation[2] = f64::INFINITY,
            Fault::PolicyHuge => decision.action.translation[1] *= 1e5,
            Fault::PolicyWrongKind => decision.joint_torques = Some(JointVector::zeros(3)),
            Fault::PolicyFails => return Err(ActionError::Network("out of memory".into())),
            Fault::PolicyPanics => panic!("the policy fell over"),
            Fault::ClockJumps if !std::mem::replace(&mut self.jumped, true) => {
                self.clock.advance(Duration::from_secs(2));
            }
            _ => {}
        }
        Ok(decision)
    }
}

/// A recorder; what the control loop did is kept.
struct Recorder {
    disk_full: bool,
}

impl StepSink for Recorder {
    fn episode_started(&mut self, _: &EpisodeStart) -> anyhow::Result<()> {
        Ok(())
    }

    fn step(&mut self, step: &Step<'_>) -> anyhow::Result<()> {
        anyhow::ensure!(!(self.disk_full && Fault::DiskFull.on(step.decided_at)), "no space left on device");
        Ok(())
    }

    fn control_tick(&mut self, _: &ControlTick) -> anyhow::Result<()> {
        Ok(())
    }

    fn episode_ended(&mut self, _: &EpisodeEnd) -> anyhow::Result<()> {
        Ok(())
    }
}

/// The protections that a control of this row goes without.
pub fn without(fault: Fault) -> String {
    names(fault.protections())
}

/// Runs one row; with `control`, a build with the feature `fault-controls` is told which protection is off by its
/// environment.
pub fn run(fault: Fault, mode: ControlMode, control: bool) -> Finding {
    // The arm whose description has limits in every mode.
    let link = Link::Sawyer;
    let robot = link.robot();
    let home = JointVector::from_slice(&robot.robot.home);
    let moments = Arc::new(Mutex::new(Vec::new()));
    let mut plant = PointPlant::at(home);
    // Its servos are a little faster than the limits, as real ones are; a joint carries what is before it.
    plant.speed = 1.2 * robot.limits.joint_velocity.iter().copied().fold(f64::INFINITY, f64::min);
    plant.inertia = 3.0;
    let arm = PlantArm {
        capabilities: Capabilities {
            robot: robot.robot.name.clone(),
            driver: "simulated".into(),
            joints: home.len(),
            control_rate_hz: robot.robot.control_rate_hz,
            modes: vec![mode],
        },
        plant,
        fault,
        told: None,
        resting: None,
        damping: 8.0,
        moments: Arc::clone(&moments),
    };
    let mut finding = Finding::new(fault.words(), "simulated", mode, fault.detection());
    let clock = ManualClock::new();
    let mut station = match station(link, mode, Box::new(arm)) {
        Ok(station) => station,
        Err(error) => {
            finding.why = format!("{error:#}");
            return finding;
        }
    };
    station.cameras = vec![(Box::new(Camera15 { fault, newest: None }), 0.3)];
    if fault == Fault::ArmBlocked && mode == ControlMode::Torque {
        finding.skipped = Some("a torque has no place to run ahead of: the maker's collision thresholds decide".into());
        return finding;
    }
    if control {
        finding.without = Some(without(fault));
    }
    let mut recorder = Recorder { disk_full: fault == Fault::DiskFull };
    let stop = StopFlag::new();
    let report = run_episode(
        &mut station,
        EpisodeRequest {
            start: start(link),
            seconds: LENGTH,
            source: &mut Policy { fault, sway: Sway::new(), clock: &clock, jumped: false },
            sinks: vec![&mut recorder],
            judge: &mut Never,
            stop: &stop,
        },
        Timing::Lockstep { clock: &clock, stopwatch: &ManualClock::new() },
    );
    // The loops are over: the arm goes on by what it was last told.
    let mut now = clock.now();
    for _ in 0..150 {
        now = now + station.control_period;
        // What it says does not matter any more.
        let _ = station.arm.read(now);
    }
    finding.seen.push(format!("ended: {:?}", report.outcome));
    finding.seen.extend(report.camera_faults.iter().cloned());
    finding.seen.extend(report.fault.iter().map(|fault| format!("fault: {fault}")));
    let moments = moments.lock().expect("nothing panics with it").clone();
    judge(fault, mode, &robot, &moments, &mut finding);
    if fault == Fault::DiskFull && finding.green && report.seconds < LENGTH - 0.1 {
        finding.green = false;
        finding.why = "the arm's work ended with the disk".into();
    }
    finding
}

fn judge(fault: Fault, mode: ControlMode, robot: &Robot, moments: &[Moment], finding: &mut Finding) {
    let begin = Timestamp::from_secs_f64(BEGIN);
    let split = moments.partition_point(|moment| moment.at < begin);
    let Some((before, after)) = split.checked_sub(1).map(|last| (&moments[last], &moments[split..])) else {
        finding.why = "the row ended before its fault".into();
        return;
    };
    let speed = |moment: &Moment| moment.velocities.iter().fold(0.0, |most, v| f64::max(most, v.abs()));
    let seconds = |moment: &Moment| moment.at.as_secs_f64() - BEGIN;
    finding.speed_before = speed(before);
    finding.peak_speed = after.iter().map(&speed).fold(0.0, f64::max);
    finding.stall = 0.0;
    // Until the fault is over the arm must have stood; what follows is a recovery, which must not jump.
    let during: Vec<&Moment> = after.iter().take_while(|moment| seconds(moment) < fault.lasts()).collect();
    let moving = during.iter().rposition(|moment| speed(moment) > STANDING);
    let stood = moving.is_none_or(|last| last + 1 < during.len());
    finding.rest_after = stood.then(|| moving.map_or(0.0, |last| seconds(during[last])));
    let period = 1.0 / robot.robot.control_rate_hz;
    let mut share = f64::NEG_INFINITY;
    (finding.travelled, finding.allowed) = (0.0, f64::INFINITY);
    for joint in 0..before.positions.len() {
        // Within the detection time it is as fast as it was wished to be.
        let detected = during.iter().take_while(|moment| seconds(moment) <= fault.detection());
        let speed =
            detected.map(|moment| moment.velocities[joint].abs()).fold(before.velocities[joint].abs(), f64::max);
        let told = match (mode, before.told) {
            (ControlMode::Position, Some(told)) => (told.joints[joint] - before.positions[joint]).abs(),
            _ => 0.0,
        };
        let allowed = speed * (fault.detection() + period)
            + speed * speed / (2.0 * robot.limits.joint_acceleration[joint])
            + told
            + FLOOR;
        let travelled =
            during.iter().map(|moment| (moment.positions[joint] - before.positions[joint]).abs()).fold(0.0, f64::max);
        if travelled / allowed > share {
            share = travelled / allowed;
            (finding.travelled, finding.allowed) = (travelled, allowed);
        }
    }
    let worst = share - 1.0;
    let too_fast = after.iter().find_map(|moment| {
        (0..moment.velocities.len())
            .find(|&joint| !(moment.velocities[joint].abs() <= 1.3 * robot.limits.joint_velocity[joint]))
    });
    let last = &moments[moments.len() - 1];
    finding.why = if finding.speed_before < 0.1 {
        format!("the arm hardly moved before the fault ({:.3} rad/s)", finding.speed_before)
    } else if let Some(joint) = too_fast {
        format!("joint {joint} went faster than its limit")
    } else if worst > 0.0 && !fault.goes_on() {
        format!("a joint travelled {:.3} rad, {:.3} were allowed", finding.travelled, finding.allowed)
    } else if !stood && !fault.goes_on() {
        "the arm did not come to rest while the fault lasted".into()
    } else if speed(last) > STANDING {
        "the arm did not stand after the episode".into()
    } else {
        blocked(fault, mode, robot, &during)
    };
    finding.green = finding.why.is_empty();
}

/// A blocked arm must not be pushed ever harder: a position runs ahead no farther than the description allows; a velocity is
/// tried again only now and then, so the way that is commanded in vain stays small.
fn blocked(fault: Fault, mode: ControlMode, robot: &Robot, during: &[&Moment]) -> String {
    if fault != Fault::ArmBlocked {
        return String::new();
    }
    let Some(last) = during.last() else { return "no moment while it was blocked".into() };
    let (error, time) = (robot.limits.following_error, robot.limits.following_time);
    let period = 1.0 / robot.robot.control_rate_hz;
    for joint in 0..last.positions.len() {
        let told = |moment: &Moment| moment.told.map_or(0.0, |told| told.joints[joint]);
        let (pushed, most) = match mode {
            ControlMode::Position => ((told(last) - last.positions[joint]).abs(), error + 0.01),
            ControlMode::Velocity => {
                let way = during.iter().map(|moment| told(moment).abs() * period).sum();
                let fastest = during.iter().map(|moment| told(moment).abs()).fold(0.0, f64::max);
                // Noticed, let go, and tried again once.
                (way, 2.5 * error + 2.0 * fastest * (time + 0.1))
            }
            ControlMode::Torque => continue,
        };
        if !(pushed <= most) {
            return format!("joint {joint} is still pushed: {pushed:.3} rad ahead, {most:.3} are allowed");
        }
    }
    String::new()
}
