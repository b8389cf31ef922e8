//! `visuomotor train`: one file per algorithm.

mod behavior_cloning;
mod cql;
mod episodes;
mod finetune;
mod icvf;
mod reward_weighted;
mod torque_cloning;
mod trials;
mod vip;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::cli::compute_device;
use crate::network;
use crate::recording::LEFT_OUT;
use crate::runtime::StopFlag;
use crate::training::clips::{Cache, Opening, open_with};
use crate::training::leakage::{self, Shown};
use crate::training::{Clips, Run};

/// Arguments of `visuomotor train`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  visuomotor train behavior-cloning launch/behavior_cloning.toml --data results/demonstrations --out results/policy
  visuomotor train torque-cloning launch/button/torque_cloning.toml --data results/torques \
    --encoder-weights policies/button/panda/encoder.safetensors --out results/torque_policy
  visuomotor train vip launch/small/vip.toml --data videos/ --out results/vip
  visuomotor train icvf launch/small/icvf.toml --data videos/ --out results/icvf
  visuomotor train cql launch/small/cql.toml --data results/robot --encoder-weights results/icvf/encoder.safetensors \
    --out results/phase2
  visuomotor train finetune launch/small/finetune.toml --from results/phase2 --prior results/robot \
    --data results/demonstrations --out results/vptr
  visuomotor train reward-weighted launch/small/reward_weighted.toml --data results/demonstrations \
    --encoder-weights results/vip/encoder.safetensors --out results/vip-reward")]
pub struct TrainArguments {
    #[command(subcommand)]
    algorithm: Algorithm,
}

#[derive(Subcommand, Debug)]
enum Algorithm {
    /// Imitate successful demonstrations
    BehaviorCloning(behavior_cloning::Arguments),
    /// Imitate successful demonstrations under torque
    TorqueCloning(torque_cloning::Arguments),
    /// Learn actor and critic from robot data of many tasks (V-PTR's phase 2)
    Cql(cql::Arguments),
    /// Fine-tune phase 2 with the target tasks mixed in (V-PTR's phase 3)
    Finetune(finetune::Arguments),
    /// Imitate demonstrations weighted by VIP's reward: progress toward the goal image
    RewardWeighted(reward_weighted::Arguments),
    /// Learn an encoder from video whose distance to a goal image is a value
    Vip(vip::Arguments),
    /// Learn an encoder from video, by the values of intentions (V-PTR phase 1)
    Icvf(icvf::Arguments),
}

/// Arguments of every algorithm.
#[derive(Args, Debug)]
struct Shared {
    /// Settings file
    settings: PathBuf,
    /// Folder of training data
    #[arg(long)]
    data: PathBuf,
    /// Folder for the result, checkpoints and curves
    #[arg(long)]
    out: PathBuf,
    /// Resume from the checkpoint in the folder
    #[arg(long)]
    resume: bool,
    /// Refuse data that contain a scene, an object or a task of this launch file, on which the policy will be tested
    #[arg(long, value_name = "LAUNCH")]
    keep_out: Option<PathBuf>,
    /// Gradient steps, instead of the settings file's
    #[arg(long)]
    steps: Option<u64>,
    /// Seed, instead of the settings file's
    #[arg(long)]
    seed: Option<u64>,
    /// End if an episode cannot be read, instead of leaving it out
    #[arg(long)]
    strict: bool,
}

impl Shared {
    /// Applies overrides of the command line and the machine to the settings.
    fn decide(&self, steps: &mut u64, seed: &mut u64, bf16: &mut bool) {
        *steps = self.steps.unwrap_or(*steps);
        *seed = self.seed.unwrap_or(*seed);
        if let Some(remark) = only_where_computed(bf16, network::computes_bf16(compute_device())) {
            say!("{}: {remark}", self.settings.display());
        }
    }

    /// Trains until the end or a signal; returns the exit code. `made` describes the contents of `out`.
    fn run(
        &self,
        made: &str,
        score: &dyn Fn(&Path) -> anyhow::Result<Option<f64>>,
        train: impl FnOnce(&Run<'_>) -> anyhow::Result<bool>,
    ) -> anyhow::Result<u8> {
        say!("{}", network::describe_device());
        let stop = StopFlag::on_signals()?;
        let done = train(&Run {
            out: &self.out,
            resume: self.resume,
            device: compute_device(),
            command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
            stop: &|| stop.is_raised(),
            tell: &|line| say!("{line}"),
            score,
        })?;
        say!("{made} in {}", self.out.display());
        Ok(u8::from(!done))
    }

    /// Refuses to leave episodes out with `--strict`.
    fn accept(&self, left_out: &[String]) -> anyhow::Result<()> {
        match left_out.first() {
            Some(first) if self.strict => anyhow::bail!("{first}"),
            _ => Ok(()),
        }
    }

    /// The exit code of a training that left these episodes out: they are listed again at its end and beside its result.
    fn ended(&self, code: u8, left_out: &[String]) -> anyhow::Result<u8> {
        if left_out.is_empty() {
            return Ok(code);
        }
        for reason in left_out {
            say!("left out: {reason}");
        }
        let list = self.out.join(LEFT_OUT);
        std::fs::write(&list, serde_json::to_string_pretty(left_out)?)
            .with_context(|| format!("{}: cannot be written", list.display()))?;
        Ok(code.max(1))
    }

    /// Refuses data that show excluded content.
    fn refuse_leaks(&self) -> anyhow::Result<()> {
        let Some(launch) = &self.keep_out else { return Ok(()) };
        let checked = leakage::check(&self.data, &Shown::of_launch(launch)?)?;
        if checked.says_something() {
            say!("nothing of {} is in {}", launch.display(), self.data.display());
        } else {
            say!("{}: no content metadata, so it cannot be checked for the target", self.data.display());
        }
        Ok(())
    }

    /// The video clips in `data`, frames resized to squares of `size` pixels.
    fn clips(&self, size: u32) -> anyhow::Result<Box<dyn Clips>> {
        self.refuse_leaks()?;
        let opened = open_with(&self.data, &Opening::new(size, Cache::default()))?;
        say!("{}", opened.summary());
        for remark in &opened.remarks {
            say!("{remark}");
        }
        Ok(opened.clips)
    }
}

/// Turns bf16 off if the machine does not support it; returns a note for the user.
fn only_where_computed(bf16: &mut bool, computed: bool) -> Option<&'static str> {
    if !*bf16 || computed {
        return None;
    }
    *bf16 = false;
    Some("key `bf16`: this processor does not support bf16, and emulation would be many times slower; training in f32")
}

/// Runs the command.
pub fn train(arguments: &TrainArguments) -> anyhow::Result<u8> {
    keep_freed_memory();
    match &arguments.algorithm {
        Algorithm::BehaviorCloning(a) => behavior_cloning::train(a),
        Algorithm::TorqueCloning(a) => torque_cloning::train(a),
        Algorithm::Cql(a) => cql::train(a),
        Algorithm::Finetune(a) => finetune::train(a),
        Algorithm::RewardWeighted(a) => reward_weighted::train(a),
        Algorithm::Vip(a) => vip::train(a),
        Algorithm::Icvf(a) => icvf::train(a),
    }
}

/// Makes the allocator keep freed memory: each training step frees and allocates the same hundreds of megabytes, and
/// returning them to the system each time costs a third of the step in page faults.
fn keep_freed_memory() {
    for (parameter, value) in [(libc::M_MMAP_MAX, 0), (libc::M_TRIM_THRESHOLD, i32::MAX), (libc::M_TOP_PAD, 256 << 20)]
    {
        // SAFETY: mallopt only sets the allocator's parameters; it may be called at any time.
        unsafe { libc::mallopt(parameter, value) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression: `launch/small` took seven seconds a step on a processor without bf16.
    #[test]
    fn bf16_is_not_computed_in_software() {
        for (wanted, computed, taken) in
            [(true, true, true), (true, false, false), (false, true, false), (false, false, false)]
        {
            let mut bf16 = wanted;
            let remark = only_where_computed(&mut bf16, computed);
            assert_eq!((bf16, remark.is_some()), (taken, wanted != taken));
        }
    }
}
