//! The training loop, with a learner of three numbers.

use std::cell::{Cell, RefCell};

use serde_json::json;
use tch::{Device, Kind, nn};

use super::*;
use crate::network::filled;
use crate::training::Adam;
use crate::training::checkpoint::{named, restore_named};

/// Pulls three numbers to those of the batch, with noise.
struct Toy {
    store: nn::VarStore,
    numbers: Tensor,
    adam: Adam,
    /// Does the noise come from libtorch's generator? Tests run in parallel and share it; only a test that runs alone may use
    /// it.
    random: bool,
    /// Steps at which the noise is NaN, the step fails, or the numbers become NaN unnoticed.
    nan_at: Option<u64>,
    dies_at: Option<u64>,
    breaks_at: Option<u64>,
    /// Step whose equation does not fit, without gradients.
    misfits_at: Option<u64>,
    saves: Cell<u64>,
}

impl Toy {
    fn new(length: i64) -> Self {
        let store = nn::VarStore::new(Device::Cpu);
        let numbers = store.root().var("numbers", &[length], nn::Init::Const(0.5));
        let adam = Adam::new(&[("toy", &store)], 0.0);
        Self {
            store,
            numbers,
            adam,
            random: false,
            nan_at: None,
            dies_at: None,
            breaks_at: None,
            misfits_at: None,
            saves: Cell::new(0),
        }
    }
}

impl Learner for Toy {
    type Batch = Tensor;

    fn update(&mut self, batch: &Tensor, step: u64) -> anyhow::Result<Terms> {
        ensure!(self.dies_at != Some(step), "the power went off");
        let noise = if self.random {
            Tensor::f_randn(self.numbers.size(), (Kind::Float, Device::Cpu))?
        } else {
            Tensor::f_from_slice(&filled("noise", &self.numbers.size(), step))?
        };
        if self.misfits_at == Some(step) {
            let _ = tch::no_grad(|| &self.numbers + Tensor::zeros([7], (Kind::Float, Device::Cpu)));
        }
        self.adam.zero_grad();
        let loss = (&self.numbers - batch + &noise).square().sum(Kind::Float);
        loss.backward();
        self.adam.step(0.05, 100.0)?;
        if self.breaks_at == Some(step) {
            let _ = tch::no_grad(|| self.numbers.get(0).fill_(f64::NAN));
        }
        let noise = f64::try_from(&noise.sum(Kind::Float))?;
        let noise = if self.nan_at == Some(step) { f64::NAN } else { noise };
        Ok(vec![("loss", f64::try_from(&loss)?), ("noise", noise)])
    }

    fn state(&self) -> anyhow::Result<Vec<(String, Tensor)>> {
        let mut state = self.adam.state();
        state.extend(named("toy", &self.store));
        Ok(state)
    }

    fn restore(&mut self, state: &[(String, Tensor)]) -> anyhow::Result<()> {
        self.adam.restore(state)?;
        restore_named("toy", &self.store, state)
    }

    fn save(&self, folder: &Path) -> anyhow::Result<()> {
        self.saves.set(self.saves.get() + 1);
        write_files(&[(folder.join("saved"), self.saves.get().to_string().into_bytes())])
    }

    fn validate(&self) -> anyhow::Result<Terms> {
        Ok(vec![("distance", f64::try_from(&self.numbers.abs().sum(Kind::Float))?)])
    }
}

struct Numbers {
    missing: Option<u64>,
}

impl Batches for Numbers {
    type Batch = Tensor;
    fn batch(&self, step: u64) -> anyhow::Result<Tensor> {
        ensure!(self.missing != Some(step), "numbers of step {step} are missing");
        Ok(Tensor::from_slice(&[step as f32, -1.0, 2.0]))
    }
}

const DATA: Numbers = Numbers { missing: None };
const SCHEDULE: Schedule = Schedule { seed: 9, steps: 20, checkpoint_every: 5, validate_every: 4 };

/// Trains in `out`, for at most `most` steps; also returns the progress lines.
fn run_with_lines(
    toy: &mut Toy,
    data: &Numbers,
    out: &Path,
    resume: bool,
    most: u64,
    record: Value,
) -> (anyhow::Result<bool>, Vec<String>) {
    let (left, lines) = (Cell::new(most), RefCell::new(Vec::new()));
    let stop = || {
        let now = left.get();
        left.set(now.saturating_sub(1));
        now == 0
    };
    let tell = |line: &str| lines.borrow_mut().push(line.to_string());
    let score = |_: &Path| Ok(Some(0.25));
    let run =
        Run { out, resume, device: tch::Device::Cpu, command: "test".into(), stop: &stop, tell: &tell, score: &score };
    let answer = learn(toy, data, &SCHEDULE, record, &run);
    (answer, lines.into_inner())
}

fn record() -> Value {
    json!({ "algorithm": "toy", "settings": { "rate": 0.05 }, "data": { "digest": "d" } })
}

fn run(toy: &mut Toy, out: &Path, resume: bool, most: u64) -> anyhow::Result<bool> {
    run_with_lines(toy, &DATA, out, resume, most, record()).0
}

fn message(answer: anyhow::Result<bool>) -> String {
    format!("{:#}", answer.unwrap_err())
}

fn state_bytes(out: &Path) -> Vec<u8> {
    std::fs::read(out.join("checkpoint.safetensors")).unwrap()
}

/// The curves that do not depend on the clock.
fn curves(out: &Path) -> Curves {
    let mut curves: Curves = serde_json::from_slice(&std::fs::read(out.join("curves.json")).unwrap()).unwrap();
    curves.series.retain(|name, _| name != "seconds" && name != "waiting_share");
    curves
}

/// An unbroken run to compare with: its state and curves.
fn unbroken() -> (Vec<u8>, Curves) {
    let folder = tempfile::tempdir().unwrap();
    assert!(run(&mut Toy::new(3), folder.path(), false, 100).unwrap());
    (state_bytes(folder.path()), curves(folder.path()))
}

#[test]
fn an_equation_that_does_not_fit_is_an_error_of_its_step_and_gradients_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut toy = Toy { misfits_at: Some(7), ..Toy::new(3) };
    let words = message(run(&mut toy, folder.path(), false, 100));
    assert!(words.contains("step 7: the step could not be taken") && words.contains("keeps step 5"), "{words}");
    assert!(words.contains("libtorch: ") && words.contains('7') && !words.contains("frame #"), "{words}");
    // On this thread, whose gradients the step had turned off.
    assert!((&toy.numbers * 2.0).requires_grad());
    toy.misfits_at = None;
    assert!(run(&mut toy, folder.path(), true, 100).unwrap());
    let panics = std::panic::catch_unwind(|| caught(|| -> anyhow::Result<()> { panic!("a fault of the program") }));
    assert!(panics.is_err(), "a panic of another kind was taken for libtorch's");
}

#[test]
fn a_run_stopped_after_any_step_ends_as_an_unbroken_one() {
    let (state, drawn) = unbroken();
    for stopped in [0, 3, 5, 12, 19] {
        let folder = tempfile::tempdir().unwrap();
        assert!(!run(&mut Toy::new(3), folder.path(), false, stopped).unwrap());
        // Before the first step there is nothing to save.
        assert_eq!(folder.path().join("checkpoint.safetensors").exists(), stopped > 0);
        assert!(run(&mut Toy::new(3), folder.path(), stopped > 0, 100).unwrap());
        assert!(state_bytes(folder.path()) == state, "stopped after {stopped}");
        let mut again = curves(folder.path());
        // The sums of an unfinished interval are saved; only their order of addition differs.
        assert_eq!(again.series.remove("train_loss"), drawn.series.get("train_loss").cloned());
        assert_eq!(again.series.keys().count() + 1, drawn.series.keys().count());
    }
}

#[test]
fn what_libtorch_draws_depends_on_the_step_alone() {
    const ALONE: &str = "VISUOMOTOR_TEST_RUNS_ALONE";
    if std::env::var_os(ALONE).is_none() {
        // The generator belongs to the process: run this test again in a process of its own.
        let name = std::thread::current().name().unwrap_or_default().to_string();
        let answer = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &name, "--test-threads=1"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        assert!(answer.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let random = || Toy { random: true, ..Toy::new(3) };
    let (whole, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(run(&mut random(), whole.path(), false, 100).unwrap());
    assert!(!run(&mut random(), broken.path(), false, 7).unwrap());
    let _ = Tensor::randn([5], (Kind::Float, Device::Cpu));
    assert!(run(&mut random(), broken.path(), true, 100).unwrap());
    assert!(state_bytes(whole.path()) == state_bytes(broken.path()));
    // The noise differs from step to step.
    assert_eq!(curves(whole.path()).series["train_noise"].windows(2).filter(|pair| pair[0].1 == pair[1].1).count(), 0);
}

#[test]
fn a_killed_run_goes_on_from_its_last_checkpoint_and_ends_as_an_unbroken_one() {
    let (state, drawn) = unbroken();
    for killed in [5, 7, 9, 18] {
        let folder = tempfile::tempdir().unwrap();
        let mut toy = Toy { dies_at: Some(killed), ..Toy::new(3) };
        let words = message(run(&mut toy, folder.path(), false, 100));
        assert!(words.contains(&format!("step {killed}")) && words.contains("the power went off"), "{words}");
        assert!(words.contains(&format!("keeps step {}", killed / 5 * 5)), "{words}");
        assert!(run(&mut Toy::new(3), folder.path(), true, 100).unwrap());
        assert!(state_bytes(folder.path()) == state, "killed at {killed}");
        // Reports after the checkpoint do not appear twice.
        assert_eq!(curves(folder.path()), drawn, "killed at {killed}");
    }
}

#[test]
fn a_term_that_is_not_finite_ends_the_training_at_its_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut toy = Toy { nan_at: Some(12), ..Toy::new(3) };
    let words = message(run(&mut toy, folder.path(), false, 100));
    assert!(words.contains("step 12: `noise` became NaN"), "{words}");
    assert!(words.contains("checkpoint.safetensors keeps step 10"), "{words}");
    assert_eq!(std::fs::read_to_string(folder.path().join("saved")).unwrap(), "2");
    let kept = read_state(&folder.path().join("checkpoint.safetensors"), "toy").unwrap();
    assert_eq!(i64::try_from(find(&kept, "session.step").unwrap()).unwrap(), 10);

    let early = tempfile::tempdir().unwrap();
    let words = message(run(&mut Toy { nan_at: Some(2), ..Toy::new(3) }, early.path(), false, 100));
    assert!(words.contains("step 2") && words.contains("no checkpoint was made before"), "{words}");
    assert!(!early.path().join("checkpoint.safetensors").exists());
}

#[test]
fn nonfinite_numbers_do_not_overwrite_good_ones() {
    let folder = tempfile::tempdir().unwrap();
    // The terms of step 9 are finite, the numbers after it are not; a checkpoint is due.
    let mut toy = Toy { breaks_at: Some(9), ..Toy::new(3) };
    let before = {
        let other = tempfile::tempdir().unwrap();
        assert!(!run(&mut Toy::new(3), other.path(), false, 5).unwrap());
        state_bytes(other.path())
    };
    let words = message(run(&mut toy, folder.path(), false, 100));
    assert!(words.contains("`toy.numbers`: found 1 values that are NaN") && words.contains("keeps step 5"), "{words}");
    assert!(state_bytes(folder.path()) == before);
    assert_eq!(std::fs::read_to_string(folder.path().join("saved")).unwrap(), "1");
}

#[test]
fn progress_before_a_missing_batch_is_saved() {
    let (state, _) = unbroken();
    let folder = tempfile::tempdir().unwrap();
    let missing = Numbers { missing: Some(13) };
    let words = message(run_with_lines(&mut Toy::new(3), &missing, folder.path(), false, 100, record()).0);
    assert!(words.contains("step 13: no batch") && words.contains("keeps step 13"), "{words}");
    assert!(words.contains("numbers of step 13 are missing"), "{words}");
    assert!(run(&mut Toy::new(3), folder.path(), true, 100).unwrap());
    assert!(state_bytes(folder.path()) == state);
}

#[test]
fn a_full_disk_is_reported_and_costs_only_the_steps_since_the_last_checkpoint() {
    let (state, _) = unbroken();
    let folder = tempfile::tempdir().unwrap();
    assert!(!run(&mut Toy::new(3), folder.path(), false, 5).unwrap());
    let before = state_bytes(folder.path());
    let partial = folder.path().join("checkpoint.safetensors.partial");
    std::os::unix::fs::symlink("/dev/full", &partial).unwrap();
    let words = message(run(&mut Toy::new(3), folder.path(), true, 100));
    assert!(words.contains("cannot be written") && words.contains("keeps step 5"), "{words}");
    assert!(state_bytes(folder.path()) == before && !partial.exists());
    assert!(run(&mut Toy::new(3), folder.path(), true, 100).unwrap());
    assert!(state_bytes(folder.path()) == state);
}

#[test]
fn curves_and_record_have_every_report() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run(&mut Toy::new(3), folder.path(), false, 100).unwrap());
    let text = std::fs::read(folder.path().join("curves.json")).unwrap();
    let curves: Curves = serde_json::from_slice(&text).unwrap();
    let steps = |name: &str| curves.series[name].iter().map(|point| point.0).collect::<Vec<_>>();
    assert_eq!(steps("validation_distance"), [4, 8, 12, 16, 20]);
    assert_eq!(steps("success"), [5, 10, 15, 20]);
    for name in ["train_loss", "train_noise", "waiting_share", "seconds"] {
        assert_eq!(steps(name), [4, 5, 8, 10, 12, 15, 16, 20], "{name}");
    }
    assert!(curves.series["waiting_share"].iter().all(|point| (0.0..=1.0).contains(&point.1)));
    assert!(std::fs::read_to_string(folder.path().join("curves.svg")).unwrap().contains("waiting_share"));
    let record: Value = serde_json::from_slice(&std::fs::read(folder.path().join("record.json")).unwrap()).unwrap();
    assert_eq!(record["command"], "test");
    assert_eq!(record["gradient_steps"], 20);
    assert_eq!((&record["settings"]["rate"], &record["data"]["digest"]), (&json!(0.05), &json!("d")));
}

#[test]
fn a_folder_with_a_run_is_not_trained_over_and_another_ones_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let words = message(run(&mut Toy::new(3), folder.path(), true, 100));
    assert!(words.contains("no checkpoint to resume from"), "{words}");
    assert!(!run(&mut Toy::new(3), folder.path(), false, 5).unwrap());
    let words = message(run(&mut Toy::new(3), folder.path(), false, 100));
    assert!(words.contains("checkpoint.safetensors") && words.contains("--resume"), "{words}");
    let other = json!({ "algorithm": "other" });
    let words = message(run_with_lines(&mut Toy::new(3), &DATA, folder.path(), true, 100, other).0);
    assert!(words.contains("found `toy`, expected `other`"), "{words}");
    let words = message(run(&mut Toy::new(4), folder.path(), true, 100));
    assert!(words.contains("key `adam.first.toy.numbers`: found Float of shape [3], expected"), "{words}");
    let words = message(run_with_lines(&mut Toy::new(3), &DATA, folder.path(), true, 100, json!({})).0);
    assert!(words.contains("algorithm"), "{words}");
}

#[test]
fn resuming_with_other_settings_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!run(&mut Toy::new(3), folder.path(), false, 5).unwrap());
    let mut changed = record();
    changed["settings"]["rate"] = json!(0.1);
    let (_, lines) = run_with_lines(&mut Toy::new(3), &DATA, folder.path(), true, 1, changed);
    assert!(lines.contains(&"settings: `rate` is 0.1, the checkpoint was made with 0.05".to_string()), "{lines:?}");
    assert!(lines.contains(&"resuming from step 5".to_string()), "{lines:?}");
    let (_, lines) = run_with_lines(&mut Toy::new(3), &DATA, folder.path(), true, 1, record());
    assert!(!lines.iter().any(|line| line.contains("digest")), "{lines:?}");
}

#[test]
fn step_seeds_differ_and_are_reproducible() {
    let seeds: std::collections::BTreeSet<u64> =
        (0..10).flat_map(|seed| (0..100).map(move |step| step_seed(seed, step))).collect();
    assert_eq!(seeds.len(), 1000);
    assert_eq!(step_seed(3, 7), step_seed(3, 7));
}
