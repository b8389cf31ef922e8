//! `visuomotor values`: how an encoder's distance, and the values learned with it, go along clips that end in success.
//!
//! Writes `values.json` (numbers of every clip, means and spreads) and `values.svg` (V(s_t) of the first clips) into a
//! folder. Without learned values the value is minus the distance to the clip's last image, as VIP means it.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::json;

use crate::encoder::{Encoder, EncoderKind};
use crate::training::Clips;
use crate::training::clips::{Cache, Opening, at_least, open_with};
use crate::training::diagnostics::{
    Spread, ValueCurve, bumps, distances_to, embed_clip, falling_share, value_chart, values_to_the_last,
};
use crate::training::icvf::load_values;

/// Curves in the picture: more are hard to tell apart.
const CURVES: usize = 5;
/// Seed of the weights of an encoder that was trained on nothing.
const UNTRAINED: u64 = 0;

/// Tell how values rise along clips.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  visuomotor values --encoder small --weights results/icvf/encoder.safetensors \\
    --heads results/icvf/values.safetensors --clips videos/ --out results/values")]
pub struct ValuesArguments {
    /// Which encoder: vip, vptr or small
    #[arg(long)]
    encoder: EncoderKind,
    /// Its weights; without: some that were trained on nothing, to compare with
    #[arg(long)]
    weights: Option<PathBuf>,
    /// The values.safetensors that `train icvf` wrote beside the weights
    #[arg(long)]
    heads: Option<PathBuf>,
    /// Clips: videos, folders of pictures, recorded episodes, Bridge or LeRobot data
    #[arg(long)]
    clips: PathBuf,
    /// Folder for the numbers and the picture
    #[arg(long)]
    out: PathBuf,
    /// At most so many clips, from the first on
    #[arg(long, default_value_t = 50)]
    most: usize,
    /// Side of the clips' images \[pixels\]; without: 128 for small and vptr, 224 for vip
    #[arg(long)]
    image_size: Option<u32>,
}

/// Runs the command.
pub fn values(a: &ValuesArguments) -> anyhow::Result<u8> {
    let encoder = match &a.weights {
        Some(file) => Encoder::load(a.encoder, file)?,
        None => Encoder::random(a.encoder, UNTRAINED)?,
    };
    let heads = a.heads.as_deref().map(load_values).transpose()?;
    if let (Some((_, heads)), Some(file)) = (&heads, &a.heads) {
        let (found, expected) = (heads.dimension(), encoder.dimension() as i64);
        ensure!(
            found == expected,
            "{}: found values for embeddings of {found} numbers, the {} encoder has {expected}; name the encoder they were \
             trained with",
            file.display(),
            a.encoder
        );
    }
    let size = a.image_size.unwrap_or(if a.encoder == EncoderKind::Vip { 224 } else { 128 });
    let opened = open_with(&a.clips, &Opening::new(size, Cache::default()))?;
    say!("{}", opened.summary());
    let clips = at_least(opened.clips, 2)?;
    for remark in opened.remarks.iter().cloned().chain(clips.remark()) {
        say!("{remark}");
    }
    let (mut found, mut curves, mut away, mut falling) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for clip in 0..clips.len().min(a.most) {
        let embeddings = embed_clip(&encoder, &clips, clip)?;
        let distances = embeddings.last().map_or(Vec::new(), |last| distances_to(&embeddings, last));
        let values = match &heads {
            Some((_, heads)) => values_to_the_last(heads, &embeddings)?,
            None => distances.iter().map(|distance| -distance).collect(),
        };
        let shares = (bumps(&embeddings), falling_share(&values));
        away.extend(shares.0);
        falling.extend(shares.1);
        let name = clips.name(clip);
        found.push(json!({
            "clip": name, "bumps": shares.0, "falling_share": shares.1, "distances": distances, "values": values,
        }));
        if curves.len() < CURVES {
            curves.push(ValueCurve { name: name.to_string(), values });
        }
    }
    let summary = |shares: &[f64]| -> anyhow::Result<_> {
        let Spread { mean, deviation, count } = Spread::of(shares).context("--most: found 0, expected at least 1")?;
        Ok(json!({ "mean": mean, "deviation": deviation, "clips": count }))
    };
    let (away, falling) = (summary(&away)?, summary(&falling)?);
    say!("bumps {away}\nsteps on which the value falls {falling}");
    let report = json!({
        "encoder": a.encoder.to_string(), "weights_digest": encoder.digest(), "weights": a.weights, "heads": a.heads,
        "bumps": away, "falling_share": falling, "clips": found,
    });
    std::fs::create_dir_all(&a.out).with_context(|| format!("{}: cannot be created", a.out.display()))?;
    let what = if heads.is_some() { "V(s_t, g, g), g the last image" } else { "minus the distance to the last image" };
    let title = format!("{what}, {} encoder", a.encoder);
    let files =
        [("values.json", serde_json::to_vec_pretty(&report)?), ("values.svg", value_chart(&title, &curves).into())];
    for (name, bytes) in files {
        let file = a.out.join(name);
        std::fs::write(&file, bytes).with_context(|| format!("{}: cannot be written", file.display()))?;
    }
    say!("values.json and values.svg in {}", a.out.display());
    Ok(0)
}
