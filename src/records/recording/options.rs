//! Options of recording.

use std::time::SystemTime;

use super::RecordingError;
use visuomotor_core::time::Timestamp;

/// A file recorded with an episode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// File name (`robot.toml`).
    pub name: String,
    /// Media type (`application/toml`).
    pub media_type: String,
    /// The file.
    pub data: Vec<u8>,
}

/// Options of recording an episode.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// JPEG quality, 1..=100; color is never subsampled.
    pub jpeg_quality: u8,
    /// Scale images to this width and height \[pixels\] before compressing (antialiased bilinear); `None` records the
    /// camera's size.
    pub record_size: Option<(u32, u32)>,
    /// Wait for the disk (`fdatasync`) every this many policy steps; 0 waits only at the end. Limits what a power cut may
    /// lose; a killed process loses at most one step in any case.
    pub sync_every_steps: u64,
    /// Refuse to start an episode with less free space on the disk \[bytes\].
    pub min_free_bytes: u64,
    /// Space reserved on the disk before the episode starts \[bytes\], so that the disk cannot fill up meanwhile; the unused
    /// rest is freed at the end. 0 reserves none.
    pub reserve_bytes: u64,
    /// With less free space on the disk than this \[bytes\] no further step is recorded: the episode is marked short, and the
    /// rest of the system keeps some space.
    pub floor_bytes: u64,
    /// Files that belong to the episode (arm description, calibration).
    pub attachments: Vec<Attachment>,
    /// Record the policy's embeddings.
    pub keep_embeddings: bool,
    /// Log time of the episode's start; steps and ticks have their own.
    pub started_at: Timestamp,
    /// Wall-clock time of the start, an annotation only.
    pub wall_clock: Option<SystemTime>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            jpeg_quality: 92,
            record_size: None,
            sync_every_steps: 25,
            min_free_bytes: 64 << 20,
            reserve_bytes: 0,
            floor_bytes: 32 << 20,
            attachments: Vec::new(),
            keep_embeddings: true,
            started_at: Timestamp::ZERO,
            wall_clock: None,
        }
    }
}

impl WriterOptions {
    pub(super) fn check(&self) -> Result<(), RecordingError> {
        if !(1..=100).contains(&self.jpeg_quality) {
            return Err(RecordingError::Unfit {
                what: "jpeg_quality",
                found: self.jpeg_quality.to_string(),
                expected: "1 to 100",
            });
        }
        match self.record_size {
            Some((width, height)) if !((1..=65535).contains(&width) && (1..=65535).contains(&height)) => {
                Err(RecordingError::Unfit {
                    what: "record_size",
                    found: format!("{width}x{height}"),
                    expected: "1 to 65535 pixels a side",
                })
            }
            _ => Ok(()),
        }
    }
}
