//! `visuomotor train behavior-cloning`: from a folder of demonstrations to a policy folder.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::config::load;
use crate::runtime::StopFlag;
use crate::training::Dataset;
use crate::training::behavior_cloning::{self, Run, Settings};

/// Arguments of `visuomotor train`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  visuomotor train behavior-cloning launch/behavior_cloning.toml --data results/demonstrations --out results/policy"
)]
pub struct TrainArguments {
    #[command(subcommand)]
    algorithm: Algorithm,
}

#[derive(Subcommand, Debug)]
enum Algorithm {
    /// Imitate successful demonstrations
    BehaviorCloning(BehaviorCloningArguments),
}

#[derive(Args, Debug)]
struct BehaviorCloningArguments {
    /// Settings file
    settings: PathBuf,
    /// Folder of demonstrations
    #[arg(long)]
    data: PathBuf,
    /// Folder the policy and its checkpoints go to
    #[arg(long)]
    out: PathBuf,
    /// Go on from the checkpoint in the folder
    #[arg(long)]
    resume: bool,
    /// Gradient steps, instead of the settings file's
    #[arg(long)]
    steps: Option<u64>,
    /// Seed, instead of the settings file's
    #[arg(long)]
    seed: Option<u64>,
    /// Try the policy in simulation at each checkpoint: this launch file
    #[arg(long)]
    try_on: Option<PathBuf>,
    /// Episodes per task of each try
    #[arg(long, default_value_t = 3)]
    try_episodes: usize,
}

/// Runs the command.
pub fn train(arguments: &TrainArguments) -> anyhow::Result<u8> {
    let Algorithm::BehaviorCloning(a) = &arguments.algorithm;
    let mut settings: Settings = load(&a.settings)?;
    settings.steps = a.steps.unwrap_or(settings.steps);
    settings.seed = a.seed.unwrap_or(settings.seed);
    keep_freed_memory();
    super::recordings::finish(&a.data)?;
    let data = Dataset::read(&a.data, &settings.tasks, settings.image_size)?;
    say!("{}", crate::network::describe_device());
    say!("{} episodes, {} steps from {}", data.episodes(), data.len(), a.data.display());
    let stop = StopFlag::on_signals()?;
    let done = behavior_cloning::train(
        &settings,
        &data,
        &Run {
            out: &a.out,
            resume: a.resume,
            command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
            stop: &|| stop.is_raised(),
            tell: &|line| say!("{line}"),
            score: &|folder| try_policy(a.try_on.as_deref(), a.try_episodes, folder),
        },
    )?;
    say!("policy in {}", a.out.display());
    Ok(u8::from(!done))
}

/// Tells the allocator to keep what is freed: a training step frees and takes the same hundreds of megabytes again, and
/// giving them back to the system each time costs a third of the step in page faults.
fn keep_freed_memory() {
    for (parameter, value) in [(libc::M_MMAP_MAX, 0), (libc::M_TRIM_THRESHOLD, i32::MAX), (libc::M_TOP_PAD, 256 << 20)]
    {
        // SAFETY: mallopt only sets the allocator's parameters; it may be called at any time.
        unsafe { libc::mallopt(parameter, value) };
    }
}

#[cfg(feature = "mujoco")]
fn try_policy(launch: Option<&Path>, episodes: usize, folder: &Path) -> anyhow::Result<Option<f64>> {
    let Some(launch) = launch else { return Ok(None) };
    super::demonstrate::success_rate(launch, folder, episodes).map(Some)
}

#[cfg(not(feature = "mujoco"))]
fn try_policy(_launch: Option<&Path>, _episodes: usize, _folder: &Path) -> anyhow::Result<Option<f64>> {
    Ok(None)
}
