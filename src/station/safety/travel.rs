//! Predicts the arm's current position from an older measurement.

use visuomotor_core::observation::JointVector;
use visuomotor_core::time::Timestamp;

/// Number of remembered commands: two thirds of a second at 50 Hz, longer than the maximum measurement age of any driver.
const REMEMBERED: usize = 32;

/// A velocity and when it was commanded.
#[derive(Clone, Copy, Debug)]
struct Leg {
    at: Timestamp,
    velocity: JointVector,
}

/// Predicted position.
#[derive(Clone, Copy, Debug)]
struct Estimate {
    measured_at: Timestamp,
    at: Timestamp,
    joints: JointVector,
}

/// Ring of the last sent velocities.
#[derive(Clone, Copy, Debug)]
pub(super) struct Travel {
    legs: [Leg; REMEMBERED],
    newest: usize,
    count: usize,
    /// While a measurement repeats, the prediction is advanced step by step.
    estimate: Option<Estimate>,
}

impl Travel {
    pub(super) fn none() -> Self {
        let leg = Leg { at: Timestamp::ZERO, velocity: JointVector::zeros(0) };
        Self { legs: [leg; REMEMBERED], newest: 0, count: 0, estimate: None }
    }

    /// Remembers the velocity sent at this time \[rad/s\]; of two at the same time the later one counts.
    pub(super) fn note(&mut self, at: Timestamp, velocity: &JointVector) {
        if self.count == 0 || self.legs[self.newest].at != at {
            self.newest = (self.newest + 1) % REMEMBERED;
            self.count = (self.count + 1).min(REMEMBERED);
        }
        self.legs[self.newest] = Leg { at, velocity: *velocity };
    }

    /// Measured joints \[rad\] advanced by the commands sent since. Times before the oldest remembered command use that command.
    pub(super) fn since(&mut self, measured: &JointVector, measured_at: Timestamp, now: Timestamp) -> JointVector {
        let known = self.estimate.filter(|estimate| estimate.measured_at == measured_at && estimate.at <= now);
        let (mut joints, begin) = known.map_or((*measured, measured_at), |estimate| (estimate.joints, estimate.at));
        let mut until = now;
        for back in 0..self.count {
            if until <= begin {
                break;
            }
            let leg = &self.legs[(self.newest + REMEMBERED - back) % REMEMBERED];
            let oldest = back + 1 == REMEMBERED;
            let from = if leg.at < begin || oldest { begin } else { leg.at };
            let seconds = until.since(from).as_secs_f64();
            for (angle, velocity) in joints.iter_mut().zip(leg.velocity.iter()) {
                *angle += velocity * seconds;
            }
            until = from.min(until);
        }
        self.estimate = Some(Estimate { measured_at, at: now, joints });
        joints
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_millis(milliseconds)
    }

    fn joint(value: f64) -> JointVector {
        JointVector::from_slice(&[value])
    }

    #[test]
    fn a_measurement_is_advanced_by_the_commands_sent_since() {
        let mut travel = Travel::none();
        assert_eq!(travel.since(&joint(0.5), at(0), at(100)), joint(0.5), "nothing was sent");
        travel.note(at(0), &joint(9.0));
        travel.note(at(0), &joint(1.0));
        travel.note(at(20), &joint(2.0));
        travel.note(at(40), &joint(-1.0));
        let close = |a: JointVector, b: f64| assert!((a[0] - b).abs() < 1e-12, "{a:?} {b}");
        close(travel.since(&joint(0.0), at(60), at(60)), 0.0);
        close(travel.since(&joint(0.0), at(50), at(60)), -0.01);
        close(travel.since(&joint(0.0), at(30), at(60)), 0.02 - 0.02);
        close(travel.since(&joint(0.0), at(10), at(60)), 0.01 + 0.04 - 0.02);
        close(travel.since(&joint(0.0), at(70), at(60)), 0.0);
        // The same measurement again, after another command, and a second time at the same time.
        close(travel.since(&joint(0.0), at(10), at(60)), 0.03);
        travel.note(at(60), &joint(3.0));
        close(travel.since(&joint(0.0), at(10), at(80)), 0.03 + 0.06);
        close(travel.since(&joint(0.0), at(10), at(80)), 0.03 + 0.06);
    }

    #[test]
    fn before_the_oldest_remembered_command_that_command_counts() {
        let mut travel = Travel::none();
        for tick in 0..100 {
            travel.note(at(tick * 10), &joint(1.0));
        }
        let present = travel.since(&joint(0.0), at(0), at(1000));
        assert!((present[0] - 1.0).abs() < 1e-12, "{present:?}");
    }
}
