//! Reads one image file and resizes it to a frame.

use std::path::Path;

use anyhow::{Context, anyhow, bail};

use super::Fit;
use crate::encoder::policy_image;
use visuomotor_core::observation::Image;
use visuomotor_core::time::Timestamp;
use visuomotor_core::untrusted;
use visuomotor_records::recording::{jpeg, png};

/// RGB, (height, width, 3).
pub(super) struct Picture {
    pub width: u32,
    pub height: u32,
    pub pixels: Vec<u8>,
}

/// The image in a JPEG or PNG file.
pub(super) fn read(path: &Path) -> anyhow::Result<Picture> {
    let fail = || format!("{}: cannot be read; restore the frame, or leave its clip out", path.display());
    let bytes = untrusted::read(path, untrusted::LARGEST_PICTURE).with_context(fail)?;
    decode(&bytes).map_err(|found| anyhow!("{}: {found}; restore the frame, or leave its clip out", path.display()))
}

fn decode(bytes: &[u8]) -> Result<Picture, String> {
    if bytes.starts_with(b"\x89PNG") {
        let jpeg::Decoded { width, height, pixels } = png::decode(bytes)?;
        return Ok(Picture { width, height, pixels });
    }
    if !bytes.starts_with(b"\xff\xd8") {
        return Err("neither a JPEG nor a PNG file".into());
    }
    // The decoder fills missing parts with gray. Image data contain no marker bytes, so a file without an end marker after
    // its last scan was cut off.
    let last = |marker: [u8; 2]| bytes.windows(2).rposition(|pair| pair == marker);
    if last([0xff, 0xd9]) < last([0xff, 0xda]) {
        return Err("the JPEG file is cut off".into());
    }
    let jpeg::Decoded { width, height, pixels } = jpeg::decode(bytes, true)?;
    Ok(Picture { width, height, pixels })
}

impl Picture {
    /// As a frame: (size, size, 3).
    pub fn fitted(self, size: u32, fit: Fit) -> anyhow::Result<Vec<u8>> {
        let Picture { width, height, pixels } = match fit {
            Fit::Squash => self,
            Fit::Crop => self.central_square(),
        };
        if (width, height) == (size, size) && pixels.len() == size as usize * size as usize * 3 {
            return Ok(pixels);
        }
        let camera = "clip".into();
        let image = Image { camera, width, height, pixels: pixels.into(), captured_at: Timestamp::ZERO, sequence: 0 };
        match policy_image(&image, size) {
            Ok(image) => Ok(image.pixels.to_vec()),
            Err(error) => bail!("{error}"),
        }
    }

    fn central_square(self) -> Self {
        let side = self.width.min(self.height);
        if self.width == self.height || side == 0 {
            return self;
        }
        // torchvision's center crop rounds half to even; half a pixel does not matter here.
        let (x, y) = ((self.width - side) as usize / 2, (self.height - side) as usize / 2);
        let stride = self.width as usize * 3;
        let rows = self.pixels.chunks_exact(stride).skip(y).take(side as usize);
        let pixels = rows.flat_map(|row| &row[x * 3..(x + side as usize) * 3]).copied().collect();
        Self { width: side, height: side, pixels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 6 x 2: two columns each of red, green, blue.
    fn flag() -> Picture {
        let row = [[255, 0, 0], [255, 0, 0], [0, 255, 0], [0, 255, 0], [0, 0, 255], [0, 0, 255u8]].concat();
        Picture { width: 6, height: 2, pixels: [row.clone(), row].concat() }
    }

    #[test]
    fn a_crop_shows_the_middle_and_a_squash_everything() {
        let green = flag().fitted(2, Fit::Crop).unwrap();
        assert_eq!(green, [0, 255, 0].repeat(4));
        let all = flag().fitted(3, Fit::Squash).unwrap();
        assert!(all[0] > 150 && all[4] > 150 && all[8] > 150, "{all:?}");
        let upright = Picture { width: 1, height: 3, pixels: vec![1, 1, 1, 9, 9, 9, 2, 2, 2] };
        assert_eq!(upright.fitted(1, Fit::Crop).unwrap(), [9, 9, 9]);
    }

    #[test]
    fn a_file_that_is_not_an_image_is_refused() {
        assert!(decode(b"GIF89a").err().unwrap().contains("neither"));
        assert!(decode(b"\xff\xd8\xff\xda\x00\x02").err().unwrap().contains("cut off"));
        assert!(decode(b"\xff\xd8\xff\xd9").is_err());
        assert!(Picture { width: 2, height: 2, pixels: vec![0; 3] }.fitted(4, Fit::Squash).is_err());
    }
}
