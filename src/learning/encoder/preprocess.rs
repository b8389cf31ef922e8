//! From a camera image to what each network was trained on.
//!
//! | encoder | steps |
//! |---|---|
//! | vip, r3m, mvp | /255; unless 224x224: shorter side to 256 (antialiased), center crop 224; ImageNet mean, deviation |
//! | vptr | squash to 128x128 ([`policy_image`]) unless it is; bilinear to 224x224; /255 |
//! | small | squash to 128x128 ([`policy_image`]) unless it is; /255 |
//!
//! "Squash": the aspect ratio is not kept (640x480 becomes square), as in the Bridge data and on its robots.
//! The VIP steps are those of facebookresearch/vip (`model_vip.py`), except that the scale is an argument: the original
//! divides by 255 only if some pixel of the batch exceeds 2, so it takes a dark image for a scaled one. Its first public
//! version also resized 224x224 images, a zoom by 8/7 that `zoom` restores; we do not know which version the released weights
//! were trained with.
//! What is refused: an image without pixels, or whose buffer is not height * width * 3 bytes.

use std::sync::Arc;

use tch::{Kind, TchError, Tensor};

use super::EncoderKind;
use super::squash::squash;
use visuomotor_core::observation::Image;

/// Side of the image that policies see and demonstrations are scored on \[pixels\].
pub const POLICY_SIZE: u32 = 128;
/// What VIP resizes the shorter side to before cropping \[pixels\].
pub(super) const VIP_SHORTER_SIDE: i64 = 256;
/// Side of the image that VIP's and V-PTR's networks see \[pixels\].
pub(super) const LARGE_SIZE: i64 = 224;
/// ImageNet's mean and standard deviation of red, green, blue in 0..1, as torchvision's models expect them.
pub(super) const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
pub(super) const IMAGENET_DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];
/// Largest value of a camera's pixel.
const CAMERA_SCALE: f64 = 255.0;

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// It has no pixels, or more or fewer bytes than its size requires.
    #[error(
        "image of camera `{camera}`: {bytes} bytes were found for {width}x{height} pixels, {expected} are expected \
         (u8 RGB, at least 1x1); convert it to RGB and check its size"
    )]
    Buffer {
        /// Its camera.
        camera: Arc<str>,
        /// Its width \[pixels\].
        width: u32,
        /// Its height \[pixels\].
        height: u32,
        /// Bytes it has.
        bytes: usize,
        /// Bytes it should have.
        expected: u64,
    },
    /// It could not be resized.
    #[error("image of camera `{camera}` could not be resized to {size}x{size}: {message}")]
    Resize {
        /// Its camera.
        camera: Arc<str>,
        /// Side asked for \[pixels\].
        size: u32,
        /// The resizer's error.
        message: String,
    },
}

fn check(image: &Image) -> Result<(), ImageError> {
    let Image { camera, width, height, pixels, .. } = image;
    let expected = u64::from(*width).saturating_mul(u64::from(*height)).saturating_mul(3);
    if expected == 0 || expected != pixels.len() as u64 {
        let (camera, bytes) = (camera.clone(), pixels.len());
        return Err(ImageError::Buffer { camera, width: *width, height: *height, bytes, expected });
    }
    Ok(())
}

/// The image squashed to `size` x `size` with Pillow's antialiasing `BILINEAR`, bit for bit; stamps are kept.
///
/// Policies and the small encoder take this image, on the robot and in training. An image of that size is returned unchanged.
pub fn policy_image(image: &Image, size: u32) -> Result<Image, ImageError> {
    check(image)?;
    if (image.width, image.height) == (size, size) {
        return Ok(image.clone());
    }
    if size == 0 {
        let message = "the side must be at least 1".into();
        return Err(ImageError::Resize { camera: image.camera.clone(), size, message });
    }
    // u32 fits usize on every machine libtorch runs on.
    let pixels = squash(&image.pixels, image.width as usize, image.height as usize, size as usize);
    Ok(Image { width: size, height: size, pixels: pixels.into(), ..image.clone() })
}

/// The network input for `kind`, shape (1, 3, S, S), f32. `zoom` applies to [`EncoderKind::Vip`] only.
pub fn prepare(kind: EncoderKind, image: &Image, zoom: bool) -> Result<Tensor, ImageError> {
    check(image)?;
    let size = if kind == EncoderKind::Small { POLICY_SIZE } else { LARGE_SIZE as u32 };
    let fail = |error: TchError| ImageError::Resize {
        camera: image.camera.clone(),
        size,
        message: error.to_string().lines().next().unwrap_or_default().to_string(),
    };
    let squashed;
    let image = if kind.sees_policy_images() {
        squashed = policy_image(image, POLICY_SIZE)?;
        &squashed
    } else {
        image
    };
    planes(image).and_then(|x| network_input(kind, &x, CAMERA_SCALE, zoom)).map_err(fail)
}

/// The network input for `kind` from images (B, 3, H, W) with values from 0 to `scale`: (B, 3, S, S), f32. For kinds that
/// [take policy images](EncoderKind::sees_policy_images) the images must be squashed already. `zoom` applies to
/// [`EncoderKind::Vip`] only.
pub fn network_input(kind: EncoderKind, images: &Tensor, scale: f64, zoom: bool) -> Result<Tensor, TchError> {
    match kind {
        EncoderKind::Vip => vip(images, scale, zoom),
        EncoderKind::R3m | EncoderKind::Mvp => vip(images, scale, false),
        EncoderKind::Vptr => vptr(images, scale),
        EncoderKind::Small => small(images, scale),
    }
}

/// The image as a tensor, shape (1, 3, H, W), u8.
pub fn planes(image: &Image) -> Result<Tensor, TchError> {
    let shape = [1, i64::from(image.height), i64::from(image.width), 3];
    let pixels = image.pixels.len() as i64;
    if shape.iter().product::<i64>() != pixels {
        return Err(TchError::Shape(format!("{pixels} bytes for an image of shape {shape:?}")));
    }
    Tensor::f_from_data_size(&image.pixels, &shape, Kind::Uint8)?.f_permute([0, 3, 1, 2])
}

/// VIP's preprocessing of images (B, 3, H, W) whose values reach from 0 to `scale`: (B, 3, 224, 224), f32.
///
/// With `zoom`, 224x224 images are resized to 256 and cropped too.
pub fn vip(images: &Tensor, scale: f64, zoom: bool) -> Result<Tensor, TchError> {
    let (_, _, height, width) = images.size4()?;
    let mut x = images.f_to_kind(Kind::Float)?.f_div_scalar(scale)?;
    if zoom || (height, width) != (LARGE_SIZE, LARGE_SIZE) {
        // torchvision: the longer side is cut to an integer, the crop's corner rounded half to even.
        let shorter = height.min(width).max(1);
        let side = |length: i64| (VIP_SHORTER_SIDE * length / shorter).max(1);
        let size = [side(height), side(width)];
        x = x.f_internal_upsample_bilinear2d_aa(&size[..], false, None, None)?;
        let corner = |length: i64| ((length - LARGE_SIZE) as f64 / 2.0).round_ties_even() as i64;
        x = x.f_narrow(2, corner(size[0]), LARGE_SIZE)?.f_narrow(3, corner(size[1]), LARGE_SIZE)?;
    }
    let constant = |values: &[f32; 3]| Tensor::f_from_slice(values)?.f_reshape([1, 3, 1, 1])?.f_to_device(x.device());
    x.f_sub(&constant(&IMAGENET_MEAN)?)?.f_div(&constant(&IMAGENET_DEVIATION)?)
}

/// V-PTR's preprocessing of images (B, 3, H, W) whose values reach from 0 to `scale`: bilinear (half-pixel centers, no
/// antialiasing: 128 -> 224 enlarges) to (B, 3, 224, 224), f32 in 0..1.
pub fn vptr(images: &Tensor, scale: f64) -> Result<Tensor, TchError> {
    let x = small(images, scale)?;
    x.f_upsample_bilinear2d([LARGE_SIZE, LARGE_SIZE], false, None, None)
}

/// The small encoder's: (B, 3, 128, 128) whose values reach from 0 to `scale`, to f32 in 0..1.
pub fn small(images: &Tensor, scale: f64) -> Result<Tensor, TchError> {
    images.f_to_kind(Kind::Float)?.f_div_scalar(scale)
}
