//! Moving averages of trained variables: a policy with steadier weights than those of the last step.

use tch::{TchError, Tensor};

use super::Decay;
use super::checkpoint::find;

/// Prefix of averages in a checkpoint.
pub(super) const PREFIX: &str = "average.";

/// Exponential moving averages of variables, whose memory it shares.
pub(super) struct MovingAverage {
    /// Share of the old average kept per step.
    keep: Decay,
    all: Vec<Averaged>,
}

struct Averaged {
    name: String,
    variable: Tensor,
    average: Tensor,
}

impl MovingAverage {
    /// Averages that start at the variables' present values.
    pub fn new(keep: Decay, variables: Vec<(String, Tensor)>) -> Self {
        let averaged = |(name, variable): (String, Tensor)| Averaged { name, average: variable.copy(), variable };
        Self { keep, all: variables.into_iter().map(averaged).collect() }
    }

    /// Adds a step; the window grows from a short one at the start to its full length.
    pub fn follow(&mut self, step: u64) {
        let keep = self.keep.get().min((1.0 + step as f64) / (10.0 + step as f64));
        tch::no_grad(|| {
            for Averaged { variable, average, .. } in &mut self.all {
                *average *= keep;
                *average += &*variable * (1.0 - keep);
            }
        });
    }

    /// Runs `work` with the averages in place of the variables; they are back afterwards, also where `work` panics.
    pub fn instead<T>(&self, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        struct Back<'a>(&'a MovingAverage);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    // The panic is what is reported.
                    let _ = self.0.swap();
                }
            }
        }
        self.swap()?;
        let back = Back(self);
        let result = work();
        drop(back);
        self.swap()?;
        result
    }

    fn swap(&self) -> Result<(), TchError> {
        tch::no_grad(|| {
            for Averaged { variable, average, .. } in &self.all {
                let kept = variable.copy();
                variable.shallow_clone().f_copy_(average)?;
                average.shallow_clone().f_copy_(&kept)?;
            }
            Ok(())
        })
    }

    /// The averages, named as in a checkpoint.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let named = |a: &Averaged| (format!("{PREFIX}{}", a.name), a.average.shallow_clone());
        self.all.iter().map(named).collect()
    }

    /// Restores a saved state.
    pub fn restore(&mut self, state: &[(String, Tensor)]) -> anyhow::Result<()> {
        for Averaged { name, average, .. } in &mut self.all {
            average.f_copy_(find(state, &format!("{PREFIX}{name}"))?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::range::within;

    fn number(tensor: &Tensor) -> f64 {
        f64::try_from(tensor).unwrap()
    }

    #[test]
    fn averages_follow_replace_the_variables_and_are_restored() {
        let mut variable = Tensor::from(0.0f64);
        let mut average = MovingAverage::new(within(0.5), vec![("x".into(), variable.shallow_clone())]);
        for (step, expected) in [(0, 0.9), (1, 0.9 * 2.0 / 11.0 + 9.0 / 11.0), (100, 0.0)] {
            let before = number(&average.state()[0].1);
            let _ = variable.fill_(1.0);
            average.follow(step);
            let expected = if step == 100 { 0.5 * before + 0.5 } else { expected };
            assert!((number(&average.state()[0].1) - expected).abs() < 1e-12, "step {step}");
        }
        let mean = number(&average.state()[0].1);
        let seen = average.instead(|| Ok(number(&variable))).unwrap();
        assert_eq!((seen, number(&variable), number(&average.state()[0].1)), (mean, 1.0, mean));
        assert!(average.instead(|| -> anyhow::Result<()> { anyhow::bail!("no") }).is_err());
        assert_eq!(number(&variable), 1.0);

        let state: Vec<_> = average.state().into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();
        let _ = variable.fill_(3.0);
        average.follow(7);
        assert_ne!(number(&average.state()[0].1), mean);
        average.restore(&state).unwrap();
        assert_eq!(number(&average.state()[0].1), mean);
        assert!(average.restore(&[]).unwrap_err().to_string().contains("`average.x`"));
    }
}
