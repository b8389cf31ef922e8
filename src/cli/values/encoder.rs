//! Values from an encoder's embeddings: the negative distance to the clip's last image (VIP), or the values that ICVF
//! learned.

use anyhow::ensure;
use serde_json::json;

use super::probe::probe;
use super::{Along, Found, ValuesArguments};
use crate::cli::compute_device;
use crate::encoder::{Encoder, EncoderKind};
use crate::training::Clips;
use crate::training::clips::{Cache, Opening, at_least, open_with};
use crate::training::diagnostics::{bumps, distances_to, embed_clip, values_to_the_last};
use crate::training::icvf::load_values;

/// Seed of the random weights of an untrained encoder.
const UNTRAINED: u64 = 0;

/// Values along the clips by an encoder.
pub fn values(a: &ValuesArguments, kind: EncoderKind) -> anyhow::Result<Found> {
    let encoder = match &a.weights {
        Some(file) => Encoder::load(kind, file, compute_device())?,
        None => Encoder::random(kind, UNTRAINED, compute_device())?,
    };
    let heads = a.heads.as_deref().map(|file| load_values(file, compute_device())).transpose()?;
    if let (Some((_, heads)), Some(file)) = (&heads, &a.heads) {
        let (found, expected) = (heads.dimension(), encoder.dimension() as i64);
        ensure!(
            found == expected,
            "{}: found values for embeddings of {found} numbers, the {kind} encoder has {expected}; name the encoder they \
             were trained with",
            file.display(),
        );
    }
    let size = a.image_size.unwrap_or(if kind.sees_policy_images() { 128 } else { 224 });
    let opened = open_with(&a.clips, &Opening::new(size, Cache::default()))?;
    say!("{}", opened.summary());
    let clips = at_least(opened.clips, 2)?;
    for remark in opened.remarks.iter().cloned().chain(clips.remark()) {
        say!("{remark}");
    }
    let (mut found, mut features) = (Vec::new(), Vec::new());
    for clip in 0..clips.len().min(a.most) {
        let embeddings = embed_clip(&encoder, &clips, clip)?;
        let distances = embeddings.last().map_or(Vec::new(), |last| distances_to(&embeddings, last));
        let values = match &heads {
            Some((_, heads)) => values_to_the_last(heads, &embeddings)?,
            None => distances.iter().map(|distance| -distance).collect(),
        };
        let name = clips.name(clip).to_string();
        found.push(Along { name, bumps: bumps(&embeddings), distances: Some(distances), values });
        features.push(embeddings);
    }
    let what = if heads.is_some() { "V(s_t, g, g), g the last image" } else { "minus the distance to the last image" };
    Ok(Found {
        probe: probe(&features)?,
        clips: found,
        what: format!("{what}, {kind} encoder"),
        source: json!({
            "encoder": kind.to_string(), "weights_digest": encoder.digest(), "weights": a.weights, "heads": a.heads,
        }),
    })
}
