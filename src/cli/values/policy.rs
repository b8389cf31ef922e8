//! Values of a policy's critic for the states of recorded episodes (V-PTR, figure 6).

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{Along, Found, ValuesArguments};
use crate::episode::Outcome;
use crate::policy::StateValue;
use crate::recording::{RecordedEpisode, RecordedStep, list_episodes, read_episode};

/// Number of sampled policy actions whose Q is averaged.
const SAMPLES: usize = 16;
/// Random seed of those samples, the same for every state.
const SEED: u64 = 0;

/// V(s_t) of each step of the episode in `file`.
pub fn along(critic: &StateValue, file: &Path, episode: &RecordedEpisode) -> anyhow::Result<Vec<f64>> {
    let name = file.display();
    let of = |step: &RecordedStep| {
        let image = step.image().with_context(|| format!("{name}: step {} has no image", step.index))?;
        let image = image.decode().with_context(|| name.to_string())?;
        Ok(critic.value(&episode.start.task, &image, &step.bridge_state, SAMPLES, SEED)?)
    };
    episode.steps.iter().map(of).collect()
}

/// Values along the successful episodes of tasks the policy knows.
pub fn values(a: &ValuesArguments, folder: &Path) -> anyhow::Result<Found> {
    let critic = StateValue::load(folder, crate::cli::compute_device())?;
    let checkpoint = critic.checkpoint();
    let (mut found, mut passed_over) = (Vec::new(), 0);
    for file in list_episodes(&a.clips)? {
        if found.len() >= a.most {
            break;
        }
        let episode = read_episode(&file)?;
        let task = &episode.start.task;
        let success = matches!(episode.end.as_ref().map(|end| &end.outcome), Some(Outcome::Success { .. }));
        if !success || !checkpoint.tasks.contains(task) {
            passed_over += 1;
            continue;
        }
        let values = along(&critic, &file, &episode)?;
        let name = file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        found.push(Along { name: format!("{task} {name}"), distances: None, bumps: None, values });
    }
    if passed_over > 0 {
        say!("{passed_over} episodes did not succeed, or are of tasks the policy does not know, and are passed over");
    }
    ensure!(
        !found.is_empty(),
        "{}: no successful episode of {}; make some with `visuomotor demonstrate`",
        a.clips.display(),
        checkpoint.tasks.join(", ")
    );
    Ok(Found {
        probe: Value::Null,
        clips: found,
        what: format!("V(s_t) of {}", checkpoint.name),
        source: json!({ "policy": folder, "name": checkpoint.name, "encoder_digest": checkpoint.encoder_digest }),
    })
}
