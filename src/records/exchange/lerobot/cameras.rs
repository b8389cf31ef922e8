//! The cameras of a data set, and the location of their images.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::info::Info;
use super::reading::Rows;
use super::{CAPTURE_TIME, CONVERT, IMAGES};
use crate::exchange::ExchangeError;
use crate::exchange::error::source_error;

/// A camera, and whether it is a video.
pub(super) struct Source {
    pub key: String,
    pub name: Arc<str>,
    pub is_video: bool,
    /// Width, height \[pixels\].
    pub size: (u64, u64),
}

/// The features that are images, in order of their names.
pub(super) fn cameras(info_path: &Path, info: &Info) -> Result<Vec<Source>, ExchangeError> {
    let refuse = |key: &str, found: String, expected: &str| source_error(info_path, key, found, expected, CONVERT);
    let mut cameras = Vec::new();
    for (key, of) in &info.features {
        let is_video = of.dtype == "video";
        if !is_video && of.dtype != "image" {
            continue;
        }
        let name = key.strip_prefix(IMAGES).unwrap_or(key);
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.is_empty() || name.len() > 80 || name.starts_with('.') || !name.chars().all(plain) {
            return Err(refuse("features", format!("camera `{name}`"), "a name of letters, digits, `_`, `-`, `.`"));
        }
        let [height, width, 3] = of.shape[..] else {
            return Err(refuse(key, format!("shape {:?}", of.shape), "height, width, 3"));
        };
        cameras.push(Source { key: key.clone(), name: name.into(), is_video, size: (width, height) });
    }
    Ok(cameras)
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
        .replace("{file_index:03d}", &format!("{file:03}"));
    let inside = Path::new(&filled).components().all(|part| matches!(part, Component::Normal(_)));
    if !inside || filled.contains(['{', '}', '\0']) || filled.len() > 4000 {
        let expected = "a path within the data set, of {video_key}, {chunk_index:03d} and {file_index:03d}";
        return Err(source_error(info_path, "data_path, video_path", filled, expected, CONVERT));
    }
    Ok(root.join(filled))
}
