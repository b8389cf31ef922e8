//! PNG in and out.

use std::io::Cursor;

/// Largest picture read \[pixels a side\].
const LARGEST_SIDE: u32 = 8192;

/// The picture as a PNG file.
#[cfg(feature = "exchange")]
pub(crate) fn encode(image: &crate::observation::Image) -> std::io::Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, image.width, image.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&image.pixels)?;
    Ok(file)
}

/// Width, height and RGB bytes of a PNG file; gray and palettes become RGB, transparency is dropped.
pub(crate) fn decode(bytes: &[u8]) -> Result<(u32, u32, Vec<u8>), String> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|error| format!("not a readable PNG: {error}"))?;
    let (width, height) = reader.info().size();
    if width.max(height) > LARGEST_SIDE {
        return Err(format!("a PNG of {width}x{height} pixels, more than {LARGEST_SIDE} a side"));
    }
    let size = reader.output_buffer_size().ok_or("a PNG too large for the memory")?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(|error| format!("not a readable PNG: {error}"))?;
    pixels.truncate(frame.buffer_size());
    let rgb = match frame.color_type {
        png::ColorType::Rgb => pixels,
        png::ColorType::Rgba => pixels.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect(),
        png::ColorType::Grayscale => pixels.iter().flat_map(|v| [*v; 3]).collect(),
        png::ColorType::GrayscaleAlpha => pixels.chunks_exact(2).flat_map(|p| [p[0]; 3]).collect(),
        other => return Err(format!("a PNG of color type {other:?}")),
    };
    Ok((frame.width, frame.height, rgb))
}
