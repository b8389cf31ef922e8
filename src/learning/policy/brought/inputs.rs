//! Observations as the tensors that `forward` takes.

use std::collections::VecDeque;
use std::path::Path;

use tch::{Kind, TchError, Tensor};

use super::Condition;
use super::description::{Channels, Description, Input, Pixels};
use super::instructions::Instructions;
use crate::encoder::policy_image;
use crate::policy::checkpoint::PolicyError;
use visuomotor_core::action::ActionError;
use visuomotor_core::observation::{Image, Observation};

/// ImageNet's mean and standard deviation of red, green and blue.
const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

/// Makes tensors from observations, and keeps the images of the last ones.
pub struct Inputs {
    inputs: Vec<Input>,
    task: usize,
    tasks: usize,
    goal: Option<Image>,
    /// For each input the instruction's numbers, if it takes them.
    instruction: Vec<Vec<f32>>,
    /// For each input the images of the last decisions, oldest first.
    seen: Vec<VecDeque<Tensor>>,
}

fn network(error: TchError) -> ActionError {
    ActionError::Network(error.to_string())
}

impl Inputs {
    /// For a task condition. `instructions` are the known ones of each input; `folder` is for messages.
    pub fn new(
        folder: &Path,
        description: &Description,
        instructions: &[Option<Instructions>],
        condition: &Condition<'_>,
    ) -> Result<Self, PolicyError> {
        let numbers = |known: &Option<Instructions>| match known {
            Some(known) => known.of(folder, condition.instruction).map(<[f32]>::to_vec),
            None => Ok(Vec::new()),
        };
        Ok(Self {
            inputs: description.input.clone(),
            task: description.tasks.iter().position(|known| known == condition.task).unwrap_or(0),
            tasks: description.tasks.len(),
            goal: condition.goal.cloned(),
            instruction: instructions.iter().map(numbers).collect::<Result<_, _>>()?,
            seen: description.input.iter().map(|_| VecDeque::new()).collect(),
        })
    }

    /// Forgets the images of the last episode.
    pub fn forget(&mut self) {
        self.seen.iter_mut().for_each(VecDeque::clear);
    }

    /// Adds the images of a decision to the history.
    pub fn see(&mut self, observation: &Observation) -> Result<(), ActionError> {
        for (input, seen) in self.inputs.iter().zip(&mut self.seen) {
            let Input::Image { camera, size, channels, pixels, history } = input else { continue };
            let image = observation.images.iter().find(|image| *image.camera == **camera);
            let image = image.ok_or_else(|| ActionError::Observation(format!("no image of the camera `{camera}`")))?;
            let newest = tensor_of(image, *size, *channels, *pixels)?;
            // Before the first decision, the history repeats its image.
            while seen.len() + 1 < *history {
                seen.push_back(newest.shallow_clone());
            }
            while seen.len() >= *history {
                seen.pop_front();
            }
            seen.push_back(newest);
        }
        Ok(())
    }

    /// The arguments of `forward`, in order; [`Inputs::see`] added the images.
    pub fn tensors(&self, observation: &Observation) -> Result<Vec<Tensor>, ActionError> {
        let body = &observation.proprioception;
        let row = |values: &[f32]| Tensor::f_from_slice(values).and_then(|row| row.f_unsqueeze(0)).map_err(network);
        self.inputs
            .iter()
            .zip(&self.seen)
            .zip(&self.instruction)
            .map(|((input, seen), instruction)| match input {
                Input::Image { history, .. } => stacked(seen, *history),
                Input::State(scaling) => row(&scaling.apply(&observation.bridge_state)),
                Input::JointPositions(scaling) => row(&scaling.apply(&body.joint_positions)),
                Input::JointVelocities(scaling) => row(&scaling.apply(&body.joint_velocities)),
                Input::Gripper => row(&[body.gripper as f32]),
                Input::Task => {
                    let one_hot = (0..self.tasks).map(|i| if i == self.task { 1.0 } else { 0.0 });
                    row(&one_hot.collect::<Vec<f32>>())
                }
                Input::Instruction { .. } => row(instruction),
                Input::Goal { size, channels, pixels } => self.goal(*size, *channels, *pixels),
            })
            .collect()
    }

    fn goal(&self, size: u32, channels: Channels, pixels: Pixels) -> Result<Tensor, ActionError> {
        let goal = self.goal.as_ref().ok_or_else(|| ActionError::Observation("no image of the task done".into()))?;
        tensor_of(goal, size, channels, pixels)
    }
}

/// Tensors of the right shapes, gray and zero, to try a module on an arm with that many joints. `instructions` are the known
/// ones of each input.
pub fn made_up(
    description: &Description,
    instructions: &[Option<Instructions>],
    joints: usize,
) -> Result<Vec<Tensor>, ActionError> {
    let numbers = |count: usize| Tensor::f_zeros([1, count as i64], (Kind::Float, tch::Device::Cpu)).map_err(network);
    let gray = |size: u32, channels, pixels| {
        let side = size as usize;
        let image = Image {
            camera: "made up".into(),
            width: size,
            height: size,
            pixels: vec![128u8; 3 * side * side].into(),
            captured_at: visuomotor_core::time::Timestamp::ZERO,
            sequence: 0,
        };
        tensor_of(&image, size, channels, pixels)
    };
    let tensor = |(input, known): (&Input, &Option<Instructions>)| match input {
        Input::Image { size, channels, pixels, history, .. } => {
            let image = gray(*size, *channels, *pixels)?;
            stacked(&(0..*history).map(|_| image.shallow_clone()).collect(), *history)
        }
        Input::Goal { size, channels, pixels } => gray(*size, *channels, *pixels),
        Input::State(_) => numbers(7),
        Input::JointPositions(_) | Input::JointVelocities(_) => numbers(joints),
        Input::Gripper => numbers(1),
        Input::Task => numbers(description.tasks.len()),
        Input::Instruction { .. } => numbers(known.as_ref().map_or(0, Instructions::width)),
    };
    description.input.iter().zip(instructions).map(tensor).collect()
}

/// (1, ...), or (1, history, ...) of more than one image.
fn stacked(seen: &VecDeque<Tensor>, history: usize) -> Result<Tensor, ActionError> {
    let images: Vec<&Tensor> = seen.iter().collect();
    match images.as_slice() {
        [one] if history == 1 => Ok(one.shallow_clone()),
        all => Tensor::f_stack(all, 1).map_err(network),
    }
}

/// An image as a tensor with a leading axis of 1.
fn tensor_of(image: &Image, size: u32, channels: Channels, pixels: Pixels) -> Result<Tensor, ActionError> {
    let image = policy_image(image, size).map_err(|error| ActionError::Observation(error.to_string()))?;
    let side = i64::from(size);
    let make = || {
        let bytes = Tensor::f_from_slice(&image.pixels)?.f_reshape([1, side, side, 3])?;
        let unit = || bytes.f_to_kind(Kind::Float)?.f_div_scalar(255.0);
        let numbers = match pixels {
            Pixels::Bytes => bytes.shallow_clone(),
            Pixels::Unit => unit()?,
            Pixels::Centered => unit()?.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?,
            Pixels::Imagenet => {
                let (mean, std) = (Tensor::f_from_slice(&IMAGENET.0)?, Tensor::f_from_slice(&IMAGENET.1)?);
                unit()?.f_sub(&mean)?.f_div(&std)?
            }
        };
        match channels {
            Channels::Last => Ok(numbers),
            Channels::First => numbers.f_permute([0, 3, 1, 2])?.f_contiguous(),
        }
    };
    make().map_err(network)
}
