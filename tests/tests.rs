//! All integration tests in one program: linking libtorch takes long.

/// Simulated kitchen, expert, success rule.
#[cfg(feature = "mujoco")]
mod simulation;
