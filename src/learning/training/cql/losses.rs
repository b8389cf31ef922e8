//! The losses of conservative Q-learning as functions of tensors: nothing random and no parameters here. Tensors of other
//! shapes than named are a panic of tch's, which the training loop turns into its error.
//!
//! B states, n policy actions and n uniform ones of each, two heads. Tensors of Q values have shape (2, B) or (2, B, n);
//! rewards, masks and the like (B). Everything f32.

use tch::{Kind, Tensor};

/// Log density of the uniform distribution on \[-1, 1\]^7: -7 log 2.
pub const LOG_UNIFORM: f64 = -7.0 * std::f64::consts::LN_2;

/// y = r + gamma m max_j min_i Q'_i(s', a'_j): the max backup over n actions of the policy, shape (B).
///
/// `next_q` (2, B, n) are the target's: for each action the smaller head, then the best action. No entropy term, no clipping.
pub fn backup(rewards: &Tensor, masks: &Tensor, next_q: &Tensor, discount: f64) -> Tensor {
    let best = next_q.amin([0i64], false).amax([-1i64], false);
    rewards + masks * best * discount
}

/// Mean over heads and states of (Q_i(s, a) - y)^2: `q` (2, B), `y` (B) -> ().
pub fn bellman(q: &Tensor, y: &Tensor) -> Tensor {
    (q - y).square().mean(Kind::Float)
}

/// The CQL term with importance weights, mean over heads and states:
///
/// ```text
/// log [ sum_j exp(Q(s, a_j) - log pi(a_j | s)) + sum_j exp(Q(s, u_j) - log 0.5^7) ] - Q(s, a)
/// ```
///
/// `policy_q` and `uniform_q` (2, B, n), `log_density` (B, n) of the policy's actions, `q` (2, B) of the data's -> ().
/// No `- log 2n`, as in the released code: with a constant Q and a uniform policy the term is ln 8 + 7 ln 2 = ln 1024.
pub fn conservative(policy_q: &Tensor, log_density: &Tensor, uniform_q: &Tensor, q: &Tensor) -> Tensor {
    let weighed = [policy_q - log_density, uniform_q - LOG_UNIFORM];
    let soft_maximum = Tensor::cat(&weighed, -1).logsumexp([-1i64], false);
    (soft_maximum - q).mean(Kind::Float)
}

/// max(Q(s, a_j), G): Q of the policy's actions bounded from below by the return G (B) of the data's trajectory, as
/// V-PTR's release does inside the CQL term (`bound_q_with_mc`).
pub fn bounded(policy_q: &Tensor, returns: &Tensor) -> Tensor {
    policy_q.maximum(&returns.unsqueeze(-1))
}

/// mean( T log pi(a|s) - min_i Q_i(s, a) ), a one reparameterized action: `q` (2, B), `log_density` (B) -> ().
pub fn actor(temperature: &Tensor, log_density: &Tensor, q: &Tensor) -> Tensor {
    (log_density * temperature - q.amin([0i64], false)).mean(Kind::Float)
}

/// T (H - H'), T = exp(log T): falls while the policy's entropy H = -mean log pi is above the target H'.
pub fn temperature(log_temperature: &Tensor, entropy: &Tensor, target: f64) -> Tensor {
    (log_temperature.exp() * (entropy - target)).mean(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);

    fn number(t: Tensor) -> f64 {
        f64::try_from(t).unwrap()
    }

    #[test]
    fn a_constant_q_and_a_uniform_policy_give_the_logarithm_of_1024() {
        let q = |shape: &[i64]| Tensor::full(shape, -3.25, OPTIONS);
        let uniform = Tensor::full([5, 4], LOG_UNIFORM, OPTIONS);
        let term = conservative(&q(&[2, 5, 4]), &uniform, &q(&[2, 5, 4]), &q(&[2, 5]));
        assert!((number(term) - 1024f64.ln()).abs() < 1e-5);
        assert!((1024f64.ln() - 6.931).abs() < 1e-3);
    }

    #[test]
    fn the_backup_takes_the_smaller_head_then_the_best_action() {
        // Heads (3, 1) and (2, 5): the smaller ones are (2, 1), the best of them 2.
        let next = Tensor::from_slice(&[3.0f32, 1.0, 2.0, 5.0]).reshape([2, 1, 2]);
        let one = Tensor::from_slice(&[1.0f32]);
        let y = backup(&Tensor::from_slice(&[-1.0f32]), &one, &next, 0.5);
        assert_eq!(number(y), 0.0);
        let ended = backup(&Tensor::from_slice(&[10.0f32]), &Tensor::from_slice(&[0.0f32]), &next, 0.5);
        assert_eq!(number(ended), 10.0);
    }

    #[test]
    fn the_conservative_term_survives_large_values() {
        let q = |v: f64, shape: &[i64]| Tensor::full(shape, v, OPTIONS);
        let zero = Tensor::zeros([1, 1], OPTIONS);
        let term = conservative(&q(300.0, &[2, 1, 1]), &zero, &q(-300.0, &[2, 1, 1]), &q(0.0, &[2, 1]));
        assert!((number(term) - 300.0).abs() < 1e-3);
    }

    #[test]
    fn a_return_bounds_only_values_below_it() {
        let q = Tensor::from_slice(&[-4.0f32, 2.0, -4.0, 2.0]).reshape([2, 1, 2]);
        let out = bounded(&q, &Tensor::from_slice(&[-1.0f32]));
        assert_eq!(Vec::<f32>::try_from(out.reshape([-1])).unwrap(), [-1.0, 2.0, -1.0, 2.0]);
    }

    #[test]
    fn the_temperature_falls_while_there_is_too_much_entropy() {
        let log_temperature = Tensor::zeros([1], OPTIONS).set_requires_grad(true);
        temperature(&log_temperature, &Tensor::from(-5.0f32), -7.0).backward();
        assert_eq!(f64::try_from(log_temperature.grad()).unwrap(), 2.0);
    }
}
