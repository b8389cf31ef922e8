//! Evaluates a policy in simulation during training.

use std::path::{Path, PathBuf};

use clap::Args;

#[derive(Args, Debug)]
pub(super) struct Trials {
    /// Evaluate the policy in simulation at each checkpoint, with this launch file
    #[arg(long)]
    try_on: Option<PathBuf>,
    /// Episodes per task of each evaluation
    #[arg(long, default_value_t = 3)]
    try_episodes: usize,
}

impl Trials {
    /// Success rate of the policy in `folder`; `None` without `--try-on`.
    #[cfg(feature = "mujoco")]
    pub fn score(&self, folder: &Path) -> anyhow::Result<Option<f64>> {
        let Some(launch) = &self.try_on else { return Ok(None) };
        crate::cli::demonstrate::success_rate(launch, folder, self.try_episodes).map(Some)
    }

    /// As above, in a build without simulation.
    #[cfg(not(feature = "mujoco"))]
    pub fn score(&self, folder: &Path) -> anyhow::Result<Option<f64>> {
        anyhow::ensure!(
            self.try_on.is_none(),
            "{}: --try-on: this program was built without the simulator (feature `mujoco`); leave it out",
            folder.display()
        );
        let _ = self.try_episodes;
        Ok(None)
    }
}
