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
    let first = arm.read(clock.now()).map_err(|error| words(arm, error))?;
    let (start, mut last, mut most) = (clock.now(), first, (0, 0.0));
    while clock.now().since(start) < WATCHED {
        nap(LOOK);
        last = arm.read(clock.now()).map_err(|error| words(arm, error))?;
        let moved = farthest(&first.joint_positions, &last.joint_positions);
        // Written so that NaN counts as moving.
        if !(moved.1 <= most.1) {
            most = moved;
        }
    }
    // The same measurement again and again shows nothing.
    if last.measured_at <= first.measured_at {
        return Err(RuntimeError::Driver(DriverError::Silent));
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
