//! Losses, gradients and ten steps against PyTorch (`tests/golden/make_cql.py`).

use std::collections::HashMap;

use serde::Deserialize;
use tch::{Kind, Tensor, nn};

use super::{ActorCritic, Draws, Embedded, Settings, losses};
use crate::network::{choose_device, fill, filled};
use crate::policy::Reappended;
use crate::training::golden::{agree, close, places, row};
use crate::training::range::within;
use crate::training::transitions::TransitionBatch;

const BATCH: i64 = 4;
const SAMPLES: i64 = 4;
const EMBEDDING: i64 = 5;

#[derive(Deserialize)]
struct Golden {
    target_q: Vec<f64>,
    bellman: f64,
    conservative: f64,
    conservative_bounded: f64,
    critic_loss: f64,
    actor_loss: f64,
    entropy: f64,
    temperature_loss: f64,
    critic_gradients: HashMap<String, Vec<f64>>,
    actor_gradients: HashMap<String, Vec<f64>>,
    temperature_gradient: f64,
    #[serde(flatten)]
    plain: TenSteps,
    cloned: TenSteps,
}

#[derive(Deserialize)]
struct TenSteps {
    steps: Vec<[f64; 3]>,
    critic: HashMap<String, Vec<f64>>,
    target: HashMap<String, Vec<f64>>,
    actor: HashMap<String, Vec<f64>>,
    log_temperature: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../../tests/golden/cql.json")).unwrap()
}

fn networks(bound_with_returns: bool, (cloning, spread): (f64, f64)) -> ActorCritic {
    let settings = Settings {
        latent: 6,
        hidden: vec![8, 8],
        reappend: vec![Reappended::Actions, Reappended::Latent],
        tasks: vec!["a".into(), "b".into()],
        cql_n_actions: SAMPLES,
        actor_lr: within(1e-4),
        critic_lr: within(3e-4),
        temperature_lr: within(3e-4),
        discount: 0.96,
        tau: within(0.005),
        cql_alpha: 5.0,
        target_entropy: -7.0,
        init_temperature: within(1.0),
        bound_with_returns,
        bc_weight: within(cloning),
        bc_std_weight: spread,
        max_grad_norm: None,
        ..super::settings::smoke()
    };
    let networks = ActorCritic::new(&settings, EMBEDDING, None, choose_device()).unwrap();
    for (store, seed) in
        [(&networks.critic_variables, 1), (&networks.target_variables, 2), (&networks.actor_variables, 3)]
    {
        fill(store, seed).unwrap();
    }
    networks
}

/// What the reference calls `name` at a step.
fn input(name: &str, step: usize, shape: &[i64], factor: f32) -> Tensor {
    let values: Vec<f32> = filled(&format!("{name}{step}"), shape, 9).iter().map(|v| factor * v).collect();
    Tensor::from_slice(&values).reshape(shape).to_device(choose_device())
}

fn inputs(step: usize) -> (Embedded, TransitionBatch, Draws) {
    let of = |name, shape: &[i64], factor| input(name, step, shape, factor);
    let seen = Embedded {
        critic: of("critic", &[BATCH, EMBEDDING], 1.0),
        target_next: of("target_next", &[BATCH, EMBEDDING], 1.0),
        actor: of("actor", &[BATCH, EMBEDDING], 1.0),
        actor_next: of("actor_next", &[BATCH, EMBEDDING], 1.0),
    };
    let task = row(&[1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0]).reshape([BATCH, 2]);
    let condition = |name| Tensor::cat(&[&of(name, &[BATCH, 7], 1.0), &task], 1);
    let images = Tensor::zeros([1], (Kind::Float, choose_device()));
    let batch = TransitionBatch {
        images: images.shallow_clone(),
        next_images: images,
        conditions: condition("state"),
        next_conditions: condition("next_state"),
        actions: of("action", &[BATCH, 7], 0.9),
        shown: of("shown", &[BATCH, 7], 0.9),
        places: places(BATCH),
        imitated: row(&[1.0, 0.0, 1.0, 1.0]),
        rewards: row(&[-1.0, 10.0, -1.0, -1.0]),
        masks: row(&[1.0, 0.0, 1.0, 1.0]),
        returns: row(&[-0.5, 10.0, 1.5, 0.25]),
    };
    let draws = Draws {
        next: of("next_normals", &[BATCH, SAMPLES, 7], 3.0),
        policy: of("policy_normals", &[BATCH, SAMPLES, 7], 3.0),
        uniform: of("uniform", &[BATCH, SAMPLES, 7], 2.0),
        actor: of("actor_normals", &[BATCH, 1, 7], 3.0),
    };
    (seen, batch, draws)
}

fn number(t: &Tensor) -> f64 {
    f64::try_from(t).unwrap()
}

fn gradients_agree(store: &nn::VarStore, embedding: &Tensor, expected: &HashMap<String, Vec<f64>>) {
    let variables = store.variables();
    assert_eq!(variables.len() + 1, expected.len());
    for (name, variable) in &variables {
        close(name, &variable.grad(), &expected[name], 1e-4);
    }
    close("embedding", &embedding.grad(), &expected["embedding"], 1e-4);
}

fn parameters_agree(store: &nn::VarStore, expected: &HashMap<String, Vec<f64>>) {
    let variables = store.variables();
    assert_eq!(variables.len(), expected.len());
    for (name, variable) in &variables {
        close(name, variable, &expected[name], 1e-5);
    }
}

#[test]
fn the_critics_loss_and_gradients_are_pytorchs() {
    let (golden, networks) = (golden(), networks(false, (0.0, 0.0)));
    let (mut seen, batch, draws) = inputs(0);
    seen.critic = seen.critic.set_requires_grad(true);
    let y = networks.backup(&seen, &batch, &draws).unwrap();
    close("target_q", &y, &golden.target_q, 1e-5);
    let policy = networks.actor.forward(&seen.actor, &batch.conditions).unwrap().detached().unwrap();
    let (actions, log_density) = policy.sample(&draws.policy).unwrap();
    let sampled = [&actions, &draws.uniform];
    let loss = networks.critic_loss(&seen.critic, &batch, sampled, &log_density, &y).unwrap();
    agree("bellman", number(&loss.bellman), golden.bellman);
    agree("conservative", number(&loss.conservative), golden.conservative);
    agree("critic_loss", number(&loss.loss), golden.critic_loss);
    loss.loss.backward();
    gradients_agree(&networks.critic_variables, &seen.critic, &golden.critic_gradients);
    let none = networks.actor_variables.variables().values().all(|variable| !variable.grad().defined());
    assert!(none, "the critic's loss reached the actor");
}

#[test]
fn the_bound_by_returns_is_pytorchs() {
    let (golden, networks) = (golden(), networks(true, (0.0, 0.0)));
    let (seen, batch, draws) = inputs(0);
    let y = networks.backup(&seen, &batch, &draws).unwrap();
    let policy = networks.actor.forward(&seen.actor, &batch.conditions).unwrap();
    let (actions, log_density) = policy.sample(&draws.policy).unwrap();
    let sampled = [&actions, &draws.uniform];
    let loss = networks.critic_loss(&seen.critic, &batch, sampled, &log_density, &y).unwrap();
    agree("conservative_bounded", number(&loss.conservative), golden.conservative_bounded);
}

#[test]
fn the_actors_and_the_temperatures_losses_and_gradients_are_pytorchs() {
    let (golden, networks) = (golden(), networks(false, (0.0, 0.0)));
    let (mut seen, batch, draws) = inputs(0);
    seen.actor = seen.actor.set_requires_grad(true);
    let policy = networks.actor.forward(&seen.actor, &batch.conditions).unwrap();
    let (action, log_density) = policy.sample(&draws.actor).unwrap();
    let latent = networks.critic.latent(&seen.critic).unwrap();
    let task = super::task_of(&batch.conditions).unwrap();
    let q = networks.critic.q(&latent, &action, &task).unwrap().squeeze_dim(-1);
    let log_density = log_density.squeeze_dim(-1);
    let temperature = networks.log_temperature.detach().exp();
    let loss = losses::actor(&temperature, &log_density, &q);
    agree("actor_loss", number(&loss), golden.actor_loss);
    loss.backward();
    gradients_agree(&networks.actor_variables, &seen.actor, &golden.actor_gradients);
    let entropy = -log_density.detach().mean(Kind::Float);
    agree("entropy", number(&entropy), golden.entropy);
    let loss = losses::temperature(&networks.log_temperature, &entropy, -7.0);
    agree("temperature_loss", number(&loss), golden.temperature_loss);
    loss.backward();
    agree("temperature_gradient", number(&networks.log_temperature.grad()), golden.temperature_gradient);
}

fn ten_steps_end_at(golden: &TenSteps, mut networks: ActorCritic) {
    for (step, expected) in golden.steps.iter().enumerate() {
        let (seen, batch, draws) = inputs(step);
        let terms = networks.step(&seen, &batch, &draws, 1.0, || Ok(None)).unwrap();
        for (name, expected) in ["critic_loss", "actor_loss", "temperature_loss"].into_iter().zip(expected) {
            let found = terms.iter().find(|(term, _)| *term == name).unwrap().1;
            assert!(
                (found - expected).abs() <= 1e-5 * expected.abs().max(1.0),
                "step {step}: {name} {found} {expected}"
            );
        }
    }
    parameters_agree(&networks.critic_variables, &golden.critic);
    parameters_agree(&networks.target_variables, &golden.target);
    parameters_agree(&networks.actor_variables, &golden.actor);
    agree("log_temperature", number(&networks.log_temperature), golden.log_temperature);
}

#[test]
fn ten_steps_of_everything_end_where_pytorchs_do() {
    ten_steps_end_at(&golden().plain, networks(false, (0.0, 0.0)));
}

#[test]
fn ten_steps_with_imitation_end_where_pytorchs_do() {
    let golden = golden();
    assert!(golden.cloned.actor["mean.weight"] != golden.plain.actor["mean.weight"]);
    ten_steps_end_at(&golden.cloned, networks(false, (20.0, 0.5)));
}
