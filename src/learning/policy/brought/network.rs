//! The network of a policy that was made elsewhere, in either format: loaded, tried out, run.

use std::path::{Path, PathBuf};

use tch::{CModule, Device, IValue, Kind, TchError, Tensor};

use super::instructions::{self, Instructions};
#[cfg(feature = "onnx")]
use super::onnx;
use super::{Description, Output, inputs, script};
use crate::policy::checkpoint::PolicyError;
use visuomotor_core::action::ActionError;
use visuomotor_core::untrusted;

/// Why a module is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    /// What was found.
    pub what: String,
    /// What to do.
    pub fix: &'static str,
}

/// A loaded module.
pub(super) enum Network {
    TorchScript(CModule),
    #[cfg(feature = "onnx")]
    Onnx(onnx::Onnx),
}

/// What a network returned.
pub(super) struct Returned {
    pub shape: Vec<i64>,
    pub numbers: Vec<f64>,
}

/// Loads the module of a policy folder and runs it once with made-up inputs of an arm with that many joints, to check that
/// the folder is complete.
pub fn try_out(folder: &Path, description: &Description, joints: usize) -> Result<(), PolicyError> {
    let instructions = instructions::all(folder, description)?;
    Network::load(folder, description, &instructions, joints).map(drop)
}

impl Network {
    /// The module of a policy folder, checked and run once with made-up inputs of an arm with that many joints.
    pub fn load(
        folder: &Path,
        description: &Description,
        instructions: &[Option<Instructions>],
        joints: usize,
    ) -> Result<Self, PolicyError> {
        let module = &description.module;
        let file = folder.join(&module.file);
        let bytes = read(folder, &file, &module.digest)?;
        let tried = inputs::made_up(description, instructions, joints).map_err(|error| does_not_fit(&file, &error))?;
        let mut network = if module.is_onnx() {
            onnx(folder, &file, &bytes, description, &tried)?
        } else {
            torch_script(&file, &bytes)?
        };
        network.rows(&description.output, &tried, joints).map_err(|error| does_not_fit(&file, &error))?;
        Ok(network)
    }

    /// The network's output: rows of numbers, one for each action of a chunk.
    pub fn rows(&mut self, output: &Output, tensors: &[Tensor], joints: usize) -> Result<Vec<Vec<f64>>, ActionError> {
        let Returned { shape, numbers } = match self {
            Network::TorchScript(module) => forward(module, tensors)?,
            #[cfg(feature = "onnx")]
            Network::Onnx(module) => module.forward(tensors)?,
        };
        let (steps, width) = (output.chunk as i64, output.width(joints));
        // Without the leading axis, and a single action without the chunk's axis.
        let bare: &[i64] = shape.strip_prefix(&[1]).unwrap_or(&shape);
        let fits =
            bare == [steps, width as i64] || shape == [steps, width as i64] || (steps == 1 && bare == [width as i64]);
        if !fits {
            let wanted = format!("(1, {steps}, {width})");
            return Err(ActionError::Network(format!("forward returned shape {shape:?}, expected {wanted}")));
        }
        if !numbers.iter().all(|number| number.is_finite()) {
            return Err(ActionError::NotFinite("an action"));
        }
        Ok(numbers.chunks(width).map(<[f64]>::to_vec).collect())
    }
}

/// Reads a file of the folder and checks its digest against `policy.toml`.
pub(super) fn read(folder: &Path, file: &Path, digest: &str) -> Result<Vec<u8>, PolicyError> {
    let refuse = |what: String, fix: &str| PolicyError::Weights { file: file.into(), what, fix: fix.into() };
    let bytes = untrusted::read_inside(folder, file, untrusted::LARGEST_WEIGHTS)
        .map_err(|error| refuse(format!("cannot be read ({error})"), "put the file beside policy.toml"))?;
    let found = visuomotor_core::config::digest(&bytes);
    if found != digest {
        let what = format!("digest {found}, policy.toml names {digest}");
        return Err(refuse(what, "restore the file, or write policy.toml anew with `visuomotor policy new`"));
    }
    Ok(bytes)
}

/// The refusal as an error about `file`.
pub(super) fn refused(file: &Path, refusal: Refusal) -> PolicyError {
    PolicyError::Weights { file: PathBuf::from(file), what: refusal.what, fix: refusal.fix.into() }
}

fn does_not_fit(file: &Path, error: &ActionError) -> PolicyError {
    let fix = "make [[input]] and [output] in policy.toml say what its forward takes and returns";
    refused(file, Refusal { what: error.to_string(), fix })
}

fn torch_script(file: &Path, bytes: &[u8]) -> Result<Network, PolicyError> {
    script::check(bytes).map_err(|refusal| refused(file, refusal))?;
    let mut module = CModule::load_data_on_device(&mut { bytes }, Device::Cpu).map_err(|error| {
        let what = format!("libtorch cannot load it ({})", first_line(&error.to_string()));
        refused(file, Refusal { what, fix: script::EXPORT })
    })?;
    module.f_set_eval()?;
    Ok(Network::TorchScript(module))
}

#[cfg(feature = "onnx")]
fn onnx(
    folder: &Path,
    file: &Path,
    bytes: &[u8],
    description: &Description,
    tried: &[Tensor],
) -> Result<Network, PolicyError> {
    onnx::Onnx::load(folder, file, bytes, description, tried).map(Network::Onnx)
}

#[cfg(not(feature = "onnx"))]
fn onnx(
    _folder: &Path,
    file: &Path,
    _bytes: &[u8],
    _description: &Description,
    _tried: &[Tensor],
) -> Result<Network, PolicyError> {
    Err(refused(file, without_onnx()))
}

/// The refusal of an ONNX file by a build without onnxruntime.
#[cfg(any(test, not(feature = "onnx")))]
fn without_onnx() -> Refusal {
    Refusal {
        what: "it is an ONNX file, and this program was built without the feature `onnx`".into(),
        fix: "build it with `cargo build --release --features onnx`, or export the policy as TorchScript",
    }
}

fn forward(module: &CModule, tensors: &[Tensor]) -> Result<Returned, ActionError> {
    let network = |error: TchError| ActionError::Network(first_line(&error.to_string()));
    let inputs: Vec<IValue> = tensors.iter().map(|tensor| IValue::Tensor(tensor.shallow_clone())).collect();
    let returned = tch::no_grad(|| module.forward_is(&inputs)).map_err(network)?;
    let IValue::Tensor(returned) = returned else {
        return Err(ActionError::Network("forward returned something other than one tensor".into()));
    };
    let flat = returned.f_to_kind(Kind::Double).and_then(|t| t.f_reshape([-1])).map_err(network)?;
    Ok(Returned { shape: returned.size(), numbers: Vec::<f64>::try_from(flat).map_err(network)? })
}

/// Both libraries append their source locations to an error.
pub(super) fn first_line(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    untrusted::printable_lines(line.trim_start_matches("Internal torch error: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_onnx_explains_how_to_build_with_it() {
        let message = refused(Path::new("policy.onnx"), without_onnx()).to_string();
        assert!(message.starts_with("policy.onnx: ") && message.contains("`onnx`"), "{message}");
        assert!(message.contains("cargo build --release --features onnx"), "{message}");
    }
}
