//! `visuomotor convert`: converts a PyTorch checkpoint to the safetensors file that encoders load, and networks trained
//! by this program to ONNX ([`onnx`]).
//!
//! Nothing in the checkpoint is executed. Name prefixes that all tensors share are removed (`module._orig_mod.`,
//! `module.convnet.` of VIP and R3M), floats become f32; what no encoder reads is left out and named (integers, bools, complex
//! numbers, BatchNorm counters, R3M's language head). With `--encoder` the result is loaded into that network before it is
//! written; what was written is read back. Refuses what [`checkpoint`](crate::encoder::checkpoint) and
//! [`weights`](crate::encoder::weights) refuse; errors name file, key, found, expected and the fix.

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

/// Name prefixes in published checkpoints, in any order and number: `DataParallel`, `torch.compile`, the attribute of a
/// LightningModule, VIP's and R3M's attribute.
const WRAPPERS: [&str; 4] = ["module.", "_orig_mod.", "model.", "convnet."];

/// Parts of R3M's file that process no images: its language head.
const NOT_THE_ENCODERS: [&str; 2] = ["lang_enc", "lang_rew"];

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Weights of an encoder, from a PyTorch checkpoint
    #[default]
    Safetensors,
    /// ONNX, from a policy folder of this program or an encoder's safetensors file
    Onnx,
}

/// Convert a PyTorch checkpoint to safetensors, without executing anything in it, or a trained policy or encoder to ONNX.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example:\n  visuomotor convert ~/.vip/resnet50/model.pt vip.safetensors --key vip --encoder vip\n  visuomotor convert ~/.r3m/r3m_50/model.pt r3m.safetensors --key r3m --encoder r3m\n  visuomotor convert vitb-mae-egosoup.pth mvp.safetensors --key model --encoder mvp\n  visuomotor convert policies/button/panda --to onnx --camera front --out policies/panda_onnx\n  visuomotor convert policies/kitchen/encoder.safetensors --to onnx --encoder small --out small.onnx"
)]
pub struct ConvertArguments {
    /// Checkpoint written by torch.save; with `--to onnx` a policy folder or an encoder's safetensors file.
    pub checkpoint: PathBuf,
    /// File to write.
    #[arg(required_unless_present = "out")]
    output: Option<PathBuf>,
    /// Output file, or folder to create.
    #[arg(long, conflicts_with = "output")]
    out: Option<PathBuf>,
    /// Output format.
    #[arg(long, default_value = "safetensors")]
    to: Format,
    /// `--to onnx` of a policy: name of its camera in the launch file (the first one there).
    #[arg(long)]
    camera: Option<String>,
    /// Dict of the checkpoint that holds the weights (`state.encoder` for a dict within a dict); needed if it has several.
    #[arg(long)]
    pub key: Option<String>,
    /// Check that the weights fit this encoder: vip, vptr, r3m, mvp or small. With `--to onnx`: the encoder they are of.
    #[arg(long)]
    pub encoder: Option<EncoderKind>,
}

/// Converts, and prints a JSON summary.
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
    let mut notes: Vec<String> = Vec::new();
    for (name, CheckpointTensor { shape, format, values }) in tensors {
        let short = name[prefix.len()..].to_string();
        match values {
            _ if is_counter(&short) => left_out.push(short),
            Array::F32(values) => {
                let broken = values.iter().filter(|value| !value.is_finite()).count();
                if broken > 0 {
                    bail!(
                        "{}: key `{}`: found {broken} values that are NaN or infinite, expected finite numbers; \
                         the file is damaged or the training diverged: use another one",
                        source.display(),
                        name.escape_debug()
                    );
                }
                arrays.push((short, shape.into_iter().map(|size| size as i64).collect(), values));
            }
            Array::I64(_) | Array::Other(_) => {
                notes.push(format!("`{short}` ({format}) is left out: weights are floats"));
                left_out.push(short);
            }
        }
    }
    if arrays.is_empty() {
        bail!(
            "{}: found no tensor of floats beside what is left out ({}); choose the dict of the weights with --key",
            source.display(),
            if left_out.is_empty() { "nothing".to_string() } else { left_out.join(", ").escape_debug().to_string() }
        );
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
    // A full or failing disk may keep other bytes than were written.
    let kept = Weights::read(output)?;
    if kept.digest() != written.digest() {
        bail!("{}: what was read back is not what was written; check the disk, then convert again", output.display());
    }
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
        "notes": notes,
    });
    println!("{report:#}");
    Ok(ExitCode::SUCCESS)
}

impl ConvertArguments {
    /// Output path.
    fn output(&self) -> Option<&Path> {
        self.output.as_deref().or(self.out.as_deref())
    }
}

/// The prefixes that all names share.
fn common_prefix<'a>(names: impl Iterator<Item = &'a String> + Clone) -> String {
    let mut prefix = String::new();
    if names.clone().next().is_none() {
        return prefix;
    }
    loop {
        // A name that is only a prefix would become empty.
        let longer = WRAPPERS
            .iter()
            .map(|wrapper| format!("{prefix}{wrapper}"))
            .find(|longer| names.clone().all(|name| name.len() > longer.len() && name.starts_with(longer.as_str())));
        match longer {
            Some(longer) => prefix = longer,
            None => return prefix,
        }
    }
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
    fn vips_names_lose_their_prefix_and_counters_are_dropped() {
        let (_folder, arguments) = arguments("vip.pt", None);
        convert(&arguments).unwrap();
        let shapes = Weights::read(arguments.output().unwrap()).unwrap().shapes().unwrap();
        let names: Vec<&str> = shapes.keys().map(String::as_str).collect();
        assert_eq!(names, ["bn1.running_var", "conv1.weight", "fc.bias", "fc.weight"]);
        assert_eq!(shapes["fc.weight"], [4, 5]);
    }

    #[test]
    fn r3ms_language_head_and_mvps_training_state_are_dropped() {
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
    fn wrappers_are_stripped_and_what_no_encoder_reads_is_left_out() {
        for name in ["compiled.pt", "lightning.pt", "before_1.6.pt", "settings.pt"] {
            let (_folder, arguments) = arguments(&format!("../checkpoints_by_hand/{name}"), None);
            convert(&arguments).unwrap();
            let names: Vec<_> =
                Weights::read(arguments.output().unwrap()).unwrap().shapes().unwrap().into_keys().collect();
            assert_eq!(names, ["conv.bias", "conv.weight"], "{name}");
        }
        let (_folder, others) = arguments("../checkpoints_by_hand/formats.pt", None);
        convert(&others).unwrap();
        let shapes = Weights::read(others.output().unwrap()).unwrap().shapes().unwrap();
        let names: Vec<&str> = shapes.keys().map(String::as_str).collect();
        let floats = [
            "brain",
            "double",
            "eight",
            "empty",
            "expanded",
            "half",
            "scalar",
            "tied",
            "tied_again",
            "transposed",
            "weight",
        ];
        assert_eq!(names, floats);
        assert_eq!((&shapes["empty"][..], &shapes["expanded"][..]), (&[0, 5][..], &[3, 2][..]));
    }

    #[test]
    fn a_file_without_weights_is_refused() {
        let (_folder, arguments) = arguments("../checkpoints_by_hand/integers.pt", None);
        let text = format!("{:#}", convert(&arguments).unwrap_err());
        assert!(text.contains("no tensor of floats") && text.contains("--key"), "{text}");
        assert!(!arguments.output().unwrap().exists());
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
