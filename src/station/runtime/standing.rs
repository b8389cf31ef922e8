//! Confirms from the controller's states that an arm stands still after a command to hold.
//!
//! A hold is a message that may be lost or ignored. So the states after the last command are watched until every joint
//! has stayed in place for [`WINDOW`], or until [`PATIENCE`] is over and the hold is reported as not confirmed.

use std::fmt;
use std::time::Duration;

use visuomotor_arms::driver::{ArmDriver, DriverError, Motion, Standstill, Stillness};
use visuomotor_core::observation::Proprioception;
use visuomotor_core::time::{Clock, SystemClock, Timestamp};

/// Tolerance for standing still: 5 mrad in a tenth of a second is 0.05 rad/s, above any encoder's noise.
const STILLNESS: Stillness = Stillness { motion: 0.005, window: WINDOW, states: 3 };
/// How long every joint must stay in place.
const WINDOW: Duration = Duration::from_millis(100);
/// Time-out: the slowest arm brakes in less.
const PATIENCE: Duration = Duration::from_secs(2);
/// Polling interval.
const LOOK: Duration = Duration::from_millis(5);

/// Result of watching an arm after a command to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hold {
    /// Its controller's states show every joint in place.
    Standing {
        /// Time after the command \[s\].
        after: f64,
    },
    /// They do not, or there are no states.
    Unconfirmed(Doubt),
}

/// Reason why a hold could not be confirmed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Doubt {
    /// No state newer than the hold.
    NoState,
    /// A joint still moves.
    Moving {
        /// Joint, counted from 0.
        joint: usize,
        /// Its motion within the last window \[rad\].
        by: f64,
    },
    /// The driver could not send the hold.
    NotSent(DriverError),
    /// The watching thread ended.
    NotWatched,
}

impl Hold {
    /// Was the arm seen at rest?
    pub fn is_confirmed(&self) -> bool {
        matches!(self, Hold::Standing { .. })
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doubt = match self {
            Hold::Standing { after } => {
                return write!(f, "the arm stands and holds (seen {after:.2} s after the stop)");
            }
            Hold::Unconfirmed(doubt) => doubt,
        };
        f.write_str("THE HOLD COULD NOT BE CONFIRMED: ")?;
        match doubt {
            Doubt::NoState => write!(f, "the arm's controller has sent no state since")?,
            Doubt::Moving { joint, by } => {
                let seconds = WINDOW.as_secs_f64();
                write!(f, "joint {joint} still moves ({by:.3} rad in the last {seconds} s)")?
            }
            Doubt::NotSent(error) => write!(f, "it could not be sent ({error})")?,
            Doubt::NotWatched => write!(f, "the control loop ended without watching the arm")?,
        }
        f.write_str("; look at the arm, and press the hardware stop if it moves")
    }
}

/// Evaluates the states after a hold, oldest first. Pure: time is an argument.
#[derive(Clone, Debug)]
pub struct StandingWatch {
    told: Timestamp,
    still: Standstill,
    newest: Option<Timestamp>,
}

impl StandingWatch {
    /// The arm was commanded to hold at `told`.
    pub fn new(told: Timestamp) -> Self {
        Self { told, still: Standstill::new(STILLNESS), newest: None }
    }

    /// Takes a state; returns the result once the hold is confirmed, or given up at `now`.
    pub fn see(&mut self, now: Timestamp, state: Option<&Proprioception>) -> Option<Hold> {
        // A state from before the hold, or a repeated one, shows nothing.
        let new = state.filter(|s| s.measured_at > self.told && self.newest.is_none_or(|at| s.measured_at > at));
        if let Some(state) = new {
            self.newest = Some(state.measured_at);
            self.still.observe(state.measured_at, &state.joint_positions);
            if self.still.stands(state.measured_at) {
                return Some(Hold::Standing { after: now.since(self.told).as_secs_f64() });
            }
        }
        if now.since(self.told) < PATIENCE {
            return None;
        }
        Some(Hold::Unconfirmed(match self.still.moved() {
            Some(Motion { joint, by }) if now.since(self.newest.unwrap_or(self.told)) <= WINDOW * 3 => {
                Doubt::Moving { joint, by }
            }
            _ => Doubt::NoState,
        }))
    }
}

/// Watches an arm that was commanded to hold at `told`. Blocks for at least a tenth of a second, at most two seconds.
pub fn confirm(arm: &mut (dyn ArmDriver + 'static), told: Timestamp, clock: &SystemClock) -> Hold {
    let mut watch = StandingWatch::new(told);
    loop {
        let now = clock.now();
        let state = arm.observed(now);
        if let Some(hold) = watch.see(now, state.as_ref()) {
            return hold;
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visuomotor_core::observation::JointVector;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(ms * 1_000_000)
    }

    fn state(ms: u64, q: f64) -> Proprioception {
        let joints = JointVector::from_slice(&[0.0, q]);
        Proprioception {
            joint_positions: joints,
            joint_velocities: JointVector::zeros(2),
            joint_efforts: JointVector::zeros(2),
            finger_position: 0.0,
            gripper: 1.0,
            measured_at: at(ms),
        }
    }

    /// Watches a joint that is at `place(ms)`, a state every 10 ms, after a hold at 1000 ms.
    fn watched(place: impl Fn(u64) -> Option<f64>) -> Hold {
        let mut watch = StandingWatch::new(at(1000));
        for ms in (1000..).step_by(10) {
            let state = place(ms).map(|q| state(ms, q));
            if let Some(hold) = watch.see(at(ms), state.as_ref()) {
                return hold;
            }
        }
        unreachable!("the watch gives up")
    }

    #[test]
    fn a_hold_is_confirmed_after_standing_for_the_window() {
        assert_eq!(watched(|_| Some(0.3)), Hold::Standing { after: 0.11 });
        // Brakes until 1400 ms.
        let Hold::Standing { after } = watched(|ms| Some(0.001 * ms.min(1400) as f64)) else { panic!() };
        assert!((0.5..=0.52).contains(&after), "{after}");
    }

    #[test]
    fn the_hold_of_a_moving_or_silent_arm_is_not_confirmed() {
        let moving = watched(|ms| Some(0.001 * ms as f64));
        assert!(matches!(moving, Hold::Unconfirmed(Doubt::Moving { joint: 1, .. })), "{moving:?}");
        assert!(moving.to_string().contains("hardware stop"));
        assert_eq!(watched(|_| None), Hold::Unconfirmed(Doubt::NoState));
        assert!(!watched(|_| Some(f64::NAN)).is_confirmed());
    }

    #[test]
    fn states_before_the_hold_and_repeated_ones_are_ignored() {
        let mut watch = StandingWatch::new(at(1000));
        let mut said = None;
        for ms in (1000..3200).step_by(10) {
            // The link died at 1050 ms: the same state is read repeatedly.
            let old = state(ms.min(1050), 0.3);
            said = said.or(watch.see(at(ms), Some(&old)));
        }
        assert_eq!(said, Some(Hold::Unconfirmed(Doubt::NoState)));
    }
}
