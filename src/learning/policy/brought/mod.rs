//! Policies that were made elsewhere: a TorchScript module or an ONNX file beside a `policy.toml` that describes its inputs
//! and outputs.
//!
//! [`Description`] is that file; [`inputs`] turns observations into tensors, [`network`] loads and runs the module,
//! [`script`] refuses TorchScript that could access a file or start a process, [`onnx`] opens ONNX files, [`chunk`] executes
//! several actions of one inference, [`output`] turns numbers into decisions. Start reading at [`BroughtPolicy::decide`].

mod chunk;
mod description;
mod inputs;
mod instructions;
mod network;
#[cfg(feature = "onnx")]
mod onnx;
mod output;
mod script;
#[cfg(all(test, feature = "onnx"))]
mod onnx_tests;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::chunk::Chunk;
pub use self::description::{Channels, Data, Description, Input, Module, Pixels, Scaling};
use self::inputs::Inputs;
use self::instructions::Instructions;
pub use self::instructions::embeddings_digest;
use self::network::Network;
pub use self::network::try_out;
pub use self::output::{ActionKind, Output, OutputScaling, Units};
use super::checkpoint::{Checkpoint, Offer, PolicyError};
use visuomotor_core::action::{ActionError, ActionSource, Decision, Planned};
use visuomotor_core::geometry::Approach;
use visuomotor_core::observation::{Image, Observation};
use visuomotor_core::time::Clock;

/// The task a policy is to perform.
#[derive(Clone, Copy, Debug, Default)]
pub struct Condition<'a> {
    /// Name of the task.
    pub task: &'a str,
    /// Instruction in plain words; may be empty.
    pub instruction: &'a str,
    /// Image of the completed task.
    pub goal: Option<&'a Image>,
}

/// A policy that was made elsewhere, for one task.
pub struct BroughtPolicy {
    folder: PathBuf,
    description: Description,
    /// The known instructions of each input.
    instructions: Vec<Option<Instructions>>,
    network: Network,
    inputs: Inputs,
    chunk: Chunk,
    approach: Approach,
    stopwatch: Arc<dyn Clock>,
}

impl BroughtPolicy {
    /// Is the policy in this folder one that was made elsewhere?
    pub fn is_in(folder: &Path) -> bool {
        visuomotor_core::config::load::<toml::Table>(&Checkpoint::path(folder))
            .is_ok_and(|file| file.contains_key("module"))
    }

    /// Loads the policy in `folder` for a station and a task, refuses one that does not fit, and runs it once with made-up
    /// images, so that a module of another shape is found before anything moves.
    pub fn load(
        folder: &Path,
        offer: &Offer<'_>,
        cameras: &[&str],
        condition: &Condition<'_>,
        stopwatch: Arc<dyn Clock>,
    ) -> Result<Self, PolicyError> {
        let description = Description::load(folder)?;
        description.check(folder, offer, cameras, condition)?;
        let instructions = instructions::all(folder, &description)?;
        let network = Network::load(folder, &description, &instructions, offer.joints)?;
        let inputs = Inputs::new(folder, &description, &instructions, condition)?;
        let chunk = Chunk::new(&description.output, 1.0 / description.rate_hz);
        let folder = folder.into();
        let approach = offer.approach;
        Ok(Self { folder, description, instructions, network, inputs, chunk, approach, stopwatch })
    }

    /// Switches to another task condition.
    pub fn set_task(&mut self, condition: &Condition<'_>) -> Result<(), PolicyError> {
        self.inputs = Inputs::new(&self.folder, &self.description, &self.instructions, condition)?;
        self.chunk.forget();
        Ok(())
    }

    /// The policy's `policy.toml`.
    pub fn description(&self) -> &Description {
        &self.description
    }
}

impl ActionSource for BroughtPolicy {
    fn name(&self) -> &str {
        &self.description.name
    }

    fn reset(&mut self) {
        self.inputs.forget();
        self.chunk.forget();
    }

    fn decide(&mut self, observation: &Observation) -> Result<Decision, ActionError> {
        let begin = self.stopwatch.now();
        self.inputs.see(observation)?;
        let mut acted = begin;
        if self.chunk.is_used_up(observation.observed_at) {
            // A new inference.
            let tensors = self.inputs.tensors(observation)?;
            let joints = observation.proprioception.joint_positions.len();
            let rows = self.network.rows(&self.description.output, &tensors, joints)?;
            acted = self.stopwatch.now();
            let captured_at = observation.images.first().map_or(observation.observed_at, |image| image.captured_at);
            self.chunk.begin(rows, captured_at, observation.observed_at);
        }
        let next = self.chunk.next().ok_or_else(|| ActionError::Ended("the chunk is empty".into()))?;
        let Description { output, bounds, rate_hz, .. } = &self.description;
        let decision = output.decision(&next.row, self.approach, bounds, *rate_hz)?;
        Ok(Decision {
            planned: Some(Planned { image_captured_at: next.captured_at, ahead: next.ahead }),
            policy_seconds: acted.since(begin).as_secs_f64(),
            ..decision
        })
    }

    fn look_anew(&mut self) {
        self.inputs.forget();
        self.chunk.forget();
    }

    fn looks_at_images(&self) -> bool {
        self.description.looks_at_images()
    }
}
