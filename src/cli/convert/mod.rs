//! `visuomotor convert`: turns a PyTorch checkpoint into the safetensors file that encoders load, and what this program trained
//! into ONNX ([`onnx`]).
//!
//! Nothing in the checkpoint is executed. The names' common beginning (`module.convnet.` of VIP and R3M) is cut off,
//! floats become f32, counters of BatchNorm and R3M's language head are left out. With `--encoder` the result is loaded
//! into that network before it is written. Refused, naming file, key, found, expected and what to do: whatever
//! [`checkpoint`](crate::encoder::checkpoint) and [`weights`](crate::encoder::weights) refuse.

mod onnx;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde_json::json;
use tch::Device;
use tch::nn::VarStore;

use crate::config::digest;
use crate::encoder::EncoderKind;
use crate::encoder::checkpoint::{self, Array, CheckpointTensor};
use crate::encoder::weights::{self, Weights, is_counter};
use crate::untrusted;

/// What wraps an encoder's names in published checkpoints: `DataParallel`, then VIP's and R3M's attribute.
const WRAPPERS: [&str; 2] = ["module.", "convnet."];

/// Parts of R3M's file that no image goes through: its language head.
const NOT_THE_ENCODERS: [&str; 2] = ["lang_enc", "lang_rew"];

/// What is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Weights of an encoder, from a PyTorch checkpoint
    #[default]
    Safetensors,
    /// A policy folder of this program as one that others can run, or an encoder's safetensors file as a graph
    Onnx,
}

/// Turn a PyTorch checkpoint into safetensors, without executing anything in it, or what this program trained into ONNX.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example:\n  visuomotor convert ~/.vip/resnet50/model.pt vip.safetensors --key vip --encoder vip\n  visuomotor convert ~/.r3m/r3m_50/model.pt r3m.safetensors --key r3m --encoder r3m\n  visuomotor convert vitb-mae-egosoup.pth mvp.safetensors --key model --encoder mvp\n  visuomotor convert policies/button/panda --to onnx --camera front --out policies/panda_onnx\n  visuomotor convert policies/kitchen/encoder.safetensors --to onnx --encoder small --out small.onnx"
)]
pub struct ConvertArguments {
    /// Checkpoint written by torch.save (PyTorch 1.6 or later); with `--to onnx` a policy folder or an encoder's safetensors file.
    pub checkpoint: PathBuf,
    /// File to write.
    #[arg(required_unless_present = "out")]
    output: Option<PathBuf>,
    /// The same: file to write, or folder to make.
    #[arg(long, conflicts_with = "output")]
    out: Option<PathBuf>,
    /// What to write.
    #[arg(long, default_value = "safetensors")]
    to: Format,
    /// `--to onnx` of a policy: its camera, by its name in the launch file (there the policy's is the first).
    #[arg(long)]
    camera: Option<String>,
    /// Which dict of the checkpoint holds the weights; needed if it has several.
    #[arg(long)]
    pub key: Option<String>,
    /// Check that the weights fit this encoder: vip, vptr, r3m, mvp or small. With `--to onnx`: whose weights they are.
    #[arg(long)]
    pub encoder: Option<EncoderKind>,
}

/// Converts, and prints what was written as JSON.
pub fn convert(arguments: &ConvertArguments) -> anyhow::Result<ExitCode> {
    let ConvertArguments { checkpoint: source, key, encoder, .. } = arguments;
    let output = arguments.output().context("found no file to write; name one with --out")?;
    if arguments.to == Format::Onnx {
        return onnx::write(source, output, arguments);
    }
    if source == output {
        bail!("{}: the output is the checkpoint itself; name another file", output.display());
    }
    let bytes = untrusted::read(source, untrusted::LARGEST_WEIGHTS)
        .with_context(|| format!("{}: cannot be read; check the path and the permissions", source.display()))?;
    let tensors = checkpoint::read_bytes(source, &bytes, key.as_deref())?;
    let (beside, tensors): (BTreeMap<_, _>, BTreeMap<_, _>) =
        tensors.into_iter().partition(|(name, _)| NOT_THE_ENCODERS.iter().any(|part| name.contains(part)));
    let prefix = common_prefix(tensors.keys());
    let mut arrays = Vec::new();
    let mut left_out: Vec<String> = beside.into_keys().collect();
    for (name, CheckpointTensor { shape, values }) in tensors {
        let short = name[prefix.len()..].to_string();
        match values {
            _ if is_counter(&short) => left_out.push(short),
            Array::F32(values) => {
                let broken = values.iter().filter(|value| !value.is_finite()).count();
                if broken > 0 {
                    bail!(
                        "{}: key `{name}`: found {broken} values that are NaN or infinite, expected finite numbers; \
                         the file is damaged or the training diverged: use another one",
                        source.display()
                    );
                }
                arrays.push((short, shape.into_iter().map(|size| size as i64).collect(), values));
            }
            Array::I64(_) => left_out.push(short),
        }
    }
    let note = format!("sha256 {}", digest(&bytes));
    let bytes = weights::to_bytes(output, &arrays, &note)?;
    let written = Weights::from_bytes(output, bytes.clone())?;
    if let Some(kind) = encoder {
        let variables = VarStore::new(Device::Cpu);
        let _network = kind.network(&variables.root()).context("the network could not be built")?;
        written
            .fill(&variables, "")
            .with_context(|| format!("{} does not hold the weights of a {kind} encoder", source.display()))?;
    }
    weights::write_bytes(output, &bytes)?;
    let report = json!({
        "checkpoint": source,
        "checkpoint_digest": note.trim_start_matches("sha256 "),
        "output": output,
        "weights_digest": written.digest(),
        "license_if_published_by_the_authors": encoder.and_then(EncoderKind::license_of_published_weights),
        "fits_encoder": encoder.map(|kind| kind.to_string()),
        "tensors": arrays.len(),
        "values": arrays.iter().map(|(_, _, values)| values.len()).sum::<usize>(),
        "prefix_cut_off": prefix,
        "left_out": left_out,
    });
    println!("{report:#}");
    Ok(ExitCode::SUCCESS)
}

impl ConvertArguments {
    /// Where the result goes.
    fn output(&self) -> Option<&Path> {
        self.output.as_deref().or(self.out.as_deref())
    }
}

/// The wrappers that all names begin with.
fn common_prefix<'a>(names: impl Iterator<Item = &'a String> + Clone) -> String {
    let mut prefix = String::new();
    for wrapper in WRAPPERS {
        let longer = format!("{prefix}{wrapper}");
        // A name that is nothing but wrapper would become empty.
        if names.clone().all(|name| name.len() > longer.len() && name.starts_with(&longer)) {
            prefix = longer;
        }
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(name: &str, encoder: Option<EncoderKind>) -> (tempfile::TempDir, ConvertArguments) {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints").join(name);
        let output = Some(folder.path().join("out.safetensors"));
        let (out, to, camera) = (None, Format::Safetensors, None);
        (folder, ConvertArguments { checkpoint, output, out, to, camera, key: None, encoder })
    }

    #[test]
    fn vips_names_lose_their_wrapper_and_counters_are_left_out() {
        let (_folder, arguments) = arguments("vip.pt", None);
        convert(&arguments).unwrap();
        let shapes = Weights::read(arguments.output().unwrap()).unwrap().shapes().unwrap();
        let names: Vec<&str> = shapes.keys().map(String::as_str).collect();
        assert_eq!(names, ["bn1.running_var", "conv1.weight", "fc.bias", "fc.weight"]);
        assert_eq!(shapes["fc.weight"], [4, 5]);
    }

    #[test]
    fn r3ms_language_head_and_mvps_training_state_are_left_out() {
        let names = |file, key: &str| {
            let (_folder, mut arguments) = arguments(file, None);
            arguments.key = Some(key.into());
            convert(&arguments).unwrap();
            Weights::read(arguments.output().unwrap()).unwrap().shapes().unwrap().into_keys().collect::<Vec<_>>()
        };
        assert_eq!(names("r3m.pt", "r3m"), ["bn1.running_var", "conv1.weight", "fc.bias", "fc.weight"]);
        assert_eq!(names("mvp.pt", "model"), ["cls_token", "norm.weight"]);
    }

    #[test]
    fn what_does_not_fit_the_encoder_is_not_written() {
        let (_folder, arguments) = arguments("vip.pt", Some(EncoderKind::Vip));
        let text = format!("{:#}", convert(&arguments).unwrap_err());
        assert!(text.contains("vip encoder") && text.contains("key `") && text.contains("expected shape"), "{text}");
        assert!(!arguments.output().unwrap().exists());
    }

    #[test]
    fn a_hostile_file_is_refused_and_nothing_is_written() {
        let (_folder, arguments) = arguments("hostile.pt", None);
        assert!(format!("{:#}", convert(&arguments).unwrap_err()).contains("posix.system"));
        assert!(!arguments.output().unwrap().exists());
    }

    #[test]
    fn the_checkpoint_is_not_overwritten() {
        let (_folder, mut arguments) = arguments("vip.pt", None);
        arguments.output = Some(arguments.checkpoint.clone());
        assert!(convert(&arguments).is_err());
    }
}
