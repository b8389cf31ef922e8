//! Places of the two distractors of scenario 2: moved every trial, clear of the object, the container and each other.

use super::draw::Draw;
use super::placement::distance;

/// Least distance of a distractor from the object, and of the two from each other \[m\].
pub(super) const CLEAR_OF_OBJECT: f64 = 0.07;
/// Least distance of a distractor from the container \[m\].
pub(super) const CLEAR_OF_CONTAINER: f64 = 0.12;

/// Positions that a trial's distractors must stay clear of, base frame x and y \[m\].
#[derive(Clone, Copy, Debug)]
pub(super) struct Occupied {
    pub(super) object: [f64; 2],
    pub(super) container: Option<[f64; 2]>,
}

impl Occupied {
    fn leaves_free(&self, place: [f64; 2]) -> bool {
        distance(place, self.object) >= CLEAR_OF_OBJECT
            && self.container.is_none_or(|container| distance(place, container) >= CLEAR_OF_CONTAINER)
    }
}

/// Places of both distractors for each of the trials of one start transform.
///
/// No distractor has the same place twice within these trials. `None` if `places` has no such choice.
pub(super) fn choose(trials: &[Occupied], places: &[[f64; 2]], draw: &mut Draw) -> Option<Vec<[[f64; 2]; 2]>> {
    let candidates: Vec<Vec<[usize; 2]>> = trials
        .iter()
        .map(|occupied| {
            let free: Vec<usize> = (0..places.len()).filter(|&i| occupied.leaves_free(places[i])).collect();
            let mut pairs = Vec::new();
            for &a in &free {
                pairs.extend(
                    free.iter().filter(|&&b| distance(places[a], places[b]) >= CLEAR_OF_OBJECT).map(|&b| [a, b]),
                );
            }
            draw.shuffle(&mut pairs);
            pairs
        })
        .collect();
    let mut chosen = Vec::with_capacity(trials.len());
    search(&candidates, &mut chosen).then(|| chosen.iter().map(|&[a, b]: &[usize; 2]| [places[a], places[b]]).collect())
}

/// Depth-first over the trials, at most three deep.
fn search(candidates: &[Vec<[usize; 2]>], chosen: &mut Vec<[usize; 2]>) -> bool {
    let Some((pairs, rest)) = candidates.split_first() else { return true };
    for &pair in pairs {
        if chosen.iter().any(|used| used[0] == pair[0] || used[1] == pair[1]) {
            continue;
        }
        chosen.push(pair);
        if search(rest, chosen) {
            return true;
        }
        chosen.pop();
    }
    false
}
