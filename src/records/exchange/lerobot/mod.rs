//! LeRobot data sets, version 3.0 (and, read only, 2.0 and 2.1 with a file per episode): parquet tables and videos, many episodes per file.
//!
//! ```text
//! meta/info.json                                  rate, features, paths
//! meta/stats.json                                 statistics over all episodes
//! meta/tasks.parquet                              instruction -> task_index
//! meta/episodes/chunk-000/file-000.parquet        one row per episode: length, location of its data, statistics
//! data/chunk-000/file-000.parquet                 one row per policy step
//! videos/observation.images.CAMERA/chunk-000/file-000.mp4
//! ```

mod cameras;
mod columns;
mod data;
mod export;
mod frames;
mod import;
mod info;
mod lines;
mod pages;
mod places;
mod reading;
mod tables;
mod video;

pub use export::{LerobotExport, LerobotPictures, export_lerobot};
pub use frames::LerobotFrames;
pub use import::import_lerobot;

/// Bridge's state: position \[m\], orientation \[rad\], gripper (0 closed .. 1 open).
pub(super) const STATE: &str = "observation.state";
/// Names of the seven numbers.
pub(super) const STATE_NAMES: [&str; 7] = ["x", "y", "z", "roll", "pitch", "yaw", "gripper"];
/// Bridge's action: change of position \[m\] and orientation \[rad\], gripper target.
pub(super) const ACTION: &str = "action";
/// Names of the seven numbers.
pub(super) const ACTION_NAMES: [&str; 7] = ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper"];
/// The action without the demonstrator's noise, where there was any. Not `action.something`: LeRobot predicts every feature
/// with that prefix.
pub(super) const NOISE_FREE_ACTION: &str = "noise_free_action";
/// 1 where the operator decided instead of the policy, if that ever happened: the name of LeRobot's own interventions.
pub(super) const INTERVENTION: &str = "complementary_info.is_intervention";
/// Joint positions \[rad\].
pub(super) const JOINT_POSITIONS: &str = "observation.joint_positions";
/// Time of the observation, since the first one \[s\].
pub(super) const MEASURED_TIME: &str = "observation.measured_time";
/// Prefix of a camera's name: capture time of the image, on the same clock \[s\].
pub(super) const CAPTURE_TIME: &str = "observation.capture_time.";
/// Prefix of a camera's name: its images.
pub(super) const IMAGES: &str = "observation.images.";
/// Columns of the episodes table for data that LeRobot has no columns for, as JSON.
pub(super) const EPISODE_START: &str = "visuomotor/episode_start";
/// See [`EPISODE_START`].
pub(super) const EPISODE_END: &str = "visuomotor/episode_end";

/// The format's version.
pub(super) const VERSION: &str = "v3.0";

/// Versions that are read, too: a file per episode.
pub(super) const VERSIONS_2: [&str; 2] = ["v2.0", "v2.1"];

/// Of a data set in a version that is read.
const CONVERT: &str = "repair it, or fetch it again";

/// Of a data set of another version.
const OLDER: &str =
    "convert it with LeRobot's own script (python -m lerobot.datasets.v30.convert_dataset_v21_to_v30 --repo-id=...)";
