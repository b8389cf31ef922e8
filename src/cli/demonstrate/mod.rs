//! `visuomotor demonstrate`: the scripted expert collects demonstrations in simulation.
//!
//! Each episode depends only on its number and the seed, so the same call makes the same data on any number of
//! threads. Which episodes must succeed is fixed beforehand ([`Share`]): all of them, or the share given by
//! `--success-share`. In the others the expert is misled ([`misled`]), and they are kept as failures. Attempts with
//! the wrong outcome are dropped and counted.

mod failure;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use self::failure::{Share, misled};
use super::kitchen::KitchenSetting;
use super::layout::{self, derived_seed, draw};
use super::set_up::SetUp;
use super::station::POLICY_IMAGE;
use crate::episode::Outcome;
use crate::recording::{Contents, EpisodeWriter, WriterOptions};
use crate::runtime::{EpisodeRequest, RuntimeError, StopFlag, Timing, run_episode};
use crate::time::{ManualClock, SystemClock};

/// Longest demonstration \[s\].
const LIMIT_SECONDS: f64 = 25.0;
/// Maximum attempts per episode.
const ATTEMPTS: u64 = 8;

/// Arguments of `visuomotor demonstrate`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  visuomotor demonstrate launch/widowx_kitchen.toml --episodes 150 --seed 1 --out results/demonstrations\n  \
                  visuomotor demonstrate launch/pretraining/robot.toml --episodes 125 --success-share 0.3 --seed 1 --out data/robot"
)]
pub struct DemonstrateArguments {
    /// Launch file
    pub launch: PathBuf,
    /// Folder for the episodes
    #[arg(long)]
    pub out: PathBuf,
    /// Episodes per task
    #[arg(long, default_value_t = 10)]
    pub episodes: usize,
    /// Only this task (all of the launch file otherwise)
    #[arg(long)]
    pub task: Option<String>,
    /// Random seed
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Strength of the noise on the expert's actions (0: none)
    #[arg(long, default_value_t = 1.0)]
    pub noise: f64,
    /// Share of the episodes that succeed [0..1]; in the others the expert is misled and fails, and they are kept
    #[arg(long, default_value_t = 1.0, value_name = "SHARE")]
    pub success_share: f64,
    /// Record camera-size images instead of the policy's 128x128
    #[arg(long)]
    pub full_size: bool,
    /// Threads
    #[arg(long, default_value_t = 2)]
    pub jobs: usize,
}

/// Runs the command; returns 0, or 1 when it was stopped early.
pub fn demonstrate(arguments: &DemonstrateArguments) -> anyhow::Result<u8> {
    let setting = KitchenSetting::load(&arguments.launch)?;
    let tasks = match &arguments.task {
        Some(task) => vec![setting.scene.task(&setting.scene_file, task)?.name.clone()],
        None => setting.protocol.tasks.clone(),
    };
    let share = Share::new(arguments.success_share)?;
    anyhow::ensure!(arguments.episodes > 0, "--episodes: found 0, expected at least 1; 10 is the default");
    // Written so that NaN fails it.
    anyhow::ensure!(
        (0.0..f64::INFINITY).contains(&arguments.noise),
        "--noise: found {}, expected a finite number, at least 0; 1 is the usual strength",
        arguments.noise
    );
    layout::check(&setting, &tasks)?;
    std::fs::create_dir_all(&arguments.out)
        .with_context(|| format!("{}: cannot be created; choose another --out", arguments.out.display()))?;
    contents(&setting, &tasks, arguments.seed).add_to(&arguments.out)?;
    let stop = StopFlag::on_signals()?;
    let total = tasks.len() * arguments.episodes;
    let bar = ProgressBar::new(total as u64).with_style(
        ProgressStyle::with_template("demonstrations {bar:30} {pos}/{len} {msg} {elapsed} (left {eta})")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    let error: Mutex<Option<anyhow::Error>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                let work = || -> anyhow::Result<()> {
                    // One per thread: a graphics context cannot change threads.
                    let mut setting = KitchenSetting::load(&arguments.launch)?;
                    setting.place.vary_appearance = true;
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= total || stop.is_raised() {
                            return Ok(());
                        }
                        let task = &tasks[number % tasks.len()];
                        let misses = episode(&setting, arguments, share, task, number / tasks.len(), &stop)?;
                        let misses = failed.fetch_add(misses, Ordering::Relaxed) + misses;
                        bar.set_message(format!("({misses} attempts dropped)"));
                        bar.inc(1);
                        if bar.is_hidden() && bar.position().is_multiple_of(50) {
                            say!("{} of {total} demonstrations", bar.position());
                        }
                    }
                };
                if let Err(e) = work() {
                    stop.raise("an error");
                    if let Ok(mut slot) = error.lock() {
                        slot.get_or_insert(e);
                    }
                }
            });
        }
    });
    bar.finish();
    if let Some(e) = error.into_inner().unwrap_or(None) {
        return Err(e);
    }
    say!(
        "{} demonstrations in {}, {} attempts dropped",
        bar.position(),
        arguments.out.display(),
        failed.load(Ordering::Relaxed)
    );
    Ok(u8::from(stop.is_raised()))
}

/// Content of these demonstrations, for their metadata.
fn contents(setting: &KitchenSetting, tasks: &[String], seed: u64) -> Contents {
    let mut scenes = vec![setting.scene.name.clone()];
    for task in setting.scene.task.iter().filter(|t| tasks.contains(&t.name)) {
        scenes.extend(setting.scene.fixtures_of(task).file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    Contents::new(scenes, setting.scene.objects_shown(tasks), tasks.to_vec(), seed)
}

/// Makes one episode; returns the number of attempts with the wrong outcome.
fn episode(
    setting: &KitchenSetting,
    arguments: &DemonstrateArguments,
    share: Share,
    task: &str,
    number: usize,
    stop: &StopFlag,
) -> anyhow::Result<usize> {
    let task = setting.scene.task(&setting.scene_file, task)?.clone();
    let name = format!("{}-{number:04}", task.name);
    if arguments.out.join(format!("{name}.mcap")).exists() {
        return Ok(0);
    }
    let succeeds = share.succeeds(&format!("{} {}", arguments.seed, task.name), number);
    for attempt in 0..ATTEMPTS {
        let seed = derived_seed(&format!("{} {} {number} {attempt}", arguments.seed, task.name));
        let set_up = draw(setting, &task, seed);
        let outcome = attempt_episode(setting, arguments, &set_up, succeeds, &name, stop)?;
        let file = arguments.out.join(format!("{name}.mcap"));
        match outcome {
            Outcome::Success { .. } | Outcome::Failure { .. } if outcome.is_success() == succeeds => {
                return Ok(attempt as usize);
            }
            Outcome::Success { .. } | Outcome::Failure { .. } => std::fs::remove_file(&file)?,
            Outcome::Aborted { why, .. } => {
                std::fs::remove_file(&file).ok();
                if stop.is_raised() {
                    return Ok(attempt as usize);
                }
                anyhow::bail!("{name}: aborted: {why}");
            }
        }
    }
    if !succeeds {
        anyhow::bail!("{name}: the misled expert succeeded {ATTEMPTS} times; choose another --seed");
    }
    anyhow::bail!("{name}: {ATTEMPTS} attempts failed; lower --noise")
}

fn attempt_episode(
    setting: &KitchenSetting,
    arguments: &DemonstrateArguments,
    set_up: &SetUp,
    succeeds: bool,
    name: &str,
    stop: &StopFlag,
) -> anyhow::Result<Outcome> {
    let prepared = setting.prepare(set_up)?;
    let (mut station, mut judge) = setting.running(set_up, &prepared)?;
    let (assignment, seconds) =
        if succeeds { (prepared.assignment, LIMIT_SECONDS) } else { misled(setting, set_up, prepared.assignment) };
    let mut expert = setting.station.expert(assignment, arguments.noise, set_up.seed)?;
    // A partial episode of an interrupted call is discarded and made again.
    std::fs::remove_file(arguments.out.join(format!("{name}.mcap.partial"))).ok();
    let mut writer = EpisodeWriter::create(
        &arguments.out,
        name,
        WriterOptions {
            record_size: (!arguments.full_size).then_some((POLICY_IMAGE, POLICY_IMAGE)),
            jpeg_quality: 95,
            sync_every_steps: 0,
            ..WriterOptions::default()
        },
    )?;
    // A stopped stopwatch: the same call writes the same bytes.
    let (clock, stopwatch) = (ManualClock::new(), ManualClock::new());
    let report = run_episode(
        &mut station,
        EpisodeRequest {
            start: setting.episode_start(name, set_up, "expert"),
            seconds,
            source: &mut *expert,
            sinks: vec![&mut writer],
            judge: &mut judge,
            stop,
        },
        Timing::Lockstep { clock: &clock, stopwatch: &stopwatch },
    );
    match report.fault {
        // A demonstration that was not recorded is an error.
        Some(RuntimeError::Sink(error)) => {
            Err(anyhow::Error::from_boxed(error.into_inner()).context(format!("{name}: it could not be recorded")))
        }
        _ => Ok(report.outcome),
    }
}

/// Success rate of a policy on set-ups drawn like demonstrations; none of them is in a data set.
#[cfg(feature = "torch")]
pub(super) fn success_rate(launch: &std::path::Path, policy: &std::path::Path, episodes: usize) -> anyhow::Result<f64> {
    let setting = KitchenSetting::load(launch)?;
    let stop = StopFlag::new();
    let mut successes = 0;
    let mut total = 0;
    for task in &setting.protocol.tasks {
        let task = setting.scene.task(&setting.scene_file, task)?.clone();
        let stopwatch = std::sync::Arc::new(SystemClock::new());
        let device = crate::cli::compute_device();
        let mut source = crate::policy::VisualPolicy::load(policy, &task.name, device, stopwatch.clone())?;
        for number in 0..episodes {
            let mut set_up = draw(&setting, &task, derived_seed(&format!("try {} {number}", task.name)));
            set_up.others.clear();
            let prepared = setting.prepare(&set_up)?;
            let (mut station, mut judge) = setting.running(&set_up, &prepared)?;
            let report = run_episode(
                &mut station,
                EpisodeRequest {
                    start: setting.episode_start("try", &set_up, "policy"),
                    seconds: LIMIT_SECONDS,
                    source: &mut source,
                    sinks: vec![],
                    judge: &mut judge,
                    stop: &stop,
                },
                Timing::Lockstep { clock: &ManualClock::new(), stopwatch: stopwatch.as_ref() },
            );
            successes += usize::from(report.outcome.is_success());
            total += 1;
        }
    }
    Ok(successes as f64 / total.max(1) as f64)
}
