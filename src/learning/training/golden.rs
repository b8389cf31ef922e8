//! Helpers for the tests against golden files.

use serde::de::DeserializeOwned;
use tch::{Kind, Tensor};

use super::Places;
use crate::network::choose_device;

/// The part of a golden file under a key.
pub fn part<T: DeserializeOwned>(text: &str, key: &str) -> T {
    let mut all: serde_json::Value = serde_json::from_str(text).unwrap();
    serde_json::from_value(all[key].take()).unwrap()
}

/// Numbers as a tensor (N).
pub fn row(values: &[f32]) -> Tensor {
    Tensor::from_slice(values).to_device(choose_device())
}

/// No places ahead, for `count` steps.
pub fn places(count: i64) -> Places {
    let nothing = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, choose_device()));
    Places { places: nothing(&[count, 5]), units: nothing(&[5]), ahead: nothing(&[count, 5]) }
}

/// A tensor's numbers, flat.
pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().to_kind(Kind::Double).reshape([-1])).unwrap()
}

/// Equal within a relative 1e-5.
pub fn agree(name: &str, found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-5 * expected.abs(), "{name}: {found}, expected {expected}");
}

/// Equal within `relative` of the tensor's largest number.
pub fn close(name: &str, found: &Tensor, expected: &[f64], relative: f64) {
    let found = numbers(found);
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let off = (found - expected).abs();
        assert!(off <= relative * largest + 1e-9, "{name}[{i}]: {found}, expected {expected} (largest {largest})");
    }
}
