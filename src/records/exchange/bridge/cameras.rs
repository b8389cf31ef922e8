//! The cameras of a trajectory.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::import::Pickled;
use crate::exchange::error::{shown, source_error};
use crate::exchange::task::plain_name;
use crate::exchange::{ExchangeError, ImportOptions};
use visuomotor_core::pickle::Value;

/// Most cameras of a trajectory.
const MOST_CAMERAS: usize = 16;

/// A camera of a trajectory.
pub(super) struct Camera {
    /// Of its folder `images0`, `images1`, ...
    pub number: usize,
    pub name: Arc<str>,
}

/// The cameras that are wanted, one per folder `images0`, `images1`, ...; some recorders left out a number.
pub(super) fn cameras(
    folder: &Path,
    about: Option<&Pickled>,
    options: &ImportOptions,
    notes: &mut BTreeSet<String>,
) -> Result<Vec<Camera>, ExchangeError> {
    let numbers: Vec<usize> =
        (0..MOST_CAMERAS).filter(|number| folder.join(format!("images{number}")).is_dir()).collect();
    if numbers.is_empty() {
        notes.insert("images: none, the source has no images0".into());
    }
    if folder.join("depth_images0").is_dir() {
        notes.insert("depth images: left out, recordings hold none".into());
    }
    let mut named = Vec::new();
    if let Some(about) = about
        && let Some(list) = about.values.entry(about.values.root(), "camera_names")
    {
        for id in about.values.items(list).unwrap_or_default().iter().take(MOST_CAMERAS) {
            if let Value::Text(name) = about.values.get(*id) {
                named.push(plain_name(name));
            }
        }
    }
    let unique = named.iter().collect::<BTreeSet<_>>().len() == named.len();
    if named.len() != numbers.len() || !unique {
        if !numbers.is_empty() {
            notes.insert("camera names: those of the folders".into());
        }
        named = numbers.iter().map(|number| format!("images{number}")).collect();
    }
    let all = numbers.into_iter().zip(named).map(|(number, name)| Camera { number, name: name.into() });
    let Some(wanted) = &options.cameras else { return Ok(all.collect()) };
    let all: Vec<Camera> = all.collect();
    let known: Vec<String> = all.iter().map(|camera| camera.name.to_string()).collect();
    if let Some(missing) = wanted.iter().find(|wanted| !known.contains(wanted)) {
        let fix = "name cameras of the trajectory with --camera";
        return Err(source_error(folder, "cameras", shown(missing), format!("one of {}", known.join(", ")), fix));
    }
    let (mut kept, left): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|camera| wanted.iter().any(|name| **name == *camera.name));
    for camera in left {
        notes.insert(format!("camera {}: left out, it is not among those of --camera", camera.name));
    }
    kept.sort_by_key(|camera| wanted.iter().position(|name| **name == *camera.name));
    Ok(kept)
}
