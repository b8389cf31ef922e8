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
    /// `collections.OrderedDict`, and `dict` and `Counter`, which are made alike
    OrderedDict,
    /// `collections.defaultdict`: a maker of missing values, then as a dict
    DefaultDict,
    /// `torch.Size`, `list`, `tuple`, `deque`
    Sequence,
    /// Plain data that no reader needs: what it is called with is dropped
    Inert,
    /// `torch._utils._rebuild_tensor_v2`
    RebuildTensor,
    /// `torch._utils._rebuild_tensor_v3`: a tensor of untyped bytes and a dtype
    RebuildTypedTensor,
    /// `torch._utils._rebuild_parameter`
    RebuildParameter,
    /// `torch._tensor._rebuild_from_type_v2`: another constructor, a class, its arguments, and attributes
    RebuildFromType,
    /// A tensor that has no plain values, and what it is
    OtherTensor(&'static str),
    /// `torch.float32` and its kin
    Dtype(Element),
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
    /// 64-bit float.
    F64,
    /// 8-bit float, 3 bits of fraction, no infinity.
    F8E4M3,
    /// 8-bit IEEE-like float, 2 bits of fraction.
    F8E5M2,
    /// As `F8E4M3`, with another bias and no negative zero.
    F8E4M3Fnuz,
    /// As `F8E5M2`, with another bias, no infinity and no negative zero.
    F8E5M2Fnuz,
    /// An 8-bit power of two.
    F8E8M0,
    /// 64-bit signed integer.
    I64,
    /// 32-bit signed integer.
    I32,
    /// 16-bit signed integer.
    I16,
    /// 8-bit signed integer.
    I8,
    /// 8-bit unsigned integer.
    U8,
    /// 16-bit unsigned integer.
    U16,
    /// 32-bit unsigned integer.
    U32,
    /// 64-bit unsigned integer.
    U64,
    /// `True` or `False`, one byte.
    Bool,
    /// Bytes, whose tensor has the format.
    Untyped,
    /// Something that is neither a real number nor a bool: its name and its size \[bytes\].
    Other(&'static str, usize),
}

impl Element {
    /// Size of one value \[bytes\].
    pub fn size(self) -> usize {
        use Element::{
            Bf16, Bool, F8E4M3, F8E4M3Fnuz, F8E5M2, F8E5M2Fnuz, F8E8M0, F16, F32, F64, I8, I16, I32, I64, Other, U8,
            U16, U32, U64, Untyped,
        };
        match self {
            F64 | I64 | U64 => 8,
            F32 | I32 | U32 => 4,
            F16 | Bf16 | I16 | U16 => 2,
            F8E4M3 | F8E5M2 | F8E4M3Fnuz | F8E5M2Fnuz | F8E8M0 | I8 | U8 | Bool | Untyped => 1,
            Other(_, size) => size,
        }
    }

    /// PyTorch's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Element::F32 => "float32",
            Element::F16 => "float16",
            Element::Bf16 => "bfloat16",
            Element::F64 => "float64",
            Element::F8E4M3 => "float8_e4m3fn",
            Element::F8E5M2 => "float8_e5m2",
            Element::F8E4M3Fnuz => "float8_e4m3fnuz",
            Element::F8E5M2Fnuz => "float8_e5m2fnuz",
            Element::F8E8M0 => "float8_e8m0fnu",
            Element::I64 => "int64",
            Element::I32 => "int32",
            Element::I16 => "int16",
            Element::I8 => "int8",
            Element::U8 => "uint8",
            Element::U16 => "uint16",
            Element::U32 => "uint32",
            Element::U64 => "uint64",
            Element::Bool => "bool",
            Element::Untyped => "bytes",
            Element::Other(name, _) => name,
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

    /// All storages that the pickle names, in file order; one that is named again comes again.
    pub fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.nodes.iter().filter_map(|value| match value {
            Value::Storage(storage) => Some(storage),
            _ => None,
        })
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
