//! `visuomotor values`: values along clips that end in success: an encoder's distance to the goal, the values that ICVF
//! learned with it, or the values of a policy's critic.
//!
//! Writes `values.json` (numbers of every clip, means and spreads) and `values.svg` (V(s_t) of the first clips) into a
//! folder.

mod encoder;
mod policy;
mod probe;

pub(super) use policy::along as values_along;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::encoder::EncoderKind;
use crate::training::diagnostics::{Spread, ValueCurve, falling_share, value_chart};

/// Curves in the plot: more are hard to distinguish.
const CURVES: usize = 5;

/// Measure how values rise along clips.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  visuomotor values --encoder small --weights results/icvf/encoder.safetensors \\
    --heads results/icvf/values.safetensors --clips videos/ --out results/values
  visuomotor values --policy results/table/vptr-1 --clips results/held_out --out results/values")]
pub struct ValuesArguments {
    /// Encoder: vip, vptr, r3m, mvp or small
    #[arg(long, required_unless_present = "policy")]
    encoder: Option<EncoderKind>,
    /// Its weights; default: random ones, for comparison
    #[arg(long, requires = "encoder")]
    weights: Option<PathBuf>,
    /// The values.safetensors that `train icvf` wrote beside the weights
    #[arg(long, requires = "encoder")]
    heads: Option<PathBuf>,
    /// Instead of an encoder: a policy folder of `train cql` or `train finetune`, whose critic is used
    #[arg(long, conflicts_with = "encoder")]
    policy: Option<PathBuf>,
    /// Clips: videos, folders of images, recorded episodes, Bridge or LeRobot data; for a policy recorded episodes
    #[arg(long)]
    clips: PathBuf,
    /// Folder for the numbers and the plot
    #[arg(long)]
    out: PathBuf,
    /// Maximum number of clips, from the first on
    #[arg(long, default_value_t = 50)]
    most: usize,
    /// Side of the clips' images \[pixels\]; default: 128 for small and vptr, 224 for the others
    #[arg(long, requires = "encoder")]
    image_size: Option<u32>,
}

/// Results of one clip.
struct Along {
    name: String,
    /// Distance of each image to the last one, for an encoder.
    distances: Option<Vec<f64>>,
    /// Share of steps away from the last image, for an encoder.
    bumps: Option<f64>,
    /// Value of each image.
    values: Vec<f64>,
}

/// Results of all clips.
struct Found {
    clips: Vec<Along>,
    /// Kind of values, for the plot's title.
    what: String,
    /// Source of the values.
    source: Value,
    /// Error of a linear value function on frozen features, for an encoder.
    probe: Value,
}

/// Runs the command.
pub fn values(a: &ValuesArguments) -> anyhow::Result<u8> {
    ensure!(a.most > 0, "--most: found 0, expected at least 1");
    let found = match (&a.policy, a.encoder) {
        (Some(folder), _) => policy::values(a, folder)?,
        (None, Some(kind)) => encoder::values(a, kind)?,
        (None, None) => anyhow::bail!("neither --encoder nor --policy was given; name one"),
    };
    let falling = summary(found.clips.iter().filter_map(|clip| falling_share(&clip.values)));
    let bumps = summary(found.clips.iter().filter_map(|clip| clip.bumps));
    if !bumps.is_null() {
        say!("bumps {bumps}");
    }
    say!("steps on which the value falls {falling}");
    if !found.probe.is_null() {
        say!("linear value function on frozen features, clips held out: {}", found.probe);
    }
    let each = found.clips.iter().map(|clip| {
        json!({
            "clip": clip.name, "bumps": clip.bumps, "falling_share": falling_share(&clip.values),
            "distances": clip.distances, "values": clip.values,
        })
    });
    let report = json!({
        "source": found.source, "bumps": bumps, "falling_share": falling, "probe": found.probe, "clips": each.collect::<Vec<_>>(),
    });
    std::fs::create_dir_all(&a.out).with_context(|| format!("{}: cannot be created", a.out.display()))?;
    let curve = |clip: &Along| ValueCurve { name: clip.name.clone(), values: clip.values.clone() };
    let curves: Vec<_> = found.clips.iter().take(CURVES).map(curve).collect();
    let files = [
        ("values.json", serde_json::to_vec_pretty(&report)?),
        ("values.svg", value_chart(&found.what, &curves).into()),
    ];
    for (name, bytes) in files {
        let file = a.out.join(name);
        std::fs::write(&file, bytes).with_context(|| format!("{}: cannot be written", file.display()))?;
    }
    say!("values.json and values.svg in {}", a.out.display());
    Ok(0)
}

/// Mean and standard deviation of the shares over clips; `None` if no clip has one.
fn summary(shares: impl Iterator<Item = f64>) -> Value {
    let shares: Vec<f64> = shares.collect();
    Spread::of(&shares).map_or(
        Value::Null,
        |Spread { mean, deviation, count }| json!({ "mean": mean, "deviation": deviation, "clips": count }),
    )
}
