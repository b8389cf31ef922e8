//! `visuomotor recordings export` and `import`: converts episodes to and from other formats.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::ensure;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use crate::episode::Outcome;
use crate::exchange::{
    ImportOptions, LerobotExport, LerobotPictures, Selection, VideoCodec, export_bridge, export_lerobot,
    export_robomimic, find_ffmpeg, import_bridge, import_lerobot,
};

/// Arguments of `visuomotor recordings export`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  visuomotor recordings export --format lerobot results/demonstrations results/lerobot\n  \
                  visuomotor recordings export --format lerobot --images results/demonstrations results/lerobot\n  \
                  visuomotor recordings export --format robomimic results/demonstrations results/demonstrations.hdf5\n  \
                  visuomotor recordings export --format bridge --all results/demonstrations results/bridge\n\n\
                  What each format cannot hold: docs/exchange.md"
)]
pub struct ExportArguments {
    /// Output format
    #[arg(long, value_enum)]
    format: ExportFormat,
    /// Folder of episodes
    episodes: PathBuf,
    /// New folder (robomimic: new file) to write
    out: PathBuf,
    /// Include failed, aborted and unfinished episodes
    #[arg(long)]
    all: bool,
    /// LeRobot: images into the tables instead of videos, as the recorded JPEG files or as PNG
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "jpeg")]
    images: Option<Images>,
    /// LeRobot: codec of the videos
    #[arg(long, value_enum, default_value = "h264", conflicts_with = "images")]
    codec: Codec,
    /// LeRobot: the ffmpeg that makes the videos, instead of .deps/ffmpeg/ffmpeg or the one in PATH
    #[arg(long, conflicts_with = "images")]
    ffmpeg: Option<PathBuf>,
}

/// Arguments of `visuomotor recordings import`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  visuomotor recordings import --format lerobot downloads/kitchen results/kitchen\n  \
                  visuomotor recordings import --format bridge downloads/bridge/toykitchen1 results/toykitchen\n\n\
                  What a source lacks and what is put in its place is said at the end and kept under [import] in each \
                  episode's settings."
)]
pub struct ImportArguments {
    /// Input format
    #[arg(long, value_enum)]
    format: ImportFormat,
    /// Folder of the data set (Bridge: a trajectory's folder or any above it)
    source: PathBuf,
    /// New folder for the episodes
    out: PathBuf,
    /// Outcome of episodes whose source has none
    #[arg(long, value_enum, default_value = "success")]
    outcome: Verdict,
    /// LeRobot: the ffmpeg that reads the videos, instead of .deps/ffmpeg/ffmpeg or the one in PATH
    #[arg(long)]
    ffmpeg: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// LeRobot v3.0: parquet and video
    Lerobot,
    /// robomimic: one HDF5 file
    Robomimic,
    /// Bridge's raw folders: pickles and JPEG files
    Bridge,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ImportFormat {
    /// LeRobot v3.0
    Lerobot,
    /// Bridge's raw folders
    Bridge,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Images {
    /// The recorded files, unchanged
    Jpeg,
    /// The same pixels, several times larger
    Png,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Codec {
    /// libx264
    H264,
    /// SVT-AV1: smaller, slower
    Av1,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Verdict {
    Success,
    Failure,
}

/// Runs `export`; returns 0.
pub fn export(a: &ExportArguments) -> anyhow::Result<u8> {
    let lerobot = a.format == ExportFormat::Lerobot;
    ensure!(lerobot || (a.images.is_none() && a.ffmpeg.is_none()), "--images and --ffmpeg are for --format lerobot");
    let pictures = match (lerobot, a.images) {
        (true, None) => {
            let codec = match a.codec {
                Codec::H264 => VideoCodec::H264,
                Codec::Av1 => VideoCodec::Av1,
            };
            LerobotPictures::Video { ffmpeg: find_ffmpeg(a.ffmpeg.as_deref())?, codec }
        }
        (_, Some(Images::Png)) => LerobotPictures::Png,
        _ => LerobotPictures::Jpeg,
    };
    let selection = Selection::of(&a.episodes, a.all)?;
    for (path, why) in &selection.left_out {
        say!("left out: {} ({why})", path.display());
    }
    let bar = bar("exported", selection.episodes.len());
    let mut progress = || bar.inc(1);
    let out = match a.format {
        ExportFormat::Lerobot => export_lerobot(&selection, &a.out, &LerobotExport { pictures }, &mut progress)?,
        ExportFormat::Robomimic => export_robomimic(&selection, &a.out, &mut progress)?,
        ExportFormat::Bridge => export_bridge(&selection, &a.out, SystemTime::now(), &mut progress)?,
    };
    bar.finish();
    let steps: usize = selection.episodes.iter().map(|episode| episode.steps.len()).sum();
    say!(
        "{}: {} episodes, {steps} steps; {} left out",
        out.display(),
        selection.episodes.len(),
        selection.left_out.len()
    );
    Ok(0)
}

/// Runs `import`; returns 0.
pub fn import(a: &ImportArguments) -> anyhow::Result<u8> {
    let judge = "import".to_string();
    let outcome = match a.outcome {
        Verdict::Success => Outcome::Success { judge },
        Verdict::Failure => Outcome::Failure { judge, why: "as given to the import".into() },
    };
    let options = ImportOptions { outcome, ffmpeg: a.ffmpeg.clone() };
    let bar = bar("imported", 0);
    let mut progress = |done: usize, of: usize| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    };
    let imported = match a.format {
        ImportFormat::Lerobot => import_lerobot(&a.source, &a.out, &options, &mut progress)?,
        ImportFormat::Bridge => import_bridge(&a.source, &a.out, &options, &mut progress)?,
    };
    bar.finish();
    for note in &imported.notes {
        say!("filled in: {note}");
    }
    say!("{}: {} episodes, {} steps", imported.folder.display(), imported.episodes, imported.steps);
    Ok(0)
}

fn bar(done: &str, total: usize) -> ProgressBar {
    ProgressBar::new(total as u64).with_style(
        ProgressStyle::with_template(&format!("{done} {{bar:30}} {{pos}}/{{len}} {{elapsed}} (left {{eta}})"))
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}
