//! Episodes to and from the formats of others: LeRobot v3.0, robomimic, Bridge's raw folders.
//!
//! Start reading at [`Selection`] (which episodes, and what they share), then [`export_lerobot`], [`export_robomimic`],
//! [`export_bridge`], [`import_lerobot`] and [`import_bridge`]; [`LerobotFrames`] and [`VideoReader`] give images alone.
//! What each format cannot hold is listed in
//! `docs/exchange.md`.
//!
//! # What is promised
//! - What is written is called `NAME.partial` until it is whole; nothing that exists is written over.
//! - An import of an export has the same states and actions to 32-bit floats, and the same images: the very JPEG files
//!   where the format holds them, within the codec's loss where it holds a video.
//! - What a source lacks is not made up silently: an imported episode's settings say under `[import]` which numbers were
//!   filled in and how. Stamps that were not measured are among them.
//! - Files of strangers cannot do more than be refused: pickles execute nothing, names and paths in them choose no file
//!   outside the source, sizes are checked before memory is taken.

mod arrived;
mod bridge;
mod error;
mod ffmpeg;
mod lerobot;
mod robomimic;
mod selection;
mod staging;
mod statistics;

pub use arrived::{ImportOptions, Imported};
pub use bridge::{export_bridge, import_bridge};
pub use error::ExchangeError;
pub use ffmpeg::{VideoCodec, VideoReader, find_ffmpeg};
pub use lerobot::{LerobotExport, LerobotFrames, LerobotPictures, export_lerobot, import_lerobot};
pub use robomimic::export_robomimic;
pub use selection::{SelectedEpisode, Selection};
