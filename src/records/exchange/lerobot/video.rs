//! Images of a video by their time: row and image belong together by time stamp, not by number.

use std::path::{Path, PathBuf};

use crate::exchange::ExchangeError;
use crate::exchange::error::source_error;
use crate::exchange::ffmpeg::{ShownImage, VideoReader};
use crate::recording::Decoded;

/// Slack for time stamps in 32-bit floats \[s\].
const SLACK: f64 = 1e-3;

/// A video read forward, image by image.
pub(super) struct TimedVideo {
    path: PathBuf,
    reader: VideoReader,
    /// The last image shown at or before the time that was last asked for, and the one after it.
    around: [Option<ShownImage>; 2],
    /// Largest distance allowed between a row and its image \[s\].
    tolerance: f64,
    /// Width, height \[pixels\].
    size: (u64, u64),
}

/// An image, and how far its time is from its row's \[s\].
pub(super) struct Paired {
    pub image: Decoded,
    pub offset: f64,
}

impl TimedVideo {
    /// Opens a video to be read from `seconds` on, for rows at this rate \[Hz\].
    pub fn open(ffmpeg: &Path, path: &Path, seconds: f64, rate: f64, size: (u64, u64)) -> Result<Self, ExchangeError> {
        let tolerance = 0.5 / rate + SLACK.min(0.1 / rate);
        // Early enough for the image before the first row.
        let reader = VideoReader::open_at(ffmpeg, path, "mp4", (seconds - 2.0 * tolerance).max(0.0))?;
        Ok(Self { path: path.into(), reader, around: [None, None], tolerance, size })
    }

    /// Can it still show this time? It is read forward only.
    pub fn reaches(&self, seconds: f64) -> bool {
        self.around[0].as_ref().is_none_or(|image| image.seconds <= seconds + self.tolerance)
    }

    /// The image nearest to a time \[s\], within half a row.
    pub fn at(&mut self, seconds: f64) -> Result<Paired, ExchangeError> {
        let refuse = |found: String| {
            let expected = format!("an image within {:.3} s of the row at {seconds:.3} s", self.tolerance);
            let fix = "its video and its rows do not belong together: leave the episode out, or make the video again at the rows' \
                       rate";
            source_error(&self.path, "video", found, expected, fix)
        };
        while self.around[1].as_ref().is_none_or(|after| after.seconds <= seconds) {
            let Some(image) = self.reader.read_shown()? else { break };
            let size = (u64::from(image.image.width), u64::from(image.image.height));
            if size != self.size {
                let fix = "info.json and its video differ: correct info.json, or fetch the data set again";
                let expected = format!("{}x{}, as info.json says", self.size.0, self.size.1);
                return Err(source_error(&self.path, "video", format!("{}x{}", size.0, size.1), expected, fix));
            }
            if let Some(before) = self.around[1].replace(image) {
                self.around[0] = Some(before);
            }
        }
        if self.around[1].as_ref().is_some_and(|after| after.seconds <= seconds) {
            // The video ended at or before this time.
            self.around[0] = self.around[1].take();
        }
        let distance = |image: &&ShownImage| (image.seconds - seconds).abs();
        let nearest = self.around.iter().flatten().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        match nearest {
            None => Err(refuse(format!("no image from {seconds:.3} s on{}", self.reader.messages()))),
            Some(image) if distance(&image) > self.tolerance => {
                Err(refuse(format!("the nearest image at {:.3} s{}", image.seconds, self.reader.messages())))
            }
            Some(image) => Ok(Paired { image: image.image.clone(), offset: distance(&image) }),
        }
    }
}
