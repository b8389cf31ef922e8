//! Reads and writes PNG.

use std::io::Cursor;

use visuomotor_core::observation::Image;

use super::jpeg::{Decoded, check_size};

/// Encodes the image as a PNG file.
pub fn encode(image: &Image) -> std::io::Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, image.width, image.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&image.pixels)?;
    Ok(file)
}

/// Decodes a PNG file; gray and palettes become RGB, transparency is dropped. Errors never quote the file's content.
pub fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    // Compressed texts and profiles expand a thousandfold, and are never used.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let unfit = |error| match error {
        png::DecodingError::LimitsExceeded => "a PNG that takes too much memory",
        _ => "not a readable PNG",
    };
    let mut reader = decoder.read_info().map_err(unfit)?;
    let (width, height) = reader.info().size();
    check_size(width, height)?;
    let size = reader.output_buffer_size().ok_or("a PNG too large for the memory")?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(unfit)?;
    pixels.truncate(frame.buffer_size());
    let pixels = match frame.color_type {
        png::ColorType::Rgb => pixels,
        png::ColorType::Rgba => {
            // In place: the largest image that is read takes 128 MiB.
            let count = pixels.len() / 4;
            for pixel in 0..count {
                pixels.copy_within(4 * pixel..4 * pixel + 3, 3 * pixel);
            }
            pixels.truncate(3 * count);
            pixels
        }
        png::ColorType::Grayscale => pixels.iter().flat_map(|v| [*v; 3]).collect(),
        png::ColorType::GrayscaleAlpha => pixels.chunks_exact(2).flat_map(|p| [p[0]; 3]).collect(),
        other => return Err(format!("a PNG of color type {other:?}")),
    };
    Ok(Decoded { width: frame.width, height: frame.height, pixels })
}
