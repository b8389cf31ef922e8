//! Chooses the images that ICVF compares: state, next state, outcome, intent. Indices only.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::training::Clips;

/// One image of a set of clips.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The clip.
    pub clip: usize,
    /// Number of the image in the clip, from 0.
    pub index: usize,
}

/// One element of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The state s.
    pub s: Place,
    /// The next state s'; s again at the end of its clip.
    pub s_next: Place,
    /// The outcome g.
    pub g: Place,
    /// The intent z.
    pub z: Place,
}

impl Sample {
    /// Is s the outcome? Then r_g = 0 and nothing follows (m_g = 0); else r_g = -1 and m_g = 1.
    pub fn reached_g(&self) -> bool {
        self.g == self.s
    }

    /// Is s the intent? As [`Sample::reached_g`], for r_z and m_z.
    pub fn reached_z(&self) -> bool {
        self.z == self.s
    }
}

/// How outcomes and intents are drawn; the three shares add up to 1.
///
/// The published ICVF code has 0.3, 0.5, 0.2; its Ego4D trainer 0.1, 0.8, 0.1 with `intent_sametraj`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GoalShares {
    /// Share of goals that are any image of any clip.
    pub p_random: f64,
    /// Share of goals that come later in the same clip, or now.
    pub p_traj: f64,
    /// Share of goals that are reached.
    pub p_curr: f64,
    /// Share of outcomes that equal the intent, g = z.
    pub p_samegoal: f64,
    /// Intents never come from another clip: `p_random` is added to `p_traj` for them.
    pub intent_sametraj: bool,
    /// A goal of the same clip is at most this many images ahead; without it: any of the clip.
    pub max_distance: Option<usize>,
    /// How many images lie from s to s', at least 1.
    pub stride: usize,
}

/// A share that is not acceptable.
#[derive(Clone, Debug, PartialEq)]
pub struct UnfitShare {
    /// Key of the settings.
    pub key: &'static str,
    /// Its value.
    pub found: String,
    /// What is acceptable.
    pub expected: &'static str,
}

impl GoalShares {
    /// The unacceptable value; `None` if all are acceptable.
    pub fn refused(&self) -> Option<UnfitShare> {
        let unfit = |key, found, expected| Some(UnfitShare { key, found, expected });
        let shares = [
            ("p_random", self.p_random),
            ("p_traj", self.p_traj),
            ("p_curr", self.p_curr),
            ("p_samegoal", self.p_samegoal),
        ];
        if let Some((key, share)) = shares.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            return unfit(key, share.to_string(), "a share between 0 and 1");
        }
        let sum = self.p_random + self.p_traj + self.p_curr;
        if (sum - 1.0).abs() > 1e-6 {
            return unfit("p_random", format!("p_random + p_traj + p_curr = {sum}"), "a sum of 1");
        }
        let near = self.max_distance.filter(|most| *most < self.stride);
        near.and_then(|most| unfit("max_distance", most.to_string(), "at least the stride, or no such key"))
    }

    /// Draws one element: s uniform over clips and their images, then z, then g.
    ///
    /// The last images of a clip, one stride of them, are drawn too and are followed by themselves: no value is then
    /// bootstrapped from an image whose own value is never trained. `clips` holds at least one clip, each of at least one
    /// image.
    pub fn draw(&self, clips: &dyn Clips, rng: &mut ChaCha8Rng) -> Sample {
        let s = any(clips, rng);
        let last = clips.frames(s.clip).saturating_sub(1);
        let end = self.max_distance.map_or(last, |most| last.min(s.index.saturating_add(most)));
        self.element(clips, s, rng, |rng| {
            let random = any(clips, rng);
            // u s + (1 - u) end, in whole strides.
            let u: f64 = rng.random();
            let strides = ((1.0 - u) * ((end - s.index) / self.stride) as f64).round() as usize;
            (random, Place { index: s.index + strides * self.stride, ..s })
        })
    }

    /// Draws several elements for each of some images; their outcomes and intents are among these images, too. `images` come
    /// from clips of `clips`, `per_clip` of each, as `some_of` returns them. The shares are those of [`draw`](Self::draw),
    /// but a goal ahead is one of `images`.
    pub fn draw_among(
        &self,
        clips: &dyn Clips,
        images: &[Place],
        per_clip: usize,
        goals_per_image: usize,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Sample> {
        let mut samples = Vec::with_capacity(images.len() * goals_per_image);
        for (i, &s) in images.iter().enumerate() {
            let ahead = &images[i..(i / per_clip + 1) * per_clip];
            let one_of = |images: &[Place], rng: &mut ChaCha8Rng| images[rng.random_range(0..images.len())];
            for _ in 0..goals_per_image {
                samples.push(self.element(clips, s, rng, |rng| (one_of(images, rng), one_of(ahead, rng))));
            }
        }
        samples
    }

    /// The element of s: first s', then z, then g. `goals` draws an image of any clip and one of this clip that is reached
    /// from s in whole strides.
    fn element(
        &self,
        clips: &dyn Clips,
        s: Place,
        rng: &mut ChaCha8Rng,
        goals: impl Fn(&mut ChaCha8Rng) -> (Place, Place),
    ) -> Sample {
        let next = s.index.saturating_add(self.stride);
        // Not the clip's last image instead: the goals ahead would never be reached from there.
        let s_next = if next < clips.frames(s.clip) { Place { index: next, ..s } } else { s };
        // As `gc_dataset.py` draws a goal: any or of this clip, then replaced by s itself. Every draw takes the same number
        // of random numbers, whichever goal results.
        let mut goal = |p_traj: f64| {
            let (random, ahead) = goals(rng);
            let (of_this_clip, now): (f64, f64) = (rng.random(), rng.random());
            // Where p_curr is 1 every goal is s: the result of the division by 0 is then overwritten.
            let goal = if of_this_clip < p_traj / (1.0 - self.p_curr) { ahead } else { random };
            if now < self.p_curr { s } else { goal }
        };
        let z = goal(if self.intent_sametraj { 1.0 - self.p_curr } else { self.p_traj });
        let own = goal(self.p_traj);
        let g = if rng.random::<f64>() < self.p_samegoal { z } else { own };
        Sample { s, s_next, g, z }
    }
}

/// `count` images of one clip, in order and whole strides apart, so that the later ones are reached from each; an image may
/// occur twice.
pub(super) fn some_of(clips: &dyn Clips, clip: usize, count: usize, stride: usize, rng: &mut ChaCha8Rng) -> Vec<Place> {
    let frames = clips.frames(clip).max(1);
    let first = rng.random_range(0..stride.min(frames));
    let strides = (frames - first).div_ceil(stride);
    let mut indices: Vec<usize> = (0..count).map(|_| first + rng.random_range(0..strides) * stride).collect();
    indices.sort_unstable();
    indices.into_iter().map(|index| Place { clip, index }).collect()
}

/// Any image: uniform over clips, then over the clip's images.
fn any(clips: &dyn Clips, rng: &mut ChaCha8Rng) -> Place {
    let clip = rng.random_range(0..clips.len());
    Place { clip, index: rng.random_range(0..clips.frames(clip).max(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::icvf::tests::Blank;
    use rand::SeedableRng;

    const GENERIC: GoalShares = GoalShares {
        p_random: 0.3,
        p_traj: 0.5,
        p_curr: 0.2,
        p_samegoal: 0.5,
        intent_sametraj: false,
        max_distance: None,
        stride: 1,
    };
    const EGO4D: GoalShares = GoalShares { p_random: 0.1, p_traj: 0.8, p_curr: 0.1, intent_sametraj: true, ..GENERIC };

    /// Many clips, so that a random goal is rarely in the clip of s; long ones, so that it rarely is s.
    fn many() -> Blank {
        Blank { frames: vec![1000; 1000] }
    }

    fn draws(shares: GoalShares, clips: &Blank, count: usize) -> Vec<Sample> {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        (0..count).map(|_| shares.draw(clips, &mut rng)).collect()
    }

    fn share(samples: &[Sample], is: impl Fn(&Sample) -> bool) -> f64 {
        samples.iter().filter(|sample| is(sample)).count() as f64 / samples.len() as f64
    }

    #[test]
    fn goals_follow_the_shares() {
        // 20000 draws: 5 standard deviations are below 0.018.
        for shares in [GENERIC, EGO4D] {
            let samples = draws(shares, &many(), 20_000);
            let elsewhere = if shares.intent_sametraj { 0.0 } else { shares.p_random };
            let near = |found: f64, expected: f64| assert!((found - expected).abs() < 0.018, "{found}, not {expected}");
            near(share(&samples, |x| x.z.clip != x.s.clip), elsewhere);
            near(share(&samples, Sample::reached_z), shares.p_curr);
            near(share(&samples, |x| x.g == x.z), shares.p_samegoal + 0.5 * shares.p_curr * shares.p_curr);
            let own: Vec<Sample> = samples.iter().copied().filter(|x| x.g != x.z).collect();
            near(share(&own, |x| x.g.clip != x.s.clip), shares.p_random);
        }
    }

    #[test]
    fn an_intent_of_the_same_clip_never_leaves_it_but_outcomes_do() {
        let samples = draws(EGO4D, &many(), 5000);
        assert_eq!(share(&samples, |x| x.z.clip != x.s.clip), 0.0);
        assert!(share(&samples, |x| x.g.clip != x.s.clip) > 0.02);
    }

    #[test]
    fn a_goal_is_reached_exactly_when_it_is_the_same_image_of_the_same_clip() {
        // Few short clips: all coincidences happen.
        let clips = Blank { frames: vec![2, 3, 4] };
        let samples = draws(GENERIC, &clips, 3000);
        let same_number_elsewhere = |x: &Sample| x.g.index == x.s.index && x.g.clip != x.s.clip;
        assert!(share(&samples, same_number_elsewhere) > 0.02);
        for x in &samples {
            assert_eq!(x.reached_g(), (x.g.clip, x.g.index) == (x.s.clip, x.s.index));
            assert_eq!(x.reached_z(), (x.z.clip, x.z.index) == (x.s.clip, x.s.index));
            for place in [x.s, x.s_next, x.g, x.z] {
                assert!(place.index < clips.frames(place.clip));
            }
        }
    }

    #[test]
    fn goals_among_images_follow_the_shares() {
        // 300 clips of 8 images each, so that a random image is rarely of the same clip, or the same image again.
        let clips = Blank { frames: vec![100_000; 300] };
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let images: Vec<Place> = (0..300).flat_map(|clip| some_of(&clips, clip, 8, 1, &mut rng)).collect();
        for shares in [GENERIC, EGO4D] {
            let samples = shares.draw_among(&clips, &images, 8, 10, &mut rng);
            assert_eq!(samples.len(), 24_000);
            let near = |found: f64, expected: f64| assert!((found - expected).abs() < 0.018, "{found}, not {expected}");
            let elsewhere = if shares.intent_sametraj { 0.0 } else { shares.p_random };
            near(share(&samples, |x| x.z.clip != x.s.clip), elsewhere);
            // The images at hand that are not before s: s is one of them, one of 1 to 8.
            let itself = (1..=8).map(|k| 1.0 / f64::from(k)).sum::<f64>() / 8.0;
            let ahead = if shares.intent_sametraj { 1.0 - shares.p_curr } else { shares.p_traj };
            near(share(&samples, Sample::reached_z), shares.p_curr + ahead * itself);
            // No earlier image of the same clip occurs, except by chance among all images.
            let back = |x: &Sample| x.z.clip == x.s.clip && x.z.index < x.s.index;
            assert!(share(&samples, back) < if shares.intent_sametraj { f64::MIN_POSITIVE } else { 0.01 });
        }
    }

    /// Values are backed up from s', s'', ...: a goal ahead must be among them, or no value ever learns that it was reached.
    #[test]
    fn goals_ahead_are_met_in_whole_strides() {
        let clips = Blank { frames: vec![50, 7, 2, 1] };
        let shares = GoalShares { stride: 4, p_random: 0.0, p_traj: 0.9, ..EGO4D };
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let images: Vec<Place> = (0..4).flat_map(|clip| some_of(&clips, clip, 6, 4, &mut rng)).collect();
        let mut samples = shares.draw_among(&clips, &images, 6, 20, &mut rng);
        samples.extend(draws(shares, &clips, 1000));
        for x in &samples {
            let next = if x.s.index + 4 < clips.frames[x.s.clip] { x.s.index + 4 } else { x.s.index };
            assert_eq!(x.s_next, Place { index: next, ..x.s });
            for goal in [x.g, x.z] {
                assert!(goal.clip == x.s.clip && goal.index >= x.s.index && (goal.index - x.s.index) % 4 == 0, "{x:?}");
            }
        }
        assert!(samples.iter().any(|x| x.g.index > x.s.index + 4));
        // Every image of a clip is drawn, also where the stride is longer than the clip.
        let seen: std::collections::HashSet<Place> = (0..500)
            .flat_map(|_| some_of(&clips, 1, 2, 4, &mut rng).into_iter().chain(some_of(&clips, 2, 1, 9, &mut rng)))
            .collect();
        assert_eq!(seen.len(), 9);
    }

    #[test]
    fn the_next_image_follows_and_the_last_follows_itself() {
        let clips = Blank { frames: vec![2, 5] };
        let samples = draws(GENERIC, &clips, 500);
        for x in &samples {
            let last = clips.frames[x.s.clip] - 1;
            assert_eq!(x.s_next, Place { clip: x.s.clip, index: (x.s.index + 1).min(last) });
        }
        for (clip, frames) in [(0, 2), (1, 5)] {
            for index in 0..frames {
                assert!(samples.iter().any(|x| x.s == Place { clip, index }), "image {index} of {clip} is never s");
            }
        }
    }

    #[test]
    fn goals_of_the_clip_are_spread_evenly_from_now_to_its_end() {
        let shares = GoalShares { p_random: 0.0, p_traj: 1.0, p_curr: 0.0, ..GENERIC };
        let samples = draws(shares, &Blank { frames: vec![1001] }, 40_000);
        let along: Vec<f64> = samples
            .iter()
            .filter(|x| x.s.index < 900)
            .map(|x| (x.z.index as f64 - x.s.index as f64) / (1000 - x.s.index) as f64)
            .collect();
        for tenth in 0..10 {
            let (low, high) = (f64::from(tenth) / 10.0, f64::from(tenth + 1) / 10.0);
            let share = along.iter().filter(|a| **a >= low && **a < high).count() as f64 / along.len() as f64;
            assert!((share - 0.1).abs() < 0.012, "{share} of the goals between {low} and {high}");
        }
        let near = GoalShares { max_distance: Some(3), ..shares };
        let samples = draws(near, &Blank { frames: vec![1001] }, 2000);
        let ahead = |x: &Sample| x.z.index - x.s.index;
        assert_eq!(samples.iter().map(ahead).max(), Some(3));
        assert_eq!(samples.iter().map(ahead).min(), Some(0));
    }

    #[test]
    fn invalid_shares_are_refused_by_name() {
        assert_eq!(GENERIC.refused(), None);
        assert_eq!(EGO4D.refused(), None);
        let key = |shares: GoalShares| shares.refused().map(|unfit| unfit.key);
        assert_eq!(key(GoalShares { p_curr: -0.2, ..GENERIC }), Some("p_curr"));
        assert_eq!(key(GoalShares { p_samegoal: f64::NAN, ..GENERIC }), Some("p_samegoal"));
        assert_eq!(key(GoalShares { p_traj: 0.6, ..GENERIC }), Some("p_random"));
        assert_eq!(key(GoalShares { max_distance: Some(0), ..GENERIC }), Some("max_distance"));
    }
}
