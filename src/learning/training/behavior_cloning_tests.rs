//! The loss, its gradients and ten steps against PyTorch (`tests/golden/make_cloning.py`).

use std::collections::HashMap;

use serde::Deserialize;

use super::*;
use crate::network::{choose_device, fill, filled};
use crate::training::golden::{agree, close, numbers, part, row};
use crate::training::hindsight::Places;
use crate::training::range::within;

const BATCH: i64 = 4;
const EMBEDDING: i64 = 5;

#[derive(Deserialize)]
struct Golden {
    terms: [f64; 4],
    gradients: HashMap<String, Vec<f64>>,
    losses: Vec<f64>,
    parameters: HashMap<String, Vec<f64>>,
}

fn golden() -> Golden {
    part(include_str!("../../../tests/golden/cloning.json"), "cloning")
}

fn settings() -> Settings {
    let file = Path::new(crate::CHECKOUT).join("launch/smoke/behavior_cloning.toml");
    Settings {
        steps: 10,
        learning_rate: within(1e-3),
        final_lr_fraction: within(1e-5 / 1e-3),
        warmup_steps: 3,
        weight_decay: within(1e-2),
        max_grad_norm: Some(within(1.0)),
        action_weights: [1.0, 1.0, 1.0, 0.3, 0.3, 1.0, 0.5],
        places_weight: within(0.2),
        ..visuomotor_core::config::load(&file).unwrap()
    }
}

fn head() -> (nn::VarStore, ActionHead) {
    let variables = nn::VarStore::new(choose_device());
    let head = ActionHead::new(&variables.root(), EMBEDDING, 2, &[8, 8]);
    fill(&variables, 4).unwrap();
    (variables, head)
}

/// Embedding and batch of a step.
fn inputs(step: usize) -> (Tensor, Batch) {
    let of = |name: &str, width: i64, factor: f32| {
        let values: Vec<f32> =
            filled(&format!("{name}{step}"), &[BATCH, width], 9).iter().map(|v| factor * v).collect();
        row(&values).reshape([BATCH, width])
    };
    let task = row(&[1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0]).reshape([BATCH, 2]);
    let ahead: [[f32; 5]; 4] = [[1.0; 5], [0.0, 0.0, 0.0, 1.0, 1.0], [0.0; 5], [1.0, 1.0, 1.0, 0.0, 0.0]];
    let batch = Batch {
        images: row(&[0.0]),
        conditions: Tensor::cat(&[&of("state", 7, 1.0), &task], 1),
        actions: of("action", 7, 0.9),
        places: Places {
            places: of("places", 5, 1.0),
            units: row(&[3.0, 3.0, 2.0, 3.0, 3.0]),
            ahead: row(ahead.as_flattened()).reshape([BATCH, 5]),
        },
    };
    (of("embedding", EMBEDDING, 1.0), batch)
}

#[test]
fn the_loss_and_its_gradients_are_pytorchs() {
    let (golden, settings, (variables, head)) = (golden(), settings(), head());
    let (embedding, batch) = inputs(0);
    let embedding = embedding.set_requires_grad(true);
    let loss = Loss::of(&head.forward(&embedding, &batch.conditions).unwrap(), &batch, &settings).unwrap();
    let found = [&loss.total, &loss.mean, &loss.spread, &loss.places].map(|term| numbers(term)[0]);
    for (found, expected) in found.into_iter().zip(golden.terms) {
        agree("term", found, expected);
    }
    loss.total.backward();
    for (name, variable) in variables.variables() {
        close(&name, &variable.grad(), &golden.gradients[&name], 1e-4);
    }
    close("embedding", &embedding.grad(), &golden.gradients["embedding"], 1e-4);
}

#[test]
fn ten_steps_end_where_pytorchs_do() {
    let (golden, settings, (variables, head)) = (golden(), settings(), head());
    let mut adam = Adam::new(&[("head", &variables)], settings.weight_decay.get());
    for (step, expected) in golden.losses.iter().enumerate() {
        let (embedding, batch) = inputs(step);
        let loss = Loss::of(&head.forward(&embedding, &batch.conditions).unwrap(), &batch, &settings).unwrap();
        agree(&format!("step {step}"), numbers(&loss.total)[0], *expected);
        adam.zero_grad();
        loss.total.backward();
        adam.step(settings.learning_rate_at(step as u64), settings.gradient_limit()).unwrap();
    }
    for (name, variable) in variables.variables() {
        close(&name, &variable, &golden.parameters[&name], 1e-5);
    }
}
