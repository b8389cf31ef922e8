//! The losses of imitation: of the mean, and of the spread around it.

use tch::{Kind, Tensor};

/// Actions are clipped to +- this before atanh.
const INSIDE: f64 = 0.999;

/// mean_i w_i |tanh(mu_i) - a_i|^2: `mode` and `actions` (B, 7), `weights` (B) -> ().
pub fn squared_error(mode: &Tensor, actions: &Tensor, weights: &Tensor) -> Tensor {
    let squared = (mode - actions).square().sum_dim_intlist(-1, false, Kind::Float);
    (squared * weights).mean(Kind::Float)
}

/// -log N(atanh a | atanh tanh(mu), sigma) without its constant, the mean held fixed, mean over dimensions: `mode` =
/// tanh(mu), `log_std` = log sigma and `actions` (B, 7) -> (B). It never moves the mean: `log_std` comes without gradients
/// below its own layer ([`ActionHead`](crate::policy), [`Actor::log_std_alone`](crate::policy::Actor::log_std_alone)).
pub fn spread(mode: &Tensor, log_std: &Tensor, actions: &Tensor) -> Tensor {
    let pre = |t: &Tensor| t.clamp(-INSIDE, INSIDE).atanh();
    let error = pre(actions) - pre(&mode.detach());
    let scaled = (error / log_std.exp()).square() * 0.5;
    (scaled + log_std).mean_dim([-1i64].as_slice(), false, Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);

    #[test]
    fn a_step_without_weight_adds_no_loss() {
        let mode = Tensor::from_slice(&[0.5f32; 14]).reshape([2, 7]);
        let actions = Tensor::zeros([2, 7], OPTIONS);
        let of = |w: [f32; 2]| f64::try_from(squared_error(&mode, &actions, &Tensor::from_slice(&w))).unwrap();
        assert_eq!(of([1.0, 1.0]), 7.0 * 0.25);
        assert_eq!(of([0.0, 2.0]), 7.0 * 0.25);
        assert_eq!(of([0.0, 0.0]), 0.0);
    }

    #[test]
    fn the_best_spread_is_the_error_and_the_mean_stays() {
        let mode = Tensor::zeros([1, 7], OPTIONS).set_requires_grad(true);
        // atanh 0.0997 = 0.1.
        let actions = Tensor::full([1, 7], 0.1f64.tanh(), OPTIONS);
        let log_std = Tensor::full([1, 7], 0.1f64.ln(), OPTIONS).set_requires_grad(true);
        spread(&mode, &log_std, &actions).sum(Kind::Float).backward();
        assert!(f64::try_from(log_std.grad().abs().max()).unwrap() < 1e-5);
        assert!(!mode.grad().defined());
    }
}
