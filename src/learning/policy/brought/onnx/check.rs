//! Checks that a graph takes what `policy.toml` gives it, and uses no other libraries or files.

use tch::{Kind, Tensor};

use super::super::network::Refusal;
use super::super::{Description, Input};
use visuomotor_core::onnx::{ElementType, Model, Port};
use visuomotor_core::untrusted::printable_lines;

/// Domains of ONNX's own operators: they compute on tensors, and every runtime implements them.
const ONNX: [&str; 3] = ["", "ai.onnx", "ai.onnx.ml"];

/// The fix where inputs differ.
const INPUTS: &str = "make [[input]] in policy.toml name what the graph takes, in its order, or export it again";

/// Refuses a model that does not fit; `tried` are tensors as they will go in.
pub fn check(model: &Model, description: &Description, tried: &[Tensor]) -> Result<(), Refusal> {
    operators(model)?;
    weights(model, description)?;
    inputs(model, description, tried)?;
    output(model)
}

fn operators(model: &Model) -> Result<(), Refusal> {
    let Some(other) = model.operators.iter().find(|operator| !ONNX.contains(&operator.domain.as_str())) else {
        return Ok(());
    };
    let (name, domain) = (printable_lines(&other.name), printable_lines(&other.domain));
    let what =
        format!("it calls {name} of the domain {domain}, which is unsupported: what other libraries do is not known");
    Err(Refusal { what, fix: "export it with ONNX's own operators alone (no custom or fused ones)" })
}

fn weights(model: &Model, description: &Description) -> Result<(), Refusal> {
    let data = &description.module.data;
    for location in &model.external {
        let shown = printable_lines(location);
        if !is_plain(location) {
            let what = format!("it keeps weights in `{shown}`, which is no file beside it");
            return Err(Refusal { what, fix: "export it with its weights inside, or in a file of the same folder" });
        }
        if !data.iter().any(|data| data.file == *location) {
            let what = format!("it keeps weights in `{shown}`, which [[module.data]] in policy.toml does not name");
            return Err(Refusal { what, fix: "name it there with its digest; `visuomotor policy new` does" });
        }
    }
    if let Some(data) = data.iter().find(|data| !model.external.contains(&data.file)) {
        let what = format!("policy.toml names {} under [[module.data]], which holds none of its weights", data.file);
        return Err(Refusal { what, fix: "leave the entry out" });
    }
    Ok(())
}

/// A file name without a folder. onnxruntime takes `*/_ORT_MEM_ADDR_/*` for an address in memory.
pub fn is_plain(location: &str) -> bool {
    !location.is_empty() && location != "." && location != ".." && !location.contains(['/', '\\', '*', '\0'])
}

fn inputs(model: &Model, description: &Description, tried: &[Tensor]) -> Result<(), Refusal> {
    let inputs = &model.inputs;
    if inputs.len() != tried.len() {
        let names: Vec<String> = inputs.iter().map(|input| printable_lines(&input.name)).collect();
        let what =
            format!("it takes {} inputs ({}), policy.toml names {}", inputs.len(), names.join(", "), tried.len());
        return Err(Refusal { what, fix: INPUTS });
    }
    for (i, input) in inputs.iter().enumerate() {
        let name = printable_lines(&input.name);
        if name.is_empty() || inputs[..i].iter().any(|other| other.name == input.name) {
            let what = format!("its input {} has no name of its own (`{name}`)", i + 1);
            return Err(Refusal { what, fix: "give each input a name when exporting (input_names)" });
        }
        let given = given(&tried[i]);
        let takes_it = input.element == given.element && input.fits(&tried[i].size());
        if !takes_it {
            let word = description.input.get(i).map_or("", Input::word);
            let what = format!(
                "its input {} `{name}` takes {input}, the {word} that [[input]] number {} names is {given}",
                i + 1,
                i + 1
            );
            return Err(Refusal { what, fix: INPUTS });
        }
    }
    Ok(())
}

/// An input tensor, described as a graph's port.
fn given(tensor: &Tensor) -> Port {
    let element = if tensor.kind() == Kind::Uint8 { ElementType::U8 } else { ElementType::F32 };
    let shape = tensor.size().into_iter().map(visuomotor_core::onnx::Dimension::Size).collect();
    Port { name: String::new(), element: Some(element), shape: Some(shape) }
}

fn output(model: &Model) -> Result<(), Refusal> {
    let fix = "export it so that it returns one tensor of floats, (1, chunk, width)";
    let [output] = model.outputs.as_slice() else {
        return Err(Refusal { what: format!("it returns {} tensors, expected one", model.outputs.len()), fix });
    };
    if !matches!(output.element, Some(ElementType::F32 | ElementType::F64)) {
        let what = format!("its output `{}` is {output}, expected f32 or f64", printable_lines(&output.name));
        return Err(Refusal { what, fix });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_files_name_is_beside_the_graph() {
        assert!(is_plain("weights.data"));
        for location in ["", ".", "..", "../weights.data", "/etc/passwd", "a/b", "a\\b", "*/_ORT_MEM_ADDR_/*", "*"] {
            assert!(!is_plain(location), "{location}");
        }
    }
}
