//! The trials of the V-PTR paper (appendix C.1): four starting gripper transforms x three placements of the object.
//!
//! Scenario 1 is plain. Scenario 2 adds two distractors that change with the start transform and move every trial, so
//! that each pair appears three times. Scenario 3 replaces the target by objects not seen in training.
//!
//! Choices the paper leaves open, made here: the order of the trials of a task is shuffled by the seed (a trial's number
//! is its place in that order); object and container are moved by a small jitter; scenario 3 pairs the i-th novel object
//! with the i-th start transform, so that three objects (the paper's number) use the first three start transforms, three
//! placements each: nine trials.

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::distractors::{self, CLEAR_OF_CONTAINER, CLEAR_OF_OBJECT, Occupied};
use super::draw::{Draw, derived_seed};
pub use super::placement::Placement;
use super::placement::StartBox;
use visuomotor_core::config::{ContainerPlace, Scene, Task};

/// One of the paper's three test scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Scenario {
    /// 1: only the trained objects.
    Plain,
    /// 2: with two distractors.
    Distractors,
    /// 3: with targets not seen in training.
    NovelTargets,
}

impl Scenario {
    /// 1, 2 or 3.
    pub fn number(self) -> u8 {
        match self {
            Scenario::Plain => 1,
            Scenario::Distractors => 2,
            Scenario::NovelTargets => 3,
        }
    }

    /// Display name.
    pub fn title(self) -> &'static str {
        match self {
            Scenario::Plain => "trained objects",
            Scenario::Distractors => "with distractors",
            Scenario::NovelTargets => "novel targets",
        }
    }
}

impl From<Scenario> for u8 {
    fn from(scenario: Scenario) -> u8 {
        scenario.number()
    }
}

impl TryFrom<u8> for Scenario {
    type Error = String;
    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            1 => Ok(Scenario::Plain),
            2 => Ok(Scenario::Distractors),
            3 => Ok(Scenario::NovelTargets),
            other => Err(format!("scenario {other}: choose 1 (plain), 2 (distractors) or 3 (novel targets)")),
        }
    }
}

/// A distractor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distractor {
    /// Object name.
    pub object: String,
    /// Place, base frame x and y \[m\].
    pub at: [f64; 2],
    /// Rotation about the base frame's z axis \[rad\].
    pub yaw: f64,
}

/// The complete plan of one trial: nothing is random when it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialPlan {
    /// Scenario it belongs to.
    pub scenario: Scenario,
    /// Task name.
    pub task: String,
    /// Number in the run order of the task's trials, from 1.
    pub trial: u32,
    /// Instruction in plain words.
    pub instruction: String,
    /// Name of the starting gripper transform.
    pub start: String,
    /// Tool at the start, base frame x and y \[m\].
    pub start_at: [f64; 2],
    /// Placement of the object relative to the gripper.
    pub placement: Placement,
    /// Object to move.
    pub object: String,
    /// Its place with jitter, base frame x and y \[m\].
    pub object_at: [f64; 2],
    /// Its rotation about the base frame's z axis \[rad\]; zero is the object file's own orientation.
    pub object_yaw: f64,
    /// Container of the task, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Its place with jitter, base frame x and y \[m\]; the object's own for a task whose container stands around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_at: Option<[f64; 2]>,
    /// Distractors (scenario 2).
    pub distractors: Vec<Distractor>,
    /// Random seed of this trial; below 2^53.
    pub seed: u64,
}

impl TrialPlan {
    /// `<task>-<trial>`, for files.
    pub fn name(&self) -> String {
        format!("{}-{:02}", self.task, self.trial)
    }
}

/// All trials of `tasks` in run order; scenario 3 uses the scene's novel task regardless of `tasks`.
pub fn plans(scene: &Scene, scenario: Scenario, tasks: &[String], seed: u64) -> anyhow::Result<Vec<TrialPlan>> {
    ensure!(
        scene.shift.is_finite() && scene.shift > 0.0,
        "scene {}: shift is {} m, must be > 0",
        scene.name,
        scene.shift
    );
    let novel = [scene.novel_task.clone()];
    let tasks = if scenario == Scenario::NovelTargets { &novel[..] } else { tasks };
    let mut all = Vec::new();
    for (i, name) in tasks.iter().enumerate() {
        ensure!(!tasks[..i].contains(name), "task `{name}` is named twice: name each task once");
        let task = scene.task.iter().find(|task| task.name == *name).with_context(|| {
            let known: Vec<_> = scene.task.iter().map(|task| task.name.as_str()).collect();
            format!("scene {} has no task `{name}`: choose one of {}", scene.name, known.join(", "))
        })?;
        all.extend(task_plans(scene, scenario, task, seed)?);
    }
    Ok(all)
}

/// The trials of one task.
fn task_plans(scene: &Scene, scenario: Scenario, task: &Task, seed: u64) -> anyhow::Result<Vec<TrialPlan>> {
    let number = scenario.number().to_string();
    let draw_for = |what: &str| Draw::new(seed, &[&number, &task.name, what]);
    let starts = match scenario {
        Scenario::NovelTargets => {
            let novel = scene.novel_objects.len();
            ensure!(
                (1..=scene.start.len()).contains(&novel),
                "scene {}: {novel} novel objects for {} start transforms: name 1 to {0} in novel_objects",
                scene.name,
                scene.start.len()
            );
            novel
        }
        _ => scene.start.len(),
    };
    let mut layouts: Vec<(usize, Placement)> =
        (0..starts).flat_map(|start| Placement::ALL.map(|placement| (start, placement))).collect();
    draw_for("order").shuffle(&mut layouts);

    let corners = StartBox::around(&scene.start).with_context(|| format!("scene {} has no start", scene.name))?;
    let mut plans = Vec::with_capacity(layouts.len());
    for (i, &(start, placement)) in layouts.iter().enumerate() {
        let trial = i as u32 + 1;
        let words = [number.as_str(), &task.name, &trial.to_string()];
        let mut draw = Draw::new(seed, &words);
        let mut moved = |place: [f64; 2]| place.map(|value| value + draw.around_zero(scene.jitter));
        let start_at = scene.start[start].at;
        let object_at = moved(corners.place(start_at, placement, scene.shift));
        let container_at = task.container_at.map(|place| match place {
            ContainerPlace::Object => object_at,
            ContainerPlace::Fixed { x, y } => moved([x, y]),
        });
        let (object, instruction) = target(scene, scenario, task, start);
        plans.push(TrialPlan {
            scenario,
            task: task.name.clone(),
            trial,
            instruction,
            start: scene.start[start].name.clone(),
            start_at,
            placement,
            object,
            object_at,
            object_yaw: draw.around_zero(scene.yaw_jitter),
            container: task.container.clone(),
            container_at,
            distractors: Vec::new(),
            seed: derived_seed(seed, &words),
        });
    }
    if scenario == Scenario::Distractors {
        for (start, transform) in scene.start.iter().enumerate() {
            let pair = scene.distractors.get(start).with_context(|| {
                format!("scene {}: no distractors for start transform {}: add a pair", scene.name, transform.name)
            })?;
            let mut draw = draw_for(&format!("distractors {}", transform.name));
            add_distractors(scene, pair, &transform.name, &mut plans, &mut draw)?;
        }
    }
    Ok(plans)
}

/// Object and instruction of a trial: in scenario 3 the novel object replaces the task's, also in the instruction.
fn target(scene: &Scene, scenario: Scenario, task: &Task, start: usize) -> (String, String) {
    match (scenario, scene.novel_objects.get(start)) {
        (Scenario::NovelTargets, Some(novel)) => {
            let spoken = |name: &str| name.replace('_', " ");
            (novel.clone(), task.instruction.replace(&spoken(&task.object), &spoken(novel)))
        }
        _ => (task.object.clone(), task.instruction.clone()),
    }
}

/// Adds a pair of distractors to the trials of one start transform.
fn add_distractors(
    scene: &Scene,
    pair: &[String; 2],
    start: &str,
    plans: &mut [TrialPlan],
    draw: &mut Draw,
) -> anyhow::Result<()> {
    let mut trials: Vec<&mut TrialPlan> = plans.iter_mut().filter(|plan| plan.start == start).collect();
    let occupied: Vec<Occupied> =
        trials.iter().map(|plan| Occupied { object: plan.object_at, container: plan.container_at }).collect();
    let chosen = distractors::choose(&occupied, &scene.distractor_places, draw).with_context(|| {
        format!(
            "scene {}: the {} distractor_places do not leave a different place for each distractor in each of the {} \
             trials from {start}, {CLEAR_OF_OBJECT} m from the object and each other and {CLEAR_OF_CONTAINER} m from \
             the container: add places",
            scene.name,
            scene.distractor_places.len(),
            occupied.len()
        )
    })?;
    for (plan, places) in trials.iter_mut().zip(chosen) {
        plan.distractors = pair
            .iter()
            .zip(places)
            .map(|(object, at)| Distractor { object: object.clone(), at, yaw: draw.around_zero(std::f64::consts::PI) })
            .collect();
    }
    Ok(())
}
