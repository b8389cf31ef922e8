//! Weights from a seed, equal on every machine and in every language: no generator state, no transcendental function.
//!
//! Value `i` of the variable called `name` is `offset + scale * u` with
//! `u = ((splitmix64(fnv1a64(name) ^ splitmix64(seed), i) >> 40) + 0.5) / 2^23 - 1`, uniform in (-1, 1) and computed in
//! f64. The last part of the name and the number of dimensions determine offset and scale:
//!
//! | variable | offset | scale |
//! |---|---|---|
//! | kernel (2 or more dimensions) | 0 | sqrt(6 / fan-in): He's uniform initialization for ReLU |
//! | `weight` of a norm | 1 (0.25 for a residual branch's last, `bn3`) | 0.1 |
//! | `bias`, `running_mean` | 0 | 0.1 |
//! | `running_var` | 1 | 0.5 |
//! | any other (`log_temperature`) | 0 | 0.1 |
//!
//! `tests/golden/make_encoders.py` does the same in Python; the golden embeddings check that the two agree.

use tch::nn::VarStore;
use tch::{TchError, Tensor};

/// Sets every variable of `variables` from `seed`; the same seed gives the same weights everywhere.
pub fn fill(variables: &VarStore, seed: u64) -> Result<(), TchError> {
    tch::no_grad(|| {
        for (name, mut variable) in variables.variables() {
            let shape = variable.size();
            let values = Tensor::f_from_slice(&filled(&name, &shape, seed))?.f_reshape(&shape)?;
            variable.f_copy_(&values)?;
        }
        Ok(())
    })
}

/// The values of the variable called `name` (the part after its last `.` sets the range), row-major.
pub fn filled(name: &str, shape: &[i64], seed: u64) -> Vec<f32> {
    let count: i64 = shape.iter().product();
    let (offset, scale) = range(name, shape);
    let key = fnv1a64(name.as_bytes()) ^ splitmix64(seed, 0);
    (0..count.unsigned_abs())
        .map(|i| {
            let unit = ((splitmix64(key, i) >> 40) as f64 + 0.5) / (1u64 << 23) as f64 - 1.0;
            (offset + scale * unit) as f32
        })
        .collect()
}

fn range(name: &str, shape: &[i64]) -> (f64, f64) {
    if shape.len() >= 2 {
        let fan_in: i64 = shape[1..].iter().product();
        return (0.0, (6.0 / fan_in.max(1) as f64).sqrt());
    }
    let mut parts = name.rsplit('.');
    match parts.next() {
        Some("weight") if parts.next() == Some("bn3") => (0.25, 0.1),
        Some("weight") => (1.0, 0.1),
        Some("running_var") => (1.0, 0.5),
        _ => (0.0, 0.1),
    }
}

/// Fowler-Noll-Vo 1a, 64 bits.
fn fnv1a64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Output `index` of the splitmix64 generator that starts at `key` (Steele, Lea, Flood 2014).
pub(crate) fn splitmix64(key: u64, index: u64) -> u64 {
    let mut z = key.wrapping_add((index.wrapping_add(1)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_gives_the_published_sequence() {
        // First outputs for state 1234567, as in the Rosetta Code entry for splitmix64.
        let first: Vec<u64> = (0..3).map(|i| splitmix64(1_234_567, i)).collect();
        assert_eq!(first, [6457827717110365317, 3203168211198807973, 9817491932198370423]);
    }

    #[test]
    fn values_stay_in_range_and_depend_on_name_and_seed() {
        let a = filled("layer.weight", &[8, 6], 1);
        assert!(a.iter().all(|v| v.abs() < 1.0));
        assert_ne!(a, filled("layer.weight", &[8, 6], 2));
        assert_ne!(a, filled("other.weight", &[8, 6], 1));
        assert!(filled("x.running_var", &[64], 1).iter().all(|v| (0.5..1.5).contains(v)));
    }
}
