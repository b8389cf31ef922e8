//! Bridge's raw trajectories: folders with `images0/im_0.jpg`, `images0/im_1.jpg`, ...; states and actions are ignored.
//! `images0` is the view that PTR and V-PTR learn from.

use std::path::PathBuf;

use anyhow::{bail, ensure};

use super::Camera;
use super::frames::{self, Frames};
use super::walk::{Numbered, numbered};

/// The images of one camera of these trajectories.
pub(super) fn open(folders: &[PathBuf], camera: &Camera, remarks: &mut Vec<String>) -> anyhow::Result<Frames> {
    let name = match camera {
        Camera::Index(index) => format!("images{index}"),
        Camera::Name(name) if name.strip_prefix("images").is_some_and(|n| n.parse::<u32>().is_ok()) => name.clone(),
        Camera::Name(name) => bail!(
            "camera: found `{name}`, but Bridge's cameras are images0, images1, ...; name one so, or by its number"
        ),
    };
    let mut clips = Vec::with_capacity(folders.len());
    for folder in folders {
        let folder = folder.join(&name);
        ensure!(
            folder.is_dir(),
            "{}: no such camera in this trajectory; choose another camera or leave the trajectory out",
            folder.display()
        );
        let files = numbered(&folder)?;
        if files.is_empty() {
            remarks.push(format!("{}: no frame in it; the trajectory is left out", folder.display()));
            continue;
        }
        if let Some(missing) = (0..files.len()).find(|place| files[*place].0 != *place as u64) {
            bail!("{}: there is no im_{missing}.jpg, but {}; restore it", folder.display(), files[missing].1);
        }
        clips.push(Numbered { folder, files });
    }
    Ok(frames::open(clips, remarks))
}
