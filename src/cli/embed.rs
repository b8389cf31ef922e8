//! `visuomotor embed`: embeddings of images as JSON, their distance to a goal image, and a plot of it.
//!
//! The distance is Euclidean, as VIP's value is its negative: over a demonstration it should fall. Images are JPEG or
//! PNG files, or folders of them in the order of their numbers; EXIF rotation is not applied.
//! Missing files, files that are not images and folders without images are errors that name the file and the fix.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use maud::html;
use serde_json::json;

use super::image_file::read_image;
use crate::chart::{Scale, document, points, tenth};
use crate::encoder::{Encoder, EncoderKind};
use crate::training::diagnostics::rising_share;

/// Images encoded at once; bounds memory use.
const BATCH: usize = 8;

/// Print the embeddings of images, and their distance to a goal image.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  visuomotor embed --encoder vip --weights vip.safetensors frames/ \
                        --goal frames/49.png --plot distance.svg")]
pub struct EmbedArguments {
    /// Encoder: vip, vptr, r3m, mvp or small.
    #[arg(long)]
    pub encoder: EncoderKind,
    /// Its weights, a safetensors file (see `visuomotor convert`).
    #[arg(long)]
    pub weights: PathBuf,
    /// JPEG or PNG files, or folders of them.
    #[arg(required = true)]
    pub images: Vec<PathBuf>,
    /// Image of the finished task; the distance to it is printed.
    #[arg(long)]
    pub goal: Option<PathBuf>,
    /// Draws the distance to the goal (to the last image if none is named) as an SVG image.
    #[arg(long)]
    pub plot: Option<PathBuf>,
}

/// Encodes, prints JSON, draws.
pub fn embed(arguments: &EmbedArguments) -> anyhow::Result<ExitCode> {
    let files = list(&arguments.images)?;
    let encoder = Encoder::load(arguments.encoder, &arguments.weights, super::compute_device())?;
    let mut embeddings = Vec::new();
    for files in files.chunks(BATCH) {
        let images = files.iter().map(|file| read_image(file)).collect::<anyhow::Result<Vec<_>>>()?;
        embeddings.extend(encoder.encode_batch(&images)?);
    }
    let goal = match &arguments.goal {
        Some(file) => Some(encoder.encode(&read_image(file)?)?),
        None if arguments.plot.is_some() => embeddings.last().cloned(),
        None => None,
    };
    let mut distances = Vec::new();
    if let Some(goal) = &goal {
        distances = embeddings.iter().map(|embedding| embedding.distance(goal)).collect::<Result<Vec<_>, _>>()?;
    }
    let first = distances.first().copied().filter(|first| *first > 0.0);
    let images: Vec<_> = (0..files.len())
        .map(|i| {
            let distance = distances.get(i).copied();
            json!({
                "file": files[i],
                "embedding": embeddings[i].values,
                "distance_to_goal": distance,
                "distance_over_first": distance.zip(first).map(|(distance, first)| distance / first),
            })
        })
        .collect();
    let report = json!({
        "encoder": encoder.kind().to_string(),
        "weights_digest": encoder.digest(),
        "dimension": encoder.dimension(),
        "goal": arguments.goal,
        "share_of_steps_away_from_goal": rising_share(&distances),
        "images": images,
    });
    println!("{report}");
    if let Some(plot) = &arguments.plot {
        let title = format!("Distance to the goal, {} encoder, {} images", encoder.kind(), files.len());
        std::fs::write(plot, curve(&title, &distances))
            .with_context(|| format!("{}: the plot cannot be written", plot.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The image files; folders are replaced by their images in numeric order.
fn list(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let unreadable = || format!("{}: the folder cannot be read; check its permissions", path.display());
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).with_context(unreadable)? {
            let file = entry.with_context(unreadable)?.path();
            let kind = file.extension().map(|kind| kind.to_string_lossy().to_lowercase());
            if matches!(kind.as_deref(), Some("jpg" | "jpeg" | "png")) {
                inside.push(file);
            }
        }
        if inside.is_empty() {
            bail!("{}: the folder holds no .jpg, .jpeg or .png files; name a folder of images", path.display());
        }
        inside.sort_by_cached_key(|file| order(file));
        files.extend(inside);
    }
    Ok(files)
}

/// Sorts `frame2.png` before `frame10.png`.
fn order(file: &Path) -> (String, u64, PathBuf) {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let text = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    (text.to_string(), stem[text.len()..].parse().unwrap_or(0), file.to_path_buf())
}

/// SVG plot of the distances over the image number. The right axis is relative to the first distance.
fn curve(title: &str, distances: &[f64]) -> String {
    let largest = distances.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let last = distances.len().saturating_sub(1);
    let (across, y) = (Scale::new((0.0, last.max(1) as f64), (70.0, 650.0)), Scale::new((0.0, largest), (300.0, 50.0)));
    let x = |image: usize| across.at(image as f64);
    let first = distances.first().filter(|first| **first > 0.0);
    let marks = html! {
        text x="70" y="28" font-size="15" fill="#222" { (title) }
        @for quarter in 0..=4 {
            @let (value, at) = (largest * f64::from(quarter) / 4.0, 300.0 - 62.5 * f64::from(quarter));
            @let label = tenth(at + 4.0);
            path d={ "M70 " (tenth(at)) "H650" } stroke="#e3e3e3" {}
            text x="62" y=(label) text-anchor="end" fill="#555" { (format!("{value:.3}")) }
            @if let Some(first) = first {
                text x="658" y=(label) fill="#555" { (format!("{:.2}", value / first)) }
            }
        }
        @for image in [0, last / 2, last] {
            text x=(tenth(x(image))) y="318" text-anchor="middle" fill="#555" { (image) }
        }
        text x="360" y="340" text-anchor="middle" fill="#555" { "image" }
        text x="650" y="340" text-anchor="end" fill="#999" { "right: in first distances" }
        polyline fill="none" stroke="#2a6fb0" stroke-width="2"
            points=(points(distances.iter().enumerate().map(|(image, distance)| (x(image), y.at(*distance))))) {}
        @for (image, distance) in distances.iter().enumerate() {
            circle cx=(tenth(x(image))) cy=(tenth(y.at(*distance))) r="2.5" fill="#2a6fb0" {}
        }
    };
    document(720.0, 350.0, 12, &marks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::JpegMaker;
    use ::png;

    fn write_png(path: &Path, color: png::ColorType, pixels: &[u8]) {
        let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), 2, 1);
        encoder.set_color(color);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    }

    #[test]
    fn a_folder_is_read_in_numeric_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["10.png", "2.png", "1.png", "notes.txt"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let files = list(&[folder.path().to_path_buf()]).unwrap();
        let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["1.png", "2.png", "10.png"]);
        assert!(list(&[tempfile::tempdir().unwrap().path().to_path_buf()]).is_err());
    }

    #[test]
    fn images_of_every_color_type_become_rgb() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.png");
        let cases: [(png::ColorType, &[u8], [u8; 6]); 4] = [
            (png::ColorType::Rgb, &[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
            (png::ColorType::Rgba, &[1, 2, 3, 9, 4, 5, 6, 9], [1, 2, 3, 4, 5, 6]),
            (png::ColorType::Grayscale, &[7, 8], [7, 7, 7, 8, 8, 8]),
            (png::ColorType::GrayscaleAlpha, &[7, 1, 8, 1], [7, 7, 7, 8, 8, 8]),
        ];
        for (color, pixels, expected) in cases {
            write_png(&path, color, pixels);
            let image = read_image(&path).unwrap();
            assert_eq!((image.width, image.height, &*image.pixels), (2, 1, &expected[..]));
        }
        let mut gray = read_image(&path).unwrap();
        (gray.width, gray.height, gray.pixels) = (8, 8, vec![200; 8 * 8 * 3].into());
        std::fs::write(&path, JpegMaker::new(95, None).encode(&gray).unwrap()).unwrap();
        let image = read_image(&path).unwrap();
        assert!(image.width == 8 && image.pixels.iter().all(|v| v.abs_diff(200) < 3));
    }

    #[test]
    fn files_that_are_not_images_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.png");
        for (content, expected) in [
            (&b"text"[..], "neither"),
            (b"\x89PNG\r\n", "not a readable PNG"),
            (b"\xff\xd8\xff", "not a readable JPEG"),
        ] {
            std::fs::write(&path, content).unwrap();
            let text = format!("{:#}", read_image(&path).unwrap_err());
            assert!(text.contains("x.png") && text.contains(expected), "{text}");
        }
        assert!(format!("{:#}", read_image(Path::new("/nowhere.png")).unwrap_err()).contains("/nowhere.png"));
    }

    #[test]
    fn bumps_are_steps_away_from_the_goal() {
        assert_eq!(rising_share(&[4.0, 3.0, 3.5, 1.0, 0.0]), Some(0.25));
        assert_eq!(rising_share(&[1.0]), None);
    }

    #[test]
    fn the_curve_is_drawn_for_any_number_of_images() {
        for distances in [&[][..], &[0.0], &[3.0, 1.0, 0.0]] {
            let svg = curve("t", distances);
            assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{svg}");
            assert_eq!(svg.matches("<circle").count(), distances.len());
        }
    }
}
