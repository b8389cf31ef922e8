//! Episodes on disk: one episode is one MCAP file that survives a killed process.
//!
//! Start reading at [`EpisodeWriter`], then [`read_episode`]. Files open in Foxglove, PlotJuggler, `ros2 bag` and the
//! Python packages `mcap` and `mcap-ros2-support`: messages are ROS 2 CDR (profile `ros2`) or JSON with a schema.
//!
//! | topic | type | rate | content |
//! |---|---|---|---|
//! | `/camera/NAME/compressed` | `sensor_msgs/msg/CompressedImage` | policy | JPEG without chroma subsampling; stamp = capture time |
//! | `/observed_joint_states` | `sensor_msgs/msg/JointState` | policy | joints \[rad, rad/s, Nm\], `gripper` \[fraction\], `finger` \[m\], as the policy saw them |
//! | `/tool_pose` | `geometry_msgs/msg/PoseStamped` | policy | tool in the base frame \[m\] |
//! | `/bridge_state` | `std_msgs/msg/Float64MultiArray` | policy | x y z \[m\] roll pitch yaw \[rad\] gripper |
//! | `/action`, `/action_label` | `std_msgs/msg/Float64MultiArray` | policy | dx dy dz \[m\] droll dpitch dyaw \[rad\] gripper; the label is free of the demonstrator's noise |
//! | `/embedding` | `std_msgs/msg/Float32MultiArray` | policy | raw embedding; the dimension's label is the encoder's digest |
//! | `/joint_states`, `/wished_command`, `/sent_command` | `sensor_msgs/msg/JointState` | control | joints \[rad\] and `gripper` \[fraction\] |
//! | `/control_tick` | `std_msgs/msg/Float64MultiArray` | control | step index (-1 before the first action), image age \[s\], tick time \[s\], action in force |
//! | `/episode/start`, `/episode/end` | JSON | once | [`EpisodeStart`](visuomotor_core::episode::EpisodeStart), [`EpisodeEnd`](visuomotor_core::episode::EpisodeEnd) |
//! | `/episode/step` | JSON | policy | index, times, cost, image list; closes the step |
//! | `/episode/note` | JSON | when written | an operator's note on the episode |
//! | `/episode/gap` | JSON | when it happens | steps that were not recorded, and why |
//! | `/episode/safety` | JSON | when it acts | what the safety filter limited or stopped, and why |
//!
//! The attachment `settings.toml` contains the resolved settings; arm description and calibration are attached where given.
//! The metadata `visuomotor` contain the format version. Log time is the run's monotonic clock \[ns\]; publish time of an
//! image is its capture time.
//!
//! # What is promised
//! - A file named `NAME.mcap` is complete and on the disk; until then it is `NAME.mcap.partial`.
//! - A process killed at any moment loses at most the policy step being written. A power cut loses at most
//!   [`WriterOptions::sync_every_steps`] steps, if the disk honors syncs.
//! - A cut-off or damaged file is read up to its last chunk with a correct checksum, and the reader reports what is lost.
//! - A failed write is reported once and never stops control; flushed data stay readable.
//!
//! Data sets are edited by [`merge`], [`split`], [`delete`] and [`relabel`], which write new folders.
//!
//! Refused: recording into a missing, unwritable or full folder, over an existing recording, and reading another
//! format version.

mod assembly;
pub mod cdr;
mod contents;
mod dataset;
mod edit;
mod error;
mod events;
pub mod jpeg;
pub mod messages;
mod options;
mod picture;
mod pictures;
pub mod png;
mod reader;
mod recorded;
mod recorder;
mod recovery;
#[cfg(test)]
mod rewritten;
mod scan;
pub mod schemas;
mod slow;
mod storage;
mod trim;
mod verify;
mod writer;

pub use contents::Contents;
pub use dataset::{dataset_digest, list_episodes, list_partial};
pub use edit::{Edit, EditOptions, EditReport, EpisodeChange, Placement, Written, delete, merge, relabel, split};
pub use error::RecordingError;
pub use events::{Gap, Note};
pub use jpeg::Decoded;
pub use options::{Attachment, WriterOptions};
pub use picture::{JpegMaker, RecordedImage};
pub use pictures::Pictures;
pub use reader::{parse_episode, read_episode, read_episode_with};
pub use recorded::{ReadOptions, RecordedEpisode, RecordedStep};
pub use recorder::{Recorder, RecorderState};
pub use recovery::{Recovered, finish_partial, recover};
#[cfg(feature = "fault-controls")]
pub use slow::slow_down;
pub use storage::{require_room, survive_file_size_limit};
pub use trim::trim;
pub use verify::{Gravity, Remark, Verdict, verify};
pub use writer::EpisodeWriter;

/// Name of the list, in a result's folder, of episodes that were left out and why.
pub const LEFT_OUT: &str = "left_out.json";

/// Version of the format; a reader accepts only its own version.
pub const FORMAT_VERSION: u32 = 1;

/// Name of the MCAP metadata record that identifies the file.
pub const METADATA_NAME: &str = "visuomotor";

/// Name of the attachment with the resolved settings of the run.
pub const SETTINGS_ATTACHMENT: &str = "settings.toml";
