//! Our own policies as folders for other programs: one ONNX graph and a `policy.toml` that describes its inputs.
//!
//! `policy.toml` holds the scaling of state and joints; the graph contains everything else: image preprocessing, encoder,
//! head, units. The action is the executed one, without spread.

use std::path::Path;

use tch::TchError;

use super::brought::{ActionKind, Channels, Description, Input, Module, Output, OutputScaling, Pixels, Scaling, Units};
use super::checkpoint::Checkpoint;
use super::torque_head::JointScale;
use super::visual_policy::{Head, VisualPolicy};
use crate::encoder::EncoderError;
use visuomotor_core::action::ActionBounds;
use visuomotor_core::config::digest;
use visuomotor_core::onnx::{Graph, Value};

/// File of the graph in the folder.
const FILE: &str = "module.onnx";

/// A policy cannot be written as ONNX.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// Its encoder cannot.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// libtorch refused.
    #[error("the weights cannot be read back from the network: {0}")]
    Network(#[from] TchError),
}

/// A policy folder before it is written.
#[derive(Clone, Debug)]
pub struct Converted {
    /// Its `policy.toml`.
    pub description: Description,
    /// The ONNX file that it names.
    pub module: Vec<u8>,
}

impl Converted {
    /// Creates and writes the folder; `policy.toml` last.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join(&self.description.module.file), &self.module)?;
        let text = toml::to_string_pretty(&self.description).map_err(std::io::Error::other)?;
        std::fs::write(Checkpoint::path(folder), text)
    }
}

impl VisualPolicy {
    /// The same policy as an ONNX graph, looking through the camera of this name.
    pub fn to_onnx(&self, camera: &str) -> Result<Converted, ConvertError> {
        let checkpoint = &self.checkpoint;
        let (side, tasks) = (checkpoint.image_size, checkpoint.tasks.len() as i64);
        let mut graph = Graph::default();
        let image = graph.input("image", &[1, 3, i64::from(side), i64::from(side)]);
        let (state, task) = (graph.input("state", &[1, 7]), graph.input("task", &[1, tasks]));
        let condition = graph.concatenate(&[&state, &task], 1);
        let embedding = self.encoder.write(&mut graph, &image, side)?;
        let mut inputs = inputs(checkpoint, camera);
        let (output, actions, units, joints) = match &self.head {
            Head::Places(head) => {
                let action = head.write(&mut graph, &embedding, &condition)?;
                (gripper_of(&mut graph, &action, &checkpoint.bounds), ActionKind::PoseChange, Units::Normalized, 0)
            }
            Head::Actor(actor) => {
                let action = actor.write(&mut graph, &embedding, &condition)?;
                (gripper_of(&mut graph, &action, &checkpoint.bounds), ActionKind::PoseChange, Units::Normalized, 0)
            }
            Head::Torques(torques) => {
                let (head, scale) = &**torques;
                inputs.extend(body(scale));
                let joints = scale.joints();
                let body = ["joint_positions", "joint_velocities"].map(|name| graph.input(name, &[1, joints as i64]));
                let body = graph.concatenate(&[&body[0], &body[1]], 1);
                let scaled = head.write(&mut graph, &embedding, &condition, &body)?;
                (newton_meters(&mut graph, &scaled, scale), ActionKind::JointTorques, Units::Si, joints)
            }
        };
        let described =
            Output { actions, units, scaling: OutputScaling::default(), chunk: 1, execute: None, blend: 0.0 };
        let module = graph.finish(&checkpoint.name, (&output, "action", &[1, described.width(joints) as i64]));
        let description = Description {
            version: Description::VERSION,
            name: checkpoint.name.clone(),
            robot: checkpoint.robot.clone(),
            rate_hz: checkpoint.rate_hz,
            tasks: checkpoint.tasks.clone(),
            bounds: checkpoint.bounds,
            module: Module { file: FILE.into(), digest: digest(&module), data: Vec::new() },
            input: inputs,
            output: described,
        };
        Ok(Converted { description, module })
    }
}

/// Image, state and task, in the graph's order.
fn inputs(checkpoint: &Checkpoint, camera: &str) -> Vec<Input> {
    let image = Input::Image {
        camera: camera.into(),
        size: checkpoint.image_size,
        channels: Channels::First,
        pixels: Pixels::Unit,
        history: 1,
    };
    let state = Scaling { mean: checkpoint.state.mean.to_vec(), std: checkpoint.state.std.to_vec() };
    vec![image, Input::State(state), Input::Task]
}

/// Joint positions and velocities.
fn body(scale: &JointScale) -> [Input; 2] {
    let positions = Scaling { mean: scale.position_mean.to_vec(), std: scale.position_std.to_vec() };
    let velocities = Scaling { mean: vec![0.0; scale.joints()], std: scale.velocity_std.to_vec() };
    [Input::JointPositions(positions), Input::JointVelocities(velocities)]
}

/// Scales the gripper from the bounds, which other policies do not have, to -1 (closed) .. 1 (open).
fn gripper_of(graph: &mut Graph, action: &Value, bounds: &ActionBounds) -> Value {
    let (low, high) = (bounds.low[6], bounds.high[6]);
    if (low, high) == (0.0, 1.0) {
        return action.clone();
    }
    let (mut factor, mut offset) = ([1.0; 7], [0.0; 7]);
    (factor[6], offset[6]) = ((high - low) as f32, (low + high - 1.0) as f32);
    scaled(graph, action, &factor, &offset)
}

/// Torques \[Nm\] and the gripper's opening of the head's scaled numbers.
fn newton_meters(graph: &mut Graph, head_output: &Value, scale: &JointScale) -> Value {
    let mut factor: Vec<f32> = scale.torque_std.iter().map(|torque| *torque as f32).collect();
    let mut offset = vec![0.0; factor.len()];
    factor.push(0.5);
    offset.push(0.5);
    scaled(graph, head_output, &factor, &offset)
}

fn scaled(graph: &mut Graph, x: &Value, factor: &[f32], offset: &[f32]) -> Value {
    let shape = [1, factor.len() as i64];
    let (factor, offset) = (graph.constant(&shape, factor), graph.constant(&shape, offset));
    let y = graph.apply("Mul", &[x, &factor], &[]);
    graph.apply("Add", &[&y, &offset], &[])
}
