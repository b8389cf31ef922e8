//! Inputs, outputs, operators and external data files of an ONNX model.

use std::collections::BTreeSet;
use std::fmt;

use super::protobuf::{Fields, Malformed, Value};

/// Maximum nesting depth of graphs (a branch within a loop within ...).
const DEEPEST: usize = 32;
/// Maximum number of inputs, outputs, axes of one, and distinct operators or constants.
const MOST: (usize, usize, usize) = (1024, 32, 1 << 20);
/// `TensorProto.data_location` of values in another file.
const EXTERNAL: i64 = 1;
/// Prefixes of domains with runtime-specific operators: a function with such a name may be overridden by the runtime.
const OF_RUNTIMES: [&str; 4] = ["com.microsoft", "com.ms", "org.pytorch", "ai.onnx"];

/// Description of a model, checked before a runtime loads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Inputs of the graph, in order, without constants.
    pub inputs: Vec<Port>,
    /// Outputs of the graph.
    pub outputs: Vec<Port>,
    /// Operators it calls, except functions defined in the file.
    pub operators: BTreeSet<Operator>,
    /// External files with its constants, as named in the model.
    pub external: BTreeSet<String>,
}

/// An operator and its domain, which is empty for ONNX's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operator {
    /// Domain.
    pub domain: String,
    /// Name.
    pub name: String,
}

/// One input or output of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Element type; `None` if it is not a tensor.
    pub element: Option<ElementType>,
    /// Its shape; `None` if the file leaves it open.
    pub shape: Option<Vec<Dimension>>,
}

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// 32-bit floats.
    F32,
    /// 64-bit floats.
    F64,
    /// Bytes.
    U8,
    /// Another one, by its number in onnx.proto.
    Other(i64),
}

/// Length of an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Fixed length.
    Size(i64),
    /// Dynamic length; the name may be empty.
    Any(String),
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            ElementType::F32 => f.write_str("f32"),
            ElementType::F64 => f.write_str("f64"),
            ElementType::U8 => f.write_str("u8"),
            ElementType::Other(10) => f.write_str("f16"),
            ElementType::Other(6) => f.write_str("i32"),
            ElementType::Other(7) => f.write_str("i64"),
            ElementType::Other(number) => write!(f, "type {number} of onnx.proto"),
        }
    }
}

impl fmt::Display for Port {
    /// `f32 (1, 3, height, width)`.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Some(element) = self.element else { return f.write_str("something other than a tensor") };
        let Some(shape) = &self.shape else { return write!(f, "{element} of any shape") };
        let axis = |dimension: &Dimension| match dimension {
            Dimension::Size(size) => size.to_string(),
            Dimension::Any(name) if name.is_empty() => "?".into(),
            Dimension::Any(name) => name.clone(),
        };
        write!(f, "{element} ({})", shape.iter().map(axis).collect::<Vec<_>>().join(", "))
    }
}

impl Port {
    /// Is a tensor of this shape compatible?
    pub fn fits(&self, shape: &[i64]) -> bool {
        let fits = |(own, size): (&Dimension, &i64)| match own {
            Dimension::Size(own) => own == size,
            Dimension::Any(_) => true,
        };
        self.shape.as_ref().is_none_or(|own| own.len() == shape.len() && own.iter().zip(shape).all(fits))
    }
}

impl Model {
    /// Reads `ModelProto`.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reading = Reading::default();
        let mut graph = None;
        for field in Fields::of(bytes) {
            match field? {
                (7, value) => graph = Some(value.bytes()?),
                (25, value) => reading.function(value.bytes()?)?,
                _ => {}
            }
        }
        let ports = reading.graph(graph.ok_or(Malformed::NoGraph)?, 0)?;
        let Reading { mut operators, external, functions } = reading;
        operators.retain(|operator| !functions.contains(operator));
        let inputs = ports.inputs.into_iter().filter(|input| !ports.constants.contains(&input.name)).collect();
        Ok(Self { inputs, outputs: ports.outputs, operators, external })
    }
}

/// Contents of a graph.
#[derive(Default)]
struct Ports {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    constants: BTreeSet<String>,
}

/// Result so far.
#[derive(Default)]
struct Reading {
    operators: BTreeSet<Operator>,
    external: BTreeSet<String>,
    /// Operators defined in the file.
    functions: BTreeSet<Operator>,
}

impl Reading {
    /// `FunctionProto`.
    fn function(&mut self, message: &[u8]) -> Result<(), Malformed> {
        let mut operator = Operator { domain: String::new(), name: String::new() };
        for field in Fields::of(message) {
            match field? {
                (1, value) => operator.name = value.text()?.into(),
                (7, value) => self.node(value.bytes()?, 0)?,
                (10, value) => operator.domain = value.text()?.into(),
                _ => {}
            }
        }
        if !OF_RUNTIMES.iter().any(|domain| operator.domain.starts_with(domain)) {
            self.functions.insert(operator);
        }
        Ok(())
    }

    /// `GraphProto`.
    fn graph(&mut self, message: &[u8], depth: usize) -> Result<Ports, Malformed> {
        if depth > DEEPEST {
            return Err(Malformed::TooDeep);
        }
        let mut ports = Ports::default();
        for field in Fields::of(message) {
            match field? {
                (1, value) => self.node(value.bytes()?, depth)?,
                (5, value) => {
                    ports.constants.insert(self.tensor(value.bytes()?)?);
                }
                (11, value) => ports.inputs.push(port(value.bytes()?)?),
                (12, value) => ports.outputs.push(port(value.bytes()?)?),
                (15, value) => {
                    ports.constants.insert(self.sparse_tensor(value.bytes()?)?);
                }
                _ => {}
            }
            let ends = ports.inputs.len().max(ports.outputs.len());
            if ends > MOST.0 || ports.constants.len().max(self.operators.len()) > MOST.2 {
                return Err(Malformed::TooMany);
            }
        }
        Ok(ports)
    }

    /// `NodeProto`.
    fn node(&mut self, message: &[u8], depth: usize) -> Result<(), Malformed> {
        let mut operator = Operator { domain: String::new(), name: String::new() };
        for field in Fields::of(message) {
            match field? {
                (4, value) => operator.name = value.text()?.into(),
                (5, value) => self.attribute(value.bytes()?, depth)?,
                (7, value) => operator.domain = value.text()?.into(),
                _ => {}
            }
        }
        self.operators.insert(operator);
        Ok(())
    }

    /// `AttributeProto`: its tensors and graphs.
    fn attribute(&mut self, message: &[u8], depth: usize) -> Result<(), Malformed> {
        for field in Fields::of(message) {
            match field? {
                (5 | 10, value) => drop(self.tensor(value.bytes()?)?),
                (6 | 11, value) => drop(self.graph(value.bytes()?, depth + 1)?),
                (22 | 23, value) => drop(self.sparse_tensor(value.bytes()?)?),
                _ => {}
            }
        }
        Ok(())
    }

    /// `TensorProto`; returns its name.
    fn tensor(&mut self, message: &[u8]) -> Result<String, Malformed> {
        let (mut name, mut locations, mut outside) = (String::new(), Vec::new(), false);
        for field in Fields::of(message) {
            match field? {
                (8, value) => name = value.text()?.into(),
                (13, value) => locations.extend(location(value.bytes()?)?),
                (14, value) => outside = value.number()? == EXTERNAL,
                _ => {}
            }
        }
        if outside {
            // Without a location the runtime reports the error.
            self.external.extend(locations);
        }
        Ok(name)
    }

    /// `SparseTensorProto`; its name is that of its values.
    fn sparse_tensor(&mut self, message: &[u8]) -> Result<String, Malformed> {
        let mut name = String::new();
        for field in Fields::of(message) {
            match field? {
                (1, value) => name = self.tensor(value.bytes()?)?,
                (2, value) => drop(self.tensor(value.bytes()?)?),
                _ => {}
            }
        }
        Ok(name)
    }
}

/// `StringStringEntryProto` of a tensor's data: the file, if it is that entry.
fn location(message: &[u8]) -> Result<Option<String>, Malformed> {
    let (mut key, mut entry) = ("", "");
    for field in Fields::of(message) {
        match field? {
            (1, value) => key = value.text()?,
            (2, value) => entry = value.text()?,
            _ => {}
        }
    }
    Ok((key == "location").then(|| entry.to_string()))
}

/// `ValueInfoProto`.
fn port(message: &[u8]) -> Result<Port, Malformed> {
    let mut port = Port { name: String::new(), element: None, shape: None };
    for field in Fields::of(message) {
        match field? {
            (1, value) => port.name = value.text()?.into(),
            // `TypeProto`, whose field 1 is a tensor's.
            (2, value) => {
                for field in Fields::of(value.bytes()?) {
                    if let (1, value) = field? {
                        tensor_type(value.bytes()?, &mut port)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(port)
}

/// `TypeProto.Tensor`.
fn tensor_type(message: &[u8], port: &mut Port) -> Result<(), Malformed> {
    for field in Fields::of(message) {
        match field? {
            (1, value) => {
                port.element = Some(match value.number()? {
                    1 => ElementType::F32,
                    2 => ElementType::U8,
                    11 => ElementType::F64,
                    other => ElementType::Other(other),
                });
            }
            (2, value) => port.shape = Some(shape(value.bytes()?)?),
            _ => {}
        }
    }
    Ok(())
}

/// `TensorShapeProto`.
fn shape(message: &[u8]) -> Result<Vec<Dimension>, Malformed> {
    let mut axes = Vec::new();
    for field in Fields::of(message) {
        let (1, value) = field? else { continue };
        let mut axis = Dimension::Any(String::new());
        for field in Fields::of(value.bytes()?) {
            match field? {
                (1, Value::Number(size)) => axis = Dimension::Size(size as i64),
                (2, value) => axis = Dimension::Any(value.text()?.into()),
                _ => {}
            }
        }
        axes.push(axis);
        if axes.len() > MOST.1 {
            return Err(Malformed::TooMany);
        }
    }
    Ok(axes)
}
