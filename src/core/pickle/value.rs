//! Values of a pickle.

/// Index of a value in [`Values`].
pub type Id = usize;

/// A value made by a pickle.
#[derive(Clone, Debug)]
pub enum Value {
    /// `None`, or something no reader needs.
    Opaque,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of at most 64 bits.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A string whose letters are bytes, as written for bytes by protocols before 3.
    Latin1(Id),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A list.
    List(Vec<Id>),
    /// Pairs in file order; of equal keys the last one counts.
    Dict(Vec<(Id, Id)>),
    /// A name of the vocabulary.
    Callable(Callable),
    /// A storage of PyTorch.
    Storage(Storage),
    /// A tensor of PyTorch.
    Tensor(TensorReference),
    /// A dtype of numpy.
    NumberFormat(NumberFormat),
    /// An array or scalar of numpy.
    Array(ArrayReference),
}

impl Value {
    /// Heap memory it owns \[bytes\].
    pub(super) fn outside(&self) -> usize {
        match self {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Tuple(items) | Value::List(items) => size_of_val(items.as_slice()),
            Value::Dict(pairs) => size_of_val(pairs.as_slice()),
            Value::Storage(storage) => storage.key.len(),
            Value::Tensor(tensor) => tensor.storage.key.len() + 8 * (tensor.shape.len() + tensor.strides.len()),
            Value::Array(array) => 8 * array.shape.len(),
            _ => 0,
        }
    }
}

/// Supported names.
#[derive(Clone, Copy, Debug)]
pub enum Callable {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`
    RebuildParameter,
    /// `torch.FloatStorage` and its kin
    StorageType(Element),
    /// `numpy.core.multiarray._reconstruct`: an empty array, filled in by its state
    Reconstruct,
    /// `numpy.core.multiarray.scalar`
    Scalar,
    /// `numpy.core.numeric._frombuffer`: an array as protocol 5 writes it
    FromBuffer,
    /// `numpy.ndarray`
    ArrayType,
    /// `numpy.dtype`
    NumberType,
    /// `_codecs.encode`: bytes, as protocols before 3 write them
    Encode,
}

/// Number format of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// 32-bit float.
    F32,
    /// 16-bit IEEE float.
    F16,
    /// The upper half of a 32-bit float.
    Bf16,
    /// 64-bit signed integer.
    I64,
}

impl Element {
    /// Size of one value \[bytes\].
    pub fn size(self) -> usize {
        match self {
            Element::F32 => 4,
            Element::F16 | Element::Bf16 => 2,
            Element::I64 => 8,
        }
    }
}

/// Bytes of the archive that tensors refer to.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// Number format.
    pub element: Element,
    /// Name of its entry under `data/`.
    pub key: String,
    /// Number of values.
    pub length: usize,
}

/// View of a tensor into a storage.
#[derive(Clone, Debug)]
pub struct TensorReference {
    /// Its storage.
    pub storage: Storage,
    /// Index of the first value.
    pub offset: usize,
    /// Size of each dimension.
    pub shape: Vec<usize>,
    /// Values to skip per step of each dimension.
    pub strides: Vec<usize>,
}

/// All values of a pickle, and its root.
#[derive(Debug)]
pub struct Values {
    pub(super) nodes: Vec<Value>,
    pub(super) root: Id,
}

impl Values {
    /// The value that the pickle returns.
    pub fn root(&self) -> Id {
        self.root
    }

    /// A value.
    pub fn get(&self, id: Id) -> &Value {
        // Only the machine creates ids, so they are in range.
        self.nodes.get(id).unwrap_or(&Value::Opaque)
    }

    /// The entries of a dict with string keys; `None` if it is not a dict.
    pub fn entries(&self, id: Id) -> Option<impl Iterator<Item = (&str, &Value, Id)>> {
        let Value::Dict(pairs) = self.get(id) else { return None };
        Some(pairs.iter().filter_map(|(key, value)| match self.get(*key) {
            Value::Text(key) => Some((key.as_str(), self.get(*value), *value)),
            _ => None,
        }))
    }

    /// The value of a dict for a string key; `None` if it is not a dict or has no such key.
    pub fn entry(&self, dict: Id, key: &str) -> Option<Id> {
        self.entries(dict)?.filter(|(name, _, _)| *name == key).last().map(|(_, _, id)| id)
    }

    /// The items of a list or tuple.
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::List(items) | Value::Tuple(items) => Some(items),
            _ => None,
        }
    }
}

/// A dtype of plain numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberFormat {
    /// numpy's kind `f`, `i`, `u` or `b`; anything else is kept but has no numbers.
    pub kind: u8,
    /// Size of one value \[bytes\].
    pub size: usize,
    /// Most significant byte first?
    pub big_endian: bool,
}

impl NumberFormat {
    /// Parses `f8`, `<f4`, `b1`; types other than plain numbers (`O8`, `U5`, records) become kind `?`.
    pub(super) fn parse(text: &str) -> Self {
        let (big_endian, rest) = match text.as_bytes() {
            [b'>', rest @ ..] => (true, rest),
            [b'<' | b'|' | b'=', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let (kind, size) = match rest {
            [kind @ (b'f' | b'i' | b'u'), size @ (b'1' | b'2' | b'4' | b'8')] => (*kind, usize::from(size - b'0')),
            b"b1" => (b'b', 1),
            _ => (b'?', 0),
        };
        Self { kind, size, big_endian }
    }

    /// The number in [`NumberFormat::size`] `bytes`; `None` for other types (16-bit floats too).
    pub(super) fn number(self, bytes: &[u8]) -> Option<f64> {
        let mut wide = [0; 8];
        let size = self.size;
        wide.get_mut(..size)?.copy_from_slice(bytes.get(..size)?);
        if self.big_endian {
            wide[..size].reverse();
        }
        let unsigned = u64::from_le_bytes(wide);
        Some(match (self.kind, size) {
            (b'f', 8) => f64::from_le_bytes(wide),
            (b'f', 4) => f64::from(f32::from_bits(unsigned as u32)),
            (b'u', _) => unsigned as f64,
            (b'i', _) => {
                let unused = 64 - 8 * size as u32;
                ((unsigned << unused) as i64 >> unused) as f64
            }
            (b'b', _) => f64::from(u8::from(unsigned != 0)),
            _ => return None,
        })
    }
}

/// An array, its bytes as in the pickle.
#[derive(Clone, Debug)]
pub struct ArrayReference {
    /// Number format.
    pub format: NumberFormat,
    /// Size of each dimension; none for a scalar.
    pub shape: Vec<usize>,
    /// Column-major?
    pub fortran: bool,
    /// The value with the bytes.
    pub data: Id,
}
