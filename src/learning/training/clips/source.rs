//! The interface of a layout to the store that holds its frames.

use std::ops::Range;

use super::picture::Picture;

/// A clip on the disk.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    /// Where it came from, for messages.
    pub name: String,
    /// Number of frames, at least 1; `None` where it is known only after decoding.
    pub frames: Option<usize>,
}

/// Receives frames as they are decoded.
pub(super) type Take<'a> = dyn FnMut(Picture) -> anyhow::Result<()> + 'a;

/// Clips of one layout.
pub(super) trait Source: Send + Sync {
    /// The clips, in order.
    fn clips(&self) -> &[Listed];

    /// Does decoding one frame require decoding its whole clip?
    fn is_sequential(&self) -> bool;

    /// Decodes these frames of a clip in order; the range may end after the clip. Errors name the file.
    fn decode(&self, clip: usize, frames: Range<usize>, take: &mut Take<'_>) -> anyhow::Result<()>;
}
