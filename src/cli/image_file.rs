//! Reads image files: goal images and images to embed.

use std::path::Path;

use anyhow::{Context, anyhow, bail};

use crate::observation::Image;
use crate::recording::{jpeg, png};
use crate::time::Timestamp;
use crate::untrusted;

/// Reads a JPEG or PNG file as RGB; the format is detected from the content, not the name.
pub fn read_image(file: &Path) -> anyhow::Result<Image> {
    let bytes = untrusted::read(file, untrusted::LARGEST_PICTURE)
        .with_context(|| format!("{}: cannot be read; check the path and the permissions", file.display()))?;
    let jpeg::Decoded { width, height, pixels } = if bytes.starts_with(&[0xff, 0xd8]) {
        jpeg::decode(&bytes, false)
    } else if bytes.starts_with(b"\x89PNG") {
        png::decode(&bytes)
    } else {
        bail!("{}: neither a JPEG nor a PNG file; convert it to one of them", file.display());
    }
    .map_err(|found| anyhow!("{}: {found}; make it again, or leave it out", file.display()))?;
    let camera = file.display().to_string().into();
    Ok(Image { camera, width, height, pixels: pixels.into(), captured_at: Timestamp::ZERO, sequence: 0 })
}
