//! `visuomotor run`: a station, driven by a policy from its cameras until the time, the operator or the policy ends it.

mod announcement;
mod drive;
mod ending;
mod ground;
mod inside;
mod job;
mod start_up;
mod tally;
mod until;

use std::path::PathBuf;

use clap::Args;

use super::consent::ConsentArguments;
use super::link::LinkArguments;
use super::live::PageArguments;
use super::record::describe;
use crate::config::PolicySource;
use crate::operator::{Operator, Phase};
use crate::runtime::StopFlag;

use announcement::announcement;
use drive::Watchers;
use ground::Ground;
use job::Job;
use start_up::StartUp;

/// Arguments of `visuomotor run`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  visuomotor run launch/widowx_kitchen.toml --task knife_in_pot\n  visuomotor run launch/widowx_kitchen.toml --task knife_in_pot --driver dynamixel --port /dev/ttyDXL --dry-run\n  visuomotor run launch/widowx_kitchen.toml --task knife_in_pot --driver dynamixel --port /dev/ttyDXL --record results/runs --page\n  visuomotor run launch/station.toml --policy policies/mine --seconds 30\n\nEvery way out leaves the arm holding: Ctrl-C, a closed terminal, a lost camera or link, an error. Exit code 0: it ran to its end; 1: stopped, or judged a failure; 2: something does not fit, nothing was moved; 3: hardware or link."
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
    /// What is to be done in words, instead of the task's
    #[arg(long)]
    pub instruction: Option<String>,
    /// Image of the task done, instead of the task's: the distance to it is shown
    #[arg(long)]
    pub goal: Option<PathBuf>,
    /// Posture of the launch file to begin from, instead of the task's
    #[arg(long)]
    pub start: Option<String>,
    /// Longest run [s], instead of the task's
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Record the run into this folder
    #[arg(long)]
    pub record: Option<PathBuf>,
    /// Everything but commands: the arm is read and never driven
    #[arg(long)]
    pub dry_run: bool,
    /// Seed of where things lie in the simulated kitchen, and of random actions
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub page: PageArguments,
    #[command(flatten)]
    pub link: LinkArguments,
    #[command(flatten)]
    pub consent: ConsentArguments,
}

/// Runs the command.
pub fn run(arguments: &RunArguments) -> anyhow::Result<u8> {
    let mut start = StartUp::begin();
    let job = Job::load(arguments, &mut start)?;
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
    let mut ground = Ground::connect(&job, arguments, (&operator, &stop))?;
    start.mark("link");
    ground.await_images()?;
    start.mark("cameras");
    say!("{}", announcement(&job, &mut ground, arguments)?);
    ground.refuse_outside(&job)?;
    start.mark("looking");
    ground.go_to_start(&job, &stop)?;
    start.skip();
    say!("running");
    let ended = ground.drive(&job, &Watchers { operator: &operator, live: &live, stop: &stop }, start)?;
    operator.show(|panel| panel.phase = Phase::Idle);
    say!("{ended}");
    say!("{}", describe(&ended.report.outcome));
    Ok(ended.exit_code())
}
