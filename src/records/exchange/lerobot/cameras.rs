//! The cameras of a data set, and the location of their images.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::info::{Feature, Info};
use super::reading::Rows;
use super::{CAPTURE_TIME, CONVERT, IMAGES};
use crate::exchange::ExchangeError;
use crate::exchange::error::{shown, source_error};

/// A camera, and whether it is a video.
pub(super) struct Source {
    pub key: String,
    pub name: Arc<str>,
    pub is_video: bool,
    /// Width, height \[pixels\].
    pub size: (u64, u64),
}

impl Source {
    /// Is this its name, or its feature's?
    pub fn is_called(&self, name: &str) -> bool {
        self.key == name || self.key.strip_prefix(IMAGES) == Some(name)
    }
}

/// The features that are images, in order of their names: `wanted`, or all with colors. Depth images are left out.
pub(super) fn cameras(
    info_path: &Path,
    info: &Info,
    wanted: Option<&[String]>,
    notes: &mut BTreeSet<String>,
) -> Result<Vec<Source>, ExchangeError> {
    let refuse = |key: &str, found: String, expected: &str| source_error(info_path, key, found, expected, CONVERT);
    let mut cameras: Vec<Source> = Vec::new();
    let mut known = Vec::new();
    for (key, of) in &info.features {
        let is_video = of.dtype == "video";
        if !is_video && of.dtype != "image" {
            continue;
        }
        let name = key.strip_prefix(IMAGES).unwrap_or(key);
        known.push(name.to_string());
        let is_wanted = wanted.is_none_or(|wanted| wanted.iter().any(|wanted| wanted == name || wanted == key));
        if !is_wanted {
            notes.insert(format!("camera {}: left out, it is not among those of --camera", shown(name)));
            continue;
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.is_empty() || name.len() > 80 || name.starts_with('.') || !name.chars().all(plain) {
            return Err(refuse("features", format!("camera `{name}`"), "a name of letters, digits, `_`, `-`, `.`"));
        }
        let Some((size, channels)) = size_of_image(of) else {
            return Err(refuse(
                key,
                format!("shape {:?}", of.shape),
                "height, width, channels, or channels, height, width",
            ));
        };
        if of.is_depth() || channels == 1 {
            notes.insert(format!("camera {name}: left out, recordings hold no depth images"));
            continue;
        }
        if channels != 3 {
            return Err(refuse(key, format!("{channels} channels"), "3 channels, or 1 for depth"));
        }
        let taken = |name: &str| cameras.iter().any(|camera| &*camera.name == name);
        let mut own = name.to_string();
        for number in 2.. {
            if !taken(&own) {
                break;
            }
            own = format!("{name}_{number}");
        }
        if own != name {
            notes.insert(format!("camera {key}: named {own}, for there are two of its name"));
        }
        cameras.push(Source { key: key.clone(), name: own.into(), is_video, size });
    }
    for wanted in wanted.unwrap_or_default() {
        if !cameras.iter().any(|camera| camera.is_called(wanted)) {
            let fix = "name cameras of the data set with --camera";
            return Err(source_error(
                info_path,
                "features",
                shown(wanted),
                format!("one of {}", known.join(", ")),
                fix,
            ));
        }
    }
    Ok(cameras)
}

/// Width and height \[pixels\], and the number of channels. Some writers put the channels first.
fn size_of_image(feature: &Feature) -> Option<((u64, u64), u64)> {
    let [a, b, c] = feature.shape[..] else { return None };
    let names = feature.flat_names().unwrap_or_default();
    let is_channels = |name: &String| name.starts_with("channel") || name == "c";
    let channels_first = match (names.first(), names.last()) {
        (Some(first), Some(_)) if is_channels(first) => true,
        (Some(_), Some(last)) if is_channels(last) => false,
        // Without names: an image is larger than its channels are many.
        _ => a <= 4 && c > 4,
    };
    Some(if channels_first { ((c, b), a) } else { ((b, a), c) })
}

/// Puts the policy's camera first. JSON has no order; in our own exports the columns of this data file have the order.
pub(super) fn order_by_columns(cameras: &mut [Source], root: &Path, data: &Path) {
    let Ok(rows) = Rows::open(root, data, &[], &[]) else { return };
    let place = |key: &str| rows.columns.iter().position(|column| column == key).unwrap_or(usize::MAX);
    cameras.sort_by_cached_key(|camera| {
        (place(&format!("{CAPTURE_TIME}{}", camera.name)), place(&camera.key), camera.name.clone())
    });
}

/// A path in the data set; its templates and names are untrusted, and it must stay inside.
pub(super) fn path_inside(
    root: &Path,
    info_path: &Path,
    template: &str,
    key: &str,
    (chunk, file): (u64, u64),
) -> Result<PathBuf, ExchangeError> {
    let filled = template
        .replace("{video_key}", key)
        .replace("{chunk_index:03d}", &format!("{chunk:03}"))
        .replace("{file_index:03d}", &format!("{file:03}"))
        // Version 2 has a file per episode.
        .replace("{episode_chunk:03d}", &format!("{chunk:03}"))
        .replace("{episode_index:06d}", &format!("{file:06}"));
    let inside = Path::new(&filled).components().all(|part| matches!(part, Component::Normal(_)));
    if !inside || filled.contains(['{', '}', '\0']) || filled.len() > 4000 {
        let expected = "a path within the data set, of {video_key}, {chunk_index:03d} and {file_index:03d}";
        return Err(source_error(info_path, "data_path, video_path", filled, expected, CONVERT));
    }
    Ok(root.join(filled))
}
