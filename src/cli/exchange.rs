//! `visuomotor recordings export` and `import`: converts episodes to and from other formats.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::ensure;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use crate::episode::Outcome;
use crate::exchange::{
    self, Column, Frame, GripperForm, ImportOptions, LeftOut, LerobotExport, LerobotPictures, RotationForm, Scale,
    Selection, Statements, VideoCodec, export_bridge, export_lerobot, export_robomimic, find_ffmpeg, import_bridge,
    import_lerobot,
};
use crate::recording::LEFT_OUT;

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
    /// End at the first recording that cannot be read or does not fit the others, instead of leaving it out
    #[arg(long)]
    strict: bool,
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
                  visuomotor recordings import --format bridge downloads/bridge/toykitchen1 results/toykitchen\n  \
                  visuomotor recordings import --format lerobot --action-kind absolute --gripper 0..100 downloads/so100 results/so100\n\n\
                  Numbers whose meaning the data set does not settle are refused, with the options that settle it; what is settled \
                  is compared with the motion of the states. What a source lacks and what is filled in instead is printed at the \
                  end and kept under [import] in each episode's settings; episodes that were left out are listed in \
                  left_out.json, and the exit code is 1. More: docs/exchange.md"
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
    /// Import only these cameras (names; repeat or separate by commas)
    #[arg(long = "camera", value_name = "NAME", value_delimiter = ',')]
    cameras: Option<Vec<String>>,
    /// End at the first episode that cannot be imported, instead of leaving it out
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    statements: StatementArguments,
}

/// What is stated about the numbers of a LeRobot data set's states and actions.
#[derive(Args, Debug)]
#[command(next_help_heading = "LeRobot: what the numbers are, where the data set does not say it")]
struct StatementArguments {
    /// Actions are changes of the tool's pose, or the pose to reach
    #[arg(long, value_enum)]
    action_kind: Option<ActionKind>,
    /// How rotations are written
    #[arg(long, value_enum)]
    rotation: Option<Rotation>,
    /// Unit and sense of the gripper: `open-1` (0 closed .. 1 open), `open-0` (0 open .. 1 closed), `0..100` (closed .. open),
    /// `-1..1` (closed .. open), `1..-1` (1 closed .. -1 open), `meters=OPENING` (width when fully open)
    #[arg(long, value_parser = gripper, allow_hyphen_values = true)]
    gripper: Option<GripperForm>,
    /// The same for actions, where it differs
    #[arg(long, value_parser = gripper, allow_hyphen_values = true)]
    action_gripper: Option<GripperForm>,
    /// Meters and radians per unit of an action: POSITION or POSITION,ROTATION
    #[arg(long, value_parser = scale)]
    scale: Option<Scale>,
    /// Meters and radians per unit of a state: POSITION or POSITION,ROTATION
    #[arg(long, value_parser = scale)]
    state_scale: Option<Scale>,
    /// Axes of changes of the pose
    #[arg(long, value_enum)]
    frame: Option<FrameWord>,
    /// Names or places (from 0) in the state: X,Y,Z,ROTATION...,GRIPPER
    #[arg(long, value_parser = column, value_delimiter = ',')]
    columns: Option<Vec<Column>>,
    /// The same in the action
    #[arg(long, value_parser = column, value_delimiter = ',')]
    action_columns: Option<Vec<Column>>,
    /// Do not compare actions with the motion of the states
    #[arg(long)]
    without_motion_check: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ActionKind {
    /// Changes of the pose
    Delta,
    /// Poses to reach
    Absolute,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rotation {
    /// Roll, pitch, yaw about fixed axes
    EulerXyz,
    /// Axis times angle
    Rotvec,
    /// Quaternion x y z w
    QuatXyzw,
    /// Quaternion w x y z
    QuatWxyz,
    /// First two columns of the matrix
    Rot6d,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FrameWord {
    /// The arm's base
    Base,
    /// The tool
    Tool,
}

fn gripper(text: &str) -> Result<GripperForm, String> {
    Ok(match text {
        "open-1" => GripperForm::OpenIsOne,
        "open-0" => GripperForm::OpenIsZero,
        "0..100" => GripperForm::Percent,
        "-1..1" => GripperForm::SignedOpenIsOne,
        "1..-1" => GripperForm::SignedOpenIsMinusOne,
        other => match other.strip_prefix("meters=").map(str::parse::<f64>) {
            Some(Ok(opening)) if opening > 0.0 && opening < 1.0 => GripperForm::Meters(opening),
            _ => return Err("expected open-1, open-0, 0..100, -1..1, 1..-1 or meters=OPENING, e.g. meters=0.08".into()),
        },
    })
}

fn scale(text: &str) -> Result<Scale, String> {
    let expected = || "expected one or two numbers above zero, e.g. 0.05 or 0.05,0.5".to_string();
    let numbers: Result<Vec<f64>, _> = text.split(',').map(|part| part.trim().parse::<f64>()).collect();
    let numbers = numbers.map_err(|_| expected())?;
    match numbers[..] {
        [position] if position > 0.0 && position.is_finite() => Ok(Scale { position, rotation: 1.0 }),
        [position, rotation] if position > 0.0 && rotation > 0.0 && position.is_finite() && rotation.is_finite() => {
            Ok(Scale { position, rotation })
        }
        _ => Err(expected()),
    }
}

fn column(text: &str) -> Result<Column, String> {
    match text.trim() {
        "" => Err("expected a name or a place, counted from 0".into()),
        word => Ok(word.parse().map_or_else(|_| Column::Name(word.into()), Column::Index)),
    }
}

impl StatementArguments {
    fn statements(&self) -> Statements {
        Statements {
            action_kind: self.action_kind.map(|kind| match kind {
                ActionKind::Delta => exchange::ActionKind::Delta,
                ActionKind::Absolute => exchange::ActionKind::Absolute,
            }),
            rotation: self.rotation.map(|rotation| match rotation {
                Rotation::EulerXyz => RotationForm::EulerXyz,
                Rotation::Rotvec => RotationForm::RotationVector,
                Rotation::QuatXyzw => RotationForm::QuaternionXyzw,
                Rotation::QuatWxyz => RotationForm::QuaternionWxyz,
                Rotation::Rot6d => RotationForm::SixNumbers,
            }),
            gripper: self.gripper,
            action_gripper: self.action_gripper,
            scale: self.scale,
            state_scale: self.state_scale,
            frame: self.frame.map(|frame| match frame {
                FrameWord::Base => Frame::Base,
                FrameWord::Tool => Frame::Tool,
            }),
            columns: self.columns.clone(),
            action_columns: self.action_columns.clone(),
            without_motion_check: self.without_motion_check,
        }
    }
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

/// Runs `export`; returns 1 if recordings at fault were left out, else 0.
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
    let selection = Selection::of(&a.episodes, a.all, a.strict)?;
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
    Ok(u8::from(selection.at_fault > 0))
}

/// Runs `import`; returns 1 if episodes were left out, else 0.
pub fn import(a: &ImportArguments) -> anyhow::Result<u8> {
    let judge = "import".to_string();
    let outcome = match a.outcome {
        Verdict::Success => Outcome::Success { judge },
        Verdict::Failure => Outcome::Failure { judge, why: "as given to the import".into() },
    };
    let statements = a.statements.statements();
    let is_lerobot = matches!(a.format, ImportFormat::Lerobot);
    ensure!(
        is_lerobot || (statements == Statements::default() && a.ffmpeg.is_none()),
        "--ffmpeg and the options on what the numbers are belong to --format lerobot"
    );
    let (ffmpeg, cameras) = (a.ffmpeg.clone(), a.cameras.clone());
    let options = ImportOptions { outcome, ffmpeg, cameras, statements, strict: a.strict };
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
    for LeftOut { item, reason } in &imported.left_out {
        say!("left out: {item}: {reason}");
    }
    let (folder, left_out) = (imported.folder.display(), imported.left_out.len());
    say!("{folder}: {} episodes, {} steps; {left_out} left out", imported.episodes, imported.steps);
    if left_out > 0 {
        say!("{folder}/{LEFT_OUT} lists them");
    }
    Ok(u8::from(left_out > 0))
}

fn bar(done: &str, total: usize) -> ProgressBar {
    ProgressBar::new(total as u64).with_style(
        ProgressStyle::with_template(&format!("{done} {{bar:30}} {{pos}}/{{len}} {{elapsed}} (left {{eta}})"))
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}
