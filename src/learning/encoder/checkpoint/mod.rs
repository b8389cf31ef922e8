//! Reads the tensors of a PyTorch checkpoint (`torch.save`) without PyTorch and without executing anything in it.
//!
//! A checkpoint is a zip file: `NAME/data.pkl` lists the tensors (`pickle/` reads it), `NAME/data/KEY` are their bytes; before
//! PyTorch 1.6 it is a row of pickles (`legacy`). What `torch.load(weights_only=True)` opens, this opens: every number format,
//! contiguous or not, tied, expanded (stride 0), empty and scalar tensors, numpy's arrays. Floats become f32 (exactly; f64 is
//! rounded), integers and bools i64; complex, quantized and sparse tensors have no values here ([`Array::Other`]).
//! What is refused, in one sentence with the file and what to do: files of other kinds (`kind`), TorchScript and whole modules,
//! big-endian bytes, any name in the pickle beyond those of tensors and plain data, tensors that exceed their stored bytes, and
//! content larger than a few times the file (a small file cannot fill the memory).

mod element;
mod kind;
mod legacy;
mod select;

use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use visuomotor_core::untrusted::{self, shown};

use visuomotor_core::pickle::{self, Element, Id, PickleError, Storage, TensorReference, Value, Values, Vocabulary};

/// Limit on bytes read and created, per byte of the file: bf16 doubles, overlapping tensors count each.
const LARGEST_GROWTH: u64 = 8;

/// Bytes that any file may grow to: a few values that are expanded to a mask.
const LEAST_LIMIT: u64 = 32 << 20;

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
const WEIGHTS_ALONE: &str = "write the weights alone, in a Python that has that name, and only if you trust the file (torch.load \
     then executes it): import torch; c = torch.load(\"FILE\", map_location=\"cpu\", weights_only=False); print(c.keys()); \
     torch.save(c[\"model\"], \"weights.pt\") with the key of the weights in place of `model`; then convert weights.pt";
const BY_NUMBER: &str = "give them names, in Python: import torch; d = torch.load(\"FILE\", map_location=\"cpu\"); \
     torch.save({f\"layer{k}\": v for k, v in d.items()}, \"weights.pt\"), or better write torch.save(model.state_dict(), \
     \"weights.pt\") where it was made; then convert weights.pt";
const LISTED: &str = "give them names where it was made, torch.save(model.state_dict(), \"weights.pt\"), or in Python: import \
     torch; d = torch.load(\"FILE\", map_location=\"cpu\"); d = d[\"model\"] if isinstance(d, dict) else d (with that list's key \
     in place of `model`); torch.save({f\"layer{i}\": v for i, v in enumerate(d)}, \"weights.pt\"); then convert weights.pt";
const NOT_NUMBERS: &str =
    "write them as floats, in Python: `x.real`, `x.dequantize()` or `x.to_dense()` of each, then torch.save";
const CHOOSE: &str = "name the one that holds the weights with --key";

/// The values of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Array {
    /// Floats.
    F32(Vec<f32>),
    /// Integers (BatchNorm's counters) and bools.
    I64(Vec<i64>),
    /// Something else, and what it is: `torch.ComplexFloatStorage`.
    Other(&'static str),
}

/// A tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointTensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// PyTorch's name of its number format, `float32`.
    pub format: &'static str,
    /// Its values.
    pub values: Array,
}

/// The tensors of the checkpoint by name. `key` names the dict that holds them (`vip`, or `state.encoder` for a dict
/// within a dict); without it the file itself is that dict, or has exactly one dict of tensors.
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
    let (mut archive, values) = Archive::open(path, bytes)?;
    let dict = select::select(&values, key).map_err(|(message, fix)| archive.refused(message, fix))?;
    let mut tensors = BTreeMap::new();
    for (name, value, id) in values.entries(dict).into_iter().flatten() {
        match value {
            Value::Tensor(reference) => _ = tensors.insert(name.to_string(), archive.tensor(name, reference)?),
            Value::Array(_) => _ = tensors.insert(name.to_string(), archive.array(name, &values, id)?),
            _ => {}
        }
    }
    let others: Vec<&str> = tensors.values().filter_map(|tensor: &CheckpointTensor| tensor.values.other()).collect();
    if others.len() == tensors.len()
        && let Some(first) = others.first()
    {
        return Err(archive.refused(format!("none of its tensors holds real numbers, but `{first}`"), NOT_NUMBERS));
    }
    Ok(tensors)
}

impl Array {
    /// What it is, if it has no values.
    fn other(&self) -> Option<&'static str> {
        match self {
            Array::Other(name) => Some(name),
            Array::F32(_) | Array::I64(_) => None,
        }
    }
}

/// Where the bytes of storages are.
enum Place<'a> {
    /// Entries `NAME/data/KEY`, and the prefix `NAME/`.
    Zip(Box<ZipArchive<Cursor<&'a [u8]>>>, String),
    /// Parts of the file.
    Parts(&'a [u8], HashMap<String, Range<usize>>),
}

struct Archive<'a> {
    path: &'a Path,
    place: Place<'a>,
    /// Bytes that may still be read or created.
    budget: u64,
    /// The storage read last: tied tensors, and parts of one long storage, follow each other.
    last: (String, Vec<u8>),
}

impl<'a> Archive<'a> {
    /// The archive, and what its pickle makes.
    fn open(path: &'a Path, bytes: &'a [u8]) -> Result<(Self, Values), CheckpointError> {
        // A small file may be mostly pickle, so there is a minimum.
        let budget = (bytes.len() as u64).saturating_mul(LARGEST_GROWTH).max(LEAST_LIMIT);
        let refuse = |message: String, fix| CheckpointError::Refused { path: path.to_path_buf(), message, fix };
        if legacy::is(bytes) {
            let (values, places) = legacy::read(bytes).map_err(|error| {
                let (message, fix) = advice(&error, bytes);
                refuse(message, fix)
            })?;
            let place = Place::Parts(bytes, places);
            return Ok((Archive { path, place, budget, last: Default::default() }, values));
        }
        if !bytes.starts_with(b"PK") {
            let (message, fix) = kind::other(bytes).unwrap_or_else(|| ("torch.save did not write it".into(), RESAVE));
            return Err(refuse(message, fix));
        }
        let mut archive = Self::open_zip(path, bytes, budget)?;
        let pickle = archive.pickle()?;
        let values = pickle::run(&pickle, Vocabulary::Torch).map_err(|error| {
            let (message, fix) = advice(&error, &pickle);
            archive.refused(message, fix)
        })?;
        Ok((archive, values))
    }

    fn open_zip(path: &'a Path, bytes: &'a [u8], budget: u64) -> Result<Self, CheckpointError> {
        let refuse = |message: String, fix| CheckpointError::Refused { path: path.to_path_buf(), message, fix };
        let zip = ZipArchive::new(Cursor::new(bytes))
            .map_err(|error| refuse(format!("it is not a whole zip file ({error})"), DAMAGED))?;
        let names: Vec<_> = zip.file_names().filter_map(Result::ok).collect();
        let prefix = names.iter().find_map(|name| {
            let prefix = name.strip_suffix("data.pkl")?;
            (prefix.is_empty() || prefix.ends_with('/')).then(|| prefix.to_string())
        });
        let Some(prefix) = prefix else {
            let names: Vec<&str> = names.iter().map(|name| &**name).collect();
            let (message, fix) = kind::other_zip(&names)
                .unwrap_or_else(|| ("it is a zip file without data.pkl, not a checkpoint".into(), RESAVE));
            return Err(refuse(message, fix));
        };
        if zip.index_for_name(&format!("{prefix}constants.pkl")).is_some() {
            return Err(refuse("it is a TorchScript module (torch.jit.save), code and weights".into(), kind::SCRIPTED));
        }
        let ordered = zip.index_for_name(&format!("{prefix}byteorder")).is_some();
        let place = Place::Zip(Box::new(zip), prefix);
        let mut archive = Archive { path, place, budget, last: Default::default() };
        if ordered && archive.entry("byteorder", 16)? != b"little" {
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
        let Place::Zip(zip, prefix) = &mut self.place else { return Ok(Vec::new()) };
        let name = format!("{prefix}{name}");
        let damaged = |message: String| CheckpointError::Refused {
            path: self.path.to_path_buf(),
            message: format!("its entry `{}` {message}", name.escape_debug()),
            fix: DAMAGED,
        };
        let file = zip.by_name(&name).map_err(|error| damaged(format!("cannot be opened ({error})")))?;
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

    /// The bytes of a storage of `length` bytes; the caller gives them back to [`Archive::last`].
    fn stored(&mut self, storage: &Storage, length: usize) -> Result<Vec<u8>, CheckpointError> {
        let (key, bytes) = std::mem::take(&mut self.last);
        if key == storage.key && !bytes.is_empty() {
            return Ok(bytes);
        }
        match &self.place {
            Place::Zip(..) => self.entry(&format!("data/{}", storage.key), length as u64),
            Place::Parts(file, places) => match places.get(&storage.key) {
                Some(place) => Ok(file[place.clone()].to_vec()),
                None => Err(self.refused(format!("its storage `{}` is missing", storage.key.escape_debug()), DAMAGED)),
            },
        }
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
        // Expanded tensors (stride 0) have more values than are stored.
        let made = (count as u64).saturating_mul(8);
        if made > self.budget {
            let expected = format!("at most the {} values that are stored, each once", storage.length);
            return Err(refuse(describe(), expected, TOO_LARGE));
        }
        if let Element::Other(name, _) = storage.element {
            return Ok(CheckpointTensor { shape: shape.clone(), format: name, values: Array::Other(name) });
        }
        let size = storage.element.size();
        let length = storage.length.checked_mul(size).ok_or_else(|| unfit(describe(), "fewer values".into()))?;
        // Bytes without a type of their own may be a few more than whole values.
        let bytes = self.stored(storage, length.saturating_add(size - 1))?;
        if bytes.len() / size != storage.length {
            return Err(unfit(format!("{} bytes", bytes.len()), format!("{length} bytes")));
        }
        self.budget = self.budget.saturating_sub(made);
        // Every index is below `end`, and `end * size <= bytes.len()`.
        let at = indices(*offset, shape, strides, count).map(|i| &bytes[i * size..(i + 1) * size]);
        let values = element::decode(storage.element, at);
        self.last = (storage.key.clone(), bytes);
        Ok(CheckpointTensor { shape: shape.clone(), format: storage.element.name(), values })
    }

    /// An array of numpy, whose bytes are in the pickle.
    fn array(&mut self, key: &str, values: &Values, id: Id) -> Result<CheckpointTensor, CheckpointError> {
        let Value::Array(array) = values.get(id) else {
            return Err(self.refused(format!("`{key}` is no array"), DAMAGED));
        };
        let float = array.format.kind == b'f';
        let Ok((shape, numbers)) = values.numbers(id, usize::try_from(self.budget / 8).unwrap_or(usize::MAX)) else {
            let name = "an array of something other than plain numbers";
            return Ok(CheckpointTensor { shape: Vec::new(), format: name, values: Array::Other(name) });
        };
        self.budget = self.budget.saturating_sub(8 * numbers.len() as u64);
        let (format, values) = match float {
            true => ("a float array of numpy", Array::F32(numbers.into_iter().map(|number| number as f32).collect())),
            false => ("an array of numpy", Array::I64(numbers.into_iter().map(|number| number as i64).collect())),
        };
        Ok(CheckpointTensor { shape, format, values })
    }
}

/// A pickle that is not read: why, and what to do.
fn advice(error: &PickleError, pickle: &[u8]) -> (String, &'static str) {
    match error {
        PickleError::Unsupported(_) if kind::is_whole_module(pickle) => {
            (format!("it is a whole module (torch.save(model)), not its weights: {error}"), kind::WHOLE)
        }
        PickleError::Unsupported(_) => (error.to_string(), WEIGHTS_ALONE),
        PickleError::Malformed(_) | PickleError::TooLarge(_) => (error.to_string(), RESAVE),
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

#[cfg(test)]
mod layouts;
#[cfg(test)]
mod tests;
