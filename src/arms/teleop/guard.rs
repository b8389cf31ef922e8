//! May a reading be used? Silence, jumps and invalid numbers end a grip; the operator must release it and grip again.

use std::time::Duration;

use super::{Motion, Reading};
use visuomotor_core::time::Timestamp;

/// Fastest plausible motion of a tracked hand \[m/s\]; a lost controller comes back metres away.
const HAND_SPEED: f64 = 3.0;

/// Fastest plausible turning of a tracked hand \[rad/s\].
const HAND_TURN: f64 = 25.0;

/// Fastest plausible joint of a leader arm moved by hand \[rad/s\].
const LEADER_SPEED: f64 = 8.0;

/// A hand may always move this far between two readings \[m\], \[rad\]: stamps are those of receipt and come in bursts.
const SLACK: f64 = 0.05;

/// A deflection beyond this is an invalid reading, not a strong push \[1\].
const MOST: f64 = 1.5;

/// Why a device is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceFault {
    /// It was silent for too long.
    Silent,
    /// Its hand jumped.
    Jump,
    /// It sent an impossible number.
    Garbage,
}

impl DeviceFault {
    /// As text, with what to do.
    pub fn text(self) -> &'static str {
        match self {
            DeviceFault::Silent => "the device fell silent; let go and take it again",
            DeviceFault::Jump => "the hand jumped; let go and take it again",
            DeviceFault::Garbage => "the device sent a number that cannot be; let go and take it again",
        }
    }
}

/// Watches one device over an episode.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Oldest reading that may begin an action.
    freshness: Duration,
    before: Option<Reading>,
    trouble: Option<DeviceFault>,
}

impl Guard {
    /// An action acts for one policy period, so a reading may begin one only while the period still ends within the
    /// time-out.
    pub fn new(timeout: Duration, policy_period: Duration) -> Self {
        Self { freshness: timeout.saturating_sub(policy_period), before: None, trouble: None }
    }

    /// The reading, if the arm may follow it now; otherwise `None`, as if the dead-man were released.
    pub fn follow(&mut self, reading: Option<Reading>, now: Timestamp) -> Option<Reading> {
        let Some(reading) = reading else {
            self.before = None;
            return None;
        };
        if !reading.engaged && now.since(reading.at) <= self.freshness {
            // Released: any earlier fault is over.
            self.trouble = None;
            self.before = Some(reading);
            return None;
        }
        let found = self.doubt(&reading, now);
        if let Some(trouble) = found {
            // A stick that fell silent while released is no fault.
            if reading.engaged {
                self.trouble.get_or_insert(trouble);
            }
        }
        self.before = Some(reading);
        (found.is_none() && self.trouble.is_none() && reading.engaged).then_some(reading)
    }

    /// Why the device is not followed although its dead-man is held.
    pub fn fault(&self) -> Option<DeviceFault> {
        self.trouble
    }

    /// A new episode: an earlier fault is cleared only when the device is released.
    pub fn reset(&mut self) {
        self.before = None;
    }

    fn doubt(&self, reading: &Reading, now: Timestamp) -> Option<DeviceFault> {
        if !sound(reading) {
            return Some(DeviceFault::Garbage);
        }
        if now.since(reading.at) > self.freshness {
            return Some(DeviceFault::Silent);
        }
        let before = self.before.as_ref()?;
        let elapsed = reading.at.since(before.at).as_secs_f64();
        let jumped = match (&reading.motion, &before.motion) {
            (Motion::Hand(a), Motion::Hand(b)) => {
                let moved = (a.translation.vector - b.translation.vector).norm();
                let turned = a.rotation.angle_to(&b.rotation);
                // Written so that NaN is a jump.
                !(moved <= HAND_SPEED * elapsed + SLACK && turned <= HAND_TURN * elapsed + 2.0 * SLACK)
            }
            (Motion::Leader(a), Motion::Leader(b)) => {
                // Written so that NaN, as of two lengths, is a jump.
                !((*a - *b).max_abs() <= LEADER_SPEED * elapsed + SLACK)
            }
            _ => false,
        };
        jumped.then_some(DeviceFault::Jump)
    }
}

/// Are all numbers plausible?
fn sound(reading: &Reading) -> bool {
    let motion = match &reading.motion {
        Motion::Deflection { along, about } => along.iter().chain(about).all(|value| value.abs() <= MOST),
        Motion::Hand(pose) => {
            pose.translation.vector.iter().all(|value| value.is_finite())
                && pose.rotation.coords.iter().all(|value| value.is_finite())
        }
        Motion::Leader(joints) => joints.is_finite(),
    };
    motion && reading.gripper.is_none_or(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use visuomotor_core::geometry::Pose;
    use visuomotor_core::observation::JointVector;

    const PERIOD: Duration = Duration::from_millis(200);

    fn at(seconds: f64) -> Timestamp {
        Timestamp::from_secs_f64(seconds)
    }

    fn guard() -> Guard {
        Guard::new(Duration::from_millis(350), PERIOD)
    }

    fn push(value: f64, engaged: bool, seconds: f64) -> Option<Reading> {
        let motion = Motion::Deflection { along: [value, 0.0, 0.0], about: [0.0; 3] };
        Some(Reading { motion, engaged, gripper: Some(1.0), at: at(seconds) })
    }

    #[test]
    fn an_action_never_outlasts_the_time_out() {
        let mut guard = guard();
        assert!(guard.follow(push(0.5, true, 1.0), at(1.15)).is_some());
        // Begun at 1.16 it would act until 1.36.
        assert!(guard.follow(push(0.5, true, 1.0), at(1.16)).is_none());
        assert_eq!(guard.fault(), Some(DeviceFault::Silent));
        // It sends again, still held: not followed yet.
        assert!(guard.follow(push(0.5, true, 2.0), at(2.0)).is_none());
        assert!(guard.follow(push(0.0, false, 2.2), at(2.2)).is_none());
        assert!(guard.follow(push(0.5, true, 2.4), at(2.4)).is_some());
        assert_eq!(guard.fault(), None);
    }

    #[test]
    fn numbers_that_cannot_be_are_not_followed() {
        for value in [f64::NAN, f64::INFINITY, 7.0] {
            let mut guard = guard();
            assert!(guard.follow(push(value, true, 1.0), at(1.0)).is_none(), "{value}");
            assert_eq!(guard.fault(), Some(DeviceFault::Garbage));
        }
    }

    #[test]
    fn a_hand_or_a_leader_that_jumps_is_not_followed() {
        let hand = |x: f64, seconds: f64| {
            let motion = Motion::Hand(Pose::translation(x, 0.0, 0.0));
            Some(Reading { motion, engaged: true, gripper: Some(1.0), at: at(seconds) })
        };
        let mut guard = guard();
        assert!(guard.follow(hand(0.0, 1.0), at(1.0)).is_some());
        assert!(guard.follow(hand(0.1, 1.2), at(1.2)).is_some());
        assert!(guard.follow(hand(2.0, 1.4), at(1.4)).is_none());
        assert_eq!(guard.fault(), Some(DeviceFault::Jump));
        let leader = |x: f64, seconds: f64| {
            let motion = Motion::Leader(JointVector::from_slice(&[x; 6]));
            Some(Reading { motion, engaged: true, gripper: Some(1.0), at: at(seconds) })
        };
        guard = super::tests::guard();
        assert!(guard.follow(leader(0.0, 1.0), at(1.0)).is_some());
        assert!(guard.follow(leader(3.0, 1.1), at(1.1)).is_none());
    }

    #[test]
    fn a_device_that_never_spoke_or_is_let_go_is_no_trouble() {
        let mut guard = guard();
        assert!(guard.follow(None, at(1.0)).is_none());
        assert!(guard.follow(push(0.3, false, 1.0), at(1.1)).is_none());
        assert!(guard.follow(push(0.3, false, 1.0), at(9.0)).is_none());
        assert_eq!(guard.fault(), None);
    }
}
