//! Episodes as a robomimic file (HDF5).
//!
//! ```text
//! data                    attributes total, env_args (JSON)
//! data/demo_N             attributes num_samples, ep_meta (JSON with `lang`), episode_start, episode_end (JSON)
//! data/demo_N/actions     (T, 7) f64; also rewards (T), dones (T), states (T, 7)
//! data/demo_N/obs/KEY     state (T, 7), robot0_eef_pos (T, 3), robot0_eef_quat (T, 4; x y z w),
//!                         robot0_gripper_qpos (T, 1; 0 closed .. 1 open), robot0_joint_pos (T, joints),
//!                         measured_time (T; s), CAMERA_image (T, height, width, 3) u8
//! data/demo_N/next_obs    the same one step later; the last observation is repeated
//! mask/train, mask/valid  names of demos: every tenth is for validation, the last of fewer
//! ```
//!
//! `actions` are in Bridge's units, as recorded, not scaled to -1..1. One episode at a time is in memory.

use std::path::{Path, PathBuf};

use hdf5_pure::{AttrValue, File, FileBuilder};
use serde_json::json;

use super::ExchangeError;
use super::error::write_error;
use super::selection::{SelectedEpisode, Selection};
use crate::recording::RecordedStep;
use crate::staging::Staging;
use visuomotor_core::action::Decider;
use visuomotor_core::geometry::Pose;

/// One observation key: its shape per step and its values.
struct Series {
    name: String,
    shape: Vec<u64>,
    numbers: Numbers,
}

enum Numbers {
    Floats(Vec<f64>),
    Bytes(Vec<u8>),
}

/// Writes a selection as the new robomimic file `out`; `progress` is called after each episode.
pub fn export_robomimic(
    selection: &Selection,
    out: &Path,
    progress: &mut dyn FnMut(),
) -> Result<PathBuf, ExchangeError> {
    let staging = Staging::file(out)?;
    let path = staging.path();
    let failed = |error: hdf5_pure::Error| write_error(path)(std::io::Error::other(error));
    skeleton(selection).write(path).map_err(failed)?;
    let mut sizes = vec![None; selection.cameras.len()];
    for (index, episode) in selection.episodes.iter().enumerate() {
        let observed = observations(selection, episode, &mut sizes)?;
        let file = File::open_rw(path).map_err(failed)?;
        demo(&file, &format!("data/demo_{index}"), episode, &observed).map_err(failed)?;
        file.commit().map_err(failed)?;
        progress();
    }
    Ok(staging.finish()?)
}

/// The file before demos are added.
fn skeleton(selection: &Selection) -> FileBuilder {
    let mut builder = FileBuilder::new();
    let start = selection.start();
    let total: usize = selection.episodes.iter().map(|episode| episode.steps.len()).sum();
    let environment = json!({
        "env_name": start.task,
        "env_version": concat!("visuomotor ", env!("CARGO_PKG_VERSION")),
        // robomimic's number for an environment that is made outside it.
        "type": 2,
        "env_kwargs": {"robot": start.robot, "control_freq": start.policy_rate_hz},
    });
    let mut data = builder.create_group("data");
    data.set_attr("total", AttrValue::I64(total as i64));
    data.set_attr("env_args", AttrValue::String(environment.to_string()));
    builder.add_group(data.finish());
    let count = selection.episodes.len();
    let is_valid = |index: usize| if count < 10 { count > 1 && index + 1 == count } else { index % 10 == 9 };
    let mut mask = builder.create_group("mask");
    for (name, wanted) in [("train", false), ("valid", true)] {
        let names: Vec<String> =
            (0..count).filter(|index| is_valid(*index) == wanted).map(|index| format!("demo_{index}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if !names.is_empty() {
            // Letters and digits are ASCII.
            let _ = mask.create_dataset(name).with_ascii_strings(&names);
        }
    }
    builder.add_group(mask.finish());
    builder
}

fn demo(file: &File, at: &str, episode: &SelectedEpisode, observed: &[Series]) -> Result<(), hdf5_pure::Error> {
    let count = episode.steps.len();
    let root = file.root();
    root.create_group_with(at, |group| {
        group.set_attr("num_samples", AttrValue::I64(count as i64));
        group.set_attr("ep_meta", AttrValue::String(json!({"lang": episode.instruction()}).to_string()));
        // Plain structures of strings and finite numbers.
        let own = |text: serde_json::Result<String>| AttrValue::String(text.unwrap_or_default());
        group.set_attr("episode_start", own(serde_json::to_string(&episode.start)));
        group.set_attr("episode_end", own(serde_json::to_string(&episode.end)));
    })?;
    let mut rewards = vec![0.0; count];
    let mut dones = vec![0i64; count];
    rewards[count - 1] = f64::from(u8::from(episode.succeeded()));
    dones[count - 1] = 1;
    let rows = [count as u64, 7];
    let put = |name: &str, rows: &[u64], numbers: &[f64]| {
        root.create_dataset(&format!("{at}/{name}"), |set| {
            set.with_f64_data(numbers).with_shape(rows);
        })
    };
    put("actions", &rows, &episode.steps.iter().flat_map(|step| step.action.to_array()).collect::<Vec<_>>())?;
    if episode.was_disturbed() {
        let labels: Vec<f64> = episode.steps.iter().flat_map(|step| step.label.to_array()).collect();
        put("noise_free_actions", &rows, &labels)?;
    }
    if episode.has_interventions() {
        let taken = |step: &RecordedStep| i64::from(step.decided_by == Some(Decider::Operator));
        let interventions: Vec<i64> = episode.steps.iter().map(taken).collect();
        root.create_dataset(&format!("{at}/interventions"), |set| {
            set.with_i64_data(&interventions).with_shape(&rows[..1]);
        })?;
    }
    put("states", &rows, &episode.steps.iter().flat_map(|step| step.bridge_state).collect::<Vec<_>>())?;
    put("rewards", &rows[..1], &rewards)?;
    root.create_dataset(&format!("{at}/dones"), |set| {
        set.with_i64_data(&dones).with_shape(&rows[..1]);
    })?;
    for (group, later) in [("obs", 0), ("next_obs", 1)] {
        root.create_group(&format!("{at}/{group}"))?;
        for series in observed {
            let shape = [&[count as u64], &series.shape[..]].concat();
            let name = format!("{at}/{group}/{}", series.name);
            match &series.numbers {
                Numbers::Floats(numbers) => {
                    let numbers = shifted(numbers, count, later);
                    root.create_dataset(&name, |set| {
                        set.with_f64_data(&numbers).with_shape(&shape);
                    })?;
                }
                Numbers::Bytes(bytes) => {
                    let bytes = shifted(bytes, count, later);
                    let chunk = [&[1], &series.shape[..]].concat();
                    root.create_dataset(&name, |set| {
                        set.with_u8_data(&bytes).with_shape(&shape).with_chunks(&chunk).with_deflate(1);
                    })?;
                }
            }
        }
    }
    Ok(())
}

/// The same series `later` steps later, with its last step repeated.
fn shifted<T: Copy>(values: &[T], count: usize, later: usize) -> Vec<T> {
    let width = values.len() / count.max(1);
    let tail = &values[values.len() - later * width..];
    [&values[later * width..], tail].concat()
}

fn observations(
    selection: &Selection,
    episode: &SelectedEpisode,
    sizes: &mut [Option<(u32, u32)>],
) -> Result<Vec<Series>, ExchangeError> {
    let steps = &episode.steps;
    let pose = |of: fn(&Pose) -> Vec<f64>| steps.iter().flat_map(|step| of(&step.base_from_tool)).collect::<Vec<f64>>();
    let floats = |name: &str, shape: &[u64], numbers| Series {
        name: name.into(),
        shape: shape.into(),
        numbers: Numbers::Floats(numbers),
    };
    let joints = selection.start().joint_names.len() as u64;
    let mut out = vec![
        floats("state", &[7], steps.iter().flat_map(|step| step.bridge_state).collect()),
        floats("robot0_eef_pos", &[3], pose(|pose| pose.translation.vector.as_slice().to_vec())),
        // nalgebra keeps quaternions as x, y, z, w.
        floats("robot0_eef_quat", &[4], pose(|pose| pose.rotation.coords.as_slice().to_vec())),
        floats("robot0_gripper_qpos", &[1], steps.iter().map(|step| step.proprioception.gripper).collect()),
        floats("measured_time", &[], steps.iter().map(|step| episode.seconds(step)).collect()),
    ];
    if joints > 0 {
        let numbers = steps.iter().flat_map(|step| step.proprioception.joint_positions.to_vec()).collect();
        out.push(floats("robot0_joint_pos", &[joints], numbers));
    }
    if selection.cameras.is_empty() {
        return Ok(out);
    }
    let mut pictures = vec![Vec::new(); selection.cameras.len()];
    for step in episode.steps_with_pictures()? {
        for (camera, recorded) in step.images.iter().enumerate() {
            let image = recorded.decode()?;
            episode.check_size(&image, &mut sizes[camera])?;
            pictures[camera].extend_from_slice(&image.pixels);
        }
    }
    for ((camera, size), bytes) in selection.cameras.iter().zip(sizes).zip(pictures) {
        let (width, height) = size.unwrap_or((0, 0));
        let shape = vec![u64::from(height), u64::from(width), 3];
        out.push(Series { name: format!("{}_image", camera.replace('/', "_")), shape, numbers: Numbers::Bytes(bytes) });
    }
    Ok(out)
}
