//! `policy.toml` of a policy that was made elsewhere.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::output::{Output, Units};
use super::{Condition, instructions};
use crate::policy::checkpoint::{Checkpoint, Offer, PolicyError};
use visuomotor_core::action::ActionBounds;
use visuomotor_core::config::{ConfigError, ControlLaw, load};

/// Largest side of an image \[pixels\], most images of a history.
const LARGEST: (u32, usize) = (4096, 64);
/// Most actions of a chunk.
pub(super) const LARGEST_CHUNK: usize = 1024;

/// Inputs and outputs of a policy that was made elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Format version.
    pub version: u32,
    /// Name for reports.
    pub name: String,
    /// Arm it moves.
    pub robot: String,
    /// Decision rate \[Hz\].
    pub rate_hz: f64,
    /// Tasks, in the order of a one-hot input; empty: any task.
    #[serde(default)]
    pub tasks: Vec<String>,
    /// Bounds that normalized actions are scaled by: m, rad, gripper fraction.
    #[serde(default = "bridge")]
    pub bounds: ActionBounds,
    /// The network.
    pub module: Module,
    /// What its `forward` takes, in order.
    pub input: Vec<Input>,
    /// What it returns.
    pub output: Output,
}

fn bridge() -> ActionBounds {
    ActionBounds::BRIDGE
}

/// The network's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// A TorchScript file, or one that ends in `.onnx`, beside `policy.toml`.
    pub file: PathBuf,
    /// Its SHA-256.
    pub digest: String,
    /// Files beside it that an ONNX file keeps its weights in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<Data>,
}

impl Module {
    /// Is it an ONNX file?
    pub fn is_onnx(&self) -> bool {
        self.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"))
    }
}

/// A file of weights beside an ONNX file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Its name, without a folder.
    pub file: String,
    /// Its SHA-256.
    pub digest: String,
}

/// One argument of `forward`, with a leading axis of 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Input {
    /// A camera's image.
    Image {
        /// Name of the camera in the launch file.
        camera: String,
        /// Side of the square it is squashed to \[pixels\].
        size: u32,
        /// Where the colors are.
        #[serde(default)]
        channels: Channels,
        /// What the numbers are.
        #[serde(default)]
        pixels: Pixels,
        /// Images of the last decisions, oldest first, along a new axis after the first; 1: the newest only, without the
        /// axis.
        #[serde(default = "one")]
        history: usize,
    },
    /// Bridge's state: x, y, z \[m\], roll, pitch, yaw \[rad\], gripper (0 closed .. 1 open); (1, 7).
    State(Scaling),
    /// Joint positions \[rad\], chain order; (1, n).
    JointPositions(Scaling),
    /// Joint velocities \[rad/s\], chain order; (1, n).
    JointVelocities(Scaling),
    /// Gripper opening (0 closed .. 1 open); (1, 1).
    Gripper,
    /// The task, one-hot; (1, tasks).
    Task,
    /// Numbers that stand for the instruction, computed where the network was trained; (1, n).
    Instruction {
        /// A safetensors file beside `policy.toml`: for each known instruction, which is the key, n numbers (f32).
        embeddings: PathBuf,
        /// Its SHA-256.
        digest: String,
    },
    /// Image of the completed task; its shape follows from this size.
    Goal {
        /// Side of the square it is squashed to \[pixels\].
        size: u32,
        /// Where the colors are.
        #[serde(default)]
        channels: Channels,
        /// What the numbers are.
        #[serde(default)]
        pixels: Pixels,
    },
}

impl Input {
    /// Its kind, as `policy.toml` spells it.
    pub fn word(&self) -> &'static str {
        match self {
            Input::Image { .. } => "image",
            Input::State(_) => "state",
            Input::JointPositions(_) => "joint_positions",
            Input::JointVelocities(_) => "joint_velocities",
            Input::Gripper => "gripper",
            Input::Task => "task",
            Input::Instruction { .. } => "instruction",
            Input::Goal { .. } => "goal",
        }
    }
}

fn one() -> usize {
    1
}

/// Scaling of an input: (value - mean) / std; unscaled without both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// One for each number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mean: Vec<f64>,
    /// One for each number, more than 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub std: Vec<f64>,
}

impl Scaling {
    /// Does it fit `count` numbers?
    fn fits(&self, count: usize) -> bool {
        let plain = self.mean.is_empty() && self.std.is_empty();
        let whole = self.mean.len() == count && self.std.len() == count;
        plain || (whole && self.std.iter().all(|std| *std > 0.0) && self.mean.iter().all(|mean| mean.is_finite()))
    }

    /// The scaled numbers.
    pub fn apply(&self, values: &[f64]) -> Vec<f32> {
        let of = |list: &[f64], i: usize, plain: f64| list.get(i).copied().unwrap_or(plain);
        let scaled =
            values.iter().enumerate().map(|(i, value)| (value - of(&self.mean, i, 0.0)) / of(&self.std, i, 1.0));
        scaled.map(|value| value as f32).collect()
    }
}

/// Position of an image's color axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// (1, 3, height, width), as PyTorch's.
    #[default]
    First,
    /// (1, height, width, 3), as JAX's and TensorFlow's.
    Last,
}

/// What an image's numbers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pixels {
    /// 0 to 255, u8.
    Bytes,
    /// 0 to 1, f32.
    #[default]
    Unit,
    /// -1 to 1, f32.
    Centered,
    /// 0 to 1 less ImageNet's mean, over its standard deviation, f32.
    Imagenet,
}

impl Description {
    /// The present format.
    pub const VERSION: u32 = 1;

    /// Reads `policy.toml` and checks everything that needs no station.
    pub fn load(folder: &Path) -> Result<Self, PolicyError> {
        let path = Checkpoint::path(folder);
        let description: Self = load(&path)?;
        description.check_alone(&path)?;
        Ok(description)
    }

    /// Is a camera's image among the inputs?
    pub fn looks_at_images(&self) -> bool {
        self.input.iter().any(|input| matches!(input, Input::Image { .. }))
    }

    fn check_alone(&self, path: &Path) -> Result<(), ConfigError> {
        let unfit = |key: String, found: String, expected: String, fix: &str| {
            Err(ConfigError::unfit(path, key, found, expected, fix))
        };
        if self.version != Self::VERSION {
            let (found, expected) = (self.version.to_string(), Self::VERSION.to_string());
            return unfit("version".into(), found, expected, "write it anew with `visuomotor policy new`");
        }
        self.output.check_alone(path)?;
        for (i, input) in self.input.iter().enumerate() {
            let key = |name: &str| format!("input[{i}].{name}");
            let (size, history) = match input {
                Input::Image { size, history, .. } => (*size, *history),
                Input::Goal { size, .. } => (*size, 1),
                Input::Task if self.tasks.is_empty() => {
                    return unfit(key("kind"), "task".into(), "tasks to choose from".into(), "name them under tasks");
                }
                Input::State(scaling) if !scaling.fits(7) => {
                    let found = format!("{} and {}", scaling.mean.len(), scaling.std.len());
                    let expected = "7 means and 7 standard deviations above 0, or neither".into();
                    return unfit(key("mean, std"), found, expected, "give both or leave both out");
                }
                _ => continue,
            };
            if !(1..=LARGEST.0).contains(&size) {
                let expected = format!("1 to {} pixels", LARGEST.0);
                return unfit(key("size"), size.to_string(), expected, "the side of the image forward takes");
            }
            if !(1..=LARGEST.1).contains(&history) {
                let expected = format!("1 to {} images", LARGEST.1);
                return unfit(key("history"), history.to_string(), expected, "1 is the newest image alone");
            }
        }
        Ok(())
    }

    /// Refuses a station or a task that this policy was not made for. `cameras` are the launch file's.
    pub fn check(
        &self,
        folder: &Path,
        offer: &Offer<'_>,
        cameras: &[&str],
        condition: &Condition<'_>,
    ) -> Result<(), PolicyError> {
        let task = condition.task;
        let unfit = |key, trained: String, found: String, fix| {
            Err(PolicyError::Unfit { file: Checkpoint::path(folder), key, trained, found, fix })
        };
        if self.robot != offer.robot {
            return unfit("robot", self.robot.clone(), offer.robot.into(), "choose a policy of this arm");
        }
        // Written so that NaN fails it.
        if !((self.rate_hz - offer.rate_hz).abs() < 1e-9) {
            let (trained, found) = (format!("{} Hz", self.rate_hz), format!("{} Hz", offer.rate_hz));
            return unfit("rate_hz", trained, found, "set policy.rate_hz in the launch file");
        }
        let kind = self.output.actions.motion();
        if !offer.law.takes(kind) {
            let found = format!("the control law `{}`", offer.law);
            return unfit("output.actions", kind.to_string(), found, ControlLaw::CHOICE);
        }
        let width = self.output.width(offer.joints);
        if let Some(entries) = self.output.scaling.width().filter(|entries| *entries != width) {
            let found = format!("{width} numbers of an action on an arm of {} joints", offer.joints);
            let fix = "give one entry for each number of an action, the gripper's last";
            return unfit("output.scaling", format!("{entries} entries"), found, fix);
        }
        if self.output.units == Units::Normalized && self.bounds != *offer.bounds {
            let (trained, found) = (format!("{:?}", self.bounds), format!("{:?}", offer.bounds));
            return unfit("bounds", trained, found, "set policy.bounds in the launch file");
        }
        if !self.tasks.is_empty() && !self.tasks.iter().any(|known| known == task) {
            return unfit("tasks", self.tasks.join(", "), task.into(), "choose one of the policy's tasks");
        }
        for input in &self.input {
            match input {
                Input::Image { camera, .. } if !cameras.contains(&camera.as_str()) => {
                    let found = format!("the cameras {}", cameras.join(", "));
                    let fix = "name the camera as the launch file does, in one of the two";
                    return unfit("input.camera", format!("a camera `{camera}`"), found, fix);
                }
                Input::JointPositions(scaling) | Input::JointVelocities(scaling) if !scaling.fits(offer.joints) => {
                    let found = format!("{} joints", offer.joints);
                    let trained = format!("{} means and {} standard deviations", scaling.mean.len(), scaling.std.len());
                    return unfit(
                        "input.mean, input.std",
                        trained,
                        found,
                        "give one for each joint, or leave both out",
                    );
                }
                Input::Goal { .. } if condition.goal.is_none() => {
                    let fix = "name one under [[task]] goal in the launch file, or with --goal";
                    return unfit("input.kind", "an image of the task done".into(), "none".into(), fix);
                }
                _ => {}
            }
        }
        for known in instructions::all(folder, self)?.iter().flatten() {
            known.of(folder, condition.instruction)?;
        }
        Ok(())
    }
}
