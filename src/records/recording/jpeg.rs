//! Decodes untrusted JPEG files. Errors never quote the file's content.

use std::io::Cursor;

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Most pixels of an image that is read: 8192 x 4096, four times a 4K camera.
pub(crate) const MOST_PIXELS: u64 = 1 << 25;

/// An image from a file or a video, without camera and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Width \[pixels\].
    pub width: u32,
    /// Height \[pixels\].
    pub height: u32,
    /// RGB, (height, width, 3).
    pub pixels: Vec<u8>,
}

/// Decodes a JPEG file. `strict` refuses parts that the decoder would fill with gray.
pub fn decode(bytes: &[u8], strict: bool) -> Result<Decoded, String> {
    if !bytes.starts_with(b"\xff\xd8") {
        return Err("neither a JPEG nor a PNG file".into());
    }
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_strict_mode(strict)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    let unfit = |error| match error {
        DecodeErrors::Unsupported(_) => "a JPEG of a kind that is not read (lossless, arithmetic coding)".to_string(),
        _ => "not a readable JPEG".to_string(),
    };
    decoder.decode_headers().map_err(unfit)?;
    let info = decoder.info().ok_or("a JPEG without a size")?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    check_size(width, height)?;
    let pixels = decoder.decode().map_err(unfit)?;
    if pixels.len() as u64 != u64::from(width) * u64::from(height) * 3 {
        return Err(format!("{} bytes after decoding {width}x{height} RGB", pixels.len()));
    }
    Ok(Decoded { width, height, pixels })
}

/// Checked before memory is allocated: a file of a few bytes can claim any size.
pub(crate) fn check_size(width: u32, height: u32) -> Result<(), String> {
    match u64::from(width) * u64::from(height) <= MOST_PIXELS {
        true => Ok(()),
        false => Err(format!("an image of {width}x{height} pixels, at most {MOST_PIXELS} are read")),
    }
}
