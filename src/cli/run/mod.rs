//! `visuomotor run`: drives a station by a policy from camera images until the time, the operator or a rule ends it.

mod announcement;
mod difference;
mod drive;
mod ending;
mod ground;
mod inside;
mod job;
mod playback;
mod shadow;
mod start_up;
mod take_over;
mod tally;
mod until;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::consent::ConsentArguments;
use super::device;
use super::link::LinkArguments;
use super::live::PageArguments;
use super::record::describe;
use crate::config::{DeviceKind, PolicySource};
use crate::operator::{Operator, Phase};
use crate::runtime::StopFlag;
use crate::time::{Clock, SystemClock};

use announcement::announcement;
use drive::Watchers;
use ground::Ground;
use job::Job;
use shadow::Shadow;
use start_up::StartUp;
use take_over::TakeOver;

/// Arguments of `visuomotor run`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  visuomotor run launch/widowx_kitchen.toml --task knife_in_pot\n  visuomotor run launch/widowx_kitchen.toml --task knife_in_pot --driver dynamixel --port /dev/ttyDXL --dry-run\n  visuomotor run launch/widowx_kitchen.toml --task knife_in_pot --driver dynamixel --port /dev/ttyDXL --record results/runs --page\n  visuomotor run launch/station.toml --policy policies/mine --seconds 30\n  visuomotor run launch/station.toml --policy policies/mine --take-over gamepad --page --record results/runs\n  visuomotor run launch/station.toml --policy policies/mine --shadow results/runs/stack_cups-0000.mcap --differences differences.csv\n\nA run is paused and resumed with p (and Enter where the terminal drives no device) or the page's button; with --take-over the operator takes it over with t, the page's button or the device's begin button, and hands it back the same way.\n\nThe arm holds however the run ends: Ctrl-C, a closed terminal, a lost camera or link, an error. Exit code 0: it ran to its end; 1: stopped, or judged a failure; 2: something does not fit, nothing was moved; 3: hardware or link."
)]
pub struct RunArguments {
    /// Launch file of the station
    pub launch: PathBuf,
    /// Policy folder, `expert` or `random`, instead of the launch file's
    #[arg(long)]
    pub policy: Option<PolicySource>,
    /// Task of the launch file, its scene or the policy
    #[arg(long)]
    pub task: Option<String>,
    /// Instruction, instead of the task's
    #[arg(long)]
    pub instruction: Option<String>,
    /// Goal image, instead of the task's; the distance to it is shown
    #[arg(long)]
    pub goal: Option<PathBuf>,
    /// Start posture of the launch file, instead of the task's
    #[arg(long)]
    pub start: Option<String>,
    /// Longest run [s], instead of the task's
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Record the run into this folder
    #[arg(long)]
    pub record: Option<PathBuf>,
    /// Send no commands: the arm is only read
    #[arg(long)]
    pub dry_run: bool,
    /// Device to take the arm over with during the run
    #[arg(long, value_name = "DEVICE", value_parser = device::kinds())]
    pub take_over: Option<DeviceKind>,
    /// Device file or serial port of the device to take over with
    #[arg(long, requires = "take_over")]
    pub device_path: Option<PathBuf>,
    /// Serial number of the Quest to take over with, as `adb devices` lists it
    #[arg(long, value_name = "SERIAL", requires = "take_over")]
    pub device_serial: Option<String>,
    /// No arm and no cameras: play this recorded episode to the policy, control and safety filter
    #[arg(long, value_name = "EPISODE", conflicts_with_all = ["take_over", "start", "dry_run", "driver", "stage"])]
    pub shadow: Option<PathBuf>,
    /// Write the recorded and the new actions of each step as CSV
    #[arg(long, value_name = "FILE", requires = "shadow")]
    pub differences: Option<PathBuf>,
    /// Seed of object placement in the simulated kitchen, and of random actions
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub page: PageArguments,
    #[command(flatten)]
    pub link: LinkArguments,
    #[command(flatten)]
    pub consent: ConsentArguments,
}

impl RunArguments {
    /// Is there a page, or a device whose terminal's keys are buttons?
    fn has_buttons(&self) -> bool {
        self.page.page.is_some() || self.take_over.is_some()
    }

    /// Does the operator type lines at a terminal? Beside a device its keys are buttons.
    fn has_lines(&self) -> bool {
        std::io::stdin().is_terminal() && !self.has_buttons()
    }
}

/// Runs the command.
pub fn run(arguments: &RunArguments) -> anyhow::Result<u8> {
    let mut start = StartUp::begin();
    let recorded = arguments.shadow.as_deref().map(shadow::open).transpose()?;
    let of_recording = recorded.as_ref().map(|recorded| recorded.start.task.as_str()).filter(|task| !task.is_empty());
    let mut job = Job::load(arguments, arguments.task.as_deref().or(of_recording), &mut start)?;
    if let Some(recorded) = &recorded {
        shadow::fit(recorded, &mut job, arguments.seconds)?;
    }
    let _folder = arguments.record.as_deref().map(|folder| job.make_room(folder)).transpose()?;
    let stop = StopFlag::on_signals()?;
    let raised = stop.clone();
    let operator = Operator::new(move |by| raised.raise(format!("stop pressed ({by})")));
    let live = arguments.page.start(&operator, &job.place.station().robot, arguments.record.clone())?;
    operator.show(|panel| {
        panel.phase = Phase::Approaching;
        panel.task.clone_from(&job.task.name);
        panel.instruction.clone_from(&job.task.instruction);
        panel.action_source.clone_from(&job.entrant.shown);
    });
    let clock = Arc::new(SystemClock::new());
    let shared: Arc<dyn Clock> = clock.clone();
    let take_over = TakeOver::open(&job, arguments, (&operator, &live), &shared)?;
    let mut ground = match recorded {
        Some(recorded) => Ground::Shadow(Box::new(Shadow::new(recorded, &job, arguments, clock)?)),
        None => Ground::connect(&job, arguments, clock, (&operator, &stop))?,
    };
    start.mark("link");
    ground.await_images()?;
    start.mark("cameras");
    say!("{}", announcement(&job, &mut ground, arguments)?);
    ground.refuse_outside(&job)?;
    start.mark("looking");
    ground.go_to_start(&job, &stop)?;
    start.skip();
    say!("running");
    let watchers = Watchers { operator: &operator, live: &live, stop: &stop, typed: arguments.has_lines() };
    let ended = ground.drive(&job, take_over, &watchers, start)?;
    operator.show(|panel| panel.phase = Phase::Idle);
    say!("{ended}");
    if let (Some(differences), Some(file)) = (&ended.differences, &arguments.differences) {
        differences.write(file)?;
        say!("{}", file.display());
    }
    say!("{}", describe(&ended.report.outcome));
    Ok(ended.exit_code())
}
