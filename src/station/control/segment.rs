//! A timed straight line through joint space.

use std::time::Duration;

use visuomotor_core::observation::JointVector;
use visuomotor_core::time::Timestamp;

/// Time profile of the motion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Constant speed: between actions, where the next segment follows at once.
    Even,
    /// Minimum jerk (Flash and Hogan 1985): starts and ends at rest; its peak speed is 1.875 times the mean.
    RestToRest,
}

/// From one joint vector to another in a given time; stays at the end afterwards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) from: JointVector,
    pub(super) to: JointVector,
    pub(super) starts_at: Timestamp,
    pub(super) duration: Duration,
    pub(super) pace: Pace,
}

impl Segment {
    /// Stands still.
    pub(super) fn hold(at: JointVector, since: Timestamp) -> Self {
        Self { from: at, to: at, starts_at: since, duration: Duration::ZERO, pace: Pace::Even }
    }

    /// Has the end been reached?
    pub(super) fn ended(&self, now: Timestamp) -> bool {
        now.since(self.starts_at) >= self.duration
    }

    /// Joint positions at `now` \[rad\].
    pub(super) fn at(&self, now: Timestamp) -> JointVector {
        if self.ended(now) {
            return self.to;
        }
        // The duration exceeds the elapsed time here, so it is not zero.
        let share = now.since(self.starts_at).as_secs_f64() / self.duration.as_secs_f64();
        let way = match self.pace {
            Pace::Even => share,
            Pace::RestToRest => share.powi(3) * (10.0 + share * (6.0 * share - 15.0)),
        };
        self.from + way * (self.to - self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(pace: Pace) -> Segment {
        Segment {
            from: JointVector::from_slice(&[0.0, 1.0]),
            to: JointVector::from_slice(&[1.0, -1.0]),
            starts_at: Timestamp::from_secs_f64(1.0),
            duration: Duration::from_millis(200),
            pace,
        }
    }

    #[test]
    fn both_paces_start_at_the_start_pass_the_middle_and_stay_at_the_end() {
        for pace in [Pace::Even, Pace::RestToRest] {
            let segment = segment(pace);
            for (seconds, expected) in [(0.5, 0.0), (1.0, 0.0), (1.1, 0.5), (1.2, 1.0), (9.0, 1.0)] {
                let joints = segment.at(Timestamp::from_secs_f64(seconds));
                assert!((joints[0] - expected).abs() < 1e-9, "{pace:?} at {seconds} s: {joints:?}");
                assert!((joints[1] - (1.0 - 2.0 * expected)).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn an_even_pace_covers_a_quarter_in_a_quarter_of_the_time() {
        let quarter = Timestamp::from_secs_f64(1.05);
        assert!((segment(Pace::Even).at(quarter)[0] - 0.25).abs() < 1e-9);
        // 10/64 - 15/256 + 6/1024
        assert!((segment(Pace::RestToRest).at(quarter)[0] - 0.103515625).abs() < 1e-9);
    }
}
