//! `visuomotor policy`: describes a policy folder's inputs and outputs, or makes a folder for an external module.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use serde::de::value::Error as ValueError;
use serde::de::{DeserializeOwned, IntoDeserializer};

use crate::action::ActionBounds;
use crate::config::{Robot, digest, project_root};
use crate::onnx::Model;
use crate::policy::{
    ActionKind, BroughtOutput, BroughtPolicy, Channels, Checkpoint, Data, Description, Input, Module, Pixels, Units,
    embeddings_digest, try_out,
};
use crate::untrusted;

/// File with the known instructions in a folder made by `policy new`.
const INSTRUCTIONS: &str = "instructions.safetensors";

/// Arguments of `visuomotor policy`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  visuomotor policy inspect policies/kitchen
  visuomotor policy new exported.pt --robot widowx --rate 5 --input image:front:128 --input state \\
    --actions pose-change --out policies/mine
  visuomotor policy new exported.onnx --robot panda --rate 10 --input image:wrist:224 --input joint-positions \\
    --actions joint-torques --out policies/other
  visuomotor run launch/stations/widowx_xs_sdk.toml --policy policies/mine")]
pub struct PolicyArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Describe a policy: arm, rate, tasks, inputs and outputs
    Inspect {
        /// Policy folder
        folder: PathBuf,
    },
    /// Make a policy folder from a TorchScript module (torch.jit.trace or torch.jit.script, then .save) or an ONNX file
    New(New),
}

#[derive(Args, Debug)]
struct New {
    /// TorchScript file, or an ONNX file, whose name ends in .onnx
    module: PathBuf,
    /// Folder to create
    #[arg(long)]
    out: PathBuf,
    /// Arm it moves: a folder under robots/
    #[arg(long)]
    robot: String,
    /// Decisions per second
    #[arg(long)]
    rate: f64,
    /// An argument of its forward, in order: image:CAMERA:SIDE, goal:SIDE, state, joint-positions, joint-velocities, gripper, task,
    /// instruction:FILE (a safetensors file of one list of f32 for each known instruction)
    #[arg(long = "input", value_name = "INPUT", required = true)]
    inputs: Vec<String>,
    /// Kind of action, the gripper target last: pose-change, twist, tool-pose, tool-pose-quaternion, joint-positions,
    /// joint-velocities, joint-torques
    #[arg(long, value_parser = word::<ActionKind>)]
    actions: ActionKind,
    /// Actions returned by one inference
    #[arg(long, default_value_t = 1)]
    chunk: usize,
    /// Number of them to execute before the next inference (all otherwise)
    #[arg(long)]
    execute: Option<usize>,
    /// Actions are normalized to [-1, 1] by Bridge's bounds, instead of in m, rad and s
    #[arg(long)]
    normalized: bool,
    /// Scaling of the image values: bytes, unit, centered, imagenet
    #[arg(long, default_value = "unit", value_parser = word::<Pixels>)]
    pixels: Pixels,
    /// Channels come last, as (1, height, width, 3)
    #[arg(long)]
    channels_last: bool,
    /// Number of images, of the last decisions, given together
    #[arg(long, default_value_t = 1)]
    history: usize,
    /// A known task, one for each index of the one-hot input (any task otherwise)
    #[arg(long = "task", value_name = "TASK")]
    tasks: Vec<String>,
    /// Name for reports (the folder's otherwise)
    #[arg(long)]
    name: Option<String>,
}

/// Runs the command.
pub fn policy(arguments: &PolicyArguments) -> anyhow::Result<u8> {
    match &arguments.what {
        What::Inspect { folder } => inspect(folder),
        What::New(new) => make(new),
    }
}

fn inspect(folder: &Path) -> anyhow::Result<u8> {
    if BroughtPolicy::is_in(folder) {
        let description = Description::load(folder)?;
        say!("{}: made elsewhere, for {} at {} Hz", description.name, description.robot, description.rate_hz);
        let module = &description.module;
        let kind = if module.is_onnx() { "ONNX" } else { "TorchScript" };
        say!("module  {} {} ({kind})", module.file.display(), short(&module.digest));
        for data in &module.data {
            say!("weights {} {}", data.file, short(&data.digest));
        }
        say!("tasks   {}", if description.tasks.is_empty() { "any".into() } else { description.tasks.join(", ") });
        for (i, input) in description.input.iter().enumerate() {
            say!("takes   {}. {}", i + 1, spoken(input));
        }
        let output = &description.output;
        let chunk = match (output.chunk, output.executed()) {
            (1, _) => String::new(),
            (chunk, executed) => format!(", {chunk} at once of which {executed} are carried out"),
        };
        let scaled = if output.scaling.is_none() { "" } else { ", scaled back by [output.scaling]" };
        say!("gives   {}{scaled}{chunk}", given(output.actions));
        return Ok(0);
    }
    let checkpoint = Checkpoint::load(folder)?;
    let [width, height] = checkpoint.camera_size;
    say!("{}: trained here, for {} at {} Hz", checkpoint.name, checkpoint.robot, checkpoint.rate_hz);
    say!("weights {} (encoder `{}`)", short(&checkpoint.weights_digest()), checkpoint.encoder);
    say!("tasks   {}", checkpoint.tasks.join(", "));
    say!("takes   1. the first camera's image, {width}x{height} squashed to {0}x{0}", checkpoint.image_size);
    say!("takes   2. the state: x, y, z, roll, pitch, yaw, gripper");
    if let Some(scale) = &checkpoint.joints {
        say!("takes   3. positions and velocities of {} joints", scale.joints());
    }
    let kind = if checkpoint.head.asks_torques() { ActionKind::JointTorques } else { ActionKind::PoseChange };
    say!("gives   {}", given(kind));
    Ok(0)
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

fn given(actions: ActionKind) -> &'static str {
    match actions {
        ActionKind::PoseChange => "changes of the tool's pose and a gripper target",
        ActionKind::Twist => "velocities of the tool and a gripper target",
        ActionKind::ToolPose => "poses of the tool (x, y, z, roll, pitch, yaw) and a gripper target",
        ActionKind::ToolPoseQuaternion => "poses of the tool (x, y, z, qx, qy, qz, qw) and a gripper target",
        ActionKind::JointPositions => "joint positions and a gripper target",
        ActionKind::JointVelocities => "joint velocities and a gripper target, with control.law = \"velocity\"",
        ActionKind::JointTorques => "joint torques on top of gravity compensation and a gripper target",
    }
}

fn spoken(input: &Input) -> String {
    match input {
        Input::Image { camera, size, history: 1, .. } => format!("the image of the camera `{camera}`, {size}x{size}"),
        Input::Image { camera, size, history, .. } => {
            format!("the last {history} images of the camera `{camera}`, {size}x{size}")
        }
        Input::Goal { size, .. } => format!("an image of the task done, {size}x{size}"),
        Input::State(_) => "the state: x, y, z, roll, pitch, yaw, gripper".into(),
        Input::JointPositions(_) => "joint positions".into(),
        Input::JointVelocities(_) => "joint velocities".into(),
        Input::Gripper => "the gripper's opening".into(),
        Input::Task => "the task, one-hot".into(),
        Input::Instruction { embeddings, .. } => format!("the instruction, as the numbers in {}", embeddings.display()),
    }
}

fn make(new: &New) -> anyhow::Result<u8> {
    ensure!(
        new.rate > 0.0 && new.rate <= 100.0,
        "--rate: found {}, expected more than 0 and at most 100 Hz; Bridge policies run at 5",
        new.rate
    );
    let robot = Robot::load(&project_root(Path::new("launch")), &new.robot)?;
    let bytes = untrusted::read(&new.module, untrusted::LARGEST_WEIGHTS)
        .with_context(|| format!("{}: cannot be read; check the path", new.module.display()))?;
    let folder_name = new.out.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut kept = kept_beside(&new.module, &bytes)?;
    let data = kept.iter().map(|(file, bytes)| Data { file: file.clone(), digest: digest(bytes) }).collect();
    let mut module = Module { file: new.module.clone(), digest: digest(&bytes), data };
    module.file = if module.is_onnx() { "policy.onnx" } else { "policy.pt" }.into();
    let description = Description {
        version: Description::VERSION,
        name: new.name.clone().or(folder_name).context("--out: found no folder name; name one, or give --name")?,
        robot: new.robot.clone(),
        rate_hz: new.rate,
        tasks: new.tasks.clone(),
        bounds: ActionBounds::BRIDGE,
        module,
        input: new.inputs.iter().map(|word| input(word, new, &mut kept)).collect::<Result<_, _>>()?,
        output: BroughtOutput {
            actions: new.actions,
            units: if new.normalized { Units::Normalized } else { Units::Si },
            chunk: new.chunk,
            execute: new.execute,
            blend: 0.0,
            scaling: Default::default(),
        },
    };
    let file = Checkpoint::path(&new.out);
    ensure!(!file.exists(), "{}: there is a policy already; choose another --out", file.display());
    std::fs::create_dir_all(&new.out)
        .with_context(|| format!("{}: cannot be created; choose another --out", new.out.display()))?;
    std::fs::write(new.out.join(&description.module.file), &bytes)?;
    for (file, bytes) in kept {
        std::fs::write(new.out.join(file), bytes)?;
    }
    std::fs::write(&file, toml::to_string_pretty(&description)?)?;
    // Errors are found now instead of at a station.
    if let Err(error) = Description::load(&new.out).and_then(|d| try_out(&new.out, &d, robot.joint.len())) {
        std::fs::remove_file(&file)?;
        return Err(error.into());
    }
    say!("{} written; `visuomotor policy inspect {}` describes it", file.display(), new.out.display());
    Ok(0)
}

/// Names of the external weight files of an ONNX file.
fn kept_beside(module: &Path, bytes: &[u8]) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut kept = BTreeMap::new();
    if !module.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx")) {
        return Ok(kept);
    }
    let model = Model::read(bytes)
        .with_context(|| format!("{}: it cannot be read; write it with torch.onnx.export", module.display()))?;
    let folder = match module.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    for location in model.external {
        // Anything but a plain file name leads out of the folder; checking the module refuses it with its own error.
        if Path::new(&location).file_name().is_none_or(|name| name != location.as_str()) {
            continue;
        }
        let file = folder.join(&location);
        let bytes = untrusted::read_inside(folder, &file, untrusted::LARGEST_WEIGHTS).with_context(|| {
            format!("{}: cannot be read; {} keeps its weights in it", file.display(), module.display())
        })?;
        kept.insert(location, bytes);
    }
    Ok(kept)
}

/// Parses an input of the command line; `kept` gets the file that it names.
fn input(word: &str, new: &New, kept: &mut BTreeMap<String, Vec<u8>>) -> anyhow::Result<Input> {
    if let Some(file) = word.strip_prefix("instruction:") {
        let (bytes, digest) = embeddings_digest(Path::new(file)).with_context(|| format!("--input {word}"))?;
        kept.insert(INSTRUCTIONS.into(), bytes);
        return Ok(Input::Instruction { embeddings: INSTRUCTIONS.into(), digest });
    }
    let channels = if new.channels_last { Channels::Last } else { Channels::First };
    let pixels = new.pixels;
    let side = |text: &str| -> anyhow::Result<u32> {
        text.parse().with_context(|| format!("--input {word}: found {text}, expected the side of the image in pixels"))
    };
    let parts: Vec<&str> = word.split(':').collect();
    Ok(match parts.as_slice() {
        ["image", camera, size] => {
            Input::Image { camera: (*camera).into(), size: side(size)?, channels, pixels, history: new.history }
        }
        ["goal", size] => Input::Goal { size: side(size)?, channels, pixels },
        ["state"] => Input::State(Default::default()),
        ["joint-positions"] => Input::JointPositions(Default::default()),
        ["joint-velocities"] => Input::JointVelocities(Default::default()),
        ["gripper"] => Input::Gripper,
        ["task"] => Input::Task,
        _ => bail!(
            "--input {word}: expected image:CAMERA:SIDE, goal:SIDE, state, joint-positions, joint-velocities, gripper, task or instruction:FILE"
        ),
    })
}

/// Parses a word of the command line as in `policy.toml`.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let spelled = text.replace('-', "_");
    T::deserialize(spelled.as_str().into_deserializer()).map_err(|error: ValueError| error.to_string())
}
