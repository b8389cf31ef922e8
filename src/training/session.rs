//! What an algorithm is to the loop that trains it.
//!
//! An algorithm is a [`Learner`]: it takes one optimizer step at a time on a batch, and can say everything that is needed
//! to go on later. Where batches come from is a [`Batches`]: a batch depends on the step's number alone, so that a resumed
//! run draws what an unbroken one would have drawn.

use std::path::Path;

use tch::Tensor;

/// Named numbers of one step, in an order that never changes: the terms of the loss, and what else is worth a curve.
pub type Terms = Vec<(&'static str, f64)>;

/// An algorithm that learns a step at a time.
pub trait Learner {
    /// What a step learns from.
    type Batch: Send;

    /// One optimizer step on `batch`. libtorch's generator was seeded from the run's seed and `step` before the call.
    fn update(&mut self, batch: &Self::Batch, step: u64) -> anyhow::Result<Terms>;

    /// Everything needed to go on as if never stopped: variables, their averages and targets, the optimizers' moments.
    fn state(&self) -> anyhow::Result<Vec<(String, Tensor)>>;

    /// Takes a saved state back.
    fn restore(&mut self, state: &[(String, Tensor)]) -> anyhow::Result<()>;

    /// Writes what others use (`encoder.safetensors`, a policy) into `folder`.
    fn save(&self, folder: &Path) -> anyhow::Result<()>;

    /// Terms on what was kept back, with unvaried pictures; none where nothing was.
    fn validate(&self) -> anyhow::Result<Terms> {
        Ok(Vec::new())
    }
}

/// Where batches come from.
pub trait Batches: Sync {
    /// What a step learns from.
    type Batch: Send;

    /// The batch of a step (0-based), a function of the step's number and the settings alone.
    fn batch(&self, step: u64) -> anyhow::Result<Self::Batch>;
}
