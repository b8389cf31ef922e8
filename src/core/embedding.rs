//! Embedding of an image: plain `f32`, with the digest of the encoder's weights.

use serde::{Deserialize, Serialize};

/// An encoder's output for one image, shape `(dimension,)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    /// The encoder's raw output (VIP's 1024-d output is neither normalized nor activated).
    pub values: Vec<f32>,
    /// SHA-256 of the weights that made it, hexadecimal: embeddings of different encoders are never compared.
    pub encoder_digest: String,
}

/// Two embeddings cannot be compared.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum EmbeddingError {
    /// They were made by different weights.
    #[error("embeddings come from different encoders ({left} and {right}): encode both images with the same weights")]
    DifferentEncoders {
        /// Digest of the left one.
        left: String,
        /// Digest of the right one.
        right: String,
    },
    /// They differ in length.
    #[error("embeddings have different lengths ({left} and {right})")]
    DifferentLengths {
        /// Length of the left one.
        left: usize,
        /// Length of the right one.
        right: usize,
    },
}

impl Embedding {
    /// Euclidean distance `||a - b||_2`; VIP's similarity is its negative (VIP, S(a, b) = -||a - b||_2).
    pub fn distance(&self, other: &Embedding) -> Result<f64, EmbeddingError> {
        if self.encoder_digest != other.encoder_digest {
            return Err(EmbeddingError::DifferentEncoders {
                left: self.encoder_digest.clone(),
                right: other.encoder_digest.clone(),
            });
        }
        if self.values.len() != other.values.len() {
            return Err(EmbeddingError::DifferentLengths { left: self.values.len(), right: other.values.len() });
        }
        let sum: f64 = self
            .values
            .iter()
            .zip(&other.values)
            .map(|(a, b)| {
                let d = f64::from(*a) - f64::from(*b);
                d * d
            })
            .sum();
        Ok(sum.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedding(values: &[f32], digest: &str) -> Embedding {
        Embedding { values: values.to_vec(), encoder_digest: digest.into() }
    }

    #[test]
    fn distance_is_euclidean() {
        let d = embedding(&[0.0, 3.0], "a").distance(&embedding(&[4.0, 0.0], "a"));
        assert_eq!(d, Ok(5.0));
    }

    #[test]
    fn embeddings_of_different_encoders_are_not_compared() {
        let d = embedding(&[0.0], "a").distance(&embedding(&[0.0], "b"));
        assert!(matches!(d, Err(EmbeddingError::DifferentEncoders { .. })));
    }
}
