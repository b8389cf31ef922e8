//! A shadow run plays a recorded episode to policy, control and safety filter at the recorded times; no arm, no link.

mod played;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::RunArguments;
use super::difference::Differences;
use super::drive::{Drive, Watchers};
use super::ending::Ended;
use super::job::{Job, Place};
use super::playback::Playback;
use super::start_up::StartUp;
use super::until::Until;
use crate::camera::Camera;
use crate::cli::realtime::wall_options;
use crate::cli::set_up::SetUp;
use crate::cli::station::StationSetting;
use crate::config::ClockKind;
use crate::driver::Undriven;
use crate::recording::{Attachment, ReadOptions, RecordedEpisode, read_episode_with};
use crate::runtime::{Station, Timing, WallOptions};
use crate::scripted::{ActionSpace, Assignment};
use crate::time::{Clock, ManualClock, SystemClock, Timestamp};

use played::{PlayedArm, PlayedCamera};

/// Reads the episode, and reports what is missing.
pub fn open(path: &Path) -> anyhow::Result<RecordedEpisode> {
    let recorded = read_episode_with(path, ReadOptions { images: true, control_ticks: true })?;
    if let Some(lost) = &recorded.lost {
        say!("{}: {lost}", recorded.path.display());
    }
    anyhow::ensure!(!recorded.steps.is_empty(), "{}: it has no steps to play; choose another --shadow", path.display());
    Ok(recorded)
}

/// Refuses an episode of another arm, rate, action space, camera or image size, and limits the run to its length.
pub fn fit(recorded: &RecordedEpisode, job: &mut Job, asked: Option<f64>) -> anyhow::Result<()> {
    let station = job.place.station();
    let (file, launch) = (recorded.path.display(), station.launch_file.display());
    let name = &station.robot.identity.name;
    anyhow::ensure!(
        recorded.start.robot == *name,
        "{file}: recorded on {}, but {launch} is for {name}; give the launch file of that arm",
        recorded.start.robot
    );
    let (then, now) = (recorded.start.policy_rate_hz, station.launch.policy.rate_hz);
    anyhow::ensure!(
        (then - now).abs() <= 1e-6 * now,
        "{file}: recorded with decisions at {then} Hz, but `rate_hz` of {launch} is {now} Hz; give a launch file of that rate"
    );
    let joints = station.robot.joint.len();
    let found = recorded.steps.iter().map(|step| step.proprioception.joint_positions.len());
    let found = found.chain(recorded.ticks.iter().map(|tick| tick.measured.len())).find(|found| *found != joints);
    if let Some(found) = found {
        anyhow::bail!("{file}: it holds {found} joints, and {name} has {joints}; give the launch file of that arm");
    }
    let takes_torques = matches!(station.action_space(), ActionSpace::Torques(_));
    let of = |torques: bool| if torques { "joint torques" } else { "changes of the tool's pose" };
    anyhow::ensure!(
        recorded.steps.iter().all(|step| step.motion.and_then(|motion| motion.torques()).is_some() == takes_torques),
        "{file}: it asks for {}, but the control law of {launch} takes {}; give a launch file of that law",
        of(!takes_torques),
        of(takes_torques)
    );
    fit_cameras(recorded, station)?;
    let first = recorded.steps.first().map_or(Timestamp::ZERO, |step| step.observed_at);
    let last = recorded.steps.last().map_or(Timestamp::ZERO, |step| step.observed_at);
    let length = last.since(first).as_secs_f64() + 1.0 / now;
    job.task.seconds = asked.map_or(length, |asked| asked.min(length));
    Ok(())
}

fn fit_cameras(recorded: &RecordedEpisode, station: &StationSetting) -> anyhow::Result<()> {
    let (file, launch) = (recorded.path.display(), station.launch_file.display());
    for (place, (camera, calibration)) in station.launch.camera.iter().zip(&station.cameras).enumerate() {
        let [width, height] = if place == 0 { station.image_size() } else { [calibration.width, calibration.height] };
        for step in &recorded.steps {
            let Some(image) = step.images.iter().find(|image| *image.camera == *camera.name) else {
                let names: Vec<&str> = step.images.iter().map(|image| &*image.camera).collect();
                anyhow::bail!(
                    "{file}: step {} has images of `{}` and none of `{}`, which {launch} names; give a launch file of its cameras",
                    step.index,
                    names.join("`, `"),
                    camera.name
                );
            };
            let (then_width, then_height) = image.camera_size;
            anyhow::ensure!(
                (then_width, then_height) == (width, height),
                "{file}: images of `{}` were {then_width}x{then_height}, and {launch} says {width}x{height}; give the launch file and \
                 calibration of that camera",
                camera.name
            );
        }
    }
    Ok(())
}

/// A recording instead of an arm.
pub struct Shadow {
    playback: Arc<Playback>,
    /// Arm and cameras of the recording, control and safety filter.
    pub station: Station,
    clock: Arc<SystemClock>,
    options: WallOptions,
    lockstep: bool,
    assignment: Option<Assignment>,
    files: Vec<Attachment>,
    record: Option<PathBuf>,
}

impl Shadow {
    /// Prepares an episode that fits.
    pub fn new(
        mut recorded: RecordedEpisode,
        job: &Job,
        arguments: &RunArguments,
        clock: Arc<SystemClock>,
    ) -> anyhow::Result<Self> {
        let setting = job.place.station();
        let laid = recorded.attachments.iter().find(|file| file.name == SetUp::FILE).cloned();
        let assignment = match (&job.place, job.entrant.name.as_str()) {
            (Place::Kitchen(kitchen), "expert") => {
                let set_up = crate::cli::replay::set_up(&recorded, kitchen)?;
                let joints = recorded.steps[0].proprioception.joint_positions;
                Some(kitchen.prepare_around(&set_up, joints)?.assignment)
            }
            _ => None,
        };
        let episode = recorded.path.file_name().unwrap_or_default().to_string_lossy();
        let about = serde_json::json!({ "episode": episode, "action_source": recorded.start.action_source });
        let about = Attachment {
            name: "shadow.json".into(),
            media_type: "application/json".into(),
            data: serde_json::to_vec_pretty(&about)?,
        };
        let period = Duration::from_secs_f64(1.0 / setting.launch.policy.rate_hz);
        let playback = Arc::new(Playback::new(&mut recorded, period));
        let camera = |name: &str| -> anyhow::Result<Box<dyn Camera>> {
            let camera = PlayedCamera::new(name, playback.clone());
            let camera = camera.with_context(|| format!("{}: no images of `{name}`", recorded.path.display()))?;
            Ok(Box::new(camera))
        };
        let cameras = setting.launch.camera.iter().map(|setting| camera(&setting.name));
        let cameras = cameras.collect::<anyhow::Result<Vec<_>>>()?;
        let arm = Undriven::new(Box::new(PlayedArm::new(&setting.robot, playback.clone())));
        Ok(Self {
            playback,
            station: setting.joined(Box::new(arm), cameras)?,
            clock,
            options: wall_options(&setting.launch),
            lockstep: setting.launch.clock == ClockKind::Lockstep && arguments.page.page.is_none(),
            assignment,
            files: laid.into_iter().chain([about]).collect(),
            record: arguments.record.clone(),
        })
    }

    /// The time on the clock of all stamps.
    pub fn now(&self) -> Timestamp {
        if self.lockstep { Timestamp::ZERO } else { self.clock.now() }
    }

    /// Does its time run as fast as possible?
    pub fn is_lockstep(&self) -> bool {
        self.lockstep
    }

    /// Plays it.
    pub fn drive(&mut self, job: &Job, watchers: &Watchers<'_>, start: StartUp) -> anyhow::Result<Ended> {
        let part = Drive::prepare(job, self.assignment, self.record.take(), true, start)?;
        let part = part.beside(Differences::new(self.playback.clone()));
        self.playback.make_ready();
        let (by_hand, mut person) = (ManualClock::new(), watchers.person(self.lockstep));
        let until = Until::recording(watchers.operator).heard(person.as_mut().map(|person| person as _));
        let clock = self.clock.clone();
        let timing = if self.lockstep {
            Timing::Lockstep { clock: &by_hand, stopwatch: clock.as_ref() }
        } else {
            Timing::Wall { clock: &clock, options: &self.options }
        };
        part.run(&mut self.station, until, timing, std::mem::take(&mut self.files), watchers)
    }
}
