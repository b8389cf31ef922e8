//! ICVF's loss, a function of embeddings.
//!
//! ```text
//! q_i = r_g + gamma m_g Vbar_i(s', g, z)                              i = 1, 2: each head from its own target
//! A   = r_z + gamma m_z min(Vbar_1, Vbar_2)(s', z, z) - mean(Vbar_1, Vbar_2)(s, z, z)
//! w   = alpha where A >= 0, 1 - alpha elsewhere
//! L   = sum_i mean( w (q_i - V_i(s, g, z))^2 )
//! ```
//!
//! r = -1, m = 1 before the goal, r = m = 0 at it: with d steps to go V = -(1 - gamma^d) / (1 - gamma). V-PTR's text has the
//! weight alpha - 1[A <= 0], negative where A is not positive, the reward 1[s = g] and V(s, z, z) of the learning network;
//! its code, followed here, has the formulas above. Gradients flow through V_i(s, g, z) only.

use tch::{Kind, TchError, Tensor};

use crate::network::{IntentionValue, IntentionValues};

/// Embeddings f by the learning network, each (B, D).
pub struct Embeddings {
    /// f(s): the state.
    pub s: Tensor,
    /// f(g): the outcome.
    pub g: Tensor,
    /// f(z): the intent; (1, D) where it is the same for all.
    pub z: Tensor,
}

/// Embeddings of the target network, each (B, D).
pub struct TargetEmbeddings {
    /// f(s'): the next state.
    pub s_next: Tensor,
    /// As in [`Embeddings`].
    pub at: Embeddings,
}

/// Which goals are reached: 1 where they are, 0 elsewhere, each (B), f32.
#[derive(Debug)]
pub struct Reached {
    /// s is the outcome g.
    pub g: Tensor,
    /// s is the intent z.
    pub z: Tensor,
}

/// The numbers of the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossShape {
    /// gamma, 0 to 1.
    pub discount: f64,
    /// alpha, 0.5 to 1.
    pub expectile: f64,
    /// The advantage uses the smaller of the two next values; otherwise their mean.
    pub min_q: bool,
    /// Weight steps by the intent; otherwise A = 0, and the loss is that of plain temporal differences.
    pub intent: bool,
}

/// The loss and the terms for the curves.
pub struct Loss {
    /// L, a scalar with gradients.
    pub total: Tensor,
    /// Means over the batch: V_1(s, g, z), A, share of A >= 0, (q_1 - V_1)^2 at the outcome and before it.
    pub terms: [(&'static str, Tensor); 5],
}

/// The loss of a batch of B. `values` and `online` learn, `target_values` and `target` get no gradients; `train` turns on
/// dropout in the learning heads.
pub fn loss(
    values: &IntentionValues,
    online: &Embeddings,
    target_values: &IntentionValues,
    target: &TargetEmbeddings,
    reached: &Reached,
    shape: &LossShape,
    train: bool,
) -> Result<Loss, TchError> {
    let ([q1, q2], advantage, weight) = tch::no_grad(|| judge(target_values, target, reached, shape))?;
    let value = |v: &IntentionValue| v.of(&online.s, &online.g, &online.z, train);
    let (v1, v2) = (value(&values.heads[0])?, value(&values.heads[1])?);
    let (off1, off2) = ((q1 - &v1).square(), (q2 - &v2).square());
    let total = (&off1 * &weight).mean(Kind::Float) + (&off2 * &weight).mean(Kind::Float);
    let terms = tch::no_grad(|| {
        let ahead = reached.g.rsub_scalar(1.0);
        // If no element is in the share, it is 0.
        let share = |off: &Tensor, of: &Tensor| (off * of).sum(Kind::Float) / of.sum(Kind::Float).clamp_min(1.0);
        [
            ("value", v1.mean(Kind::Float)),
            ("advantage", advantage.mean(Kind::Float)),
            ("advantage_share", advantage.ge(0.0).to_kind(Kind::Float).mean(Kind::Float)),
            ("error_at_goal", share(&off1, &reached.g)),
            ("error_before_goal", share(&off1, &ahead)),
        ]
    });
    Ok(Loss { total, terms })
}

/// The values by one target head, each (B).
struct Judgment {
    /// q = r_g + gamma m_g V(s', g, z).
    q: Tensor,
    /// V(s', z, z) and V(s, z, z); `None` where intents are not used.
    along_intent: Option<[Tensor; 2]>,
}

/// [q_1, q_2], A and w, each (B), from the target network.
fn judge(
    values: &IntentionValues,
    target: &TargetEmbeddings,
    reached: &Reached,
    shape: &LossShape,
) -> Result<([Tensor; 2], Tensor, Tensor), TchError> {
    let TargetEmbeddings { s_next, at: Embeddings { s, g, z } } = target;
    // r = reached - 1 and m = 1 - reached = -r.
    let backed_up = |reached: &Tensor, next: &Tensor| {
        let reward = reached - 1.0;
        &reward - &reward * next * shape.discount
    };
    let judge = |v: &IntentionValue| -> Result<Judgment, TchError> {
        let (phi_next, psi_z) = (v.phi(s_next, false)?, v.psi(z, false)?);
        let t = v.t(&psi_z, false)?;
        let q = backed_up(&reached.g, &v.value(&phi_next, &v.psi(g, false)?, &t)?);
        let along_intent = if shape.intent {
            Some([v.value(&phi_next, &psi_z, &t)?, v.value(&v.phi(s, false)?, &psi_z, &t)?])
        } else {
            None
        };
        Ok(Judgment { q, along_intent })
    };
    let (one, two) = (judge(&values.heads[0])?, judge(&values.heads[1])?);
    let mean = |a: &Tensor, b: &Tensor| (a + b) * 0.5;
    let advantage = match (one.along_intent, two.along_intent) {
        (Some([next1, now1]), Some([next2, now2])) => {
            let next = if shape.min_q { next1.minimum(&next2) } else { mean(&next1, &next2) };
            backed_up(&reached.z, &next) - mean(&now1, &now2)
        }
        _ => one.q.zeros_like(),
    };
    let good = advantage.ge(0.0).to_kind(Kind::Float);
    let weight = good * (2.0 * shape.expectile - 1.0) + (1.0 - shape.expectile);
    Ok(([one.q, two.q], advantage, weight))
}
