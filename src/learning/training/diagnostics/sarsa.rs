//! A linear value function on frozen features, in closed form: measures how much of a task's value a representation already
//! contains (V-PTR, figure 6 right).

use anyhow::{Context, ensure};
use nalgebra::{DMatrix, DVector};

/// Rows added up at once: matrix products are fast, copies of all features are large.
const TOGETHER: usize = 1024;

/// One episode through an encoder: T steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Trajectory {
    /// Features of the T + 1 observations, all of one length.
    pub features: Vec<Vec<f32>>,
    /// Reward of each step, T.
    pub rewards: Vec<f64>,
    /// Does the episode go on after the step (m = 1)? False where the task ended (m = 0); true for a last step that was only
    /// cut off. T.
    pub continues: Vec<bool>,
}

impl Trajectory {
    /// G_t = r_t + gamma m_t G_{t+1} of each step; `None` where the episode was cut off before it ended.
    pub fn returns(&self, discount: f64) -> Vec<Option<f64>> {
        let mut after = None;
        let mut returns: Vec<Option<f64>> = Vec::with_capacity(self.rewards.len());
        for (reward, continues) in self.rewards.iter().zip(&self.continues).rev() {
            after = if *continues { after.map(|g: f64| reward + discount * g) } else { Some(*reward) };
            returns.push(after);
        }
        returns.reverse();
        returns
    }
}

/// Targets of the fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The fixed point of V(o_t) = r_t + gamma m_t V(o_{t+1}) among linear functions.
    Sarsa,
    /// The returns, by least squares; steps of unknown return are left out.
    MonteCarlo,
}

/// Errors of a value function, root mean squares over steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Errors {
    /// Of r + gamma m V(o') - V(o).
    pub temporal_difference: f64,
    /// Of G - V(o), over steps of known return; `None` without any.
    pub returns: Option<f64>,
    /// Of G around its mean: the error of the best constant.
    pub constant: Option<f64>,
}

/// V(o) = w . (features - mean) / deviation + w_0.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearValue {
    mean: Vec<f64>,
    deviation: Vec<f64>,
    /// w, then w_0.
    weights: Vec<f64>,
    discount: f64,
}

impl LinearValue {
    /// Solves (Phi^T (Phi - gamma M Phi') / N + ridge I) w = Phi^T r / N, or the same with M = 0 and r = G.
    ///
    /// Phi: the features of N steps, each scaled by the N steps' mean and standard deviation so that `ridge` means the same
    /// for every encoder, and a constant without regularization. Fails without steps, for lengths that do not match, and
    /// where the system has no solution.
    pub fn fit(trajectories: &[Trajectory], fit: Fit, discount: f64, ridge: f64) -> anyhow::Result<Self> {
        ensure!((0.0..=1.0).contains(&discount), "discount: found {discount}, expected 0 to 1");
        ensure!(ridge >= 0.0 && ridge.is_finite(), "ridge: found {ridge}, expected 0 or more");
        let dimension = check(trajectories)?;
        let (mean, deviation) = scale(trajectories, dimension);
        let mut value = Self { mean, deviation, weights: Vec::new(), discount };
        // Pairs (features, features behind gamma m, target).
        let mut steps = Vec::new();
        for trajectory in trajectories {
            let returns = trajectory.returns(discount);
            for (t, reward) in trajectory.rewards.iter().enumerate() {
                let now = &trajectory.features[t];
                match fit {
                    Fit::Sarsa => {
                        let next = trajectory.continues[t].then(|| &trajectory.features[t + 1]);
                        steps.push((now, next, *reward));
                    }
                    Fit::MonteCarlo => steps.extend(returns[t].map(|g| (now, None, g))),
                }
            }
        }
        ensure!(!steps.is_empty(), "no step of known return was found: every episode was cut off before it ended");
        let (size, count) = (dimension + 1, steps.len() as f64);
        let mut matrix = DMatrix::zeros(size, size);
        let mut right = DVector::zeros(size);
        for part in steps.chunks(TOGETHER) {
            let now = DMatrix::from_iterator(size, part.len(), part.iter().flat_map(|(now, _, _)| value.scaled(now)));
            let mut difference = now.clone();
            for (mut column, (_, next, _)) in difference.column_iter_mut().zip(part) {
                if let Some(next) = next {
                    column.iter_mut().zip(value.scaled(next)).for_each(|(d, next)| *d -= discount * next);
                }
            }
            matrix.gemm(1.0 / count, &now, &difference.transpose(), 1.0);
            right.gemv(1.0 / count, &now, &DVector::from_iterator(part.len(), part.iter().map(|step| step.2)), 1.0);
        }
        for i in 0..dimension {
            matrix[(i, i)] += ridge;
        }
        let weights = matrix.lu().solve(&right).filter(|w| w.iter().all(|w| w.is_finite()));
        let weights =
            weights.with_context(|| format!("ridge: found {ridge}, with which there is no solution; raise it"))?;
        value.weights = weights.iter().copied().collect();
        Ok(value)
    }

    /// V of an observation's features, of the same length as those it was fitted on.
    pub fn value(&self, features: &[f32]) -> f64 {
        self.scaled(features).zip(&self.weights).map(|(x, w)| x * w).sum()
    }

    /// Its errors on other episodes.
    pub fn errors(&self, trajectories: &[Trajectory]) -> anyhow::Result<Errors> {
        let dimension = check(trajectories)?;
        let expected = self.mean.len();
        ensure!(
            dimension == expected,
            "features of {dimension} numbers were given, {expected} are expected: another encoder"
        );
        let (mut differences, mut errors, mut known) = (Vec::new(), Vec::new(), Vec::new());
        for trajectory in trajectories {
            let values: Vec<f64> = trajectory.features.iter().map(|features| self.value(features)).collect();
            for (t, g) in trajectory.returns(self.discount).into_iter().enumerate() {
                let next = if trajectory.continues[t] { self.discount * values[t + 1] } else { 0.0 };
                differences.push(trajectory.rewards[t] + next - values[t]);
                errors.extend(g.map(|g| g - values[t]));
                known.extend(g);
            }
        }
        let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
        known.iter_mut().for_each(|g| *g -= mean);
        let root_mean_square = |values: &[f64]| {
            (!values.is_empty()).then(|| (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt())
        };
        Ok(Errors {
            temporal_difference: root_mean_square(&differences).context("no step was found to measure on")?,
            returns: root_mean_square(&errors),
            constant: root_mean_square(&known),
        })
    }

    /// Scaled features, then the constant.
    fn scaled<'a>(&'a self, features: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
        let scales = self.mean.iter().zip(&self.deviation);
        features.iter().zip(scales).map(|(x, (mean, deviation))| (f64::from(*x) - mean) / deviation).chain([1.0])
    }
}

/// The features' length, after checking that all lengths match.
fn check(trajectories: &[Trajectory]) -> anyhow::Result<usize> {
    let dimension = trajectories.iter().flat_map(|t| &t.features).map(Vec::len).next();
    let dimension = dimension.context("no episode was given; at least one with a step is needed")?;
    for (i, Trajectory { features, rewards, continues }) in trajectories.iter().enumerate() {
        let steps = rewards.len();
        ensure!(
            features.len() == steps + 1 && continues.len() == steps,
            "episode {i}: {} observations and {} flags were found for {steps} rewards; {} and {steps} are expected",
            features.len(),
            continues.len(),
            steps + 1
        );
        ensure!(
            features.iter().all(|f| f.len() == dimension && f.iter().all(|x| x.is_finite())),
            "episode {i}: features that are not {dimension} finite numbers were found"
        );
    }
    Ok(dimension)
}

/// Mean and standard deviation of each feature over the steps; 1 for a constant one.
fn scale(trajectories: &[Trajectory], dimension: usize) -> (Vec<f64>, Vec<f64>) {
    let rows = || trajectories.iter().flat_map(|t| &t.features[..t.rewards.len()]);
    let count = rows().count().max(1) as f64;
    let mut mean = vec![0.0; dimension];
    for row in rows() {
        mean.iter_mut().zip(row).for_each(|(m, x)| *m += f64::from(*x) / count);
    }
    let mut deviation = vec![0.0; dimension];
    for row in rows() {
        for ((d, x), m) in deviation.iter_mut().zip(row).zip(&mean) {
            *d += (f64::from(*x) - m).powi(2) / count;
        }
    }
    for d in &mut deviation {
        *d = if *d > 1e-12 { d.sqrt() } else { 1.0 };
    }
    (mean, deviation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// From `first` to the end of a chain of `length` places, each its own direction; -1 per step.
    fn walk(length: usize, first: usize, ends: bool) -> Trajectory {
        let place = |at: usize| (0..length).map(|i| f32::from(u8::from(i == at))).collect();
        let steps = length - 1 - first;
        let mut continues = vec![true; steps];
        if ends && let Some(last) = continues.last_mut() {
            *last = false;
        }
        Trajectory { features: (first..length).map(place).collect(), rewards: vec![-1.0; steps], continues }
    }

    proptest! {
        #[test]
        fn on_a_chain_both_fits_find_the_known_value(length in 3usize..12, discount in 0.5f64..0.999, first in 0usize..2) {
            let walks = [walk(length, 0, true), walk(length, first, true)];
            for fit in [Fit::Sarsa, Fit::MonteCarlo] {
                let value = LinearValue::fit(&walks, fit, discount, 1e-9).unwrap();
                for (at, features) in walks[0].features[..length - 1].iter().enumerate() {
                    let left = (length - 1 - at) as i32;
                    let expected = -(1.0 - discount.powi(left)) / (1.0 - discount);
                    let found = value.value(features);
                    prop_assert!((found - expected).abs() < 1e-4, "{fit:?}: {found} instead of {expected}");
                }
                let errors = value.errors(&walks).unwrap();
                prop_assert!(errors.temporal_difference < 1e-4 && errors.returns.unwrap() < 1e-4);
            }
        }
    }

    #[test]
    fn a_constant_feature_leaves_the_constant() {
        let mut walk = walk(5, 0, true);
        walk.features.iter_mut().for_each(|f| *f = vec![3.0, 3.0]);
        let value = LinearValue::fit(std::slice::from_ref(&walk), Fit::MonteCarlo, 1.0, 1e-6).unwrap();
        // Returns -4 -3 -2 -1.
        assert!((value.value(&[3.0, 3.0]) + 2.5).abs() < 1e-9);
        let errors = value.errors(&[walk]).unwrap();
        assert!((errors.returns.unwrap() - 1.25f64.sqrt()).abs() < 1e-9 && errors.returns == errors.constant);
    }

    #[test]
    fn an_episode_that_was_cut_off_has_no_returns_but_bootstraps() {
        let cut = walk(4, 0, false);
        assert_eq!(cut.returns(0.9), [None, None, None]);
        let error = LinearValue::fit(std::slice::from_ref(&cut), Fit::MonteCarlo, 0.9, 1e-6).unwrap_err().to_string();
        assert!(error.contains("cut off"), "{error}");
        // Where another episode shows what follows, the value of the cut one is right, too.
        let mut head = cut.clone();
        head.features.truncate(2);
        head.rewards.truncate(1);
        head.continues.truncate(1);
        let value = LinearValue::fit(&[head.clone(), walk(4, 1, true)], Fit::Sarsa, 0.9, 1e-9).unwrap();
        assert!((value.value(&head.features[0]) + 2.71).abs() < 1e-4);
    }

    #[test]
    fn a_strong_ridge_shrinks_towards_a_constant_and_is_measured_on_other_episodes() {
        let walks = [walk(8, 0, true)];
        let error = |ridge| {
            let value = LinearValue::fit(&walks, Fit::MonteCarlo, 0.9, ridge).unwrap();
            value.errors(&[walk(8, 2, true)]).unwrap().returns.unwrap()
        };
        assert!(error(1e-6) < 0.01 && error(100.0) > 0.5);
    }

    #[test]
    fn lengths_that_do_not_fit_are_named() {
        let mut walk = walk(4, 0, true);
        walk.rewards.pop();
        let error = LinearValue::fit(&[walk.clone()], Fit::Sarsa, 0.9, 0.1).unwrap_err().to_string();
        assert!(error.contains("episode 0") && error.contains('4'), "{error}");
        walk.features.pop();
        walk.continues.pop();
        walk.features[1].pop();
        let error = LinearValue::fit(&[walk], Fit::Sarsa, 0.9, 0.1).unwrap_err().to_string();
        assert!(error.contains("4 finite numbers"), "{error}");
        assert!(LinearValue::fit(&[], Fit::Sarsa, 0.9, 0.1).is_err());
    }
}
