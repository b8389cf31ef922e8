//! Reads `values.safetensors`; the shapes of the heads follow from the file.

use std::path::Path;

use anyhow::{Context, ensure};
use tch::{Device, nn};

use crate::encoder::weights::Weights;
use crate::network::{IntentionValues, PerceptronShape};

/// The heads of a training run, and their variables, on `device`. The embeddings they expect are those of the
/// `encoder.safetensors` beside the file.
pub fn load_values(file: &Path, device: Device) -> anyhow::Result<(nn::VarStore, IntentionValues)> {
    let weights = Weights::read(file)?;
    let shapes = weights.shapes()?;
    let width = |i: usize| shapes.get(&format!("v1.phi.dense{i}.weight"));
    let (mut hidden, mut dimension) = (Vec::new(), 0);
    while let Some(shape) = width(hidden.len()) {
        let [output, input] = shape[..] else { break };
        ensure!(output > 0 && input > 0, "{}: `v1.phi.dense{}.weight` is empty", file.display(), hidden.len());
        if hidden.is_empty() {
            dimension = input;
        }
        hidden.push(output);
    }
    ensure!(
        !hidden.is_empty(),
        "{}: lacks `v1.phi.dense0.weight`; expected the values.safetensors of `visuomotor train icvf`",
        file.display()
    );
    let layer_norm = shapes.contains_key("v1.phi.norm0.weight");
    let mut variables = nn::VarStore::new(device);
    let shape = PerceptronShape { hidden, layer_norm, dropout: 0.0 };
    let values = IntentionValues::new(&variables.root(), dimension, &shape)?;
    weights.fill(&variables, "").with_context(|| "value heads")?;
    variables.freeze();
    Ok((variables, values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::weights::save;
    use crate::network::{choose_device, fill};

    #[test]
    fn heads_of_any_shape_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("values.safetensors");
        for (hidden, layer_norm) in [(vec![5], false), (vec![6, 4, 3], true)] {
            let shape = PerceptronShape { hidden, layer_norm, dropout: 0.2 };
            let store = nn::VarStore::new(choose_device());
            let values = IntentionValues::new(&store.root(), 7, &shape).unwrap();
            fill(&store, 4).unwrap();
            save(&store, &file, "test").unwrap();
            let (_variables, back) = load_values(&file, choose_device()).unwrap();
            let x = tch::Tensor::rand([3, 7], (tch::Kind::Float, choose_device()));
            assert!(values.least(&x, &x, &x).unwrap().equal(&back.least(&x, &x, &x).unwrap()));
        }
    }

    #[test]
    fn another_file_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("encoder.safetensors");
        let store = nn::VarStore::new(tch::Device::Cpu);
        let _ = store.root().zeros("conv1", &[2, 2]);
        save(&store, &file, "test").unwrap();
        let error = load_values(&file, choose_device()).err().unwrap().to_string();
        assert!(error.contains("encoder.safetensors") && error.contains("v1.phi.dense0.weight"), "{error}");
    }
}
