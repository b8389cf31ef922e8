//! Policies that were made elsewhere: a TorchScript module beside a `policy.toml` that says what goes in and what comes out.
//!
//! [`Description`] is that file; [`inputs`] turns observations into tensors, [`script`] refuses a module that could touch a file
//! or start a process, [`chunk`] carries out several actions of one look, [`output`] turns their numbers into decisions. Start
//! reading at [`BroughtPolicy::decide`].

mod chunk;
mod description;
mod inputs;
mod output;
mod script;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use tch::{CModule, Device, IValue, Tensor};

use self::chunk::Chunk;
pub use self::description::{Channels, Description, Input, Module, Pixels};
use self::inputs::Inputs;
pub use self::output::{ActionKind, Output, OutputScaling, Units};
use super::checkpoint::{Checkpoint, Offer, PolicyError};
use crate::action::{ActionError, ActionSource, Decision, Planned};
use crate::geometry::Approach;
use crate::observation::{Image, Observation};
use crate::time::Clock;
use crate::untrusted;

/// A policy that was made elsewhere, for one task.
pub struct BroughtPolicy {
    description: Description,
    module: CModule,
    inputs: Inputs,
    chunk: Chunk,
    approach: Approach,
    stopwatch: Arc<dyn Clock>,
}

impl BroughtPolicy {
    /// Is the policy in this folder one that was made elsewhere?
    pub fn is_in(folder: &Path) -> bool {
        crate::config::load::<toml::Table>(&Checkpoint::path(folder)).is_ok_and(|file| file.contains_key("module"))
    }

    /// Loads the policy in `folder` for a station and a task, refuses one that does not fit, and asks it once with made-up
    /// images: a module of another shape is found before anything moves. `goal` is an image of the task done.
    pub fn load(
        folder: &Path,
        offer: &Offer<'_>,
        cameras: &[&str],
        (task, goal): (&str, Option<&Image>),
        stopwatch: Arc<dyn Clock>,
    ) -> Result<Self, PolicyError> {
        let description = Description::load(folder)?;
        description.check(folder, offer, cameras, task, goal.is_some())?;
        let module = load_module(folder, &description, offer.joints)?;
        let inputs = Inputs::new(&description, task, goal);
        let chunk = Chunk::new(&description.output, 1.0 / description.rate_hz);
        Ok(Self { description, module, inputs, chunk, approach: offer.approach, stopwatch })
    }

    /// Acts for another of its tasks from now on; `goal` is an image of it done.
    pub fn set_task(&mut self, task: &str, goal: Option<Image>) {
        self.inputs = Inputs::new(&self.description, task, goal.as_ref());
        self.chunk.forget();
    }

    /// What the policy was made for.
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
            // A new look.
            let tensors = self.inputs.tensors(observation)?;
            let joints = observation.proprioception.joint_positions.len();
            let rows = evaluate(&self.module, &self.description.output, &tensors, joints)?;
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

/// The module of a policy folder, checked and asked once with made-up inputs of an arm with so many joints.
pub fn load_module(folder: &Path, description: &Description, joints: usize) -> Result<CModule, PolicyError> {
    let file = folder.join(&description.module.file);
    let weights = |what: String, fix: &str| PolicyError::Weights { file: file.clone(), what, fix: fix.into() };
    let bytes = untrusted::read_inside(folder, &file, untrusted::LARGEST_WEIGHTS)
        .map_err(|error| weights(format!("cannot be read ({error})"), "put the module beside policy.toml"))?;
    let found = crate::config::digest(&bytes);
    if found != description.module.digest {
        let what = format!("digest {found}, policy.toml names {}", description.module.digest);
        return Err(weights(what, "restore the module, or write the file anew with `visuomotor policy new`"));
    }
    script::check(&bytes).map_err(|refusal| weights(refusal.what, refusal.fix))?;
    let mut module = CModule::load_data_on_device(&mut bytes.as_slice(), Device::Cpu)
        .map_err(|error| weights(format!("libtorch cannot load it ({})", first_line(&error)), script::EXPORT))?;
    module.f_set_eval()?;
    let tried = inputs::made_up(description, joints);
    tried.and_then(|tensors| evaluate(&module, &description.output, &tensors, joints)).map_err(|error| {
        weights(error.to_string(), "make [[input]] and [output] in policy.toml say what its forward takes and returns")
    })?;
    Ok(module)
}

/// What the module says of its inputs: rows of numbers, one for each action of a chunk.
fn evaluate(
    module: &CModule,
    output: &Output,
    tensors: &[Tensor],
    joints: usize,
) -> Result<Vec<Vec<f64>>, ActionError> {
    let network = |error: tch::TchError| ActionError::Network(first_line(&error));
    let inputs: Vec<IValue> = tensors.iter().map(|tensor| IValue::Tensor(tensor.shallow_clone())).collect();
    let said = tch::no_grad(|| module.forward_is(&inputs)).map_err(network)?;
    let IValue::Tensor(said) = said else {
        return Err(ActionError::Network("forward returned something other than one tensor".into()));
    };
    let (steps, width) = (output.chunk as i64, output.width(joints));
    let shape = said.size();
    // Without the leading axis, and a single action without the chunk's.
    let bare: &[i64] = shape.strip_prefix(&[1]).unwrap_or(&shape);
    let fits =
        bare == [steps, width as i64] || shape == [steps, width as i64] || (steps == 1 && bare == [width as i64]);
    if !fits {
        let wanted = format!("(1, {steps}, {width})");
        return Err(ActionError::Network(format!("forward returned shape {shape:?}, expected {wanted}")));
    }
    let flat = said.f_to_kind(tch::Kind::Double).and_then(|t| t.f_reshape([-1])).map_err(network)?;
    let numbers = Vec::<f64>::try_from(flat).map_err(network)?;
    if !numbers.iter().all(|number| number.is_finite()) {
        return Err(ActionError::NotFinite("an action"));
    }
    Ok(numbers.chunks(width).map(<[f64]>::to_vec).collect())
}

/// libtorch's errors go on with a stack of C++ calls.
fn first_line(error: &tch::TchError) -> String {
    let text = error.to_string();
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    untrusted::printable_lines(line.trim_start_matches("Internal torch error: "))
}
