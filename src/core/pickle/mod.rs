//! Reads Python pickles without executing anything, and writes pickles for Python 2, Python 3 and numpy.
//!
//! A pickle is a program: `REDUCE` calls any function that the file names. Here the only "functions" are the plain
//! constructors of one [`Vocabulary`] (`names`); the error for any other contains its name. Values are in one list and refer to each
//! other by index, so that neither nesting nor cycles can overflow the stack. Every instruction creates at most one value.
//! A value takes a hundred times the byte that creates it, so all of them are counted against a budget
//! ([`Vocabulary::largest`]).
//!
//! It reads checkpoints of `torch.save` ([`Vocabulary::Torch`]): what `torch.load(weights_only=True)` opens, it opens,
//! and arrays of the Bridge data set ([`Vocabulary::Numpy`]).

mod array;
mod error;
mod machine;
mod names;
mod value;
mod writer;

pub use error::PickleError;
pub use machine::{run, run_first};
pub use value::{ArrayReference, Callable, Element, Id, NumberFormat, Storage, TensorReference, Value, Values};
pub use writer::{Pickle, write};

/// Names that a pickle may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vocabulary {
    /// The constructors of tensors and their storages, of numpy's arrays, and of plain data beside them (settings, paths).
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
}

#[cfg(test)]
mod tests;
