//! A small scene and a runner that follows a script.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::bail;
use jpeg_encoder::{ColorType, Encoder};
use visuomotor::config::{ContainerPlace, Rule, Scene, StartTransform, Task, Variation};
use visuomotor::episode::Outcome;
use visuomotor::evaluation::{EvaluationOptions, LatencySeries, Machine, Scenario, TrialPlan, TrialRun, TrialRunner};

pub const TASKS: [&str; 4] = ["croissant_out_of_bowl", "sweet_potato_on_plate", "knife_in_pot", "cucumber_in_pot"];

fn task(name: &str, object: &str, container: &str, container_at: ContainerPlace, rule: Rule) -> Task {
    let instruction = name.replace('_', " ");
    let set_down = [0.28, -0.19];
    Task {
        name: name.into(),
        instruction,
        fixtures: None,
        object: object.into(),
        container: Some(container.into()),
        container_at: Some(container_at),
        set_down: Some(set_down),
        rule,
    }
}

pub fn scene() -> Scene {
    let start = |name: &str, at| StartTransform { name: name.into(), at };
    let fixed = ContainerPlace::Fixed { x: 0.28, y: -0.19 };
    let pair = |a: &str, b: &str| [a.to_string(), b.to_string()];
    Scene {
        clutter: vec![],
        counter: None,
        name: "kitchen".into(),
        fixtures: "kitchen.xml".into(),
        objects: "objects".into(),
        start_height: 0.15,
        shift: 0.05,
        jitter: 0.01,
        yaw_jitter: 0.2,
        start: vec![
            start("right_rear", [0.22, -0.04]),
            start("right_front", [0.34, -0.04]),
            start("left_front", [0.34, 0.12]),
            start("left_rear", [0.22, 0.12]),
        ],
        task: vec![
            task(TASKS[0], "croissant", "bowl", ContainerPlace::Object, Rule::TakeOut),
            task(TASKS[1], "sweet_potato", "plate", fixed, Rule::PutIn),
            task(TASKS[2], "knife", "pot", fixed, Rule::PutIn),
            task(TASKS[3], "cucumber", "pot", fixed, Rule::PutIn),
        ],
        distractors: vec![
            pair("lemon", "spoon"),
            pair("mug", "sponge"),
            pair("corn", "soap"),
            pair("banana", "salt_shaker"),
        ],
        distractor_places: vec![
            [0.18, 0.02],
            [0.38, 0.02],
            [0.28, 0.20],
            [0.18, 0.20],
            [0.38, 0.20],
            [0.28, 0.06],
            [0.20, -0.08],
            [0.40, -0.06],
        ],
        novel_objects: vec!["carrot".into(), "cucumber".into(), "ice_cream".into()],
        novel_task: TASKS[0].into(),
        variation: Variation { color: 0.1, light: 0.1, camera_position: 0.01, camera_rotation: 0.02 },
    }
}

pub fn tasks() -> Vec<String> {
    TASKS.map(String::from).to_vec()
}

pub fn options(folder: &Path) -> EvaluationOptions {
    EvaluationOptions {
        folder: folder.to_path_buf(),
        scenario: Scenario::Plain,
        seed: 7,
        policy: "vptr".into(),
        settings: "robot = \"widowx\"\n[policy]\nrate_hz = 5.0\n".into(),
        settings_digest: "5e".repeat(32),
        weights_digest: "aa".repeat(32),
        revision: "0123456789abcdef0123456789abcdef01234567".into(),
        command: "visuomotor evaluate launch/kitchen.toml --seed 7 --out results/vptr".into(),
        machine: Machine { cpu: "test processor".into(), cores: 4, realtime: Vec::new() },
        controls: Vec::new(),
    }
}

/// Results from a rule; counts the trials it ran and fails after `fails_after` of them.
pub struct Scripted {
    pub ran: Vec<String>,
    pub fails_after: usize,
    pub frames: usize,
    pub outcome: fn(&TrialPlan) -> Outcome,
}

impl Scripted {
    pub fn new() -> Self {
        Self { ran: Vec::new(), fails_after: usize::MAX, frames: 8, outcome: every_second }
    }
}

pub fn every_second(plan: &TrialPlan) -> Outcome {
    let judge = "success_rule".to_string();
    if plan.trial.is_multiple_of(2) {
        Outcome::Success { judge }
    } else {
        Outcome::Failure { judge, why: "time ran out & the <object> was not lifted".into() }
    }
}

impl TrialRunner for Scripted {
    fn run(&mut self, plan: &TrialPlan, episode_name: &str) -> anyhow::Result<Option<TrialRun>> {
        if self.ran.len() >= self.fails_after {
            bail!("the arm is silent");
        }
        self.ran.push(episode_name.to_string());
        let outcome = (self.outcome)(plan);
        let seconds = if outcome.is_success() { 10.0 + f64::from(plan.trial) } else { 60.0 };
        let done = outcome.is_success();
        let at = |i: usize| seconds * i as f64 / self.frames.max(2) as f64;
        let wave = |i: u64| (i as f64 * 1.7 + f64::from(plan.trial)).sin();
        Ok(Some(TrialRun {
            outcome,
            steps: (seconds * 5.0) as u64,
            seconds,
            episode: format!("episodes/{episode_name}.mcap"),
            pictures: (0..self.frames).map(|i| (at(i), picture(plan, i as f64 / self.frames as f64, done))).collect(),
            goal_distance: (0..60)
                .map(|i| {
                    let share = f64::from(i) / 59.0;
                    let fall = if done { 6.0 * share } else { 2.0 * (share * 9.0).sin().abs() };
                    (seconds * share, if i == 5 { f64::NAN } else { 9.0 - fall + 0.2 * wave(i as u64) })
                })
                .collect(),
            // The first trial of a task; the critic's value falls, then rises to the reward.
            state_value: (0..if plan.trial == 1 { 60 } else { 0 })
                .map(|i| (seconds * f64::from(i) / 59.0, if i == 5 { f64::NAN } else { 0.3 * f64::from(i) - 8.0 }))
                .collect(),
            latency: BTreeMap::from([
                (
                    "inference".into(),
                    LatencySeries::from_ms((0..200).map(|i| 18.0 + 4.0 * wave(i) + wave(i * 31).powi(8) * 9.0)),
                ),
                ("image_age".into(), LatencySeries::from_ms((0..200).map(|i| 41.0 + 12.0 * wave(i)))),
                ("tick".into(), LatencySeries::from_ms((0..800).map(|i| 0.3 + 0.05 * wave(i) + wave(i * 7).powi(20)))),
            ]),
            deadline_misses: u64::from(plan.trial == 3),
            missing: Vec::new(),
        }))
    }
}

/// A JPEG with a counter, a container, an object and a gripper that moves to it.
fn picture(plan: &TrialPlan, share: f64, done: bool) -> Vec<u8> {
    let (width, height) = (128usize, 96usize);
    let pixel = |at: [f64; 2]| [(at[1] * -260.0 + 64.0), 96.0 - (at[0] - 0.12) * 300.0];
    let carried = if done { ((share - 0.5) * 2.0).max(0.0) } else { 0.0 };
    let mix = |a: [f64; 2], b: [f64; 2], s: f64| [a[0] + (b[0] - a[0]) * s, a[1] + (b[1] - a[1]) * s];
    let container = pixel(plan.container_at.unwrap());
    let object = mix(pixel(plan.object_at), if done { pixel([0.28, -0.19]) } else { pixel(plan.object_at) }, carried);
    let start = pixel(plan.start_at);
    let gripper = if carried > 0.0 { object } else { mix(start, object, (share * 2.0).min(1.0)) };
    let near = |x: usize, y: usize, at: [f64; 2], r: f64| (x as f64 - at[0]).hypot(y as f64 - at[1]) < r;
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let grain = ((x * 7 + y * 13) % 17) as u8;
            pixels.extend_from_slice(&if near(x, y, gripper, 5.0) {
                [30, 30, 34]
            } else if near(x, y, object, 8.0) {
                [212, 140, 50]
            } else if near(x, y, container, 18.0) {
                [90, 140, 190]
            } else {
                [180 + grain, 165 + grain, 140 + grain]
            });
        }
    }
    let mut jpeg = Vec::new();
    Encoder::new(&mut jpeg, 75).encode(&pixels, width as u16, height as u16, ColorType::Rgb).unwrap();
    jpeg
}
