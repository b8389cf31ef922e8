//! Known instructions as the numbers that a network takes in their place: a safetensors file beside `policy.toml`, one list of
//! f32 for each text, made where the network was trained.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};

use super::network::{Refusal, read, refused};
use super::{Description, Input};
use crate::encoder::weights::check_description;
use crate::policy::checkpoint::{Checkpoint, PolicyError};
use visuomotor_core::untrusted::printable_lines;

/// How such a file is made.
const MAKE: &str =
    "write it with safetensors.torch.save_file({instruction: embedding, ...}): f32, as many numbers for each";
/// How many instructions a refusal names; the others are counted.
const NAMED: usize = 12;

/// The numbers of each known instruction.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Instructions {
    numbers: BTreeMap<String, Vec<f32>>,
    width: usize,
}

impl Instructions {
    /// Reads a file of the policy folder.
    pub fn load(folder: &Path, file: &Path, digest: &str) -> Result<Self, PolicyError> {
        let file = folder.join(file);
        let bytes = read(folder, &file, digest)?;
        check_description(&file, &bytes)?;
        Self::from_bytes(&bytes).map_err(|what| refused(&file, Refusal { what, fix: MAKE }))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let file = SafeTensors::deserialize(bytes)
            .map_err(|error| format!("it is not a safetensors file ({})", printable_lines(&error.to_string())))?;
        let mut numbers = BTreeMap::new();
        for (text, view) in file.iter() {
            let shown = printable_lines(text);
            if view.dtype() != Dtype::F32 || !matches!(view.shape(), [_] | [1, _]) {
                let (kind, shape) = (view.dtype(), view.shape());
                return Err(format!("key `{shown}`: found {kind:?} {shape:?}, expected F32 of one axis"));
            }
            let values = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            let values: Vec<f32> = values.collect();
            if !values.iter().all(|value| value.is_finite()) {
                return Err(format!("key `{shown}`: found numbers that are NaN or infinite, expected finite ones"));
            }
            numbers.insert(text.to_string(), values);
        }
        let width = numbers.values().next().map_or(0, Vec::len);
        match numbers.iter().find(|(_, values)| values.len() != width) {
            _ if width == 0 => Err("it holds no instruction, or one without numbers".into()),
            Some((text, values)) => Err(format!(
                "key `{}`: found {} numbers, expected {width} as of the others",
                printable_lines(text),
                values.len()
            )),
            None => Ok(Self { numbers, width }),
        }
    }

    /// How many numbers an instruction has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The numbers of an instruction; `folder` is for the message.
    pub fn of(&self, folder: &Path, instruction: &str) -> Result<&[f32], PolicyError> {
        self.numbers.get(instruction).map(Vec::as_slice).ok_or_else(|| PolicyError::Unfit {
            file: Checkpoint::path(folder),
            key: "input.embeddings",
            trained: self.known(),
            found: match instruction {
                "" => "no instruction".into(),
                other => format!("`{other}`"),
            },
            fix: "give one of them with --instruction, or under [[task]] in the launch file",
        })
    }

    fn known(&self) -> String {
        let names: Vec<String> =
            self.numbers.keys().take(NAMED).map(|text| format!("`{}`", printable_lines(text))).collect();
        let more = match self.numbers.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("the instructions {}{more}", names.join(", "))
    }
}

/// The instructions of every input; `None` for inputs of other kinds.
pub(super) fn all(folder: &Path, description: &Description) -> Result<Vec<Option<Instructions>>, PolicyError> {
    let of = |input: &Input| match input {
        Input::Instruction { embeddings, digest } => Instructions::load(folder, embeddings, digest).map(Some),
        _ => Ok(None),
    };
    description.input.iter().map(of).collect()
}

/// The file of an instruction input, for `visuomotor policy new`: reads it and returns its digest.
pub fn embeddings_digest(file: &Path) -> Result<(Vec<u8>, String), PolicyError> {
    let unread = |error: std::io::Error| PolicyError::Weights {
        file: PathBuf::from(file),
        what: format!("cannot be read ({error})"),
        fix: "check the path".into(),
    };
    let bytes = visuomotor_core::untrusted::read(file, visuomotor_core::untrusted::LARGEST_WEIGHTS).map_err(unread)?;
    check_description(file, &bytes)?;
    Instructions::from_bytes(&bytes).map_err(|what| refused(file, Refusal { what, fix: MAKE }))?;
    let digest = visuomotor_core::config::digest(&bytes);
    Ok((bytes, digest))
}
