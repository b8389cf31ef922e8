//! The pixels of an image message as RGB.

use crate::camera::stamps::StampError;
use crate::transport::ros2::messages::sensor::Image as Picture;

/// Most pixels along one side; larger images are refused.
const LARGEST_SIDE: u32 = 8192;

/// Why a message is not an image, or not a new one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// An encoding other than 8-bit color or gray.
    #[error("the encoding is `{0}`, expected rgb8, bgr8 or mono8; publish color images on this topic")]
    Encoding(String),
    /// Not the size of the calibration.
    #[error("the size is {width} x {height}, expected {} x {}; set the camera's profile", .expected.0, .expected.1)]
    Size {
        /// Columns \[pixels\].
        width: u32,
        /// Rows \[pixels\].
        height: u32,
        /// Columns and rows that were expected \[pixels\].
        expected: (u32, u32),
    },
    /// No pixels, or more than 8192 along a side.
    #[error("the size is {width} x {height}, which no camera has; expected 1 to 8192 along each side")]
    Absurd {
        /// Columns \[pixels\].
        width: u32,
        /// Rows \[pixels\].
        height: u32,
    },
    /// A row is declared with fewer bytes than its pixels.
    #[error("a row has {step} bytes, expected at least {expected}; the camera's driver is wrong")]
    Step {
        /// Declared bytes per row \[bytes\].
        step: u32,
        /// Bytes per row that its pixels need \[bytes\].
        expected: u32,
    },
    /// Fewer bytes than rows times step.
    #[error("the image has {bytes} bytes, expected {expected}; it was cut off on its way")]
    Truncated {
        /// Bytes received.
        bytes: usize,
        /// Bytes required.
        expected: usize,
    },
    /// An implausible stamp.
    #[error(transparent)]
    Stamp(#[from] StampError),
}

/// The image's pixels as RGB, row-major from the top left; `size` is the required size (columns, rows).
pub fn rgb(picture: &Picture, size: Option<(u32, u32)>) -> Result<Vec<u8>, PictureError> {
    let (width, height) = (picture.width, picture.height);
    let channels = match picture.encoding.as_str() {
        "rgb8" | "bgr8" => 3,
        "mono8" => 1,
        other => return Err(PictureError::Encoding(other.chars().take(32).collect())),
    };
    if !(1..=LARGEST_SIDE).contains(&width) || !(1..=LARGEST_SIDE).contains(&height) {
        return Err(PictureError::Absurd { width, height });
    }
    if let Some(expected) = size.filter(|size| *size != (width, height)) {
        return Err(PictureError::Size { width, height, expected });
    }
    let expected = width * channels;
    if picture.step < expected {
        return Err(PictureError::Step { step: picture.step, expected });
    }
    let (row, step) = (expected as usize, picture.step as usize);
    // The last row may lack its padding.
    let needed = step * (height as usize - 1) + row;
    if picture.data.len() < needed {
        return Err(PictureError::Truncated { bytes: picture.data.len(), expected: step * height as usize });
    }
    let mut out = Vec::with_capacity(width as usize * height as usize * 3);
    for start in (0..height as usize).map(|y| y * step) {
        let row = &picture.data[start..start + row];
        match picture.encoding.as_str() {
            "rgb8" => out.extend_from_slice(row),
            "bgr8" => out.extend(row.chunks_exact(3).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]])),
            _ => out.extend(row.iter().flat_map(|gray| [*gray; 3])),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(encoding: &str, step: u32, data: &[u8]) -> Picture {
        Picture { width: 2, height: 2, encoding: encoding.into(), step, data: data.to_vec(), ..Picture::default() }
    }

    #[test]
    fn colors_and_padding_become_plain_rgb() {
        let padded = [1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 10, 11, 12];
        assert_eq!(rgb(&picture("rgb8", 7, &padded), None).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(rgb(&picture("bgr8", 7, &padded), None).unwrap(), [3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10]);
        assert_eq!(rgb(&picture("mono8", 2, &[1, 2, 3, 4]), None).unwrap(), [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
    }

    #[test]
    fn what_is_no_picture_says_why() {
        let full = [0; 12];
        assert_eq!(rgb(&picture("16UC1", 6, &full), None), Err(PictureError::Encoding("16UC1".into())));
        assert_eq!(rgb(&picture("rgb8", 5, &full), None), Err(PictureError::Step { step: 5, expected: 6 }));
        assert_eq!(
            rgb(&picture("rgb8", 6, &full[..11]), None),
            Err(PictureError::Truncated { bytes: 11, expected: 12 })
        );
        let size = PictureError::Size { width: 2, height: 2, expected: (640, 480) };
        assert_eq!(rgb(&picture("rgb8", 6, &full), Some((640, 480))), Err(size));
        let huge = Picture { width: u32::MAX, height: 1, ..picture("rgb8", u32::MAX, &full) };
        assert_eq!(rgb(&huge, None), Err(PictureError::Absurd { width: u32::MAX, height: 1 }));
        let far = Picture { height: 8192, step: u32::MAX, ..picture("mono8", 2, &full) };
        assert!(matches!(rgb(&far, None), Err(PictureError::Truncated { .. })));
        assert!(matches!(
            rgb(&Picture { height: 0, ..picture("mono8", 2, &full) }, None),
            Err(PictureError::Absurd { .. })
        ));
    }
}
