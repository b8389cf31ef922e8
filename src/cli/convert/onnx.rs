//! `visuomotor convert --to onnx`: converts policies and encoders of this program to ONNX.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use serde_json::json;

use super::ConvertArguments;
use crate::cli::compute_device;
use crate::config::digest;
use crate::encoder::{Encoder, EncoderKind, weights};
use crate::onnx::Graph;
use crate::policy::{BroughtPolicy, Checkpoint, VisualPolicy};
use crate::time::SystemClock;

/// Writes the policy folder or the encoder `source` to `output`, and prints a JSON summary.
pub fn write(source: &Path, output: &Path, arguments: &ConvertArguments) -> anyhow::Result<ExitCode> {
    if arguments.key.is_some() {
        bail!("--key is for PyTorch checkpoints: convert one to safetensors first, then that to ONNX");
    }
    let report = match (source.is_dir(), arguments.encoder) {
        (true, None) => policy(source, output, arguments.camera.as_deref())?,
        (true, Some(_)) => {
            bail!("--encoder: {} is a policy folder, which names its own; leave it out", source.display())
        }
        (false, Some(kind)) => encoder(kind, source, output)?,
        (false, None) => bail!(
            "{}: found no policy folder there; for an encoder's weights name it with --encoder (vip, vptr, r3m, mvp, small)",
            source.display()
        ),
    };
    println!("{report:#}");
    Ok(ExitCode::SUCCESS)
}

fn policy(folder: &Path, output: &Path, camera: Option<&str>) -> anyhow::Result<serde_json::Value> {
    let camera = camera.context(
        "--camera is missing: which camera does the policy look through, by its name in the launch file (the first [[camera]])?",
    )?;
    ensure!(
        !BroughtPolicy::is_in(folder),
        "{}: the policy was made elsewhere; export it to ONNX where it was made",
        folder.display()
    );
    let file = Checkpoint::path(output);
    ensure!(!file.exists(), "{}: there is a policy already; choose another --out", file.display());
    let checkpoint = Checkpoint::load(folder)?;
    let task = checkpoint.tasks.first().with_context(|| {
        format!("{}: tasks: found none, expected at least one; restore the file", Checkpoint::path(folder).display())
    })?;
    let converted = VisualPolicy::load(folder, task, compute_device(), Arc::new(SystemClock::new()))?
        .to_onnx(camera)
        .with_context(|| format!("{}: it cannot be converted", folder.display()))?;
    converted
        .write(output)
        .with_context(|| format!("{}: cannot be written; choose another --out", output.display()))?;
    Ok(json!({
        "policy": folder,
        "weights_digest": checkpoint.weights_digest(),
        "output": output,
        "module": converted.description.module.file,
        "module_digest": converted.description.module.digest,
        "camera": camera,
    }))
}

fn encoder(kind: EncoderKind, file: &Path, output: &Path) -> anyhow::Result<serde_json::Value> {
    ensure!(file != output, "{}: the output is the weights file itself; name another file", output.display());
    let encoder = Encoder::load(kind, file, compute_device())?;
    let (side, mut graph) = (kind.graph_size(), Graph::default());
    let image = graph.input("image", &[1, 3, i64::from(side), i64::from(side)]);
    let embedding = encoder.write(&mut graph, &image, side)?;
    let dimension = encoder.dimension();
    let bytes = graph.finish(&format!("{kind} encoder"), (&embedding, "embedding", &[1, dimension as i64]));
    weights::write_bytes(output, &bytes)?;
    Ok(json!({
        "weights": file,
        "weights_digest": encoder.digest(),
        "output": output,
        "output_digest": digest(&bytes),
        "input": format!("image (1, 3, {side}, {side}), RGB, 0 to 1, f32"),
        "dimension": dimension,
        "license_if_published_by_the_authors": kind.license_of_published_weights(),
    }))
}
