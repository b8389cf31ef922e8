//! Reward-weighted regression against PyTorch (`tests/golden/make_cloning.py`), and the purpose of its weights.

use std::collections::HashMap;

use serde::Deserialize;

use super::*;
use crate::network::{choose_device, fill, filled};
use crate::training::golden::{agree, close, numbers, part, row};

#[derive(Deserialize)]
struct Golden {
    rewards: Vec<f64>,
    weights: Vec<f64>,
    loss: f64,
    gradients: HashMap<String, Vec<f64>>,
    losses: Vec<f64>,
    parameters: HashMap<String, Vec<f64>>,
}

fn golden() -> Golden {
    part(include_str!("../../../tests/golden/cloning.json"), "reward_weighted")
}

fn actor() -> (nn::VarStore, Actor) {
    let variables = nn::VarStore::new(choose_device());
    let actor = Actor::new(&variables.root(), 5, 6, 2, &[8, 8], false).unwrap();
    fill(&variables, 3).unwrap();
    (variables, actor)
}

/// Embeddings (4, 5), conditions (4, 9) and actions (4, 7) of a step.
fn inputs(step: usize) -> [Tensor; 3] {
    let of = |name: &str, width: i64, factor: f32| {
        let values: Vec<f32> = filled(&format!("{name}{step}"), &[4, width], 9).iter().map(|v| factor * v).collect();
        row(&values).reshape([4, width])
    };
    let task = row(&[1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0]).reshape([4, 2]);
    [of("actor", 5, 1.0), Tensor::cat(&[&of("state", 7, 1.0), &task], 1), of("action", 7, 0.9)]
}

#[test]
fn rewards_weights_loss_and_gradients_are_pytorchs() {
    let golden = golden();
    let episode: Vec<Vec<f32>> = filled("episode", &[6, 5], 5).chunks(5).map(<[f32]>::to_vec).collect();
    let rewards = potential_rewards(&episode, &filled("goal", &[5], 5), true);
    assert!(rewards.iter().zip(&golden.rewards).all(|(a, b)| (a - b).abs() < 1e-6), "{rewards:?}");
    let weights = weights(&rewards, 20.0, 5.0);
    close("weights", &row(&weights), &golden.weights, 1e-5);

    let (variables, actor) = actor();
    let [embedding, conditions, actions] = inputs(0);
    let embedding = embedding.set_requires_grad(true);
    let mode = actor.forward(&embedding, &conditions).unwrap().mode().unwrap();
    let loss = squared_error(&mode, &actions, &row(&weights[..4]));
    agree("loss", numbers(&loss)[0], golden.loss);
    loss.backward();
    close("embedding", &embedding.grad(), &golden.gradients["embedding"], 1e-4);
    for (name, variable) in variables.variables() {
        match golden.gradients.get(&name) {
            Some(expected) => close(&name, &variable.grad(), expected, 1e-4),
            // The spread is not trained.
            None => assert!(name.starts_with("log_std") && !variable.grad().defined(), "{name}"),
        }
    }
}

#[test]
fn ten_steps_end_where_pytorchs_do() {
    let (golden, (variables, actor)) = (golden(), actor());
    let weights: Vec<f32> = golden.weights[..4].iter().map(|w| *w as f32).collect();
    let mut adam = Adam::new(&[("actor", &variables)], 0.0);
    for (step, expected) in golden.losses.iter().enumerate() {
        let [embedding, conditions, actions] = inputs(step);
        let mode = actor.forward(&embedding, &conditions).unwrap().mode().unwrap();
        let loss = squared_error(&mode, &actions, &row(&weights));
        agree(&format!("step {step}"), numbers(&loss)[0], *expected);
        adam.zero_grad();
        loss.backward();
        adam.step(1e-3, f64::INFINITY).unwrap();
    }
    for (name, variable) in variables.variables() {
        close(&name, &variable, &golden.parameters[&name], 1e-5);
    }
}

#[test]
fn weights_grow_with_the_reward_are_cut_and_have_a_mean_of_one() {
    let out = weights(&[-0.1, 0.0, 0.1, 9.0], 10.0, 4.0);
    assert!((out.iter().sum::<f32>() / 4.0 - 1.0).abs() < 1e-6);
    assert!(out[0] < out[1] && out[1] < out[2] && out[2] < out[3]);
    assert!((f64::from(out[3] / out[1]) - 4.0).abs() < 1e-5, "{out:?}");
    assert_eq!(weights(&[-0.1, 0.3], 0.0, 4.0), [1.0, 1.0]);
}
