//! ONNX files: a reader of what a graph takes, returns and calls, and a writer of graphs.
//!
//! An ONNX file is a protocol buffer (onnx.proto, `ModelProto`); `protobuf` knows its wire format. [`Model`] reads what must be
//! known before a runtime may see the file; [`Graph`] writes the operators that our own networks are made of. Neither needs a
//! runtime. What is refused: bytes that are no ONNX model, or only the beginning of one ([`Malformed`]).

mod graph;
mod model;
mod protobuf;

pub use graph::{Attribute, Graph, Value};
pub use model::{Dimension, ElementType, Model, Operator, Port};
pub use protobuf::Malformed;
