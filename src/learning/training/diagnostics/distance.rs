//! Distances along a clip: bumps, and rewards from them.

/// Mean and standard deviation over clips.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Population standard deviation over the clips.
    pub deviation: f64,
    /// Number of clips.
    pub count: usize,
}

impl Spread {
    /// Of some numbers; `None` without any.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        if count == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count as f64;
        Some(Self { mean, deviation: variance.sqrt(), count })
    }
}

/// Euclidean distance of each embedding to `goal`, which is as long as each of them.
pub fn distances_to(embeddings: &[Vec<f32>], goal: &[f32]) -> Vec<f64> {
    let distance = |embedding: &Vec<f32>| {
        embedding.iter().zip(goal).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
    };
    embeddings.iter().map(distance).collect()
}

/// Share of a clip's steps on which the embedding moves away from the clip's last one (VIP's "bumps", table 5 of its
/// appendix); `None` for fewer than 2 images. Lower is smoother: 0 for a clip that always comes nearer.
pub fn bumps(embeddings: &[Vec<f32>]) -> Option<f64> {
    rising_share(&distances_to(embeddings, embeddings.last()?))
}

/// Share of steps on which a distance grows; `None` for fewer than 2 distances.
pub fn rising_share(distances: &[f64]) -> Option<f64> {
    share(distances, |now, next| next > now)
}

/// Share of steps on which a value falls; `None` for fewer than 2 values. The value of nearness to the end should never fall
/// along a clip.
pub fn falling_share(values: &[f64]) -> Option<f64> {
    share(values, |now, next| next < now)
}

fn share(values: &[f64], is: impl Fn(f64, f64) -> bool) -> Option<f64> {
    let steps = values.len().checked_sub(1).filter(|steps| *steps > 0)?;
    Some(values.windows(2).filter(|pair| is(pair[0], pair[1])).count() as f64 / steps as f64)
}

/// Rewards of a clip from the distances of its embeddings to a goal: r_t = d(o_t) - d(o_{t+1}), and 0 for the last, as in
/// V-PTR's code. The second distance is not discounted, so that the sum is the total gain.
///
/// With `relative`, distances are first divided by that of the first image; then the sum is at most 1.
pub fn potential_rewards(embeddings: &[Vec<f32>], goal: &[f32], relative: bool) -> Vec<f64> {
    let mut distances = distances_to(embeddings, goal);
    let first = distances.first().copied().unwrap_or(0.0);
    if relative && first > 0.0 {
        distances.iter_mut().for_each(|distance| *distance /= first);
    }
    distances.iter_mut().for_each(|distance| *distance = -*distance);
    value_rewards(&distances)
}

/// Rewards of a clip from its values, such as min(V1, V2)(s_t, g, g) of ICVF: r_t = V_{t+1} - V_t, and 0 for the last.
pub fn value_rewards(values: &[f64]) -> Vec<f64> {
    let mut rewards: Vec<f64> = values.windows(2).map(|pair| pair[1] - pair[0]).collect();
    rewards.resize(values.len(), 0.0);
    rewards
}

/// The goal of a task from several demonstrations: the mean of their last embeddings, all of one length; `None` without
/// demonstrations.
pub fn mean_goal(last: &[Vec<f32>]) -> Option<Vec<f32>> {
    let mut mean = vec![0.0f64; last.first()?.len()];
    for embedding in last {
        mean.iter_mut().zip(embedding).for_each(|(mean, x)| *mean += f64::from(*x) / last.len() as f64);
    }
    Some(mean.into_iter().map(|x| x as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(at: &[f32]) -> Vec<Vec<f32>> {
        at.iter().map(|x| vec![*x, 1.0]).collect()
    }

    #[test]
    fn bumps_are_counted_among_steps() {
        // Distances to the end: 3 2 4 1 0: one step of four leads away.
        assert_eq!(bumps(&line(&[3.0, 2.0, 4.0, 1.0, 0.0])), Some(0.25));
        assert_eq!(bumps(&line(&[0.0, 1.0, 2.0])), Some(0.0));
        // Standing still is no bump.
        assert_eq!(bumps(&line(&[5.0, 5.0, 5.0])), Some(0.0));
        // There and back.
        assert_eq!(bumps(&line(&[0.0, 1.0, 0.0])), Some(0.5));
        assert_eq!((bumps(&line(&[1.0])), bumps(&[])), (None, None));
    }

    #[test]
    fn values_that_rise_never_fall() {
        assert_eq!(falling_share(&[-3.0, -2.0, -2.0, 0.0]), Some(0.0));
        assert_eq!(falling_share(&[0.0, -1.0, 0.0]), Some(0.5));
        assert_eq!(falling_share(&[0.0]), None);
    }

    #[test]
    fn values_that_rise_are_rewarded_and_goals_are_averaged() {
        assert_eq!(value_rewards(&[-3.0, -1.0, -2.0]), [2.0, -1.0, 0.0]);
        assert!(value_rewards(&[]).is_empty());
        assert_eq!(mean_goal(&line(&[1.0, 4.0, 1.0])), Some(vec![2.0, 1.0]));
        assert_eq!(mean_goal(&[]), None);
    }

    #[test]
    fn rewards_are_steps_nearer_to_the_goal_and_telescope() {
        let embeddings = [[0.0, 0.0], [0.0, 3.0], [0.0, 4.0], [3.0, 4.0]].map(Vec::from);
        // Distances 5, sqrt 10, 3, 0.
        let plain = potential_rewards(&embeddings, &[3.0, 4.0], false);
        let expected = [5.0 - 10f64.sqrt(), 10f64.sqrt() - 3.0, 3.0, 0.0];
        assert!(plain.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{plain:?}");
        let relative = potential_rewards(&embeddings, &[3.0, 4.0], true);
        assert!((relative.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{relative:?}");
    }

    #[test]
    fn a_clip_that_begins_at_the_goal_has_finite_rewards() {
        let embeddings = [[3.0, 4.0], [3.0, 5.0]].map(Vec::from);
        assert_eq!(potential_rewards(&embeddings, &[3.0, 4.0], true), [-1.0, 0.0]);
    }

    #[test]
    fn a_spread_is_that_of_its_numbers() {
        assert_eq!(Spread::of(&[1.0, 3.0]), Some(Spread { mean: 2.0, deviation: 1.0, count: 2 }));
        assert_eq!(Spread::of(&[]), None);
    }

    proptest! {
        #[test]
        fn rewards_add_up_to_what_was_gained(at in prop::collection::vec(-10.0f32..10.0, 1..20), goal in -10.0f32..10.0) {
            let clip = line(&at);
            let goal = [goal, 1.0];
            let distances = distances_to(&clip, &goal);
            let rewards = potential_rewards(&clip, &goal, false);
            prop_assert_eq!(rewards.len(), clip.len());
            prop_assert_eq!(rewards.last(), Some(&0.0));
            let gained = distances[0] - distances[clip.len() - 1];
            prop_assert!((rewards.iter().sum::<f64>() - gained).abs() < 1e-9);
            let relative: f64 = potential_rewards(&clip, &goal, true).iter().sum();
            prop_assert!(relative <= 1.0 + 1e-9 || distances[0] == 0.0);
        }
    }
}
