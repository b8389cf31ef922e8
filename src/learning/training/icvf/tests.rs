//! ICVF against PyTorch (`tests/golden/make_icvf.py`) and against a chain whose values are known.

use std::borrow::Cow;
use std::cell::Cell;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tch::{Device, Kind, Tensor, nn};

use super::*;
use crate::network::{IntentionValues, PerceptronShape, fill, filled};
use crate::training::{Adam, soft_update};
use visuomotor_core::config::load;

/// Clips whose images are not read: their lengths.
pub(crate) struct Blank {
    pub frames: Vec<usize>,
}

impl Clips for Blank {
    fn len(&self) -> usize {
        self.frames.len()
    }
    fn frames(&self, clip: usize) -> usize {
        self.frames[clip]
    }
    fn name(&self, _clip: usize) -> &str {
        "blank"
    }
    fn size(&self) -> u32 {
        8
    }
    fn frame(&self, _clip: usize, _index: usize) -> anyhow::Result<Cow<'_, [u8]>> {
        anyhow::bail!("a blank clip has no images")
    }
}

/// Clips with different images: the first pixel identifies each.
pub(crate) struct Numbered {
    frames: Vec<usize>,
    size: u32,
}

impl Numbered {
    pub(crate) fn new(frames: &[usize]) -> Self {
        Self::sized(frames, 8)
    }
    pub(crate) fn sized(frames: &[usize], size: u32) -> Self {
        Self { frames: frames.to_vec(), size }
    }
    pub(crate) fn number(&self, clip: usize, index: usize) -> usize {
        self.frames[..clip].iter().sum::<usize>() + index
    }
}

impl Clips for Numbered {
    fn len(&self) -> usize {
        self.frames.len()
    }
    fn frames(&self, clip: usize) -> usize {
        self.frames[clip]
    }
    fn name(&self, _clip: usize) -> &str {
        "numbered"
    }
    fn size(&self) -> u32 {
        self.size
    }
    fn frame(&self, clip: usize, index: usize) -> anyhow::Result<Cow<'_, [u8]>> {
        let number = self.number(clip, index);
        let pixel = |i: usize| if i < 3 { number as u8 } else { ((i / 97) * 7 + number * 31) as u8 };
        Ok((0..(self.size * self.size * 3) as usize).map(pixel).collect())
    }
}

/// The settings of the smoke test, without augmentation.
pub(crate) fn settings() -> Settings {
    let file = PathBuf::from(crate::CHECKOUT).join("launch/smoke/icvf.toml");
    let mut settings: Settings = load(&file).unwrap();
    (settings.shift, settings.color) = (0, crate::training::ColorJitter::NONE);
    settings.bf16 = false;
    settings.batch_size = 4;
    settings
}

pub(crate) fn golden(name: &str) -> Value {
    let path = PathBuf::from(crate::CHECKOUT).join("tests/golden").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().flatten(0, -1).to_kind(Kind::Double)).unwrap()
}

/// Largest difference, relative to the largest expected value.
fn off(ours: &Tensor, theirs: &Value) -> f64 {
    let (ours, theirs) = (flat(ours), numbers(theirs));
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(f64::MIN_POSITIVE, |most, v| most.max(v.abs()));
    ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest
}

const ELEMENTS: i64 = 5;
const DIMENSION: i64 = 7;

/// Heads with the golden weights, and embeddings for them.
fn heads(layer_norm: bool, seed: u64) -> (nn::VarStore, IntentionValues) {
    let store = nn::VarStore::new(Device::Cpu);
    let shape = PerceptronShape { hidden: vec![6, 5], layer_norm, dropout: 0.0 };
    let values = IntentionValues::new(&store.root(), DIMENSION, &shape).unwrap();
    fill(&store, seed).unwrap();
    (store, values)
}

fn embedding(name: &str) -> Tensor {
    Tensor::from_slice(&filled(name, &[ELEMENTS, DIMENSION], 7)).reshape([ELEMENTS, DIMENSION])
}

#[test]
fn the_loss_its_gradients_and_ten_steps_equal_pytorch() {
    let golden = golden("icvf.json");
    let reached = |name: &str| Tensor::from_slice(&numbers(&golden[name])).to_kind(Kind::Float);
    let reached = Reached { g: reached("reached_g"), z: reached("reached_z") };
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 4);
    for case in cases {
        let switch = |name: &str| case[name].as_bool().unwrap();
        let number = |name: &str| case[name].as_f64().unwrap();
        let shape = LossShape {
            discount: number("discount"),
            expectile: number("expectile"),
            min_q: switch("min_q"),
            intent: switch("intent"),
        };
        let name = format!("{shape:?}, layer_norm {}", switch("layer_norm"));
        let (store, values) = heads(switch("layer_norm"), 7);
        let (target_store, target_values) = heads(switch("layer_norm"), 8);
        let target = TargetEmbeddings {
            s_next: embedding("target.s_next"),
            at: Embeddings { s: embedding("target.s"), g: embedding("target.g"), z: embedding("target.z") },
        };
        let leaf = |name| embedding(name).set_requires_grad(true);
        let online = Embeddings { s: leaf("online.s"), g: leaf("online.g"), z: leaf("online.z") };
        let of = || loss(&values, &online, &target_values, &target, &reached, &shape, true).unwrap();
        // The loss and its gradients.
        let first = of();
        let (ours, theirs) = (f64::try_from(&first.total).unwrap(), number("loss"));
        assert!((ours - theirs).abs() <= 1e-5 * theirs.abs(), "{name}: {ours}, not {theirs}");
        for (term, tensor) in &first.terms {
            let (ours, theirs) = (f64::try_from(tensor).unwrap(), case["terms"][term].as_f64().unwrap());
            assert!((ours - theirs).abs() <= 1e-5 * theirs.abs() + 1e-6, "{name}: {term} {ours}, not {theirs}");
        }
        first.total.backward();
        for (variable, tensor) in store.variables() {
            let off = off(&tensor.grad(), &case["gradients"][&variable]);
            assert!(off <= 1e-4, "{name}: the gradient of {variable} is off by {off}");
        }
        for (variable, tensor) in [("online.s", &online.s), ("online.g", &online.g), ("online.z", &online.z)] {
            let off = off(&tensor.grad(), &case["gradients"][variable]);
            assert!(off <= 1e-4, "{name}: the gradient of {variable} is off by {off}");
        }
        assert!(target_store.variables().values().all(|variable| !variable.grad().defined()));
        // Ten steps; the target follows the parameters from before each step.
        let mut adam = Adam::new(&[("values", &store)], 0.0).with_epsilon(3.125e-4);
        for _ in 0..10 {
            adam.zero_grad();
            of().total.backward();
            soft_update(&target_store, &store, 0.1).unwrap();
            adam.step(1e-2, f64::INFINITY).unwrap();
        }
        for (variable, tensor) in store.variables() {
            let off = off(&tensor, &case["after"][&variable]);
            assert!(off <= 1e-5, "{name}: {variable} is off by {off} after ten steps");
        }
    }
}

#[test]
fn a_chain_is_valued_by_its_steps_to_go() {
    tch::manual_seed(1);
    const LENGTH: usize = 5;
    const STEPS: u64 = 1000;
    const DISCOUNT: f64 = 0.9;
    let table = Tensor::randn([LENGTH as i64, 16], (Kind::Float, Device::Cpu));
    let made = || {
        let store = nn::VarStore::new(Device::Cpu);
        let shape = PerceptronShape { hidden: vec![48, 48], layer_norm: false, dropout: 0.0 };
        let values = IntentionValues::new(&store.root(), 16, &shape).unwrap();
        (store, values)
    };
    let ((store, values), (mut target_store, target_values)) = (made(), made());
    target_store.copy(&store).unwrap();
    let shares = GoalShares { p_random: 0.3, p_traj: 0.5, p_curr: 0.2, ..settings().goal_shares() };
    let chain = Blank { frames: vec![LENGTH] };
    let shape = LossShape { discount: DISCOUNT, expectile: 0.9, min_q: true, intent: true };
    let mut adam = Adam::new(&[("values", &store)], 0.0);
    for step in 0..STEPS {
        let mut rng = ChaCha8Rng::seed_from_u64(step);
        let samples: Vec<Sample> = (0..32).map(|_| shares.draw(&chain, &mut rng)).collect();
        let rows = |of: fn(&Sample) -> Place| {
            let picks: Vec<i64> = samples.iter().map(|x| of(x).index as i64).collect();
            table.index_select(0, &Tensor::from_slice(&picks))
        };
        let flags = |of: fn(&Sample) -> bool| {
            Tensor::from_slice(&samples.iter().map(|x| f32::from(u8::from(of(x)))).collect::<Vec<_>>())
        };
        let here = || Embeddings { s: rows(|x| x.s), g: rows(|x| x.g), z: rows(|x| x.z) };
        let target = TargetEmbeddings { s_next: rows(|x| x.s_next), at: here() };
        let reached = Reached { g: flags(Sample::reached_g), z: flags(Sample::reached_z) };
        adam.zero_grad();
        loss(&values, &here(), &target_values, &target, &reached, &shape, true).unwrap().total.backward();
        soft_update(&target_store, &store, 0.1).unwrap();
        let rate = 2e-3 * (1.0 - step as f64 / STEPS as f64);
        adam.step(rate, f64::INFINITY).unwrap();
    }
    let (mut worst, mut unreachable) = (0.0f64, 0.0f64);
    for g in 0..LENGTH {
        let goal = table.narrow(0, g as i64, 1);
        let along = flat(&tch::no_grad(|| values.least(&table, &goal, &goal).unwrap()));
        println!("goal {g}: {along:.3?}");
        for (s, value) in along.iter().enumerate() {
            // V = -(1 - gamma^d) / (1 - gamma), which is (gamma^d - 1) / (1 - gamma): V-PTR's 1[s = g] reward up to an affine
            // map. Outcomes behind are out of reach: d is infinite.
            let reach = if s <= g { DISCOUNT.powi((g - s) as i32) } else { 0.0 };
            let error = (value - (reach - 1.0) / (1.0 - DISCOUNT)).abs();
            if s <= g { worst = worst.max(error) } else { unreachable = unreachable.max(error) }
        }
    }
    println!("off by {worst:.3} ahead, {unreachable:.3} behind");
    // Values behind approach -10 more slowly; nothing ahead is below -3.5.
    assert!(worst < 0.25 && unreachable < 2.5, "off by {worst} ahead, {unreachable} behind");
}

/// Trains the smoke settings on a few clips, for at most `most` more steps.
fn run(clips: &dyn Clips, out: &Path, resume: bool, most: u32) -> anyhow::Result<bool> {
    let left = Cell::new(most);
    let stop = || {
        let now = left.get();
        left.set(now.saturating_sub(1));
        now == 0
    };
    let (nobody, silent) = (|_: &Path| Ok(None), |_: &str| {});
    let settings =
        Settings { steps: 5, batch_size: 2, checkpoint_every: 2, validate_every: Some(5), validation: 3, ..settings() };
    train(
        &settings,
        clips,
        &Run {
            out,
            resume,
            device: crate::network::choose_device(),
            command: "test".into(),
            stop: &stop,
            tell: &silent,
            score: &nobody,
        },
    )
}

#[test]
fn a_run_that_was_stopped_ends_in_the_files_of_an_unbroken_one() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    let clips = Numbered::sized(&[4, 1, 3, 2], 128);
    assert!(run(&clips, &whole, false, 100).unwrap());
    assert!(!run(&clips, &broken, false, 3).unwrap());
    assert!(run(&clips, &broken, true, 100).unwrap());
    for file in ["encoder.safetensors", "values.safetensors", "checkpoint.safetensors"] {
        let read = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
        assert!(read(&whole) == read(&broken), "{file} differs");
    }
    let record: Value = serde_json::from_slice(&std::fs::read(whole.join("record.json")).unwrap()).unwrap();
    let data = &record["data"];
    assert_eq!((record["algorithm"].as_str(), data["clips"].as_u64()), (Some("icvf"), Some(3)));
    assert_eq!((data["kept_back"].as_u64(), data["passed_over"].as_u64()), (Some(1), Some(1)));
    let curves = std::fs::read_to_string(whole.join("curves.json")).unwrap();
    for name in ["train_loss", "train_value", "validation_falling_share", "validation_bumps"] {
        assert!(curves.contains(name), "{name} has no curve");
    }
}

#[test]
fn unusable_clips_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let message =
        |frames: &[usize], size| run(&Numbered::sized(frames, size), folder.path(), false, 1).unwrap_err().to_string();
    assert!(message(&[], 128).contains("none of 0 clips"));
    assert!(message(&[1, 1], 128).contains("none of 2 clips has 2 frames"));
    assert!(message(&[4], 64).contains("image_size: found 128"));
    let settings = Settings { image_size: 64, ..settings() };
    assert!(check_size(&settings, &Numbered::sized(&[4], 64)).unwrap_err().to_string().contains("expects 128"));
}

#[test]
fn invalid_settings_are_refused_by_key() {
    assert!(settings().check().is_ok());
    let message = |settings: Settings| settings.check().unwrap_err().to_string();
    for (key, wrong) in [
        ("steps", Settings { steps: 0, ..settings() }),
        ("hidden", Settings { hidden: vec![], ..settings() }),
        ("hidden", Settings { hidden: vec![8, 0], ..settings() }),
        ("discount", Settings { discount: 1.5, ..settings() }),
        ("expectile", Settings { expectile: f64::NAN, ..settings() }),
        ("p_random", Settings { p_random: 0.9, ..settings() }),
    ] {
        let message = message(wrong);
        assert!(message.starts_with(key), "{key}: {message}");
    }
}

#[test]
fn every_shipped_settings_file_is_valid() {
    for scale in ["smoke", "small", "paper"] {
        let file = PathBuf::from(crate::CHECKOUT).join(format!("launch/{scale}/icvf.toml"));
        let settings: Settings = load(&file).unwrap();
        settings.check().unwrap();
        if scale == "paper" {
            assert_eq!(
                (settings.encoder, settings.batch_size, settings.steps),
                (crate::encoder::EncoderKind::Vptr, 64, 2_000_000)
            );
        }
    }
}
