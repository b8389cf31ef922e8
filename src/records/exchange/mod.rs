//! Exchange of episodes with other formats: LeRobot v3.0, robomimic, Bridge's raw folders.
//!
//! Start reading at [`Selection`] (the episodes, and what they share), then [`export_lerobot`], [`export_robomimic`],
//! [`export_bridge`], [`import_lerobot`] and [`import_bridge`]; [`LerobotFrames`] and [`VideoReader`] return images only.
//! `docs/exchange.md` lists what each format cannot represent.
//!
//! # What is promised
//! - Output is called `NAME.partial` until it is complete; nothing that exists is overwritten.
//! - An import of an export has the same states and actions to 32-bit floats, and the same images: the identical JPEG files
//!   where the format stores them, within the codec's loss where it stores a video.
//! - Data that a source lacks are not filled in silently: an imported episode's settings list under `[import]` which numbers
//!   were filled in and how, including stamps that were not measured.
//! - Untrusted files can at most be refused: pickles execute nothing, names and paths in them select no file outside the
//!   source, sizes are checked before memory is allocated.

mod arrived;
mod batch;
mod bridge;
mod error;
mod ffmpeg;
mod left_out;
mod lerobot;
mod meaning;
mod robomimic;
mod selection;
mod statistics;
mod task;
mod write;

pub use arrived::{ImportOptions, Imported};
pub use bridge::{export_bridge, import_bridge};
pub use error::ExchangeError;
pub use ffmpeg::{VideoCodec, VideoReader, find_ffmpeg};
pub use left_out::LeftOut;
pub use lerobot::{LerobotExport, LerobotFrames, LerobotPictures, export_lerobot, import_lerobot};
pub use meaning::{ActionKind, Column, Columns, Frame, GripperForm, RotationForm, Scale, Statements};
pub use robomimic::export_robomimic;
pub use selection::{SelectedEpisode, Selection};
