//! Reads the tensors of a PyTorch checkpoint (`torch.save`) without PyTorch and without executing anything in it.
//!
//! A checkpoint is a zip file without compression: `NAME/data.pkl` lists the tensors (`pickle/` reads it), `NAME/data/KEY`
//! are their bytes. Supported are f32, f16, bf16 (both become f32, exactly) and i64, contiguous or not.
//! What is refused, in one sentence with the file and what to do: a file of PyTorch before 1.6 (no zip), compression,
//! big-endian bytes, any name in the pickle beyond those that tensors need, tensors that exceed their stored bytes, and
//! content larger than a few times the file (a small file cannot fill the memory).

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use visuomotor_core::untrusted::{self, shown};

use visuomotor_core::pickle::{self, Element, Id, TensorReference, Value, Values, Vocabulary};

/// Limit on bytes read and created, per byte of the file: bf16 doubles, overlapping tensors count each.
const LARGEST_GROWTH: u64 = 8;

/// A checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It cannot be read.
    #[error("{path}: cannot be read ({source}); check the path and the permissions", path = shown(path))]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// It is not a checkpoint, or contains something refused.
    #[error("{path}: {message}; {fix}", path = shown(path))]
    Refused {
        /// The file.
        path: PathBuf,
        /// What was found.
        message: String,
        /// What to do.
        fix: &'static str,
    },
    /// One tensor cannot be read.
    #[error("{path}: key `{key}`: found {found}, expected {expected}; {fix}", path = shown(path))]
    Tensor {
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
}

const DAMAGED: &str = "the file is damaged: fetch it again";
const TOO_LARGE: &str = "a checkpoint of weights is several times smaller: take them from their authors again";
const RESAVE: &str = "open it with PyTorch and write it again with torch.save(model.state_dict(), FILE)";
const CHOOSE: &str = "name the one that holds the weights with --key";

/// The values of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Array {
    /// Floats.
    F32(Vec<f32>),
    /// Integers (BatchNorm's counters).
    I64(Vec<i64>),
}

/// A tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointTensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values.
    pub values: Array,
}

/// The tensors of the checkpoint by name. `key` names the dict that holds them (`vip`); without it the file itself is
/// that dict, or has exactly one dict of tensors.
pub fn read(path: &Path, key: Option<&str>) -> Result<BTreeMap<String, CheckpointTensor>, CheckpointError> {
    let bytes = untrusted::read(path, untrusted::LARGEST_WEIGHTS)
        .map_err(|source| CheckpointError::File { path: path.to_path_buf(), source })?;
    read_bytes(path, &bytes, key)
}

/// As [`read`], from the file's bytes; `path` is for messages only.
pub fn read_bytes(
    path: &Path,
    bytes: &[u8],
    key: Option<&str>,
) -> Result<BTreeMap<String, CheckpointTensor>, CheckpointError> {
    let mut archive = Archive::open(path, bytes)?;
    let values = pickle::run(&archive.pickle()?, Vocabulary::Torch)
        .map_err(|error| archive.refused(error.to_string(), RESAVE))?;
    let dict = select(&values, key).map_err(|message| archive.refused(message, CHOOSE))?;
    let mut tensors = BTreeMap::new();
    for (name, value, _) in values.entries(dict).into_iter().flatten() {
        if let Value::Tensor(reference) = value {
            tensors.insert(name.to_string(), archive.tensor(name, reference)?);
        }
    }
    Ok(tensors)
}

/// The dict of tensors; the error lists what there is.
fn select(values: &Values, key: Option<&str>) -> Result<Id, String> {
    let holds_tensors = |id: Id| {
        values.entries(id).is_some_and(|mut entries| entries.any(|(_, value, _)| matches!(value, Value::Tensor(_))))
    };
    let root = values.root();
    let Some(entries) = values.entries(root) else { return Err("it holds no dict".into()) };
    let dicts: BTreeMap<&str, Id> =
        entries.filter(|(_, _, id)| holds_tensors(*id)).map(|(name, _, id)| (name, id)).collect();
    let names = || dicts.keys().map(|name| format!("`{}`", name.escape_debug())).collect::<Vec<_>>().join(", ");
    match key {
        Some(key) => match dicts.get(key) {
            Some(id) => Ok(*id),
            None if dicts.is_empty() => Err(format!("it has no dict of tensors called `{key}`, nor any other")),
            None => Err(format!("it has no dict of tensors called `{key}`; it has {}", names())),
        },
        None if holds_tensors(root) => Ok(root),
        None => match dicts.values().collect::<Vec<_>>()[..] {
            [only] => Ok(*only),
            [] => Err("it holds no tensors under names".into()),
            _ => Err(format!("it has several dicts of tensors: {}", names())),
        },
    }
}

struct Archive<'a> {
    path: &'a Path,
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// `NAME/` before every entry.
    prefix: String,
    /// Bytes that may still be read or created.
    budget: u64,
}

impl<'a> Archive<'a> {
    fn open(path: &'a Path, bytes: &'a [u8]) -> Result<Self, CheckpointError> {
        let refuse = |message: String, fix| CheckpointError::Refused { path: path.to_path_buf(), message, fix };
        if !bytes.starts_with(b"PK") {
            let message = "it is not a zip file, as torch.save writes since PyTorch 1.6".into();
            return Err(refuse(message, RESAVE));
        }
        let zip = ZipArchive::new(Cursor::new(bytes))
            .map_err(|error| refuse(format!("it is not a whole zip file ({error})"), DAMAGED))?;
        let prefix = zip.file_names().filter_map(Result::ok).find_map(|name| {
            let prefix = name.strip_suffix("data.pkl")?;
            (prefix.is_empty() || prefix.ends_with('/')).then(|| prefix.to_string())
        });
        let Some(prefix) = prefix else {
            return Err(refuse("it is a zip file without data.pkl, not a checkpoint".into(), RESAVE));
        };
        // A small file may be mostly pickle, so there is a minimum.
        let budget = (bytes.len() as u64).max(1 << 16).saturating_mul(LARGEST_GROWTH);
        let mut archive = Archive { path, zip, prefix, budget };
        if archive.zip.index_for_name(&format!("{}byteorder", archive.prefix)).is_some()
            && archive.entry("byteorder", 16)? != b"little"
        {
            return Err(archive.refused("its bytes are not little-endian".into(), RESAVE));
        }
        Ok(archive)
    }

    fn refused(&self, message: String, fix: &'static str) -> CheckpointError {
        CheckpointError::Refused { path: self.path.to_path_buf(), message, fix }
    }

    fn pickle(&mut self) -> Result<Vec<u8>, CheckpointError> {
        self.entry("data.pkl", Vocabulary::Torch.longest() as u64)
    }

    /// The bytes of an entry of at most `limit` bytes.
    fn entry(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, CheckpointError> {
        let limit = limit.min(self.budget);
        let name = format!("{}{name}", self.prefix);
        let damaged = |message: String| CheckpointError::Refused {
            path: self.path.to_path_buf(),
            message: format!("its entry `{}` {message}", name.escape_debug()),
            fix: DAMAGED,
        };
        let file = self.zip.by_name(&name).map_err(|error| damaged(format!("cannot be opened ({error})")))?;
        let mut out = Vec::new();
        file.take(limit.saturating_add(1))
            .read_to_end(&mut out)
            .map_err(|error| damaged(format!("cannot be read ({error})")))?;
        if out.len() as u64 > limit {
            let message = format!("its entry `{}` unfolds to more than {limit} bytes", name.escape_debug());
            return Err(CheckpointError::Refused { path: self.path.to_path_buf(), message, fix: TOO_LARGE });
        }
        self.budget -= out.len() as u64;
        Ok(out)
    }

    fn tensor(&mut self, key: &str, reference: &TensorReference) -> Result<CheckpointTensor, CheckpointError> {
        let TensorReference { storage, offset, shape, strides } = reference;
        let path = self.path;
        let refuse = |found: String, expected: String, fix| {
            let (path, key) = (path.to_path_buf(), key.escape_debug().to_string());
            CheckpointError::Tensor { path, key, found, expected, fix }
        };
        let unfit = |found, expected| refuse(found, expected, DAMAGED);
        let describe = || format!("shape {shape:?}, strides {strides:?} from {offset}");
        let reach = reach(*offset, shape, strides);
        let (count, end) = reach.ok_or_else(|| unfit(describe(), "a tensor that fits the memory".into()))?;
        if end > storage.length {
            return Err(unfit(describe(), format!("at most the {} values that are stored", storage.length)));
        }
        let made = (count as u64).saturating_mul(8);
        if count > storage.length || made > self.budget {
            let expected = format!("at most the {} values that are stored, each once", storage.length);
            return Err(refuse(describe(), expected, TOO_LARGE));
        }
        let size = storage.element.size();
        let length = storage.length.checked_mul(size).ok_or_else(|| unfit(describe(), "fewer values".into()))?;
        let bytes = self.entry(&format!("data/{}", storage.key), length as u64)?;
        if bytes.len() != length {
            return Err(unfit(format!("{} bytes", bytes.len()), format!("{length} bytes")));
        }
        self.budget = self.budget.saturating_sub(made);
        // Every index is below `end`, and `end * size <= bytes.len()`.
        let at = indices(*offset, shape, strides, count).map(|i| &bytes[i * size..(i + 1) * size]);
        let values = match storage.element {
            Element::F32 => Array::F32(at.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
            Element::F16 => Array::F32(at.map(|b| half(u16::from_le_bytes([b[0], b[1]]))).collect()),
            Element::Bf16 => Array::F32(at.map(|b| f32::from_bits(u32::from_le_bytes([0, 0, b[0], b[1]]))).collect()),
            Element::I64 => {
                Array::I64(at.map(|b| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])).collect())
            }
        };
        Ok(CheckpointTensor { shape: shape.clone(), values })
    }
}

/// How many values a tensor has and one past the last stored value it reads; `None` if that overflows or the numbers of
/// sizes and strides differ.
fn reach(offset: usize, shape: &[usize], strides: &[usize]) -> Option<(usize, usize)> {
    if shape.len() != strides.len() {
        return None;
    }
    let count = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size))?;
    if count == 0 {
        return Some((0, 0));
    }
    let mut last = offset;
    for (size, stride) in shape.iter().zip(strides) {
        last = last.checked_add((size - 1).checked_mul(*stride)?)?;
    }
    Some((count, last.checked_add(1)?))
}

/// Indices of a tensor's values in its storage, row-major.
fn indices(offset: usize, shape: &[usize], strides: &[usize], count: usize) -> impl Iterator<Item = usize> {
    let mut position = vec![0; shape.len()];
    let mut at = offset;
    (0..count).map(move |_| {
        let now = at;
        for ((position, size), stride) in position.iter_mut().zip(shape).zip(strides).rev() {
            *position += 1;
            // Wraps only where a dimension of size 1 has a meaningless stride; the next line undoes it.
            at = at.wrapping_add(*stride);
            if *position < *size {
                break;
            }
            at = at.wrapping_sub(position.wrapping_mul(*stride));
            *position = 0;
        }
        now
    })
}

/// IEEE half precision to single, exactly.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests;
