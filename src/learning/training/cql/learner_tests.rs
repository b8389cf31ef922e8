//! The learner on made-up images.

use std::path::Path;
use std::sync::Arc;

use tch::{Kind, Tensor};

use super::{Cql, Draws, Passes, Settings};
use crate::network::{choose_device, filled, uniforms};
use crate::policy::{Checkpoint, HeadKind, StateScale, StateValue, VisualPolicy};
use crate::training::Places;
use crate::training::checkpoint::write_state;
use crate::training::golden::places;
use crate::training::range::within;
use crate::training::transitions::TransitionBatch;
use crate::training::{Learner, Terms};
use visuomotor_core::observation::Image;
use visuomotor_core::time::{SystemClock, Timestamp};

const BATCH: i64 = 3;

fn settings() -> Settings {
    Settings {
        latent: 16,
        hidden: vec![16, 16],
        tasks: vec!["a".into(), "b".into()],
        batch_size: BATCH as usize,
        cql_n_actions: 4,
        bf16: false,
        encoder: crate::encoder::EncoderKind::Small,
        encoder_weights: None,
        ..super::settings::smoke()
    }
}

fn checkpoint(settings: &Settings) -> Checkpoint {
    super::described(settings, "widowx", 5.0, StateScale { mean: [0.0; 7], std: [1.0; 7] })
}

/// A learner with equal weights every time: a seed's weights come from libtorch's generator, which tests share.
fn cql(settings: &Settings) -> Cql {
    let mut learner = Cql::new(settings, &checkpoint(settings), vec![batch(9)], choose_device()).unwrap();
    let state: Vec<(String, Tensor)> = learner
        .state()
        .unwrap()
        .into_iter()
        .map(|(name, tensor)| {
            // Encoders start equal, and so do a target and the network it follows.
            let first =
                ["actor_encoder", "target_encoder"].iter().fold(name.clone(), |n, p| n.replace(p, "critic_encoder"));
            let first = if name.starts_with("target.") { name.replacen("target", "critic", 1) } else { first };
            let kept = name.contains("adam") || name.starts_with("temperature");
            if kept {
                return (name, tensor.copy());
            }
            let values = filled(&first, &tensor.size(), 5);
            (name, Tensor::from_slice(&values).reshape(tensor.size()))
        })
        .collect();
    learner.restore(&state).unwrap();
    learner
}

fn input(name: &str, seed: u64, shape: &[i64]) -> Tensor {
    Tensor::from_slice(&uniforms(shape.iter().product::<i64>() as usize, seed * 8 + name.len() as u64)).reshape(shape)
}

fn batch(seed: u64) -> TransitionBatch {
    let task = Tensor::from_slice(&[1.0f32, 0.0, 0.0, 1.0, 1.0, 0.0]).reshape([BATCH, 2]);
    let condition = |name| Tensor::cat(&[&input(name, seed, &[BATCH, 7]), &task], 1);
    TransitionBatch {
        images: input("s", seed, &[BATCH, 3, 128, 128]).abs(),
        next_images: input("s'", seed, &[BATCH, 3, 128, 128]).abs(),
        conditions: condition("now"),
        next_conditions: condition("then"),
        actions: input("action", seed, &[BATCH, 7]) * 0.9,
        shown: input("shown", seed, &[BATCH, 7]) * 0.9,
        places: places(BATCH),
        imitated: Tensor::from_slice(&[1.0f32, 1.0, 0.0]),
        rewards: Tensor::from_slice(&[-1.0f32, 10.0, -1.0]),
        masks: Tensor::from_slice(&[1.0f32, 0.0, 1.0]),
        returns: Tensor::from_slice(&[-2.0f32, 10.0, -3.0]),
    }
}

fn step(learner: &mut Cql, number: u64) -> Terms {
    learner.update(&batch(number), number).unwrap()
}

/// Largest difference between two learners' variables whose names begin with `prefix`.
fn difference(a: &Cql, b: &Cql, prefix: &str) -> f64 {
    let (a, b) = (a.state().unwrap(), b.state().unwrap());
    assert_eq!(a.len(), b.len());
    let of = |(x, y): (&(String, Tensor), &(String, Tensor))| {
        assert_eq!(x.0, y.0);
        f64::try_from((&x.1 - &y.1).abs().max().to_kind(Kind::Double)).unwrap()
    };
    a.iter().zip(&b).filter(|(x, _)| x.0.starts_with(prefix)).map(of).fold(0.0, f64::max)
}

#[test]
fn every_network_encodes_an_image_once_for_any_number_of_actions() {
    let mut trained = cql(&settings());
    step(&mut trained, 0);
    assert_eq!(trained.passes(), Passes { with_gradient: 2, without_gradient: 2, images: 4 * BATCH });
    let mut again = cql(&Settings { encode_again: true, ..settings() });
    step(&mut again, 0);
    assert_eq!(again.passes(), Passes { with_gradient: 2, without_gradient: 3, images: 5 * BATCH });
    let mut frozen = cql(&Settings { freeze_encoders: true, ..settings() });
    step(&mut frozen, 0);
    assert_eq!(frozen.passes(), Passes { with_gradient: 0, without_gradient: 2, images: 2 * BATCH });
}

#[test]
fn encoders_start_alike_and_drift_apart_or_stay_when_frozen() {
    let gap = |learner: &Cql| {
        let state = learner.state().unwrap();
        let find = |name: &str| state.iter().find(|(n, _)| n == name).unwrap().1.copy();
        f64::try_from((find("critic_encoder.conv1.weight") - find("actor_encoder.conv1.weight")).abs().max()).unwrap()
    };
    let mut trained = cql(&settings());
    assert_eq!(gap(&trained), 0.0);
    step(&mut trained, 0);
    assert!(gap(&trained) > 0.0);
    let frozen_settings = Settings { freeze_encoders: true, ..settings() };
    let (mut frozen, before) = (cql(&frozen_settings), cql(&frozen_settings));
    step(&mut frozen, 0);
    assert_eq!(difference(&frozen, &before, "critic_encoder."), 0.0);
    assert!(difference(&frozen, &before, "critic.") > 0.0 && difference(&frozen, &before, "actor.") > 0.0);
}

#[test]
fn the_target_follows_slowly_encoder_and_heads() {
    // A large rate, so that rounding does not matter.
    let settings = Settings { tau: within(0.5), ..settings() };
    let (mut learner, before) = (cql(&settings), cql(&settings));
    step(&mut learner, 0);
    for (target, online) in [("target.", "critic."), ("target_encoder.", "critic_encoder.")] {
        let (slow, fast) = (difference(&learner, &before, target), difference(&learner, &before, online));
        assert!(fast > 0.0 && (slow - 0.5 * fast).abs() < 1e-2 * fast, "{target} moved {slow}, {online} {fast}");
    }
}

#[test]
fn with_frozen_encoders_encoding_again_changes_nothing() {
    let frozen = Settings { freeze_encoders: true, ..settings() };
    let (mut a, mut b) = (cql(&frozen), cql(&Settings { encode_again: true, ..frozen }));
    assert_eq!(step(&mut a, 0), step(&mut b, 0));
    assert_eq!(a.passes(), b.passes());
}

#[test]
fn a_restored_learner_goes_on_to_the_last_bit() {
    for freeze_encoders in [false, true] {
        let settings = Settings { freeze_encoders, ..settings() };
        let mut whole = cql(&settings);
        let mut resumed = cql(&settings);
        step(&mut whole, 0);
        step(&mut resumed, 5);
        assert!(difference(&whole, &resumed, "critic.") > 0.0);
        resumed.restore(&whole.state().unwrap()).unwrap();
        for number in 1..3 {
            assert_eq!(step(&mut whole, number), step(&mut resumed, number));
        }
        assert_eq!(difference(&whole, &resumed, ""), 0.0);
    }
}

#[test]
fn the_saved_actor_is_the_average_and_the_trained_one_goes_on() {
    let averaging = Settings { ema_decay: within(0.9), ..settings() };
    let (mut plain, mut averaged) = (cql(&settings()), cql(&averaging));
    // Averages start at the seed's weights; `cql` sets variables, not averages, to other values.
    let state = plain.state().unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_state(&folder.path().join("checkpoint.safetensors"), "cql", &state).unwrap();
    averaged.go_on_from(folder.path()).unwrap();
    for number in 0..3 {
        assert_eq!(step(&mut plain, number), step(&mut averaged, number));
    }
    let head = |learner: &Cql| {
        learner.save(folder.path()).unwrap();
        std::fs::read(folder.path().join("head.safetensors")).unwrap()
    };
    assert_ne!(head(&plain), head(&averaged));
    let error = |learner: &Cql| {
        let terms = learner.validate().unwrap();
        terms.iter().find(|(name, _)| *name == "action_error").unwrap().1
    };
    assert_ne!(error(&plain), error(&averaged));
    // Saving and validating leave the trained variables unchanged, and an average resumes.
    let mut resumed = cql(&averaging);
    resumed.restore(&averaged.state().unwrap()).unwrap();
    assert_eq!(step(&mut plain, 3), step(&mut averaged, 3));
    step(&mut resumed, 3);
    assert_eq!(difference(&averaged, &resumed, ""), 0.0);
    // A phase 3 without an average drops it.
    write_state(&folder.path().join("checkpoint.safetensors"), "cql", &averaged.state().unwrap()).unwrap();
    plain.go_on_from(folder.path()).unwrap();
}

#[test]
fn the_loss_falls_on_a_batch_seen_often() {
    let mut learner = cql(&Settings { critic_lr: within(3e-3), cql_alpha: 0.1, ..settings() });
    let batch = batch(1);
    let mut losses = Vec::new();
    for number in 0..40 {
        let terms = learner.update(&batch, number).unwrap();
        losses.push(terms.iter().find(|(name, _)| *name == "bellman").unwrap().1);
    }
    let (first, last) = (losses[0], losses[35..].iter().sum::<f64>() / 5.0);
    assert!(last < 0.5 * first, "{first} {last}");
    let terms = learner.validate().unwrap();
    assert!(terms.iter().any(|(name, _)| *name == "action_error") && terms.iter().all(|(_, v)| v.is_finite()));
    assert_eq!(terms, learner.validate().unwrap());
}

#[test]
fn an_actor_that_imitates_and_locates_learns_both_and_its_folder_records_it() {
    let settings =
        Settings { bc_weight: within(20.0), places_weight: within(4.0), actor_lr: within(3e-3), ..settings() };
    let mut learner = cql(&settings);
    let (mut batch, ones) = (batch(1), |shape: &[i64]| Tensor::ones(shape, (Kind::Float, choose_device())));
    batch.places = Places { places: ones(&[BATCH, 5]), units: ones(&[5]), ahead: ones(&[BATCH, 5]) };
    let mut terms = Vec::new();
    for number in 0..40 {
        let all = learner.update(&batch, number).unwrap();
        terms.push(["cloning", "places"].map(|term| all.iter().find(|(name, _)| *name == term).unwrap().1));
    }
    let (first, last) = (terms[0], terms[39]);
    assert!(last[0] < 0.7 * first[0] && last[1] < 0.7 * first[1], "{first:?} {last:?}");
    // Failures are not imitated.
    batch.imitated = batch.imitated.zeros_like();
    let all = learner.update(&batch, 40).unwrap();
    assert!(all.contains(&("cloning", 0.0)), "{all:?}");

    let folder = tempfile::tempdir().unwrap();
    learner.save(folder.path()).unwrap();
    let policy = VisualPolicy::load(folder.path(), "a", choose_device(), Arc::new(SystemClock::new())).unwrap();
    assert!(policy.checkpoint().locates);
    StateValue::load(folder.path(), choose_device()).unwrap();
    let error =
        super::continued(&Settings { places_weight: within(0.0), ..settings }, folder.path()).unwrap_err().to_string();
    assert!(error.contains("`places_weight`") && error.contains("true") && error.contains("false"), "{error}");
}

#[test]
fn an_imitated_spread_narrows_the_policy() {
    let mut batch = batch(1);
    // Easy to imitate: always the same action.
    batch.shown = batch.shown.zeros_like();
    batch.imitated = batch.imitated.ones_like();
    let entropy_after = |spread: f64| {
        let mut learner =
            cql(&Settings { bc_weight: within(20.0), bc_std_weight: spread, actor_lr: within(1e-2), ..settings() });
        // The last layer alone narrows the distribution, from a width at which the entropy of tanh hardly changes.
        let steps = (0..120).map(|number| learner.update(&batch, number).unwrap());
        steps.last().unwrap().iter().find(|(name, _)| *name == "entropy").unwrap().1
    };
    let (wide, narrow) = (entropy_after(0.0), entropy_after(1.0));
    assert!(narrow < wide - 1.0, "{narrow} {wide}");
}

#[test]
fn the_backup_may_use_fewer_actions_than_the_conservative_term() {
    let usual = settings();
    let one = Settings { backup_n_actions: Some(1), ..settings() };
    let draws = |settings: &Settings| Draws::new(3, BATCH, settings.sample_counts(), tch::Device::Cpu).unwrap();
    let (a, b) = (draws(&usual), draws(&one));
    assert_eq!((a.next.size()[1], b.next.size()[1]), (usual.cql_n_actions, 1));
    assert!(a.policy.equal(&b.policy) && a.uniform.equal(&b.uniform) && a.actor.equal(&b.actor));
    // The best of several exceeds any single one, here also on average.
    let target = |settings: &Settings| {
        let terms = step(&mut cql(settings), 0);
        terms.iter().find(|(name, _)| *name == "target_q").unwrap().1
    };
    assert!(target(&usual) > target(&one));
}

#[test]
fn a_number_that_is_not_finite_stops_before_it_corrupts_the_weights() {
    let (mut learner, before) = (cql(&settings()), cql(&settings()));
    let mut bad = batch(0);
    bad.rewards = Tensor::from_slice(&[f32::NAN, 0.0, 0.0]);
    let error = learner.update(&bad, 0).unwrap_err().to_string();
    assert!(error.contains("`critic_loss` became NaN"), "{error}");
    assert_eq!(difference(&learner, &before, ""), 0.0);
}

#[test]
fn phase_3_resumes_weights_and_moments_or_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = cql(&settings());
    step(&mut before, 0);
    let file = folder.path().join("checkpoint.safetensors");
    write_state(&file, "cql", &before.state().unwrap()).unwrap();
    let mut after = cql(&settings());
    assert!(difference(&before, &after, "") > 0.0);
    after.go_on_from(folder.path()).unwrap();
    assert_eq!(difference(&before, &after, ""), 0.0);
    let mut frozen = cql(&Settings { freeze_encoders: true, ..settings() });
    let error = format!("{:#}", frozen.go_on_from(folder.path()).unwrap_err());
    assert!(error.contains("freeze_encoders") && error.contains("found true"), "{error}");
    let mut wider = cql(&Settings { latent: 17, ..settings() });
    assert!(wider.go_on_from(folder.path()).is_err());
    before.save(folder.path()).unwrap();
    super::continued(&settings(), folder.path()).unwrap();
    let error = super::continued(&Settings { latent: 17, ..settings() }, folder.path()).unwrap_err().to_string();
    assert!(error.contains("`latent`") && error.contains("16") && error.contains("17"), "{error}");
}

#[test]
fn phase_3_may_reinitialize_the_actor_and_keep_the_critic() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = cql(&settings());
    step(&mut before, 0);
    write_state(&folder.path().join("checkpoint.safetensors"), "cql", &before.state().unwrap()).unwrap();
    let anew = Settings { reinit_actor: true, ..settings() };
    let (mut after, first) = (cql(&anew), cql(&anew));
    after.go_on_from(folder.path()).unwrap();
    for kept in ["critic", "target"] {
        assert_eq!(difference(&before, &after, kept), 0.0, "{kept}");
        assert!(difference(&first, &after, kept) > 0.0, "{kept}");
    }
    for begun in ["actor", "temperature"] {
        assert_eq!(difference(&first, &after, begun), 0.0, "{begun}");
        assert!(difference(&before, &after, begun) > 0.0, "{begun}");
    }
    // The learner owns what it took over.
    step(&mut after, 1);
    assert!(difference(&first, &after, "actor_encoder.") > 0.0 && difference(&before, &after, "critic_adam.") > 0.0);
}

fn test_image() -> Image {
    Image {
        camera: "front".into(),
        width: 128,
        height: 128,
        pixels: (0..128 * 128 * 3).map(|i| (i % 251) as u8).collect::<Vec<u8>>().into(),
        captured_at: Timestamp::from_nanos(0),
        sequence: 0,
    }
}

#[test]
fn what_is_saved_runs_as_a_policy_and_returns_state_values() {
    let folder = tempfile::tempdir().unwrap();
    let mut learner = cql(&settings());
    step(&mut learner, 0);
    learner.save(folder.path()).unwrap();
    let policy = VisualPolicy::load(folder.path(), "b", choose_device(), Arc::new(SystemClock::new())).unwrap();
    assert_eq!(policy.checkpoint().head, HeadKind::Actor);

    let critic = StateValue::load(folder.path(), choose_device()).unwrap();
    let of = |task: &str| critic.value(task, &test_image(), &[0.1; 7], 8, 1);
    let value = of("a").unwrap();
    assert!(value.is_finite());
    assert_eq!(
        value,
        StateValue::load(folder.path(), choose_device()).unwrap().value("a", &test_image(), &[0.1; 7], 8, 1).unwrap()
    );
    assert_ne!(value, of("b").unwrap());
    let error = of("c").unwrap_err().to_string();
    assert!(error.contains("a, b"), "{error}");

    let toml = std::fs::read_to_string(Checkpoint::path(folder.path())).unwrap();
    assert!(toml.contains("head = \"actor\"") && toml.contains("latent = 16"), "{toml}");
    spoil(&folder.path().join(Checkpoint::CRITIC));
    let error = StateValue::load(folder.path(), choose_device()).err().unwrap().to_string();
    assert!(error.contains("critic.safetensors") && error.contains("digest"), "{error}");
}

fn spoil(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(file, bytes).unwrap();
}
