//! VIP against PyTorch (`tests/golden/make_vip.py`), and its whole training on made-up clips.

use std::borrow::Cow;
use std::cell::Cell;

use serde_json::Value;
use tch::nn;

use super::*;
use crate::network::{self, choose_device, filled, splitmix64};
use crate::training::Curves;
use crate::training::checkpoint::read_state;
use crate::training::range::within;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tests/golden/vip.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn permutations(value: &Value) -> Vec<Vec<i64>> {
    serde_json::from_value(value.clone()).unwrap()
}

fn number(tensor: &Tensor) -> f64 {
    f64::try_from(tensor).unwrap()
}

#[test]
fn loss_and_gradients_are_those_of_the_released_code() {
    for case in golden()["losses"].as_array().unwrap() {
        let (batch, dimension) = (case["batch"].as_i64().unwrap(), case["dimension"].as_i64().unwrap());
        let shape = [batch, 4, dimension];
        let values = filled("embeddings", &shape, case["seed"].as_u64().unwrap());
        let embeddings = Tensor::from_slice(&values).reshape(shape) * case["scale"].as_f64().unwrap();
        if case["next_is_goal"].as_bool().unwrap() {
            embeddings.get(0).get(3).copy_(&embeddings.get(0).get(1));
        }
        let embeddings = embeddings.set_requires_grad(true);
        let objective = Objective {
            discount: 0.98,
            l2_penalty: case["l2"].as_f64().unwrap(),
            l1_penalty: case["l1"].as_f64().unwrap(),
        };
        let loss = loss(&embeddings, &permutations(&case["permutations"]), &objective).unwrap();
        let found = [&loss.total, &loss.size, &loss.main, &loss.negatives].map(number);
        for (found, expected) in found.iter().zip(numbers(&case["terms"])) {
            assert!((found - expected).abs() <= 1e-5 * expected.abs(), "{found} {expected}");
        }
        loss.total.backward();
        let gradient = Vec::<f32>::try_from(embeddings.grad().reshape([-1])).unwrap();
        let expected = numbers(&case["gradient"]);
        assert_eq!(gradient.len(), expected.len());
        let largest = expected.iter().fold(0.0f64, |most, v| most.max(v.abs()));
        for (found, expected) in gradient.iter().zip(&expected) {
            let off = (f64::from(*found) - expected).abs();
            assert!(off <= 1e-4 * expected.abs() + 1e-7 * largest, "{found} {expected}");
        }
    }
}

#[test]
fn equal_embeddings_cost_one_without_negatives_and_two_with_them() {
    let objective = Objective { discount: 0.98, l2_penalty: 0.0, l1_penalty: 0.0 };
    let embeddings = Tensor::full([5, 4, 3], 0.7, (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let order: Vec<i64> = vec![4, 3, 2, 1, 0];
    let without = loss(&embeddings, &[], &objective).unwrap();
    let with = loss(&embeddings, &[order.clone(), order], &objective).unwrap();
    assert!((number(&without.total) - 1.0).abs() < 1e-6 && (number(&with.total) - 2.0).abs() < 1e-6);
    // Distances are 0 everywhere; their gradient is taken as 0 and stays finite.
    with.total.backward();
    assert_eq!(number(&embeddings.grad().abs().max()), 0.0);
}

#[test]
fn embeddings_far_apart_do_not_overflow_and_wrong_shapes_are_errors() {
    let objective = Objective { discount: 0.98, l2_penalty: 0.0, l1_penalty: 0.0 };
    let line = |values: &[f32]| Tensor::from_slice(values).reshape([1, 4, 1]);
    // o_k is at the goal, o_k+1 at 1000: the exponent is 1 + 980, beyond f32's exp.
    let far = loss(&line(&[0.0, 0.0, 0.0, 1000.0]), &[], &objective).unwrap();
    assert!((number(&far.main) - 981.0).abs() < 1e-3);
    // Swapped, the logarithm ends at the release's log 1e-8.
    let near = loss(&line(&[0.0, 0.0, 1000.0, 0.0]), &[], &objective).unwrap();
    assert!((number(&near.main) - 1e-8f64.ln()).abs() < 1e-4);
    let three = Tensor::zeros([2, 3, 5], (Kind::Float, Device::Cpu));
    let error = loss(&three, &[], &objective).err().unwrap().to_string();
    assert!(error.contains("[2, 3, 5]") && error.contains("(B, 4, D)"), "{error}");
    assert!(loss(&Tensor::zeros([2, 4, 5], (Kind::Float, Device::Cpu)), &[vec![0]], &objective).is_err());
}

#[test]
fn ten_steps_of_adam_are_pytorchs() {
    for case in golden()["adam"].as_array().unwrap() {
        let store = nn::VarStore::new(Device::Cpu);
        let variable = |name: &str, shape: &[i64]| {
            let mut variable = store.root().var(name, shape, nn::Init::Const(0.0));
            let values = Tensor::from_slice(&filled(name, shape, 1)).reshape(shape);
            tch::no_grad(|| variable.copy_(&values));
            variable
        };
        let (first, second) = (variable("first", &[6, 4]), variable("second", &[1, 6]));
        let mut adam = Adam::new(&[("net", &store)], 0.0).with_epsilon(case["epsilon"].as_f64().unwrap());
        for step in 0..10 {
            let x = Tensor::from_slice(&filled("x", &[8, 4], step)).reshape([8, 4]);
            adam.zero_grad();
            let out = x.matmul(&first.tr()).tanh().matmul(&second.tr());
            (out - x.sum_dim_intlist(1, true, Kind::Float)).square().mean(Kind::Float).backward();
            adam.step(1e-2, f64::INFINITY).unwrap();
        }
        for (name, variable) in [("first", &first), ("second", &second)] {
            let found = Vec::<f32>::try_from(variable.reshape([-1])).unwrap();
            for (found, expected) in found.iter().zip(numbers(&case[name])) {
                assert!((f64::from(*found) - expected).abs() < 2e-6, "{name}: {found} {expected}");
            }
        }
    }
}

/// (3, 128, 128) in 0..1: squares of 16 pixels, their colors from a hash.
fn frame(number: u64) -> Vec<f32> {
    let at = |c: u64, y: u64, x: u64| splitmix64(number, (y / 16 * 8 + x / 16) * 3 + c) >> 56;
    (0..3 * 128 * 128u64).map(|i| at(i / (128 * 128), i / 128 % 128, i % 128) as f32 / 255.0).collect()
}

#[test]
fn ten_steps_of_training_are_pytorchs() {
    let golden = &golden()["training"];
    let settings =
        Settings { l2_penalty: within(1e-3), l1_penalty: within(1e-3), learning_rate: within(1e-4), ..settings() };
    let mut learner = Vip::new(&settings, None, choose_device()).unwrap();
    network::fill(&learner.encoder.variables, 11).unwrap();
    let images: Vec<f32> = (0..16).flat_map(frame).collect();
    let batch = VipBatch {
        images: Tensor::from_slice(&images).reshape([4, 4, 3, 128, 128]),
        permutations: permutations(&golden["permutations"]),
    };
    for (step, expected) in numbers(&golden["losses"]).into_iter().enumerate() {
        let found = learner.update(&batch, step as u64).unwrap()[0].1;
        assert!((found - expected).abs() < 1e-5 * expected * (1 + step) as f64, "step {step}: {found} {expected}");
    }
    for (name, variable) in learner.encoder.variables.variables() {
        // A softmax does not change when all its inputs grow equally: this gradient is 0 but for rounding, which Adam turns
        // into a whole step.
        if name == "conv5.bias" {
            continue;
        }
        let expected = &golden["variables"][&name];
        let flat = variable.to_device(Device::Cpu).reshape([-1]).to_kind(Kind::Double);
        let start = Tensor::from_slice(&filled(&name, &variable.size(), 11)).to_kind(Kind::Double);
        // The total movement in ten steps of 1e-4; values and sums agree far better than that.
        let moved = number(&(&flat - start).abs().sum(Kind::Double));
        let expected_moved = expected["moved"].as_f64().unwrap();
        assert!((moved - expected_moved).abs() < 0.01 * expected_moved, "{name}: moved {moved} {expected_moved}");
        let off = (number(&flat.sum(Kind::Double)) - expected["sum"].as_f64().unwrap()).abs();
        assert!(off < 0.01 * expected_moved, "{name}: the sum is off by {off}, the way was {expected_moved}");
        let picks = numbers(&expected["picks"]);
        for (pick, value) in picks.iter().zip(numbers(&expected["values"])) {
            let found = flat.double_value(&[*pick as i64]);
            assert!((found - value).abs() < 5e-5, "{name}[{pick}]: {found} {value}");
        }
    }
}

/// Clips in which a bright square goes across a dark image from left to right.
struct Walks {
    lengths: Vec<usize>,
    size: u32,
    broken: Option<usize>,
}

impl Clips for Walks {
    fn len(&self) -> usize {
        self.lengths.len()
    }
    fn frames(&self, clip: usize) -> usize {
        self.lengths[clip]
    }
    fn name(&self, clip: usize) -> &str {
        ["a", "b", "c", "d", "e", "f", "g", "h"][clip % 8]
    }
    fn size(&self) -> u32 {
        self.size
    }
    fn frame(&self, clip: usize, index: usize) -> anyhow::Result<Cow<'_, [u8]>> {
        let size = self.size as usize;
        let (left, top) = (index * (size - 32) / self.lengths[clip].max(2), clip * 8);
        let mut pixels = vec![40u8; size * size * 3];
        for y in top..top + 32 {
            pixels[(y * size + left) * 3..(y * size + left + 32) * 3].fill(220);
        }
        if self.broken == Some(clip) {
            pixels.pop();
        }
        Ok(pixels.into())
    }
}

fn walks() -> Walks {
    Walks { lengths: vec![12, 9, 3, 15, 2, 10, 1, 8], size: 128, broken: None }
}

fn settings() -> Settings {
    let file = Path::new(crate::CHECKOUT).join("launch/smoke/vip.toml");
    let settings: Settings = visuomotor_core::config::load(&file).unwrap();
    Settings { steps: 6, batch_size: 3, validation: 3, checkpoint_every: 2, validate_every: Some(3), ..settings }
}

fn run(settings: &Settings, clips: &Walks, out: &Path, resume: bool, most: u64) -> anyhow::Result<bool> {
    let left = Cell::new(most);
    let stop = || {
        let now = left.get();
        left.set(now.saturating_sub(1));
        now == 0
    };
    let run = Run {
        out,
        resume,
        device: choose_device(),
        command: "test".into(),
        stop: &stop,
        tell: &|_| {},
        score: &|_| Ok(None),
    };
    train(settings, clips, &run)
}

#[test]
fn a_run_stopped_or_killed_between_checkpoints_ends_as_an_unbroken_one() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    // Weights from a file: tests run in parallel and share the generator that would draw them.
    let weights = folder.path().join("weights.safetensors");
    let encoder = TrainedEncoder::new(EncoderKind::Small, None, false, choose_device()).unwrap();
    network::fill(&encoder.variables, 2).unwrap();
    encoder.save(&weights).unwrap();
    let settings = Settings { encoder_weights: Some(weights), ..settings() };
    assert!(run(&settings, &walks(), &whole, false, 100).unwrap());
    assert!(!run(&settings, &walks(), &broken, false, 3).unwrap());
    let read = |out: &Path, name: &str| std::fs::read(out.join(name)).unwrap();
    assert!(read(&whole, "checkpoint.safetensors") != read(&broken, "checkpoint.safetensors"));
    assert!(run(&settings, &walks(), &broken, true, 100).unwrap());
    // Variables, moments, the step: the whole state.
    assert!(read(&whole, "checkpoint.safetensors") == read(&broken, "checkpoint.safetensors"));
    assert!(read(&whole, "encoder.safetensors") == read(&broken, "encoder.safetensors"));
    // Killed after the fifth step, the last checkpoint being that of the fourth.
    let killed = folder.path().join("killed");
    let steps = Cell::new(0);
    let stop = || {
        assert!(steps.replace(steps.get() + 1) < 5, "killed");
        false
    };
    let fatal = Run {
        out: &killed,
        resume: false,
        device: choose_device(),
        command: "test".into(),
        stop: &stop,
        tell: &|_| {},
        score: &|_| Ok(None),
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| train(&settings, &walks(), &fatal))).is_err());
    assert!(run(&settings, &walks(), &killed, true, 100).unwrap());
    assert!(read(&whole, "checkpoint.safetensors") == read(&killed, "checkpoint.safetensors"));
    let state = read_state(&whole.join("checkpoint.safetensors"), "vip").unwrap();
    for key in ["adam.first.encoder.conv1.weight", "adam.second.encoder.conv5.weight", "encoder.log_temperature"] {
        assert!(state.iter().any(|(name, _)| name == key), "{key}");
    }
    let curves: Curves = serde_json::from_slice(&read(&whole, "curves.json")).unwrap();
    let points = |name: &str| curves.series[name].clone();
    assert_eq!(points("validation_loss").len(), 2);
    assert!(points("validation_bumps").iter().all(|point| (0.0..=1.0).contains(&point.1)));
}

#[test]
fn training_lowers_the_loss_of_held_out_clips() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { steps: 24, batch_size: 6, validate_every: Some(4), crop: Crop::None, ..settings() };
    assert!(run(&settings, &walks(), folder.path(), false, 100).unwrap());
    let curves: Curves = serde_json::from_slice(&std::fs::read(folder.path().join("curves.json")).unwrap()).unwrap();
    let losses = &curves.series["validation_loss"];
    assert!(losses.last().unwrap().1 < losses[0].1, "{losses:?}");
}

#[test]
fn draws_follow_the_released_loader() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut seen = [false; 4];
    for frames in [3, 4, 50] {
        for _ in 0..2000 {
            let [start, goal, now, next] = draw_frames(frames, &mut rng);
            assert!(start <= frames - 3 && start < goal && goal < frames && start <= now && now < goal);
            assert_eq!(next, now + 1);
            let ends = [start == 0, start == frames - 3, goal == frames - 1, next == goal];
            seen = std::array::from_fn(|i| seen[i] || (frames == 50 && ends[i]));
        }
    }
    assert_eq!(seen, [true; 4], "an end of a range is never drawn");
}

#[test]
fn a_batch_depends_on_seed_and_step_alone_and_shares_its_crop() {
    let clips = Walks { lengths: vec![5], ..walks() };
    let samples = |seed, crop| Samples {
        clips: &clips,
        batch: 2,
        negatives: 3,
        seed,
        augmentation: ClipAugmentation { crop, ..ClipAugmentation::VIP },
    };
    let batch = |seed, crop, step| samples(seed, crop).batch(step).unwrap();
    let (a, b) = (batch(1, Crop::Rctraj, 5), batch(1, Crop::Rctraj, 5));
    assert!(a.images.equal(&b.images) && a.permutations == b.permutations);
    assert_eq!(a.images.size(), [2, 4, 3, 128, 128]);
    assert!(!a.images.equal(&batch(1, Crop::Rctraj, 6).images) && !a.images.equal(&batch(2, Crop::Rctraj, 5).images));
    for mut permutation in a.permutations {
        permutation.sort_unstable();
        assert_eq!(permutation, [0, 1]);
    }
    // Sometimes o_k is o_0: with one crop for all frames the two images are equal, with one for each they differ.
    let equal = |crop| {
        (0..40).any(|step| {
            let images = batch(1, crop, step).images;
            (0..2).any(|i| images.get(i).get(0).equal(&images.get(i).get(2)))
        })
    };
    assert!(equal(Crop::Rctraj) && !equal(Crop::Rc));
}

#[test]
fn unusable_clips_and_settings_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |settings: &Settings, clips: &Walks| {
        format!("{:#}", run(settings, clips, &folder.path().join("out"), false, 100).unwrap_err())
    };
    let words = refusal(&settings(), &Walks { lengths: vec![1, 2], ..walks() });
    assert!(words.contains("none of 2 clips has 3 frames"), "{words}");
    let words = refusal(&settings(), &Walks { size: 144, ..walks() });
    assert!(words.contains("image_size: found 144") && words.contains("128"), "{words}");
    let words = refusal(&Settings { validation: 1, ..settings() }, &walks());
    assert!(words.contains("validation: found 1"), "{words}");
    let words = refusal(&Settings { discount: f64::NAN, ..settings() }, &walks());
    assert!(words.contains("discount: found NaN"), "{words}");
    let words = refusal(&Settings { crop_scale: (0.0, 1.0), ..settings() }, &walks());
    assert!(words.contains("crop_scale"), "{words}");
    let words = refusal(&settings(), &Walks { lengths: vec![5], broken: Some(0), ..walks() });
    assert!(words.contains("a: frame") && words.contains("expected 49152"), "{words}");
}

#[test]
fn short_clips_are_reported_with_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let lines = std::cell::RefCell::new(Vec::new());
    let tell = |line: &str| lines.borrow_mut().push(line.to_string());
    let run = Run {
        out: folder.path(),
        resume: false,
        device: choose_device(),
        command: "test".into(),
        stop: &|| true,
        tell: &tell,
        score: &|_| Ok(None),
    };
    assert!(!train(&settings(), &walks(), &run).unwrap());
    let lines = lines.into_inner();
    assert!(lines[0].contains("2 of 8 clips have fewer than 3 frames") && lines[0].ends_with("is e"), "{lines:?}");
}

#[test]
fn every_settings_file_is_valid() {
    for scale in ["smoke", "small", "paper"] {
        let file = Path::new(crate::CHECKOUT).join(format!("launch/{scale}/vip.toml"));
        let settings: Settings = visuomotor_core::config::load(&file).unwrap();
        settings.check().unwrap();
    }
}
