//! Does an arm stand still? Judged from joint positions alone: velocities are the least reliable part of a controller's report.
//!
//! A hold is a command, and a command may be lost or ignored. So everything that commands a hold watches the positions: the runtime
//! after every run, `visuomotor recover`, the guard, and the drivers' workers before they release the guard.

use std::time::Duration;

use visuomotor_core::observation::JointVector;
use visuomotor_core::time::Timestamp;

/// Criteria for standing still.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stillness {
    /// Largest joint motion within the window \[rad\].
    pub motion: f64,
    /// How long every joint must stay in place.
    pub window: Duration,
    /// Fewest states within the window: a single state cannot show motion.
    pub states: u32,
}

/// How far a joint went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Motion {
    /// Joint, counted from 0.
    pub joint: usize,
    /// Distance \[rad\]; infinite where a position was NaN or the number of joints changed.
    pub by: f64,
}

/// Watches joint positions, oldest first. Pure: time is an argument.
#[derive(Clone, Debug)]
pub struct Standstill {
    stillness: Stillness,
    /// Reference positions since the last motion, and their time.
    reference: Option<(JointVector, Timestamp)>,
    /// States since then, that one included.
    states: u32,
    /// Farthest from the reference since then.
    farthest: Motion,
    /// Newest motion beyond the limit.
    moved: Option<Motion>,
}

impl Standstill {
    /// A watch without states.
    pub fn new(stillness: Stillness) -> Self {
        Self { stillness, reference: None, states: 0, farthest: Motion { joint: 0, by: 0.0 }, moved: None }
    }

    /// Takes the positions of one state, with the time they are judged by.
    pub fn observe(&mut self, at: Timestamp, positions: &JointVector) {
        if let Some((from, _)) = &self.reference {
            let motion = Motion::between(from, positions);
            if motion.by <= self.stillness.motion {
                self.states += 1;
                if motion.by > self.farthest.by {
                    self.farthest = motion;
                }
                return;
            }
            self.moved = Some(motion);
        }
        self.reference = Some((*positions, at));
        self.states = 1;
        self.farthest = Motion { joint: 0, by: 0.0 };
    }

    /// Has every joint stayed in place for the window by `now`?
    pub fn stands(&self, now: Timestamp) -> bool {
        let since = self.reference.as_ref().map(|(_, since)| *since);
        self.states >= self.stillness.states && since.is_some_and(|since| now.since(since) >= self.stillness.window)
    }

    /// Largest motion since the arm last moved.
    pub fn farthest(&self) -> Motion {
        self.farthest
    }

    /// The newest motion beyond the limit, if there was one.
    pub fn moved(&self) -> Option<Motion> {
        self.moved
    }
}

/// For the guard and the drivers' workers: long enough that a controller's own ramp does not count as standing.
impl Default for Standstill {
    fn default() -> Self {
        Self::new(Stillness { motion: 0.005, window: Duration::from_millis(300), states: 6 })
    }
}

impl Motion {
    /// The joint farthest from its reference.
    fn between(then: &JointVector, now: &JointVector) -> Self {
        if then.len() != now.len() {
            return Self { joint: 0, by: f64::INFINITY };
        }
        let mut farthest = Self { joint: 0, by: 0.0 };
        for (joint, (a, b)) in then.iter().zip(now.iter()).enumerate() {
            let by = (a - b).abs();
            // A position that is NaN counts as motion.
            let by = if by.is_nan() { f64::INFINITY } else { by };
            if by > farthest.by {
                farthest = Self { joint, by };
            }
        }
        farthest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn an_arm_stands_when_its_positions_stay_and_not_when_they_stop_coming() {
        let mut still = Standstill::default();
        assert!(!still.stands(at(9000)), "nothing is known");
        let mut q = JointVector::from_slice(&[0.0, 1.0]);
        for ms in (0..1000).step_by(10) {
            // 0.3 rad/s: within 300 ms that is far more than noise.
            q[0] = 0.3e-3 * ms as f64;
            still.observe(at(ms), &q);
            assert!(!still.stands(at(ms)));
        }
        assert!(!still.stands(at(5000)), "it may have moved on without a word");
        for ms in (1000..1400).step_by(10) {
            still.observe(at(ms), &q);
        }
        assert!(still.stands(at(1400)));
        q[1] = f64::NAN;
        still.observe(at(1410), &q);
        assert!(!still.stands(at(1410)));
        assert_eq!(still.moved(), Some(Motion { joint: 1, by: f64::INFINITY }));
    }

    #[test]
    fn a_watch_tells_how_far_the_arm_went_while_it_stood_and_when_it_moved() {
        let mut still = Standstill::default();
        let place = |q: f64| JointVector::from_slice(&[0.0, q]);
        for (ms, q) in [(0, 1.0), (10, 1.003), (20, 1.001)] {
            still.observe(at(ms), &place(q));
        }
        assert!(still.moved().is_none() && still.farthest().joint == 1);
        assert!((still.farthest().by - 0.003).abs() < 1e-9);
        still.observe(at(30), &place(1.006));
        assert!(still.farthest().by == 0.0, "the way is counted from where the arm moved to");
        assert!(still.moved().is_some_and(|motion| motion.joint == 1 && (motion.by - 0.006).abs() < 1e-9));
        still.observe(at(40), &JointVector::zeros(3));
        assert!(
            still.moved().is_some_and(|motion| motion.by.is_infinite()),
            "another number of joints is no arm that stands"
        );
    }
}
