//! Video clips from many sources: [`open`] detects the layout of a folder or file.
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
//! Fit: videos filmed by people are cropped to their central square and resized (equivalent to R3M, VIP and ICVF, which
//! resize the shorter side and crop the center). Robot data are squashed, like Bridge and like the policies' images
//! ([`policy_image`](crate::encoder::policy_image), which resizes bit for bit as Pillow). [`Opening::fit`] sets another fit.
//!
//! # What is promised
//! - Every error names file, place, what was found and what was expected; what is left out (empty clips, clips named twice)
//!   is listed in [`Opened::remarks`].
//! - Paths in a manifest are untrusted: they must stay in the manifest's folder, or in [`Opening::root`], which only the
//!   caller sets. Absolute paths may be there too; links are followed.
//! - Decoded frames take at most [`Cache::bytes`]. If all fit they are decoded once, when the set is opened; otherwise the
//!   least recently used are dropped. Recordings and videos are decoded clip by clip, so each clip must fit the cache.
//! - A damaged image is an error that names the file: on opening if all fit, otherwise when it is read.

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

/// Digest of the clips and their lengths.
pub fn names_digest(clips: &dyn Clips) -> String {
    let list: String = (0..clips.len()).map(|clip| format!("{} {}\n", clips.name(clip), clips.frames(clip))).collect();
    digest(list.as_bytes())
}

/// A set of clips whose frames are numbered from 0.
pub trait Clips: Sync {
    /// Number of clips.
    fn len(&self) -> usize;

    /// Is it empty?
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
