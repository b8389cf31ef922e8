//! Job of a run: station, task and policy, matched before anything is connected.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::RunArguments;
use super::start_up::StartUp;
use crate::cli::device;
use crate::cli::entrant::Entrant;
use crate::cli::kitchen::KitchenSetting;
use crate::cli::new_folder::NewFolder;
use crate::cli::record;
use crate::cli::station::StationSetting;
use crate::config::{ConfigError, DriverKind, PolicySource};
use crate::episode::EpisodeStart;
use crate::recording::{Attachment, Recorder, WriterOptions, require_room};
use crate::time::Timestamp;

/// Place of a run.
pub enum Place {
    /// A station alone.
    Station(Box<StationSetting>),
    /// A station in a kitchen that can be simulated.
    Kitchen(Box<KitchenSetting>),
}

impl Place {
    /// The station.
    pub fn station(&self) -> &StationSetting {
        match self {
            Place::Station(station) => station,
            Place::Kitchen(kitchen) => &kitchen.station,
        }
    }

    fn station_mut(&mut self) -> &mut StationSetting {
        match self {
            Place::Station(station) => station,
            Place::Kitchen(kitchen) => &mut kitchen.station,
        }
    }
}

/// Task of a run.
pub struct RunTask {
    /// Name; empty if there is none.
    pub name: String,
    /// Instruction.
    pub instruction: String,
    /// Goal image.
    pub goal: Option<PathBuf>,
    /// Posture to begin from.
    pub start: Option<String>,
    /// Longest run \[s\].
    pub seconds: f64,
}

/// Station, task and policy.
pub struct Job {
    /// Station or kitchen.
    pub place: Place,
    /// Task.
    pub task: RunTask,
    /// Decision source.
    pub entrant: Entrant,
    /// Random seed.
    pub seed: u64,
}

impl Job {
    /// Reads all files and refuses parts that do not fit together.
    ///
    /// `asked` is the requested task.
    pub fn load(arguments: &RunArguments, asked: Option<&str>, start: &mut StartUp) -> anyhow::Result<Self> {
        let mut place = place(arguments)?;
        let station = place.station_mut();
        arguments.link.apply(&mut station.launch);
        if let Some(policy) = &arguments.policy {
            station.launch.policy.source.clone_from(policy);
        }
        if let Some(device) = arguments.take_over {
            let teleop = &mut station.launch.teleop;
            teleop.device = device;
            teleop.path = arguments.device_path.clone().or(teleop.path.take());
            device::choose_headset(teleop, arguments.device_serial.as_deref())?;
        }
        let task = task(&place, asked, arguments)?;
        if let Some(goal) = &task.goal {
            place.station_mut().set_goal(&task.name, goal);
        }
        place.station_mut().set_instruction(&task.name, &task.instruction);
        let station = place.station();
        if let Some(start) = &task.start {
            station.start(start)?;
        }
        let source = station.launch.policy.source.clone();
        anyhow::ensure!(
            source != PolicySource::Expert || matches!(place, Place::Kitchen(_)),
            "--policy expert: the scripted expert needs to know where things lie, which a simulated kitchen alone can say; choose a policy"
        );
        start.mark("settings");
        let entrant = Entrant::open(station, std::slice::from_ref(&task.name), &source)?;
        start.mark("weights");
        Ok(Self { task, entrant, place, seed: arguments.seed })
    }

    /// Metadata known before the first step.
    pub fn episode_start(&self, name: &str) -> EpisodeStart {
        let settings = match &self.place {
            Place::Station(station) => station.launch.to_toml(),
            Place::Kitchen(kitchen) => kitchen.settings().to_toml(),
        };
        EpisodeStart {
            task: self.task.name.clone(),
            instruction: self.task.instruction.clone(),
            seed: self.seed,
            settings,
            ..self.place.station().episode_start(name, &self.entrant.name)
        }
    }

    /// Refuses a folder that is not writable or lacks space for the run.
    pub fn make_room(&self, folder: &Path) -> anyhow::Result<NewFolder> {
        let new = NewFolder::create(folder, "--record")?;
        require_room(folder, self.room() + WriterOptions::default().floor_bytes)?;
        Ok(new)
    }

    fn room(&self) -> u64 {
        record::room(self.place.station(), self.task.seconds, None)
    }

    /// Starts the recorder of this run.
    pub fn recorder(&self, folder: &Path, files: Vec<Attachment>, now: Timestamp) -> anyhow::Result<Recorder> {
        let (name, _) = record::free_name(folder, if self.task.name.is_empty() { "run" } else { &self.task.name })?;
        let mut attachments = record::set_up_files(self.place.station())?;
        attachments.extend(files);
        let options = WriterOptions {
            reserve_bytes: self.room(),
            attachments,
            started_at: now,
            wall_clock: Some(SystemTime::now()),
            ..WriterOptions::default()
        };
        Ok(Recorder::create(folder, &name, options)?)
    }
}

fn place(arguments: &RunArguments) -> anyhow::Result<Place> {
    let station = StationSetting::load(&arguments.launch)?;
    let driver = arguments.link.driver.map_or(station.launch.driver, Into::into);
    let has_kitchen = station.launch.scene.is_some() && station.launch.protocol.is_some();
    // The simulator needs a kitchen; without one the error names the missing table.
    if has_kitchen || driver == DriverKind::Mujoco {
        return Ok(Place::Kitchen(Box::new(KitchenSetting::around(station)?)));
    }
    Ok(Place::Station(Box::new(station)))
}

/// The named task, or the only one.
fn task(place: &Place, asked: Option<&str>, arguments: &RunArguments) -> anyhow::Result<RunTask> {
    let mut task = match place {
        Place::Station(station) => task_of_station(station, asked)?,
        Place::Kitchen(kitchen) => task_of_kitchen(kitchen, asked)?,
    };
    if let Some(instruction) = &arguments.instruction {
        task.instruction.clone_from(instruction);
    }
    if let Some(seconds) = arguments.seconds {
        // Written so that NaN fails it.
        anyhow::ensure!(
            seconds > 0.0 && seconds <= 86_400.0,
            "--seconds: found {seconds}, expected more than 0 and at most 86400; 60 is a good choice"
        );
        task.seconds = seconds;
    }
    // Relative to the working directory; the launch file's paths are relative to the project.
    let given = arguments.goal.as_deref().map(std::path::absolute).transpose()?;
    task.goal = given.or(task.goal);
    task.start = arguments.start.clone().or(task.start);
    Ok(task)
}

fn task_of_station(station: &StationSetting, asked: Option<&str>) -> anyhow::Result<RunTask> {
    let tasks = &station.launch.task;
    let known = || tasks.iter().map(|task| task.name.as_str()).collect::<Vec<_>>().join(", ");
    let found = match (asked, tasks.as_slice()) {
        // A station without tasks: the policy checks the task.
        (asked, []) => {
            let name = asked.unwrap_or_default().to_string();
            return Ok(RunTask { name, instruction: String::new(), goal: None, start: None, seconds: 60.0 });
        }
        (Some(name), tasks) => tasks.iter().find(|task| task.name == name).ok_or_else(|| {
            ConfigError::unfit(&station.launch_file, "task", name, format!("one of {}", known()), "choose one of them")
        })?,
        (None, [only]) => only,
        (None, _) => anyhow::bail!("--task is missing: choose one of {}", known()),
    };
    Ok(RunTask {
        name: found.name.clone(),
        instruction: found.instruction.clone(),
        goal: found.goal.as_ref().map(|goal| station.root.join(goal)),
        start: found.start.clone(),
        seconds: found.seconds,
    })
}

fn task_of_kitchen(kitchen: &KitchenSetting, asked: Option<&str>) -> anyhow::Result<RunTask> {
    let name = match (asked, kitchen.protocol.tasks.as_slice()) {
        (Some(name), _) => name,
        (None, [only]) => only,
        (None, several) => anyhow::bail!("--task is missing: choose one of {}", several.join(", ")),
    };
    let task = kitchen.scene.task(&kitchen.scene_file, name)?;
    let station = &kitchen.station;
    let own = station.launch.task.iter().find(|own| own.name == task.name);
    Ok(RunTask {
        name: task.name.clone(),
        instruction: task.instruction.clone(),
        goal: own.and_then(|own| own.goal.as_ref()).map(|goal| station.root.join(goal)),
        start: own.and_then(|own| own.start.clone()),
        seconds: kitchen.protocol.trial_seconds,
    })
}
