//! Networks in ONNX files, run by onnxruntime.
//!
//! [`check`] reads the file before the library does: its inputs and outputs, the domains of its operators, the files of its
//! weights. [`library`] opens onnxruntime if it is found. It gets the file and its weights from memory, so that what was
//! hashed is what runs, and no path in the file is followed.

mod check;
#[cfg(test)]
mod encoder_tests;
mod library;

use std::borrow::Cow;
use std::path::Path;

use ort::session::{Session, SessionInputValue};
use ort::value::Tensor as Array;
use tch::{Kind, TchError, Tensor};

use super::Description;
use super::network::{Refusal, Returned, first_line, read, refused};
use crate::policy::checkpoint::PolicyError;
use visuomotor_core::action::ActionError;
use visuomotor_core::onnx::Model;

/// How an ONNX file is made.
const EXPORT: &str = "write it with torch.onnx.export, or with `visuomotor convert --to onnx`";

/// A graph that is ready to run.
pub(super) struct Onnx {
    session: Session,
    /// Names of the graph's inputs, in order.
    names: Vec<String>,
}

impl Onnx {
    /// The graph in `bytes`, the content of `file`; `tried` are tensors as they will go in.
    pub fn load(
        folder: &Path,
        file: &Path,
        bytes: &[u8],
        description: &Description,
        tried: &[Tensor],
    ) -> Result<Self, PolicyError> {
        let model = Model::read(bytes)
            .map_err(|error| refused(file, Refusal { what: format!("it cannot be read: {error}"), fix: EXPORT }))?;
        check::check(&model, description, tried).map_err(|refusal| refused(file, refusal))?;
        let data = &description.module.data;
        let weights = data.iter().map(|data| Ok((&*data.file, read(folder, &folder.join(&data.file), &data.digest)?)));
        let weights = weights.collect::<Result<Vec<_>, PolicyError>>()?;
        let session = library::session(bytes, weights).map_err(|refusal| refused(file, refusal))?;
        let names = model.inputs.into_iter().map(|input| input.name).collect();
        Ok(Self { session, names })
    }

    /// What the graph returns of its inputs.
    pub fn forward(&mut self, tensors: &[Tensor]) -> Result<Returned, ActionError> {
        let values = tensors.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        let inputs: Vec<_> = self.names.iter().map(|name| Cow::from(name.as_str())).zip(values).collect();
        let returned = self.session.run(inputs).map_err(network)?;
        // The check found one output.
        let value =
            returned.values().next().ok_or_else(|| ActionError::Network("the graph returned nothing".into()))?;
        if let Ok((shape, numbers)) = value.try_extract_tensor::<f32>() {
            return Ok(Returned { shape: shape.to_vec(), numbers: numbers.iter().map(|x| f64::from(*x)).collect() });
        }
        let (shape, numbers) = value.try_extract_tensor::<f64>().map_err(network)?;
        Ok(Returned { shape: shape.to_vec(), numbers: numbers.to_vec() })
    }
}

fn network<R>(error: ort::Error<R>) -> ActionError {
    ActionError::Network(first_line(&error.to_string()))
}

/// The same numbers for onnxruntime.
fn value(tensor: &Tensor) -> Result<SessionInputValue<'static>, ActionError> {
    let torch = |error: TchError| ActionError::Network(first_line(&error.to_string()));
    let (shape, flat) = (tensor.size(), tensor.f_reshape([-1]).map_err(torch)?);
    Ok(match tensor.kind() {
        Kind::Uint8 => Array::from_array((shape, Vec::<u8>::try_from(flat).map_err(torch)?)).map_err(network)?.into(),
        _ => Array::from_array((shape, Vec::<f32>::try_from(flat).map_err(torch)?)).map_err(network)?.into(),
    })
}
