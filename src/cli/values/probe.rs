//! Linear value probe of an encoder's frozen features, fitted in closed form to some clips and tested on the others
//! (V-PTR, figure 6 right).

use serde_json::{Value, json};

use crate::training::diagnostics::{Errors, Fit, LinearValue, Trajectory};

/// Every n-th clip is held out.
const HELD_OUT: usize = 5;
/// V-PTR's discount.
const DISCOUNT: f64 = 0.96;
const RIDGE: f64 = 1e-3;

/// Root mean square errors on the held-out clips: of the temporal difference, of the return, and of the best constant.
/// Each step costs 1 until a clip ends. `None` with too few clips to hold one out.
pub fn probe(clips: &[Vec<Vec<f32>>]) -> anyhow::Result<Value> {
    let (mut fitted, mut held_out) = (Vec::new(), Vec::new());
    for (number, features) in clips.iter().enumerate().filter(|(_, features)| features.len() >= 2) {
        let steps = features.len() - 1;
        let continues = (1..=steps).map(|step| step < steps).collect();
        let trajectory = Trajectory { features: features.clone(), rewards: vec![-1.0; steps], continues };
        if number % HELD_OUT == HELD_OUT - 1 { &mut held_out } else { &mut fitted }.push(trajectory);
    }
    if held_out.is_empty() {
        return Ok(Value::Null);
    }
    let value = LinearValue::fit(&fitted, Fit::Sarsa, DISCOUNT, RIDGE)?;
    let Errors { temporal_difference, returns, constant } = value.errors(&held_out)?;
    Ok(json!({
        "temporal_difference": temporal_difference, "returns": returns, "constant": constant,
        "fitted_clips": fitted.len(), "held_out_clips": held_out.len(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_of_the_remaining_steps_predict_the_value_and_others_do_not() {
        // First the remaining steps of a 12-step clip, as the value itself; then a constant feature.
        let known = |t: i32| ((1.0 - DISCOUNT.powi(12 - t)) / (1.0 - DISCOUNT)) as f32;
        let clips = |feature: &dyn Fn(i32) -> f32| vec![(0..13).map(|t| vec![feature(t)]).collect::<Vec<_>>(); 10];
        let found = probe(&clips(&known)).unwrap();
        let number = |found: &Value, key: &str| found[key].as_f64().unwrap();
        assert_eq!((&found["fitted_clips"], &found["held_out_clips"]), (&json!(8), &json!(2)));
        assert!(number(&found, "returns") < 0.05 * number(&found, "constant"), "{found}");
        let found = probe(&clips(&|_| 1.0)).unwrap();
        assert!(number(&found, "returns") >= number(&found, "constant"), "{found}");
        assert_eq!(probe(&clips(&known)[..4]).unwrap(), Value::Null);
    }
}
