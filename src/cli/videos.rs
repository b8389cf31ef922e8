//! `visuomotor videos`: renders videos of hands at work, as a stand-in for recordings of people.
//!
//! The layout is that of Ego4D as prepared for R3M and VIP: `manifest.csv` with the columns `path` and `len`, frames
//! `{path}{index:06}.jpg` counted from 0, paths relative to the manifest's folder. Each clip depends only on its number
//! and the seed, so the same call makes the same files on any number of threads. A clip's folder is renamed when
//! complete, and the manifest is written last, so an interrupted call is resumed by calling again.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::layout::derived_seed;
use crate::observation::Image;
use crate::recording::{Contents, RecordedImage};
use crate::runtime::StopFlag;
use crate::simulation::{HandClip, HandVocabulary, SharedRenderer};

/// JPEG quality of the frames.
const QUALITY: u8 = 92;
/// Folder of the clips inside `--out`.
const CLIPS: &str = "clips";

/// Arguments of `visuomotor videos`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  visuomotor videos --clips 600 --seed 1 --out data/videos")]
pub struct VideosArguments {
    /// Folder for the clips
    #[arg(long)]
    pub out: PathBuf,
    /// Number of clips, of 10 to 150 frames each
    #[arg(long, default_value_t = 600)]
    pub clips: usize,
    /// Random seed
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Width and height of a frame [pixels]
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(16..=480))]
    pub size: u32,
    /// Threads
    #[arg(long, default_value_t = 2)]
    pub jobs: usize,
}

/// Runs the command; returns 0, or 1 when it was stopped early.
pub fn videos(arguments: &VideosArguments) -> anyhow::Result<u8> {
    ensure!(arguments.clips > 0, "--clips: found 0, expected at least 1; 600 is a good choice");
    let folder = arguments.out.join(CLIPS);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{}: cannot be created; choose another --out", folder.display()))?;
    Contents::new(HandVocabulary::places(), HandVocabulary::things(), HandVocabulary::chores(), arguments.seed)
        .add_to(&arguments.out)?;
    let stop = StopFlag::on_signals()?;
    let bar = ProgressBar::new(arguments.clips as u64).with_style(
        ProgressStyle::with_template("clips {bar:30} {pos}/{len} {msg} {elapsed} (left {eta})")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let next = AtomicUsize::new(0);
    let drawn = AtomicUsize::new(0);
    let error: Mutex<Option<anyhow::Error>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                let work = || -> anyhow::Result<()> {
                    // One per thread: a graphics context cannot change threads.
                    let renderer = SharedRenderer::new(arguments.size, arguments.size);
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= arguments.clips || stop.is_raised() {
                            return Ok(());
                        }
                        let frames = clip(&folder, arguments, number, &renderer)?;
                        let frames = drawn.fetch_add(frames, Ordering::Relaxed) + frames;
                        bar.set_message(format!("({frames} frames)"));
                        bar.inc(1);
                        if bar.is_hidden() && bar.position().is_multiple_of(100) {
                            say!("{} of {} clips", bar.position(), arguments.clips);
                        }
                    }
                };
                if let Err(e) = work() {
                    stop.raise("an error");
                    if let Ok(mut slot) = error.lock() {
                        slot.get_or_insert(e);
                    }
                }
            });
        }
    });
    bar.finish();
    if let Some(e) = error.into_inner().unwrap_or(None) {
        return Err(e);
    }
    if stop.is_raised() {
        say!("{} of {} clips in {}; the same call resumes", bar.position(), arguments.clips, arguments.out.display());
        return Ok(1);
    }
    let frames = manifest(arguments)?;
    say!("{} clips, {frames} frames in {}", arguments.clips, arguments.out.display());
    Ok(0)
}

/// The path of a clip as in the manifest: a prefix of its frames' names.
fn prefix(number: usize) -> String {
    format!("{CLIPS}/{number:06}/")
}

fn planned(arguments: &VideosArguments, number: usize) -> HandClip {
    HandClip::draw(derived_seed(&format!("{} hands {number}", arguments.seed)))
}

/// Renders one clip, if it does not exist yet; returns the number of frames rendered.
fn clip(folder: &Path, arguments: &VideosArguments, number: usize, renderer: &SharedRenderer) -> anyhow::Result<usize> {
    let whole = folder.join(format!("{number:06}"));
    if whole.exists() {
        same_size(&whole.join("000000.jpg"), arguments.size)?;
        return Ok(0);
    }
    let partial = folder.join(format!("{number:06}.partial"));
    // A partial clip of an interrupted call is discarded and made again.
    if partial.exists() {
        std::fs::remove_dir_all(&partial).with_context(|| partial.display().to_string())?;
    }
    std::fs::create_dir(&partial).with_context(|| partial.display().to_string())?;
    let clip = planned(arguments, number);
    clip.film(renderer, |index, pixels| -> anyhow::Result<()> {
        let (width, height) = renderer.size();
        let image = Image {
            camera: "eyes".into(),
            width,
            height,
            pixels,
            captured_at: Default::default(),
            sequence: index as u64,
        };
        let file = partial.join(format!("{index:06}.jpg"));
        std::fs::write(&file, RecordedImage::encode(&image, QUALITY)?.jpeg)
            .with_context(|| format!("{}: cannot be written; make room or choose another --out", file.display()))
    })?;
    std::fs::rename(&partial, &whole).with_context(|| whole.display().to_string())?;
    Ok(clip.frames())
}

/// Refuses to resume with another frame size.
fn same_size(file: &Path, size: u32) -> anyhow::Result<()> {
    let jpeg =
        crate::untrusted::read(file, crate::untrusted::LARGEST_PICTURE).with_context(|| file.display().to_string())?;
    let found = RecordedImage {
        camera: "eyes".into(),
        captured_at: Default::default(),
        sequence: 0,
        camera_size: (size, size),
        jpeg,
    };
    let found = found.decode().with_context(|| file.display().to_string())?;
    ensure!(
        (found.width, found.height) == (size, size),
        "{}: {}x{}, asked for {size}x{size}; choose another --out",
        file.display(),
        found.width,
        found.height
    );
    Ok(())
}

/// Writes the manifest; returns the number of frames.
fn manifest(arguments: &VideosArguments) -> anyhow::Result<usize> {
    let mut text = String::from("path,len\n");
    let mut frames = 0;
    for number in 0..arguments.clips {
        let folder = arguments.out.join(prefix(number));
        let count = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?.count();
        // Files were removed from the folder, or it was made with another seed.
        let expected = planned(arguments, number).frames();
        ensure!(
            count == expected,
            "{}: {count} frames, expected {expected}; it was made with another --seed or changed: delete it and call again",
            folder.display()
        );
        writeln!(text, "{},{count}", prefix(number))?;
        frames += count;
    }
    let file = arguments.out.join("manifest.csv");
    let partial = arguments.out.join("manifest.csv.partial");
    std::fs::write(&partial, text)
        .and_then(|()| std::fs::rename(&partial, &file))
        .with_context(|| format!("{}: cannot be written", file.display()))?;
    Ok(frames)
}
