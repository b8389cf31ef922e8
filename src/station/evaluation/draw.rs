//! Repeatable random numbers, drawn from a seed and words that name their purpose.
//!
//! The generator's output and these few methods are fixed here, so that a seed in a report means the same layout after
//! any upgrade of the `rand` crates (whose `shuffle` and ranges may change between versions).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

/// Seeds stay below 2^53: every JSON reader and TOML keep such a number exactly.
const SEED_MASK: u64 = (1 << 53) - 1;

/// SHA-256 of the seed and the words, each word closed by a zero byte so that ("ab", "c") differs from ("a", "bc").
fn hash(seed: u64, words: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    for word in words {
        hasher.update(word.as_bytes());
        hasher.update([0]);
    }
    hasher.finalize().into()
}

/// A seed for the purpose named by `words`, below 2^53.
pub(super) fn derived_seed(seed: u64, words: &[&str]) -> u64 {
    let bytes = hash(seed, words);
    let mut low = [0; 8];
    low.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(low) & SEED_MASK
}

/// A stream of random numbers.
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    /// The stream for `seed` and `words`.
    pub(super) fn new(seed: u64, words: &[&str]) -> Self {
        Self(ChaCha8Rng::from_seed(hash(seed, words)))
    }

    /// Uniform in [-half, half).
    pub(super) fn around_zero(&mut self, half: f64) -> f64 {
        let unit = (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        (2.0 * unit - 1.0) * half
    }

    /// Uniform in 0..count (`count` at least 1; the bias of the multiplication is below count / 2^64).
    fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.0.next_u64()) * count as u128) >> 64) as usize
    }

    /// Fisher-Yates.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}
