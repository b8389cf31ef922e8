//! Recovers an arm, and watches whether it then stands: a hold is reported only if its state shows it.

use std::time::Duration;

use anyhow::Context;

use crate::action::ControlMode;
use crate::driver::{ArmDriver, DriverError, Motion, Standstill, Stillness};
use crate::runtime::RuntimeError;
use crate::time::{Clock, Timestamp};

/// What counts as standing after the arm was commanded to hold.
const STILLNESS: Stillness = Stillness { motion: 0.01, window: Duration::from_millis(500), states: 2 };
/// How often its state is read.
const LOOK: Duration = Duration::from_millis(20);
/// How long a state is waited for that shows it.
const PATIENCE: Duration = Duration::from_secs(3);
/// The arm takes over its load in this time: a servo gives way a little until it carries it.
const SETTLING: Duration = Duration::from_millis(200);

/// [`ArmDriver::activate`], a fault in words.
pub fn activate(arm: &mut dyn ArmDriver, now: Timestamp, mode: ControlMode) -> anyhow::Result<()> {
    match arm.activate(now, mode) {
        // The type stays: it decides the exit code.
        Err(error @ DriverError::Fault(code)) => {
            Err(error).with_context(|| format!("the arm cannot be activated: {}", arm.fault_text(code)))
        }
        result => result.context("the arm cannot be activated"),
    }
}

/// What recovering does to an arm behind this driver, for a person who is to allow it.
pub fn what_recovery_does(driver: &str, robot: &str) -> String {
    let does = match (driver, robot) {
        ("dynamixel", _) => {
            "servos that report a hardware error are rebooted, during which their joints hang on the others; then every servo \
             holds where it is"
        }
        ("fci", _) => {
            "the connection is opened again where it is lost and the reflex is cleared; then the arm holds where it is"
        }
        (_, "widowx") => {
            "the node reboots servos that report a hardware error, during which their joints hang on the others; then every \
             servo holds where it is"
        }
        (_, "panda" | "fr3") => "the error recovery of the controller is run; then the arm holds where it is",
        (_, "sawyer") => "the arm is reset and enabled; then it holds where it is",
        _ => "faults of the controller are cleared; then the arm holds where it is",
    };
    format!(
        "{does}. It goes nowhere. Stand clear of it, support it if it could sink, and have the hardware stop at hand"
    )
}

/// Clears what can be cleared, activates the arm where it is, and looks whether it stands. Returns, in words, what its state
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
        STILLNESS.window.as_secs_f64()
    ))
}

/// Largest joint motion while the arm is watched \[rad\]; an error as soon as that is not standing.
fn watch(arm: &mut dyn ArmDriver, clock: &dyn Clock, nap: &mut dyn FnMut(Duration)) -> Result<f64, RuntimeError> {
    let words = |arm: &dyn ArmDriver, error| match error {
        DriverError::Fault(code) => RuntimeError::Fault(arm.fault_text(code)),
        error => RuntimeError::Driver(error),
    };
    let (start, mut still) = (clock.now(), Standstill::new(STILLNESS));
    loop {
        match arm.read(clock.now()) {
            Ok(sensed) => {
                // By the stamps of what was measured: the same measurement again and again shows nothing.
                still.see(sensed.measured_at, &sensed.joint_positions);
                if let Some(Motion { joint, by }) = still.moved() {
                    return Err(RuntimeError::NotStanding { joint, moved: by, limit: STILLNESS.motion });
                }
                if still.stands(sensed.measured_at) {
                    return Ok(still.farthest().by);
                }
            }
            // A state may be missed; that the arm stands is shown by one that came.
            Err(DriverError::Silent) => {}
            Err(error) => return Err(words(arm, error)),
        }
        if clock.now().since(start) >= PATIENCE {
            return Err(RuntimeError::HoldUnconfirmed { seconds: PATIENCE.as_secs_f64() });
        }
        nap(LOOK);
    }
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
