//! Object placement of a demonstration, drawn from a seed.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::kitchen::KitchenSetting;
use super::set_up::{LyingThing, SetUp};
#[cfg(feature = "mujoco")]
use crate::config::ConfigError;
use crate::config::{ContainerPlace, Counter, Object, Rule, Task, digest};

/// Largest displacement of a container from its drawn position \[m\].
const WOBBLE: f64 = 0.018;
/// Free distance between objects, so that the open jaws and the hand fit \[m\].
const GAP: f64 = 0.035;
/// Draws before a counter is reported as too small.
const DRAWS: usize = 4000;

/// A seed hashed from words.
pub fn derived_seed(words: &str) -> u64 {
    u64::from_str_radix(&digest(words.as_bytes())[..16], 16).unwrap_or_default()
}

/// Draws a set-up for a demonstration: object, gripper, container and clutter anywhere the protocol's trials may have
/// them and a little beyond, or anywhere on the scene's `counter` where it names one.
pub fn draw(setting: &KitchenSetting, task: &Task, seed: u64) -> SetUp {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut uniform = |low: f64, high: f64| rng.random_range(low..=high);
    let starts = &setting.scene.start;
    let bound = |axis: usize, sign: f64| starts.iter().map(|s| s.at[axis] * sign).fold(f64::MIN, f64::max) * sign;
    let (x0, x1, y0, y1) = (bound(0, -1.0), bound(0, 1.0), bound(1, -1.0), bound(1, 1.0));
    let anywhere = setting.scene.counter.as_ref().and_then(|counter| places(setting, task, counter, seed));
    let object_at = match &anywhere {
        Some(places) => places.object_at,
        None => [uniform(x0 - 0.03, x1 + 0.03), uniform(y0 - 0.04, y1 + 0.045)],
    };
    let start_at = if uniform(0.0, 1.0) < 0.6 {
        [object_at[0] + uniform(-0.08, 0.08), object_at[1] + uniform(-0.08, 0.08)]
    } else {
        [uniform(x0, x1), uniform(y0, y1)]
    };
    let start = [
        start_at[0].clamp(x0 - 0.04, x1 + 0.03),
        start_at[1].clamp(y0 - 0.05, y1 + 0.05),
        setting.scene.start_height + uniform(-0.04, 0.03),
        uniform(-0.08, 0.08),
        uniform(-0.08, 0.08),
        uniform(-0.15, 0.15),
    ];
    let mut task = task.clone();
    let mut container_at = setting.container_at(&task, object_at);
    if let Some(places) = &anywhere {
        (container_at, task.set_down) = (Some(places.container_at), Some(places.set_down));
    }
    let wobble = if task.container_at == Some(ContainerPlace::Object) { 0.012 } else { 0.018 };
    for value in container_at.iter_mut().flatten() {
        *value += uniform(-wobble, wobble);
    }
    let object_yaw = uniform(-0.4, 0.4);
    let clutter: Vec<&String> = setting.scene.clutter.iter().filter(|c| **c != task.object).collect();
    let wanted = if uniform(0.0, 1.0) < 0.5 { 0 } else { uniform(1.0, 3.99) as usize };
    let mut others: Vec<LyingThing> = Vec::new();
    for _ in 0..60 {
        if others.len() >= wanted || clutter.is_empty() {
            break;
        }
        let name = clutter[(uniform(0.0, clutter.len() as f64 - 1e-9)) as usize];
        let at = [uniform(0.15, 0.42), uniform(-0.13, 0.24)];
        let far = |from: [f64; 2], limit: f64| (at[0] - from[0]).hypot(at[1] - from[1]) >= limit;
        let beside = container_at.is_none_or(|from| far(from, 0.16));
        let free = far(object_at, 0.085) && beside && others.iter().all(|o| far(o.at, 0.11));
        // Not where an object is set down, nor under the arm's base.
        if free
            && task.set_down.is_none_or(|from| far(from, 0.13))
            && far([0.0, 0.0], 0.16)
            && others.iter().all(|o| o.object != *name)
        {
            others.push(LyingThing { object: name.clone(), at, yaw: uniform(-1.5, 1.5) });
        }
    }
    SetUp { object: task.object.clone(), object_at, object_yaw, container_at, others, start, seed, task }
}

/// Refuses tasks whose objects do not fit on the scene's counter.
#[cfg(feature = "mujoco")]
pub fn check(setting: &KitchenSetting, tasks: &[String]) -> anyhow::Result<()> {
    let Some(counter) = &setting.scene.counter else { return Ok(()) };
    for task in setting.scene.task.iter().filter(|task| tasks.contains(&task.name)) {
        if places(setting, task, counter, 0).is_none() {
            let found = format!("{:?} to {:?}", counter.low, counter.high);
            let limit = format!("room for the {}", task.things().join(" beside the "));
            return Err(ConfigError::unfit(&setting.scene_file, "counter", found, limit, "make it larger").into());
        }
    }
    Ok(())
}

/// Positions of the objects that a task moves.
struct Places {
    object_at: [f64; 2],
    container_at: [f64; 2],
    set_down: [f64; 2],
}

/// Draws positions anywhere on a counter, none over its edge or too close to another; `None` if they do not fit.
fn places(setting: &KitchenSetting, task: &Task, counter: &Counter, seed: u64) -> Option<Places> {
    let half = |object: &Object| object.length.max(object.width) / 2.0;
    let object = half(setting.objects.get(&task.object)?);
    let container = half(setting.objects.get(task.container.as_ref()?)?);
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x0091_ace5);
    for _ in 0..DRAWS {
        let mut draw = || std::array::from_fn(|axis| rng.random_range(counter.low[axis]..=counter.high[axis]));
        let (from, to): ([f64; 2], [f64; 2]) = (draw(), draw());
        let apart = (from[0] - to[0]).hypot(from[1] - to[1]) >= object + container + GAP;
        let (in_container, beside) = match task.rule {
            Rule::PutIn => (to, from),
            Rule::TakeOut => (from, to),
            Rule::Press => return None,
        };
        if apart && counter.holds(in_container, container + WOBBLE) && counter.holds(beside, object) {
            return Some(Places { object_at: from, container_at: in_container, set_down: to });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn setting(launch: &str) -> KitchenSetting {
        KitchenSetting::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join(launch)).unwrap()
    }

    #[test]
    fn objects_stay_on_the_counter_and_use_all_of_it() {
        let setting = setting("launch/pretraining/robot.toml");
        let counter = setting.scene.counter.unwrap();
        for task in &setting.scene.task {
            let container = &setting.objects[task.container.as_ref().unwrap()];
            let object = &setting.objects[&task.object];
            let mut seen = [[f64::MAX, f64::MIN]; 2];
            for seed in 0..200 {
                let set_up = draw(&setting, task, seed);
                let words = format!("{} {seed}: {set_up:?}", task.name);
                let in_container = set_up.container_at.unwrap();
                assert!(counter.holds(in_container, container.length.max(container.width) / 2.0), "{words}");
                let beside = match task.rule {
                    Rule::TakeOut => set_up.task.set_down.unwrap(),
                    Rule::PutIn | Rule::Press => set_up.object_at,
                };
                assert!(counter.holds(beside, object.length.max(object.width) / 2.0), "{words}");
                let away = (beside[0] - in_container[0]).hypot(beside[1] - in_container[1]);
                assert!(away > container.inner_radius.unwrap() + 0.02, "{words}");
                for axis in 0..2 {
                    seen[axis] = [seen[axis][0].min(beside[axis]), seen[axis][1].max(beside[axis])];
                }
            }
            for axis in 0..2 {
                let used = (seen[axis][1] - seen[axis][0]) / (counter.high[axis] - counter.low[axis]);
                assert!(used > 0.5, "{}: {used} of axis {axis}", task.name);
            }
        }
    }

    /// Values from a recording: the shipped policy's demonstrations must stay reproducible.
    #[test]
    fn placement_without_a_counter_has_not_changed() {
        let setting = setting("launch/widowx_kitchen.toml");
        let task = setting.scene.task(&setting.scene_file, "knife_in_pot").unwrap();
        let set_up = draw(&setting, task, 7777057332725388269);
        assert_eq!(set_up.task, *task);
        assert_eq!(set_up.object_at, [0.2952237829686399, 0.10402484513627765]);
        assert_eq!(set_up.container_at, Some([0.27757546350550544, -0.20029009842290552]));
        assert_eq!((set_up.object_yaw, set_up.start[5]), (0.38465815216375376, 0.0619257662377109));
    }
}
