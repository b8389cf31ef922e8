//! Networks as ONNX graphs: functions that the layers share.

use tch::{Device, Kind, TchError, Tensor, nn};

use visuomotor_core::onnx::{Attribute, Graph, Value};

/// The pooling behind the first convolution of ResNets.
const POOL: [(&str, Attribute<'static>); 3] = [
    ("kernel_shape", Attribute::Ints(&[3, 3])),
    ("strides", Attribute::Ints(&[2, 2])),
    ("pads", Attribute::Ints(&[1, 1, 1, 1])),
];

/// A constant of the graph.
pub(crate) fn constant(graph: &mut Graph, tensor: &Tensor) -> Result<Value, TchError> {
    let flat = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_reshape([-1])?;
    Ok(graph.constant(&tensor.size(), &Vec::<f32>::try_from(flat)?))
}

/// A dense layer of a (out, in) kernel and an (out) offset: (B, in) -> (B, out).
pub(crate) fn dense(graph: &mut Graph, x: &Value, weight: &Tensor, bias: &Tensor) -> Result<Value, TchError> {
    let (weight, bias) = (constant(graph, weight)?, constant(graph, bias)?);
    Ok(graph.dense(x, &weight, &bias))
}

/// The same for a layer of tch.
pub(crate) fn linear(graph: &mut Graph, x: &Value, layer: &nn::Linear) -> Result<Value, TchError> {
    match &layer.bs {
        Some(bias) => dense(graph, x, &layer.ws, bias),
        None => dense(graph, x, &layer.ws, &Tensor::f_zeros([layer.ws.size()[0]], (Kind::Float, Device::Cpu))?),
    }
}

/// max(0, x).
pub(crate) fn relu(graph: &mut Graph, x: &Value) -> Value {
    graph.apply("Relu", &[x], &[])
}

/// The largest of 3x3 pixels, every second one: (B, C, H, W) -> (B, C, H / 2, W / 2).
pub(crate) fn pool(graph: &mut Graph, x: &Value) -> Value {
    graph.apply("MaxPool", &[x], &POOL)
}

/// The mean of each map: (B, C, H, W) -> (B, C).
pub(crate) fn mean_of_maps(graph: &mut Graph, x: &Value) -> Value {
    let axes = [("axes", Attribute::Ints(&[2, 3])), ("keepdims", Attribute::Int(0))];
    graph.apply("ReduceMean", &[x], &axes)
}
