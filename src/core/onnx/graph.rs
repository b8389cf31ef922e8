//! Writes graphs with the operators that our networks use, opset 17.

use super::protobuf::Message;

/// Operator set version: the first with LayerNormalization, supported by runtimes since 2022.
const OPSET: i64 = 17;
/// Version of the file format of that time.
const IR_VERSION: i64 = 8;
/// `TensorProto.DataType`.
const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// A tensor of the graph, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(String);

/// Attribute of an operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Attribute<'a> {
    /// A number.
    Int(i64),
    /// A number.
    Float(f32),
    /// Numbers.
    Ints(&'a [i64]),
    /// A word.
    Text(&'a str),
}

/// A graph that is being written.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<Message>,
    constants: Vec<Message>,
    inputs: Vec<Message>,
}

impl Graph {
    /// An input of 32-bit floats.
    pub fn input(&mut self, name: &str, shape: &[i64]) -> Value {
        self.inputs.push(port(name, shape));
        Value(name.into())
    }

    /// A constant of 32-bit floats, row-major.
    pub fn constant(&mut self, shape: &[i64], values: &[f32]) -> Value {
        self.tensor(FLOAT, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// A constant list of integers: shapes, axes, indices.
    pub fn integers(&mut self, values: &[i64]) -> Value {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor(INT64, &[values.len() as i64], bytes)
    }

    fn tensor(&mut self, kind: i64, shape: &[i64], bytes: Vec<u8>) -> Value {
        let name = format!("c{}", self.constants.len());
        let mut tensor = Message::default();
        for size in shape {
            tensor.number(1, *size);
        }
        tensor.number(2, kind);
        tensor.text(8, &name);
        tensor.bytes(9, &bytes);
        self.constants.push(tensor);
        Value(name)
    }

    /// The output of an operator; an empty name in `inputs` ([`Graph::nothing`]) leaves that input out.
    pub fn apply(&mut self, operator: &str, inputs: &[&Value], attributes: &[(&str, Attribute<'_>)]) -> Value {
        let output = format!("v{}", self.nodes.len());
        let mut node = Message::default();
        for input in inputs {
            node.text(1, &input.0);
        }
        node.text(2, &output);
        node.text(4, operator);
        for (name, attribute) in attributes {
            node.message(5, &attribute.message(name));
        }
        self.nodes.push(node);
        Value(output)
    }

    /// An input that is left out.
    pub fn nothing() -> Value {
        Value(String::new())
    }

    /// Reshape; -1 is inferred.
    pub fn reshape(&mut self, x: &Value, shape: &[i64]) -> Value {
        let shape = self.integers(shape);
        self.apply("Reshape", &[x, &shape], &[])
    }

    /// Concatenation along an axis.
    pub fn concatenate(&mut self, parts: &[&Value], axis: i64) -> Value {
        self.apply("Concat", parts, &[("axis", Attribute::Int(axis))])
    }

    /// Slice from `begin` up to `end` along an axis.
    pub fn narrow(&mut self, x: &Value, axis: i64, begin: i64, end: i64) -> Value {
        let [begin, end, axis] = [begin, end, axis].map(|number| self.integers(&[number]));
        self.apply("Slice", &[x, &begin, &end, &axis], &[])
    }

    /// Linear layer (B, in) -> (B, out) with weight (out, in) and bias (out).
    pub fn dense(&mut self, x: &Value, weight: &Value, bias: &Value) -> Value {
        self.apply("Gemm", &[x, weight, bias], &[("transB", Attribute::Int(1))])
    }

    /// Serializes the graph that returns `output`, with that name and shape.
    pub fn finish(self, name: &str, output: (&Value, &str, &[i64])) -> Vec<u8> {
        let Graph { mut nodes, constants, inputs } = self;
        let (value, output, shape) = output;
        let mut rename = Message::default();
        rename.text(1, &value.0);
        rename.text(2, output);
        rename.text(4, "Identity");
        nodes.push(rename);
        let mut graph = Message::default();
        for node in &nodes {
            graph.message(1, node);
        }
        graph.text(2, name);
        for constant in &constants {
            graph.message(5, constant);
        }
        for input in &inputs {
            graph.message(11, input);
        }
        graph.message(12, &port(output, shape));
        let mut opset = Message::default();
        opset.number(2, OPSET);
        let mut model = Message::default();
        model.number(1, IR_VERSION);
        model.text(2, "visuomotor");
        model.text(3, env!("CARGO_PKG_VERSION"));
        model.message(7, &graph);
        model.message(8, &opset);
        model.into_bytes()
    }
}

impl Attribute<'_> {
    /// `AttributeProto`.
    fn message(self, name: &str) -> Message {
        let mut message = Message::default();
        message.text(1, name);
        let kind = match self {
            Attribute::Float(number) => {
                message.float(2, number);
                1
            }
            Attribute::Int(number) => {
                message.number(3, number);
                2
            }
            Attribute::Text(text) => {
                message.text(4, text);
                3
            }
            Attribute::Ints(numbers) => {
                for number in numbers {
                    message.number(8, *number);
                }
                7
            }
        };
        message.number(20, kind);
        message
    }
}

/// `ValueInfoProto` of 32-bit floats.
fn port(name: &str, shape: &[i64]) -> Message {
    let mut axes = Message::default();
    for size in shape {
        let mut axis = Message::default();
        axis.number(1, *size);
        axes.message(1, &axis);
    }
    let mut tensor = Message::default();
    tensor.number(1, FLOAT);
    tensor.message(2, &axes);
    let mut kind = Message::default();
    kind.message(1, &tensor);
    let mut port = Message::default();
    port.text(1, name);
    port.message(2, &kind);
    port
}

#[cfg(test)]
mod tests {
    use super::super::{Dimension, ElementType, Malformed, Model, Operator};
    use super::*;

    /// relu(x w^T + b).
    fn file() -> Vec<u8> {
        let mut graph = Graph::default();
        let x = graph.input("x", &[1, 2]);
        let (weight, bias) = (graph.constant(&[3, 2], &[1.0; 6]), graph.constant(&[3], &[0.5; 3]));
        let y = graph.dense(&x, &weight, &bias);
        let y = graph.apply("Relu", &[&y], &[]);
        graph.finish("layer", (&y, "y", &[1, 3]))
    }

    #[test]
    fn a_graph_that_was_written_is_read() {
        let model = Model::read(&file()).unwrap();
        let [input] = model.inputs.as_slice() else { panic!("{model:?}") };
        assert_eq!((input.name.as_str(), input.element), ("x", Some(ElementType::F32)));
        assert!(input.fits(&[1, 2]) && !input.fits(&[1, 3]) && !input.fits(&[2]));
        assert_eq!(input.to_string(), "f32 (1, 2)");
        assert_eq!(model.outputs[0].shape, Some(vec![Dimension::Size(1), Dimension::Size(3)]));
        let names: Vec<&str> = model.operators.iter().map(|operator| operator.name.as_str()).collect();
        assert_eq!(names, ["Gemm", "Identity", "Relu"]);
        assert!(model.operators.contains(&Operator { domain: String::new(), name: "Relu".into() }));
        assert!(model.external.is_empty());
    }

    #[test]
    fn every_beginning_of_a_file_is_refused_or_read_and_none_panics() {
        let file = file();
        for length in 0..file.len() {
            // A file cut between two fields may still be valid.
            if let Err(error) = Model::read(&file[..length]) {
                assert!(matches!(error, Malformed::CutOff | Malformed::NoGraph), "{length}: {error}");
            }
        }
        assert_eq!(Model::read(&file[..file.len() / 2]), Err(Malformed::CutOff));
        assert_eq!(Model::read(b""), Err(Malformed::NoGraph));
    }

    #[test]
    fn a_small_file_with_very_many_inputs_is_refused() {
        let mut model = Message::default();
        // Inputs without a name take two bytes each.
        model.bytes(7, &[0x5a, 0].repeat(1 << 20));
        assert_eq!(Model::read(&model.into_bytes()), Err(Malformed::TooMany));
    }

    #[test]
    fn graphs_within_graphs_without_end_are_refused() {
        let mut graph = Message::default();
        for _ in 0..100 {
            let (mut attribute, mut node, mut outer) = (Message::default(), Message::default(), Message::default());
            attribute.message(6, &graph);
            node.message(5, &attribute);
            outer.message(1, &node);
            graph = outer;
        }
        let mut model = Message::default();
        model.message(7, &graph);
        assert_eq!(Model::read(&model.into_bytes()), Err(Malformed::TooDeep));
    }
}
