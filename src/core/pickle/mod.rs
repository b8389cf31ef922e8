//! Reads Python pickles without executing anything, and writes pickles for Python 2, Python 3 and numpy.
//!
//! A pickle is a program: `REDUCE` calls any function that the file names. Here the only "functions" are the plain
//! constructors of one [`Vocabulary`]; the error for any other contains its name. Values are in one list and refer to each
//! other by index, so that neither nesting nor cycles can overflow the stack. Every instruction creates at most one value.
//! A value takes a hundred times the byte that creates it, so all of them are counted against a budget
//! ([`Vocabulary::largest`]).
//!
//! It reads checkpoints of `torch.save` ([`Vocabulary::Torch`]) and arrays of the Bridge data set
//! ([`Vocabulary::Numpy`]).

mod array;
mod error;
mod machine;
mod value;
mod writer;

pub use error::PickleError;
pub use machine::run;
pub use value::{ArrayReference, Callable, Element, Id, NumberFormat, Storage, TensorReference, Value, Values};
pub use writer::{Pickle, write};

/// Names that a pickle may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vocabulary {
    /// The four constructors of tensors and their storages.
    Torch,
    /// The constructors of numpy's arrays, dtypes and scalars.
    Numpy,
}

impl Vocabulary {
    /// Largest pickle read \[bytes\]: ResNet-50's tensor descriptions take 60 kB; a Bridge trajectory of 500 steps 1 MB.
    pub const fn longest(self) -> usize {
        match self {
            Vocabulary::Torch => 8 << 20,
            Vocabulary::Numpy => 64 << 20,
        }
    }

    /// Maximum memory for the values of one pickle \[bytes\]. The 320 tensors of ResNet-50 take 1 MB; a Bridge trajectory
    /// takes little more than its file, because its numbers are kept as raw bytes.
    pub const fn largest(self) -> u64 {
        match self {
            Vocabulary::Torch => 128 << 20,
            Vocabulary::Numpy => 256 << 20,
        }
    }

    /// Purpose of the names, for messages.
    pub(crate) const fn purpose(self) -> &'static str {
        match self {
            Vocabulary::Torch => "a file of weights",
            Vocabulary::Numpy => "a file of arrays",
        }
    }

    fn callable(self, module: &str, name: &str) -> Option<Callable> {
        Some(match (self, module, name) {
            (_, "collections", "OrderedDict") => Callable::OrderedDict,
            (Vocabulary::Torch, "torch._utils", "_rebuild_tensor_v2") => Callable::RebuildTensor,
            (Vocabulary::Torch, "torch._utils", "_rebuild_parameter") => Callable::RebuildParameter,
            (Vocabulary::Torch, "torch", "FloatStorage") => Callable::StorageType(Element::F32),
            (Vocabulary::Torch, "torch", "HalfStorage") => Callable::StorageType(Element::F16),
            (Vocabulary::Torch, "torch", "BFloat16Storage") => Callable::StorageType(Element::Bf16),
            (Vocabulary::Torch, "torch", "LongStorage") => Callable::StorageType(Element::I64),
            // `core` until numpy 1.26, `_core` since 2.0.
            (Vocabulary::Numpy, "numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => {
                Callable::Reconstruct
            }
            (Vocabulary::Numpy, "numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Callable::Scalar,
            (Vocabulary::Numpy, "numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Callable::FromBuffer,
            (Vocabulary::Numpy, "numpy", "ndarray") => Callable::ArrayType,
            (Vocabulary::Numpy, "numpy", "dtype") => Callable::NumberType,
            (Vocabulary::Numpy, "_codecs", "encode") => Callable::Encode,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
