//! `meta/info.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::VERSION;
use super::columns::{Column, Kind};

/// As much of `meta/info.json` as an import needs.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Info {
    pub codebase_version: String,
    #[serde(default)]
    pub robot_type: Option<String>,
    pub fps: f64,
    pub data_path: String,
    #[serde(default)]
    pub video_path: Option<String>,
    pub features: BTreeMap<String, Feature>,
}

/// One column of the data, or one camera.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Feature {
    pub dtype: String,
    pub shape: Vec<u64>,
    /// A list of names, or a dict of such lists.
    #[serde(default)]
    pub names: Value,
}

impl Feature {
    /// The names, where there is one list of them.
    pub fn flat_names(&self) -> Option<Vec<String>> {
        let list = match &self.names {
            Value::Object(lists) if lists.len() == 1 => lists.values().next()?,
            names => names,
        };
        list.as_array()?.iter().map(|name| name.as_str().map(str::to_string)).collect()
    }
}

/// Where data and videos lie, with the placeholders that LeRobot fills in.
pub(super) const DATA_PATH: &str = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet";
/// See [`DATA_PATH`].
pub(super) const VIDEO_PATH: &str = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4";

/// A camera of a data set.
pub(super) struct Camera {
    /// Feature name.
    pub key: String,
    /// Width, height \[pixels\].
    pub size: (u32, u32),
    /// The video's codec; `None` for pictures within the table.
    pub codec: Option<&'static str>,
}

/// The totals that `info.json` repeats.
pub(super) struct Totals {
    pub episodes: usize,
    pub steps: u64,
    pub tasks: usize,
    pub rate: u32,
}

/// The whole of `meta/info.json`.
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

/// What the Hugging Face package `datasets` wants to know of a table, so that it takes pictures for pictures.
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
