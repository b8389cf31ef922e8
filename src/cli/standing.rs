//! Recovering an arm, and looking whether it then stands: it is said to hold only if its state shows it.

use std::time::Duration;

use super::station::activate;
use crate::action::ControlMode;
use crate::driver::{ArmDriver, DriverError};
use crate::observation::JointVector;
use crate::runtime::RuntimeError;
use crate::time::Clock;

/// How long an arm is watched after it was told to hold, and how often it is read.
const WATCHED: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(20);
/// How long a state is waited for that shows it.
const PATIENCE: Duration = Duration::from_secs(3);
/// The arm takes over its load in this time: a servo gives way a little until it carries it.
const SETTLING: Duration = Duration::from_millis(200);
/// Joint motion within the watched time that still is standing \[rad\].
const STANDS: f64 = 0.01;

/// Clears what can be cleared, activates the arm where it is, and looks whether it stands. Answers, in words, what its state
/// showed. `nap` sleeps.
pub fn recover(
    arm: &mut dyn ArmDriver,
    clock: &dyn Clock,
    mode: ControlMode,
    nap: &mut dyn FnMut(Duration),
) -> anyhow::Result<String> {
    arm.recover(clock.now())?;
    activate(arm, clock.now(), mode)?;
    arm.hold(clock.now()).map_err(RuntimeError::from)?;
    nap(SETTLING);
    let moved = watch(arm, clock, nap)?;
    Ok(format!(
        "the arm holds: its state shows no joint moved by more than {moved:.4} rad in {} s",
        WATCHED.as_secs_f64()
    ))
}

/// Largest joint motion while the arm is watched \[rad\]; an error if that is not standing.
fn watch(arm: &mut dyn ArmDriver, clock: &dyn Clock, nap: &mut dyn FnMut(Duration)) -> Result<f64, RuntimeError> {
    let words = |arm: &dyn ArmDriver, error| match error {
        DriverError::Fault(code) => RuntimeError::Fault(arm.fault_text(code)),
        error => RuntimeError::Driver(error),
    };
    let (start, mut first) = (clock.now(), None);
    let mut most = (0, 0.0);
    loop {
        let last = match arm.read(clock.now()) {
            Ok(sensed) => {
                let from = first.get_or_insert(sensed);
                let moved = farthest(&from.joint_positions, &sensed.joint_positions);
                // Written so that NaN counts as moving.
                if !(moved.1 <= most.1) {
                    most = moved;
                }
                Some(sensed)
            }
            // An answer may be missed; that the arm stands is shown by one that came.
            Err(DriverError::Silent) => None,
            Err(error) => return Err(words(arm, error)),
        };
        // By the stamps of what was measured: the same measurement again and again shows nothing.
        if first.zip(last).is_some_and(|(first, last)| last.measured_at.since(first.measured_at) >= WATCHED) {
            break;
        }
        if clock.now().since(start) >= PATIENCE {
            return Err(RuntimeError::HoldUnconfirmed { seconds: PATIENCE.as_secs_f64() });
        }
        nap(LOOK);
    }
    let (joint, moved) = most;
    if moved <= STANDS { Ok(moved) } else { Err(RuntimeError::NotStanding { joint, moved, limit: STANDS }) }
}

/// The joint that is farthest from where it was, and how far \[rad\]; one that is missing or NaN is infinitely far.
fn farthest(then: &JointVector, now: &JointVector) -> (usize, f64) {
    if then.len() != now.len() {
        return (0, f64::INFINITY);
    }
    let off =
        then.iter().zip(now.iter()).map(|(a, b)| (a - b).abs()).map(|d| if d.is_nan() { f64::INFINITY } else { d });
    off.enumerate().fold((0, 0.0), |most, one| if one.1 > most.1 { one } else { most })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::fake::FakeArm;
    use crate::time::ManualClock;

    /// Watches a fake arm with time moved by hand; `each` sees how often it was waited.
    fn watched(each: impl Fn(usize, &crate::runtime::fake::Switches)) -> Result<f64, RuntimeError> {
        let (mut arm, switches) = FakeArm::new(6);
        let (clock, mut naps) = (ManualClock::new(), 0);
        let mut nap = |time| {
            naps += 1;
            each(naps, &switches);
            clock.advance(time);
        };
        watch(&mut arm, &clock, &mut nap)
    }

    #[test]
    fn an_arm_that_stands_is_seen_to_stand() {
        assert_eq!(watched(|_, _| {}).unwrap(), 0.0);
        // An answer that is missed now and then changes nothing.
        assert_eq!(watched(|naps, switches| switches.silence(naps % 3 == 0)).unwrap(), 0.0);
    }

    #[test]
    fn an_arm_that_says_nothing_or_fails_is_not_said_to_stand() {
        let silent = watched(|_, switches| switches.silence(true)).unwrap_err();
        assert!(matches!(silent, RuntimeError::HoldUnconfirmed { .. }), "{silent:?}");
        let failed = watched(|naps, switches| switches.fault(naps > 5)).unwrap_err();
        assert!(failed.to_string().contains("7 cups"), "{failed}");
    }
}
