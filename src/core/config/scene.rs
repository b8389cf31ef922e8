//! `scenes/<scene>.toml`: a simulated scene and its tasks, as data; and `scenes/objects/<name>.toml`, one per object.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ConfigError, load};

/// A scene with its tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    /// Name, for records.
    pub name: String,
    /// MJCF file of all fixtures, relative to the scene file.
    pub fixtures: PathBuf,
    /// Folder of the movable objects, relative to the scene file.
    pub objects: PathBuf,
    /// Height of the tool above the counter at the start of a trial \[m\].
    pub start_height: f64,
    /// Distance of a shifted object from the point below the gripper \[m\] (a few inches in the paper).
    pub shift: f64,
    /// Random displacement of each placed object, uniform in +-this \[m\].
    pub jitter: f64,
    /// Random yaw of each placed object, uniform in +-this \[rad\].
    pub yaw_jitter: f64,
    /// Demonstrations place object, container and set-down point anywhere in here; default: as in the trials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<Counter>,
    /// The four starting gripper transforms.
    pub start: Vec<StartTransform>,
    /// Tasks.
    pub task: Vec<Task>,
    /// Clutter objects in demonstrations; none of them is a distractor of scenario 2.
    pub clutter: Vec<String>,
    /// Pairs of distractors (scenario 2), one pair per start transform.
    pub distractors: Vec<[String; 2]>,
    /// Possible distractor places \[m\], base frame x and y.
    pub distractor_places: Vec<[f64; 2]>,
    /// Targets not used in training (scenario 3), one per block of three trials, instead of the task's object.
    pub novel_objects: Vec<String>,
    /// Task of scenario 3.
    pub novel_task: String,
    /// Ranges of appearance variation, if enabled.
    pub variation: Variation,
}

/// One starting gripper transform: tool above this position, pointing down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartTransform {
    /// `right_rear`, `right_front`, `left_front`, `left_rear`.
    pub name: String,
    /// Tool position in the base frame, x and y \[m\].
    pub at: [f64; 2],
}

/// A rectangle of the counter, base frame \[m\].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counter {
    /// Lowest x and y \[m\].
    pub low: [f64; 2],
    /// Highest x and y \[m\].
    pub high: [f64; 2],
}

impl Counter {
    /// Is a disk of this radius \[m\] around a position entirely inside?
    pub fn holds(&self, at: [f64; 2], radius: f64) -> bool {
        (0..2).all(|axis| at[axis] - radius >= self.low[axis] && at[axis] + radius <= self.high[axis])
    }
}

/// A task with its success rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Name, as in launch files.
    pub name: String,
    /// Instruction in plain words.
    pub instruction: String,
    /// MJCF file of all fixtures, relative to the scene file; default: the scene's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixtures: Option<PathBuf>,
    /// Object to move or press.
    pub object: String,
    /// Container it goes into or comes out of; `None` if the rule needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Position of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_at: Option<ContainerPlace>,
    /// Set-down position of the demonstrator, base frame x and y \[m\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_down: Option<[f64; 2]>,
    /// Success rule.
    pub rule: Rule,
}

impl Task {
    /// Names of the object and of the container, if there is one.
    pub fn things(&self) -> Vec<String> {
        [Some(&self.object), self.container.as_ref()].into_iter().flatten().cloned().collect()
    }
}

/// Position of a task's container.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum ContainerPlace {
    /// Around the object, which starts inside it.
    Object,
    /// At a fixed position, base frame \[m\].
    Fixed {
        /// x \[m\].
        x: f64,
        /// y \[m\].
        y: f64,
    },
}

/// Success rule (V-PTR appendix C.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Lifted, and inside the container at the end.
    PutIn,
    /// Lifted, and set down outside the container; knocking the container over does not count.
    TakeOut,
    /// The object's cap pushed down, without knocking the object over.
    Press,
}

impl Rule {
    /// Is a container part of the task?
    pub fn has_container(self) -> bool {
        match self {
            Rule::PutIn | Rule::TakeOut => true,
            Rule::Press => false,
        }
    }
}

/// Appearance variation, uniform in +- these.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variation {
    /// Of each color channel, as a factor.
    pub color: f64,
    /// Of light, as a factor.
    pub light: f64,
    /// Of the camera's position \[m\].
    pub camera_position: f64,
    /// Of the camera's orientation \[rad\].
    pub camera_rotation: f64,
}

/// A movable object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Name: the file's, and the MJCF body's.
    pub name: String,
    /// Role.
    pub kind: ObjectKind,
    /// Height of the body's origin above its support \[m\].
    pub rest_height: f64,
    /// Size along body x \[m\].
    pub length: f64,
    /// Size along body y \[m\].
    pub width: f64,
    /// Size along body z \[m\].
    pub height: f64,
    /// Grasp point of the tool, in the body frame \[m\].
    pub grasp_offset: [f64; 3],
    /// Angle of the gripper's opening direction from body y \[rad\].
    pub grasp_yaw: f64,
    /// Mass \[kg\].
    pub mass: f64,
    /// Buttons: travel of the cap \[m\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stroke: Option<f64>,
    /// Containers: inner radius \[m\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_radius: Option<f64>,
    /// Containers: height of the rim above the support \[m\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rim_height: Option<f64>,
    /// Containers: height of the inner floor above the support \[m\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor_height: Option<f64>,
}

/// Role of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// Moved in training and evaluation.
    Food,
    /// Moved in scenario 3 only, never in training.
    Novel,
    /// Distractor in scenario 2.
    Distractor,
    /// Container.
    Container,
    /// Clutter in demonstrations only.
    Clutter,
    /// Button with a cap to push down.
    Button,
}

impl Scene {
    /// Reads and checks a scene file and its object files.
    pub fn load(path: &Path) -> Result<(Self, BTreeMap<String, Object>), ConfigError> {
        let scene: Scene = load(path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut objects = BTreeMap::new();
        let object_folder = folder.join(&scene.objects);
        for name in scene.object_names() {
            let file = object_folder.join(format!("{name}.toml"));
            let object: Object = load(&file)?;
            if object.name != name {
                return Err(ConfigError::unfit(&file, "name", &object.name, &name, "name the object like its file"));
            }
            let mesh = object_folder.join(format!("{name}.xml"));
            require_file(&mesh, &file, "name")?;
            objects.insert(name, object);
        }
        require_file(&folder.join(&scene.fixtures), path, "fixtures")?;
        for task in &scene.task {
            let key = format!("task.{}.fixtures", task.name);
            require_file(&folder.join(scene.fixtures_of(task)), path, &key)?;
        }
        scene.check(path, &objects)?;
        Ok((scene, objects))
    }

    /// The task with that name.
    pub fn task(&self, path: &Path, name: &str) -> Result<&Task, ConfigError> {
        self.task.iter().find(|t| t.name == name).ok_or_else(|| {
            let known: Vec<_> = self.task.iter().map(|t| t.name.as_str()).collect();
            ConfigError::unfit(path, "task", name, format!("one of {}", known.join(", ")), "choose a task of the scene")
        })
    }

    /// The MJCF file of a task's fixtures, relative to the scene file.
    pub fn fixtures_of<'a>(&'a self, task: &'a Task) -> &'a Path {
        task.fixtures.as_deref().unwrap_or(&self.fixtures)
    }

    /// Names of the objects that can appear in demonstrations of these tasks, sorted.
    pub fn objects_shown(&self, tasks: &[String]) -> Vec<String> {
        let tasks = self.task.iter().filter(|t| tasks.contains(&t.name));
        let mut names: Vec<String> = tasks.flat_map(Task::things).collect();
        names.extend(self.clutter.iter().cloned());
        names.sort();
        names.dedup();
        names
    }

    fn object_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        names.extend(self.task.iter().flat_map(Task::things));
        names.extend(self.clutter.iter().cloned());
        names.extend(self.distractors.iter().flatten().cloned());
        names.extend(self.novel_objects.iter().cloned());
        names.sort();
        names.dedup();
        names
    }

    fn check(&self, path: &Path, objects: &BTreeMap<String, Object>) -> Result<(), ConfigError> {
        if self.start.len() != 4 {
            return Err(ConfigError::unfit(path, "start", self.start.len(), "4", "left/right x front/rear"));
        }
        if self.distractors.len() != self.start.len() {
            return Err(ConfigError::unfit(
                path,
                "distractors",
                format!("{} pairs", self.distractors.len()),
                self.start.len(),
                "one pair per start transform",
            ));
        }
        if let Some(Counter { low, high }) = &self.counter
            && !(low[0] < high[0] && low[1] < high[1])
        {
            let (found, limit) = (format!("{low:?} to {high:?}"), "low less than high in x and in y");
            return Err(ConfigError::unfit(path, "counter", found, limit, "exchange or correct them"));
        }
        let seen = |name: &&String| self.clutter.contains(*name) || self.task.iter().any(|t| t.object == **name);
        if let Some(name) = self.distractors.iter().flatten().chain(&self.novel_objects).find(|n| seen(n)) {
            return Err(ConfigError::unfit(
                path,
                "distractors, novel_objects",
                name,
                "objects that no demonstration shows",
                "remove it from clutter or choose another one",
            ));
        }
        for task in &self.task {
            let named = [task.container.is_some(), task.container_at.is_some(), task.set_down.is_some()];
            if named != [task.rule.has_container(); 3] {
                let (found, expected) = match task.rule.has_container() {
                    true => ("not all of them", "container, container_at and set_down, which the rule asks for"),
                    false => ("a container, container_at or set_down", "none of them: the rule asks for no container"),
                };
                let fix = "add or remove the lines";
                return Err(ConfigError::unfit(path, format!("task.{}", task.name), found, expected, fix));
            }
            if task.rule == Rule::Press && objects[&task.object].stroke.is_none() {
                let (limit, fix) = ("an object with a stroke", "give its file this key");
                let key = format!("task.{}.object", task.name);
                return Err(ConfigError::unfit(path, key, &task.object, limit, fix));
            }
            let Some(name) = &task.container else { continue };
            let container = &objects[name];
            if container.inner_radius.is_none() || container.rim_height.is_none() || container.floor_height.is_none() {
                return Err(ConfigError::unfit(
                    path,
                    format!("task.{}.container", task.name),
                    name,
                    "an object with inner_radius, rim_height and floor_height",
                    "give its file these keys",
                ));
            }
        }
        self.task(path, &self.novel_task)?;
        Ok(())
    }
}

fn require_file(file: &Path, named_in: &Path, key: &str) -> Result<(), ConfigError> {
    if file.is_file() {
        return Ok(());
    }
    Err(ConfigError::unfit(
        named_in,
        key,
        format!("{} which does not exist", file.display()),
        "an MJCF file",
        "restore the file or correct the name",
    ))
}
