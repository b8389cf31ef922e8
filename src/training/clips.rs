//! Video clips to learn from, wherever they come from.

use std::borrow::Cow;

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
