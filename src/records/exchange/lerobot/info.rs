//! `meta/info.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::columns::{Column, Kind};
use super::{CONVERT, OLDER, VERSION, VERSIONS_2};
use crate::exchange::ExchangeError;
use crate::exchange::error::{read_error, source_error};
use visuomotor_core::untrusted;

/// The parts of `meta/info.json` that an import needs.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Info {
    pub codebase_version: String,
    #[serde(default)]
    pub robot_type: Option<String>,
    pub fps: f64,
    /// Episodes in a folder, in version 2.
    #[serde(default = "chunks_size")]
    pub chunks_size: u64,
    pub data_path: String,
    #[serde(default)]
    pub video_path: Option<String>,
    pub features: BTreeMap<String, Feature>,
}

/// LeRobot's own.
fn chunks_size() -> u64 {
    1000
}

impl Info {
    /// Is it a file per episode, as in versions 2.0 and 2.1?
    pub fn is_version_2(&self) -> bool {
        VERSIONS_2.contains(&self.codebase_version.as_str())
    }
}

/// One column of the data, or one camera.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Feature {
    pub dtype: String,
    pub shape: Vec<u64>,
    /// A list of names, or a dict of such lists.
    #[serde(default)]
    pub names: Value,
    /// Details of a video or an image.
    #[serde(default)]
    pub info: Value,
}

impl Feature {
    /// Does it hold depths instead of colors?
    pub fn is_depth(&self) -> bool {
        let flag = |key: &str| self.info.get(key).and_then(Value::as_bool).unwrap_or(false);
        flag("is_depth_map") || flag("video.is_depth_map")
    }

    /// The names, if there is one list of them.
    pub fn flat_names(&self) -> Option<Vec<String>> {
        let list = match &self.names {
            Value::Object(lists) if lists.len() == 1 => lists.values().next()?,
            names => names,
        };
        list.as_array()?.iter().map(|name| name.as_str().map(str::to_string)).collect()
    }
}

/// Path templates of data and videos, with LeRobot's placeholders.
pub(super) const DATA_PATH: &str = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet";
/// See [`DATA_PATH`].
pub(super) const VIDEO_PATH: &str = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4";

/// A camera of a data set.
pub(super) struct Camera {
    /// Feature name.
    pub key: String,
    /// Width, height \[pixels\].
    pub size: (u32, u32),
    /// The video's codec; `None` for images within the table.
    pub codec: Option<&'static str>,
}

/// The totals in `info.json`.
pub(super) struct Totals {
    pub episodes: usize,
    pub steps: u64,
    pub tasks: usize,
    pub rate: u32,
}

/// The complete `meta/info.json`.
pub(super) fn info(robot: &str, totals: &Totals, columns: &[Column], cameras: &[Camera]) -> Value {
    let mut features = serde_json::Map::new();
    for Column { name, kind, width, names, .. } in columns {
        features.insert(name.clone(), json!({"dtype": kind.dtype(), "shape": [width], "names": names}));
    }
    for Camera { key, size: (width, height), codec } in cameras {
        let mut feature = json!({
            "dtype": if codec.is_some() { "video" } else { "image" },
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
        });
        if let Some(codec) = codec {
            feature["info"] = json!({
                "video.height": height,
                "video.width": width,
                "video.codec": codec,
                "video.pix_fmt": "yuv420p",
                "video.is_depth_map": false,
                "video.fps": totals.rate,
                "video.channels": 3,
                "has_audio": false,
            });
        }
        features.insert(key.clone(), feature);
    }
    let has_video = cameras.iter().any(|camera| camera.codec.is_some());
    json!({
        "codebase_version": VERSION,
        "robot_type": robot,
        "total_episodes": totals.episodes,
        "total_frames": totals.steps,
        "total_tasks": totals.tasks,
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": totals.rate,
        "splits": {"train": format!("0:{}", totals.episodes)},
        "data_path": DATA_PATH,
        "video_path": has_video.then_some(VIDEO_PATH),
        "features": features,
    })
}

/// The metadata that the Hugging Face package `datasets` needs to read images as images.
pub(super) fn hugging_face(columns: &[Column], pictures: &[String]) -> String {
    let value = |kind: Kind| json!({"dtype": kind.dtype(), "_type": "Value"});
    let mut features = serde_json::Map::new();
    for Column { name, kind, width, .. } in columns {
        let feature = match width {
            1 => value(*kind),
            _ => json!({"feature": value(*kind), "length": width, "_type": "Sequence"}),
        };
        features.insert(name.clone(), feature);
    }
    for key in pictures {
        features.insert(key.clone(), json!({"_type": "Image"}));
    }
    json!({"info": {"features": features}}).to_string()
}

/// Reads the parts that an import needs.
pub(super) fn read_info(root: &Path, path: &Path) -> Result<Info, ExchangeError> {
    let bytes = untrusted::read_inside(root, path, untrusted::LARGEST_TEXT).map_err(read_error(path))?;
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    let info: Info = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        source_error(path, error.path().to_string(), error.inner(), "what LeRobot v3.0 writes", CONVERT)
    })?;
    if info.codebase_version != VERSION && !info.is_version_2() {
        return Err(source_error(path, "codebase_version", &info.codebase_version, VERSION, OLDER));
    }
    if !(info.fps > 0.0 && info.fps <= 1e6) {
        return Err(source_error(path, "fps", info.fps, "a rate above 0", CONVERT));
    }
    Ok(info)
}
