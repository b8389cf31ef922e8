//! The names that a pickle may use, and what each of them stands for.

use super::Vocabulary;
use super::value::{Callable, Element};

impl Vocabulary {
    pub(super) fn callable(self, module: &str, name: &str) -> Option<Callable> {
        // `core` until numpy 1.26, `_core` since 2.0.
        match (module, name) {
            ("collections", "OrderedDict") => return Some(Callable::OrderedDict),
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => return Some(Callable::Reconstruct),
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => return Some(Callable::Scalar),
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => return Some(Callable::FromBuffer),
            ("numpy", "ndarray") => return Some(Callable::ArrayType),
            ("numpy", "dtype") => return Some(Callable::NumberType),
            ("_codecs", "encode") => return Some(Callable::Encode),
            _ => {}
        }
        match self {
            Vocabulary::Numpy => None,
            Vocabulary::Torch => torch(module, name).or_else(|| plain(module, name)),
        }
    }
}

/// What tensors are made of.
fn torch(module: &str, name: &str) -> Option<Callable> {
    Some(match (module, name) {
        ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Callable::RebuildTensor,
        ("torch._utils", "_rebuild_tensor_v3") => Callable::RebuildTypedTensor,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Callable::RebuildParameter,
        ("torch._tensor", "_rebuild_from_type_v2") => Callable::RebuildFromType,
        ("torch._utils", "_rebuild_qtensor") => Callable::OtherTensor("a quantized tensor"),
        ("torch._utils", "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor") => {
            Callable::OtherTensor("a sparse tensor")
        }
        ("torch._utils", "_rebuild_meta_tensor_no_storage") => Callable::OtherTensor("a tensor without values"),
        ("torch._utils", "_rebuild_nested_tensor") => Callable::OtherTensor("a nested tensor"),
        ("torch", "Size") => Callable::Sequence,
        ("torch", "device" | "Tensor" | "strided" | "contiguous_format" | "channels_last" | "preserve_format") => {
            Callable::Inert
        }
        ("torch.serialization", "_get_layout") | ("torch.nn.parameter", "Parameter" | "Buffer") => Callable::Inert,
        ("torch.storage", "UntypedStorage" | "TypedStorage") => Callable::StorageType(Element::Untyped),
        ("torch" | "torch.cuda", _) => match name.strip_suffix("Storage") {
            Some(kind) => Callable::StorageType(storage(kind)?),
            None if name.ends_with("Tensor") && storage(name.strip_suffix("Tensor")?).is_some() => Callable::Inert,
            None => Callable::Dtype(dtype(name)?),
        },
        _ => return None,
    })
}

/// `torch.FloatStorage` and its kin, without `Storage`.
fn storage(kind: &str) -> Option<Element> {
    Some(match kind {
        "Float" => Element::F32,
        "Half" => Element::F16,
        "BFloat16" => Element::Bf16,
        "Double" => Element::F64,
        "Long" => Element::I64,
        "Int" => Element::I32,
        "Short" => Element::I16,
        "Char" => Element::I8,
        "Byte" => Element::U8,
        "Bool" => Element::Bool,
        "Untyped" => Element::Untyped,
        "ComplexFloat" => Element::Other("torch.ComplexFloatStorage", 8),
        "ComplexDouble" => Element::Other("torch.ComplexDoubleStorage", 16),
        "QInt8" => Element::Other("torch.QInt8Storage", 1),
        "QUInt8" => Element::Other("torch.QUInt8Storage", 1),
        "QInt32" => Element::Other("torch.QInt32Storage", 4),
        _ => return None,
    })
}

/// `torch.float32` and its kin.
fn dtype(name: &str) -> Option<Element> {
    Some(match name {
        "float32" => Element::F32,
        "float16" => Element::F16,
        "bfloat16" => Element::Bf16,
        "float64" => Element::F64,
        "float8_e4m3fn" => Element::F8E4M3,
        "float8_e5m2" => Element::F8E5M2,
        "float8_e4m3fnuz" => Element::F8E4M3Fnuz,
        "float8_e5m2fnuz" => Element::F8E5M2Fnuz,
        "float8_e8m0fnu" => Element::F8E8M0,
        "int64" => Element::I64,
        "int32" => Element::I32,
        "int16" => Element::I16,
        "int8" => Element::I8,
        "uint8" => Element::U8,
        "uint16" => Element::U16,
        "uint32" => Element::U32,
        "uint64" => Element::U64,
        "bool" => Element::Bool,
        "complex32" => Element::Other("torch.complex32", 4),
        "complex64" => Element::Other("torch.complex64", 8),
        "complex128" => Element::Other("torch.complex128", 16),
        "float4_e2m1fn_x2" => Element::Other("torch.float4_e2m1fn_x2", 1),
        "qint8" => Element::Other("torch.qint8", 1),
        "quint8" => Element::Other("torch.quint8", 1),
        "qint32" => Element::Other("torch.qint32", 4),
        _ => return None,
    })
}

/// Plain data beside the weights: settings, paths, counters. What they hold is dropped where no reader needs it.
fn plain(module: &str, name: &str) -> Option<Callable> {
    Some(match (module, name) {
        ("collections", "defaultdict") => Callable::DefaultDict,
        ("collections", "Counter") => Callable::OrderedDict,
        ("collections", "deque") => Callable::Sequence,
        ("__builtin__" | "builtins", "dict") => Callable::OrderedDict,
        ("__builtin__" | "builtins", "list" | "tuple") => Callable::Sequence,
        (
            "__builtin__" | "builtins",
            "set" | "frozenset" | "complex" | "bytearray" | "bytes" | "int" | "long" | "float" | "bool" | "str"
            | "unicode" | "slice" | "range" | "xrange" | "object",
        ) => Callable::Inert,
        ("argparse", "Namespace") | ("types", "SimpleNamespace") | ("decimal", "Decimal") | ("uuid", "UUID") => {
            Callable::Inert
        }
        (
            "pathlib" | "pathlib._local",
            "Path" | "PurePath" | "PosixPath" | "PurePosixPath" | "WindowsPath" | "PureWindowsPath",
        ) => Callable::Inert,
        ("datetime", "datetime" | "date" | "time" | "timedelta" | "timezone") => Callable::Inert,
        _ => return None,
    })
}
