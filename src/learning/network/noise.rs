//! Random numbers from a seed. libtorch's generator is shared by the whole process; no other code draws from these.

use super::fill::splitmix64;

/// Number `index` of a seed's sequence, uniform in (0, 1).
fn unit(seed: u64, index: u64) -> f64 {
    ((splitmix64(seed, index) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

/// `count` numbers uniform in (-1, 1).
pub fn uniforms(count: usize, seed: u64) -> Vec<f32> {
    (0..count as u64).map(|i| (2.0 * unit(seed, i) - 1.0) as f32).collect()
}

/// `count` standard normal numbers, by Box and Muller's transform.
pub fn normals(count: usize, seed: u64) -> Vec<f32> {
    (0..count as u64)
        .map(|i| {
            let (radius, angle) = (unit(seed, 2 * i), unit(seed, 2 * i + 1));
            ((-2.0 * radius.ln()).sqrt() * (2.0 * std::f64::consts::PI * angle).cos()) as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: &[f32]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        (mean, values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n)
    }

    #[test]
    fn numbers_have_their_distributions_and_follow_the_seed() {
        let (mean, variance) = moments(&normals(20_000, 3));
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        let (mean, variance) = moments(&uniforms(20_000, 3));
        assert!(mean.abs() < 0.02 && (variance - 1.0 / 3.0).abs() < 0.02, "{mean} {variance}");
        assert!(uniforms(20_000, 4).iter().all(|v| v.abs() <= 1.0));
        assert_eq!(normals(5, 3), normals(5, 3));
        assert_ne!(normals(5, 3), normals(5, 4));
    }
}
