//! Video clips to learn from, wherever they come from: [`open`] takes a folder or file and recognizes what it is.
//!
//! | layout | what is found | frames | default fit |
//! |---|---|---|---|
//! | `ego4d` | `manifest.csv` with `path,len` or `directory,num_frames` (Ego4D as R3M and VIP prepared it) | `{path}{index:06}.jpg` | crop |
//! | `frames` | folders of numbered images, or one (VIP's own layout) | `0.png`, `000000.jpg`, `frame_7.jpeg` | crop |
//! | `videos` | `.mp4`, `.m4v`, `.mov`, `.webm`, `.mkv`, `.avi` | all of the first video stream, by ffmpeg | crop |
//! | `episodes` | our recordings, `.mcap` | one per policy step | squash |
//! | `bridge` | Bridge's raw trajectories, folders that hold `images0` | `images0/im_0.jpg` | squash |
//! | `lerobot` | `meta/info.json` of LeRobot v3.0, any robot | one per row | squash |
//!
//! Fit: what people filmed is cropped to its central square and resized (R3M, VIP and ICVF resize the shorter side and crop
//! the center, which shows the same); robot data are squashed, as Bridge is and as policies see them
//! ([`policy_image`](crate::encoder::policy_image); the resizing is its own, bit for bit Pillow's). A fit can be asked for
//! ([`Opening::fit`]).
//!
//! # What is promised
//! - Every layout says file, place, found and expected of what it refuses; what it leaves out (empty clips, clips named twice)
//!   it says in [`Opened::remarks`].
//! - Paths in a manifest are a stranger's: they must stay in the manifest's folder, or in [`Opening::root`], which only
//!   the caller names. Absolute paths may lie there too; links are followed.
//! - Decoded frames take at most [`Cache::bytes`]. Where all fit they are decoded once, when the set is opened; else those
//!   not used for longest make room. Recordings and videos are decoded clip by clip, so that each clip must fit the cache.
//! - A damaged image is an error that names the file: at once where all fit, else when it is asked for.

mod bridge;
mod csv;
mod ego4d;
mod episodes;
mod frames;
#[cfg(feature = "exchange")]
mod lerobot;
mod natural;
mod opening;
mod picture;
mod recent;
mod source;
mod store;
#[cfg(feature = "exchange")]
mod videos;
mod views;
mod walk;

use std::borrow::Cow;

use visuomotor_core::config::digest;

pub use opening::{Cache, Camera, Fit, Layout, Opened, Opening, open, open_with};
pub use views::{Longer, Part, at_least, split};
pub(super) use walk::walk;

/// Digest of which clips there are and how long they are.
pub fn names_digest(clips: &dyn Clips) -> String {
    let list: String = (0..clips.len()).map(|clip| format!("{} {}\n", clips.name(clip), clips.frames(clip))).collect();
    digest(list.as_bytes())
}

/// A set of clips whose frames are numbered from 0.
pub trait Clips: Sync {
    /// Number of clips.
    fn len(&self) -> usize;

    /// Is there none?
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of frames of a clip, at least 1.
    fn frames(&self, clip: usize) -> usize;

    /// Where a clip came from, for messages.
    fn name(&self, clip: usize) -> &str;

    /// Side of the frames \[pixels\].
    fn size(&self) -> u32;

    /// One frame, shape (size, size, 3), RGB.
    fn frame(&self, clip: usize, index: usize) -> anyhow::Result<Cow<'_, [u8]>>;
}
