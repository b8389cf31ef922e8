//! Refuses data for pre-training that show the scenes, objects or tasks of the policy's evaluation.
//!
//! Data with content metadata are compared with the target's scene, objects and tasks. Our recordings have their task, their
//! settings' scene file and the set-up (`set_up.json`); other data may have a `pretraining.json` in their folder:
//!
//! ```json
//! {"scenes": ["office_kitchen"], "objects": ["fork", "cup"], "tasks": ["fork_in_cup"]}
//! ```
//!
//! Data without content metadata, such as Ego4D, cannot be checked; [`Checked`] reports this.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use super::clips::walk;
use visuomotor_core::config::{Launch, Scene};
use visuomotor_core::untrusted;
use visuomotor_records::recording::{Contents, ReadOptions, RecordedEpisode, SETTINGS_ATTACHMENT, read_episode_with};

/// Name of the file with a data set's content metadata.
pub const DECLARATION: &str = Contents::FILE;
/// Name of the attachment with the objects' poses in a recorded episode.
const SET_UP: &str = "set_up.json";

/// Contents of a data set, or those it must not have. A declaration may contain other keys, e.g. its author.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Shown {
    /// Scenes: names, or paths of scene files.
    pub scenes: BTreeSet<String>,
    /// Objects.
    pub objects: BTreeSet<String>,
    /// Tasks.
    pub tasks: BTreeSet<String>,
}

impl Shown {
    /// Contents of a launch file with a scene: every object of the scene, and the tasks of protocol and scene.
    pub fn of_launch(launch_file: &Path) -> anyhow::Result<Self> {
        let (launch, root) = Launch::load(launch_file)?;
        let file = launch.scene_setting(launch_file)?.file.clone();
        let (scene, objects) = Scene::load(&root.join(&file))?;
        let mut tasks: BTreeSet<String> = launch.protocol.into_iter().flat_map(|protocol| protocol.tasks).collect();
        tasks.extend(scene.task.iter().map(|task| task.name.clone()));
        let file = file.to_string_lossy().into_owned();
        Ok(Self { scenes: [scene.name, file].into(), objects: objects.into_keys().collect(), tasks })
    }
}

/// Result of the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Recordings.
    pub episodes: usize,
    /// Was there a `pretraining.json`?
    pub declared: bool,
}

impl Checked {
    /// Did the data have content metadata?
    pub fn says_something(self) -> bool {
        self.declared || self.episodes > 0
    }
}

/// Checks the data at `data` (a folder, or a file in one); refuses them if they show something of `target`.
pub fn check(data: &Path, target: &Shown) -> anyhow::Result<Checked> {
    ensure!(data.exists(), "{}: there is no such file or folder; correct the path", data.display());
    let folder = if data.is_dir() { data } else { data.parent().unwrap_or(Path::new(".")) };
    let file = folder.join(DECLARATION);
    let declared = file.is_file();
    if declared {
        let bytes = untrusted::read(&file, untrusted::LARGEST_TEXT)
            .with_context(|| format!("{}: cannot be read", file.display()))?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let shown: Shown = serde_path_to_error::deserialize(&mut json).with_context(|| {
            format!("{}: expected {{\"scenes\": [..], \"objects\": [..], \"tasks\": [..]}}", file.display())
        })?;
        refuse(&file, &shown, target)?;
    }
    let episodes = walk(data)?.episodes;
    for path in &episodes {
        let episode = read_episode_with(path, ReadOptions { images: false, control_ticks: false })?;
        refuse(path, &shown_by(&episode)?, target)?;
    }
    Ok(Checked { episodes: episodes.len(), declared })
}

/// The compared part of an episode's `set_up.json`.
#[derive(Deserialize)]
struct SetUp {
    task: SetUpTask,
    object: String,
    /// Name, place, angle.
    others: Vec<(String, serde_json::Value, serde_json::Value)>,
}

#[derive(Deserialize)]
struct SetUpTask {
    name: String,
    object: String,
    #[serde(default)]
    container: Option<String>,
}

fn shown_by(episode: &RecordedEpisode) -> anyhow::Result<Shown> {
    let mut shown = Shown { tasks: [episode.start.task.clone()].into(), ..Shown::default() };
    let damaged = |what: &str| {
        format!(
            "{}: {what}: cannot be understood: no content metadata, so leakage cannot be checked",
            episode.path.display()
        )
    };
    let settings: toml::Table =
        toml::from_str(&episode.start.settings).with_context(|| damaged(SETTINGS_ATTACHMENT))?;
    if let Some(file) = settings.get("scene").and_then(|scene| scene.get("file")).and_then(toml::Value::as_str) {
        shown.scenes.insert(file.to_string());
    }
    if let Some(attachment) = episode.attachments.iter().find(|attachment| attachment.name == SET_UP) {
        let set_up: SetUp = serde_json::from_slice(&attachment.data).with_context(|| damaged(SET_UP))?;
        shown.tasks.insert(set_up.task.name);
        shown.objects.extend([set_up.object, set_up.task.object]);
        shown.objects.extend(set_up.task.container);
        shown.objects.extend(set_up.others.into_iter().map(|(name, ..)| name));
    }
    Ok(shown)
}

fn refuse(path: &Path, shown: &Shown, target: &Shown) -> anyhow::Result<()> {
    let lists = [
        ("scene", &shown.scenes, &target.scenes, plain_path as fn(&str) -> String),
        ("object", &shown.objects, &target.objects, plain),
        ("task", &shown.tasks, &target.tasks, plain),
    ];
    for (kind, shown, target, plain) in lists {
        let target: BTreeSet<String> = target.iter().map(|name| plain(name)).collect();
        if let Some(name) = shown.iter().find(|name| target.contains(&plain(name))) {
            bail!(
                "{}: it shows the {kind} `{name}`, which the target is tested on; pre-train on data without it, or leave \
                 this out",
                path.display()
            );
        }
    }
    Ok(())
}

/// A name in normalized spelling: `Salt Shaker` is `salt_shaker`.
fn plain(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

/// The same for a path, without `.` in it.
fn plain_path(path: &str) -> String {
    plain(&Path::new(path).components().collect::<PathBuf>().to_string_lossy()).trim_start_matches("./").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    fn kitchen() -> Shown {
        Shown {
            scenes: names(&["kitchen", "scenes/kitchen.toml"]),
            objects: names(&["knife", "salt_shaker"]),
            tasks: names(&["knife_in_pot"]),
        }
    }

    #[test]
    fn a_declaration_that_names_the_target_is_refused_with_what_it_shows() {
        let folder = tempfile::tempdir().unwrap();
        let shown = |scenes: &[&str], objects: &[&str], tasks: &[&str]| Shown {
            scenes: names(scenes),
            objects: names(objects),
            tasks: names(tasks),
        };
        let try_it = |shown: &Shown| {
            let list = |names: &BTreeSet<String>| names.iter().cloned().collect();
            let contents = Contents::new(list(&shown.scenes), list(&shown.objects), list(&shown.tasks), 1);
            std::fs::write(folder.path().join(DECLARATION), serde_json::to_vec(&contents).unwrap()).unwrap();
            check(folder.path(), &kitchen())
        };
        let fine = shown(&["office", "scenes/kitchen_2.toml"], &["fork", "knife_block"], &["knife_in_pot_2"]);
        assert_eq!(try_it(&fine).unwrap(), Checked { episodes: 0, declared: true });
        for (leak, kind, name) in [
            (shown(&["Kitchen"], &[], &[]), "scene", "Kitchen"),
            (shown(&["./scenes/kitchen.toml"], &[], &[]), "scene", "./scenes/kitchen.toml"),
            (shown(&["office"], &["cup", "salt shaker"], &[]), "object", "salt shaker"),
            (shown(&[], &["cup"], &["knife_in_pot"]), "task", "knife_in_pot"),
        ] {
            let error = try_it(&leak).unwrap_err().to_string();
            assert!(error.contains(DECLARATION) && error.contains(&format!("the {kind} `{name}`")), "{error}");
        }
    }

    #[test]
    fn missing_metadata_are_reported_and_a_broken_declaration_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!check(folder.path(), &kitchen()).unwrap().says_something());
        std::fs::write(folder.path().join(DECLARATION), "{\"scenes\": [], \"objects\": \"knife\"}").unwrap();
        let error = format!("{:#}", check(folder.path(), &kitchen()).unwrap_err());
        assert!(error.contains("objects") && error.contains(DECLARATION), "{error}");
        assert!(check(&folder.path().join("none"), &kitchen()).is_err());
    }

    #[test]
    fn the_shipped_kitchen_is_known_by_scene_objects_and_tasks() {
        let launch = Path::new(crate::CHECKOUT).join("launch/widowx_kitchen.toml");
        let target = Shown::of_launch(&launch).unwrap();
        assert!(target.scenes.contains("scenes/kitchen.toml"));
        assert!(["knife", "pot", "ice_cream", "soap"].iter().all(|name| target.objects.contains(*name)), "{target:?}");
        assert!(target.tasks.contains("cucumber_in_pot"));
    }
}
