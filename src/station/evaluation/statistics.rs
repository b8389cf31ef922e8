//! Statistics of success counts: Wilson and Clopper-Pearson 95 % intervals, Fisher's and McNemar's exact tests, Holm's
//! correction, and their interpretation in plain words.

use serde::{Deserialize, Serialize};
use statrs::function::beta::beta_reg;
use statrs::function::factorial::ln_binomial;

/// The two-sided 95 % point of the normal distribution.
const Z95: f64 = 1.959_963_984_540_054;

/// A closed interval of rates, 0..1; serialized as `[low, high]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 2]", into = "[f64; 2]")]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl From<[f64; 2]> for Interval {
    fn from([low, high]: [f64; 2]) -> Self {
        Self { low, high }
    }
}

impl From<Interval> for [f64; 2] {
    fn from(interval: Interval) -> Self {
        [interval.low, interval.high]
    }
}

/// Wilson's score interval at 95 %: close to 95 % coverage on average. 0 of 0 is \[0, 1\].
pub fn wilson95(successes: u64, trials: u64) -> Interval {
    if trials == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let n = trials as f64;
    let p = successes.min(trials) as f64 / n;
    let z2 = Z95 * Z95;
    let center = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z95 / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // At the ends the formula is exactly 0 or 1; rounding must not say otherwise.
    let low = if successes == 0 { 0.0 } else { (center - half).max(0.0) };
    let high = if successes >= trials { 1.0 } else { (center + half).min(1.0) };
    Interval { low, high }
}

/// Clopper and Pearson's exact interval at 95 %: at least 95 % coverage, so wider. 0 of 0 is \[0, 1\].
pub fn clopper_pearson95(successes: u64, trials: u64) -> Interval {
    if trials == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let (k, n) = (successes.min(trials) as f64, trials as f64);
    let low = if successes == 0 { 0.0 } else { beta_quantile(0.025, k, n - k + 1.0) };
    let high = if successes >= trials { 1.0 } else { beta_quantile(0.975, k + 1.0, n - k) };
    Interval { low, high }
}

/// Fisher's exact test, two-sided: the probability, if both rates were equal, of a table at most as likely as this one.
///
/// `left` and `right` are (successes, trials). Returns 1 if there is nothing to compare.
pub fn fisher_exact(left: (u64, u64), right: (u64, u64)) -> f64 {
    let successes = left.0 + right.0;
    let total = left.1 + right.1;
    let ln_chance =
        |k: u64| ln_binomial(left.1, k) + ln_binomial(right.1, successes - k) - ln_binomial(total, successes);
    let observed = ln_chance(left.0);
    let lowest = successes.saturating_sub(right.1);
    let highest = successes.min(left.1);
    // The tolerance of R's fisher.test: equal probabilities must not differ by rounding.
    let sum: f64 = (lowest..=highest).map(ln_chance).filter(|&ln| ln <= observed + 1e-7).map(f64::exp).sum();
    sum.min(1.0)
}

/// McNemar's exact test, two-sided: the probability, if both were equally good, that trials of the same layout in which
/// only one of two succeeded split at least as unevenly as (`only_left`, `only_right`). Returns 1 without such trials.
pub fn mcnemar_exact(only_left: u64, only_right: u64) -> f64 {
    let split = only_left + only_right;
    let half = split as f64 * std::f64::consts::LN_2;
    let tail: f64 = (0..=only_left.min(only_right)).map(|k| (ln_binomial(split, k) - half).exp()).sum();
    (2.0 * tail).min(1.0)
}

/// Holm's step-down correction of several p-values, in their order.
pub fn holm(chances: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..chances.len()).collect();
    order.sort_by(|a, b| chances[*a].total_cmp(&chances[*b]));
    let mut corrected = vec![1.0; chances.len()];
    let mut least: f64 = 0.0;
    for (rank, &test) in order.iter().enumerate() {
        least = least.max((chances.len() - rank) as f64 * chances[test]).min(1.0);
        corrected[test] = least;
    }
    corrected
}

/// Interpretation of `successes` in `trials`, from the intervals and Fisher's test.
pub fn plain_words(successes: u64, trials: u64) -> String {
    if trials == 0 {
        return "No valid trial yet, so no conclusion.".into();
    }
    let interval = wilson95(successes, trials);
    let percent = |rate: f64| (rate * 100.0).round();
    let differs = |rival: &u64| fisher_exact((successes, trials), (*rival, trials)) <= 0.05;
    let above = (successes..=trials).find(differs);
    let below = (0..=successes).rev().find(differs);
    let rival = match (above, below) {
        (Some(high), Some(low)) => {
            format!("a rival needs at least {high}/{trials} or at most {low}/{trials} to differ at the 5 % level")
        }
        (Some(high), None) => format!(
            "a rival needs at least {high}/{trials} to differ at the 5 % level, and no rival can be shown to be worse"
        ),
        (None, Some(low)) => format!(
            "a rival needs at most {low}/{trials} to differ at the 5 % level, and no rival can be shown to be better"
        ),
        (None, None) => "no result of a rival with as many trials would differ at the 5 % level".into(),
    };
    let noun = if trials == 1 { "trial" } else { "trials" };
    format!(
        "{trials} {noun}: {successes}/{trials} is compatible with a true rate between {:.0} % and {:.0} %; {rival}.",
        percent(interval.low),
        percent(interval.high)
    )
}

/// A chance as people write it, with its sign: `= 0.03`, `= 1.00`, `< 0.0001`.
pub fn p_words(p: f64) -> String {
    if p < 1e-4 {
        "< 0.0001".into()
    } else if p < 0.01 {
        format!("= {p:.4}")
    } else {
        format!("= {p:.2}")
    }
}

/// The x with I_x(a, b) = p, by bisection down to the last bit.
fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if beta_reg(a, b, middle) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}
