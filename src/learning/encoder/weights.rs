//! Weights files: safetensors, read whole, checked against the network, identified by the SHA-256 of their bytes.
//!
//! A file is read into memory once and hashed there: what is hashed is what is loaded, even if the file is replaced
//! meanwhile. Values may be f32, f16, bf16 or f64 and become f32. Counters of BatchNorm (`*.num_batches_tracked`) are
//! skipped; inference does not use them.
//! What is refused: see [`WeightsError`]; every message names the file, the key, what was found, what was expected and
//! what to do.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tch::nn::VarStore;
use tch::{Kind, TchError, Tensor};

use visuomotor_core::config::digest;
use visuomotor_core::untrusted::{self, shown};

/// A weights file does not fit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// It cannot be read or written.
    #[error("{path}: cannot be {attempt} ({source}); check the path and the permissions", path = shown(path))]
    File {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        attempt: &'static str,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// It is not a safetensors file.
    #[error(
        "{path}: not a safetensors file ({message}); turn a PyTorch checkpoint into one with `visuomotor convert`",
        path = shown(path)
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// One tensor is missing, too many, of another shape, of another type, or not finite.
    #[error("{path}: key `{key}`: found {found}, expected {expected}; {fix}", path = shown(path))]
    Unfit {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        key: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
        /// What to do.
        fix: &'static str,
    },
    /// libtorch refused.
    #[error("{path}: libtorch refused the weights: {source}", path = shown(path))]
    Torch {
        /// The file.
        path: PathBuf,
        /// The reader's error.
        source: TchError,
    },
}

const OTHER_NETWORK: &str = "the file is of another network: choose the encoder it was made for, or convert it again";
const BROKEN: &str = "the file is damaged or the training diverged: use another one";

/// Longest safetensors header read \[bytes\]; parsed, it takes ten times the memory. ViT-H's takes 60 kB.
const LONGEST_DESCRIPTION: u64 = 16 << 20;

/// Refuses a safetensors file whose header would take too much memory; the library reports all other errors.
pub(crate) fn check_description(path: &Path, bytes: &[u8]) -> Result<(), WeightsError> {
    match bytes.first_chunk().map(|length| u64::from_le_bytes(*length)) {
        Some(length) if length > LONGEST_DESCRIPTION && length < bytes.len() as u64 => Err(WeightsError::Unfit {
            path: path.to_path_buf(),
            key: "header".into(),
            found: format!("a description of {length} bytes"),
            expected: format!("at most {LONGEST_DESCRIPTION}"),
            fix: "no network of this program has that many tensors: use another file",
        }),
        _ => Ok(()),
    }
}

/// A weights file in memory.
pub struct Weights {
    path: PathBuf,
    bytes: Vec<u8>,
    digest: String,
}

impl Weights {
    /// Reads the file; [`Weights::fill`] checks its tensors.
    pub fn read(path: &Path) -> Result<Weights, WeightsError> {
        let bytes = untrusted::read(path, untrusted::LARGEST_WEIGHTS).map_err(|source| WeightsError::File {
            path: path.to_path_buf(),
            attempt: "read",
            source,
        })?;
        Weights::from_bytes(path, bytes)
    }

    /// From the file's bytes; `path` is for messages only.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Weights, WeightsError> {
        check_description(path, &bytes)?;
        SafeTensors::deserialize(&bytes)
            .map_err(|error| WeightsError::Format { path: path.to_path_buf(), message: error.to_string() })?;
        let digest = digest(&bytes);
        Ok(Weights { path: path.to_path_buf(), bytes, digest })
    }

    /// SHA-256 of the file, hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Name and shape of every tensor.
    pub fn shapes(&self) -> Result<BTreeMap<String, Vec<i64>>, WeightsError> {
        Ok(self.parse()?.iter().map(|(name, view)| (name.to_string(), shape(&view))).collect())
    }

    /// Copies the tensors whose names begin with `prefix` into the variables named by the rest of the name. Every
    /// variable must be there, and nothing else under that prefix.
    pub fn fill(&self, variables: &VarStore, prefix: &str) -> Result<(), WeightsError> {
        let file = self.parse()?;
        let variables = variables.variables();
        let found: BTreeMap<&str, TensorView> = file
            .iter()
            .filter_map(|(name, view)| Some((name.strip_prefix(prefix)?, view)))
            .filter(|(name, _)| !is_counter(name))
            .collect();
        let mut names: Vec<&String> = variables.keys().collect();
        names.sort();
        for name in names {
            let expected = variables[name].size();
            let Some(view) = found.get(name.as_str()) else {
                return Err(self.unfit(prefix, name, "nothing", format!("shape {expected:?}"), OTHER_NETWORK));
            };
            if shape(view) != expected {
                let found = format!("shape {:?}", shape(view));
                return Err(self.unfit(prefix, name, found, format!("shape {expected:?}"), OTHER_NETWORK));
            }
        }
        for name in found.keys() {
            if !variables.contains_key(*name) {
                return Err(self.unfit(prefix, name, "a tensor", "no tensor of this name", OTHER_NETWORK));
            }
        }
        for (name, mut variable) in variables {
            let Some(kind) = kind(found[name.as_str()].dtype()) else {
                let (found, fix) = (format!("{:?}", found[name.as_str()].dtype()), "convert the file again");
                return Err(self.unfit(prefix, &name, found, "f32, f16, bf16 or f64", fix));
            };
            let torch = |source| WeightsError::Torch { path: self.path.clone(), source };
            let values = tensor(&found[name.as_str()], kind).map_err(torch)?;
            if let Some(value) = not_finite(&values).map_err(torch)? {
                return Err(self.unfit(prefix, &name, value, "finite numbers", BROKEN));
            }
            tch::no_grad(|| variable.f_copy_(&values)).map_err(torch)?;
        }
        Ok(())
    }

    fn parse(&self) -> Result<SafeTensors<'_>, WeightsError> {
        SafeTensors::deserialize(&self.bytes)
            .map_err(|error| WeightsError::Format { path: self.path.clone(), message: error.to_string() })
    }

    fn unfit(
        &self,
        prefix: &str,
        key: &str,
        found: impl Into<String>,
        expected: impl Into<String>,
        fix: &'static str,
    ) -> WeightsError {
        let (path, key) = (self.path.clone(), format!("{prefix}{key}"));
        WeightsError::Unfit { path, key, found: found.into(), expected: expected.into(), fix }
    }
}

/// Is this a counter that BatchNorm keeps while training?
pub fn is_counter(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
}

fn shape(view: &TensorView) -> Vec<i64> {
    // A dimension beyond i64 fits no variable.
    view.shape().iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect()
}

fn kind(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F32 => Some(Kind::Float),
        Dtype::F16 => Some(Kind::Half),
        Dtype::BF16 => Some(Kind::BFloat16),
        Dtype::F64 => Some(Kind::Double),
        _ => None,
    }
}

fn tensor(view: &TensorView, kind: Kind) -> Result<Tensor, TchError> {
    Tensor::f_from_data_size(view.data(), &shape(view), kind)?.f_to_kind(Kind::Float)
}

/// Returns what is not finite in `values`, if anything.
fn not_finite(values: &Tensor) -> Result<Option<String>, TchError> {
    let count = i64::try_from(values.f_isfinite()?.f_logical_not()?.f_sum(Kind::Int64)?)?;
    Ok((count > 0).then(|| format!("{count} values that are NaN or infinite")))
}

/// Writes the variables, e.g. after training, as f32. The file is written atomically; `note` goes into its header.
pub fn save(variables: &VarStore, path: &Path, note: &str) -> Result<(), WeightsError> {
    let torch = |source| WeightsError::Torch { path: path.to_path_buf(), source };
    let mut arrays = Vec::new();
    for (name, variable) in variables.variables() {
        let flat = variable.f_detach().and_then(|t| t.f_to_device(tch::Device::Cpu)).and_then(|t| t.f_view(-1));
        let values = flat.and_then(|t| Vec::<f32>::try_from(t.f_to_kind(Kind::Float)?)).map_err(torch)?;
        arrays.push((name, variable.size(), values));
    }
    write(path, &arrays, note)
}

/// Writes named f32 arrays (name, shape, row-major values) as safetensors.
pub fn write(path: &Path, arrays: &[(String, Vec<i64>, Vec<f32>)], note: &str) -> Result<(), WeightsError> {
    write_bytes(path, &to_bytes(path, arrays, note)?)
}

/// The file that [`write()`] writes; `path` is for messages only.
pub fn to_bytes(path: &Path, arrays: &[(String, Vec<i64>, Vec<f32>)], note: &str) -> Result<Vec<u8>, WeightsError> {
    let format = |message: String| WeightsError::Format { path: path.to_path_buf(), message };
    let bytes: Vec<Vec<u8>> =
        arrays.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let mut views = BTreeMap::new();
    for ((name, shape, _), bytes) in arrays.iter().zip(&bytes) {
        let shape = shape.iter().map(|size| size.unsigned_abs() as usize).collect();
        let view = TensorView::new(Dtype::F32, shape, bytes).map_err(|error| format(format!("{name}: {error}")))?;
        views.insert(name.as_str(), view);
    }
    // One entry only: the header's order is a hash map's, and equal weights must give equal files.
    let header = HashMap::from([("made_from".to_string(), note.to_string())]);
    safetensors::serialize(views, Some(header)).map_err(|error| format(error.to_string()))
}

/// Writes a file atomically: to a temporary file beside it, then renamed.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), WeightsError> {
    let file = |source| WeightsError::File { path: path.to_path_buf(), attempt: "written", source };
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, bytes).map_err(file)?;
    std::fs::rename(&partial, path).map_err(file)
}
