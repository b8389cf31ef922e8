//! Exports our episodes as Bridge's raw folders. Start at [`export_bridge`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::json;

use crate::calendar::Date;
use crate::exchange::ExchangeError;
use crate::exchange::selection::{SelectedEpisode, Selection};
use crate::exchange::task::plain_name;
use crate::exchange::write::write_file;
use crate::staging::Staging;
use visuomotor_core::pickle::{Pickle, write};

/// Trajectories per group, as in Bridge's recorder.
const PER_GROUP: usize = 1000;

/// Writes a selection as Bridge's raw folders into the new folder `out`; `progress` is called after each episode. `now`
/// dates trajectories whose recording has no wall-clock time.
pub fn export_bridge(
    selection: &Selection,
    out: &Path,
    now: SystemTime,
    progress: &mut dyn FnMut(),
) -> Result<PathBuf, ExchangeError> {
    let staging = Staging::folder(out)?;
    let mut tasks: BTreeMap<String, (PathBuf, usize)> = BTreeMap::new();
    for episode in &selection.episodes {
        let name = plain_name(if episode.start.task.is_empty() { episode.instruction() } else { &episode.start.task });
        let (dated, count) = match tasks.get_mut(&name) {
            Some(known) => known,
            None => {
                let nanos = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_nanos() as u64);
                let dated =
                    staging.path().join(&name).join("00").join(date(episode.started_at_unix_ns.unwrap_or(nanos)));
                let about = json!({
                    "robot": episode.start.robot,
                    "camera_names": selection.cameras,
                    "policy_rate_hz": episode.start.policy_rate_hz,
                    "program": concat!("visuomotor ", env!("CARGO_PKG_VERSION")),
                });
                write_file(&dated.join("collection_metadata.json"), about.to_string().as_bytes())?;
                tasks.entry(name).or_insert((dated, 0))
            }
        };
        let folder = dated.join("raw").join(format!("traj_group{}", *count / PER_GROUP)).join(format!("traj{count}"));
        *count += 1;
        trajectory(&folder, selection, episode)?;
        progress();
    }
    Ok(staging.finish()?)
}

fn trajectory(folder: &Path, selection: &Selection, episode: &SelectedEpisode) -> Result<(), ExchangeError> {
    write_file(&folder.join("obs_dict.pkl"), &write(&observations(selection, episode)))?;
    write_file(&folder.join("policy_out.pkl"), &write(&decisions(episode)))?;
    write_file(&folder.join("agent_data.pkl"), &write(&about(selection, episode)))?;
    let instruction = episode.instruction().lines().collect::<Vec<_>>().join(" ");
    write_file(&folder.join("lang.txt"), format!("{instruction}\n").as_bytes())?;
    if selection.cameras.is_empty() {
        return Ok(());
    }
    let steps = episode.steps_with_pictures()?;
    for (index, step) in steps.iter().chain(steps.last()).enumerate() {
        for (camera, image) in step.images.iter().enumerate() {
            write_file(&folder.join(format!("images{camera}/im_{index}.jpg")), &image.jpeg)?;
        }
    }
    Ok(())
}

fn observations(selection: &Selection, episode: &SelectedEpisode) -> Pickle {
    let steps: Vec<_> = episode.steps.iter().chain(episode.steps.last()).collect();
    let joints = selection.start().joint_names.len();
    let count = steps.len();
    let states = Pickle::rows(&steps.iter().map(|step| step.bridge_state).collect::<Vec<_>>());
    let poses = steps.iter().flat_map(|step| step.base_from_tool.to_homogeneous().transpose().as_slice().to_vec());
    let since = episode.started_at_unix_ns.map_or(0.0, |nanos| nanos as f64 * 1e-9);
    let first = episode.steps[0].observed_at.as_secs_f64();
    let mut done = vec![0.0; count];
    done[count - 1] = 1.0;
    let captured =
        steps.iter().flat_map(|step| step.images.iter().map(|i| since + i.captured_at.as_secs_f64() - first));
    let body = |of: &dyn Fn(&visuomotor_core::observation::Proprioception) -> Vec<f64>| {
        Pickle::Floats(vec![count, joints], steps.iter().flat_map(|step| of(&step.proprioception)).collect())
    };
    Pickle::dict([
        ("full_state", states.clone()),
        ("state", states),
        ("qpos", body(&|body| body.joint_positions.to_vec())),
        ("qvel", body(&|body| body.joint_velocities.to_vec())),
        ("joint_effort", body(&|body| body.joint_efforts.to_vec())),
        ("eef_transform", Pickle::Floats(vec![count, 4, 4], poses.collect())),
        ("time_stamp", Pickle::Floats(vec![count], steps.iter().map(|step| since + episode.seconds(step)).collect())),
        ("image_capture_time", Pickle::Floats(vec![count, selection.cameras.len()], captured.collect())),
        ("env_done", Pickle::Floats(vec![count], done)),
    ])
}

fn decisions(episode: &SelectedEpisode) -> Pickle {
    let disturbed = episode.was_disturbed();
    let step = |step: &crate::recording::RecordedStep| {
        let mut of = vec![
            ("actions".to_string(), Pickle::Floats(vec![7], step.action.to_array().to_vec())),
            ("policy_type".to_string(), Pickle::Text(episode.start.action_source.clone())),
        ];
        if disturbed {
            of.push(("noise_free_actions".into(), Pickle::Floats(vec![7], step.label.to_array().to_vec())));
        }
        Pickle::Dict(of)
    };
    Pickle::List(episode.steps.iter().map(step).collect())
}

fn about(selection: &Selection, episode: &SelectedEpisode) -> Pickle {
    // Plain structures of strings and finite numbers.
    let own = |text: serde_json::Result<String>| Pickle::Text(text.unwrap_or_default());
    Pickle::dict([
        ("last_observation_repeated", Pickle::Bool(true)),
        ("camera_names", Pickle::List(selection.cameras.iter().cloned().map(Pickle::Text).collect())),
        ("episode_start", own(serde_json::to_string(&episode.start))),
        ("episode_end", own(serde_json::to_string(&episode.end))),
    ])
}

/// `YYYY-MM-DD_HH-MM-SS` (UTC) of nanoseconds since 1970. Converters read the date: before 2021-07-23 Bridge's images
/// lagged by a step.
fn date(unix_nanos: u64) -> String {
    let Date { year, month, day, hour, minute, second } = Date::of_unix(unix_nanos / 1_000_000_000);
    format!("{year:04}-{month:02}-{day:02}_{hour:02}-{minute:02}-{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // `date -u -d @SECONDS +%Y-%m-%d_%H-%M-%S`
        for (seconds, expected) in [
            (0, "1970-01-01_00-00-00"),
            (951_782_399, "2000-02-28_23-59-59"),
            (951_868_799, "2000-02-29_23-59-59"),
            (1_795_262_400, "2026-11-21_12-00-00"),
        ] {
            assert_eq!(date(seconds * 1_000_000_000), expected);
        }
    }
}
