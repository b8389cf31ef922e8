//! ONNX files: reads a graph's inputs, outputs and operators, and writes graphs.
//!
//! An ONNX file is a protocol buffer (onnx.proto, `ModelProto`); `protobuf` implements its wire format. [`Model`] reads what
//! must be checked before a runtime loads the file; [`Graph`] writes the operators that our own networks use. Neither needs
//! a runtime. Invalid and truncated files are refused ([`Malformed`]).

mod graph;
mod model;
mod protobuf;

pub use graph::{Attribute, Graph, Value};
pub use model::{Dimension, ElementType, Model, Operator, Port};
pub use protobuf::Malformed;
