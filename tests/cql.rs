//! Episodes to transitions, transitions to batches, batches to policies: CQL in both phases and reward-weighted regression on
//! a tiny made-up data set. One file because all of it learns from the same few episodes.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tch::{Kind, Tensor};
use visuomotor::config::load;
use visuomotor::episode::{EpisodeEnd, Outcome, Step};
use visuomotor::network::choose_device;
use visuomotor::recording::{EpisodeWriter, WriterOptions};
use visuomotor::training::behavior_cloning;
use visuomotor::training::cql::{self, Cql, Settings};
use visuomotor::training::reward_weighted::{self, RewardWeighted, Weighted};
use visuomotor::training::transitions::{Mixture, Transitions, assemble};
use visuomotor::training::{Batches, ClipAugmentation, Learner, Run, Schedule, learn};

use super::program::{Project, refused};
use super::recording::episodes::{decision, image, motions, observation, record_motion, start};

const TASK: &str = "croissant_out_of_bowl";

fn outcome(word: &str) -> Outcome {
    let judge = "success_rule".to_string();
    match word {
        "success" => Outcome::Success { judge },
        "failure" => Outcome::Failure { judge, why: "time ran out".into() },
        _ => Outcome::Aborted { judge, why: "the operator stopped".into() },
    }
}

/// Writes an episode of `steps` steps with images of `size` x `size` pixels.
pub fn write(folder: &Path, name: &str, word: &str, steps: u64, size: u32) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let mut writer = EpisodeWriter::create(folder, name, WriterOptions::default()).unwrap();
    writer.start(&start(name)).unwrap();
    for index in 0..steps {
        let shown = index + name.len() as u64 * 7 + u64::from(name.as_bytes()[0]);
        let seen = observation(vec![image("front", size, size, shown)], index);
        let mut decided = decision(shown);
        // Noise displaced the demonstrator 2 cm to the left of where it meant to go.
        decided.label.translation[1] = 0.02;
        let step = Step { index, observation: &seen, decision: &decided, decided_at: seen.observed_at };
        writer.record_step(&step).unwrap();
    }
    writer.end(&EpisodeEnd { outcome: outcome(word), steps, seconds: steps as f64 * 0.2 }).unwrap();
    folder.join(format!("{name}.mcap"))
}

/// Two successes and a failure.
pub fn data_set(folder: &Path) {
    write(folder, "a", "success", 6, 128);
    write(folder, "b", "failure", 5, 128);
    write(folder, "c", "success", 4, 128);
}

fn launch(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("launch").join(file)
}

fn settings() -> Settings {
    let settings: Settings = load(&launch("smoke/cql.toml")).unwrap();
    Settings { steps: 6, switch_at: 3, validation: 0, bf16: false, ..settings }
}

fn read(folder: &Path) -> anyhow::Result<Transitions> {
    let settings = settings();
    Transitions::read(&[folder.to_path_buf()], &settings.tasks, settings.image_size, &settings.labels())
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_kind(Kind::Float).reshape([-1])).unwrap()
}

#[test]
fn the_settings_of_every_scale_are_read_and_sound() {
    for scale in ["smoke", "small", "paper"] {
        for phase in ["cql", "finetune"] {
            let file = launch(&format!("{scale}/{phase}.toml"));
            let settings: Settings = load(&file).unwrap();
            settings.check(&file).unwrap();
            assert!(settings.tasks.iter().any(|task| task == TASK));
        }
        let file = launch(&format!("{scale}/behavior_cloning.toml"));
        let settings: behavior_cloning::Settings = load(&file).unwrap();
        assert!(settings.tasks.iter().any(|task| task == TASK));
        let file = launch(&format!("{scale}/reward_weighted.toml"));
        let settings: reward_weighted::Settings = load(&file).unwrap();
        settings.check(&file).unwrap();
    }
    for file in ["paper/r3m_cloning.toml", "paper/mvp_cloning.toml", "behavior_cloning.toml"] {
        let _: behavior_cloning::Settings = load(&launch(file)).unwrap();
    }
    let file = launch("smoke/cql.toml");
    let error = Settings { mixing: 1.5, ..settings() }.check(&file).unwrap_err().to_string();
    assert!(error.contains("smoke/cql.toml") && error.contains("`mixing`") && error.contains("1.5"), "{error}");
}

#[test]
fn successes_and_failures_become_transitions() {
    let folder = tempfile::tempdir().unwrap();
    data_set(&folder.path().join("kitchen"));
    write(folder.path(), "z", "aborted", 5, 128);
    let data = read(folder.path()).unwrap();
    assert_eq!((data.episodes(), data.successes(), data.len(), data.passed_over), (3, 2, 15, 1));
    // The failure's last step (10) has no successor; the successes' last ones are their own successors.
    let (all, none) = data.split(0);
    assert_eq!(all, (0..10).chain(11..15).collect::<Vec<_>>());
    assert!(none.is_empty());
    assert_eq!((data.next(4), data.next(5), data.next(9), data.next(14)), (5, 5, 10, 14));
    let (train, kept) = data.split(3);
    assert_eq!((train.len(), kept), (10, (11..15).collect::<Vec<_>>()));

    let settings = settings();
    let checkpoint = cql::described(&settings, &data.robot, data.rate_hz, data.state_scale());
    let mixture = Mixture::new(&settings, &checkpoint, &data, None).unwrap();
    let batch = mixture.batch(0).unwrap();
    assert_eq!(batch.images.size(), [8, 3, 128, 128]);
    assert_eq!(batch.conditions.size(), [8, 7 + settings.tasks.len() as i64]);
    assert!(floats(&batch.actions).iter().all(|a| a.abs() <= 0.99));
    for (reward, mask) in floats(&batch.rewards).into_iter().zip(floats(&batch.masks)) {
        assert!((reward, mask) == (10.0, 0.0) || (reward, mask) == (-1.0, 1.0), "{reward} {mask}");
    }
    // A success's last step is its own successor: one image, varied twice, independently.
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let twice = assemble(&[(&data, 14)], &checkpoint, &settings.augmentation, 0.0, &mut rng).unwrap();
    assert!(!twice.images.equal(&twice.next_images));
    let plain = assemble(&[(&data, 14)], &checkpoint, &ClipAugmentation::NONE, 0.0, &mut rng).unwrap();
    assert!(plain.images.equal(&plain.next_images) && plain.images.equal(&data.images(&[14]).unwrap()));

    // Step 0 is a success's, step 6 a failure's: only the first is imitated, with its noise-free action.
    let both = assemble(&[(&data, 0), (&data, 6)], &checkpoint, &ClipAugmentation::NONE, 0.0, &mut rng).unwrap();
    assert_eq!(floats(&both.imitated), [1.0, 0.0]);
    let (shown, asked) = (floats(&both.shown), floats(&both.actions));
    assert!((shown[1] - 0.4).abs() < 1e-6 && (asked[1] - 0.4).abs() > 1e-3, "{shown:?} {asked:?}");
    assert_eq!(shown[2..7], asked[2..7]);
    assert!(floats(&both.places.ahead)[5..].iter().all(|ahead| *ahead == 0.0));
}

#[test]
fn a_batch_depends_on_seed_and_step_alone() {
    let folder = tempfile::tempdir().unwrap();
    data_set(folder.path());
    let (data, settings) = (read(folder.path()).unwrap(), settings());
    let checkpoint = cql::described(&settings, &data.robot, data.rate_hz, data.state_scale());
    let pictures = |settings: &Settings, step| {
        floats(&Mixture::new(settings, &checkpoint, &data, None).unwrap().batch(step).unwrap().images)
    };
    assert!(pictures(&settings, 4) == pictures(&settings, 4));
    assert!(pictures(&settings, 4) != pictures(&settings, 5));
    assert!(pictures(&settings, 4) != pictures(&Settings { seed: 9, ..settings.clone() }, 4));
}

#[test]
fn from_the_switch_on_57_of_64_are_of_prior_data() {
    let folder = tempfile::tempdir().unwrap();
    let (prior, target) = (folder.path().join("prior"), folder.path().join("target"));
    write(&prior, "a", "failure", 6, 128);
    write(&target, "b", "success", 3, 128);
    let (prior, target) = (read(&prior).unwrap(), read(&target).unwrap());
    let settings = Settings { batch_size: 64, mixing: 0.9, switch_at: 10, ..settings() };
    let checkpoint = cql::described(&settings, &prior.robot, prior.rate_hz, prior.state_scale());
    let mixture = Mixture::new(&settings, &checkpoint, &prior, Some(&target)).unwrap();
    let line = mixture.describe();
    assert!(line.contains("57 of prior data + 7 of the target's") && line.contains("before step 10"), "{line}");
    assert_eq!((mixture.parts(9), mixture.parts(10)), ((64, 0), (57, 7)));
    // The prior data is a failure, the target's all rewarded: the rewards tell them apart.
    let rewarded = |step| floats(&mixture.batch(step).unwrap().rewards).iter().filter(|r| **r == 10.0).count();
    assert_eq!((rewarded(9), rewarded(10), rewarded(11)), (0, 7, 7));
    let alone = Mixture::new(&settings, &checkpoint, &prior, None).unwrap();
    assert_eq!(alone.parts(u64::MAX), (64, 0));
    let even = Settings { batch_size: 10, mixing: 0.7, ..settings.clone() };
    assert_eq!(Mixture::new(&even, &checkpoint, &prior, Some(&target)).unwrap().parts(10), (7, 3));
}

#[test]
fn a_share_of_the_prior_data_is_of_successes() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a", "failure", 30, 128);
    write(folder.path(), "b", "success", 3, 128);
    let prior = read(folder.path()).unwrap();
    let settings = |successes| Settings { batch_size: 16, validation: 0, successes, ..settings() };
    let of = |settings: &Settings| {
        let checkpoint = cql::described(settings, &prior.robot, prior.rate_hz, prior.state_scale());
        let batch = Mixture::new(settings, &checkpoint, &prior, None)?.batch(3)?;
        // All steps of this success are rewarded, none of the failure.
        anyhow::Ok(floats(&batch.rewards).iter().filter(|r| **r == 10.0).count())
    };
    assert_eq!(of(&settings(Some(0.75))).unwrap(), 12);
    assert!(of(&settings(None)).unwrap() < 6);
    let failures = folder.path().join("failures");
    write(&failures, "a", "failure", 6, 128);
    let failures = read(&failures).unwrap();
    let checkpoint = cql::described(&settings(None), &failures.robot, failures.rate_hz, failures.state_scale());
    let some = settings(Some(0.5));
    let said = Mixture::new(&some, &checkpoint, &failures, None).err().unwrap().to_string();
    assert!(said.contains("successes: found 0.5") && said.contains("no episode"), "{said}");
    let stratified = settings(Some(0.75));
    let checkpoint = cql::described(&stratified, &prior.robot, prior.rate_hz, prior.state_scale());
    let line = Mixture::new(&stratified, &checkpoint, &prior, None).unwrap().describe();
    assert!(line.ends_with("all of prior data, 0.75 of it of successes"), "{line}");
    // Without failures the key has no effect.
    let demonstrations = folder.path().join("demonstrations");
    write(&demonstrations, "b", "success", 3, 128);
    let demonstrations = read(&demonstrations).unwrap();
    let whole = Mixture::new(&some, &checkpoint, &demonstrations, None).unwrap().batch(3).unwrap();
    assert!(floats(&whole.rewards).iter().all(|r| *r == 10.0));
    let file = std::path::Path::new("some/cql.toml");
    let said = settings(Some(1.5)).check(file).unwrap_err().to_string();
    assert!(said.contains("`successes`") && said.contains("1.5"), "{said}");
}

#[test]
fn data_that_does_not_fit_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |folder: &Path| format!("{:#}", read(folder).err().unwrap());

    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert!(refusal(&empty).contains("empty: no episodes"));
    assert!(refusal(&folder.path().join("nowhere")).contains("nowhere"));

    let short = folder.path().join("short");
    write(&short, "one", "success", 1, 128);
    let said = refusal(&short);
    assert!(said.contains("one.mcap: found 1 steps, expected at least 2"), "{said}");

    let mixed = folder.path().join("mixed");
    write(&mixed, "a", "success", 3, 128);
    write(&mixed, "b", "success", 3, 64);
    let said = refusal(&mixed);
    assert!(said.contains("b.mcap: found an image of 64x64 pixels") && said.contains("128x128"), "{said}");

    let stopped = folder.path().join("stopped");
    write(&stopped, "a", "aborted", 3, 128);
    assert!(refusal(&stopped).contains("none of which came to an end"));

    for motion in motions() {
        let other = folder.path().join(motion.kind().to_string());
        std::fs::create_dir(&other).unwrap();
        record_motion(&other, "a", motion, 3, (128, 128));
        let said = refusal(&other);
        let words = format!("a.mcap: found {}, expected changes of the tool's pose", motion.kind());
        assert!(said.contains(&words), "{said}");
    }

    let known = folder.path().join("known");
    write(&known, "a", "success", 3, 128);
    let labels = settings().labels();
    let said = format!(
        "{:#}",
        Transitions::read(std::slice::from_ref(&known), &["juggle".into()], 128, &labels).err().unwrap()
    );
    assert!(said.contains("a.mcap: task `croissant_out_of_bowl`") && said.contains("juggle"), "{said}");

    let data = read(&known).unwrap();
    let settings = Settings { validation: 1, ..settings() };
    let checkpoint = cql::described(&settings, &data.robot, data.rate_hz, data.state_scale());
    let said = Mixture::new(&settings, &checkpoint, &data, None).err().unwrap().to_string();
    assert!(said.contains("validation: found 1"), "{said}");
}

/// Learns at most `most` further steps; returns whether it reached the end.
fn run<L: Learner>(
    learner: &mut L,
    batches: &dyn Batches<Batch = L::Batch>,
    algorithm: &str,
    out: &Path,
    resume: bool,
    most: u32,
) -> bool {
    let left = Cell::new(most);
    let stop = || {
        let now = left.get();
        left.set(now.saturating_sub(1));
        now == 0
    };
    let schedule = Schedule { seed: 1, steps: 6, checkpoint_every: 2, validate_every: 3 };
    let run = Run {
        out,
        resume,
        device: choose_device(),
        command: "test".into(),
        stop: &stop,
        tell: &|_| {},
        score: &|_| Ok(None),
    };
    learn(learner, batches, &schedule, serde_json::json!({ "algorithm": algorithm }), &run).unwrap()
}

fn same(a: &Path, b: &Path, files: &[&str]) {
    for file in files {
        let read = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
        assert!(read(a) == read(b), "{file} differs");
    }
}

const CQL_FILES: [&str; 5] =
    ["encoder.safetensors", "head.safetensors", "critic.safetensors", "policy.toml", "checkpoint.safetensors"];

#[test]
fn both_phases_resume_to_the_last_bit() {
    let _alone = super::alone();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    data_set(&at("prior"));
    write(&at("target"), "t", "success", 5, 128);
    let (prior, target) = (read(&at("prior")).unwrap(), read(&at("target")).unwrap());
    let settings = Settings { validation: 3, ..settings() };
    let checkpoint = cql::described(&settings, &prior.robot, prior.rate_hz, prior.state_scale());

    // Phases 2 and 3 in one run: only prior data up to step 3, then both.
    let mixture = Mixture::new(&settings, &checkpoint, &prior, Some(&target)).unwrap();
    let new = || Cql::new(&settings, &checkpoint, mixture.held_out().unwrap(), choose_device()).unwrap();
    assert!(run(&mut new(), &mixture, "cql", &at("whole"), false, 100));
    assert!(!run(&mut new(), &mixture, "cql", &at("broken"), false, 3));
    assert!(run(&mut new(), &mixture, "cql", &at("broken"), true, 100));
    same(&at("whole"), &at("broken"), &CQL_FILES);

    // Phase 3 separately, from the folder of a phase 2.
    let later = Settings { switch_at: 0, name: "later".into(), ema_decay: 0.9.try_into().unwrap(), ..settings.clone() };
    let continued = cql::continued(&later, &at("whole")).unwrap();
    assert_eq!((continued.state, continued.name.as_str()), (checkpoint.state, "later"));
    let mixture = Mixture::new(&later, &continued, &prior, Some(&target)).unwrap();
    let new = || {
        let mut learner = Cql::new(&later, &continued, mixture.held_out().unwrap(), choose_device()).unwrap();
        learner.go_on_from(&at("whole")).unwrap();
        learner
    };
    assert!(run(&mut new(), &mixture, "finetune", &at("whole3"), false, 100));
    assert!(!run(&mut new(), &mixture, "finetune", &at("broken3"), false, 4));
    assert!(run(&mut new(), &mixture, "finetune", &at("broken3"), true, 100));
    same(&at("whole3"), &at("broken3"), &CQL_FILES);
}

#[test]
fn a_policys_critic_is_asked_along_successes() {
    let _alone = super::alone();
    let project = Project::new();
    data_set(&project.path("episodes"));
    write(&project.path("failures"), "f", "failure", 5, 128);
    let data = read(&project.path("episodes")).unwrap();
    let settings = Settings { steps: 1, switch_at: 1, ..settings() };
    let checkpoint = cql::described(&settings, "widowx", 5.0, data.state_scale());
    let mixture = Mixture::new(&settings, &checkpoint, &data, None).unwrap();
    let mut learner = Cql::new(&settings, &checkpoint, Vec::new(), choose_device()).unwrap();
    assert!(run(&mut learner, &mixture, "cql", &project.path("policy"), false, 100));

    let asked = |clips| project.call(&["values", "--policy", "policy", "--clips", clips, "--out", "values"]);
    let output = asked("episodes");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found: Value = serde_json::from_slice(&std::fs::read(project.path("values/values.json")).unwrap()).unwrap();
    let lengths: Vec<usize> =
        found["clips"].as_array().unwrap().iter().map(|clip| clip["values"].as_array().unwrap().len()).collect();
    assert_eq!(lengths, [6, 4]);
    assert_eq!(found["falling_share"]["clips"], 2);
    assert!(std::fs::read_to_string(project.path("values/values.svg")).unwrap().contains("V(s_t)"));
    refused(&asked("failures"), &["failures", "no successful episode"]);

    // And along trials, the first of each task.
    project.edit("launch/table_kitchen.toml", |text| text.replace("trial_seconds = 60.0", "trial_seconds = 1.0"));
    let (kitchen, scored) = ("launch/table_kitchen.toml", project.path("scored"));
    let words = ["--policy", "policy", "--task", TASK, "--trials", "2", "--without-controls", "--out", "scored"];
    let output = project.call(&[&["evaluate", kitchen][..], &words[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let journal = std::fs::read_to_string(scored.join("journal.jsonl")).unwrap();
    let of = |line: &str| serde_json::from_str::<Value>(line).unwrap()["state_value"].as_array().map_or(0, Vec::len);
    assert_eq!(journal.lines().skip(1).map(of).collect::<Vec<_>>(), [5, 0]);
    assert!(std::fs::read_to_string(scored.join("report.html")).unwrap().contains("V(s<sub>t</sub>)"));
}

#[test]
fn reward_weighted_regression_resumes_to_the_last_bit_and_needs_a_goal() {
    let _alone = super::alone();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    data_set(&at("data"));
    let encoder = at("encoder.safetensors");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/kitchen/encoder.safetensors");
    std::fs::copy(shipped, &encoder).unwrap();
    let settings: reward_weighted::Settings = load(&launch("smoke/reward_weighted.toml")).unwrap();
    let settings = reward_weighted::Settings { encoder_weights: encoder, bf16: false, validation: 3, ..settings };
    let data = |name: &str| Transitions::read(&[at(name)], &settings.tasks, 128, &settings.labels()).unwrap();
    let whole = data("data");
    let checkpoint = settings.described(&whole);
    let weighted = Weighted::new(&settings, &checkpoint, &whole, choose_device()).unwrap();
    assert!(weighted.describe().contains("weights of 15 steps"), "{}", weighted.describe());
    let new = || RewardWeighted::new(&settings, &checkpoint, weighted.held_out().unwrap(), choose_device()).unwrap();
    assert!(run(&mut new(), &weighted, "reward-weighted", &at("whole"), false, 100));
    assert!(!run(&mut new(), &weighted, "reward-weighted", &at("broken"), false, 4));
    assert!(run(&mut new(), &weighted, "reward-weighted", &at("broken"), true, 100));
    same(&at("whole"), &at("broken"), &["encoder.safetensors", "head.safetensors", "policy.toml"]);
    // The encoder was frozen: the saved weights equal the initial ones.
    let weights = |file: &Path| {
        let mut tensors = Tensor::read_safetensors(file).unwrap();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        tensors.iter().flat_map(|(_, tensor)| floats(tensor)).collect::<Vec<f32>>()
    };
    assert!(weights(&at("whole").join("encoder.safetensors")) == weights(&settings.encoder_weights));

    write(&at("failed"), "f", "failure", 4, 128);
    let failed = data("failed");
    let said = format!("{:#}", Weighted::new(&settings, &checkpoint, &failed, choose_device()).err().unwrap());
    assert!(said.contains(TASK) && said.contains("no episode of it succeeded"), "{said}");
}
