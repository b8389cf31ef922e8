//! Images in a recording: JPEG encoding, decoding and scaling.

use std::sync::Arc;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::{RecordingError, jpeg};
use visuomotor_core::observation::Image;
use visuomotor_core::time::Timestamp;

/// One camera image of a recording, still as JPEG.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedImage {
    /// Name of the camera that took it.
    pub camera: Arc<str>,
    /// When the sensor took it.
    pub captured_at: Timestamp,
    /// Counts up by one per image of this camera.
    pub sequence: u64,
    /// The camera's size before scaling for the recording: width, height \[pixels\].
    pub camera_size: (u32, u32),
    /// The JPEG file.
    pub jpeg: Vec<u8>,
}

impl RecordedImage {
    /// Encodes the image as JPEG of this quality (1..=100), without chroma subsampling.
    pub fn encode(image: &Image, quality: u8) -> Result<Self, RecordingError> {
        JpegMaker::new(quality, None).recorded(image)
    }

    /// Decodes the image: u8, (height, width, 3), RGB, at the recorded size.
    pub fn decode(&self) -> Result<Image, RecordingError> {
        let unfit = |found: String| RecordingError::Image {
            camera: self.camera.to_string(),
            width: self.camera_size.0,
            height: self.camera_size.1,
            found,
        };
        let jpeg::Decoded { width, height, pixels } = jpeg::decode(&self.jpeg, false).map_err(unfit)?;
        Ok(Image {
            camera: self.camera.clone(),
            width,
            height,
            pixels: pixels.into(),
            captured_at: self.captured_at,
            sequence: self.sequence,
        })
    }
}

/// Encodes images as JPEG, keeping the scaler's tables between images.
pub struct JpegMaker {
    /// 1..=100.
    quality: u8,
    /// Size to scale to: width, height \[pixels\]; `None` keeps the camera's.
    size: Option<(u32, u32)>,
    resizer: Resizer,
}

impl JpegMaker {
    /// With this quality, scaling to this size: width, height \[pixels\]; `None` keeps the camera's.
    pub fn new(quality: u8, size: Option<(u32, u32)>) -> Self {
        Self { quality, size, resizer: Resizer::new() }
    }

    /// Encodes `image` as it is recorded.
    pub fn recorded(&mut self, image: &Image) -> Result<RecordedImage, RecordingError> {
        Ok(RecordedImage {
            camera: image.camera.clone(),
            captured_at: image.captured_at,
            sequence: image.sequence,
            camera_size: (image.width, image.height),
            jpeg: self.encode(image)?,
        })
    }

    /// The JPEG of `image`, without chroma subsampling: the encoder needs the colors of small objects.
    pub fn encode(&mut self, image: &Image) -> Result<Vec<u8>, RecordingError> {
        let unfit = |found: String| RecordingError::Image {
            camera: image.camera.to_string(),
            width: image.width,
            height: image.height,
            found,
        };
        let expected = image.width as usize * image.height as usize * 3;
        if expected == 0 || image.pixels.len() != expected {
            return Err(unfit(format!("{} bytes of pixels, expected {expected}", image.pixels.len())));
        }
        match self.size {
            Some((width, height)) if (width, height) != (image.width, image.height) => {
                // One pixel type only: a resizer for all of them is a fifth of the whole program's compile time.
                let from = TypedImageRef::<U8x3>::from_buffer(image.width, image.height, &image.pixels)
                    .map_err(|error| unfit(error.to_string()))?;
                let mut scaled = vec![0; width as usize * height as usize * 3];
                let mut to = TypedImage::<U8x3>::from_buffer(width, height, &mut scaled)
                    .map_err(|error| unfit(error.to_string()))?;
                // Antialiased, as PIL and torchvision scale; plain bilinear would lose thin objects.
                let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
                self.resizer.resize_typed(&from, &mut to, &options).map_err(|error| unfit(error.to_string()))?;
                compress(&scaled, width, height, self.quality).map_err(unfit)
            }
            _ => compress(&image.pixels, image.width, image.height, self.quality).map_err(unfit),
        }
    }
}

impl std::fmt::Debug for JpegMaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JpegMaker").field("quality", &self.quality).field("size", &self.size).finish_non_exhaustive()
    }
}

fn compress(pixels: &[u8], width: u32, height: u32, quality: u8) -> Result<Vec<u8>, String> {
    let too_large = |_| "JPEG holds at most 65535 pixels a side".to_string();
    let (width, height) = (u16::try_from(width).map_err(too_large)?, u16::try_from(height).map_err(too_large)?);
    let mut jpeg = Vec::with_capacity(pixels.len() / 4);
    let mut encoder = Encoder::new(&mut jpeg, quality);
    encoder.set_sampling_factor(SamplingFactor::R_4_4_4);
    encoder.encode(pixels, width, height, ColorType::Rgb).map_err(|error| error.to_string())?;
    Ok(jpeg)
}
